"""Searchers that vary one setting at a time: coordinate descent and multi-resolution search."""

import numpy as np
import pytest

from veldt.platform.errors import InputError
from veldt.platform.keys import Key
from veldt.search import coordinate, multi_resolution, neighbours
from veldt.search.catalogue import searcher
from veldt.search.conformance import check
from veldt.search.space.notation import Choice, Integer, LogReal, Real
from veldt.search.space.space import Space

BOTH = ["coordinate", "multi-resolution"]
SIX = Space(
    {
        "a": Real(low=-3.0, high=5.0),
        "b": LogReal(low=1e-6, high=1.0),
        "c": Real(low=0.0, high=1.0),
        "d": LogReal(low=1.0, high=1e4),
        "e": Real(low=10.0, high=20.0),
        "f": Integer(low=1, high=1000, log=True),
    }
)


def build(method, space, seed=0, start=None, **settings):
    made = searcher(method)
    return made(made.Settings.parse({"method": method} | settings), space, Key(seed), start)


def asked(searching, score):
    """Points and scores, each question answered before the next."""
    found = []
    while (question := searching.ask()) is not None:
        found.append((question.point, score(question.point)))
        searching.tell(question.number, found[-1][1])
    assert searching.done
    return found


def bowl(seed):
    """Separable, 0 at its best, which lies anywhere."""
    centre = np.random.default_rng(seed).random(6)
    return lambda point: -float(np.square(SIX.encode(point) - centre).sum())


def best(method, seed, turned=1.0):
    score = bowl(seed)
    found = asked(build(method, SIX, seed, trials=60), lambda point: turned * score(point))
    return max(score(point) for point, _ in found)


@pytest.mark.parametrize("method", BOTH)
def test_a_separable_function_is_climbed_in_60_trials(method):
    found = [best(method, seed) for seed in range(20)]
    assert min(found) > -1e-2, found
    random = [
        max(s for _, s in asked(build("random", SIX, n, trials=60), bowl(n))) for n in (0, 1)
    ]
    assert max(random) < -1e-2


@pytest.mark.parametrize("method", BOTH)
def test_turned_round_it_is_not(method):
    assert max(best(method, seed, turned=-1.0) for seed in range(5)) < -0.1


def test_always_the_same_resolution_is_not_enough(monkeypatch):
    """What zooming in is for."""
    flat = build("multi-resolution", SIX, 3, trials=60, zoom=0.999)
    assert max(score for _, score in asked(flat, bowl(3))) < -1e-2
    places = neighbours.others
    rounded = lambda node, old, f: places(node, old, lambda here: [0, 0.25, 0.5, 0.75, 1])  # noqa: E731
    monkeypatch.setattr(coordinate.neighbours, "others", rounded)
    assert best("coordinate", 3) < -1e-2


PLANE = Space({"x": Real(low=0.0, high=1.0), "y": Real(low=0.0, high=1.0)})


def test_a_setting_is_swept_its_best_value_kept_and_the_next_one_swept():
    score = lambda point: -abs(point["x"] - 0.4) - abs(point["y"] - 0.9)  # noqa: E731
    points = [point for point, _ in asked(build("coordinate", PLANE, trials=13), score)]
    assert points[0] == {"x": 0.5, "y": 0.5}
    first = "x" if points[1]["y"] == 0.5 else "y"
    other = "y" if first == "x" else "x"
    peak = {"x": 0.5, "y": 1.0}
    assert [p[first] for p in points[1:5]] == [0.0, 0.25, 0.75, 1.0]
    assert all(p[other] == 0.5 for p in points[1:5])
    assert [p[other] for p in points[5:9]] == [0.0, 0.25, 0.75, 1.0]
    assert all(p[first] == peak[first] for p in points[5:9])
    # The second round, a third as wide; what lies outside is the border, which is known.
    swept = "x" if points[9]["y"] == 1.0 else "y"
    expected = {"x": [0.33333, 0.41667, 0.58333, 0.66667], "y": [0.83333, 0.91667]}
    assert [p[swept] for p in points[9 : 9 + len(expected[swept])]] == expected[swept]


def test_a_round_of_multi_resolution_goes_every_way_and_then_all_ways_together():
    score = lambda point: -abs(point["x"] - 0.3) - abs(point["y"] - 0.9)  # noqa: E731
    searching = build("multi-resolution", PLANE, trials=20)
    first = searching.ask()
    assert first.point == {"x": 0.5, "y": 0.5} and searching.ask() is None
    searching.tell(0, score(first.point))
    star = [searching.ask() for _ in range(4)]
    assert searching.ask() is None
    found = {tuple(question.point.values()) for question in star}
    assert found == {(0.25, 0.5), (0.75, 0.5), (0.5, 0.25), (0.5, 0.75)}
    for question in star:
        searching.tell(question.number, score(question.point))
    together = searching.ask()
    assert together.point == {"x": 0.25, "y": 0.75} and searching.ask() is None
    searching.tell(together.number, score(together.point))
    found = {tuple(searching.ask().point.values()) for _ in range(4)}
    assert found == {(0.125, 0.75), (0.375, 0.75), (0.25, 0.625), (0.25, 0.875)}


def test_together_may_be_worse_than_alone():
    """Then the best step alone is taken."""
    score = lambda p: p["x"] + 2 * p["y"] - 100 * (p["x"] > 0.5 and p["y"] > 0.5)  # noqa: E731
    points = [point for point, _ in asked(build("multi-resolution", PLANE, trials=10), score)]
    assert points[5] == {"x": 0.75, "y": 0.75}
    assert all(0.125 in (abs(p["x"] - 0.5), abs(p["y"] - 0.75)) for p in points[6:])


TREE = Space(
    {
        "n": Integer(low=1, high=8),
        "layers": {"kind": "repeat", "of": Real(low=0.0, high=1.0), "low": 1, "high": 3},
        "way": Choice(
            values=(
                {"name": "smooth", "x": {"kind": "real", "low": -1.0, "high": 1.0}},
                {"name": "steep", "y": {"kind": "real", "low": -1.0, "high": 1.0}, "z": 1},
                "none",
            )
        ),
    }
)


def in_the_tree(point):
    if point["way"] == "none":
        return None  # such a training fails
    score = -abs(point["n"] - 7) - abs(point["layers"] - 2)
    if point["way"] == "smooth":
        return score - 1.0 - abs(point["way[smooth].x"])
    return score - abs(point["way[steep].y"] + 0.3)


@pytest.mark.parametrize("method", BOTH)
def test_trees_choices_integers_and_failures(method):
    made = searcher(method)
    check(made, made.Settings.parse({"method": method, "trials": 40}), TREE)
    for seed in range(5):
        found = asked(build(method, TREE, seed, trials=80), in_the_tree)
        assert max(score for _, score in found if score is not None) > -0.1
        names = [str(sorted(point.items())) for point, _ in found]
        assert len(names) == len(set(names)), "nothing is asked twice"


@pytest.mark.parametrize("method", BOTH)
def test_a_branch_that_is_not_taken_is_not_varied(method):
    for point, _ in asked(build(method, TREE, trials=60), in_the_tree):
        TREE.tree_of(point)  # raises if there is anything too much
        assert ("way[smooth].x" in point) == (point["way"] == "smooth")


@pytest.mark.parametrize("method", BOTH)
def test_it_begins_at_the_start_and_ends_when_all_is_known(method):
    space = Space({"n": Integer(low=1, high=3), "c": Choice(values=("a", "b"))})
    found = asked(build(method, space, 0, {"n": 3, "c": "b"}, trials=500), lambda p: p["n"])
    assert found[0][0] == {"c": "b", "n": 3}
    assert len(found) == len({tuple(point.values()) for point, _ in found}) == 6


@pytest.mark.parametrize("method", BOTH)
def test_once_it_is_fine_enough_it_begins_anew(method):
    score = lambda point: -abs(point["x"] - 0.4) - abs(point["y"] - 0.9)  # noqa: E731
    found = asked(build(method, PLANE, trials=120, finest=0.02), score)
    distance = np.array([-score for _, score in found])
    fine = int(np.flatnonzero(distance < 0.04)[0])
    assert fine < 60 and distance[fine + 30 :].max() > 0.3


@pytest.mark.parametrize("module", [coordinate, multi_resolution])
def test_a_grammar_is_refused(module):
    rules = {"e": {"kind": "choice", "values": ["end", [{"kind": "rule", "name": "e"}]]}}
    space = Space({"x": {"kind": "rule", "name": "e"}}, rules=rules)
    method = module.__name__.rsplit(".", 1)[-1].replace("_", "-")
    with pytest.raises(InputError, match="no fixed number of coordinates"):
        build(method, space, trials=5)
