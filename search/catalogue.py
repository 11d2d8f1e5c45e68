"""The searchers we ship, by name."""

SEARCHERS = {
    "random": "veldt.search.random_search:RandomSearch",
    "es": "veldt.search.evolution_strategy:EvolutionStrategy",
}
