"""A study as Optuna would have it: its log, written into an Optuna storage in memory.

One way only: the log is the study, and whatever is done to the storage is gone at the next
writing. A trial that is done is COMPLETE, a condemned one is FAIL, and one that is paused or
under way is RUNNING; what it scored and reported on the way are its intermediate values, at
their frames.
"""

import datetime
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from veldt.search.journal import Event
from veldt.search.optuna_points import parameters, quiet
from veldt.search.space.space import Space
from veldt.search.view import Trial, View


def mirror(
    name: str, space: Space, view: View, events: Sequence[Event], stages: Mapping[int, str]
) -> Any:
    """An `optuna.storages.InMemoryStorage` with one study.

    Args:
        name: Of the study.
        space: That is searched.
        view: Of the study.
        events: Its log, for the times.
        stages: trial -> what the stage is called that asked for it.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(storage=storage, study_name=name, direction="maximize")
    with quiet():
        study.set_metric_names(["score"])
    study.set_user_attr("mirror", "of a study of veldt's; what is changed here is not kept")
    begun, ended = _times(view, events)
    for number, trial in view.trials.items():
        with quiet():
            frozen = _frozen(trial, space, begun.get(number), ended.get(number))
            frozen.user_attrs = _attributes(trial, stages[number])
            study.add_trial(frozen)
    return storage


def _frozen(
    trial: Trial,
    space: Space,
    begun: datetime.datetime | None,
    ended: datetime.datetime | None,
) -> Any:
    from optuna.trial import FrozenTrial, TrialState

    states = {"new": TrialState.WAITING, "done": TrialState.COMPLETE, "condemned": TrialState.FAIL}
    state = states.get(trial.state, TrialState.RUNNING)
    over = trial.state in ("done", "condemned")
    values, distributions = parameters(space.tree, trial.point, labels=True)
    return FrozenTrial(
        number=trial.number,
        trial_id=trial.number,
        state=state,
        value=trial.score if trial.state == "done" else None,
        # One that was condemned before it was begun has no time of its own.
        datetime_start=begun or (ended if over else None),
        datetime_complete=ended if over else None,
        params=values,
        distributions=distributions,
        user_attrs={},
        system_attrs={},
        intermediate_values=dict(trial.reports) | dict(trial.scores),
    )


def _attributes(trial: Trial, stage: str) -> dict[str, Any]:
    """What Optuna has no place of its own for."""
    found: dict[str, Any] = {"stage": stage, "state": trial.state, "frames": trial.frames}
    if trial.parent is not None:
        found |= {"parent": trial.parent[0], "parent_frames": trial.parent[1]}
        found["member"] = trial.member
    return found | ({"reason": trial.reason} if trial.reason else {})


def _times(
    view: View, events: Iterable[Event]
) -> tuple[dict[int, datetime.datetime], dict[int, datetime.datetime]]:
    """When each trial was begun, and when it last came to a result."""
    begun: dict[int, datetime.datetime] = {}
    ended: dict[int, datetime.datetime] = {}
    for event in events:
        if event.kind in ("start", "result"):
            segment = view.segments[event.body["segment"]]
            if segment.purpose == "tune":
                when = datetime.datetime.fromtimestamp(event.time)
                if event.kind == "start":
                    begun.setdefault(segment.trial, when)
                else:
                    ended[segment.trial] = when
    return begun, ended
