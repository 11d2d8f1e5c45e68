"""Errors of the code that trials run: nothing that trying again would mend.

What a trial's process raises that nobody foresaw is an error of a program, or of settings that a
program cannot do with: the learner's, or an actor's. It is shown once, and if nothing else came of
the first trials the search stops. What the machine ran out of is none: see `platform/code_errors`.
"""

from veldt.search.view import View

FIRST = 3  # trials that fail in the same way before a search stops


def kind(reason: str, error: str) -> str:
    """What two errors have in common that are the same: the exception and where it was raised,
    whatever values its message names.

    Args:
        reason: "KeyError: 'x'".
        error: The traceback.
    """
    places = [line for line in error.splitlines() if line.startswith('  File "')]
    return "\n".join([reason.partition(":")[0], *places])


def of_all(view: View) -> str | None:
    """The reason, if the first few trials all failed with the same error of the code."""
    ended = [t for t in view.trials.values() if t.scores or t.state == "condemned"]
    if len(ended) < FIRST or any(t.scores or not t.error for t in ended):
        return None
    if len({kind(t.reason, t.error) for t in ended}) > 1:
        return None
    return ended[0].reason
