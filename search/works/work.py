"""Work: what a trial does. It trains an agent of ours, or runs a command of the user's.

    Work        what the coordinator asks         what a worker does, in a process of its own
    Training    training.py                       training_run.py
    Command     command.py                        command_run.py

The coordinator knows no more of a trial than this: how long a whole one is, and what a job's
settings are at a point of the space.
"""

from typing import Any, ClassVar, Protocol

from veldt.search.space.space import Point


class Work(Protocol):
    """The contract."""

    kind: ClassVar[str]
    """a key of `trial.RUNS`"""

    @property
    def frames(self) -> int:
        """Of a whole trial: environment frames, or the user's own steps."""

    @property
    def title(self) -> str:
        """Of the report."""

    @property
    def facts(self) -> list[tuple[str, str]]:
        """(what, which) for the report's head."""

    def check(self, over: dict[str, Any], forks: bool) -> None:
        """Tries on what a trial would refuse after minutes: every bound and choice of the space.

        Args:
            over: Put over the settings of trials that are held out.
            forks: Whether trials begin with others' checkpoints.

        Raises:
            SettingsError, ValueError: if something is wrong; the message begins with its place.
        """

    def demand(self) -> None:
        """Raises `InputError` if this machine cannot do it."""

    def demand_longer(self, point: Point, frames: int) -> None:
        """Raises `InputError` if a trial cannot go on as far as that."""

    def length(self, over: dict[str, Any]) -> int:
        """Frames of a whole trial with some settings put over its own."""

    def settings(self, point: Point, seed: int, over: dict[str, Any]) -> dict[str, Any]:
        """A job's, plain JSON; "frames" are a whole trial's."""
