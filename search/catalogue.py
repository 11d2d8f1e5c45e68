"""The searchers we ship, by name; every strategy is one as well."""

from typing import Any

from veldt.platform import plugins
from veldt.platform.errors import UnknownName, unknown
from veldt.search.generational import Generational
from veldt.search.strategies.catalogue import STRATEGIES

SEARCHERS = {
    "random": "veldt.search.random_search:RandomSearch",
    "grid": "veldt.search.grid:Grid",
    "sobol": "veldt.search.sobol:Sobol",
    "tpe": "veldt.search.optuna_search:Tpe",
    "gp": "veldt.search.optuna_search:Gp",
    "auto": "veldt.search.auto_search:AutoSearch",
    "cma": "veldt.search.cma_search:CmaSearch",
    "evolution": "veldt.search.regularised_evolution:RegularisedEvolution",
    "nelder-mead": "veldt.search.nelder_mead:NelderMead",
    "particle-swarm": "veldt.search.particle_swarm:ParticleSwarm",
    "coordinate": "veldt.search.coordinate:Coordinate",
    "multi-resolution": "veldt.search.multi_resolution:MultiResolution",
    "portfolio": "veldt.search.portfolio:Portfolio",
}


def searcher(method: str) -> Any:
    """The class that a stage's `method` names: a searcher, or a strategy that is made one.

    Raises:
        UnknownName: with the nearest known name.
        BrokenPlugin: if another distribution's cannot be imported, or is no searcher.
    """
    searchers = plugins.known("searchers", SEARCHERS)
    strategies = plugins.known("strategies", STRATEGIES)
    if method in searchers:
        return plugins.load("searchers", method, SEARCHERS, "Settings.parse")
    if method in strategies:
        return Generational
    raise UnknownName(unknown("searchers", method, searchers | strategies))
