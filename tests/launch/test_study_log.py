"""A study whose log is in PostgreSQL, from the command line: kills, and what goes wrong."""

import json
import signal

import psutil
import pytest

from veldt.search import study_log

RECIPE = """
[[stages]]
method = "random"
trials = 4

[[stages]]
method = "openai-es"
generations = 1
pairs = 1
sigma = 0.1

[space]
"optimizer.learning_rate" = {kind = "log", low = 1e-3, high = 3e-2}

[train]
frames = 2000
environment = {id = "CartPole-v1"}
agent = {name = "impala", network = {hidden = [16]}}
actors = {count = 1, environments = 8, unroll_length = 10}
deterministic = true
learner = {batch = 1, checkpoint_updates = 5}

[evaluation]
episodes = 4

[heldout]
evaluation = {episodes = 4}
"""


@pytest.fixture
def recipe(veldt):
    path = veldt.folder / "tiny.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, command_line):
    """The summary of the search with its log in a file."""
    line = command_line(tmp_path_factory.mktemp("undisturbed"))
    (line.folder / "tiny.toml").write_text(RECIPE)
    yield line.summary("search", "tiny.toml", "--out", "s")
    line.close()


def results(folder):
    if not study_log.exists(folder):
        return []
    return [event for event in study_log.read(folder) if event.kind == "result"]


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [None, 2])
def test_killed_and_resumed(veldt, recipe, undisturbed, until, postgres, ranks):
    """Coordinator first, then the database's end of the connection."""
    url, folder = postgres.database(), veldt.folder / "s"
    line = ("search", recipe, "--out", "s", "--store", url)
    process = veldt.start(*line, ranks=ranks)
    until(lambda: len(results(folder)) >= 2)
    family = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    psutil.wait_procs(family, 20)
    process = veldt.start("search", recipe, "--out", "s", "--resume", ranks=ranks)
    until(lambda: len(results(folder)) >= 4)
    assert postgres.kill_backends(url)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1 and "--resume goes on" in err and "Traceback" not in err
    summary = veldt.summary("search", recipe, "--out", "s", "--resume", ranks=ranks)
    assert summary["fingerprint"] == undisturbed["fingerprint"]
    assert summary["heldout_mean_return"] == undisturbed["heldout_mean_return"]
    assert not (folder / "study.sqlite").exists()
    if ranks is None:
        _looked_at(veldt, postgres, url)


def _looked_at(veldt, postgres, url):
    """What finds the log without being told where it is."""
    status = veldt.summary("study", "status", "s")
    assert status["trials"] == 6 and status["finished"]
    assert len(veldt.summary("study", "top", "s")["trials"]) == 6
    assert len(veldt("study", "export", "s").stdout.splitlines()) == 7
    veldt.summary("report", "s")
    wrong = veldt("study", "extend", "s", "--to", "2000")
    assert wrong.returncode == 2 and "none of the best" in wrong.stderr
    postgres.stop()
    try:
        down = veldt("study", "status", "s")
        assert down.returncode == 2 and "Traceback" not in down.stderr
        assert "postgresql://veldt@" in down.stderr and "No such file" in down.stderr
    finally:
        postgres.start()


def test_a_password_in_the_url_is_not_written_down(veldt, recipe, postgres):
    url = postgres.database()
    postgres.guarded(url, "s3same")
    postgres.ask(url, "GRANT CREATE ON SCHEMA public TO guarded")
    guarded = postgres.url(url.rpartition("/")[2], "guarded", "s3same")
    line = ("search", recipe, "--set", 'stages=[{method = "random", trials = 1}]')
    summary = veldt.summary(*line, "--out", "s", "--store", guarded)
    assert summary["trials"] == 1  # its report is made by the same process, which knows it
    files = [path for path in (veldt.folder / "s").rglob("*") if path.is_file()]
    assert len(files) > 10 and not [path for path in files if b"s3same" in path.read_bytes()]
    refused = veldt("study", "status", "s")
    assert refused.returncode == 2 and "no password supplied" in refused.stderr
    veldt.environment |= {"PGPASSWORD": "s3same"}
    assert veldt.summary("study", "status", "s")["trials"] == 1


def test_what_cannot_be_done_leaves_nothing_behind(veldt, recipe, postgres):
    line = ("search", recipe, "--out", "s", "--store")
    wrong = veldt(*line, "mysql://u:secret@h/d")
    assert wrong.returncode == 2 and "expected postgresql://" in wrong.stderr
    assert "secret" not in wrong.stderr
    missing = veldt(*line, postgres.url("nowhere"))
    assert missing.returncode == 2 and 'database "nowhere" does not exist' in missing.stderr
    refused = veldt(*line, "postgresql://u@127.0.0.1:9/d")
    assert refused.returncode == 2 and "refused" in refused.stderr
    assert not (veldt.folder / "s").exists() or not list((veldt.folder / "s").iterdir())
    evolve = veldt("search", "ars/swimmer", "--store", postgres.url("nowhere"))
    assert evolve.returncode == 2 and "--store is for a study" in evolve.stderr


@pytest.mark.slow
def test_a_second_coordinator_of_a_copied_folder(veldt, recipe, until, postgres):
    line = ("search", recipe, "--out")
    process = veldt.start(*line, "s", "--store", postgres.database())
    folder, copy = veldt.folder / "s", veldt.folder / "copy"
    until(lambda: results(folder))
    copy.mkdir()
    for name in ("settings.json", "store.json"):
        (copy / name).write_bytes((folder / name).read_bytes())
    process.send_signal(signal.SIGSTOP)  # it is not to end before the other has looked
    second = veldt(*line, "copy", "--resume")
    process.send_signal(signal.SIGCONT)
    assert second.returncode == 2 and "another process is at work on study s-" in second.stderr
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, err
    again = veldt.summary(*line, "s", "--resume")
    assert json.loads((folder / "summary.json").read_text()) == {
        name: again[name] for name in json.loads((folder / "summary.json").read_text())
    }
