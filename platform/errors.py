"""What can go wrong, as exceptions that a user can read.

    VeldtError
    |-- InputError            exit code 2: what was asked for cannot be done; nothing was started
    |   |-- SettingsError     an unknown key, a wrong type, a value out of its range
    |   |-- UnknownName       no built-in and no plug-in has this name (the nearest is named)
    |   |-- DuplicateName     two distributions claim one name
    |   |-- BrokenPlugin      a plug-in cannot be imported, or is of the wrong kind
    |   |-- UnsupportedSpace  the agent cannot handle the environment's observations or actions
    |   |-- FolderInUse       another process holds the run's folder
    |   |-- FolderTaken       the run's folder holds something already
    |   |-- BrokenCheckpoint  no whole checkpoint is left to go on from
    |   `-- MissingProgram    a program or device that was asked for is not on this machine
    |-- BrokenContract        an agent, environment or searcher fails its conformance suite
    `-- RunFailed             exit code 1: it was started and came to grief
        |-- EnvironmentFault  an environment returned NaN or broke its contract
        |-- CodeError         an actor's code raised what nobody foresaw
        |-- ActorsLost        actors die as fast as they are started
        |-- ActorDied         one died where the run cannot go on without it (lockstep)
        |-- LearnerDied       one of several did: the run goes back to its last checkpoint
        |-- Diverged          the loss or its gradient is no longer finite
        |-- WireError         a message that does not keep to the schema
        |-- RankLost          another rank died; the survivors may regroup and go on
        `-- Interrupted       Ctrl-C or SIGTERM: the work done is saved

Every message says what was wrong, what was expected, and what to do.
"""

import difflib
from collections.abc import Iterable


class VeldtError(Exception):
    """The root: everything veldt raises on purpose."""

    exit_code = 1


class InputError(VeldtError):
    """What was asked for cannot be done; nothing was started."""

    exit_code = 2


class SettingsError(InputError):
    """A setting is unknown, of the wrong type, or out of its range."""


class UnknownName(InputError):
    """No built-in and no plug-in has this name."""


class DuplicateName(InputError):
    """Two distributions, or a plug-in and a built-in, claim one name."""


class BrokenPlugin(InputError):
    """What another distribution offers cannot be imported, or is not of its group's kind."""


class UnsupportedSpace(InputError):
    """The agent cannot handle the environment's observations or actions."""


class FolderInUse(InputError):
    """Another process holds the run's folder."""


class FolderTaken(InputError):
    """The run's folder holds a run already and --resume was not given."""


class BrokenCheckpoint(InputError):
    """No whole checkpoint is left to go on from."""


class MissingProgram(InputError):
    """A program or a device that was asked for is not on this machine."""


class BrokenContract(VeldtError):
    """An agent, an environment or a searcher fails the conformance suite of its kind."""


class RunFailed(VeldtError):
    """It was started and came to grief."""


class EnvironmentFault(RunFailed):
    """An environment returned NaN or broke its contract."""


class CodeError(RunFailed):
    """An actor's code raised what nobody foresaw; another actor's would too.

    Args:
        reason: "KeyError: 'x'".
        traceback: Of it.
    """

    def __init__(self, reason: str, traceback: str) -> None:
        super().__init__(reason, traceback)
        self.reason, self.traceback = reason, traceback

    def __str__(self) -> str:
        return f"an actor's code raised an error, which is not tried again:\n{self.traceback}"


class ActorsLost(RunFailed):
    """Actors die as fast as they are started."""


class ActorDied(RunFailed):
    """An actor died in lockstep: the run goes back to its last checkpoint."""


class LearnerDied(RunFailed):
    """One of several learners died: the run goes back to its last checkpoint."""


class Diverged(RunFailed):
    """The loss or its gradient is no longer finite."""


class WireError(RunFailed):
    """A message does not keep to the schema."""


class RankLost(RunFailed):
    """Another rank died; `Ranks.regroup` brings the survivors together."""


class Interrupted(RunFailed):
    """Ctrl-C or SIGTERM; the message says how to go on."""


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """The sentence for a name that nobody has, with the nearest that somebody has."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return f"{kind}: no {name!r}.{hint} Known: {', '.join(names)}."
