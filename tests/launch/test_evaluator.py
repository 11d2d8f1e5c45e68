"""Evaluations beside a training: all that were due, whatever is killed."""

import json
import os
import signal

from process_family import all_gone, family

from veldt.agents.evaluator import results

SHORT = ("--set", "frames=20000", "--set", "learner.checkpoint_updates=20")
LOCKSTEP = ("--set", "deterministic=true")
EVERY = ("--set", "evaluation.every=6000", "--set", "evaluation.episodes=100")
DUE = [24, 47, 71, 79]  # updates of 256 frames that pass a multiple of 6,000, and the last


def scores(folder):
    return [(found["update"], found["returns"]) for found in results(folder)]


def evaluators(process):
    """The processes that evaluate for a training."""
    return family(process, "veldt-evaluator")


def test_all_that_are_due_whatever_is_killed(veldt, until):
    arguments = (*SHORT, *LOCKSTEP, *EVERY)
    summary = veldt.summary("train", "cartpole", "--out", "whole", *arguments)
    whole = results(veldt.folder / "whole")
    assert [found["update"] for found in whole] == DUE
    assert [found["frames"] for found in whole] == [256 * update for update in DUE]
    assert all(len(found["returns"]) == found["episodes"] == 100 for found in whole)
    assert summary["evaluation_mean_return"] == whole[-1]["mean_return"]
    assert summary["evaluation_update"] == 79
    assert not list((veldt.folder / "whole" / "evaluations").glob("*.safetensors"))

    process = veldt.start("train", "cartpole", "--out", "hurt", *arguments, "--json")
    os.kill(until(lambda: evaluators(process))[0].pid, signal.SIGKILL)  # is tried again
    hurt = veldt.folder / "hurt"
    until(lambda: len(results(hurt)) >= 1 and evaluators(process))
    children = family(process)
    process.kill()
    assert all_gone(children)
    assert len(results(hurt)) < len(DUE)
    veldt.summary("train", "cartpole", "--out", "hurt", "--resume", *arguments)
    assert scores(hurt) == scores(veldt.folder / "whole")

    assert veldt("report", "whole").returncode == 0
    assert "evaluations beside the training" in (veldt.folder / "whole/report.html").read_text()


def test_one_that_cannot_be_made_is_left_out_with_a_word(veldt):
    veldt.summary("train", "cartpole", "--out", "run", *SHORT, *EVERY)
    run = veldt.folder / "run"
    (run / "summary.json").unlink()  # as if it had been killed at the end
    (run / "evaluations" / "000000047.safetensors").write_bytes(b"damaged")
    done = veldt("train", "cartpole", "--out", "run", "--resume", *SHORT, *EVERY)
    assert done.returncode == 0
    assert "evaluation of update 47 ended 3 times without a result" in done.stderr
    assert json.loads((run / "summary.json").read_text())["evaluation_update"] == 79
