"""What every vector of environments has to keep to, as checks that its author can run.

    from veldt.platform.envs.conformance import check

    def test_my_environment():
        check(lambda: MyVector("mine/maze", 3))

Legend: B environments of the vector, K of them truncated in a step.
"""

import contextlib
import hashlib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veldt.platform.envs.vector import Step, VectorEnvironment, random_actions
from veldt.platform.errors import EnvironmentFault
from veldt.platform.keys import Key

Array = NDArray[np.generic]


def check(make: Callable[[], VectorEnvironment], *, steps: int = 200, seed: int = 0) -> None:
    """Makes two vectors, steps them with random actions, and looks at all that they return.

    Choose environments, or a time limit, such that some episodes end within `steps`:
    what does not happen is not checked. Actions of the kind "other" are not taken.

    Args:
        make: A new vector at each call, always of the same environments.
        steps: Calls of `step` in each of the three runs.
        seed: Of the episodes and of the actions.

    Raises:
        EnvironmentFault: saying what the vector did and what it should have done.
    """
    key = Key(seed)
    with contextlib.ExitStack() as stack:
        first = _closed_twice(stack, make())
        second = _closed_twice(stack, make())
        _check_spec(first)
        count = steps if first.spec.actions.kind != "other" else 0
        run = _run(first, key, count)
        for other, what in ((second, "another vector"), (first, "the same vector, reset")):
            again = _run(other, key, count)
            for t, (mine, theirs) in enumerate(zip(run, again, strict=True)):
                _need(first, mine == theirs, f"with the same key, {what} differs at step {t}")
        if count:
            _check_bad_actions(second)


def _closed_twice(stack: contextlib.ExitStack, vector: VectorEnvironment) -> VectorEnvironment:
    for _ in range(2):
        stack.callback(vector.close)
    return vector


def _need(vector: VectorEnvironment, kept: bool, complaint: str) -> None:
    if not kept:
        raise EnvironmentFault(f"{vector.spec.id} breaks the contract: {complaint}.")


def _check_spec(vector: VectorEnvironment) -> None:
    spec, size = vector.spec, vector.size
    _need(vector, size >= 1, f"its size is {size}, not at least 1")
    _need(vector, spec.frames_per_step >= 1, f"frames_per_step is {spec.frames_per_step}")
    dtype, actions = spec.observations.dtype, spec.actions
    kind, counts, numbers = actions.kind, actions.counts, len(actions.low)
    _need(vector, dtype in ("uint8", "float32"), f"its observations are declared as {dtype}")
    stack, shape = spec.observations.stack, spec.observations.shape
    _need(
        vector,
        stack == 1 or (stack > 1 and bool(shape) and shape[0] % stack == 0),
        f"its observations {shape} are declared as a stack of {stack}",
    )
    kinds = ("discrete", "multi_discrete", "box", "other")
    _need(vector, kind in kinds, f"its actions are of kind {kind!r}")
    choices = len(counts) == 1 if kind == "discrete" else bool(counts) == (kind == kinds[1])
    _need(
        vector,
        choices and all(count >= 1 for count in counts),
        f"it declares the counts {counts} for actions of kind {kind!r}",
    )
    _need(
        vector,
        numbers == len(actions.high) and bool(numbers) == (kind == "box"),
        f"it declares {numbers} lower and {len(actions.high)} upper bounds of kind {kind!r}",
    )


def _run(vector: VectorEnvironment, key: Key, steps: int) -> list[bytes]:
    """One run, each step checked; the fingerprint of what it gave at each step, first of reset."""
    generator = key.child("conformance actions").generator()
    kept: list[tuple[Array, ...]] = []
    prints: list[bytes] = []
    returns = np.zeros(vector.size, np.float64)
    lengths = np.zeros(vector.size, np.int64)
    observation = vector.reset(key)
    _check_observations(vector, observation, vector.size, "the observation of reset")
    kept.append((observation,))
    prints.append(_fingerprint(kept[-1]))
    for _ in range(steps):
        step = vector.step(random_actions(vector.spec.actions, vector.size, generator))
        _check_step(vector, step)
        returns += step.reward
        lengths += 1
        _check_episodes(vector, step, returns, lengths)
        _check_stack(vector, kept[-1][0], step)
        kept.append(_arrays(step))
        prints.append(_fingerprint(kept[-1]))
    for t, (arrays, printed) in enumerate(zip(kept, prints, strict=True)):
        _need(vector, _fingerprint(arrays) == printed, f"what step {t} returned was overwritten")
    return prints


def _arrays(step: Step) -> tuple[Array, ...]:
    played = [(e.environment, e.episode_return, e.steps) for e in step.episodes]
    return (
        step.observation,
        step.reward,
        step.terminated,
        step.truncated,
        step.final_rows,
        step.final_observation,
        np.array(played, np.float64),
    )


def _fingerprint(arrays: tuple[Array, ...]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for array in arrays:
        digest.update(array.tobytes())
    return digest.digest()


def _check_array(
    vector: VectorEnvironment, array: Array, shape: tuple[int, ...], dtype: str, what: str
) -> None:
    fits = isinstance(array, np.ndarray) and array.shape == shape and array.dtype == dtype
    got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array)
    _need(vector, fits, f"{what} is {got}, not {dtype} {shape}")


def _check_observations(vector: VectorEnvironment, array: Array, rows: int, what: str) -> None:
    declared = vector.spec.observations
    _check_array(vector, array, (rows, *declared.shape), declared.dtype, what)
    _need(vector, bool(np.isfinite(array.astype(np.float32)).all()), f"{what} is not finite")


def _check_step(vector: VectorEnvironment, step: Step) -> None:
    size, rows = vector.size, np.flatnonzero(step.truncated)
    _check_observations(vector, step.observation, size, "observation")
    _check_array(vector, step.reward, (size,), "float32", "reward")
    _need(vector, bool(np.isfinite(step.reward).all()), "reward is not finite")
    _check_array(vector, step.terminated, (size,), "bool", "terminated")
    _check_array(vector, step.truncated, (size,), "bool", "truncated")
    both = np.flatnonzero(step.terminated & step.truncated).tolist()
    _need(vector, not both, f"environments {both} are terminated and truncated in one step")
    _check_array(vector, step.final_rows, rows.shape, "int64", "final_rows")
    _need(
        vector,
        np.array_equal(step.final_rows, rows),
        f"final_rows is {step.final_rows.tolist()}, but truncated are {rows.tolist()}",
    )
    _check_observations(vector, step.final_observation, rows.size, "final_observation")


def _check_stack(vector: VectorEnvironment, before: Array, step: Step) -> None:
    """Each stack is the one before, moved on by a frame, but where an episode has ended."""
    declared = vector.spec.observations
    if declared.stack == 1:
        return
    moved, frame = declared.older[0], declared.frame[0]
    ended = {episode.environment for episode in step.episodes}
    for b in sorted(set(range(vector.size)) - ended):
        _need(
            vector,
            np.array_equal(step.observation[b, :moved], before[b, frame:]),
            f"the stack of environment {b} did not move on by one frame",
        )


def _check_episodes(
    vector: VectorEnvironment,
    step: Step,
    returns: NDArray[np.float64],
    lengths: NDArray[np.int64],
) -> None:
    """Compares with our own sums, and sets those of the ended episodes back to 0."""
    over = set(np.flatnonzero(step.terminated | step.truncated).tolist())
    ended = [episode.environment for episode in step.episodes]
    _need(vector, len(set(ended)) == len(ended), f"episodes names one twice: {ended}")
    _need(vector, over >= set(ended), f"episodes of {ended} ended, but flagged are {over}")
    cut = set(step.final_rows.tolist())
    _need(vector, cut <= set(ended), f"truncated are {cut}, but episodes has {ended}")
    for episode in step.episodes:
        b = episode.environment
        _need(
            vector,
            math.isclose(episode.episode_return, returns[b], rel_tol=1e-4, abs_tol=1e-4),
            f"environment {b} reports a return of {episode.episode_return}, "
            f"but its rewards sum to {returns[b]}",
        )
        _need(
            vector,
            episode.steps == lengths[b],
            f"environment {b} reports {episode.steps} steps, but took {lengths[b]}",
        )
        returns[b] = lengths[b] = 0


def _check_bad_actions(vector: VectorEnvironment) -> None:
    actions, size = vector.spec.actions, vector.size
    good = random_actions(actions, size, np.random.default_rng(0))
    low, high = good.copy(), good.copy()
    whole = actions.dtype == "int64"
    low[-1] = -1 if whole else np.nan
    high[-1] = np.array(actions.counts).reshape(actions.shape) if whole else np.inf
    other = good.astype(np.float64 if whole else np.int64)
    wrong: list[NDArray[Any]] = [low, high, np.concatenate([good, good[:1]]), other]
    for bad in wrong:
        what = f"the actions {bad.tolist()} of type {bad.dtype}"
        try:
            vector.step(bad)
        except EnvironmentFault:
            continue
        except Exception as error:
            raise EnvironmentFault(
                f"{vector.spec.id} breaks the contract: {what} raised {error!r}, "
                "not EnvironmentFault."
            ) from error
        _need(vector, False, f"it took {what}; its actions are {actions.description}")
    vector.step(good)
