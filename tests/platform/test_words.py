"""Texts among observations: how many of their words are shown, and that more are not lost in
silence."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from veldt.agents.build import environment_spec
from veldt.agents.settings import TrainSettings
from veldt.platform.envs.catalogue import make
from veldt.platform.envs.parts import MOST_WORDS, hash_words
from veldt.platform.errors import SettingsError
from veldt.platform.keys import Key

TEXT = " ".join(f"word{i}" for i in range(40))


class Teller(gymnasium.Env):
    """Says the same at every step."""

    observation_space = spaces.Dict(said=spaces.Text(999), number=spaces.Box(0, 1, (1,)))
    action_space = spaces.Discrete(2)

    def __init__(self, text=TEXT):
        self._shown = {"said": text, "number": np.zeros(1, np.float32)}

    def reset(self, *, seed=None, options=None):
        return self._shown, {}

    def step(self, action):
        return self._shown, 0.0, False, False, {}


gymnasium.register("veldt_test/Teller-v0", Teller)


def words(**options):
    vector = make("veldt_test/Teller-v0", 2, options)
    vector.reset(Key(0))
    shown = vector.step(np.zeros(2, np.int64)).observation
    part = next(p for p in vector.spec.observations.parts if p.kind == "words")
    assert shown.shape == (2, *vector.spec.observations.shape)
    return shown[0, part.offset : part.offset + part.size].copy().view(np.int32)


def test_as_many_words_are_shown_as_are_asked_for(caplog):
    assert (words(max_words=50)[:40] > 0).all() and not words(max_words=50)[40:].any()
    np.testing.assert_array_equal(words(max_words=50), hash_words(TEXT, 50))
    assert not words(text="hello")[1:].any() and not caplog.records
    cut = words()
    assert cut.shape == (MOST_WORDS,) and (cut > 0).all()
    (said,) = caplog.records  # of two environments and two steps, once
    assert "has 40 words, of which 32 are shown" in said.getMessage()
    assert "environment.options.max_words=40" in said.getMessage()


def test_a_training_says_so_before_it_begins(caplog):
    data = {"environment": {"id": "veldt_test/Teller-v0"}, "frames": 10}
    spec = environment_spec(TrainSettings.parse(data))
    assert len(caplog.records) == 1
    data["environment"]["options"] = {"max_words": 64}
    more = environment_spec(TrainSettings.parse(data))
    assert len(caplog.records) == 1
    assert more.observations.shape[0] - spec.observations.shape[0] == 4 * 32


@pytest.mark.parametrize("wrong", [0, 2.5, "many", True])
def test_a_number_of_words_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(SettingsError, match="max_words must be an integer"):
        make("veldt_test/Teller-v0", 1, {"max_words": wrong})
