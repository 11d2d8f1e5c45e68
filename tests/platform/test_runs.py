"""The run's folder, its records and its checkpoints, through crashes and damage."""

import json
import subprocess
import sys

import numpy as np
import pytest

from veldt.platform import checkpoints, records, runs
from veldt.platform.errors import BrokenCheckpoint, FolderInUse, FolderTaken, InputError
from veldt.platform.records import Records
from veldt.platform.runs import RunFolder

SETTINGS = {"a": {"b": 1}, "seed": 0}


def test_a_folder_is_held_by_one_process(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "LOCK_GRACE_S", 0.2)
    code = (
        "import sys; from pathlib import Path; from veldt.platform.runs import RunFolder; "
        "folder = RunFolder(Path(sys.argv[1]), {'a': {'b': 1}, 'seed': 0}, False); "
        "print('held', flush=True); sys.stdin.read()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "run")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert other.stdout.readline() == b"held\n"
    with pytest.raises(FolderInUse, match="another process"):
        RunFolder(tmp_path / "run", SETTINGS, resume=True)
    other.kill()
    other.wait()
    other.stdin.close()
    other.stdout.close()
    RunFolder(tmp_path / "run", SETTINGS, resume=True).close()


def test_what_is_there_is_not_overwritten(tmp_path):
    RunFolder(tmp_path / "run", SETTINGS, resume=False).close()
    with pytest.raises(FolderTaken, match="--resume"):
        RunFolder(tmp_path / "run", SETTINGS, resume=False)
    with pytest.raises(InputError, match="a.b: 1 -> 2"):
        RunFolder(tmp_path / "run", {"a": {"b": 2}, "seed": 0}, resume=True)
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(FolderTaken, match=r"thesis.tex"):
        RunFolder(tmp_path, SETTINGS, resume=True)


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        RunFolder(tmp_path / "file", SETTINGS, resume=False)


def test_settings_carry_the_codes_version(tmp_path):
    RunFolder(tmp_path, SETTINGS, resume=False).close()
    written = json.loads((tmp_path / "settings.json").read_text())
    assert written["settings"] == SETTINGS and written["code"]["veldt"]


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    runs.write_json(tmp_path / "x.json", {"v": 1})
    with pytest.raises(TypeError):
        runs.write_json(tmp_path / "x.json", {"v": object()})
    assert runs.read_json(tmp_path / "x.json") == {"v": 1}


def test_json_has_no_nan(tmp_path):
    runs.write_json(tmp_path / "x.json", {"v": [float("nan"), float("inf"), 1.5]})
    assert runs.read_json(tmp_path / "x.json") == {"v": [None, None, 1.5]}


def write(folder, updates, start=0):
    writer = Records(folder, start, tensorboard=False)
    for update in updates:
        writer.write(update, {"value": update})
    writer.close()
    return writer.session


def test_what_a_later_session_superseded_is_left_out(tmp_path):
    assert write(tmp_path, [1, 2, 3, 4]) == 0
    assert write(tmp_path, [3, 4, 5], start=2) == 1
    read = records.read(tmp_path)
    assert [(r["update"], r["session"]) for r in read] == [(1, 0), (2, 0), (3, 1), (4, 1), (5, 1)]
    assert len((tmp_path / "metrics.jsonl").read_text().splitlines()) == 9


def test_a_torn_last_record_is_dropped_with_a_warning(tmp_path, caplog):
    write(tmp_path, [1, 2])
    file = tmp_path / "metrics.jsonl"
    file.write_bytes(file.read_bytes()[:-7])
    assert [r["update"] for r in records.read(tmp_path)] == [1]
    assert "torn" in caplog.text
    write(tmp_path, [2, 3], start=1)
    assert [r["update"] for r in records.read(tmp_path)] == [1, 2, 3]


def test_tensorboard_events_are_written(tmp_path):
    writer = Records(tmp_path)
    writer.write(1, {"mean_return": 4.5, "frames": 20})
    writer.close()
    events = list((tmp_path / "tensorboard").iterdir())
    assert b"mean_return" in events[0].read_bytes()


def arrays(number):
    return {"w": np.full((2, 3), number, np.float32), "n": np.array(number)}


def test_the_last_two_checkpoints_are_kept_exactly(tmp_path):
    for number in (10, 20, 30):
        checkpoints.save(tmp_path, number, arrays(number), {"x": 0.1 + number})
    assert checkpoints.numbers(tmp_path) == [20, 30]
    number, got, state = checkpoints.load(tmp_path)
    assert number == 30 and state == {"x": 0.1 + 30}
    np.testing.assert_array_equal(got["w"], arrays(30)["w"])
    assert got["n"].shape == ()


def test_arrays_come_back_as_they_were_however_they_lay_in_memory(tmp_path):
    filters = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    arrays = {
        "channels last": filters.transpose(0, 2, 3, 1).copy().transpose(0, 3, 1, 2),
        "turned": filters.T,
        "every other": filters[..., ::2],
        "number": np.array(7),
    }
    checkpoints.save(tmp_path, 1, arrays, {})
    _, kept, _ = checkpoints.load(tmp_path)
    checkpoints.save_arrays(tmp_path / "arrays.safetensors", arrays)
    for found in (kept, checkpoints.load_arrays(tmp_path / "arrays.safetensors")[0]):
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array, err_msg=name, strict=True)


@pytest.mark.parametrize("file", ["arrays.safetensors", "state.json"])
@pytest.mark.parametrize("damage", ["flip", "cut", "delete"])
def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, caplog, file, damage):
    for number in (1, 2):
        checkpoints.save(tmp_path, number, arrays(number), {"x": number})
    path = tmp_path / "checkpoints" / "000000002" / file
    content = bytearray(path.read_bytes())
    if damage == "delete":
        path.unlink()
    else:
        content[len(content) // 2] ^= 1
        path.write_bytes(content if damage == "flip" else content[: len(content) // 2])
    assert checkpoints.load(tmp_path)[0] == 1
    assert "damaged" in caplog.text
    (tmp_path / "checkpoints" / "000000001" / file).write_bytes(b"")
    with pytest.raises(BrokenCheckpoint, match="no whole checkpoint"):
        checkpoints.load(tmp_path)


def test_a_half_written_checkpoint_is_not_one(tmp_path):
    checkpoints.save(tmp_path, 1, arrays(1), {})
    partial = tmp_path / "checkpoints" / ".000000002.partial"
    partial.mkdir()
    (partial / "state.json").write_text("{")
    assert checkpoints.load(tmp_path)[0] == 1
    checkpoints.save(tmp_path, 2, arrays(2), {})
    assert checkpoints.load(tmp_path)[0] == 2


def test_a_folder_without_checkpoints(tmp_path):
    assert checkpoints.load(tmp_path) is None


def test_tensorboard_is_told_every_number_of_a_record(tmp_path):
    from tensorboardX.proto.event_pb2 import Event

    records = Records(tmp_path)
    records.write(1, {"frames": 640, "loss": 0.5, "environment": "Pong", "done": 3})
    records.write(2, {"frames": 1280, "loss": 0.25})
    records.close()
    (file,) = (tmp_path / "tensorboard").iterdir()
    raw, told = file.read_bytes(), []
    while raw:  # TFRecord: length, checksum, event, checksum
        size = int.from_bytes(raw[:8], "little")
        event = Event.FromString(raw[12 : 12 + size])
        told += [(event.step, v.tag, v.simple_value) for v in event.summary.value]
        raw = raw[16 + size :]
    first = [(640, "frames", 640.0), (640, "loss", 0.5), (640, "done", 3.0)]
    assert told == [*first, (1280, "frames", 1280.0), (1280, "loss", 0.25)]
