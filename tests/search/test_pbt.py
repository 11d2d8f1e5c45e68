"""Population-based training: the first paper's toy, and what IMPALA's authors made of it."""

import itertools
from collections import Counter

import numpy as np
import pytest

from veldt.platform.errors import SettingsError
from veldt.platform.keys import Key
from veldt.search.coordinator import conduct
from veldt.search.journal import Journal, read
from veldt.search.random_search import RandomSearch
from veldt.search.schedulers import pbt
from veldt.search.settings import SearchSettings
from veldt.search.simulator import Played, Simulator
from veldt.search.space import variation, walk
from veldt.search.space.space import Space
from veldt.search.study import Study
from veldt.search.trial import Outcome
from veldt.search.view import View

STEPS, STRETCHES, RATE = 600, 60, 0.01
ENDS = [(1.0, 0.05), (0.05, 1.0)]  # the two h that members begin with, by turns
H = ("agent.entropy_cost", "agent.baseline_cost")
IMPALA = {
    "exploit": "rival",
    "margin": 0.01,
    "mutants": "all",
    "mutation": 1 / 3,
    "resample": 0.0,
}


class Toy:
    """Jaderberg et al. 2017, figure 2: Q = 1.2 - |theta|^2 is to be as high as can be, but a
    member climbs 1.2 - h0 theta0^2 - h1 theta1^2, from (0.9, 0.9)."""

    def __init__(self):
        self.thetas = {}  # folder -> frames -> theta

    def play(self, job):
        end = job.until or STEPS
        if job.parent is not None and job.folder not in self.thetas:
            home, updates = job.parent
            self.thetas[job.folder] = {updates: self.thetas[home][updates]}
        mine = self.thetas.setdefault(job.folder, {0: np.array([0.9, 0.9])})
        agent, theta = job.settings["agent"], mine[max(mine)]
        h = np.array([agent["entropy_cost"], agent["baseline_cost"]])
        for _ in range(end - max(mine)):
            theta = theta - RATE * 2.0 * h * theta
        mine[end] = theta
        score = 1.2 - float(theta @ theta)
        found = {"mean_return": score, "standard_error": 0.0, "episodes": 1, "returns": [score]}
        counts = {"steps": end, "updates": end, "frames": end}
        outcome = Outcome(job.segment, score, frames=end, summary=counts, evaluation=found)
        return Played(1.0 + 0.1 * (job.segment % 7), outcome)


@pytest.fixture
def study(tmp_path, monkeypatch):
    """study(seed, ...) plays the toy and returns the view."""
    monkeypatch.setattr(
        RandomSearch, "point", lambda self, n: dict(zip(H, ENDS[n % 2], strict=True))
    )

    def play(seed=0, workers=2, **scheduler):
        scheduler = {"name": "pbt", "population": 8, "stretches": STRETCHES} | scheduler
        made = SearchSettings.parse(
            {
                "train": {"frames": STEPS, "environment": {"id": "CartPole-v1"}},
                "space": {name: {"kind": "log", "low": 0.05, "high": 1.0} for name in H},
                "stages": [{"method": "random", "trials": scheduler["population"]}],
                "scheduler": scheduler,
                "seed": seed,
            }
        )
        folder = tmp_path / f"{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        journal = Journal(folder / "study.sqlite")
        toy = Toy()
        try:
            book = Study(made, folder, journal, lambda kind, body: None)
            conduct(book, Simulator(toy, workers))
        finally:
            journal.close()
        return View(STEPS, read(folder / "study.sqlite"))

    return play


def highest(view):
    return max(t.score for t in view.trials.values() if t.frames == STEPS)


def alone():
    """What the members come to without one another."""
    return [1.2 - sum((0.9 * (1 - 2 * RATE * h) ** STEPS) ** 2 for h in pair) for pair in ENDS]


VARIANTS = {"jaderberg": {}, "impala": IMPALA}


@pytest.mark.parametrize("name", VARIANTS)
def test_the_first_paper_s_toy(study, name):
    """At least 1.18 of 1.2, where nobody comes to more than 0.96 alone."""
    assert max(alone()) < 0.96
    for seed in range(3):
        view = study(seed, **VARIANTS[name])
        assert highest(view) >= 1.18 > max(alone())
        consistent(view)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("part", ["exploit", "explore"])
def test_half_of_it_does_not_solve_the_toy(study, monkeypatch, name, part):
    if part == "exploit":
        for function in ("truncation", "rival"):
            monkeypatch.setattr(pbt, function, lambda *arguments: None)
    else:
        monkeypatch.setattr(variation, "perturbed", lambda tree, *arguments: tree)
    view = study(0, **VARIANTS[name])
    assert highest(view) < 1.18
    consistent(view)


@pytest.mark.parametrize("workers", [1, 3, 8])
def test_all_begin_before_anybody_goes_on(study, workers):
    """Or the first would be at the end with nobody to be compared with."""
    view = study(0, workers=workers, **IMPALA)
    firsts = [s.trial for s in view.segments.values() if s.purpose == "tune"][:8]
    assert firsts == list(range(8))
    # Nobody is more than a stretch behind while somebody is ahead of the others.
    reached = dict.fromkeys(range(8), 0)
    for segment in (s for s in view.segments.values() if s.purpose == "tune"):
        reached[view.trials[segment.trial].member] = segment.end
        if segment.number >= 8:
            assert max(reached.values()) - min(reached.values()) <= 2 * STEPS // STRETCHES


def consistent(view):
    """Every trial's ancestors follow one another without a gap, from the very beginning."""
    whole = {view.trials[n].frames for n in view.trials}
    assert max(whole) == STEPS and len(pbt.members(view)) == 8
    for trial in view.trials.values():
        line = pbt.lineage(view, trial)
        assert line[0][0].parent is None and line[-1] == (trial, trial.frames)
        for (parent, left), (child, _) in itertools.pairwise(line):
            assert child.parent == (parent.number, left) and left in parent.scores
            assert min(child.scores) > left
    for trials in pbt.members(view).values():
        assert trials[0].parent is None and trials[-1].frames == STEPS
        # Who comes after a trial of the same member begins where that was left.
        for before, after in itertools.pairwise(trials):
            assert after.parent[1] == before.frames


def test_who_goes_on_with_other_settings_is_its_own_parent(study):
    view = study(0, **IMPALA | {"burn_in": 5, "margin": 1e9})
    forks = [trial for trial in view.trials.values() if trial.parent]
    assert len(forks) > 8 * 20
    for fork in forks:
        parent = view.trials[fork.parent[0]]
        assert parent.member == fork.member and parent.point != fork.point
        assert fork.parent[1] >= 5 * STEPS // STRETCHES  # the burn-in
    # The toy's theta depends on h alone: along the lineage it is that of one that never stopped.
    for member in pbt.members(view).values():
        theta, begin = np.array([0.9, 0.9]), 0
        for trial, left in pbt.lineage(view, member[-1]):
            h = np.array([trial.point[name] for name in H])
            for _ in range(left - begin):
                theta, begin = theta - RATE * 2.0 * h * theta, left
        assert member[-1].score == 1.2 - float(theta @ theta)


def test_a_rival_has_to_be_clearly_better(study):
    view = study(1, **IMPALA | {"margin": 0.02})
    copied = 0
    for fork in (trial for trial in view.trials.values() if trial.parent):
        parent, frames = view.trials[fork.parent[0]], fork.parent[1]
        if parent.member == fork.member:
            continue
        own = pbt.at(pbt.members(view)[fork.member], frames)
        assert parent.scores[frames] > own.scores[frames] + 0.02
        copied += 1
    assert copied > 5


@pytest.mark.parametrize(
    ("own", "other", "margin", "relative", "over"),
    [
        (0.50, 0.54, 0.05, False, False),
        (0.50, 0.56, 0.05, False, True),
        (-200.0, -191.0, 0.05, True, False),
        (-200.0, -189.0, 0.05, True, True),
        (100.0, 104.0, 0.05, True, False),
        (100.0, 106.0, 0.05, True, True),
        (1.0, 1.0, 0.0, False, False),
    ],
)
def test_the_margin(own, other, margin, relative, over):
    settings = pbt.PbtSettings(exploit="rival", margin=margin, relative=relative)
    mine, theirs = (
        pbt.Trial(n, {}, 0, member=n, scores={10: s}) for n, s in enumerate((own, other))
    )
    found = pbt.rival(mine, [mine, theirs], 10, settings, Key(0).generator())
    assert (found is theirs) == over and (found is None) == (not over)
    assert pbt.rival(mine, [mine], 10, settings, Key(0).generator()) is None


def test_a_third_of_the_settings_mutates_up_or_down_by_a_fifth():
    """Unbiased: x 1.2 as often as / 1.2, and nothing leaves its bounds."""
    space = Space({name: {"kind": "log", "low": 1e-6, "high": 1.0} for name in "abc"})
    tree = space.tree_of({"a": 1e-3, "b": 1e-3, "c": 1.0})
    random, found = Key(1).generator(), Counter()
    for _ in range(3_000):
        changed = walk.decisions(variation.perturbed(tree, random, 1.2, 0.0, 1 / 3))
        found.update(
            (name, round(value / (1.0 if name == "c" else 1e-3), 4))
            for name, value in changed.items()
        )
    for name in "ab":
        assert {ratio for n, ratio in found if n == name} == {1.0, 1.2, 0.8333}
        assert abs(found[name, 1.0] - 2_000) < 5 * (3_000 * 2 / 9) ** 0.5
        assert abs(found[name, 1.2] - found[name, 0.8333]) < 5 * 1_000**0.5
    assert {ratio for n, ratio in found if n == "c"} == {1.0, 0.8333}


@pytest.mark.parametrize(
    ("scheduler", "words"),
    [
        ({"exploit": "tournament"}, "scheduler.exploit"),
        ({"margin": -0.1}, "scheduler.margin"),
        ({"mutation": 1.5}, "scheduler.mutation"),
        ({"mutants": "none"}, "scheduler.mutants"),
    ],
)
def test_settings_that_are_none(study, scheduler, words):
    with pytest.raises(SettingsError, match=words):
        study(**scheduler)
