"""Atari 2600 games played by a flat parameter vector, as evolution strategies were shown on.

Salimans et al. 2017, arXiv:1703.03864, section 4.2: the network of agents/es_atari_network,
deterministic, the fitness is the game's own score. The games of a member are played side by
side, in one batch of fixed size: its bits depend on nothing but its key and parameters.

Legend: E games of a member, S frames in an observation.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from veldt.agents.es_atari_network import ESAtariNetwork, Images
from veldt.platform.envs import catalogue
from veldt.platform.envs.vector import VectorEnvironment
from veldt.platform.errors import SettingsError
from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.problems.problem import NO_WORDS, Members, Score, Scores, Tick
from veldt.search.vectors import State, Vector

SPACING = 4  # steps from one reference observation to the next


class AtariSettings(Settings):
    """Which game, and for how long."""

    kind: Literal["atari"] = "atari"
    game: str
    """as in `veldt list environments`, without "atari/": e.g. freeway"""
    options: dict[str, Any] = {}
    """go to the environment: sticky, frame_skip, noop_max, full_action_space ..."""
    episodes: int = pydantic.Field(1, ge=1, le=1024)
    """E; a member's fitness is the mean of their scores"""
    cap: int = pydantic.Field(5_000, ge=1)
    """steps after which a training episode is cut"""
    test_cap: int = pydantic.Field(27_000, ge=1)
    """steps after which a test episode is cut: 30 minutes of 60 frames a second, 4 a step"""
    reference: int = pydantic.Field(128, ge=2, le=65_536)
    """observations of a random policy that virtual batch normalisation takes as its batch"""
    normalise: bool = True
    """virtual batch normalisation; without it, most networks always choose one action"""
    last: float = pydantic.Field(0.01, gt=0.0)
    """norm of the last layer's columns at the start; 1 in all other layers"""


class AtariProblem:
    """The problem.

    Raises:
        UnknownName: if there is no such game.
        SettingsError: if an option does not fit it.
    """

    Settings = AtariSettings
    block, test_block, unrolls, statistics_size, carry_size = 1, 1, 1, 0, 0
    product, words = "policy", NO_WORDS

    def __init__(self, settings: AtariSettings, key: Key) -> None:
        self._settings = settings
        self.episodes = settings.episodes
        self.environment_seconds = 0.0
        self._vectors: dict[int, VectorEnvironment] = {}
        vector = self._vector(settings.episodes)
        if vector.spec.observations.shape[1:] != (84, 84):
            raise SettingsError(f"problem.game: {settings.game} does not show 84 x 84 images.")
        reference = self._random_observations(key.child("reference"))
        self._network = ESAtariNetwork(
            vector.spec.actions.count, reference, settings.normalise, settings.last
        )
        self._loaded: Vector | None = None
        self.start = self._network.start(key.child("start"))

    def _vector(self, size: int) -> VectorEnvironment:
        """`size` games side by side, made when first needed."""
        if size not in self._vectors:
            settings = self._settings
            options = {"life_loss": False, **settings.options}
            self._vectors[size] = catalogue.make(f"atari/{settings.game}", size, options)
        return self._vectors[size]

    def _random_observations(self, key: Key) -> Images:
        """The reference batch [R, S, 84, 84], of the first game alone."""
        vector, count = self._vector(self.episodes), self._settings.reference
        actions = key.child("actions").generator()
        vector.reset(key)
        kept = np.empty((count, *vector.spec.observations.shape), np.uint8)
        for index in range(count):
            for _ in range(SPACING):
                action = actions.integers(vector.spec.actions.count, size=vector.size)
                kept[index] = vector.step(action).observation[0]
        return kept

    def evaluate(self, members: Members, tick: Tick) -> Sequence[Score]:
        return [
            self._score(
                members.candidate(number),
                members.key(number),
                self.episodes,
                self._settings.cap,
                tick,
            )
            for number in members.numbers
        ]

    def test(self, candidate: Vector, keys: Sequence[Key], tick: Tick) -> Sequence[Score]:
        cap = self._settings.test_cap
        return [self._score(candidate, key, 1, cap, tick) for key in keys]

    def _score(self, candidate: Vector, key: Key, games: int, cap: int, tick: Tick) -> Score:
        """The mean score of some games, each cut at `cap` steps."""
        if not self._load(candidate, tick):
            return Score(math.nan)
        vector = self._vector(games)
        observation = vector.reset(key)
        total, playing, steps = np.zeros(games), np.ones(games, np.bool_), 0
        for _ in range(cap):
            tick()
            logits = self._network.logits(observation)  # type: ignore[arg-type]
            if not np.isfinite(logits).all():
                return Score(math.nan, steps)
            begun = time.perf_counter()
            step = vector.step(logits.argmax(1))
            self.environment_seconds += time.perf_counter() - begun
            observation = step.observation
            total += np.where(playing, step.reward, 0.0)
            steps += int(playing.sum())
            for episode in step.episodes:
                playing[episode.environment] = False
            if not playing.any():
                break
        return Score(float(total.mean()), steps)

    def _load(self, candidate: Vector, tick: Tick) -> bool:
        """Makes the network's parameters the candidate's; whether it can act."""
        if self._loaded is not None and np.array_equal(self._loaded, candidate):
            return True
        self._loaded = None
        if not (np.isfinite(candidate).all() and self._network.load(candidate, tick)):
            return False
        self._loaded = candidate.copy()
        return True

    def merge(self, scores: Scores) -> None:
        pass

    def policy(self, candidate: Vector) -> State:
        """The weights of an agent with the shallow torso, the normalisation folded in."""
        self._load(candidate, lambda: None)
        return self._network.named()

    def film(self, candidate: Vector, key: Key) -> tuple[Iterator[NDArray[np.uint8]], float]:
        """What the policy sees of a test episode, [336, 336, 3], and how many make a second."""
        self._load(candidate, lambda: None)
        vector = self._vector(1)

        def frames() -> Iterator[NDArray[np.uint8]]:
            observation = vector.reset(key)
            for _ in range(self._settings.test_cap):
                newest = np.asarray(observation[0, -1], np.uint8)
                yield np.repeat(newest.repeat(4, 0).repeat(4, 1)[..., None], 3, 2)
                logits = self._network.logits(observation)  # type: ignore[arg-type]
                step = vector.step(logits.argmax(1))
                if step.episodes:
                    break
                observation = step.observation

        return frames(), 60.0 / vector.spec.frames_per_step

    def state(self) -> State:
        return {}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        pass

    def close(self) -> None:
        for vector in self._vectors.values():
            vector.close()
        self._vectors = {}
