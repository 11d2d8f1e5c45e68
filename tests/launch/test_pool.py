"""`veldt pool`: real searches that share workers, killed too."""

import json
import signal

from veldt.search import journal

RECIPE = """
[[stages]]
method = "random"
trials = 3

[space]
"optimizer.learning_rate" = {kind = "log", low = 1e-3, high = 3e-2}

[train]
frames = 2000
environment = {id = "CartPole-v1"}
agent = {name = "impala", network = {hidden = [16]}}
actors = {count = 1, environments = 8, unroll_length = 10}
deterministic = true
learner = {batch = 1, checkpoint_updates = 10}

[evaluation]
episodes = 4
[heldout]
evaluation = {episodes = 4}
"""


def test_two_searches_share_the_workers_and_outlive_a_kill(veldt, until):
    (veldt.folder / "tiny.toml").write_text(RECIPE)
    alone = veldt.summary("search", "tiny.toml", "--seed", 1, "--out", "alone")
    for name, seed, priority in (("low", 1, 0), ("high", 2, 5)):
        options = ("--seed", seed, "--out", name, "--priority", priority)
        said = veldt.summary("search", "tiny.toml", *options, "--pool", "pool")
        assert said["pool"] == "pool"
    process = veldt.start("pool", "pool", "--workers", 2)
    log = veldt.folder / "high" / "study.sqlite"

    def scored():
        try:
            return sum(event.kind == "result" for event in journal.read(log))
        except journal.InputError:
            return 0

    until(lambda: scored() >= 1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = veldt.summary("pool", "pool", "--workers", 2)
    ends = [search["folder"] for search in done["searches"]]
    assert [end.split("/")[-1] for end in ends] == ["high", "low"]
    assert done["searches"][1]["fingerprint"] == alone["fingerprint"]
    assert not any(search["failed"] for search in done["searches"])
    assert json.loads((veldt.folder / "low" / "summary.json").read_text())["trials"] == 3
    assert len(list((veldt.folder / "pool" / "done").iterdir())) == 2
    assert veldt("pool", "pool").returncode == 0  # nothing left to do


def test_wrong_input(veldt):
    (veldt.folder / "tiny.toml").write_text(RECIPE)
    done = veldt("pool", "nothing")
    assert done.returncode == 2 and "not the folder of a pool" in done.stderr
    assert not (veldt.folder / "nothing").exists()
    done = veldt("search", "ars/swimmer", "--pool", "p")
    assert done.returncode == 2 and "over settings" in done.stderr
    done = veldt("search", "tiny.toml", "--pool", "p", "--workers", 2)
    assert done.returncode == 2 and "veldt pool" in done.stderr
