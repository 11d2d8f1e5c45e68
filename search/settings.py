"""What a search is made of, as settings; a recipe is these in TOML."""

import functools
import math
from typing import Any

import pydantic

from veldt.agents.settings import TrainSettings
from veldt.platform import plugins
from veldt.platform.errors import SettingsError
from veldt.platform.keys import Key
from veldt.platform.settings import Path, Settings, dotted, merge
from veldt.search.asked import asked
from veldt.search.catalogue import searcher
from veldt.search.keep_settings import KeepSettings
from veldt.search.policy import STOPPED, preset, race, tuning
from veldt.search.schedulers.catalogue import SCHEDULERS
from veldt.search.schedulers.scheduler import Plan
from veldt.search.schedulers.whole import WholeSettings
from veldt.search.scoring import MEASURES, ScoringSettings, demand_scores
from veldt.search.space.space import Point, Space
from veldt.search.works.command import Command, CommandSettings
from veldt.search.works.training import Training
from veldt.search.works.work import Work

RULE_DEPTH = 8


class TrialSettings(Settings):
    """How a trial is looked after."""

    retries: int = pydantic.Field(2, ge=0, le=100)
    """How often a trial whose process died is tried again, from its checkpoint."""
    timeout_s: float = pydantic.Field(86_400.0, gt=0.0)
    """A trial that takes longer has failed."""
    silence_s: float = pydantic.Field(300.0, gt=0.0)
    """A trial that makes no update for so long hangs; it is killed and tried again."""


class HeldoutSettings(Settings):
    """The winner's choice, its training on a fresh seed, and its evaluation on fresh episodes.

    The highest score of many noisy ones is mostly luck. So the best few trials are trained
    again on validation seeds, and the highest mean there wins; only the winner's last
    training, on a seed that nothing was chosen by, is called the result.
    """

    settings: dict[str, Any] = {}
    """Put over the finalists' and the winner's settings, e.g. a longer training."""
    evaluation: ScoringSettings = ScoringSettings()
    """Of the winner, and of each validation; counted as a trial's"""
    finalists: int = pydantic.Field(1, ge=1, le=1000)
    """The best so many trials are validated; 1 takes the highest score at its word. Where nothing
    is said it is a race of the best two or three for 15 % of what the search costs: `policy.py`"""
    validations: int = pydantic.Field(2, ge=1, le=1000)
    """Trainings of each finalist at most, if there are several finalists. After three rounds
    those drop out whose mean is clearly worse than the leader's."""
    tests: int = pydantic.Field(1, ge=1, le=1000)
    """Trainings of the winner"""


class SearchSettings(Settings):
    """One study."""

    train: dict[str, Any] | None = None
    """What every trial trains, as in a training's recipe"""
    command: CommandSettings | None = None
    """Or a program of one's own, which every trial runs"""
    space: dict[str, Any] = pydantic.Field(min_length=1)
    """path of a setting -> the values it may take: see `search/space`"""
    shared: dict[str, Any] = {}
    """Parts of the space that are decided once, by name"""
    rules: dict[str, Any] = {}
    """Of a grammar, by name"""
    rule_depth: int = pydantic.Field(RULE_DEPTH, ge=1, le=100)
    """Rules within rules, at most"""
    budget: float | None = pydantic.Field(None, ge=1.0, le=1e6)
    """Whole trials that tuning and validating may cost; see `policy.py` for a search that says
    nothing else. What is under way when it is spent comes to its stretch's end."""
    stages: tuple[pydantic.SerializeAsAny[Settings], ...] = pydantic.Field(min_length=1)
    """Searchers, one after another, each beginning at the best point so far"""
    scheduler: pydantic.SerializeAsAny[Settings] = WholeSettings()
    """Which trial gets the next stretch of training, and how long: see `veldt list schedulers`"""
    evaluation: ScoringSettings = ScoringSettings(episodes=20)
    """What makes a trial's score"""
    trial: TrialSettings = TrialSettings()
    heldout: HeldoutSettings = HeldoutSettings()
    keep: KeepSettings = KeepSettings()
    """Which checkpoints stay on the disk"""
    seed: int = pydantic.Field(0, ge=0, lt=2**63)

    @classmethod
    def prepare(cls, data: dict[str, Any], at: Path) -> dict[str, Any]:
        if "stages" not in data and isinstance(data.get("budget"), int | float):
            data = preset(data["budget"], data.get("heldout", {})) | {
                name: value for name, value in data.items() if name != "heldout"
            }
        stages = data.get("stages")
        if stages is None:
            raise SettingsError(
                f"{dotted((*at, 'stages'))}: name searchers, or say what the search may cost "
                "in whole trials (budget = 12), and the rest is chosen."
            )
        if isinstance(stages, list | tuple):
            data["stages"] = tuple(
                _stage(stage, (*at, "stages", i)) for i, stage in enumerate(stages)
            )
        evaluation, held = data.get("evaluation", {}), data.get("heldout", {})
        if isinstance(evaluation, dict) and "score" in evaluation and isinstance(held, dict):
            # Proved in the unit it was tuned in.
            shared = {"evaluation": {"score": evaluation["score"]}}
            data["heldout"] = merge(shared, held)
        scheduler = data.get("scheduler")
        if isinstance(scheduler, str | dict):
            table = {"name": scheduler} if isinstance(scheduler, str) else scheduler
            if "name" not in table:
                raise SettingsError(f"{dotted((*at, 'scheduler', 'name'))}: it is required.")
            build = plugins.load("schedulers", str(table["name"]), SCHEDULERS, "Settings.parse")
            data["scheduler"] = build.Settings.parse(table, (*at, "scheduler"))
        return _raced(data)

    @pydantic.model_validator(mode="after")
    def _works(self) -> "SearchSettings":
        if (self.train is None) == (self.command is None):
            raise ValueError(
                "a search has [train], what its trials train, or [command], a program of your "
                f"own that they run; this one has {'neither' if self.train is None else 'both'}"
            )
        if self.tuning_frames <= 0:
            raise ValueError(
                f"budget: {self.heldout.finalists} finalists validated "
                f"{self.heldout.validations} times leave nothing of {self.budget:g} trials"
            )
        # What a trial would refuse after minutes is refused now, and what the scheduler would.
        self.work.check(self.heldout.settings, self.build_scheduler().forks)
        self.build_scheduler()(self.scheduler, self.plan(Key(self.seed)))
        if self.train is not None:
            demand_scores(self.evaluation, self.settings_of(self.searched.corners()[0], 0))
            if self.heldout.evaluation.score != self.evaluation.score:
                raise ValueError("heldout.evaluation.score must be what evaluation.score is")
        if self.keep.gigabytes is not None:
            self._demand_keepers()
        if self.command is not None:
            for place, one in (("", self), ("heldout.", self.heldout)):
                if one.evaluation != type(one).model_fields["evaluation"].default:
                    raise ValueError(f"{place}evaluation: a command scores itself")
        return self

    def _demand_keepers(self) -> None:
        """Raises `ValueError` where nobody could keep to a number of gigabytes."""
        if self.build_scheduler().forks:
            raise ValueError(
                "keep.gigabytes: members of a population begin with each other's checkpoints, and "
                "all that can no longer be of use go at once; there are no others to choose from"
            )
        if self.command is not None:
            raise ValueError(
                "keep.gigabytes: what a command leaves in its folder is its own to tidy up"
            )

    @property
    def measure(self) -> str:
        """What a trial's score is, in words; a command's is its own affair."""
        return "score" if self.command is not None else MEASURES[self.evaluation.score]

    @property
    def work(self) -> Work:
        """What every trial does."""
        if self.command is not None:
            return Command(self.command, self.searched)
        return Training(self.train or {}, self.searched)

    @property
    def tuning_frames(self) -> float:
        """That tuning may take."""
        if self.budget is None:
            return math.inf
        held = self.heldout
        return self.frames * tuning(self.budget, held.finalists, held.validations)

    @property
    def frames(self) -> int:
        """Of a whole trial."""
        return self.work.frames

    def plan(self, key: Key) -> Plan:
        """What the scheduler knows; the key is of what it draws."""
        count = functools.partial(asked, self.stages, self.searched)
        return Plan(self.frames, self.searched, key, count, self.budget is not None)

    def build_scheduler(self) -> Any:
        """The class that makes the scheduler."""
        name = str(self.scheduler.name)  # type: ignore[attr-defined]
        return plugins.load("schedulers", name, SCHEDULERS)

    @functools.cached_property
    def searched(self) -> Space:
        return Space(self.space, self.shared, self.rules, self.rule_depth)

    def settings_of(
        self, point: Point | None, seed: int, over: dict[str, Any] | None = None
    ) -> TrainSettings:
        """The training that a point stands for; None: what all trials have in common."""
        return Training(self.train or {}, self.searched).settings_of(point, seed, over)


def _raced(data: dict[str, Any]) -> dict[str, Any]:
    """With the race of a search that does not say how its winner is chosen.

    Where trials go on from others' checkpoints there is none: a winner's schedule of settings is
    played again by `veldt study replay`.
    """
    held, scheduler = data.get("heldout", {}), data.get("scheduler", WholeSettings())
    if not isinstance(held, dict) or "finalists" in held:
        return data
    try:
        space = Space(
            data.get("space", {}),
            data.get("shared", {}),
            data.get("rules", {}),
            data.get("rule_depth", RULE_DEPTH),
        )
        build = plugins.load("schedulers", str(scheduler.name), SCHEDULERS)
        trials = data.get("budget") or asked(data["stages"], space)
    except (SettingsError, AttributeError, TypeError, ValueError):
        return data  # which says what is wrong as it is parsed
    if trials is None or build.forks:
        return data
    stops = "budget" not in data and not isinstance(scheduler, WholeSettings)
    return data | {"heldout": race(trials / STOPPED if stops else trials) | held}


def _stage(stage: Any, at: Path) -> Any:
    if not isinstance(stage, dict):
        return stage
    if "method" not in stage:
        raise SettingsError(f"{'.'.join(map(str, at))}.method: this setting is required.")
    return searcher(str(stage["method"])).Settings.parse(stage, at)
