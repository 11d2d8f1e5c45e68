"""Disks and shared memory that are full: real ones, of a few megabytes."""

import contextlib
import json
import os
import subprocess
import sys

import pytest

from veldt.platform import checkpoints, records

SIZE = 1 << 22


@pytest.fixture
def disk(tmp_path):
    """A small file system of our own."""
    if sys.platform != "linux" or os.geteuid() != 0:
        pytest.skip("mounting a file system takes root on Linux")
    place = tmp_path / "disk"
    place.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    mounted = subprocess.run(line, capture_output=True, text=True, check=False)
    if mounted.returncode:
        pytest.skip(f"this machine does not mount: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_the_last_whole_checkpoint_stands(veldt, until, disk):
    run, filler = disk / "run", disk / "filler"
    line = (
        *("train", "cartpole", "--out", run, "--set", "learner.checkpoint_updates=10"),
        *("--set", "frames=100000"),
    )
    process = veldt.start(*line)
    until(lambda: len(checkpoints.numbers(run)) == 2)
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(b"x" * 4096):
            pass
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert "No space left on device; make room" in err and "Traceback" not in err
    assert "ignored" not in err
    number, arrays, state = checkpoints.load(run)
    assert arrays and state["updates"] == number > 0
    assert not (run / "summary.json").exists()
    filler.unlink()
    summary = veldt.summary(*line, "--resume")
    assert summary["steps"] >= 100000 and summary["sessions"] == 2
    lines = [record["update"] for record in records.read(run)]
    assert lines == sorted(lines)


FULL = """
mount -t tmpfs -o size=1m tmpfs /dev/shm || exit 77
cat /dev/zero > /dev/shm/filler 2> /dev/null
exec "$@"
"""


def test_shared_memory_that_is_full_is_in_nobodys_way(veldt):
    """In a space of mounts of its own: actors and learner share nameless memory, not /dev/shm."""
    line = veldt.line("train", "cartpole", "--out", "run", "--json", "--set", "frames=4000")
    apart = ["unshare", "--mount", "sh", "-c", FULL, "sh"]
    process = veldt.start_line([*apart, *line])
    out, err = process.communicate(timeout=120)
    if process.returncode == 77 or "unshare" in err:
        pytest.skip(f"this machine does not mount: {err.strip()}")
    assert process.returncode == 0, err
    assert json.loads(out)["updates"] == 16 and json.loads(out)["trajectories_dropped"] == 0
