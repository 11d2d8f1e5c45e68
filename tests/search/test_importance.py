"""Importance of settings: found where it is, not where it is not, also of conditional ones."""

import pytest

from veldt.platform.keys import Key
from veldt.search.importance import ENOUGH, Importance, importance
from veldt.search.space.space import Space

SPACE = {
    "strong": {"kind": "real", "low": 0.0, "high": 1.0},
    "weak": {"kind": "log", "low": 1e-4, "high": 1.0},
    "none": {"kind": "choice", "values": ["a", "b", True, None]},
}
CONDITIONAL = {
    "none": {"kind": "real", "low": 0.0, "high": 1.0},
    "part": {
        "kind": "choice",
        "values": [
            {"name": "with", "inside": {"kind": "real", "low": 0.0, "high": 1.0}},
            {"name": "without", "other": {"kind": "integer", "low": 1, "high": 9}},
        ],
    },
}


def answers(space, score, count=120, seed=0):
    random = Key(seed).child("test").generator()
    points = [space.sample(random) for _ in range(count)]
    return [(point, score(point)) for point in points]


def test_the_setting_that_decides_comes_first_and_is_beyond_chance():
    space = Space(SPACE)
    found = importance(
        space.tree, answers(space, lambda p: -abs(p["strong"] - 0.3) - 0.02 * p["weak"])
    )
    assert isinstance(found, Importance) and next(iter(found.shares)) == "strong"
    assert sum(found.shares.values()) == pytest.approx(1.0)
    assert found.shares["strong"] > found.chance > max(found.shares["weak"], found.shares["none"])
    # Higher scores are better: where they are low does not matter.
    low = [(point, -score) for point, score in answers(space, lambda p: p["strong"] > 0.9)]
    assert importance(space.tree, low).shares["strong"] < found.shares["strong"]


def test_scores_by_chance_make_nothing_important():
    space = Space(SPACE)
    beyond = 0
    for seed in range(8):
        random = Key(seed).child("scores").generator()
        found = importance(space.tree, answers(space, lambda p, r=random: r.normal(), 60, seed))
        beyond += max(found.shares.values()) > found.chance
    assert beyond <= 2  # 1 in 21 is meant


def test_a_setting_that_is_not_always_there():
    space = Space(CONDITIONAL)

    def score(point):
        return -abs(point["part[with].inside"] - 0.5) if point["part"] == "with" else -1.0

    found = importance(space.tree, answers(space, score, 160))
    assert set(found.shares) == {"none", "part", "part[with].inside", "part[without].other"}
    assert found.shares["part[with].inside"] > found.chance > found.shares["none"]
    assert found.shares["part[without].other"] == 0.0


def test_too_little_to_say():
    space = Space(SPACE)
    few = importance(space.tree, answers(space, lambda p: p["strong"], ENOUGH - 1))
    assert few == f"It takes {ENOUGH} trials of one length, and there are {ENOUGH - 1}."
    assert isinstance(
        importance(space.tree, answers(space, lambda p: p["strong"], ENOUGH)), Importance
    )
    assert "same score" in importance(space.tree, answers(space, lambda p: 1.0, 30))
