"""Landscapes are recorded for real, and go on after a kill to the same trainings."""

import dataclasses
import json
import os
import signal
import subprocess
import sys

import pytest

from veldt.launch import landscape, mpi
from veldt.search.recording import load

LINE = [sys.executable, "-P", "-m", "veldt.launch.landscape", "record"]
SMALL = ["--environment", "cartpole", "--configurations", "2", "--seeds", "3", "--frames", "600"]


def without_times(path):
    plain = dataclasses.asdict(load(path))
    seconds = plain.pop("seconds")
    assert all(len(curve) == 20 and curve == sorted(curve) for row in seconds for curve in row)
    return plain


@pytest.mark.slow
def test_a_recording_goes_on_after_a_kill(tmp_path, until):
    whole, cut = tmp_path / "whole.json.gz", tmp_path / "cut.json.gz"
    with mpi.scratch_folder() as scratch:
        line = [*mpi.command(2), *LINE, str(whole), *SMALL]
        subprocess.run(line, env=mpi.environment(scratch), check=True, timeout=300)
    parts = tmp_path / "cut.json.gz.parts"
    process = subprocess.Popen([*LINE, str(cut), *SMALL])
    until(lambda: len(list(parts.glob("000?-?.json"))) >= 2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {path.name: path.read_bytes() for path in parts.glob("000?-?.json")}
    assert 2 <= len(before) and not cut.exists()
    other = subprocess.run(
        [*LINE, str(cut), *SMALL[:-1], "700"], capture_output=True, text=True, check=False
    )
    assert other.returncode == 2 and "other settings" in other.stderr
    done = subprocess.run([*LINE, str(cut), *SMALL], stdout=subprocess.PIPE, check=True)
    assert len(done.stdout.splitlines()) == 6 - len(before)  # nothing is trained twice
    assert without_times(cut) == without_times(whole) and not parts.exists()
    found = load(cut)
    assert found.frames[-1] == 600 and found.scores.shape == (2, 3, 20)
    assert found.points == landscape.sobol(2) and found.made_with["torch"]
    for name, content in before.items():
        number, seed = (int(part) for part in name.removesuffix(".json").split("-"))
        assert json.loads(content)["returns"] == found.returns[number][seed]


@pytest.mark.parametrize(
    "more, words",
    [
        (["--configurations", "0"], "--configurations is 0"),
        (["--frames", "5"], "fewer than the 20 checkpoints"),
        (["--environment", "pong"], "invalid choice: 'pong'"),
    ],
)
def test_wrong_input(tmp_path, more, words):
    line = [*LINE, str(tmp_path / "x.json.gz"), "--environment", "cartpole", *more]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and words in done.stderr and "Traceback" not in done.stderr
    assert not os.listdir(tmp_path)
