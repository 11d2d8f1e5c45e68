"""What a population search is made of, as settings; a recipe is these in TOML."""

from typing import Any, Literal

import pydantic

from veldt.platform import plugins
from veldt.platform.errors import SettingsError
from veldt.platform.settings import Path, Settings, dotted
from veldt.search.problems.catalogue import PROBLEMS
from veldt.search.strategies.catalogue import STRATEGIES


class ProtocolSettings(Settings):
    """How the centre of a search is evaluated; nothing is learnt from these episodes."""

    episodes: int = pydantic.Field(100, ge=1, le=1_000_000)
    """In one evaluation, each with its own seed, and fresh ones every time"""
    every: int = pydantic.Field(10, ge=1)
    """generations from one evaluation to the next"""
    threshold: float | None = None
    """the mean return whose first crossing is reported"""
    stop_at_threshold: bool = False
    """end the search there, the budget spent or not"""

    @pydantic.model_validator(mode="after")
    def _stops_somewhere(self) -> "ProtocolSettings":
        if self.stop_at_threshold and self.threshold is None:
            raise ValueError("stop_at_threshold needs a threshold")
        return self


class PopulationSettings(Settings):
    """One population search; it ends when the first of its budgets is spent."""

    strategy: pydantic.SerializeAsAny[Settings]
    """`method` names it; see `veldt list strategies`"""
    problem: pydantic.SerializeAsAny[Settings]
    """`kind` names it; see `veldt list problems`"""
    generations: int | None = pydantic.Field(None, ge=1)
    episodes: int | None = pydantic.Field(None, ge=1)
    """of training; where the problem has no episodes, evaluations"""
    steps: int | None = pydantic.Field(None, ge=1)
    """of training, in the environment"""
    evaluation: ProtocolSettings = ProtocolSettings()
    common_random_numbers: bool = False
    """all members of a generation have the same seeds, and play the same episodes: what
    their scores differ by is then their doing alone"""
    shuffled: bool = False
    """a control: the fitness of a generation is dealt out anew among all of its members, and the
    last centre is taken, not the one that was evaluated best"""
    errors: Literal["stop", "fail"] = "stop"
    """an evaluation that raises ends the search, or counts as a failed one (NaN)"""
    checkpoint_seconds: float = pydantic.Field(1.0, ge=0.0)
    """at most so much work is lost, or one generation if that is longer"""
    seed: int = pydantic.Field(0, ge=0, lt=2**63)

    @classmethod
    def prepare(cls, data: dict[str, Any], at: Path) -> dict[str, Any]:
        for part, word, table in (
            ("strategy", "method", STRATEGIES),
            ("problem", "kind", PROBLEMS),
        ):
            if isinstance(data.get(part), dict):
                data[part] = _named(data[part], (*at, part), word, table)
        return data

    @pydantic.model_validator(mode="after")
    def _ends(self) -> "PopulationSettings":
        if self.generations is None and self.episodes is None and self.steps is None:
            raise ValueError("give a budget: generations, episodes or steps")
        return self


def _named(data: dict[str, Any], at: Path, word: str, table: dict[str, str]) -> Settings:
    """Settings of the class that the table's `word` names."""
    if word not in data:
        raise SettingsError(f"{dotted((*at, word))}: this setting is required.")
    kind = {"method": "strategies", "kind": "problems"}[word]
    named = plugins.load(kind, str(data[word]), table, "Settings.parse")
    settings: Settings = named.Settings.parse(data, at)
    return settings


def build_strategy(settings: Settings) -> Any:
    """The class that a strategy's settings belong to."""
    return plugins.load("strategies", settings.method, STRATEGIES)  # type: ignore[attr-defined]


def build_problem(settings: Settings) -> Any:
    """The class that a problem's settings belong to."""
    return plugins.load("problems", settings.kind, PROBLEMS)  # type: ignore[attr-defined]
