"""Atari 2600 games under the two protocols of the field.

Legend: B environments of the vector, S frames in the stack.

    paper     Espeholt et al. 2018, section 5.3.2 and G: a game starts with 1 to 30 frames of
              no-ops, each number as likely; each game's own actions; for the learner a lost
              life terminates, while the game goes on
    machado   Machado et al. 2018, arXiv:1709.06009: sticky actions (the emulator repeats the
              action before with probability 0.25), all 18 actions, no lost lives

Both: 84x84 grey levels, the last S = 4 steps stacked, an action repeated for 4 emulator
frames and the last two of them max-pooled, at most 108,000 frames (30 minutes) a game,
rewards as the game gives them. `Episode` is the game. Scores under the one protocol do not
compare with scores under the other.

Where this is not the paper's: before there are S frames, the stack holds zeros.
"""

import dataclasses
import functools
from typing import Any

import ale_py.roms
import numpy as np
from ale_py.vector_env import AtariVectorEnv
from numpy.typing import NDArray

from veldt.platform.envs.catalogue import no_environment
from veldt.platform.envs.vector import (
    EnvironmentSpec,
    Episode,
    Observations,
    Step,
    check_actions,
    discrete,
)
from veldt.platform.errors import EnvironmentFault, SettingsError
from veldt.platform.keys import Key
from veldt.platform.whereabouts import Whereabouts


@dataclasses.dataclass(frozen=True)
class Protocol:
    """What two papers do differently."""

    life_loss: bool
    sticky: float
    full_action_space: bool
    noop_max: int
    evaluation_episodes: int
    """whose mean is a score"""


PROTOCOLS = {
    "paper": Protocol(True, 0.0, False, 30, 200),
    "machado": Protocol(False, 0.25, True, 0, 100),
}


class AtariVector:
    """B environments of one game, on ale_py's emulators and threads.

    Environment b is seeded once, by `key.child("episode", b, 0)`; its later games draw
    from its emulator's own stream, so that they too depend on key and actions alone.
    The threads do not survive a fork: make the vector in the process that steps it.

    Args:
        name: "atari/" and the ROM's name, e.g. "atari/ms_pacman"; see `games`.
        size: B.
        protocol: "paper" or "machado"; what is given beside it departs from it.
        life_loss: Whether a lost life terminates, for the learner.
        threads: That step the emulators; at most one a processor is started.
        sticky: Probability that the emulator repeats the action before, each frame.
        full_action_space: All 18 actions, not the game's own.
        max_frames: Emulator frames after which a game is truncated, looked at once a step.
        stack: S, the frames in one observation.
        frame_skip: Emulator frames behind one step.
        noop_max: A game starts with 1 to so many frames of no-ops; 0: with none.
        fire_reset: Whether the last of these frames is one of FIRE, where the game has it; not
            part of either protocol.
        render_mode: "rgb_array" for `render`, at the price of playing everything twice.

    Raises:
        UnknownName: if there is no such game.
        SettingsError: if an option is out of its range.
    """

    def __init__(
        self,
        name: str,
        size: int,
        *,
        protocol: str = "paper",
        life_loss: bool | None = None,
        threads: int = 1,
        sticky: float | None = None,
        full_action_space: bool | None = None,
        max_frames: int = 108_000,
        stack: int = 4,
        frame_skip: int = 4,
        noop_max: int | None = None,
        fire_reset: bool = False,
        render_mode: str | None = None,
    ) -> None:
        if protocol not in PROTOCOLS:
            raise SettingsError(
                f"{name}: protocol must be one of {', '.join(PROTOCOLS)}, got {protocol!r}."
            )
        if render_mode not in (None, "rgb_array"):
            raise SettingsError(f"{name}: render_mode must be rgb_array, got {render_mode!r}.")
        rules = PROTOCOLS[protocol]
        life_loss = rules.life_loss if life_loss is None else life_loss
        sticky = rules.sticky if sticky is None else sticky
        noop_max = rules.noop_max if noop_max is None else noop_max
        if full_action_space is None:
            full_action_space = rules.full_action_space
        game = name.partition("/")[2]
        if game not in ale_py.roms.get_all_rom_ids():
            raise no_environment(name)
        for option, value, least, most in (
            ("size", size, 1, 2**16),
            ("threads", threads, 1, 2**10),
            ("max_frames", max_frames, 1, 2**30),
            ("stack", stack, 1, 2**8),
            ("frame_skip", frame_skip, 1, 2**10),
            ("noop_max", noop_max, 0, 2**16),
        ):
            if type(value) is not int or not least <= value <= most:
                raise SettingsError(
                    f"{name}: {option} must be an integer in {least}..{most}, got {value!r}."
                )
        if not isinstance(sticky, int | float) or not 0 <= sticky <= 1:
            raise SettingsError(f"{name}: sticky must be a number in 0..1, got {sticky!r}.")
        self.size = size
        self._max_frames, self._noops = max_frames, noop_max > 0
        make = functools.partial(
            AtariVectorEnv,
            game,
            size,
            num_threads=threads,
            # Ours comes first: where the library itself cuts a game, the newest frame of
            # its final observation is not that of the last two emulator frames.
            max_num_frames_per_episode=max_frames + 2 * frame_skip,
            repeat_action_probability=float(sticky),
            full_action_space=full_action_space,
            autoreset_mode="SameStep",
            frameskip=frame_skip,
            noop_max=noop_max + 1 if noop_max else 0,  # it draws from 0 to one less
            life_loss_info=life_loss,
            reward_clipping=False,
            use_fire_reset=fire_reset,
        )
        self._emulators: AtariVectorEnv | None = make(stack_num=stack)
        # The same games once more, in colour: the same seeds and actions.
        self._screens: AtariVectorEnv | None = None
        if render_mode is not None:
            self._screens = make(stack_num=1, grayscale=False, img_height=210, img_width=160)
        self.frames_per_second = 60.0 / frame_skip
        count = len(self._emulators.ale.get_action_set())
        self.spec = EnvironmentSpec(
            name,
            Observations((stack, 84, 84), "uint8", stack=stack),
            discrete(count),
            frame_skip,
        )
        self._ready = False
        self._where = Whereabouts(size)
        self._steps = np.zeros(size, np.int64)  # of each game, [B]
        self._returns = np.zeros(size, np.float64)  # of each game, [B]
        self._origin = np.zeros(size, np.int32)  # frame count at which each game began, [B]

    def reset(self, key: Key) -> NDArray[np.generic]:
        """Starts a new game everywhere; the first observations, uint8 [B, S, 84, 84]."""
        return self.reset_from(key, 0)

    def reset_from(self, key: Key, first: int) -> NDArray[np.generic]:
        if self._emulators is None:
            raise EnvironmentFault(f"{self.spec.id}: this vector is closed; make another.")
        games = range(first, first + self.size)
        seeds = [key.child("episode", b, 0).integer() for b in games]
        for b, seed in enumerate(seeds):  # of its first game; the later ones follow from it
            self._where.seeds[b] = seed
        observation, info = self._emulators.reset(seed=np.array(seeds))
        if self._screens is not None:
            self._shown, _ = self._screens.reset(seed=np.array(seeds))
        observation, info = self._with_noops(observation, info)
        self._origin = info["frame_number"] - info["episode_frame_number"]
        self._steps[:] = 0
        self._returns[:] = 0
        self._ready = True
        return observation

    def step(self, action: NDArray[np.generic]) -> Step:
        """Steps all B, [B] actions; resets the games that ended. See `VectorEnvironment`."""
        self.send(action)
        return self.receive()

    def send(self, action: NDArray[np.generic]) -> None:
        """Has the emulators' threads step; see `SteppedAside`."""
        if self._emulators is None or not self._ready:
            raise EnvironmentFault(f"{self.spec.id}: reset this vector before stepping it.")
        check_actions(self.spec, action, self.size)  # the library would wait for ever
        self._emulators.send(action.astype(np.int64))
        if self._screens is not None:
            self._screens.send(action.astype(np.int64))

    def receive(self) -> Step:
        """What the step gave that was begun."""
        if self._emulators is None:
            raise EnvironmentFault(f"{self.spec.id}: this vector is closed; make another.")
        observation, reward, terminated, _, info = self._emulators.recv()
        if self._screens is not None:
            self._shown = self._screens.recv()[0]
        self._steps += 1
        self._returns += reward
        origin = info["frame_number"] - info["episode_frame_number"]
        ended = origin != self._origin  # a game began: `terminated` may be a lost life only
        capped = ~ended & (self._steps * self.spec.frames_per_step >= self._max_frames)
        truncated = capped & ~terminated
        final_rows = np.flatnonzero(truncated)
        final_observation = observation[final_rows]
        if capped.any():
            observation, info = self._begin_anew(capped)
        ended |= capped
        observation, info = self._with_noops(observation, info)
        self._origin = info["frame_number"] - info["episode_frame_number"]
        episodes: list[Episode] = []
        for b in np.flatnonzero(ended).tolist():
            episodes.append(Episode(b, float(self._returns[b]), int(self._steps[b])))
            self._returns[b] = self._steps[b] = 0
        return Step(
            observation=observation,
            reward=reward.astype(np.float32),
            terminated=terminated,
            truncated=truncated,
            final_rows=final_rows,
            final_observation=final_observation,
            episodes=tuple(episodes),
        )

    def _begin_anew(self, games: NDArray[np.bool_]) -> tuple[NDArray[np.generic], Any]:
        """New games where [B] says so; what all show, and what is known of them."""
        assert self._emulators is not None  # noqa: S101 (so say those who call it)
        if self._screens is not None:
            self._shown, _ = self._screens.reset(options={"reset_mask": games})
        observation, info = self._emulators.reset(options={"reset_mask": games})
        return observation, info

    def _with_noops(
        self, observation: NDArray[np.generic], info: Any
    ) -> tuple[NDArray[np.generic], Any]:
        """Games that began without a no-op, as the library has them do too, begin once more:
        what is drawn then is 1 to noop_max, each as likely."""
        while self._noops and (none := info["episode_frame_number"] == 0).any():
            observation, info = self._begin_anew(none)
        return observation, info

    def trace(self, whereabouts: Whereabouts) -> None:
        """From now on it writes there what the games were seeded with; they are stepped together,
        so that it cannot be known which one hangs."""
        self._where = whereabouts

    def render(self) -> NDArray[np.uint8]:
        """What game 0 looks like now, [210, 160, 3]; if made with render_mode="rgb_array"."""
        frame: NDArray[np.uint8] = self._shown[0, -1]
        return frame

    def close(self) -> None:
        """Lets go of the emulators, which joins their threads; safe to call twice."""
        self._emulators = self._screens = None
        self._ready = False


def games() -> list[str]:
    """The ROM names that `AtariVector` plays, sorted."""
    return sorted(ale_py.roms.get_all_rom_ids())
