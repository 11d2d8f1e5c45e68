"""Every agent in the catalogue: one contract, one learning test, faults that must show."""

import dataclasses

import numpy as np
import pytest
import torch

from veldt.agents import returns
from veldt.agents.actor import Player
from veldt.agents.build import make_agent, make_environments
from veldt.agents.catalogue import AGENTS
from veldt.agents.conformance import check, synthetic_trajectory
from veldt.agents.learner import Learner
from veldt.agents.networks.actor_critic import initialise
from veldt.agents.ppo import PPO, PPOSettings
from veldt.agents.settings import TrainSettings
from veldt.agents.staging import to_batch
from veldt.launch import checks
from veldt.platform.envs.vector import Actions, EnvironmentSpec, Observations, discrete
from veldt.platform.keys import Key
from veldt.platform.plugins import attribute
from veldt.platform.trajectory import stack

SPECS = {
    "parts": checks.SPECS["image, numbers and words seen, one choice"],
    "vector": EnvironmentSpec("v", Observations((4,), "float32"), discrete(3), 1),
    "image": EnvironmentSpec("i", Observations((4, 84, 84), "uint8", stack=4), discrete(18), 4),
    "box": EnvironmentSpec(
        "b", Observations((3,), "float32"), Actions("box", (), (-1.0,) * 2, (1.0,) * 2), 1
    ),
    "choices": EnvironmentSpec(
        "m", Observations((3,), "float32"), Actions("multi_discrete", (2, 3)), 1
    ),
}


@pytest.mark.parametrize("core", ["none", "lstm", "gru"])
@pytest.mark.parametrize("shape", SPECS)
@pytest.mark.parametrize("name", AGENTS)
def test_conformance(name, shape, core):
    agent = attribute(AGENTS[name])
    recurrent = core != "none"
    network = {"core": core, "last_action": recurrent, "last_reward": recurrent}
    check(agent, agent.Settings.parse({"name": name, "network": network}), SPECS[shape])


ADAM = {"learning_rate": 0.003, "name": "adam", "epsilon": 1e-5, "max_gradient_norm": 0.5}
RECIPES = {
    "impala": {"learning_rate": 0.01, "name": "rmsprop"},
    "a2c": ADAM | {"learning_rate": 0.007},
    "ppo": ADAM,
}


def learn(name, updates, environment="CartPole-v1", agent=(), optimizer=(), B=16, T=32, seed=1):
    """The mean of the last 40 returns, and the last records, of a training in this process."""
    settings = TrainSettings.parse(
        {
            "environment": {"id": environment},
            "agent": {"name": name, "discount": 0.97, **dict(agent)},
            "optimizer": RECIPES[name] | dict(optimizer),
            "frames": 10**6,
            "seed": seed,
        }
    )
    environments = make_environments(settings, B)
    built = make_agent(settings, environments.spec)
    key = Key(seed)
    learner = Learner(built, settings.optimizer, torch.device("cpu"), 2 * updates, key)
    player = Player(built, environments, T, key)
    got = []
    for update in range(updates):
        trajectory, episodes, _ = player.unroll(update, fresh=update == 0)
        got += [value for value, _ in episodes]
        record = learner.update(to_batch(trajectory, torch.device("cpu")), update)
    environments.close()
    return np.mean(got[-40:]), record


UPDATES = {"impala": 130, "a2c": 130, "ppo": 50}


@pytest.mark.parametrize("name", AGENTS)
def test_every_agent_learns(name):
    agent = {"entropy_cost": 0.0, "lambda_": 0.95} if name == "a2c" else {}
    mean, _ = learn(name, UPDATES[name], agent=agent)
    assert mean > 100  # a random policy makes 20


@pytest.mark.parametrize("name", ["a2c", "ppo"])
def test_none_learns_on_advantages_turned_round(name, monkeypatch):
    right = returns.generalized_advantages
    module = {"a2c": "veldt.agents.a2c", "ppo": "veldt.agents.ppo"}[name]
    monkeypatch.setattr(f"{module}.generalized_advantages", lambda *a: -right(*a))
    mean, _ = learn(name, 30)
    assert mean < 30


def test_ppo_stays_near_the_policy_that_acted():
    _, near = learn("ppo", 8, agent={"clip_ratio": 0.05})
    _, far = learn("ppo", 8, agent={"clip_ratio": 1e6})
    assert near["divergence"] < 0.5 * far["divergence"]
    assert far["clipped_share"] == 0.0 < near["clipped_share"]


def test_ppo_sees_every_environment_once_in_a_pass():
    spec = SPECS["vector"]
    agent = initialise(lambda: PPO(PPOSettings(epochs=3, minibatches=2), spec), 0)
    batch = to_batch(synthetic_trajectory(spec, 4, 5, 0, policy_size=3), torch.device("cpu"))
    seen = []
    columns = type(batch).columns

    def noting(self, chosen):
        seen.append(chosen.tolist())
        return columns(self, chosen)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(batch), "columns", noting)
        assert len(list(agent.losses(batch, torch.Generator().manual_seed(0)))) == 6
    for one, other in zip(seen[::2], seen[1::2], strict=True):
        assert sorted(one + other) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("core", ["none", "lstm"])
def test_ppo_steps_on_what_truncated_episodes_showed_last(core):
    spec = SPECS["vector"]
    network = {"core": core, "popart": 0.1}
    settings = PPOSettings.parse({"epochs": 1, "minibatches": 1, "network": network})
    agent = initialise(lambda: PPO(settings, spec), 0)
    batch = to_batch(
        synthetic_trajectory(spec, 6, 5, 0, policy_size=3, state_size=agent.state_size),
        torch.device("cpu"),
    )
    assert len(batch.final_index)
    whole, metrics = agent.loss(batch)
    (step, seen), *more = agent.losses(batch, torch.Generator().manual_seed(0))
    torch.testing.assert_close((step, seen), (whole, metrics), rtol=1e-5, atol=1e-6)
    blind = batch._replace(final_observation=batch.final_observation + 3.0)
    assert not more and not torch.isclose(agent.loss(blind)[0], whole)


def test_columns_of_a_batch_put_together_are_the_batch():
    parts = [
        synthetic_trajectory(SPECS["box"], 6, B, B, policy_size=4, state_size=2) for B in (2, 3)
    ]
    whole = to_batch(stack(parts), torch.device("cpu"))
    for part, chosen in zip(parts, ([0, 1], [2, 3, 4]), strict=True):
        got = whole.columns(torch.tensor(chosen))
        for name, expected in to_batch(part, torch.device("cpu"))._asdict().items():
            torch.testing.assert_close(getattr(got, name), expected, msg=name)
    turned = whole.columns(torch.tensor([4, 0]))
    t, b = turned.final_index.unbind(-1)
    assert turned.truncated[t, b].all() and len(t) == int(turned.truncated.sum())


def test_an_advantage_looks_as_far_as_lambda():
    """Lambda 0 is the one-step error, 1 the discounted rest of the unroll less the value."""
    spec, T = SPECS["vector"], 5
    made = synthetic_trajectory(spec, T, 1, 0, policy_size=3)
    made = dataclasses.replace(
        made,
        terminated=np.zeros((T, 1), bool),
        truncated=np.zeros((T, 1), bool),
        final_index=np.zeros((0, 2), np.int64),
        final_observation=made.final_observation[:0],
    )
    batch = to_batch(made, torch.device("cpu"))
    values = torch.arange(T + 1.0)[:, None]
    none = torch.zeros(0)
    one = returns.generalized_advantages(batch, batch.reward, values, none, 0.9, 0.0)
    torch.testing.assert_close(one, batch.reward + 0.9 * values[1:] - values[:-1])
    far = returns.generalized_advantages(batch, batch.reward, values, none, 0.9, 1.0)
    rest = sum(0.9**t * batch.reward[t, 0] for t in range(T)) + 0.9**T * values[T, 0]
    torch.testing.assert_close(far[0, 0], rest - values[0, 0])
