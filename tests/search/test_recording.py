"""Recorded landscapes: what is played is what was recorded, and schedulers are compared on it."""

import dataclasses
import json

import pytest

from tests.reference.synthetic_recording import FRAMES, recording
from veldt.launch import schedule_comparison as comparison
from veldt.platform.errors import InputError
from veldt.platform.keys import Key
from veldt.search.recording import Recorded, load, save
from veldt.search.schedulers import rungs
from veldt.search.space.space import Space
from veldt.search.trial import Job

MADE = recording()


def job(point, name="trial-0000", until=None, **more):
    bound = Space(MADE.space).bind(MADE.train, MADE.points[point])
    return Job(name, "x", bound, {}, 0, f"x/{name}", until=until, **more)


def test_a_file_is_the_same_each_time_and_small(tmp_path):
    save(tmp_path / "one.json.gz", MADE)
    save(tmp_path / "two.json.gz", MADE)
    one = (tmp_path / "one.json.gz").read_bytes()
    assert one == (tmp_path / "two.json.gz").read_bytes() and len(one) < 100_000
    assert load(tmp_path / "one.json.gz") == MADE
    (tmp_path / "junk.json.gz").write_bytes(one[:100])
    for name in ("junk.json.gz", "none.json.gz"):
        with pytest.raises(InputError, match="not a recorded landscape"):
            load(tmp_path / name)


def test_a_whole_training_is_its_stretches():
    """Each point answers for itself; a stretch costs the difference and ends at a checkpoint."""
    for point in (0, 7, 20):
        whole = Recorded(MADE, Key(1)).play(job(point))
        landscape, seconds = Recorded(MADE, Key(1)), 0.0
        seed = landscape.seed(point, "tune")
        for until, checkpoint in ((FRAMES // 9, 1), (FRAMES // 3, 5), (None, 19)):
            played = landscape.play(job(point, until=until))
            seconds += played.seconds
            assert played.outcome.score == MADE.returns[point][seed][checkpoint]
            assert played.outcome.frames == (until or FRAMES)
        assert seconds == pytest.approx(whole.seconds) == MADE.seconds[point][seed][-1]
        reported = [report.frames for _, report in whole.reports]
        assert reported == MADE.frames[1:-1]  # at the first nothing was known
        after, last = whole.reports[4]
        assert after == pytest.approx(MADE.seconds[point][seed][5])
        paused = Recorded(MADE, Key(1)).paused(job(point), last)
        assert (paused.score, paused.frames) == (MADE.returns[point][seed][5], MADE.frames[5])


def test_what_diverged_has_a_score_before_and_none_after():
    landscape = Recorded(MADE, Key(1))
    assert landscape.play(job(5, until=FRAMES // 3)).outcome.score is not None
    failed = landscape.play(job(5)).outcome
    assert failed.score is None and failed.final and "Diverged" in failed.reason


def test_seeds_that_tune_validate_and_test_are_disjoint():
    made = recording(points=8, seeds=5)
    for repeat in range(5):
        landscape = Recorded(made, Key(repeat))
        for point in range(8):
            used = [landscape.seed(point, "tune"), landscape.seed(point, "test")]
            used += [landscape.seed(point, "validate", n) for n in range(3)]
            assert sorted(used) == [0, 1, 2, 3, 4]
        names = {"trial-0001": "tune", "validate-0001-0": "validate", "winner": "test"}
        for name, purpose in names.items():
            score = landscape.play(job(3, name)).outcome.score
            assert score == made.returns[3][landscape.seed(3, purpose)][-1]
    with pytest.raises(InputError, match="3 validation"):
        landscape.seed(0, "validate", 3)
    with pytest.raises(InputError, match="takes 3"):
        Recorded(recording(points=4, seeds=2), Key(0))


def test_a_population_cannot_be_replayed():
    with pytest.raises(InputError, match="population-based"):
        Recorded(MADE, Key(0)).play(job(0, parent=("x", 1)))
    assert not {"pbt", "pb2"} & set(comparison.policies(MADE))
    assert {"asha", "halving", "hyperband", "median", "whole"} < set(comparison.policies(MADE))


def mean_regret(name, repeats=12):
    policy = comparison.policies(MADE)[name]
    found = [comparison.replayed(MADE, policy, repeat)[12] for repeat in range(repeats)]
    return sum(each.regret for each in found) / repeats


def test_replays_are_the_same_each_time_and_early_ends_beat_random(monkeypatch):
    policies = comparison.policies(MADE)
    for name in ("asha-2", "median"):
        one = comparison.replayed(MADE, policies[name], 3)
        assert one == comparison.replayed(MADE, policies[name], 3)
        assert list(one) == [6, 12, 24, 48]
    default = comparison.defaults(MADE, 3)
    assert default == comparison.defaults(MADE, 3) and list(default) == [6, 12, 24, 48]
    random = comparison.replayed(MADE, policies["whole"], 3)
    assert [found.trials for found in random.values()] == [6, 12, 24, 48]
    regret = mean_regret("whole")
    assert mean_regret("asha") < 0.75 * regret
    take = rungs.Rung.take

    def worst_first(self, trial):
        scores = {frames: -score for frames, score in trial.scores.items()}
        take(self, dataclasses.replace(trial, scores=scores))

    monkeypatch.setattr(rungs.Rung, "take", worst_first)
    assert mean_regret("asha") > 2.0 * regret


def test_who_is_raced_claims_less():
    """The highest of many noisy scores promises too much; the validation of a few does less."""
    noisy = recording(points=64, seeds=3, noise=60.0, diverging=False)
    whole = {"name": "whole"}
    found = [comparison.replayed(noisy, whole, repeat)[48] for repeat in range(8)]
    optimism = sum(each.optimism for each in found) / 8
    raced = sum(each.raced_optimism for each in found) / 8
    assert optimism > 0.05 and raced < 0.7 * optimism


def test_the_command_says_what_was_wrong(tmp_path, monkeypatch, capsys):
    save(tmp_path / "r.json.gz", recording(points=8))
    wrong = {("--only", "pbt"): "pbt", ("--repeats", "0"): "1 or more"}
    for more, words in wrong.items():
        monkeypatch.setattr("sys.argv", ["x", str(tmp_path / "r.json.gz"), *more])
        with pytest.raises(SystemExit, match="2"):
            comparison.main()
        assert words in capsys.readouterr().err.splitlines()[-1]
    line = ["x", str(tmp_path / "r.json.gz"), "--repeats", "1", "--only", "asha", "--json"]
    monkeypatch.setattr("sys.argv", line)
    comparison.main()
    found = json.loads(capsys.readouterr().out)["synthetic"]
    assert list(found["schedulers"]) == ["whole", "asha", "default"]
    ratio = found["schedulers"]["default"]["12"]["raced_regret"]
    ratio /= max(1e-9, found["schedulers"]["whole"]["12"]["regret"])
    assert found["default_by_random_12"] == pytest.approx(ratio)
