"""Past studies as a beginning: what is read of them, what comes first, and that it helps."""

import itertools
import logging
import shutil
from fractions import Fraction

import numpy as np
import pytest

from veldt.platform.errors import InputError, SettingsError
from veldt.platform.keys import Key
from veldt.platform.runs import RunFolder, read_settings
from veldt.search import past_studies
from veldt.search.conformance import check
from veldt.search.journal import Journal
from veldt.search.past_studies import chosen, settled
from veldt.search.portfolio import Portfolio, PortfolioSettings, greedy, ranked, regrets
from veldt.search.settings import SearchSettings
from veldt.search.space.notation import Choice, Integer, LogReal
from veldt.search.space.space import Space

RATE = {"optimizer.learning_rate": {"kind": "log", "low": 1e-5, "high": 1e-1}}


def study(folder, trials, frames=100, forks=()):
    """A study's log: points with their scores, None for one that failed, or [score, frames]."""
    folder.mkdir(parents=True)
    journal = Journal(folder / "study.sqlite")
    journal.add("session", workers=1, trials=0, best_score=None)
    for number, (point, score) in enumerate(trials):
        score, end = score if isinstance(score, list) else (score, frames)
        parent = [0, 50] if number in forks else None
        journal.add("trial", number=number, point=point, question=number, parent=parent, stage=0)
        segment = {"number": number, "trial": number, "purpose": "tune", "replicate": 0}
        journal.add("segment", **segment, begin=0, end=end, extension=0)
        result = {"score": score, "frames": end, "summary": {}, "reason": "diverged"}
        journal.add("result", name=f"trial-{number:04d}", segment=number, **result)
    journal.append("pause")
    journal.close()
    return str(folder)


def rates(*values):
    """The best first."""
    return [({"optimizer.learning_rate": rate}, float(-i)) for i, rate in enumerate(values)]


def settings(space=RATE, **more):
    stage = {"method": "portfolio", "trials": 8} | more
    train = {"frames": 1000, "environment": {"id": "CartPole-v1"}}
    return SearchSettings.parse({"train": train, "space": space, "stages": [stage]})


def first_rates(made):
    return [point["optimizer.learning_rate"] for point in made.stages[0].points]


def literal_greedy(regret, count):
    """By the definition, in exact arithmetic, one layer after another."""
    points, studies = range(len(regret)), range(len(regret[0]))
    exact = [[Fraction(value) for value in row] for row in regret.tolist()]
    chosen, layer = [], []

    def mean(portfolio):
        return sum(min(exact[p][s] for p in portfolio) for s in studies) / len(studies)

    while len(chosen) < min(count, len(regret)):
        left = [p for p in points if p not in chosen]
        best = min(left, key=lambda p: (mean([*layer, p]), p))
        if layer and mean([*layer, best]) >= mean(layer):
            layer = []
            continue
        chosen.append(best)
        layer.append(best)
    return chosen


def test_greedy_is_literal_and_near_the_best_there_is():
    for seed in range(30):
        random = np.random.default_rng(seed)
        regret = random.integers(0, 9, (9, 4)) / 8.0
        assert greedy(regret, 7) == literal_greedy(regret, 7)
        for size in (1, 2, 3):
            covered = 1.0 - regret[greedy(regret, size)].min(0).mean()
            best = max(
                1.0 - regret[list(some)].min(0).mean()
                for some in itertools.combinations(range(9), size)
            )
            # Nemhauser, Wolsey and Fisher 1978: of a submodular function, 1 - 1/e.
            assert best >= covered >= (1.0 - 1.0 / np.e) * best
    assert sorted(greedy(np.zeros((3, 2)), 10)) == [0, 1, 2]


def test_ranks_and_the_nearest_trial_s_regret():
    np.testing.assert_allclose(ranked([9, 7, 7, 1]), [0, 1 / 3, 1 / 3, 1])
    np.testing.assert_allclose(ranked([4.0]), [0.0])
    there = np.array([[0.0, 0.0], [1.0, 0.0]])
    found = regrets(
        np.array([[0.2, 0.1], [0.9, 0.5], [1.0, 0.0]]), [(there, np.array([0.1, 0.7]))]
    )
    np.testing.assert_allclose(found[:, 0], [0.1, 0.7, 0.7])


def test_the_portfolio_covers_all_studies_before_it_repeats_one(tmp_path):
    studies = [
        study(tmp_path / "low", rates(1e-5, 1.1e-5, 1e-3, 1e-2, 1e-1)),
        study(tmp_path / "high", rates(1e-1, 0.9e-1, 1e-3, 1e-4, 2e-5)),
    ]
    found = chosen(settings(studies=studies).stages[0], Space(RATE))
    first = [point["optimizer.learning_rate"] for point in found]
    # The best of each; then they are covered once more.
    assert set(first[:2]) == {1e-5, 1e-1} and len(set(first)) == 6
    # One for both comes first if there is room for no more, and it is good in both.
    both = [study(tmp_path / n, rates(*r)) for n, r in (("u", (1e-5, 1e-3, 1e-1)),)]
    both.append(study(tmp_path / "v", rates(1e-1, 1.1e-3, 1e-2, 1e-4, 1e-5)))
    found = chosen(settings(studies=both, trials=1).stages[0], Space(RATE))
    assert found[0]["optimizer.learning_rate"] == 1e-3


def test_those_that_came_furthest_are_the_best_and_failures_are_the_worst(tmp_path):
    trials = [
        ({"optimizer.learning_rate": 1e-2}, [50.0, 100]),
        ({"optimizer.learning_rate": 1e-3}, [10.0, 900]),
        ({"optimizer.learning_rate": 1e-4}, None),
        ({"optimizer.learning_rate": 1e-5}, [-70.0, 100]),
    ]
    path = study(tmp_path / "old", trials)
    made = settled(settings(studies=[path]), tmp_path / "new")
    assert first_rates(made) == [1e-3, 1e-2, 1e-5]
    # One whose score is not its own point's alone is left out.
    path = study(tmp_path / "forked", rates(1e-2, 1e-3, 1e-4), forks=[0, 2])
    assert first_rates(settled(settings(studies=[path]), tmp_path / "new")) == [1e-3]


def test_points_that_do_not_fit_are_left_out_with_a_reason(tmp_path, caplog):
    trials = [*rates(1e-6, 1e-3, 1.0, 1e-2), ({"optimizer.epsilon": 0.1}, 99.0)]
    path = study(tmp_path / "old", trials)
    with caplog.at_level(logging.WARNING, "veldt"):
        made = settled(settings(studies=[path]), tmp_path / "new")
    assert first_rates(made) == [1e-3, 1e-2]
    assert "3 of 5 trials are no points of this space" in caplog.text
    assert "optimizer.learning_rate: a decision is missing" in caplog.text
    none = study(tmp_path / "none", rates(1e-6, 1.0))
    made = settled(settings(studies=[path, none]), tmp_path / "new")
    assert first_rates(made) == [1e-3, 1e-2]
    with pytest.raises(InputError, match=r"1e-06 is not a number from 1e-05 to 0\.1"):
        settled(settings(studies=[none]), tmp_path / "new")


def test_wrong_past_studies_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file; is .*missing the folder of a search"):
        settled(settings(studies=[str(tmp_path / "missing")]), tmp_path / "new")
    study(tmp_path / "failed", [({"optimizer.learning_rate": 1e-3}, None)])
    with pytest.raises(InputError, match="none of its trials has a score"):
        settled(settings(studies=[str(tmp_path / "failed")]), tmp_path / "new")
    assert settings(studies="runs/old").stages[0].studies == ("runs/old",)
    with pytest.raises(SettingsError, match="name the folders of past studies"):
        settings()
    points = [{"optimizer.learning_rate": 5.0}]
    with pytest.raises(InputError, match=r"stages\.0\.points\.0: .* 5\.0 is not a number"):
        settled(settings(points=points), tmp_path / "new")


def test_a_study_that_has_begun_needs_the_past_no_more(tmp_path):
    old = study(tmp_path / "old", rates(1e-3, 1e-2, 1e-4))
    wished = settings(studies=[old])
    folder = tmp_path / "new"
    made = settled(wished, folder)
    RunFolder(folder, made.dump(), resume=False).close()
    shutil.rmtree(old)
    assert settled(wished, folder) == made == SearchSettings.parse(read_settings(folder))
    RunFolder(folder, settled(wished, folder).dump(), resume=True).close()
    with pytest.raises(InputError, match="no such file"):
        settled(wished, tmp_path / "another")
    with pytest.raises(InputError, match="--resume keeps a run's settings"):
        others = settled(settings(studies=[old], trials=7), folder)
        RunFolder(folder, others.dump(), resume=True)
    # A folder of something else is refused by whoever claims it.
    (tmp_path / "training").mkdir()
    RunFolder(tmp_path / "training", {"frames": 3}, resume=False).close()
    study(tmp_path / "old", rates(1e-3))
    assert settled(wished, tmp_path / "training").stages[0].points


def test_a_quarter_of_the_questions_ignores_the_past():
    made = PortfolioSettings(
        trials=16, points=tuple(p for p, _ in rates(*np.logspace(-4, -2, 20)))
    )
    asking = Portfolio(made, Space(RATE), Key(0), None)
    points = [asking.ask().point for _ in range(16)]
    past = [point in made.points for point in points]
    assert past == [True, True, True, False] * 4 and made.wanted == 12
    assert [p for p, known in zip(points, past, strict=True) if known] == list(made.points[:12])
    few = Portfolio(made.model_copy(update={"points": made.points[:2]}), Space(RATE), Key(0), None)
    assert [few.ask().point in made.points for _ in range(5)] == [True, True, False, False, False]
    assert PortfolioSettings(trials=9, points=made.points, random=0.0).wanted == 9


MIXED = Space(
    {
        "n": Integer(low=1, high=64, log=True),
        "rate": LogReal(low=1e-5, high=1e-1),
        "way": Choice(
            values=(
                {"name": "smooth", "x": {"kind": "real", "low": -1.0, "high": 1.0}},
                {"name": "steep", "y": {"kind": "real", "low": -1.0, "high": 1.0}},
            )
        ),
    }
)


def landscape(seed):
    """Of a family: where the best lies differs a little."""
    random = np.random.default_rng(seed)
    centre = np.array([0.8, 0.2, 0.0, 0.0, 0.0, 0.9]) + 0.05 * random.normal(size=6)

    def score(point):
        steep = point["way"] == "steep"
        distance = np.abs(MIXED.encode(point) - centre)[[0, 1, -1] if steep else [0, 1]]
        return -float(distance.sum()) - (not steep)

    return score


def test_conformance():
    random = np.random.default_rng(0)
    points = tuple(MIXED.sample(random) for _ in range(6))
    check(Portfolio, PortfolioSettings(trials=10, points=points), MIXED)


@pytest.mark.parametrize("right", [True, False])
def test_what_was_good_elsewhere_is_better_than_random(tmp_path, right, monkeypatch):
    """And with the ranks upside down it is not."""
    if not right:
        monkeypatch.setattr(past_studies, "ranked", lambda order: 1.0 - ranked(order))
    random, names = np.random.default_rng(0), []
    for old in range(4):
        points = [MIXED.sample(random) for _ in range(100)]
        names.append(study(tmp_path / f"{old}", [(p, landscape(old)(p)) for p in points]))
    made = PortfolioSettings(trials=8, studies=tuple(names))
    made = made.model_copy(update={"points": tuple(chosen(made, MIXED))})
    wins = 0
    for new in range(100, 120):
        asking = Portfolio(made, MIXED, Key(new), None)
        mine = max(landscape(new)(asking.ask().point) for _ in range(8))
        wins += mine > max(landscape(new)(MIXED.sample(random)) for _ in range(8))
    assert wins >= 17 if right else wins <= 5, wins


def test_points_of_a_grammar(tmp_path):
    rules = {"e": {"kind": "choice", "values": ["a", "b", {"name": "two", "of": ["e", "e"]}]}}
    rules["e"]["values"][2]["of"] = [{"kind": "rule", "name": "e"}, {"kind": "rule", "name": "e"}]
    space = Space({"x": {"kind": "rule", "name": "e"}}, rules=rules, depth=4)
    random = np.random.default_rng(1)
    points = [space.sample(random) for _ in range(12)]
    old = study(tmp_path / "old", [(p, float(-len(p))) for p in points])
    found = chosen(PortfolioSettings(trials=4, studies=(old,)), space)
    assert len(found) == 3 and len(found[0]) == min(map(len, points))
