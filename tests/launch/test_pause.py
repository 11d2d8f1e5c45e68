"""A search that is told to end by SIGTERM: it pauses at its next checkpoint and goes on alike."""

import signal

import pytest

from veldt.platform import checkpoints, records
from veldt.search import study_log

RECIPE = """
stages = [{method = "random", trials = 3}]

[space]
"optimizer.learning_rate" = {kind = "log", low = 1e-3, high = 3e-2}

[train]
frames = 16_000
environment = {id = "CartPole-v1"}
agent = {name = "impala", network = {hidden = [16]}}
actors = {count = 1, environments = 8, unroll_length = 10}
deterministic = true
learner = {batch = 1, checkpoint_updates = 20}

[evaluation]
episodes = 4

[heldout]
settings = {frames = 2000}
evaluation = {episodes = 4}
"""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, command_line):
    line = command_line(tmp_path_factory.mktemp("undisturbed"))
    (line.folder / "tiny.toml").write_text(RECIPE)
    yield line.summary("search", "tiny.toml", "--out", "s")
    line.close()


def kinds(folder):
    return [event.kind for event in study_log.read(folder)] if study_log.exists(folder) else []


WAYS = [
    pytest.param((), None, signal.SIGTERM, marks=pytest.mark.slow),
    (("--workers", 2), None, signal.SIGTERM),
    pytest.param(("--ranks", 2), None, signal.SIGTERM, marks=pytest.mark.slow),
    pytest.param((), 2, signal.SIGUSR1, marks=pytest.mark.slow),
]
# `mpirun` gives its ranks a fraction of a second after these, and passes no word on.
HASTY = [
    pytest.param((), 2, signal.SIGTERM, marks=pytest.mark.slow),
    pytest.param((), 2, signal.SIGINT, marks=pytest.mark.slow),
]


def newest(run):
    """The newest update that a training has told of."""
    return max((record.get("update", 0) for record in records.read(run)), default=0)


def paused(veldt, until, more, ranks, number, settings=()):
    """Has a search told to end once all its workers train; the folders of what they trained."""
    (veldt.folder / "tiny.toml").write_text(RECIPE)
    folder = veldt.folder / "s"
    line = ("search", "tiny.toml", "--out", "s", *settings, *more)
    process = veldt.start(*line, ranks=ranks)
    size = 1 if (more, ranks) == ((), None) else 2
    begun = [folder / "trials" / f"trial-{number:04d}" for number in range(size)]
    until(lambda: all(newest(run) > 0 for run in begun))
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "Traceback" not in err
    assert "result" not in kinds(folder)
    if ranks is None or number == signal.SIGUSR1:
        assert kinds(folder)[-1] == "pause"
        assert "go on with the same command and --resume" in err
    return begun


@pytest.mark.parametrize(("more", "ranks", "number"), WAYS + HASTY)
def test_it_goes_on_alike(veldt, undisturbed, until, more, ranks, number):
    paused(veldt, until, more, ranks, number)
    line = ("search", "tiny.toml", "--out", "s", "--resume", *more)
    summary = veldt.summary(*line, ranks=ranks)
    assert summary["fingerprint"] == undisturbed["fingerprint"]
    assert summary["heldout_mean_return"] == undisturbed["heldout_mean_return"]
    assert summary["failed_attempts"] == 0


@pytest.mark.parametrize(("more", "ranks", "number"), WAYS)
def test_what_was_trained_is_written(veldt, until, more, ranks, number):
    """Where exactness does not ask for a boundary, the checkpoint is of where it was."""
    settings = ("--set", "train.deterministic=false", "--set", "train.frames=10_000_000")
    rare = ("--set", "train.learner.checkpoint_updates=1_000_000")
    for run in paused(veldt, until, more, ranks, number, (*settings, *rare)):
        assert checkpoints.load(run)[2]["updates"] > 0
