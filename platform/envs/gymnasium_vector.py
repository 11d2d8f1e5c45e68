"""Any Gymnasium environment as a vector: B of them, stepped one after another.

Legend: B environments of the vector, k the number of an episode, from 0.

Episode k of environment b starts from the seed `key.child("episode", b, k)`, so
that what happens depends on nothing but the key and the actions. The loop is our
own: it copies each observation once, into the array that is returned, and looks
at no `info`.
"""

import dataclasses
import importlib
import logging
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
from numpy.typing import NDArray

from veldt.platform.envs.catalogue import no_environment
from veldt.platform.envs.parts import MOST_WORDS
from veldt.platform.envs.spaces_shown import actions_of, observations_of
from veldt.platform.envs.vector import (
    EnvironmentSpec,
    Episode,
    Step,
    check_actions,
)
from veldt.platform.errors import (
    EnvironmentFault,
    MissingProgram,
    SettingsError,
    UnsupportedSpace,
)
from veldt.platform.keys import Key
from veldt.platform.whereabouts import ENVIRONMENT, EPISODE, Whereabouts

log = logging.getLogger("veldt")
Environment = gymnasium.Env[Any, Any]

NAMESPACES = {"ALE": "ale_py", "veldt": "veldt.platform.envs.diagnostics"}  # by what registers it
LARGEST_REWARD = float(np.finfo(np.float32).max)


class GymnasiumVector:
    """B environments of one Gymnasium id.

    Observations: a Box stays what it is, in uint8 or float32, also where it is all that a
    Dict or Tuple holds; uint8 images [H, W, C] of 1, 3 or 4 channels become [C, H, W]; what
    holds texts, or images among other things, is packed into a row of bytes (`parts`); every
    other space is flattened to float32 as `gymnasium.spaces.flatten` does (one-hot where it
    is discrete).

    Actions: choices are numbered from 0 here, whatever the space's `start`; MultiBinary is
    so many choices of two. A Box takes float32 [d], its numbers in one row, which are clipped
    to its bounds. With any other action space the vector can be made and reset, not stepped.

    An environment that terminates and reaches its time limit in the same step has
    terminated. What a terminated environment showed last is not looked at: it may be
    the very reason why it ended.

    Args:
        name: An id registered with Gymnasium; "module:id" imports the module first; "ALE/..."
            and "veldt/..." are known without an import.
        size: B.
        options: Go to `gymnasium.make`: `max_episode_steps` and what the environment's
            own constructor takes.
        max_words: That are shown of a text among the observations.

    Raises:
        UnknownName: if nobody registered this id.
        SettingsError: if the environment refuses the options.
        MissingProgram: if a library that it needs is not installed.
        UnsupportedSpace: if its observations have no fixed number of numbers.
    """

    def __init__(
        self, name: str, size: int, /, *, max_words: int = MOST_WORDS, **options: Any
    ) -> None:
        if size < 1:
            raise SettingsError(f"{name}: a vector holds at least 1 environment, got size {size}.")
        if type(max_words) is not int or not 1 <= max_words <= 10_000:
            raise SettingsError(
                f"{name}: max_words must be an integer in 1..10,000, got {max_words!r}."
            )
        self.size = size
        self._places: list[_Place] = []
        self._where = Whereabouts(size)
        self._ready = False
        try:
            for b in range(size):
                self._places.append(_Place(name, b, make_gymnasium(name, options), self._where))
            first = self._places[0].environment
            observations, self._write = observations_of(name, first.observation_space, max_words)
        except BaseException:
            self.close()
            raise
        actions, self._translate = actions_of(first.action_space)
        self.spec = EnvironmentSpec(name, observations, actions, _frames_per_step(name, first))
        self.frames_per_second = float(first.metadata.get("render_fps") or 30)
        self._floats = observations.dtype == "float32"
        self._no_rows = np.empty(0, np.int64)
        self._no_observation = self._empty(0)

    def reset(self, key: Key) -> NDArray[np.generic]:
        """Starts episode 0 everywhere; the first observations, [B, ...].

        Raises:
            EnvironmentFault: if the vector is closed, or an environment fails.
        """
        return self.reset_from(key, 0)

    def reset_from(self, key: Key, first: int) -> NDArray[np.generic]:
        return self._begin([(key, b) for b in range(first, first + self.size)])

    def begin(self, keys: Sequence[Key]) -> NDArray[np.generic]:
        """As `reset`, each environment with its own key: a family whose tasks are all one."""
        return self._begin([(key, 0) for key in keys])

    def _begin(self, chances: list[tuple[Key, int]]) -> NDArray[np.generic]:
        """Starts episode 0 everywhere, each as that environment of its key."""
        if not self._places:
            raise EnvironmentFault(f"{self.spec.id}: this vector is closed; make another.")
        observation = self._empty(self.size)
        for b, (key, lane) in enumerate(chances):
            place = self._places[b]
            place.lane = lane
            try:
                self._write(observation[b], place.restart(key, 0))
            except Exception as error:
                raise place.fault(error) from error
        self._check_finite(observation)
        self._ready = True
        return observation

    def step(self, action: NDArray[np.generic]) -> Step:
        """Steps all B, [B] actions; resets those that ended. See `VectorEnvironment`."""
        if self.spec.actions.kind == "other":
            raise UnsupportedSpace(
                f"{self.spec.id}: its actions are {self.spec.actions.description}; only Discrete, "
                "MultiDiscrete, MultiBinary and Box of floats can be stepped."
            )
        if not self._ready:
            raise EnvironmentFault(f"{self.spec.id}: reset this vector before stepping it.")
        check_actions(self.spec, action, self.size)
        observation = self._empty(self.size)
        reward = np.empty(self.size, np.float32)
        terminated = np.zeros(self.size, np.bool_)
        truncated = np.zeros(self.size, np.bool_)
        final: list[NDArray[np.generic]] = []
        episodes: list[Episode] = []
        choices = self._translate(action)
        at, steps = self._where.at, self._where.steps
        for b, (place, choice) in enumerate(zip(self._places, choices, strict=True)):
            try:
                place.steps += 1
                at[ENVIRONMENT], at[EPISODE], steps[b] = b, place.number, place.steps
                seen, gain, terminal, cut, _ = place.environment.step(choice)
                number = float(gain)
                if not -LARGEST_REWARD <= number <= LARGEST_REWARD:
                    raise place.fault(f"its reward is {number}")
                place.total += number
                reward[b] = number
                if terminal or cut:
                    if terminal:
                        terminated[b] = True
                    else:
                        truncated[b] = True
                        final.append(self._last(place, seen))
                    episodes.append(Episode(b, place.total, place.steps))
                    seen = place.restart(place.key, place.number + 1)
                self._write(observation[b], seen)
            except EnvironmentFault:
                raise
            except Exception as error:
                raise place.fault(error) from error
        self._check_finite(observation)
        return Step(
            observation=observation,
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            final_rows=np.flatnonzero(truncated) if final else self._no_rows,
            final_observation=np.stack(final) if final else self._no_observation,
            episodes=tuple(episodes),
        )

    def trace(self, whereabouts: Whereabouts) -> None:
        """From now on it writes there which environment it steps, and how far each is."""
        self._where = whereabouts
        for place in self._places:
            place.where = whereabouts

    def render(self) -> NDArray[np.uint8]:
        """What environment 0 looks like now; if made with render_mode="rgb_array"."""
        frame: NDArray[np.uint8] = np.asarray(self._places[0].environment.render())
        return frame

    def close(self) -> None:
        """Closes all environments; safe to call twice."""
        places, self._places, self._ready = self._places, [], False
        for place in places:
            place.environment.close()

    def _empty(self, rows: int) -> NDArray[np.generic]:
        shape = (rows, *self.spec.observations.shape)
        return np.empty(shape, np.float32 if self._floats else np.uint8)

    def _last(self, place: "_Place", seen: Any) -> NDArray[np.generic]:
        """What a truncated environment showed last, copied before its reset."""
        row: NDArray[np.generic] = self._empty(1)[0]
        self._write(row, seen)
        if self._floats and not np.isfinite(row).all():
            raise place.fault("its final observation is not finite in float32")
        return row

    def _check_finite(self, observation: NDArray[np.generic]) -> None:
        if self._floats:
            finite = np.isfinite(observation.astype(np.float32, copy=False))
            if not finite.all():
                b = int(np.flatnonzero(~finite.reshape(self.size, -1).all(axis=1))[0])
                raise self._places[b].fault("its observation is not finite in float32")


@dataclasses.dataclass(slots=True)
class _Place:
    """One of the B environments, and how far it is."""

    id: str
    index: int
    environment: Environment
    where: Whereabouts
    key: Key = Key(0)
    lane: int = 0  # which of the environments of its key it is
    number: int = 0  # of the episode
    seed: int = 0  # of the episode
    steps: int = 0  # of the episode
    total: float = 0.0  # of the episode's rewards

    def restart(self, key: Key, number: int) -> Any:
        """Starts episode `number`; what it shows first."""
        self.key, self.number, self.steps, self.total = key, number, 0, 0.0
        self.seed = key.child("episode", self.lane, number).integer()
        where, b = self.where, self.index
        where.at[ENVIRONMENT], where.at[EPISODE] = b, number
        where.seeds[b], where.steps[b] = self.seed, 0
        return self.environment.reset(seed=self.seed)[0]

    def fault(self, why: Exception | str) -> EnvironmentFault:
        """What went wrong, with all that is needed to see it again."""
        reason = why if isinstance(why, str) else f"{type(why).__name__}: {why}"
        return EnvironmentFault(
            f"{self.id}: environment {self.index}, episode {self.number} "
            f"(seed {self.seed}), step {self.steps}: {reason}."
        )


def make_gymnasium(name: str, options: Mapping[str, Any]) -> Environment:
    """One environment; whatever prevents it as an error of ours.

    Raises:
        UnknownName, SettingsError, MissingProgram, EnvironmentFault: as `GymnasiumVector`.
    """
    register(name.partition("/")[0])
    try:
        _load(name)
        _hear_mujoco()
        return gymnasium.make(name, **{"disable_env_checker": True, **options})
    except Warning:  # on an old version, where warnings are errors: Gymnasium's words are best
        raise
    except gymnasium.error.DependencyNotInstalled as error:
        mujoco = "mujoco" in str(error).lower()
        hint = "MuJoCo is not installed. Run: pip install 'veldt[mujoco]'" if mujoco else error
        raise MissingProgram(f"{name}: {hint}") from error
    except ImportError as error:
        raise MissingProgram(f"{name}: {error}") from error
    except Exception as error:
        unregistered = name.rpartition(":")[2] not in gymnasium.registry
        if isinstance(error, gymnasium.error.Error) and unregistered:
            raise no_environment(name) from error
        if options:
            raise SettingsError(f"{name} refuses its options {options}: {error!r}") from error
        raise EnvironmentFault(f"{name} could not be made: {error!r}") from error


def register(namespace: str) -> None:
    """Makes a namespace known to Gymnasium, if it is one of `NAMESPACES`."""
    if namespace in NAMESPACES:
        importlib.import_module(NAMESPACES[namespace])


def _load(name: str) -> None:
    """Imports what `gymnasium.make` would, before it makes anything."""
    module, _, registered = name.rpartition(":")
    if module:
        importlib.import_module(module)
    spec = gymnasium.registry.get(registered)
    if spec is not None and isinstance(spec.entry_point, str):
        importlib.import_module(spec.entry_point.partition(":")[0])


def _hear_mujoco() -> None:
    """Has MuJoCo, where it is in use, warn through our log: by itself it prints, and writes a file
    where it stands. To import it takes a tenth of a second, which others need not wait for."""
    if mujoco := sys.modules.get("mujoco"):
        mujoco.set_mju_user_warning(_mujoco_warns)


def _mujoco_warns(message: str) -> None:
    log.debug("MuJoCo: %s", message)


def _frames_per_step(name: str, environment: Environment) -> int:
    """Emulator frames behind one step; 1 where there is no emulator or the skip is random."""
    if name.startswith("ALE/") and environment.spec is not None:
        skip = environment.spec.kwargs.get("frameskip")
        return skip if isinstance(skip, int) else 1
    return 1
