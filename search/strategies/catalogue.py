"""The strategies we ship, by name."""

STRATEGIES = {
    "ars": "veldt.search.strategies.ars:ARS",
    "brs": "veldt.search.strategies.basic_random_search:BasicRandomSearch",
    "cma-es": "veldt.search.strategies.cma_es:CmaES",
    "genetic": "veldt.search.strategies.genetic:Genetic",
    "guided-es": "veldt.search.strategies.guided_es:GuidedES",
    "noise-reuse-es": "veldt.search.strategies.noise_reuse_es:NoiseReuseES",
    "openai-es": "veldt.search.strategies.openai_es:OpenAIES",
    "persistent-es": "veldt.search.strategies.persistent_es:PersistentES",
    "pgpe": "veldt.search.strategies.pgpe:PGPE",
    "random-search": "veldt.search.strategies.hill_climbing:HillClimbing",
    "sep-cma-es": "veldt.search.strategies.cma_es:SepCmaES",
    "snes": "veldt.search.strategies.snes:SNES",
}
