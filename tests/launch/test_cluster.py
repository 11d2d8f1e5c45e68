"""A learner and actors in processes of their own, as on several hosts: keys, deaths, returns."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import uuid

import pytest

from veldt.platform import records

LOCKSTEP = ("--set", "deterministic=true")
SHORT = ("--set", "learner.checkpoint_updates=20")


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def address():
    return f"tcp://127.0.0.1:{free_port()}"


def updates_of(veldt, folder="run"):
    file = veldt.folder / folder / "metrics.jsonl"
    return records.read(file.parent)[-1]["updates"] if records_there(file) else 0


def records_there(file):
    return file.exists() and any('"metrics"' in line for line in file.read_text().splitlines())


@pytest.mark.slow
def test_hosts_and_learner_die_and_come_back_and_the_training_is_whole(veldt, until, address):
    assert veldt("keys", "new", "cluster", "--name", "lab2").returncode == 0
    frames = 120_000
    learner_line = (
        *("learner", "cartpole", "--listen", address, "--keys", "cluster", "--out", "run"),
        *("--resume", "--json", "--set", f"frames={frames}", *SHORT),
    )
    actors_line = ("actors", "--connect", address, "--key", "cluster/lab2.key", "--count", 1)
    actors_line = (*actors_line, "--patience", 15)
    learner = veldt.start(*learner_line)
    first, second = veldt.start(*actors_line), veldt.start(*actors_line)
    until(lambda: updates_of(veldt) > 20)
    first.kill()
    before = updates_of(veldt)
    until(lambda: updates_of(veldt) > before + 10)
    learner.kill()
    learner.wait()
    kept = updates_of(veldt)
    learner = veldt.start(*learner_line)
    third = veldt.start(*actors_line)
    out, said = learner.communicate(timeout=120)
    assert learner.returncode == 0, said
    summary = json.loads(out)
    assert summary["frames"] == 120_064 and summary["sessions"] == 2
    assert summary["updates"] == 469 > kept > 20
    # One may have been back in time to end it without the other, who then finds nobody there.
    ends = [(host.wait(60), host.communicate()[1]) for host in (second, third)]
    assert sorted(code for code, _ in ends)[0] == 0
    assert all(code == 0 or "no learner answered" in said for code, said in ends)
    assert "does not answer" in ends[0][1]


def test_who_may_not_come_in_is_told_why(veldt, address):
    for name in ("cluster", "other"):
        assert veldt("keys", "new", name).returncode == 0
    learner = veldt.start(
        *("learner", "cartpole", "--listen", address, "--keys", "cluster", "--out", "run")
    )
    stranger = veldt("actors", "--connect", address, "--key", "other/actors.key")
    clear = veldt("actors", "--connect", address)
    learner.send_signal(signal.SIGINT)
    assert learner.wait(30) == 1
    for turned_away in (stranger, clear):
        assert turned_away.returncode == 2 and "Traceback" not in turned_away.stderr
        assert "turned this key away" in turned_away.stderr or "alike" in turned_away.stderr


@pytest.mark.parametrize(
    "line, words",
    [
        (("learner", "cartpole", "--listen", "tcp://0.0.0.0:1"), "veldt keys new DIR"),
        (("learner", "cartpole", "--listen", "0.0.0.0:1"), "tcp://HOST:PORT"),
        (("learner", "cartpole", "--listen", "tcp://127.0.0.1:x"), "tcp://HOST:PORT"),
        (("learner", "cartpole", "--listen", "tcp://127.0.0.1:0", "--keys", "no"), "keys new"),
        (
            ("learner", "cartpole", "--listen", "tcp://127.0.0.1:0", *LOCKSTEP),
            "deterministic",
        ),
        (("actors", "--connect", "tcp://10.1.2.3:5555"), "--key FILE"),
        (("actors", "--connect", "tcp://10.1.2.3:5555", "--key", "none.key"), "none.key"),
        (("actors", "--connect", "tcp://127.0.0.1:1", "--patience", 1), "no learner answered"),
    ],
)
def test_wrong_words_are_answered(veldt, line, words):
    done = veldt(*line)
    assert done.returncode in (1, 2) and "Traceback" not in done.stderr
    assert words in " ".join(done.stderr.split())


@pytest.fixture
def two_hosts():
    """Two network namespaces joined by a cable: names to run in, and the first's address."""
    if os.geteuid() or not shutil.which("ip"):
        pytest.skip("network namespaces need root and iproute2")
    token = uuid.uuid4().hex[:6]
    names, cables = [f"veldt-{token}-{end}" for end in "ab"], [f"v{token}{end}" for end in "ab"]

    def ip(*words):
        return subprocess.run(["ip", *words], capture_output=True, text=True, check=False)

    try:
        for name in names:
            if (made := ip("netns", "add", name)).returncode:
                pytest.skip(f"no network namespaces here: {made.stderr}")
        if ip("link", "add", cables[0], "type", "veth", "peer", "name", cables[1]).returncode:
            pytest.skip("no virtual cables here")
        for number, (name, cable) in enumerate(zip(names, cables, strict=True), 1):
            ip("link", "set", cable, "netns", name)
            ip("-n", name, "addr", "add", f"10.91.7.{number}/24", "dev", cable)
            ip("-n", name, "link", "set", cable, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield names, cables, ip
    finally:
        for name in names:
            with contextlib.suppress(OSError):
                ip("netns", "del", name)


def test_two_hosts_on_a_cable_that_is_cut_and_mended(veldt, until, two_hosts):
    (here, there), (_, cable), ip = two_hosts
    assert veldt("keys", "new", "cluster").returncode == 0

    def start(host, *words):
        line = ["ip", "netns", "exec", host, *veldt.line(*words)]
        return veldt.start_line(["bash", "-c", 'exec "$@" 2> "$0"', f"{words[0]}.txt", *line])

    listen = ("--listen", "tcp://10.91.7.1:5555", "--keys", "cluster")
    frames = ("--set", "frames=100000", *SHORT)
    learner = start(here, "learner", "cartpole", *listen, "--out", "run", "--json", *frames)
    connect = ("actors", "--connect", "tcp://10.91.7.1:5555")
    stranger = veldt.start_line(
        ["ip", "netns", "exec", there, *veldt.line(*connect, "--insecure")]
    )
    assert stranger.wait(60) == 2 and "alike" in stranger.communicate()[1]
    worker = start(there, *connect, "--key", "cluster/actors.key", "--count", 2)
    until(lambda: updates_of(veldt) > 20)
    ip("-n", there, "link", "set", cable, "down")
    until(lambda: "not heard" in (veldt.folder / "learner.txt").read_text(), 30.0)
    before = updates_of(veldt)
    ip("-n", there, "link", "set", cable, "up")
    until(lambda: updates_of(veldt) > before, 60.0)
    out, _ = learner.communicate(timeout=120)
    assert learner.returncode == 0, (veldt.folder / "learner.txt").read_text()
    summary = json.loads(out)
    assert summary["frames"] == 100_096 and summary["hosts_lost"] == 1
    assert 0 < summary["trajectories_dropped"] <= 2 and worker.wait(30) == 0
