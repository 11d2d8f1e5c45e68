"""Schedulers: their tables, whom they let go on, and that a study under them is its log alone."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from tests.reference.simulated_curves import (
    SCHEDULERS,
    Curves,
    Drifting,
    JobOf,
    R,
    run,
    settings,
    spent,
)
from veldt.platform.errors import InputError, Interrupted, SettingsError
from veldt.platform.keys import Key
from veldt.search.coordinator import conduct
from veldt.search.journal import Journal, read
from veldt.search.schedulers import halving, pbt
from veldt.search.simulator import Simulator
from veldt.search.study import Study
from veldt.search.view import View


@pytest.mark.parametrize("eta", [2, 3, 4])
def test_hyperband_s_table_is_exact(eta):
    for units in [*range(3, 300), *(eta**k + d for k in range(2, 13) for d in (-1, 0, 1)), 10**6]:
        if not 3 <= units <= 10**6:
            continue
        found = halving.table(units, eta)
        s_max = next(s for s in itertools.count() if eta ** (s + 1) > units)
        assert len(found) == s_max + 1
        for s, bracket in zip(range(s_max, -1, -1), found, strict=True):
            n = math.ceil(Fraction((s_max + 1) * units, units) * Fraction(eta**s, s + 1))
            assert bracket == [
                (math.floor(Fraction(n, eta**i)), Fraction(units, eta**s) * eta**i)
                for i in range(s + 1)
            ]
            assert bracket[-1][1] == units and bracket[-1][0] >= 1


def test_hyperband_s_table_is_the_journal_s():
    assert [bracket[0][0] for bracket in halving.table(81, 3)] == [81, 34, 15, 8, 5]
    assert halving.table(81, 3)[0] == [(81, 1), (27, 3), (9, 9), (3, 27), (1, 81)]


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_study_is_its_log(tmp_path, name):
    """Interrupted after every event and rebuilt, it comes to the same log."""
    made = settings(SCHEDULERS[name], trials=14, heldout={"finalists": 2, "validations": 4})
    durations = Curves(noise=3.0, seconds=lambda job: 1.0 + job.segment * 0.37 % 1.0)
    whole, summary, _ = run(tmp_path / "whole", made, durations, workers=1)
    events = [e for e in read(tmp_path / "whole" / "study.sqlite")]
    kinds = ("trial", "segment", "report", "pausing", "result")
    story = [(e.kind, e.body) for e in events if e.kind in kinds]
    limit, polls = 0, 0
    cut = tmp_path / "cut"
    while True:
        polls = 0

        def stop():
            nonlocal polls
            polls += 1
            return polls > (12 if name in ("median", "curve") else 2)

        try:
            _, again, _ = run(cut, made, durations, workers=1, stop=stop)
            break
        except Interrupted:
            limit += 1
            assert limit < 2_000
    assert limit > 5
    told = [(e.kind, e.body) for e in read(cut / "study.sqlite") if e.kind in kinds]
    if name not in ("median", "curve"):  # there a segment that begins anew reports anew
        assert told == story
        assert again["fingerprint"] == summary["fingerprint"]
    assert again["best_trial"] == summary["best_trial"]


def test_every_worker_count_of_a_waiting_schedule_chooses_alike(tmp_path):
    made = settings(SCHEDULERS["halving"], trials=18)
    found = [run(tmp_path / str(n), made, Curves(noise=3.0), workers=n)[1] for n in (1, 2, 5)]
    assert len({summary["fingerprint"] for summary in found}) == 1


def test_halving_spends_a_fraction_and_finds_the_best(tmp_path):
    study, summary, _ = run(tmp_path / "h", settings(SCHEDULERS["halving"], trials=18), Curves())
    view = study.view
    assert len(view.trials) == 18
    reached = sorted((t.frames for t in view.trials.values()), reverse=True)
    assert reached == [R] * 2 + [R // 3] * 4 + [R // 9] * 12
    assert spent(view) == 2 * (9 * R // 9 + 3 * (R // 3 - R // 9) + (R - R // 3))
    for trial in view.trials.values():
        rung = trial.frames
        rivals = [
            t
            for t in view.trials.values()
            if t.number // 9 == trial.number // 9 and t.frames > rung
        ]
        assert all(t.scores[rung] >= trial.scores[rung] for t in rivals)


def test_asha_promotes_the_best_third_of_every_rung(tmp_path):
    made = settings({"name": "asha", "rungs": 3}, trials=200)
    study, _, crew = run(tmp_path / "a", made, Curves(noise=2.0), workers=4)
    for rung, longer in ((R // 9, R // 3), (R // 3, R)):
        there = [t for t in study.view.trials.values() if rung in t.scores]
        on = [t for t in there if longer in t.scores]
        assert len(there) // 3 <= len(on) <= len(there) // 3 + 12  # early ones, by fewer rivals
        best = sorted(there, key=lambda t: -t.scores[rung])[: len(there) // 3]
        assert set(t.number for t in best) <= {t.number for t in on}
    assert crew.utilisation > 0.95


def test_promotion_finds_slow_winners_where_stopping_loses_them(tmp_path):
    """Curves that cross: who wins in the end is in the best third of the first rung, but not
    among the first who came there."""
    landscape, wins = Curves(crossing=True), {"asha": 0, "stopping": 0, "there": 0}
    for seed in range(20):
        made = settings({"name": "asha", "rungs": 3}, trials=120, seed=seed)
        study, _, _ = run(tmp_path / f"a{seed}", made, landscape, workers=4)
        if max(landscape.score(JobOf(t), R) for t in study.view.trials.values()) < 90.0:
            continue  # no winner was drawn
        wins["there"] += 1
        wins["asha"] += study.view.best.score > 90.0
        wins["stopping"] += _stopping(study.view) > 90.0
    assert wins["asha"] == wins["there"] >= 10 and wins["stopping"] <= wins["asha"] - 3, wins


def _stopping(view):
    """The best final score when a trial that is not in the best third of those before it at a
    rung is stopped for ever: ASHA's other kind, as most libraries have it."""
    landscape, best = Curves(crossing=True), -math.inf
    seen = {R // 9: [], R // 3: []}
    for trial in view.trials.values():
        for rung in (R // 9, R // 3):
            score = landscape.score(JobOf(trial), rung)
            seen[rung].append(score)
            rank = sum(other > score for other in seen[rung])
            if rank >= max(1, len(seen[rung]) // 3):
                break
        else:
            best = max(best, landscape.score(JobOf(trial), R))
    return best


def test_the_median_rule_pauses_those_below(tmp_path):
    study, _, _ = run(tmp_path / "m", settings(SCHEDULERS["median"], trials=30), Curves())
    paused = [t for t in study.view.trials.values() if t.state == "paused"]
    done = [t for t in study.view.trials.values() if t.state == "done"]
    assert 8 <= len(paused) <= 22 and len(paused) + len(done) == 30
    assert spent(study.view) < 0.75 * 30 * R
    final = {t.number: Curves().score(JobOf(t), R) for t in study.view.trials.values()}
    assert max(final.values()) == max(final[t.number] for t in done)


def test_pbt_follows_what_no_fixed_setting_can(tmp_path):
    grid = [_fixed(rate) for rate in np.linspace(-5, -1, 81)]
    for seed in range(3):
        made = settings({"name": "pbt", "population": 8, "stretches": 18}, seed=seed)
        study, _, _ = run(tmp_path / f"p{seed}", made, Drifting(), workers=2)
        view = study.view
        best = max(t.score for t in view.trials.values() if t.state == "done")
        assert best > 1.1 * max(grid), seed
    winner = view.best
    line = pbt.lineage(view, winner)
    assert len(line) > 2 and line[0][0].parent is None
    for (parent, left), (child, _) in itertools.pairwise(line):
        assert child.parent == (parent.number, left) and left in parent.scores
    assert len(pbt.members(view)) == 8
    for trial in view.trials.values():
        low, high = 1e-5, 1e-1
        assert low <= trial.point["optimizer.learning_rate"] <= high


def _fixed(rate):
    """The final score of one rate from beginning to end."""
    total = 0.0
    for i in range(18):
        total += math.exp(-2.0 * abs(rate - (-2.0 - 2.0 * i / 18))) / 18
    return total


def test_pbt_searches_nothing_that_a_checkpoint_depends_on():
    space = {"actors.unroll_length": {"kind": "integer", "low": 5, "high": 40}}
    with pytest.raises(SettingsError, match="steps of an update cannot be searched"):
        settings(SCHEDULERS["pbt"], space=space)
    hidden = {"kind": "choice", "values": [[16], [32]]}
    with pytest.raises(SettingsError, match=r"agent.network cannot be searched"):
        settings(SCHEDULERS["pbt"], space={"agent.network.hidden": hidden})
    settings(SCHEDULERS["asha"], space={"agent.network.hidden": hidden})


def test_pbt_without_selection_follows_nothing(tmp_path, monkeypatch):
    def never(self, view, line, member):
        trial = line[member][-1]
        return halving.Continue(trial.number, self._end(trial.frames))

    monkeypatch.setattr(pbt.Pbt, "_after", never)
    made = settings({"name": "pbt", "population": 8, "stretches": 18})
    study, _, _ = run(tmp_path / "p", made, Drifting(), workers=4)
    best = max(t.score for t in study.view.trials.values())
    assert best <= max(_fixed(rate) for rate in np.linspace(-5, -1, 81)) + 1e-9


def test_races_end_when_somebody_is_clearly_worse(tmp_path):
    held = {"finalists": 3, "validations": 8, "tests": 2}
    study, summary, _ = run(
        tmp_path / "r", settings(SCHEDULERS["whole"], trials=12, heldout=held), Curves(noise=0.5)
    )
    counts = {t: len(study.view.proofs("validate", t)) for t in study.proving.finalists}
    assert min(counts.values()) >= 3 and sum(counts.values()) < 24
    assert summary["best_trial"] in counts
    assert len(study.view.proofs("test", summary["best_trial"])) == 2


def test_a_view_is_what_its_events_say(tmp_path):
    study, _, _ = run(tmp_path / "v", settings(SCHEDULERS["pbt"]), Drifting())
    again = View(R, read(tmp_path / "v" / "study.sqlite"))
    assert again.trials == study.view.trials and again.results == study.view.results
    assert Key(0) and not list(again.open())


def test_a_stretch_that_begins_anew_reports_anew_and_may_be_paused_anew():
    view = View(R)
    view.take("trial", {"number": 0, "point": {}})
    view.take(
        "segment",
        {"number": 0, "trial": 0, "purpose": "tune", "replicate": 0} | {"begin": 0, "end": R},
    )
    trial = view.trials[0]
    for frames, value in ((10, 1.0), (20, 2.0), (30, 3.0)):
        view.take("report", {"segment": 0, "frames": frames, "value": value})
    view.take("pausing", {"segment": 0})
    assert trial.pausing
    view.take("start", {"segment": 0, "attempt": 1, "worker": 0})
    assert not trial.pausing
    view.take("report", {"segment": 0, "frames": 20, "value": 2.5})
    assert trial.reports == [(10, 1.0), (20, 2.5)]


def test_who_is_asked_to_go_on_twice_goes_on_once(tmp_path):
    """Also when half of it is done; and another winner is proved for itself."""
    made = settings(
        SCHEDULERS["whole"],
        trials=6,
        train={"frames": R, "environment": {"id": "CartPole-v1"}, "optimizer": {"anneal": False}},
    )
    run(tmp_path / "e", made, Curves())

    def extended(top, stop=lambda: False):
        journal = Journal(tmp_path / "e" / "study.sqlite")
        study = Study(made, tmp_path / "e", journal, lambda kind, body: None)
        try:
            study.extend(top, 2 * R)
            return study, conduct(study, Simulator(Curves(), 1), stop)
        finally:
            journal.close()

    polls = iter(range(100))
    with pytest.raises(Interrupted):
        extended(3, lambda: next(polls) >= 1)  # one of the three is done
    study, summary = extended(3)
    assert len(study.view.extensions) == 1
    assert [t.frames for t in study.view.scored[:4]] == [2 * R] * 3 + [R]
    assert spent(study.view) == 6 * R + 3 * R and summary["heldout_episodes"] == 1
    study, again = extended(4)
    assert len(study.view.extensions) == 2 and again["best_trial"] == summary["best_trial"]
    tested = [s for s in study.view.segments.values() if s.purpose == "test"]
    assert [s.end for s in tested] == [R, 2 * R]  # the same winner is not proved again
    with pytest.raises(InputError, match="none of the best 4 trials is shorter"):
        extended(4)


@pytest.mark.parametrize(
    ("scheduler", "words"),
    [
        ({"name": "ahsa"}, "'asha'"),
        ({"eta": 3}, "scheduler.name"),
        ({"name": "asha", "eta": 1}, "scheduler.eta"),
        ({"name": "asha", "rungs": 2, "brackets": 3}, "more than the 2 rungs"),
        ({"name": "hyperband"}, "least_frames"),
    ],
)
def test_schedulers_that_are_none(scheduler, words):
    with pytest.raises(Exception, match=words) as caught:
        settings(scheduler)
    assert isinstance(caught.value, SettingsError) or "asha" in words
