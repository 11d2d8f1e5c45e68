"""A learned loss as a file, and as what agents of ours descend."""

import dataclasses

import literal_learned_loss as literal
import numpy as np
import pytest
import torch
from small_losses import SMALL

from veldt.agents import vtrace
from veldt.agents.build import make_agent
from veldt.agents.conformance import synthetic_trajectory
from veldt.agents.distributions import Categorical, Gaussian
from veldt.agents.inputs import Batch
from veldt.agents.lives import loss_file
from veldt.agents.lives.anatomy import Anatomy
from veldt.agents.lives.drift import DriftSettings
from veldt.agents.lives.frozen_loss import load
from veldt.agents.lives.inner_losses import Evolved
from veldt.agents.lives.learned_loss import LearnedLoss
from veldt.agents.lives.life import Living, blend_of
from veldt.agents.lives.response import _moved
from veldt.agents.lives.settings import LifeSettings, demand_family
from veldt.agents.lives.vtrace_loss import VTraceSettings
from veldt.agents.lives.world import World
from veldt.agents.returns import final_values
from veldt.agents.settings import TrainSettings
from veldt.agents.staging import to_batch
from veldt.agents.train import train
from veldt.platform import checkpoints
from veldt.platform.envs.vector import Actions, EnvironmentSpec, Observations, discrete
from veldt.platform.errors import BrokenCheckpoint, InputError
from veldt.platform.keys import Key

LIFE = LifeSettings.parse(
    {"environment": {"id": "family/direction"}, "buffer": 9, "steps": 8, "minibatch": 4}
)
BOX = Actions("box", (), (-1.0, -1.0), (1.0, 1.0))


@pytest.fixture
def written(tmp_path):
    """Writes a loss for 4 numbers seen and these actions; gives the file and its numbers."""

    def write(actions, name="loss.safetensors"):
        anatomy = Anatomy(4, actions, (8,), False, (2, 3))
        numbers = LearnedLoss(SMALL, anatomy).begin(np.random.default_rng(0)).astype(np.float32)
        words = loss_file.words(SMALL, LIFE, 4, actions) | {"veldt.search": '{"seed": 3}'}
        checkpoints.save_arrays(tmp_path / name, {"loss": numbers}, words)
        return tmp_path / name, numbers

    return write


def test_a_file_gives_back_what_it_was_given(written):
    path, numbers = written(BOX)
    frozen = loss_file.load(path)
    np.testing.assert_array_equal(frozen.parameters, numbers)
    assert (frozen.settings, frozen.life, frozen.observation) == (SMALL, LIFE, 4)
    assert frozen.actions == BOX and frozen.provenance == {"seed": 3}


def test_files_that_hold_none(written, tmp_path):
    path, numbers = written(BOX)
    with pytest.raises(InputError, match="no such file"):
        loss_file.load(tmp_path / "none")
    checkpoints.save_arrays(tmp_path / "policy", {"loss": numbers})
    with pytest.raises(BrokenCheckpoint, match="no learned loss"):
        loss_file.load(tmp_path / "policy")
    words = loss_file.words(SMALL, LIFE, 4, BOX)
    for wrong in (numbers[:-1], np.full_like(numbers, np.nan)):
        checkpoints.save_arrays(tmp_path / "wrong", {"loss": wrong}, words)
        with pytest.raises(BrokenCheckpoint, match="finite numbers of a loss"):
            loss_file.load(tmp_path / "wrong")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(BrokenCheckpoint):
        loss_file.load(path)


def agent_of(name, path, environment="CartPole-v1", **settings):
    data = {"environment": {"id": environment}, "frames": 1}
    agent = {"name": name, "loss": str(path)} | settings
    parsed = TrainSettings.parse(data | {"agent": agent})
    spec = EnvironmentSpec(environment, Observations((4,), "float32"), discrete(2), 1)
    return make_agent(parsed, spec), spec


@pytest.mark.parametrize("name", ["impala", "a2c", "ppo"])
def test_agents_descend_it_alone_or_mixed(name, written):
    path, _ = written(discrete(2))
    batch = None
    losses = {}
    for share in (0.0, 0.25, 1.0):
        agent, spec = agent_of(name, path, loss_share=share)
        made = synthetic_trajectory(spec, 9, 3, seed=1, policy_size=2)
        batch = to_batch(made, torch.device("cpu"))
        losses[share], metrics = agent.loss(batch)
        assert ("learned_loss" in metrics) == (share > 0)
    mixed = 0.25 * losses[1.0] + 0.75 * losses[0.0]
    torch.testing.assert_close(losses[0.25], mixed)
    losses[1.0].backward()
    learned = agent.network.learned_loss
    assert learned.memory_weight.grad.any() and agent.network.policy.weight.grad.any()
    assert not learned.parameters_.requires_grad


def part_of(tmp_path, kind, numbers):
    """A file with a learned part of a loss."""
    settings = {"drift": DriftSettings(units=3), "v-trace": VTraceSettings()}[kind]
    path = tmp_path / f"{kind}.safetensors"
    words = loss_file.words(settings, LIFE, 4, BOX)
    checkpoints.save_arrays(path, {"loss": np.asarray(numbers, np.float32)}, words)
    return path


def pair(name, path, **settings):
    """An agent with the learned part, one like it without, and a batch for them."""
    with_it, spec = agent_of(name, path, **settings)
    plain, _ = agent_of(name, "", **settings)
    plain.network.load_state_dict(with_it.network.state_dict(), strict=False)
    made = synthetic_trajectory(spec, 9, 3, seed=1, policy_size=2)
    return with_it, plain, to_batch(made, torch.device("cpu"))


def test_a_drift_takes_the_place_of_ppo_s_clipping(tmp_path):
    numbers = np.random.default_rng(0).standard_normal(9 * 3)
    path = part_of(tmp_path, "drift", numbers)
    agent, plain, batch = pair("ppo", path)
    log_ratio, advantages = torch.randn(2, 9, 3, generator=torch.Generator().manual_seed(0))
    found = agent.network.learned_loss(log_ratio, advantages)
    units, out = numbers[:24].reshape(8, 3), numbers[24:]
    for t, b in ((0, 0), (4, 1), (8, 2)):
        d, a = log_ratio[t, b].item(), advantages[t, b].item()
        x = np.array([d, d * d, 1 - np.exp(d), (1 - np.exp(d)) ** 2])
        drift = np.tanh(np.concatenate([x, x * a]) @ units) @ out
        expected = max(drift - 1e-4, 0.0) - np.exp(d) * a
        assert found[t, b].item() == pytest.approx(expected, rel=1e-4, abs=1e-5)
    changed = agent.loss(batch)[0]
    assert not torch.allclose(changed, plain.loss(batch)[0])
    half, _, _ = pair("ppo", path, loss_share=0.5)
    half.network.load_state_dict(agent.network.state_dict())
    torch.testing.assert_close(half.loss(batch)[0], 0.5 * changed + 0.5 * plain.loss(batch)[0])
    with pytest.raises(InputError, match="a part of ppo's loss, of no other's"):
        agent_of("impala", path)


def test_coefficients_of_v_trace_take_the_place_of_impala_s(tmp_path):
    same = {"discount": 0.99, "baseline_cost": 0.5, "entropy_cost": 0.01, "lambda_": 1.0}
    agent, plain, batch = pair("impala", part_of(tmp_path, "v-trace", np.zeros(9)), **same)
    torch.testing.assert_close(agent.loss(batch)[0], plain.loss(batch)[0])
    moved = np.array([0.0, -0.5, 0.0, 0.1, 0.0, 0.3, 0.0, 0.0, 0.0])
    agent, _, _ = pair("impala", part_of(tmp_path, "v-trace", moved), **same)
    other = {"clip_c_threshold": np.exp(-0.5), "lambda_": np.exp(-0.1)}
    _, plain, batch = pair("impala", "", **same | other | {"baseline_cost": 0.5 * np.exp(0.3)})
    plain.network.load_state_dict(agent.network.state_dict(), strict=False)
    torch.testing.assert_close(agent.loss(batch)[0], plain.loss(batch)[0])
    transforming = np.array([0.0] * 7 + [-0.7, 0.4])
    averse, _, _ = pair("impala", part_of(tmp_path, "v-trace", transforming), **same)
    values = torch.tensor([[4.0, -4.0]])
    found = averse.network.learned_loss.transformed(values)[0].tolist()
    power = 4.0 ** np.exp(-0.7)
    assert found == pytest.approx([power, -np.exp(0.4) * power], rel=1e-5)
    losing = pair("impala", part_of(tmp_path, "v-trace", [0.0] * 8 + [np.log(3.0)]), **same)
    averse, plain, batch = losing
    said = plain.network.unroll(batch)
    over = plain.network.distribution
    log_pi = over.log_probability(said.policy[:-1], batch.action)
    log_rhos = log_pi - over.log_probability(batch.behaviour_policy, batch.action)
    advantages = vtrace.from_importance_weights(
        log_rhos.detach(),
        0.99 * (~batch.terminated).float(),
        batch.reward,
        said.value[:-1].detach(),
        said.value[-1].detach(),
        truncated=batch.truncated,
        final_values=final_values(batch, said.final_value),
    ).pg_advantages
    more = -(log_pi * 2.0 * advantages.clamp(max=0.0)).sum()  # three times what is lost
    assert advantages.min() < 0.0
    torch.testing.assert_close(averse.loss(batch)[0], plain.loss(batch)[0] + more)
    assert averse.replaced == []
    agent, _, _ = pair("impala", part_of(tmp_path, "v-trace", moved), **same | {"discount": 0.98})
    assert agent.replaced == [
        *("agent.clip_c_threshold: 1 by 0.606531", "agent.lambda_: 1 by 0.904837"),
        *("agent.discount: 0.98 by 0.99", "agent.baseline_cost: 0.5 by 0.674929"),
    ]
    alone, _, _ = pair("impala", part_of(tmp_path, "v-trace", moved), loss_share=0.0)
    assert alone.replaced == []
    with pytest.raises(InputError, match="a part of impala's loss"):
        agent_of("ppo", part_of(tmp_path, "v-trace", np.zeros(9)))


def test_it_is_the_literal_loss_of_each_environment_s_unroll(written):
    path, numbers = written(discrete(2))
    agent, spec = agent_of("impala", path)
    made = synthetic_trajectory(spec, 9, 3, seed=1, policy_size=2)
    batch = to_batch(made, torch.device("cpu"))
    policy = agent.network.unroll(batch).policy[:-1]
    learned = agent.network.learned_loss
    agent.look_ahead(batch)
    got = learned(batch, policy).item()
    anatomy = Anatomy(4, discrete(2), (8,), False, (2, 3))
    parts = LearnedLoss(SMALL, anatomy).split(torch.from_numpy(numbers)[None])
    parts = {name: part[0].tolist() for name, part in parts.items()}
    memory = literal.memory(learned.memory_weight.tolist(), learned.memory_bias.tolist())

    def normalised(x):
        deviation = np.sqrt(np.maximum(x.var((0, 1)), 0.01))
        return (x - x.mean((0, 1))) / deviation

    observation, action = normalised(made.observation[:-1]), normalised(np.eye(2)[made.action])
    total = 0.0
    for b in range(3):
        ended = made.terminated[:, b] | made.truncated[:, b]
        rows = [
            [*observation[t, b], *action[t, b], 1.0, made.reward[t, b], float(ended[t])]
            for t in range(9)
        ]
        said = policy[:, b].tolist()
        layers = [(layer.side, layer.stride) for layer in SMALL.convolutions]
        total += literal.learned_loss(parts, layers, rows, said, memory, range(9))
    assert got == pytest.approx(total / 3, rel=1e-3)


@pytest.mark.parametrize("environment", ["family/direction", "CartPole-v1"])
def test_an_agent_descends_what_a_life_does_on_the_same_data(tmp_path, environment):
    """Two updates of a life whose buffer is what was just lived, and the agent's unrolls of it."""
    life = {"environment": {"id": environment}, "hidden": [8], "updates": 2, "final_episodes": 1}
    settings = LifeSettings.parse(life | {"steps": 60, "minibatch": 60, "buffer": 60})
    spec = demand_family(settings)
    anatomy = Anatomy(4, spec.actions, (8,), False, (2, 3))
    network = LearnedLoss(SMALL, anatomy)
    numbers = network.begin(np.random.default_rng(0)).astype(np.float32)
    words = loss_file.words(SMALL, settings, 4, spec.actions)
    checkpoints.save_arrays(tmp_path / "loss", {"loss": numbers}, words)
    learned, none = load(tmp_path / "loss", spec, ()), torch.zeros(1)
    world = World(settings.environment, 1)
    living = Living(settings, anatomy, world, [Key(0).child("life")], None)
    evolved = blend_of(Evolved(network, anatomy), torch.from_numpy(numbers)[None], network.split)
    values = []

    def watched(agent, lived):
        expected = evolved(agent, lived)(agent, torch.arange(60)[None]).item()
        seen = living._observation.transpose(0, 1)
        batch = Batch(
            *(torch.cat([seen, seen[-1:]]), none, lived.action.transpose(0, 1)),
            *(none, lived.reward.T, lived.terminated.T, (lived.ended & ~lived.terminated).T),
            *(none, none, none, none, none, none),
        )
        learned.take(batch, lambda own: own)
        learned.memory_weight.data = agent["memory.weight"][0]
        learned.memory_bias.data = agent["memory.bias"][0]
        policy = anatomy.policy(agent, lived.observation).transpose(0, 1)
        values.append((learned(batch, policy).item(), expected))
        return evolved(agent, lived)

    living.run(watched, lambda: None, range(1))
    world.close()
    assert len(values) == 2 and values[0][1] != values[1][1]
    for got, expected in values:
        assert got == pytest.approx(expected, rel=1e-4)


def test_unrolls_that_are_no_life_s_buffer_are_refused(written):
    path, _ = written(discrete(2))
    settings = TrainSettings.parse(
        {
            "environment": {"id": "CartPole-v1"},
            "frames": 1,
            "actors": {"count": 1, "unroll_length": 20},
            "agent": {"name": "impala", "loss": str(path)},
        }
    )
    words = r"actors\.unroll_length is 20; .* buffers of 9 steps, .*: set it to 9"
    with pytest.raises(InputError, match=words):
        train(settings, path.parent / "run")
    assert not (path.parent / "run").exists()


def test_shapes_that_do_not_fit_are_said(written):
    path, _ = written(BOX)
    with pytest.raises(
        InputError, match=r"4 numbers seen and .*CartPole-v1 shows \[4\] and takes"
    ):
        agent_of("impala", path)
    frozen = loss_file.load(path)
    spec = EnvironmentSpec("e", Observations((5,), "float32"), BOX, 1)
    with pytest.raises(InputError, match=r"e shows \[5\]"):
        frozen.demand_fit(spec)
    frozen.demand_fit(dataclasses.replace(spec, observations=Observations((4,), "float32")))


def test_a_policy_is_moved_to_the_ratio_that_is_asked_for():
    """The picture's axis is what it says it is."""
    policy = torch.randn(20, 3, generator=torch.Generator().manual_seed(0))
    action = policy.argmin(-1)  # unlikely: twice as likely is still possible
    over = Categorical(3)
    moved = _moved(True, policy, action, 0.5)
    change = over.log_probability(moved, action) - over.log_probability(policy, action)
    torch.testing.assert_close(change, torch.full_like(change, 0.5), rtol=0, atol=1e-3)
    numbers, gaussian = torch.randn(20, 4), Gaussian(2)
    far = numbers[:, :2] + 2.0 * numbers[:, 2:].exp()
    for log_ratio in (0.5, -0.5):
        moved = _moved(False, numbers, far, log_ratio)
        change = gaussian.log_probability(moved, far) - gaussian.log_probability(numbers, far)
        torch.testing.assert_close(change, torch.full_like(change, log_ratio), rtol=0, atol=1e-3)


def test_a_sum_is_mixed_on_its_own_scale(written):
    path, _ = written(discrete(2))
    found = []
    for reduction in ("sum", "mean"):
        agent, spec = agent_of("impala", path, reduction=reduction)
        made = synthetic_trajectory(spec, 9, 3, seed=1, policy_size=2)
        found.append(agent.loss(to_batch(made, torch.device("cpu")))[0])
    torch.testing.assert_close(found[0], 27 * found[1])
