"""What can be named on the command line and in recipes, kind by kind."""

import enum

from veldt.launch import cookbook


class Checked(enum.StrEnum):
    """What `veldt check` has a suite for."""

    agent = "agent"
    environment = "environment"
    command = "command"


class Kind(enum.StrEnum):
    """What can be listed."""

    recipes = "recipes"
    agents = "agents"
    networks = "networks"
    environments = "environments"
    searchers = "searchers"
    schedulers = "schedulers"
    strategies = "strategies"
    problems = "problems"
    policies = "policies"


def listed(kind: Kind) -> dict[str, str]:
    """Name -> what it is."""
    from veldt.platform import plugins

    match kind:
        case Kind.recipes:
            return cookbook.names()
        case Kind.environments:
            from veldt.platform.envs import catalogue

            return {name: "" for name in catalogue.names()}
        case Kind.agents:
            from veldt.agents.catalogue import AGENTS as builtin
        case Kind.networks:
            from veldt.agents.networks.catalogue import NETWORKS as builtin
        case Kind.searchers:
            from veldt.search.catalogue import SEARCHERS as builtin
        case Kind.schedulers:
            from veldt.search.schedulers.catalogue import SCHEDULERS as builtin
        case Kind.strategies:
            from veldt.search.strategies.catalogue import STRATEGIES as builtin
        case Kind.policies:
            from veldt.search.problems.policies.catalogue import POLICIES as builtin
        case Kind.problems:
            from veldt.search.problems.catalogue import PROBLEMS as builtin
    return plugins.known(str(kind), builtin)
