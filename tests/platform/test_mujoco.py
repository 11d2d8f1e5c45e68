"""MuJoCo's robots over whole episodes: the bits, the end and the return of Gymnasium's own."""

import gymnasium
import numpy as np
import pytest

from veldt.platform.envs.single import make_single

CASES = [
    ("HalfCheetah-v5", {}, 0.3),
    ("Hopper-v5", {}, 0.3),
    ("Walker2d-v5", {}, 0.3),
    ("Swimmer-v5", {}, 1.0),
    ("Ant-v5", {}, 0.3),
    ("Ant-v5", {"include_cfrc_ext_in_observation": False, "contact_cost_weight": 0.0}, 0.1),
    ("Humanoid-v5", {}, 0.1),
    ("Humanoid-v5", {"include_cfrc_ext_in_observation": False, "contact_cost_weight": 0.0}, 0.1),
    ("InvertedPendulum-v5", {}, 0.05),
    ("InvertedDoublePendulum-v5", {}, 0.05),
    ("Reacher-v5", {}, 0.5),
]


def play(step, generator, size, limit):
    """Rewards and observations under normal actions of the given deviation."""
    found = []
    for _ in range(limit):
        *seen, over = step(generator.normal(size=size))
        found.append(seen)
        if over:
            break
    return found


@pytest.mark.parametrize(("name", "options", "deviation"), CASES)
def test_a_whole_episode_is_gymnasiums_and_a_used_robot_is_as_a_fresh_one(
    name, options, deviation
):
    original = gymnasium.make(name, **options)
    limit = original.spec.max_episode_steps
    single = make_single(name, options)
    spec = single.spec
    assert spec.max_steps == limit

    def theirs(action):
        observation, reward, terminated, truncated, _ = original.step(deviation * action)
        return observation.copy(), reward, terminated or truncated

    def ours(action):
        seen = np.empty(spec.observation_size)
        reward, terminated = single.step(deviation * action, seen)
        return seen, reward, terminated

    for seed in (3, 4):
        seen = np.empty(spec.observation_size)
        single.reset(5, seen)
        play(ours, np.random.default_rng(9), spec.action_size, 7)  # it has a past
        first, _ = original.reset(seed=seed)
        single.reset(seed, seen)
        np.testing.assert_array_equal(seen, first)
        pairs = zip(
            play(theirs, np.random.default_rng(seed), spec.action_size, limit),
            play(ours, np.random.default_rng(seed), spec.action_size, limit),
            strict=True,
        )
        for one, other in pairs:
            np.testing.assert_array_equal(one[0], other[0])
            assert float(one[1]) == other[1]
    single.close()
