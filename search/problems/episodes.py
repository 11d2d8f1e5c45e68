"""A policy's parameters, scored by the episodes it plays in an environment of Gymnasium's.

The hot loop is a policy's `act`, the environment's `step` and one row of a buffer; all else
happens once an episode. Rewards are added up as the environment gives them; `shift` takes
the bonus for staying alive off the training's rewards, never off a test's.

Legend: n numbers in an observation.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from veldt.platform import plugins
from veldt.platform.envs.rendering import renderer
from veldt.platform.envs.single import Single, make_single
from veldt.platform.errors import EnvironmentFault, SettingsError
from veldt.platform.keys import Key
from veldt.platform.settings import Path, Settings, dotted
from veldt.search.problems.observation_filter import FilterSettings, ObservationFilter
from veldt.search.problems.policies.catalogue import POLICIES
from veldt.search.problems.policies.policy import Policy
from veldt.search.problems.problem import NO_WORDS, Members, Score, Scores, Tick
from veldt.search.vectors import State, Vector

TICK = 50  # steps from one tick to the next
TIMED = 4  # of so many stretches between ticks, the steps of one are timed


class EnvironmentSettings(Settings):
    """Which environment."""

    id: str
    """a Gymnasium id"""
    options: dict[str, Any] = {}
    """go to `gymnasium.make`"""


class CapSettings(Settings):
    """An adaptive limit to an episode's length (Salimans et al. 2017, section 2.1)."""

    start: int = pydantic.Field(ge=1)
    """steps at first"""
    fraction: float = pydantic.Field(0.5, gt=0.0, le=1.0)
    """if so many of a generation's episodes reach the limit ..."""
    ratio: float = pydantic.Field(2.0, gt=1.0)
    """... it is multiplied by this"""


class EpisodesSettings(Settings):
    """How a policy is scored."""

    kind: Literal["episodes"] = "episodes"
    environment: EnvironmentSettings
    policy: pydantic.SerializeAsAny[Settings]
    """`name` names it: linear, mlp, or a plug-in's"""
    filter: FilterSettings = FilterSettings()
    episodes: int = pydantic.Field(1, ge=1, le=10_000)
    """of a member; its fitness is the mean of their returns"""
    horizon: int | None = pydantic.Field(None, ge=1)
    """steps after which a training episode is cut, if the environment does not cut it before"""
    cap: CapSettings | None = None
    """a limit below the horizon that grows as needed"""
    shift: float = 0.0
    """taken off every reward in training: the survival bonus"""
    action_noise: float = pydantic.Field(0.0, ge=0.0)
    """deviation of normal noise on continuous actions, in training"""
    clip_actions: bool = False
    """cut continuous actions to the environment's bounds; most environments do it themselves"""
    bins: int | None = pydantic.Field(None, ge=2, le=1000)
    """each number of a continuous action is chosen from so many values between its bounds"""

    @classmethod
    def prepare(cls, data: dict[str, Any], at: Path) -> dict[str, Any]:
        policy = data.get("policy")
        if isinstance(policy, dict):
            if "name" not in policy:
                raise SettingsError(
                    f"{dotted((*at, 'policy', 'name'))}: this setting is required."
                )
            kind = plugins.load("policies", str(policy["name"]), POLICIES, "Settings.parse")
            data["policy"] = kind.Settings.parse(policy, (*at, "policy"))
        return data


@dataclasses.dataclass(frozen=True)
class _Episode:
    """What was seen of one episode."""

    total: float
    steps: int
    cut: bool
    """by the limit"""
    observations: NDArray[np.float64]  # [steps, n]


class Episodes:
    """The problem.

    Raises:
        UnsupportedSpace: if the policy cannot act in this environment.
        SettingsError: if an option does not fit it.
    """

    Settings = EpisodesSettings
    block, test_block = 1, 1
    product, words = "policy", NO_WORDS
    unrolls = 1
    carry_size = 0

    def __init__(self, settings: EpisodesSettings, key: Key) -> None:
        self._settings = settings
        self.episodes = settings.episodes
        self._single = self._make()
        spec = self._single.spec
        self._discrete = spec.actions == "discrete"
        self._choices = self._bins()
        wanted = dataclasses.replace(
            spec, action_size=spec.action_size * (1 if settings.bins is None else settings.bins)
        )
        build = plugins.load("policies", settings.policy.name, POLICIES)  # type: ignore[attr-defined]
        self._policy: Policy = build(settings.policy, wanted, settings.filter.clip)
        self._filter = ObservationFilter(settings.filter, spec.observation_size)
        self.start = self._policy.start(key.child("start"))
        limits = [steps for steps in (settings.horizon, spec.max_steps) if steps is not None]
        if not limits:
            raise SettingsError(f"problem.horizon: {spec.id} has no time limit of its own.")
        limit = min(limits)
        self._horizon = limit
        self._test_limit = spec.max_steps or limit
        self._cap = min(limit, settings.cap.start) if settings.cap else limit
        self.statistics_size = 1 + self._filter.statistics_size  # first: episodes that were cut
        self.environment_seconds = 0.0
        self._room = np.ones((0, spec.observation_size + 1))
        self._lengthen()

    def _make(self) -> Single:
        environment = self._settings.environment
        return make_single(environment.id, environment.options)

    def _bins(self) -> NDArray[np.float64] | None:
        """The values [m, bins] that actions are chosen from."""
        spec, bins = self._single.spec, self._settings.bins
        uses = bins is not None or self._settings.action_noise > 0 or self._settings.clip_actions
        if uses and spec.actions != "continuous":
            raise SettingsError(
                f"problem: bins, action_noise and clip_actions are for continuous actions; "
                f"{spec.id} has {spec.action_size} discrete ones."
            )
        if bins is None:
            return None
        if not np.isfinite([spec.low, spec.high]).all():
            raise SettingsError(f"problem.bins: the actions of {spec.id} have no bounds.")
        return np.linspace(spec.low, spec.high, bins, axis=1)

    def evaluate(self, members: Members, tick: Tick) -> Sequence[Score]:
        return [
            self._score(members.candidate(number), members.key(number), tick)
            for number in members.numbers
        ]

    def _score(self, candidate: Vector, key: Key, tick: Tick) -> Score:
        settings = self._settings
        if not np.isfinite(candidate).all():
            return Score(math.nan)
        self._policy.load(candidate, self._filter.mean, self._filter.scale)
        fitness, steps, statistics = 0.0, 0, np.zeros(self.statistics_size, np.int64)
        for index in range(settings.episodes):
            child = key.child("episode", index)
            episode = self._play(child, self._cap, settings.action_noise, tick)
            steps += episode.steps
            fitness += episode.total - settings.shift * episode.steps
            # A sum is finite if all of it is; what is not so on its way has failed as well.
            if not math.isfinite(fitness + episode.observations.sum()):
                return Score(math.nan, steps)
            statistics[0] += episode.cut and episode.steps == self._cap
            if self._counts(child):
                statistics[1:] += self._filter.statistics(episode.observations)
        return Score(fitness / settings.episodes, steps, statistics)

    def _counts(self, key: Key) -> bool:
        """Whether an episode's observations go into the filter."""
        sampling = self._settings.filter.sampling
        return sampling == 1.0 or key.child("sampled").generator().random() < sampling

    def test(self, candidate: Vector, keys: Sequence[Key], tick: Tick) -> Sequence[Score]:
        if not np.isfinite(candidate).all():
            return [Score(math.nan)] * len(keys)
        self._policy.load(candidate, self._filter.mean, self._filter.scale)
        played = [self._play(key, self._test_limit, 0.0, tick) for key in keys]
        return [Score(episode.total, episode.steps) for episode in played]

    def _play(self, key: Key, limit: int, noise: float, tick: Tick) -> _Episode:
        """An episode with the policy that is loaded."""
        return self._steps(key.integer(), limit, self._action(noise, key), tick)

    def _steps(
        self, seed: int, limit: int, action: Callable[[Vector], Any], tick: Tick
    ) -> _Episode:
        begun = time.perf_counter()
        try:
            self._single.reset(seed, self._rows[0])
        except Exception as error:
            raise self._fault(seed, error) from error
        resetting = time.perf_counter() - begun
        self._timed_seconds, self._timed_steps = 0.0, 0
        total, terminated, steps = 0.0, False, 0
        while steps < limit and not terminated:
            tick()
            until = min(limit, steps + TICK)
            if until >= len(self._rows):
                self._lengthen()
            rows = self._rows if self._policy.act_with_1 is None else self._rows_with_1
            # Looking at the clock twice a step would cost as much as a third of the policy.
            step = self._timed if steps % (TIMED * TICK) == 0 else self._single.step
            for observation, following in zip(
                rows[steps:until], self._rows[steps + 1 : until + 1], strict=True
            ):
                chosen = action(observation)
                try:
                    reward, terminated = step(chosen, following)
                except Exception as error:
                    raise self._fault(seed, error) from error
                total += reward
                steps += 1
                if terminated:
                    break
        stepping = self._timed_seconds / self._timed_steps * steps
        self.environment_seconds += resetting + stepping
        return _Episode(total, steps, not terminated, self._room[:steps, :-1])

    def _timed(self, action: Any, seen: Vector) -> tuple[float, bool]:
        """A step of the environment, and the time it takes."""
        begun = time.perf_counter()
        found = self._single.step(action, seen)
        self._timed_seconds += time.perf_counter() - begun
        self._timed_steps += 1
        return found

    def _lengthen(self) -> None:
        """Doubles the room for observations, each with a 1 behind it; those there stay.

        The rows are views: an index into the array costs more.
        """
        more = np.ones((max(1024, len(self._room)), self._room.shape[1]))
        self._room = np.concatenate([self._room, more])
        self._rows, self._rows_with_1 = list(self._room[:, :-1]), list(self._room)

    def _fault(self, seed: int, error: Exception) -> EnvironmentFault:
        return EnvironmentFault(f"{self._single.spec.id}, seed {seed}: {error!r}")

    def _action(self, noise: float, key: Key) -> Callable[[Vector], Any]:
        """Observation, with a 1 behind it if the policy likes -> what the environment takes."""
        act = self._policy.act_with_1 or self._policy.act
        spec, choices = self._single.spec, self._choices
        if self._discrete:
            return lambda observation: int(act(observation).argmax())
        if not (noise or choices is not None or self._settings.clip_actions):
            return act
        generator, clip = key.child("actions").generator(), self._settings.clip_actions
        rows = np.arange(spec.action_size)

        def refined(observation: Vector) -> Vector:
            action = act(observation)
            if choices is not None:
                action = choices[rows, action.reshape(choices.shape).argmax(1)]
            if noise:
                action = action + noise * generator.standard_normal(len(action))
            return action.clip(spec.low, spec.high) if clip else action

        return refined

    def merge(self, scores: Scores) -> None:
        self._filter.merge(scores.statistics[1:])
        cap = self._settings.cap
        played = len(scores.fitness) * self._settings.episodes
        if cap is not None and scores.statistics[0] >= cap.fraction * played:
            self._cap = min(self._horizon, math.ceil(self._cap * cap.ratio))

    def policy(self, candidate: Vector) -> State:
        found = dict(self._policy.named(candidate))
        filtered = self._settings.filter
        if filtered.enabled:
            found |= {"filter.mean": self._filter.mean, "filter.scale": self._filter.scale}
            found |= {} if filtered.clip is None else {"filter.clip": np.array(filtered.clip)}
        return found

    def film(self, candidate: Vector, key: Key) -> tuple[Iterator[NDArray[np.uint8]], float]:
        """The frames of a test episode, [height, width, 3], and how many make a second."""
        environment = self._settings.environment
        seen = renderer(environment.id, environment.options)
        self._policy.load(candidate, self._filter.mean, self._filter.scale)
        action = self._action(0.0, key)

        def frames() -> Iterator[NDArray[np.uint8]]:
            try:
                row = np.ones(seen.spec.observation_size + 1)
                observation = row[:-1]
                taken = observation if self._policy.act_with_1 is None else row
                seen.reset(key.integer(), observation)
                yield seen.render()
                for _ in range(self._test_limit):
                    _, terminated = seen.step(action(taken), observation)
                    yield seen.render()
                    if terminated:
                        break
            finally:
                seen.close()

        return frames(), seen.spec.frames_per_second

    def recorded(self, candidate: Vector, key: Key) -> tuple[int, list[Any]]:
        """The seed and the actions of a training episode, to be played again elsewhere."""
        self._policy.load(candidate, self._filter.mean, self._filter.scale)
        child, actions = key.child("episode", 0), []
        action = self._action(0.0, child)

        def record(observation: Vector) -> Any:
            chosen = action(observation)
            actions.append(chosen if isinstance(chosen, int) else chosen.copy())
            return chosen

        self._steps(child.integer(), self._cap, record, lambda: None)
        return child.integer(), actions

    def state(self) -> State:
        return {"cap": np.array(self._cap), **self._filter.state()}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._filter.restore(state)
        self._cap = int(state["cap"])

    def close(self) -> None:
        self._single.close()
