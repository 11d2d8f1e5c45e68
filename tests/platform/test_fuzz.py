"""What others send or leave on the disk: taken for what it is, or refused with our own word."""

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from veldt.platform import checkpoints, wire
from veldt.platform.errors import BrokenCheckpoint, WireError

MANY = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
ARRAYS = {"network/weight": np.arange(12.0, dtype=np.float32).reshape(3, 4), "bias": np.ones(3)}


def damaged(whole):
    """Bytes that were `whole` once: some turned over, some cut off, some put in."""
    place = st.integers(0, len(whole))
    return st.builds(
        lambda at, until, new: whole[:at] + new + whole[max(at, until) :],
        place,
        place,
        st.binary(max_size=40),
    )


def written(folder):
    checkpoints.save(folder, 1, ARRAYS, {"updates": 1, "returns": [1.0, 2.5]})
    made = folder / "checkpoints" / "000000001"
    return {path.name: path.read_bytes() for path in made.iterdir()}, made


@MANY
@given(st.data())
def test_a_checkpoint_is_read_as_it_was_written_or_refused(tmp_path, data):
    files, made = written(tmp_path)
    name = data.draw(st.sampled_from(sorted(files)))
    content = data.draw(damaged(files[name]) | st.binary(max_size=200))
    (made / name).write_bytes(content)
    if content == files[name]:
        number, arrays, state = checkpoints.load(tmp_path)
        assert number == 1 and state["returns"] == [1.0, 2.5]
        assert all((arrays[key] == array).all() for key, array in ARRAYS.items())
    else:
        # What says the same in other words is as good: JSON has room for spaces.
        try:
            _, arrays, state = checkpoints.load(tmp_path)
        except BrokenCheckpoint:
            return
        assert name == "state.json" and json.loads(content) == json.loads(files[name])


@pytest.mark.parametrize(
    "content", [b"[]", b"3", b'{"digest": 1, "state": 2}', b"{}", b"[" * 100_000, b'"\xff"']
)
def test_json_that_is_no_checkpoint(tmp_path, content):
    _, made = written(tmp_path)
    (made / "state.json").write_bytes(content)
    with pytest.raises(BrokenCheckpoint):
        checkpoints.load(tmp_path)


@MANY
@given(st.data())
def test_weights_of_others_are_arrays_or_refused(tmp_path, data):
    path = tmp_path / "weights.safetensors"
    checkpoints.save_arrays(path, ARRAYS, {"frames": "12"})
    path.write_bytes(data.draw(damaged(path.read_bytes()) | st.binary(max_size=200)))
    try:
        arrays, words = checkpoints.load_arrays(path)
    except BrokenCheckpoint:
        return
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    assert all(isinstance(word, str) for word in words.values())


@MANY
@given(st.data())
def test_a_message_is_ours_or_refused(data):
    header = wire.Delivery(
        actor=1, incarnation=0, number=3, version=2, episodes=[(1.0, 5)], seconds={"waiting": 0.5}
    )
    whole = [bytes(frame) for frame in wire.pack(header, wire.Body(ARRAYS))]
    which = data.draw(st.integers(0, len(whole) - 1))
    whole[which] = data.draw(damaged(whole[which]) | st.binary(max_size=200))
    try:
        got, arrays = wire.unpack(whole)
    except WireError:
        return
    assert type(got).__module__ == wire.__name__
    assert all(array.dtype.name in wire.DTYPES for array in arrays.values())


@pytest.mark.slow
@pytest.mark.parametrize("target", ["wire", "checkpoint"])
def test_coverage_guided(target, tmp_path):
    """The same two readers, driven for a while by what their branches show (atheris)."""
    pytest.importorskip("atheris", reason="pip install atheris")
    import subprocess
    import sys

    script = tmp_path / "fuzz.py"
    script.write_text(HARNESS)
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    header = wire.Ready(actor=1, incarnation=0, version=2)
    (corpus / "ready").write_bytes(bytes(wire.pack(header)[0]))
    (corpus / "arrays").write_bytes(checkpoints.pack(ARRAYS, {"a": 1}))
    done = subprocess.run(
        [sys.executable, script, target, corpus, "-max_total_time=60", "-max_len=4096"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]


HARNESS = """
import pathlib
import sys

import atheris

with atheris.instrument_imports(include=["veldt.platform"]):
    from veldt.platform import checkpoints, wire
    from veldt.platform.errors import BrokenCheckpoint, WireError

target = sys.argv.pop(1)
place = pathlib.Path("weights.safetensors")


def read(data):
    if target == "wire":
        cut = data[0] if data else 0
        try:
            wire.unpack([data[1:], data[1 : 1 + cut]][: 1 + cut % 2])
            wire.unpack([wire.MAGIC + data])
        except WireError:
            pass
    else:
        place.write_bytes(data)
        try:
            checkpoints.load_arrays(place)
        except BrokenCheckpoint:
            pass


atheris.Setup(sys.argv, read)
atheris.Fuzz()
"""
