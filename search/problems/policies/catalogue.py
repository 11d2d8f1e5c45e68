"""The policies we ship, by name."""

POLICIES = {
    "linear": "veldt.search.problems.policies.linear:Linear",
    "mlp": "veldt.search.problems.policies.mlp:Mlp",
    "network": "veldt.agents.flat_network:FlatNetwork",
}
