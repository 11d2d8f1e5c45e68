"""Messages: what goes in comes out, and nothing but our own schema gets in."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veldt.platform import wire
from veldt.platform.envs.vector import EnvironmentSpec, Observations, discrete
from veldt.platform.errors import WireError
from veldt.platform.trajectory import Trajectory, from_arrays, stack

WORK = wire.Work(number=3, version=2, fresh=True)


@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(wire.DTYPES)), st.lists(st.integers(0, 4), max_size=3)),
        max_size=5,
    )
)
@settings(max_examples=50, deadline=None)
def test_round_trip(shapes):
    random = np.random.default_rng(0)
    arrays = {
        f"a{i}": (random.random(shape) * 100).astype(dtype)
        for i, (dtype, shape) in enumerate(shapes)
    }
    header, got = wire.unpack([bytes(f) for f in wire.pack(WORK, wire.Body(arrays))])
    assert header == WORK and list(got) == list(arrays)
    for name, array in arrays.items():
        assert got[name].dtype == array.dtype and got[name].shape == array.shape
        np.testing.assert_array_equal(got[name], array)


def test_what_is_received_cannot_be_written_to():
    _, arrays = wire.unpack(wire.pack(WORK, wire.Body({"a": np.zeros(3)})))
    with pytest.raises(ValueError, match="read-only"):
        arrays["a"][0] = 1


def test_a_large_array_travels_as_it_lies_in_memory():
    large = np.random.default_rng(0).integers(0, 256, wire.LARGE + 5, np.uint8)
    arrays = {"a": np.arange(3), "large": large, "z": np.ones((2, 2))}
    frames = wire.pack(WORK, wire.Body(arrays, apart=True))
    assert len(frames) == 3 and frames[2] is large
    _, got = wire.unpack([bytes(frame) for frame in frames])
    assert got.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(got[name], array)
    sent = [bytes(frame) for frame in frames]
    for wrong in (sent[:2], [*sent, b""], [*sent[:2], sent[2][:-1]], [*sent[:2], sent[2] + b"x"]):
        with pytest.raises(WireError):
            wire.unpack(wrong)
    again = [sent[0].replace(b'"large"', b'"a"'), *sent[1:]]
    with pytest.raises(WireError, match="twice"):
        wire.unpack(again)
    small = wire.Body({"a": np.zeros(3)}, apart=True)
    turned = wire.Body({"a": np.zeros((300, 300)).T[::2]}, apart=True)
    assert len(wire.pack(WORK, small)) == len(wire.pack(WORK, turned)) == 2


GOOD = [bytes(frame) for frame in wire.pack(WORK, wire.Body({"a": np.arange(20.0)}))]


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [b""],
        [b"hello"],
        [GOOD[0]],
        [GOOD[0], GOOD[1][:-1]],
        [GOOD[0], GOOD[1] + b"x"],
        [*GOOD, b""],
        [GOOD[0].replace(b"VELDT1", b"VELDT0"), GOOD[1]],
        [GOOD[0].replace(b'"work"', b'"worm"'), GOOD[1]],
        [GOOD[0].replace(b'"number":3', b'"number":"3"'), GOOD[1]],
        [GOOD[0].replace(b'"number":3', b'"numbers":3'), GOOD[1]],
        [GOOD[0].replace(b"float64", b"object"), GOOD[1]],
        [GOOD[0].replace(b"[20]", b"[-20]"), GOOD[1]],
        [GOOD[0].replace(b"[20]", b"[99999999999999999999]"), GOOD[1]],
        [GOOD[0].replace(b"[20]", b"[" + b"1," * 70 + b"20]"), GOOD[1]],
        [GOOD[0].replace(b"[20]", b"[0,9223372036854775808]"), b""],
        [GOOD[0].replace(b"[20]", b"[0,9223372036854775807,2]"), b""],
    ],
)
def test_what_is_not_ours_is_refused(frames):
    with pytest.raises(WireError):
        wire.unpack(frames)


@given(st.lists(st.binary(max_size=60), max_size=3), st.integers(0, 1), st.integers(0, 80))
@settings(max_examples=200, deadline=None)
def test_garbage_raises_wire_error_only(frames, which, at):
    damaged = list(GOOD)
    damaged[which] = damaged[which][:at] + b"\xff" + damaged[which][at + 1 :]
    for candidate in (frames, damaged):
        try:
            wire.unpack(candidate)
        except WireError:
            pass


SHOWN = EnvironmentSpec("e", Observations((2,), "float32", stack=2), discrete(4), 1)


def trajectory(T=3, B=2, ends=((0, 1),)):
    truncated = np.zeros((T, B), np.bool_)
    for t, b in ends:
        truncated[t, b] = True
    return Trajectory(
        observation=np.random.default_rng(B).random((T + 1, B, 1), np.float32),
        first=np.zeros((T + 1, B), np.bool_),
        action=np.zeros((T, B), np.int64),
        behaviour_policy=np.zeros((T, B, 4), np.float32),
        reward=np.zeros((T, B), np.float32),
        terminated=np.zeros((T, B), np.bool_),
        truncated=truncated,
        final_index=np.argwhere(truncated),
        stack_index=np.array([(0, b) for b in range(B)] + [(t + 1, b) for t, b in ends]),
        stack_older=np.full((B + len(ends), 1), B, np.float32),
        final_observation=np.full((len(ends), 2), B, np.float32),
        state=np.full((B, 3), B, np.float32),
        last_action=np.zeros(B, np.int64),
        last_reward=np.zeros(B, np.float32),
        task=np.zeros(B, np.int64),
    )


def test_a_trajectory_is_checked_field_by_field():
    good = trajectory().arrays()
    assert from_arrays(good, SHOWN).steps == 6
    for name, array in good.items():
        without = {n: a for n, a in good.items() if n != name}
        for bad in (without, good | {name: array[1:]}, good | {name: array.astype(np.float16)}):
            with pytest.raises(WireError):
                from_arrays(bad, SHOWN)
    with pytest.raises(WireError, match="final_index must lie"):
        from_arrays(good | {"final_index": np.array([[0, 2]])}, SHOWN)
    for wrong, words in (([[4, 0]], "must lie"), ([[0, 1]], "all entries 0")):
        bad = {"stack_index": np.array(wrong), "stack_older": good["stack_older"][:1]}
        with pytest.raises(WireError, match=words):
            from_arrays(good | bad, SHOWN)
    with pytest.raises(WireError, match="task must lie in 0..0"):
        from_arrays(good | {"task": good["task"] + 1}, SHOWN)


def test_stacking_moves_the_indices_along():
    whole = stack([trajectory(B=2, ends=((0, 1), (2, 0))), trajectory(B=3, ends=((1, 2),))])
    assert whole.action.shape == (3, 5) and whole.observation.shape == (4, 5, 1)
    assert whole.state[:, 0].tolist() == [2, 2, 3, 3, 3]
    assert sorted(map(tuple, whole.final_index)) == [(0, 1), (1, 4), (2, 0)]
    for (t, b), shown in zip(whole.final_index, whole.final_observation, strict=True):
        assert whole.truncated[t, b] and shown[0] == (2 if b < 2 else 3)
    begun = {(0, b) for b in range(5)} | {(1, 1), (3, 0), (2, 4)}
    assert set(map(tuple, whole.stack_index)) == begun
    for (_, b), older in zip(whole.stack_index, whole.stack_older, strict=True):
        assert older[0] == (2 if b < 2 else 3)
