"""Spaces: encoding, decoding, bounds and binding."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veldt.platform.errors import SettingsError
from veldt.search.conformance import SPACE
from veldt.search.settings import SearchSettings
from veldt.search.space.space import Space
from veldt.search.space.tree import Number

cubes = st.lists(st.floats(-1, 2), min_size=SPACE.dimensions, max_size=SPACE.dimensions)


@given(cubes)
@settings(max_examples=200, deadline=None)
def test_every_vector_is_a_point_that_encodes_and_decodes_to_itself(vector):
    point = SPACE.decode(np.array(vector))
    assert -2 <= point["a.real"] <= 3 and 1e-5 <= point["a.log"] <= 1e-1
    assert 1 <= point["b.integer"] <= 64 and isinstance(point["b.integer"], int)
    assert point["b.choice"] in ("x", "y", "z")
    encoded = SPACE.encode(point)
    assert encoded.min() >= -1e-12 and encoded.max() <= 1 + 1e-12
    assert SPACE.decode(encoded) == point


def test_scales():
    assert Number(0, 10).at(0.25) == 2.5
    assert Number(1e-4, 1, log=True).at(0.5) == pytest.approx(1e-2)
    assert Number(1, 100, log=True, whole=True).at(0.5) == 10
    assert Space({"c": SPACE.nodes["b.choice"]}).decode(np.array([0.1, 0.3, 0.2])) == {"c": "y"}


def test_samples_are_uniform_in_the_cube():
    random = np.random.default_rng(0)
    points = [SPACE.sample(random) for _ in range(3000)]
    logs = np.log10([point["a.log"] for point in points])
    assert abs(logs.mean() + 3) < 0.1 and abs(logs.std() - 4 / 12**0.5) < 0.05
    counts = [sum(point["b.choice"] == value for point in points) for value in "xyz"]
    assert min(counts) > 850


def test_binding_puts_values_at_their_paths():
    base = {"a": {"real": 0, "kept": 1}}
    point = {"a.log": 0.01, "a.real": 2.0, "b.choice": "x", "b.integer": 3}
    assert SPACE.bind(base, point) == {
        "a": {"log": 0.01, "real": 2.0, "kept": 1},
        "b": {"choice": "x", "integer": 3},
    }
    assert base == {"a": {"real": 0, "kept": 1}}


def test_corners_hold_every_bound_and_choice():
    corners = SPACE.corners()
    for name, values in {"a.real": {-2, 3}, "a.log": {1e-5, 1e-1}, "b.integer": {1, 64}}.items():
        assert {corner[name] for corner in corners} == values
    assert {corner["b.choice"] for corner in corners} == {"x", "y", "z"}


SEARCH = {
    "train": {"frames": 100, "environment": {"id": "CartPole-v1"}},
    "stages": [{"method": "random", "trials": 2}],
    "space": {"optimizer.learning_rate": {"kind": "log", "low": 1e-4, "high": 1e-1}},
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"space": {"agent.discont": {"kind": "real", "low": 0, "high": 1}}}, "'discount'"),
        ({"space": {"agent.discount": {"kind": "real", "low": 0, "high": 2}}}, "discount"),
        ({"space": {"agent.discount": {"kind": "real", "low": 1, "high": 0}}}, "below high"),
        ({"space": {"agent.discount": {"kind": "log", "low": 0, "high": 1}}}, "above 0"),
        ({"space": {"agent.discount": {"kind": "reel", "low": 0, "high": 1}}}, "kind"),
        ({"space": {"agent.name": {"kind": "choice", "values": ["impala"]}}}, "at least 2"),
        ({"space": {}}, "space"),
        (
            {"stages": [{"method": "openai-es", "generations": 1, "sigma": 0.1}]},
            r"stages.0.pairs.*required",
        ),
        ({"stages": [{"trials": 1}]}, r"stages.0.method.*required"),
        ({"stages": [{"method": "random", "trial": 1}]}, "'trials'"),
        ({"train": {"frames": 0, "environment": {"id": "x"}}}, r"train: frames.*greater"),
        ({"heldout": {"settings": {"framse": 3}}}, r"heldout.settings: framse.*'frames'"),
        ({"evaluation": {"episodes": 0}}, "evaluation.episodes"),
    ],
)
def test_what_a_trial_would_refuse_is_refused_at_once(change, message):
    SearchSettings.parse(SEARCH)
    with pytest.raises(SettingsError, match=message):
        SearchSettings.parse(SEARCH | change)


def test_search_settings_round_trip():
    parsed = SearchSettings.parse(SEARCH)
    assert SearchSettings.parse(parsed.dump()).dump() == parsed.dump()
