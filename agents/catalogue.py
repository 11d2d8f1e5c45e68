"""The agents we ship, by name."""

AGENTS = {"impala": "veldt.agents.impala:Impala"}
