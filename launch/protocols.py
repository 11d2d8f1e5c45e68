"""Under which protocol returns were measured: what does not compare shares no table."""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from veldt.agents.environment_settings import label
from veldt.agents.progress import WINDOW

Group = TypeVar("Group")

POLICIES = {"sample": "sampled", "greedy": "greedy"}
# Of a population search's problem: what is measured. The rest is how it is trained.
MEASURED = (
    *("kind", "name", "environment", "environments", "game", "options", "test_cap", "life"),
    *("dimensions", "rotated", "start", "noise", "horizon", "unroll", "unrolls"),
)


def of_options(options: Mapping[str, Any]) -> str:
    """The protocol that an Atari environment's options name, and what departs from it."""
    found = dict(options)
    name = str(found.pop("protocol", "paper"))
    departures = _listed(found)
    return f"{name}, but {departures}" if departures else name


def of_evaluation(evaluation: Mapping[str, Any]) -> str:
    """How many episodes are played, and how it acts there."""
    episodes, policy = evaluation.get("episodes"), evaluation.get("policy")
    many = "unknown" if episodes is None else f"{episodes:,}"
    return f"{many} episodes, {POLICIES.get(str(policy), 'policy unknown')}"


def of_training(settings: Mapping[str, Any], beside: bool) -> str:
    """Of the returns of a training.

    Args:
        settings: The training's, dumped.
        beside: Whether they are of evaluations beside it, or of what its actors played.
    """
    environment = settings["environment"]
    if environment.get("id") is not None:
        places = _place(str(environment["id"]), environment.get("options", {}))
    else:
        shared = environment.get("options", {})
        places = "; ".join(
            _place(task["id"], shared | task.get("options", {})) for task in environment["tasks"]
        )
    how = f"last {WINDOW} episodes of training"
    if beside:
        how = f"evaluations of {of_evaluation(settings.get('evaluation', {}))}"
    return f"{places}: {how}"


def of_search(settings: Mapping[str, Any]) -> str:
    """Of the evaluations of a population search."""
    problem, episodes = settings["problem"], settings.get("evaluation", {}).get("episodes")
    measured = {name: problem[name] for name in MEASURED if name in problem}
    if isinstance(problem.get("environment"), Mapping):  # its evaluation knows no horizon
        measured.pop("horizon", None)
        measured["environment"] = label(problem["environment"]), problem["environment"]["options"]
    return f"{_listed(measured)}: evaluations of {episodes} episodes"


def apart(
    groups: Mapping[str, Group], protocol: Callable[[Group], str]
) -> dict[str, dict[str, Group]]:
    """Groups by the protocol they were measured under, in their order."""
    found: dict[str, dict[str, Group]] = {}
    for name, group in groups.items():
        found.setdefault(protocol(group), {})[name] = group
    return found


def _place(name: str, options: Mapping[str, Any]) -> str:
    if name.startswith("atari/"):
        return f"{name}, protocol {of_options(options)}"
    departures = _listed(options)
    return f"{name}, {departures}" if departures else name


def _listed(options: Mapping[str, Any]) -> str:
    """Options, but for those that say how fast it goes."""
    return ", ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in sorted(options.items())
        if name != "threads"
    )
