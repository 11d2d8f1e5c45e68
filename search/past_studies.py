"""Past studies, read from their logs: which of their points fit, and how good they were there.

settled(settings, folder)   a study's settings with what its portfolios read written into them
"""

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from veldt.platform.errors import InputError
from veldt.platform.runs import read_settings
from veldt.search import study_log
from veldt.search.portfolio import PortfolioSettings, greedy, ranked, regrets
from veldt.search.settings import SearchSettings
from veldt.search.space import identity
from veldt.search.space.space import Point, Space
from veldt.search.vectors import Vector
from veldt.search.view import Trial, View

log = logging.getLogger("veldt")


def settled(settings: SearchSettings, folder: Path) -> SearchSettings:
    """The settings with every portfolio's points chosen.

    Args:
        settings: Of a study.
        folder: The study's. If it has begun, its points are those that were chosen then.

    Raises:
        InputError: if a past study cannot be read, or none of its points fit.
    """
    begun = _begun(folder)
    stages = []
    for index, stage in enumerate(settings.stages):
        if isinstance(stage, PortfolioSettings):
            points = stage.points or begun.get(index) or chosen(stage, settings.searched)
            for number, point in enumerate(points):
                if reason := _misfit(settings.searched, point):
                    raise InputError(f"stages.{index}.points.{number}: {reason}")
            stage = stage.model_copy(update={"points": tuple(points)})
        stages.append(stage)
    return settings.model_copy(update={"stages": tuple(stages)})


def _begun(folder: Path) -> dict[int, list[Point]]:
    """The points that a study's portfolios began with, by stage; nothing if it has not."""
    if not (folder / "settings.json").exists():
        return {}
    stages = read_settings(folder).get("stages")
    if not isinstance(stages, list):
        return {}
    return {index: stage.get("points") for index, stage in enumerate(stages)}


def chosen(settings: PortfolioSettings, space: Space) -> list[Point]:
    """The points of past studies that a portfolio begins with.

    Raises:
        InputError: if there are none.
    """
    points: dict[str, Point] = {}
    tried: list[tuple[Vector, Vector]] = []
    reasons: list[str] = []
    for study in settings.studies:
        trials, regret = _trials(Path(study))
        misfits = [_misfit(space, trial.point) for trial in trials]
        reasons += [f"{study}: {reason}" for reason in misfits if reason]
        if any(misfits):
            log.warning(
                "%s: %d of %d trials are no points of this space and left out; the first: %s",
                *(study, len([m for m in misfits if m]), len(trials), next(filter(None, misfits))),
            )
        here = [i for i, misfit in enumerate(misfits) if not misfit]
        if here:
            tried.append((_places(space, [trials[i].point for i in here]), regret[here]))
        for trial in (trials[i] for i in here if trials[i].scores):
            points.setdefault(identity.key(space.tree_of(trial.point)), trial.point)
    found = list(points.values())
    if not found:
        raise InputError(
            f"no trial of the past studies is a point of this space: {reasons[0]} "
            "A portfolio needs studies of the same settings, within the bounds of this one."
        )
    order = greedy(regrets(_places(space, found), tried), settings.wanted)
    return [found[i] for i in order]


def _trials(study: Path) -> tuple[list[Trial], Vector]:
    """The trials of a study, best first, those that failed last; and their regrets."""
    if not study_log.exists(study):
        raise InputError(
            f"{study / study_log.FILE}: no such file; is {study} the folder of a search?"
        )
    events = study_log.read(study)
    try:
        trials = View(0, events).trials.values()
    except (KeyError, TypeError) as error:
        raise InputError(f"{study}: a log of another version ({error!r}).") from error
    # What began with another's checkpoint owes its score to more than its own point.
    own = [trial for trial in trials if trial.parent is None]
    if not any(trial.scores for trial in own):
        raise InputError(f"{study}: none of its trials has a score; let it go on first.")

    def worth(trial: Trial) -> tuple[int, float]:
        return (trial.frames, trial.score or 0.0) if trial.scores else (-1, 0.0)

    known = [trial for trial in own if trial.scores or trial.state == "condemned"]
    known.sort(key=lambda trial: (*(-x for x in worth(trial)), trial.number))
    return known, ranked([worth(trial) for trial in known])


def _misfit(space: Space, point: Point) -> str:
    """Why it is no point of a space; nothing if it is one."""
    try:
        space.tree_of(point)
    except InputError as error:
        return str(error)
    return ""


def _places(space: Space, points: Iterable[Point]) -> Vector:
    """Where points lie, [P, n]; of a grammar, as models see them."""
    if space.grammar:
        return np.stack([identity.features(space.tree_of(point)) for point in points])
    return np.stack([space.encode(point) for point in points])
