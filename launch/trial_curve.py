"""How a trial went: a training's records, or what a command reported."""

from pathlib import Path

from veldt.launch.run_report import curve, thinned
from veldt.platform.records import read
from veldt.search.works import said
from veldt.search.works.command_run import SAID


def trial_curve(folder: Path, limit: int) -> tuple[list[int], list[float]]:
    """(frames, value), nothing if there is none yet.

    Args:
        folder: The trial's.
        limit: Points at most.
    """
    if (folder / SAID).exists():
        return thinned(said.curve(folder / SAID), limit)
    return curve(read(folder), limit)
