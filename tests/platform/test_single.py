"""Single environments: the same bits as Gymnasium's own, with less around them."""

import gymnasium
import numpy as np
import pytest

from veldt.platform.envs.planar_mujoco import PlanarMujoco, fits
from veldt.platform.envs.single import make_single

CASES = [
    ("HalfCheetah-v5", {}),
    ("HalfCheetah-v5", {"exclude_current_positions_from_observation": False}),
    ("Hopper-v5", {}),
    ("Hopper-v5", {"terminate_when_unhealthy": False}),
    ("Walker2d-v5", {"forward_reward_weight": 2.0}),
    ("Swimmer-v5", {}),
    ("Ant-v5", {"include_cfrc_ext_in_observation": False}),
    ("InvertedPendulum-v5", {}),
    ("CartPole-v1", {}),
    ("Taxi-v4", {}),
]


@pytest.mark.parametrize(("name", "options"), CASES)
def test_same_bits_as_gymnasium(name, options):
    single, original = make_single(name, options), gymnasium.make(name, **options)
    seen = np.empty(single.spec.observation_size)
    for seed in (0, 1, 0):  # used environments are as good as fresh ones
        generator = np.random.default_rng(seed)
        observation, _ = original.reset(seed=seed)
        single.reset(seed, seen)
        for _ in range(200):
            space = original.observation_space
            np.testing.assert_array_equal(gymnasium.spaces.flatten(space, observation), seen)
            if single.spec.actions == "continuous":
                action = 2.0 * generator.normal(size=single.spec.action_size)
            else:
                action = int(generator.integers(single.spec.action_size))
            observation, reward, terminated, truncated, _ = original.step(action)
            assert single.step(action, seen) == (float(reward), terminated)
            if terminated or truncated:
                break
    single.close()
    single.close()


def test_the_robots_are_stepped_without_gymnasium():
    for name in ("HalfCheetah-v5", "Hopper-v5", "Walker2d-v5", "Swimmer-v5"):
        assert isinstance(make_single(name, {}), PlanarMujoco)

    class Own(type(gymnasium.make("Hopper-v5").unwrapped)):
        """Somebody's own robot may do anything in its step."""

    assert not fits(Own())
