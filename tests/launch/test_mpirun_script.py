"""launch/mpirun.sh: what it starts, and a training and a search by a host file of this machine."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from veldt.launch import mpi

SCRIPT = pathlib.Path(__file__).parents[2] / "launch" / "mpirun.sh"
HOSTS = "# all of it\nlocalhost slots=3\n"


@pytest.fixture
def script(veldt):
    """script(*arguments): starts it, with a command `veldt` that is this tree's."""
    commands = veldt.folder / "commands"
    commands.mkdir()
    (commands / "veldt").write_text(
        f'#!/usr/bin/env bash\nexec {sys.executable} -P -m veldt.launch.cli "$@"\n'
    )
    (commands / "veldt").chmod(0o755)
    beside = os.path.dirname(mpi.mpirun())
    veldt.environment["PATH"] = f"{commands}:{beside}:{os.environ['PATH']}"
    (veldt.folder / "hosts").write_text(HOSTS)
    return lambda *arguments: veldt.start_line(["bash", str(SCRIPT), *map(str, arguments)])


@pytest.mark.parametrize(
    ("work", "recipe", "options", "field", "value"),
    [
        ("train", "catch", ("frames=2000", "learner.batch=2"), "frames", 2048),
        ("search", "cma/sphere", ("generations=30",), "ranks", 3),
    ],
)
def test_what_is_done_on_the_hosts_of_a_file(veldt, script, work, recipe, options, field, value):
    assignments = [word for option in options for word in ("--set", option)]
    job = script("hosts", work, recipe, "run", *assignments, "--json")
    out, said = job.communicate(timeout=240)
    assert job.returncode == 0, said
    assert json.loads(out)[field] == value
    if recipe == "catch":  # a learner first, and two actors
        assert said.count("joins with 1 actors") == 2
    assert (veldt.folder / "run" / "summary.json").exists()


def test_a_learner_has_its_actors_and_what_is_said_goes_before_that(veldt, script):
    (veldt.folder / "commands" / "mpirun").write_text('#!/usr/bin/env bash\necho "$@"\n')
    (veldt.folder / "commands" / "mpirun").chmod(0o755)
    (veldt.folder / "hosts").write_text("a slots=2 max_slots=4\n\n# c slots=9\nb  slots=3")
    (veldt.folder / "run").mkdir()
    (veldt.folder / "run" / "summary.json").touch()  # which is there in the end
    for work, actors in (("train", "--set actors.count=4 "), ("search", "")):
        job = script("hosts", work, "mine.toml", "run", "--set", "actors.count=9")
        out, said = job.communicate(timeout=60)
        end = f"/veldt {work} mine.toml --out run --resume {actors}--set actors.count=9\n"
        assert out.startswith("--hostfile hosts -n 5 --map-by slot ") and out.endswith(end), said


@pytest.mark.parametrize(
    ("arguments", "hosts", "words"),
    [
        (("hosts", "train", "catch"), HOSTS, "RECIPE OUT"),
        (("hosts", "catch", "run", "--json"), HOSTS, "train or search, not catch"),
        (("none", "train", "catch", "run"), HOSTS, "none: no such file"),
        (("hosts", "train", "catch", "run"), "# nobody\n", "names no host"),
        (("hosts", "train", "catch", "run"), "lab1 slots=2\nlab2\n", "how many ranks lab2 has"),
        (("hosts", "train", "katch", "run"), HOSTS, "'catch'"),
    ],
)
def test_wrong_input(veldt, script, arguments, hosts, words):
    (veldt.folder / "hosts").write_text(hosts)
    job = script(*arguments)
    out, said = job.communicate(timeout=60)
    assert job.returncode == 2 and words in said and not out
    assert not (veldt.folder / "run").exists()


def test_what_is_missing_is_said(veldt, script):
    veldt.environment["PATH"] = "/usr/bin:/bin"
    where = subprocess.run(["bash", "-c", "command -v veldt"], env={"PATH": "/usr/bin:/bin"})
    if where.returncode == 0:
        pytest.skip("this machine has a veldt of its own")
    job = script("hosts", "train", "catch", "run")
    _, said = job.communicate(timeout=60)
    assert job.returncode == 2 and "on PATH" in said
