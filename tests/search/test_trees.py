"""The language of searches: deciding, varying, counting, recognising."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veldt.platform.errors import InputError, SettingsError
from veldt.search.space import counting, identity, notation, variation, walk
from veldt.search.space.cube import Cube
from veldt.search.space.space import Space
from veldt.search.space.tree import Number, value
from veldt.search.vectors import Vector

WHOLE = {"kind": "integer", "low": 1, "high": 3}
CONDITIONAL = {
    "optimizer": {
        "kind": "choice",
        "values": [
            {"name": "adam", "epsilon": {"kind": "real", "low": 0.0, "high": 1.0, "step": 0.25}},
            {"name": "rmsprop", "momentum": {"kind": "choice", "values": [0.0, 0.9]}, "decay": 1},
        ],
    },
    "widths": {"kind": "repeat", "of": {"size": {"kind": "same", "name": "size"}, "n": WHOLE}}
    | {"low": 0, "high": 2},
}
SHARED = {"size": {"kind": "choice", "values": [16, 32, "auto", True, 1]}}
EXPRESSION = {
    "kind": "choice",
    "values": [
        {"op": "leaf", "at": {"kind": "choice", "values": ["x", "y"]}},
        {"op": "not", "of": {"kind": "rule", "name": "expression"}},
        {
            "op": "and",
            "of": [{"kind": "rule", "name": "expression"}, {"kind": "rule", "name": "expression"}],
        },
    ],
}
CONDITIONED = notation.as_tree(CONDITIONAL, SHARED)
GRAMMAR = notation.as_tree(
    {"kind": "rule", "name": "expression"}, rules={"expression": EXPRESSION}, depth=3
)
SPACES = pytest.mark.parametrize("space", [CONDITIONED, GRAMMAR], ids=["conditional", "grammar"])


def drawn(space, seed):
    return walk.fill(space, walk.draw(np.random.default_rng(seed)))


@SPACES
def test_one_decision_after_another_is_all_at_once(space):
    for seed in range(50):
        point = drawn(space, seed)
        tree, made = space, dict(walk.decisions(point))
        for address, decision in made.items():
            site = walk.first_open(tree)
            assert site.address == address
            tree = walk.bind(tree, decision)
        assert tree == point and hash(tree) == hash(point)
        assert walk.first_open(point) is None and walk.replay(space, made) == point
        assert json.loads(json.dumps(made)) == made
        assert variation.opened(point) == space


def test_only_what_is_reached_is_decided():
    point = {"optimizer": "adam", "optimizer[adam].epsilon": 0.5, "widths": 0}
    tree = walk.replay(CONDITIONED, point)
    assert value(tree) == {"optimizer": {"name": "adam", "epsilon": 0.5}, "widths": []}
    shared = {"widths": 2, "shared.size": True, "widths.0.n": 1, "widths.1.n": 3}
    tree = walk.replay(CONDITIONED, point | shared)
    assert value(tree)["widths"] == [{"size": True, "n": 1}, {"size": True, "n": 3}]
    for wrong, words in (
        ({"optimizer": "sgd"}, "optimizer: 'sgd' is not among its choices"),
        ({"optimizer[adam].epsilon": 0.3}, "0.3 is not a number from 0 to 1 that is allowed"),
        ({"optimizer[adam].epsilon": True}, "True is not a number"),
        ({"widths": 3}, "3 is not a count from 0 to 2"),
        ({"widths.0.n": 1}, "widths.0.n: there is nothing to decide"),
        ({"optimizer": "rmsprop"}, "momentum.*: a decision is missing"),
    ):
        with pytest.raises(InputError, match=words):
            walk.replay(CONDITIONED, point | wrong)


@SPACES
def test_points_are_counted_one_by_one(space):
    every = list(counting.points(space))
    assert len(every) == counting.count(space) == len(set(every))
    assert len({repr(walk.decisions(point)) for point in every}) == len(every)
    assert drawn(space, 0) in every
    for point in every[:: max(1, len(every) // 100)]:
        assert variation.deepest(point) <= space.depth


def test_counts_by_hand():
    # 5 epsilons + 2 momenta; no copy, or one to two with a size in common: 1 + 5 (3 + 9)
    assert counting.count(CONDITIONED) == (5 + 2) * (1 + 5 * (3 + 9))
    # A leaf in the last rule allowed; each rule more negates one or joins two of those below.
    ways = 2
    for _ in range(GRAMMAR.depth - 1):
        ways = 2 + ways + ways**2
    assert counting.count(GRAMMAR) == ways
    endless = notation.as_tree({"a": {"kind": "real", "low": 0, "high": 1}})
    assert counting.count(endless) == math.inf
    with pytest.raises(InputError, match="a: any number from 0 to 1 .* give it a step"):
        list(counting.points(endless))


def test_uniform_draws_reach_every_point():
    every = set(counting.points(notation.as_tree({"a": WHOLE, "b": SHARED["size"]})))
    space = notation.as_tree({"a": WHOLE, "b": SHARED["size"]})
    assert {drawn(space, seed) for seed in range(300)} == every and len(every) == 15


@SPACES
@given(seed=st.integers(0, 10_000))
@settings(max_examples=80, deadline=None)
def test_mutation_regrows_one_site_and_nothing_beside_it(space, seed):
    random = np.random.default_rng(seed)
    point = drawn(space, random.integers(1 << 30))
    mutant = variation.mutated(point, random)
    assert mutant != point
    assert walk.replay(space, walk.decisions(mutant)) == mutant
    before = walk.decisions(point)
    for address, _ in variation.sites(point):
        after = walk.decisions(variation.regrow(point, address, walk.draw(random)))
        for other in before:
            inside = other == address or other.startswith((f"{address}[", f"{address}."))
            if not inside and not other.startswith("shared.") and address:
                assert repr(after[other]) == repr(before[other])
    with pytest.raises(InputError, match="nowhere: nothing was decided there"):
        variation.regrow(point, "nowhere", walk.draw(random))


@SPACES
@given(seed=st.integers(0, 10_000))
@settings(max_examples=80, deadline=None)
def test_crossover_makes_points_of_the_space_from_both(space, seed):
    random = np.random.default_rng(seed)
    one, other = (drawn(space, random.integers(1 << 30)) for _ in range(2))
    child = variation.crossed(one, other, random)
    assert walk.replay(space, walk.decisions(child)) == child
    assert variation.deepest(child) <= space.depth
    if space is GRAMMAR:
        of_child = {place[1] for place in variation.parts(child)}
        of_parents = {place[1] for tree in (one, other) for place in variation.parts(tree)}
        leaves = [part for part in of_child if len(str(part)) < 400]
        assert child == one or any(part in of_parents for part in leaves)


def test_a_graft_needs_the_same_kind_and_room():
    shallow, deep = drawn(GRAMMAR, 0), None
    for seed in range(200):
        deep = drawn(GRAMMAR, seed)
        if variation.deepest(deep) == GRAMMAR.depth:
            break
    root = next(place for place in variation.parts(deep) if not place[0])
    inner = [place for place in variation.parts(deep) if place[0] and place[1].decision is None]
    fresh = walk.draw(np.random.default_rng(0))
    assert variation.graft(deep, inner[0], deep, root, fresh) is None  # too deep there
    whole = next(place for place in variation.parts(shallow) if not place[0])
    assert variation.graft(shallow, whole, deep, root, fresh) == deep
    pick = next(place for place in variation.parts(deep) if place[1].decision is not None)
    assert variation.graft(shallow, whole, deep, pick, fresh) is None  # a rule and a pick


def test_perturbing_stays_within_bounds_and_near():
    space = notation.as_tree(
        {
            "rate": {"kind": "log", "low": 1e-4, "high": 1e-2},
            "step": {"kind": "real", "low": 0.0, "high": 1.0, "step": 0.25},
            "whole": {"kind": "integer", "low": 1, "high": 64},
            "kind": {"kind": "choice", "values": ["a", "b"]},
        }
    )
    for seed in range(200):
        point = drawn(space, seed)
        found = variation.perturbed(point, np.random.default_rng(seed), resample=0.0)
        before, after = walk.decisions(point), walk.decisions(found)
        assert walk.replay(space, after) == found
        assert after["kind"] == before["kind"]
        ratio = after["rate"] / before["rate"]
        inside = 1e-4 < after["rate"] < 1e-2
        assert not inside or min(abs(ratio - 1.2), abs(ratio - 1 / 1.2)) < 1e-3
        assert abs(after["step"] - before["step"]) == 0.25 or after["step"] in (0.0, 1.0)
        assert 1 <= after["whole"] <= 64
        assert after["whole"] != before["whole"] or before["whole"] in (1, 64)
    again = [
        walk.decisions(variation.perturbed(point, np.random.default_rng(seed), resample=1.0))
        for seed in range(50)
    ]
    assert {found["kind"] for found in again} == {"a", "b"}


def test_equal_settings_have_equal_keys_everywhere():
    twin = {"kind": "choice", "values": [{"name": "a", "x": 1}, {"name": "b", "x": 1}]}
    space = notation.as_tree({"t": twin, "s": SHARED["size"]})
    points = list(counting.points(space))
    assert len({identity.key(point) for point in points}) == len(points)  # 1 and True differ
    code = (
        "import sys, json; from veldt.search.space import identity, notation, walk;"
        "space = notation.as_tree(json.loads(sys.argv[1]));"
        "print(identity.key(walk.replay(space, json.loads(sys.argv[2]))))"
    )
    point = points[3]
    arguments = [json.dumps({"t": twin, "s": SHARED["size"]}), json.dumps(walk.decisions(point))]
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == identity.key(point)
    unused = walk.replay(
        CONDITIONED, {"optimizer": "rmsprop", "widths": 0} | {"optimizer[rmsprop].momentum": 0.9}
    )
    regrown = variation.regrow(
        unused,
        "widths",
        lambda site: 2 if "." not in site.address else (16 if "shared" in site.address else 1),
    )
    back = variation.regrow(regrown, "widths", lambda site: 0)
    assert identity.key(back) == identity.key(unused) != identity.key(regrown)
    with pytest.raises(ValueError, match="not decided"):
        identity.key(CONDITIONED)


def test_features_tell_points_apart_by_what_they_have_in_common():
    points = [drawn(GRAMMAR, seed) for seed in range(40)]
    found = np.array([identity.features(point) for point in points])
    same = identity.features(walk.replay(GRAMMAR, walk.decisions(points[0])))
    np.testing.assert_array_equal(found[0], same)
    for i, one in enumerate(points):
        for j, other in enumerate(points):
            if identity.words(one) == identity.words(other):
                np.testing.assert_array_equal(found[i], found[j])
            else:
                assert not np.array_equal(found[i], found[j])


def test_json_in_and_out():
    assert notation.as_json(CONDITIONED.root) == json.loads(json.dumps(CONDITIONAL))
    again = notation.as_tree(notation.as_json(GRAMMAR.root), rules={"expression": EXPRESSION})
    assert again.root == GRAMMAR.root and again.rules == GRAMMAR.rules
    point = drawn(CONDITIONED, 1)
    assert notation.as_json(point.root)["optimizer"] == value(point)["optimizer"]


@given(st.lists(st.floats(-1, 2), min_size=Cube(CONDITIONED).dimensions).map(np.array))
@settings(max_examples=200, deadline=None)
def test_vectors_are_points_of_conditional_spaces_too(vector: Vector):
    cube = Cube(CONDITIONED)
    point = cube.decode(vector[: cube.dimensions])
    assert walk.decisions(walk.replay(CONDITIONED, point)) == point
    assert cube.decode(cube.encode(point)) == point


def test_a_fixed_number_of_copies_is_never_one_more():
    node = {"kind": "repeat", "of": {"kind": "real", "low": 0.0, "high": 1.0}, "low": 2, "high": 2}
    space = Space({"x": node})
    assert space.decode(np.ones(space.dimensions)) == {"x": 2, "x.0": 1.0, "x.1": 1.0}


def test_grammars_have_no_cube_but_samples_and_corners():
    space = Space(
        {"loss": {"kind": "rule", "name": "e"}},
        rules={
            "e": {
                "kind": "choice",
                "values": [{"op": "x"}, {"op": "f", "of": {"kind": "rule", "name": "e"}}],
            }
        },
        depth=3,
    )
    assert space.grammar and space.nodes == {}
    with pytest.raises(InputError, match="random search or evolution"):
        space.cube  # noqa: B018
    assert len(space.corners()) > 10
    point = space.sample(np.random.default_rng(0))
    assert space.bind({}, point)["loss"]["op"] in ("x", "f")


def test_corners_reach_conditional_nodes():
    space = Space(CONDITIONAL, SHARED)
    seen = {(a, v) for corner in space.corners() for a, v in corner.items()}
    for address, node in space.nodes.items():
        if isinstance(node, Number):
            assert {(address, node.low), (address, node.high)} <= seen
    assert ("optimizer[rmsprop].momentum", 0.9) in seen


@pytest.mark.parametrize(
    ("nodes", "more", "words"),
    [
        ({"a": 3}, {}, "space.a: it has one value only; put it under train"),
        (
            {"a": {"kind": "reel", "low": 0}},
            {},
            "space.a.kind: kinds: no 'reel'. Did you mean 'real'",
        ),
        (
            {"a": {"kind": "chioce", "values": [1, {"kind": "log", "low": 1, "high": 2}]}},
            {},
            "a.kind: kinds: no 'chioce'. Did you mean 'choice'",
        ),
        ({"a": {"kind": "real", "low": 0, "high": 0}}, {}, "low must be below high"),
        ({"a": {"kind": "real", "low": 0, "hihg": 1}}, {}, "Did you mean 'high'"),
        ({"a": {"kind": "repeat", "of": WHOLE, "low": 3, "high": 2}}, {}, "below low"),
        ({"a": {"kind": "same", "name": "w"}}, {}, "shared.w: there is no such part"),
        ({"a": {"kind": "rule", "name": "r"}}, {}, "rules.r: there is no such part"),
        (
            {"a": {"kind": "same", "name": "w"}},
            {"shared": {"w": [{"kind": "same", "name": "w"}]}},
            "shared.w: it mentions itself",
        ),
        (
            {"a": {"kind": "rule", "name": "r"}},
            {"rules": {"r": [{"kind": "rule", "name": "r"}]}},
            "none of them ends however deep",
        ),
        (
            {"a": {"kind": "choice", "values": [{"name": "x", "y": 1}, {"name": "x", "y": 2}]}},
            {},
            "a.values: two of them have the same name",
        ),
        ({"a": {"kind": "log", "low": 0, "high": 1}}, {}, "low above 0"),
    ],
)
def test_spaces_that_are_none(nodes, more, words):
    with pytest.raises(SettingsError, match=words):
        Space(nodes, **more)
