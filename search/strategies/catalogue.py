"""The strategies we ship, by name."""

STRATEGIES = {
    "ars": "veldt.search.strategies.ars:ARS",
}
