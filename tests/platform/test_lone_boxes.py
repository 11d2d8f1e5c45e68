"""A Box that is all that a Dict or Tuple holds is shown as it would be by itself."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from veldt.agents.networks.actor_critic import ActorCritic
from veldt.agents.networks.settings import NetworkSettings
from veldt.platform.envs.gymnasium_vector import GymnasiumVector
from veldt.platform.errors import EnvironmentFault
from veldt.platform.keys import Key

PICTURE = np.arange(40 * 44 * 3).reshape(40, 44, 3).astype(np.uint8)
GRID = np.array([[0, 51, 102], [153, 204, 255]], np.uint8)
NUMBERS = np.array([[1.5, -2.0]], np.float32)
WRAPS = {
    "dict": (lambda space: spaces.Dict(a=space), lambda seen: {"a": seen}),
    "tuple": (lambda space: spaces.Tuple([space]), lambda seen: (seen,)),
    "both": (lambda space: spaces.Dict(a=spaces.Tuple([space])), lambda seen: {"a": (seen,)}),
}


class Alone(gymnasium.Env):
    """Shows one array, wrapped up; cut after its first step."""

    action_space = spaces.Discrete(2)

    def __init__(self, wrap, seen, said=None):
        space, self.wrapped = WRAPS[wrap]
        said = seen if said is None else said
        ends = (0, 255) if said.dtype == np.uint8 else (-9, 9)
        self.seen, self.observation_space = seen, space(spaces.Box(*ends, said.shape, said.dtype))

    def reset(self, *, seed=None, options=None):
        return self.wrapped(self.seen), {}

    def step(self, action):
        return self.wrapped(self.seen), 0.0, False, True, {}


gymnasium.register("veldt_test/Alone-v1", entry_point=Alone)


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize(
    "seen, expected",
    [(PICTURE, PICTURE.transpose(2, 0, 1)), (GRID, GRID), (NUMBERS, NUMBERS)],
    ids=["picture", "grid", "numbers"],
)
def test_it_is_shown_as_without_them(wrap, seen, expected):
    vector = GymnasiumVector("veldt_test/Alone-v1", 2, wrap=wrap, seen=seen)
    shown = vector.spec.observations
    assert (shown.shape, shown.dtype, shown.parts) == (expected.shape, expected.dtype.name, ())
    first, step = vector.reset(Key(1)), vector.step(np.zeros(2, np.int64))
    for got in (first, step.observation, step.final_observation):
        assert got.dtype == expected.dtype
        np.testing.assert_array_equal(got, np.stack([expected] * 2))


def test_a_lone_picture_is_read_by_convolutions():
    spec = GymnasiumVector("veldt_test/Alone-v1", 1, wrap="dict", seen=PICTURE).spec
    assert ActorCritic(spec, NetworkSettings(torso="shallow")).torso.features == 256


def test_one_that_is_not_what_its_space_says_is_a_fault():
    vector = GymnasiumVector("veldt_test/Alone-v1", 1, wrap="dict", seen=NUMBERS, said=GRID)
    with pytest.raises(EnvironmentFault, match=r"float32 \(1, 2\), its space says uint8 \(2, 3\)"):
        vector.reset(Key(1))
