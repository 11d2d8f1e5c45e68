"""`veldt check`: the public conformance suite of a kind, run on what a name stands for."""

import functools
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from veldt.launch.console import Console
from veldt.platform import plugins
from veldt.platform.envs.parts import MOST_WORDS
from veldt.platform.envs.vector import Actions, EnvironmentSpec, Observations, Part, discrete
from veldt.platform.errors import BrokenContract, BrokenPlugin, EnvironmentFault, UnsupportedSpace

SPECS = {
    "numbers seen, one choice": EnvironmentSpec(
        "numbers", Observations((4,), "float32"), discrete(3), 1
    ),
    "images seen, one choice": EnvironmentSpec(
        "images", Observations((4, 84, 84), "uint8", stack=4), discrete(6), 4
    ),
    "image, numbers and words seen, one choice": EnvironmentSpec(
        "parts",
        Observations(
            (21_176 + 12 + 128,),
            "uint8",
            (
                Part("image", "image", (3, 84, 84), "uint8", 0),
                Part("numbers", "numbers", (3,), "float32", 21_176),
                Part("words", "words", (MOST_WORDS,), "int32", 21_188),
            ),
        ),
        discrete(3),
        1,
    ),
    "numbers seen, several choices": EnvironmentSpec(
        "choices",
        Observations((4,), "float32"),
        Actions("multi_discrete", (2, 3), description="MultiDiscrete([2 3])"),
        1,
    ),
    "numbers seen, numbers given": EnvironmentSpec(
        "box",
        Observations((4,), "float32"),
        Actions("box", (), (-1.0, -1.0), (1.0, 1.0), "Box(-1.0, 1.0, (2,), float32)"),
        1,
    ),
}


def check_agent(name: str, settings: Mapping[str, Any], console: Console) -> bool:
    """Whether an agent keeps its contract, wherever it does not say that it cannot play.

    Args:
        name: From `veldt list agents`.
        settings: Of the agent, beside its name.
        console: Where each case is told.
    """
    from veldt.agents.catalogue import AGENTS, NEEDS
    from veldt.agents.conformance import check

    agent = plugins.load("agents", name, AGENTS, *NEEDS)
    parsed = agent.Settings.parse({"name": name, **settings}, ("agent",))
    plays = [
        _case(console, case, functools.partial(check, agent, parsed, spec))
        for case, spec in SPECS.items()
    ]
    if all(played is None for played in plays):
        console.say("FAILS  it plays none of these")
    return False not in plays and True in plays


def check_environment(name: str, options: Mapping[str, Any], steps: int, console: Console) -> bool:
    """Whether an environment keeps its contract.

    Args:
        name: From `veldt list environments`, or any Gymnasium id.
        options: Of the environment.
        steps: To take in each run.
        console: Where it is told.
    """
    from veldt.platform.envs import catalogue
    from veldt.platform.envs.conformance import check

    catalogue.make(name, 1, options).close()  # wrong names and options are no broken contract
    return bool(
        _case(
            console,
            f"three of them, {steps} steps",
            lambda: check(lambda: catalogue.make(name, 3, options), steps=steps),
        )
    )


def check_command(data: dict[str, Any], steps: int | None, console: Console) -> bool:
    """Whether a search's command keeps to the protocol.

    Args:
        data: Raw settings of the search.
        steps: To come to; None: a tenth of a trial.
    """
    from veldt.search.settings import SearchSettings
    from veldt.search.works.conformance import Rehearsal

    settings = SearchSettings.parse(data)
    with tempfile.TemporaryDirectory(prefix="veldt-") as folder:
        rehearsal = Rehearsal(settings, Path(folder), steps or settings.frames // 10)
        for what, case in rehearsal.cases():
            if not _case(console, what, case):
                return False
    return True


def _case(console: Console, case: str, run: Callable[[], None]) -> bool | None:
    """Runs one case and tells of it; None if it was refused in words."""
    try:
        run()
    except UnsupportedSpace as refusal:
        console.say(f"refused  {case}: {refusal}")
        return None
    except BrokenPlugin:  # nothing was checked
        raise
    except (BrokenContract, EnvironmentFault) as broken:
        console.say(f"FAILS  {case}: {broken}")
        return False
    except Exception as error:
        console.say(f"FAILS  {case}: it raised {error!r}")
        for line in _last_frames(error):
            console.say(f"         {line}")
        return False
    console.say(f"keeps its contract  {case}")
    return True


def _last_frames(error: Exception, count: int = 3) -> Iterator[str]:
    """Where it was raised, the innermost last."""
    for frame in traceback.extract_tb(error.__traceback__)[-count:]:
        yield f"{frame.filename}:{frame.lineno} in {frame.name}: {frame.line}"
