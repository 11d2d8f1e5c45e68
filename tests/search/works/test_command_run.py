"""Commands at work, in a supervisor's child: what becomes of those that misbehave."""

import os
import signal
import sys

import psutil
import pytest

from veldt.search import supervisor as supervisors
from veldt.search.crew import Hands
from veldt.search.settings import SearchSettings
from veldt.search.supervisor import Supervisor
from veldt.search.trial import Job

SAY = 'printf \'{"steps": %d, "value": 1.5}\\n\' $VELDT_STEPS >> $VELDT_REPORTS;'


@pytest.fixture
def start(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisors, "PRELOAD", ("veldt.search.works.command_run",))
    made = []

    def begin(script, run=None, **limits):
        settings = {
            "run": run or ["bash", "-c", script],
            "environment": {"MINE": "{lr}/{seed}"},
            "resume": True,
            "values": {"lr": 0.5},
            "seed": 7,
            "total_steps": 100,
            "frames": 100,
        }
        made.append(Hands([Supervisor()]))
        folder = str(tmp_path / ("job" if len(made) == 1 else f"job{len(made)}"))
        made[-1].start(
            0,
            Job(
                "x", str(tmp_path), settings, {}, 0, folder, listen=True, work="command", **limits
            ),
        )
        return made[-1]

    yield begin
    for one in made:
        one.stop()


def outcome(crew):
    found = (crew.poll(0.05) for _ in range(400))
    return next(x[1] for x in found if x is not None and hasattr(x[1], "final"))


def test_what_it_is_told(start, tmp_path, monkeypatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "3")
    found = outcome(start(f"env; cat $VELDT_SETTINGS; ls $VELDT_FOLDER; {SAY}"))
    assert found.score == 1.5 and found.frames == 100 and found.summary["steps"] == 100
    said = (tmp_path / "job" / "output.txt").read_text()
    for line in ("VELDT_STEPS=100", "VELDT_SEED=7", "VELDT_TRIAL=x", "MINE=0.5/7"):
        assert line in said.splitlines()
    assert '"lr": 0.5' in said and "OMPI_" not in said


@pytest.mark.parametrize(
    ("script", "words", "wrong"),
    [
        ("echo hello >> $VELDT_REPORTS; sleep 600", "cannot be read: 'hello'", True),
        ("echo all is well", "without having reported anything", True),
        ('echo \'{"score": "good"}\' >> $VELDT_REPORTS', "not a number", True),
        ("echo one; echo two >&2; exit 3", "exit code 3:\none\ntwo", False),
        ("kill -9 $$", "SIGKILL", False),
    ],
)
def test_what_goes_wrong_is_said(start, script, words, wrong):
    found = outcome(start(script))
    assert found.score is None and words in found.reason
    assert found.wrong_input == wrong and (wrong or not found.final)


GUEST = """
import sys
from veldt.search.guest import Guest
guest = Guest()
assert guest.settings == {"lr": 0.5} and (guest.seed, guest.steps, guest.trial) == (7, 100, "x")
assert guest.total_steps == 100 and guest.folder.is_dir() and not guest.should_pause()
assert not {"numpy", "torch", "pydantic"} & sys.modules.keys()
guest.report(50, 0.25)
guest.report(60)
guest.score(0.75)
"""


def test_a_guest_in_python(start):
    crew = start("", run=[sys.executable, "-c", GUEST])
    heard = [found[1] for _ in range(100) if (found := crew.poll(0.05)) is not None]
    assert [(x.frames, x.value) for x in heard[:-1]] == [(50, 0.25)]
    assert heard[-1].score == 0.75 and heard[-1].frames == 100, heard[-1].reason


def test_nan_is_a_result(start):
    found = outcome(start("echo '{\"score\": nan}' >> $VELDT_REPORTS"))
    assert found.score is None and found.final and not found.wrong_input
    assert "Diverged" in found.reason


def test_a_program_that_is_not_there(start, tmp_path):
    found = outcome(start("", run=["pyhton"]))
    assert found.wrong_input and "'pyhton'" in found.reason and "PATH" in found.reason
    script = tmp_path / "script"
    script.write_text("echo no first line names an interpreter")
    script.chmod(0o755)
    found = outcome(start("", run=[str(script)]))
    assert found.wrong_input and "interpreter" in found.reason


FAMILY = "set -m; sleep 600 & echo $! > $VELDT_FOLDER/child; echo $$ > $VELDT_FOLDER/pid; wait"


def family(tmp_path, until):
    """The command and a child of its in a process group of its own."""
    files = [tmp_path / "job" / "guest" / name for name in ("pid", "child")]
    until(lambda: all(file.exists() and file.read_text().strip() for file in files))
    return [psutil.Process(int(file.read_text())) for file in files]


def gone(processes):
    return all(not p.is_running() or p.status() == psutil.STATUS_ZOMBIE for p in processes)


def test_nothing_is_left_of_one_that_hangs(start, tmp_path, until):
    crew = start(FAMILY, silence_s=2.0)
    processes = family(tmp_path, until)
    assert len({os.getpgid(p.pid) for p in processes}) == 2
    assert "hung" in outcome(crew).reason
    until(lambda: gone(processes), 10)


@pytest.mark.parametrize("who", ["trial", "zygote"])
def test_nothing_is_left_of_one_whose_parents_are_killed(start, tmp_path, until, who):
    crew = start(FAMILY)
    processes = family(tmp_path, until)
    supervisor = crew._own[0]
    victim = supervisor._child.pid if who == "trial" else supervisor._zygote.pid
    os.kill(victim, signal.SIGKILL)
    assert "SIGKILL" in outcome(crew).reason
    until(lambda: gone(processes), 10)


def test_sigterm_leaves_time(start, tmp_path, until):
    script = "trap 'sleep 1; echo saved > $VELDT_FOLDER/state; exit 0' TERM; "
    crew = start(script + "touch $VELDT_FOLDER/there; while true; do sleep 0.1; done")
    until(lambda: (tmp_path / "job" / "guest" / "there").exists())
    crew.stop()
    assert (tmp_path / "job" / "guest" / "state").read_text() == "saved\n"
    assert not (tmp_path / "job" / "result.json").exists()


def settings(**more):
    return SearchSettings.parse(
        {
            "command": {"run": "prog {lr} '{o}' {seed}", "steps": 10} | more.pop("command", {}),
            "space": {"lr": {"kind": "real", "low": 0, "high": 1}, "o": OPTIMISERS},
            "stages": [{"method": "random", "trials": 2}],
        }
        | more
    )


OPTIMISERS = {
    "kind": "choice",
    "values": [{"name": "sgd"}, {"name": "adam", "beta": {"kind": "real", "low": 0, "high": 1}}],
}


def test_a_space_that_is_nested():
    made = settings()
    assert SearchSettings.parse(made.dump()) == made and made.frames == 10
    found = {
        tuple(made.work.settings(point, 1, {})["values"]["o"]) for point in made.searched.corners()
    }
    assert found == {("name",), ("name", "beta")}


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"command": {"run": "prog {lrr}"}}, r"command.run.1: .*'lrr'.*'lr'"),
        ({"command": {"run": "prog {o.beta}"}}, "'o.beta'"),
        ({"command": {"run": "prog '"}}, "command.run: No closing"),
        ({"command": {"run": ""}}, "command.run"),
        ({"command": {"steps": 0}}, "command.steps"),
        ({"command": {"environment": {"A": "{x}"}}}, "command.environment.A"),
        ({"space": {"seed": {"kind": "real", "low": 0, "high": 1}}}, "space: seed: .*meaning"),
        ({"heldout": {"settings": {"x": 1}}}, r"heldout.settings.x: expected steps or one of lr"),
        ({"heldout": {"settings": {"steps": 0}}}, "heldout.settings.steps"),
        ({"evaluation": {"episodes": 3}}, "evaluation: a command scores itself"),
        ({"heldout": {"evaluation": {"episodes": 3}}}, "heldout.evaluation: a command scores"),
        ({"train": {"frames": 1}}, "has both"),
        ({"command": None}, "has neither"),
        ({"command": {"resume": False}, "scheduler": "pbt"}, "command.resume"),
    ],
)
def test_wrong_settings_say_what_was_expected(more, words):
    if more.get("command", 0) is None:
        more = {"command": {}} | more
        with pytest.raises(Exception, match=words):
            SearchSettings.parse(settings().dump() | {"command": None})
        return
    with pytest.raises(Exception, match=words):
        settings(**more)
