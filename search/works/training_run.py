"""A stretch of a training of ours, and its evaluation."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from veldt.agents.evaluate import load_run
from veldt.agents.evaluate import score as played
from veldt.agents.settings import TrainSettings, chosen_before
from veldt.agents.train import train
from veldt.platform import checkpoints
from veldt.platform.errors import Interrupted
from veldt.platform.keys import Key
from veldt.platform.runs import Heartbeat, read_settings
from veldt.search.scoring import ScoringSettings, scored
from veldt.search.trial import PAUSE, Job, Outcome, Reports
from veldt.search.works.kept import keep, kept


def run(job: Job, stop: Callable[[], bool]) -> Outcome:
    """Trains, from the last checkpoint if there is one, and evaluates."""
    folder = Path(job.folder)
    data = job.settings
    if (folder / "settings.json").exists():
        data = chosen_before(data, read_settings(folder), whole=True)
    settings = TrainSettings.parse(data)
    beat = Heartbeat(folder)
    pause = folder / PAUSE
    reports = Reports(folder, settings.frames) if job.listen else None

    def report(record: dict[str, Any]) -> None:
        if reports is not None:
            reports(record["frames"], record.get("mean_return"))

    try:
        summary = train(
            settings,
            folder,
            resume=True,
            until=job.until,
            begin=None if job.parent is None else kept(Path(job.parent[0]), job.parent[1]),
            stop=lambda: stop() or pause.exists(),
            beat=beat,
            report=report,
            tensorboard=False,
        )
    except Interrupted:
        loaded = checkpoints.load(folder)
        if stop() or not pause.exists() or loaded is None:
            raise
        summary = {name: loaded[2][name] for name in ("updates", "steps", "frames")}
    agent, _, update = load_run(folder)
    protocol = ScoringSettings.parse(job.evaluation)
    key = Key(job.evaluation_seed).child("evaluation")
    evaluation = scored(played(agent, settings, protocol, key, beat), settings, protocol)
    if job.keep:
        keep(folder, folder / "checkpoints" / f"{update:09d}", update)
    score, frames = evaluation["mean_return"], summary["frames"]
    if not math.isfinite(score):
        reason = "the evaluation's mean return is not finite"
        return Outcome(job.segment, None, reason, frames=frames, diverged=True)
    return Outcome(job.segment, score, frames=frames, summary=summary, evaluation=evaluation)
