"""What a trial does: a command of the user's own.

    [command]
    run = ["python", "my_train.py", "--lr", "{lr}", "--folder", "{folder}"]
    steps = 100_000

    [space]
    lr = {kind = "log", low = 1e-4, high = 1e-1}

The command and the search talk through its environment and through files, so that it may be
written in any language and needs nothing of ours; `guest.py` is a convenience. The protocol:

    VELDT_FOLDER       a folder of its own: its checkpoint lives there, and outlives it
    VELDT_STEPS        how far to go; what is in the folder already counts
    VELDT_TOTAL_STEPS  how far a whole trial goes, for schedules of learning rates
    VELDT_SEED         a whole number below 2^31: all it should draw from
    VELDT_SETTINGS     a JSON file: what was decided in the space, also where it is nested
    VELDT_TRIAL        the trial's name
    VELDT_REPORTS      a file to which it appends lines of JSON: {"steps": n, "value": x} on the
                       way, which says that it lives and how it goes, and {"score": x} in the
                       end; without it the last value is the score. Higher is better; NaN: it
                       has diverged
    VELDT_PAUSE        a file that appears when it should end early: with its checkpoint written,
                       what it has come to reported, and exit code 0

It ends with exit code 0 at VELDT_STEPS, or where it was paused. It may be killed at any time,
and is begun again with the same folder; SIGTERM comes some seconds before.
"""

import itertools
import shlex
import shutil
from typing import Any, ClassVar

import pydantic

from veldt.platform.errors import SettingsError
from veldt.platform.settings import Settings, merge
from veldt.search.space.space import Point, Space
from veldt.search.works.placeholders import fill

OWN = ("seed", "steps", "total_steps", "folder", "trial", "settings")
"""placeholders beside those of the space"""


class CommandSettings(Settings):
    """A program that trains."""

    run: tuple[str, ...] = pydantic.Field(min_length=1)
    """The program and its arguments, with placeholders; one text is split as a shell would, and
    no shell runs it"""
    steps: int = pydantic.Field(ge=1, le=10**15)
    """A whole trial's length, in units of the program's own"""
    resume: bool = True
    """Whether it goes on from what it left in its folder. If not, it is begun anew where a trial
    goes on, from 0, which is counted."""
    environment: dict[str, str | int | float] = {}
    """Variables of its environment, with placeholders; OMP_NUM_THREADS and the like are 1
    unless they are given here"""

    @pydantic.field_validator("run", mode="before")
    @classmethod
    def _split(cls, run: Any) -> Any:
        return tuple(shlex.split(run)) if isinstance(run, str) else run


class Command:
    """The work of a search with [command].

    Args:
        settings: Of the command.
        space: What is searched: names of one's own.
    """

    kind: ClassVar[str] = "command"

    def __init__(self, settings: CommandSettings, space: Space) -> None:
        self._settings, self._space = settings, space

    @property
    def frames(self) -> int:
        return self._settings.steps

    @property
    def title(self) -> str:
        plain = itertools.takewhile(lambda x: not x.startswith("-"), self._settings.run)
        return " ".join(plain)

    @property
    def facts(self) -> list[tuple[str, str]]:
        return [("command", self.title)]

    def check(self, over: dict[str, Any], forks: bool) -> None:
        if forks and not self._settings.resume:
            raise SettingsError(
                "command.resume: with this scheduler trials go on from others' folders; "
                "expected a command that does."
            )
        corners = [self._space.values(point) for point in self._space.corners()]
        taken = sorted({name.partition(".")[0] for values in corners for name in values} & {*OWN})
        if taken:
            raise SettingsError(
                f"space: {', '.join(taken)}: this placeholder has a meaning already; "
                "take another name."
            )
        for point in self._space.corners():
            self._try(self.settings(point, 0, {}))
        self._check_over(over, {name for values in corners for name in values})

    def _try(self, settings: dict[str, Any]) -> None:
        own = dict.fromkeys(OWN, "")
        texts = {f"command.run.{i}": text for i, text in enumerate(settings["run"])}
        texts |= {f"command.environment.{n}": t for n, t in settings["environment"].items()}
        for place, text in texts.items():
            try:
                fill(text, settings["values"] | own)
            except SettingsError as error:
                raise SettingsError(f"{place}: {error}") from None

    def _check_over(self, over: dict[str, Any], names: set[str]) -> None:
        for name, value in over.items():
            if name not in names | {"steps"}:
                known = ", ".join(sorted(names))
                raise SettingsError(f"heldout.settings.{name}: expected steps or one of {known}.")
            if name == "steps" and (type(value) is not int or value < 1):
                raise SettingsError(
                    f"heldout.settings.steps: expected a whole number, got {value!r}."
                )

    def demand(self) -> None:
        program = self._settings.run[0]
        if "{" not in program and shutil.which(program) is None:
            raise SettingsError(no_program(program))

    def demand_longer(self, point: Point, frames: int) -> None:
        pass

    def length(self, over: dict[str, Any]) -> int:
        return int(over.get("steps", self.frames))

    def settings(self, point: Point, seed: int, over: dict[str, Any]) -> dict[str, Any]:
        made = self._settings
        others = {name: value for name, value in over.items() if name != "steps"}
        total = self.length(over)
        return {
            "run": list(made.run),
            "environment": {name: str(value) for name, value in made.environment.items()},
            "resume": made.resume,
            "values": merge(self._space.bind({}, point), others),
            "seed": seed,
            "total_steps": total,
            "frames": total,
        }


def no_program(program: str) -> str:
    """The sentence for one that is not there."""
    return (
        f"command.run: there is no program {program!r} that could be run here; expected one on "
        "the PATH, or the path of an executable file."
    )
