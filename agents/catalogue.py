"""The agents we ship, by name."""

AGENTS = {
    "impala": "veldt.agents.impala:Impala",
    "a2c": "veldt.agents.a2c:A2C",
    "ppo": "veldt.agents.ppo:PPO",
}
NEEDS = ("Settings.parse", "act", "losses")
"""What an agent has; `Agent` in `agent.py` says what they mean"""
