"""Networks: the papers' counts, memory across unrolls and episodes, and the ways to compute."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import nn

from veldt.agents.conformance import synthetic_trajectory
from veldt.agents.impala import Impala, ImpalaSettings
from veldt.agents.inputs import Inputs
from veldt.agents.learner import Learner
from veldt.agents.networks import precision
from veldt.agents.networks.actor_critic import ActorCritic, encode_actions, initialise
from veldt.agents.networks.composite import Words, unpack
from veldt.agents.networks.cost import (
    Cost,
    cost_of,
    learning_cost,
    multiply_accumulates,
    parameter_count,
)
from veldt.agents.networks.settings import NetworkSettings
from veldt.agents.settings import TrainSettings
from veldt.agents.staging import to_batch
from veldt.platform.envs.parts import MOST_WORDS, hash_words, packed
from veldt.platform.envs.vector import Actions, EnvironmentSpec, Observations, Part, discrete
from veldt.platform.errors import MissingProgram, SettingsError, UnknownName, UnsupportedSpace

VECTOR = EnvironmentSpec("v", Observations((4,), "float32"), discrete(3), 1)
ATARI = EnvironmentSpec("a", Observations((4, 84, 84), "uint8"), discrete(18), 4)
DMLAB = EnvironmentSpec("d", Observations((3, 72, 96), "uint8"), discrete(9), 4)
BOX = EnvironmentSpec("b", Observations((4,), "float32"), Actions("box", (), (-1.0,), (1.0,)), 1)
MULTI = EnvironmentSpec("m", Observations((4,), "float32"), Actions("multi_discrete", (2, 3)), 1)
TRAINING = {"environment": {"id": "CartPole-v1"}, "frames": 1000}
MEMORY = {"core": "lstm", "last_action": True, "last_reward": True}


def build(spec, seed=0, **settings):
    return initialise(lambda: ActorCritic(spec, NetworkSettings(**settings)), seed)


def batch_of(network, spec, T=9, B=4, seed=0):
    policy_size, state_size = network.distribution.size, network.state_size
    made = synthetic_trajectory(spec, T, B, seed, policy_size, state_size)
    made.first[0] = [True, False, False, True][:B]  # an unroll begins within an episode
    return to_batch(made, torch.device("cpu"))


# Espeholt et al. 2018, figure 3: 1.6 M and 1.2 M with an LSTM of 256 on 72 x 96 images, less
# the 64 x 1024 weights that read the LSTM of instructions; Mnih et al. 2015: 1.7 M.
@pytest.mark.parametrize(
    "spec, settings, millions",
    [
        (DMLAB, MEMORY | {"torso": "deep"}, 1.522),
        (DMLAB, MEMORY | {"torso": "shallow"}, 1.124),
        (ATARI, {"torso": "deep"}, 1.09),
        (ATARI, {"torso": "nature"}, 1.69),
    ],
)
def test_parameters_are_the_papers(spec, settings, millions):
    assert parameter_count(build(spec, **settings)) / 1e6 == pytest.approx(millions, abs=0.005)


def test_with_instructions_they_are_those_of_figure_3():
    for torso, millions in (("deep", 1.6), ("shallow", 1.2)):
        parts = (
            Part("image", "image", (3, 72, 96), "uint8", 0),
            Part("words", "words", (MOST_WORDS,), "int32", 20736),
        )
        shown = Observations((20736 + 4 * MOST_WORDS,), "uint8", parts)
        spec = EnvironmentSpec("d", shown, discrete(9), 4)
        count = parameter_count(build(spec, **MEMORY | {"torso": torso}))
        assert count / 1e6 == pytest.approx(millions, abs=0.05)


def test_words_are_read_to_their_last():
    """Many texts at once against each on its own, without its padding."""
    words = initialise(Words, 0)
    texts = ["go to the red ball", "stop", "", "go to the red ball", "open a door " * 20]
    rows = torch.from_numpy(np.stack([hash_words(text) for text in texts]))
    got = words(rows.reshape(5, 1, -1))
    assert got.shape == (5, 1, 64)
    for row, read in zip(rows, got[:, 0], strict=True):
        alone, _ = words.lstm(words.embedding(row[row != 0].long())[:, None])
        torch.testing.assert_close(read, alone[-1, 0])
    torch.testing.assert_close(got[0], got[3])
    assert words(rows[:0]).shape == (0, 64)


def test_parts_come_out_as_they_went_in():
    space = spaces.Dict(
        {
            "image": spaces.Box(0, 255, (5, 4, 3), np.uint8),
            "inner": spaces.Tuple((spaces.Discrete(3), spaces.Box(-9, 9, (2,)))),
            "mission": spaces.Text(40),
        }
    )
    shown, write = packed(space)
    assert [(part.name, part.kind, part.shape) for part in shown.parts] == [
        ("image", "image", (3, 5, 4)),
        ("inner.0", "numbers", (3,)),
        ("inner.1", "numbers", (2,)),
        ("mission", "words", (MOST_WORDS,)),
    ]
    rows, seen = np.ones((2, *shown.shape), np.uint8), [space.sample() for _ in range(2)]
    for row, one in zip(rows, seen, strict=True):
        write(row, one)
    out = unpack(shown.parts, torch.from_numpy(rows))
    for b, one in enumerate(seen):
        np.testing.assert_array_equal(out["image"][b], one["image"].transpose(2, 0, 1))
        assert out["inner.0"][b].argmax() == one["inner"][0] and out["inner.0"][b].sum() == 1
        np.testing.assert_array_equal(out["inner.1"][b], one["inner"][1])
        np.testing.assert_array_equal(out["mission"][b], hash_words(one["mission"]))
    with pytest.raises(ValueError, match=r"its inner.1 is not finite"):
        write(rows[0], seen[0] | {"inner": (0, np.array([0.0, np.nan], np.float32))})
    with pytest.raises(ValueError, match=r"its image is \(3, 5, 5\)"):
        write(rows[0], seen[0] | {"image": np.zeros((5, 5, 3), np.uint8)})


def one_step(network, spec):
    return Inputs(
        torch.zeros(1, *spec.observations.shape, dtype=torch.uint8),
        torch.ones(1, dtype=torch.bool),
        torch.zeros(1, dtype=torch.int64),
        torch.zeros(1),
        torch.zeros(1, network.state_size),
    )


@pytest.mark.parametrize("torso, millions", [("shallow", 3.0), ("nature", 9.4), ("deep", 54.0)])
def test_the_cost_of_a_step_is_the_papers(torso, millions):
    network = build(ATARI, torso=torso)
    found = multiply_accumulates(network, lambda: network(one_step(network, ATARI)))
    assert found / 1e6 == pytest.approx(millions, rel=0.02)


def test_learning_needs_no_gradient_of_what_is_observed():
    impala = Impala(ImpalaSettings.parse({"network": {"torso": "shallow"}}), ATARI)
    first, second = 20 * 20 * 16 * (4 * 8 * 8), 9 * 9 * 32 * (16 * 4 * 4)
    units, policy = 9 * 9 * 32 * 256, 256 * 18
    assert learning_cost(impala, ATARI) == 2 * first + 3 * (second + units + policy)
    # Words are read by an LSTM of what is embedded, whose gradient is needed.
    parts = (
        Part("numbers", "numbers", (3,), "float32", 0),
        Part("words", "words", (MOST_WORDS,), "int32", 12),
    )
    shown = Observations((12 + 4 * MOST_WORDS,), "uint8", parts)
    spec = EnvironmentSpec("p", shown, discrete(3), 1)
    both = Impala(ImpalaSettings.parse({"network": {"hidden": [8]}}), spec)
    words, policy = 4 * 64 * (20 + 64), (8 + 64) * 3
    assert learning_cost(both, spec) == 2 * 3 * 8 + 3 * (words + policy)


def test_what_an_agent_costs_is_said():
    agent = Impala(ImpalaSettings.parse({"network": {"core": "gru", "core_size": 8}}), VECTOR)
    cost = cost_of(agent, VECTOR)
    counted = 4 * 64 + 64 * 64 + 3 * 8 * (64 + 8) + 8 * 3
    assert cost.multiply_accumulates == counted and cost.parameters > counted
    assert str(Cost(1_094_387, 54_100_000)) == (
        "1,094,387 parameters, 54.1 M multiply-accumulates a step"
    )


def test_deep_has_fifteen_convolutions():
    convolutions = [
        m for m in build(DMLAB, torso="deep").modules() if isinstance(m, torch.nn.Conv2d)
    ]
    assert len(convolutions) == 15


@pytest.mark.parametrize("spec", [VECTOR, BOX, MULTI], ids=lambda spec: spec.id)
@pytest.mark.parametrize("core", ["none", "lstm", "gru"])
def test_an_unroll_is_its_steps_one_after_another(spec, core):
    """The learner's fused call against the actor's loop, episodes ending and beginning."""
    network = build(spec, core=core, core_size=8, last_action=True, last_reward=True)
    batch = batch_of(network, spec)
    assert batch.first[1:].any() and len(batch.final_index) > 1
    said = network.unroll(batch)
    state, action, reward = batch.state, batch.last_action, batch.last_reward
    finals = {tuple(index): k for k, index in enumerate(batch.final_index.tolist())}
    for t in range(len(batch.observation)):
        first = batch.first[t]
        policy, value, state = network(Inputs(batch.observation[t], first, action, reward, state))
        torch.testing.assert_close(said.policy[t], policy)
        torch.testing.assert_close(said.value[t], value[:, 0])
        if t == len(batch.action):
            break
        action, reward = batch.action[t], batch.reward[t]
        for b in range(len(first)):
            if (t, b) in finals:
                k = finals.pop((t, b))
                row = slice(b, b + 1)
                seen = Inputs(
                    batch.final_observation[k : k + 1],
                    torch.zeros(1, dtype=torch.bool),
                    action[row],
                    reward[row],
                    state[row],
                )
                torch.testing.assert_close(said.final_value[k : k + 1], network(seen)[1][:, 0])
    assert not finals


@pytest.mark.parametrize("spec", [VECTOR, BOX])
def test_a_value_with_a_torso_of_its_own_reads_nothing_of_the_policys(spec):
    own = {"share_torso": False, "last_action": True, "last_reward": True, "popart": 0.1}
    network = build(spec, **own)
    shared = build(spec, **own | {"share_torso": True})
    assert parameter_count(network) > parameter_count(shared)
    batch = batch_of(network, spec)
    said = network.unroll(batch)
    said.value.sum().backward()
    assert all(part.grad is None for part in network.torso.parameters())
    assert all(part.grad.abs().sum() > 0 for part in network.critic.parameters())
    state, action, reward = batch.state, batch.last_action, batch.last_reward
    for t in range(len(batch.action)):
        step = Inputs(batch.observation[t], batch.first[t], action, reward, state)
        policy, value, state = network(step)
        torch.testing.assert_close(said.policy[t], policy)
        torch.testing.assert_close(said.value[t], network._values(value, batch.task)[0])
        assert torch.equal(network.act(step, None).policy, policy)
        action, reward = batch.action[t], batch.reward[t]
    k = len(batch.final_index) - 1
    t, b = batch.final_index[k].tolist()
    last = (batch.final_observation[k : k + 1], torch.zeros(1, dtype=torch.bool))
    before = (batch.action[t, b : b + 1], batch.reward[t, b : b + 1])
    value = network._values(network(Inputs(*last, *before, state[:1]))[1], batch.task[b : b + 1])
    torch.testing.assert_close(said.final_value[k : k + 1], value[0])


def test_observations_come_to_mean_0_and_deviation_1():
    """The running statistics are those of everything at once, however it came in parts."""
    network = build(VECTOR, normalise=True)
    random = np.random.default_rng(0)
    every = random.normal(3.0, [0.01, 1.0, 100.0, 0.0], (500, 4))
    parts = [torch.tensor(part, dtype=torch.float32) for part in np.split(every, [7, 20, 300])]
    torch.testing.assert_close(network.normaliser(parts[0]), parts[0].clamp(-10.0, 10.0))
    for part in parts:
        network.look_back(part, lambda own: own)
    mean, deviation = every.mean(0), np.sqrt(every.var(0) + 1e-8)
    seen = every[:9] + [0.0, 0.0, 0.0, 5.0]
    expected = np.clip((seen - mean) / deviation, -10.0, 10.0)
    found = network.normaliser(torch.tensor(seen, dtype=torch.float32)).numpy()
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=2e-3)
    halves = build(VECTOR, normalise=True)  # two learners' parts
    halves.look_back(parts[0][:3], lambda own: _moments(parts[0]))
    whole = build(VECTOR, normalise=True)
    whole.look_back(parts[0], lambda own: own)
    torch.testing.assert_close(halves.state_dict(), whole.state_dict())


def _moments(rows):
    rows = rows.double()
    return torch.stack([torch.ones_like(rows).sum(0), rows.sum(0), rows.square().sum(0)])


def test_an_update_moves_the_scale_and_an_unroll_sees_it():
    agent = Impala(ImpalaSettings.parse({"network": {"normalise": True}}), VECTOR)
    batch = batch_of(agent.network, VECTOR)
    learner = Learner(agent, TrainSettings.parse(TRAINING).optimizer, torch.device("cpu"), 10)
    learner.update(batch, 0)
    rows = batch.observation[:-1].reshape(-1, 4)
    torch.testing.assert_close(agent.network.normaliser.mean, rows.mean(0))
    assert agent.network.normaliser.count == len(rows)
    scaled = batch._replace(observation=agent.network.normaliser(batch.observation))
    bare = Impala(ImpalaSettings(), VECTOR)
    bare.network.load_state_dict(agent.network.state_dict(), strict=False)
    torch.testing.assert_close(
        agent.network.unroll(batch).value, bare.network.unroll(scaled).value
    )


def test_an_unroll_without_an_end_is_one_fused_call(monkeypatch):
    network = build(VECTOR, **MEMORY)
    batch = batch_of(network, VECTOR)
    whole = batch._replace(
        first=torch.zeros_like(batch.first),
        final_index=batch.final_index[:0],
        final_observation=batch.final_observation[:0],
    )
    calls = []
    sequence = network.core.sequence
    monkeypatch.setattr(
        network.core, "sequence", lambda x, s: calls.append(x.shape) or sequence(x, s)
    )
    network.unroll(whole)
    network.unroll(batch)
    assert calls[0][:2] == (10, 4) and len(calls) == 2


def test_the_last_action_is_one_hot():
    assert encode_actions(VECTOR.actions, torch.tensor([2, 0])).tolist() == [[0, 0, 1], [1, 0, 0]]
    assert encode_actions(MULTI.actions, torch.tensor([[1, 2]])).tolist() == [[0, 1, 0, 0, 1]]
    assert encode_actions(BOX.actions, torch.tensor([[0.5]])).tolist() == [[0.5]]


@pytest.mark.parametrize("torso", ["shallow", "nature", "deep"])
def test_the_memory_format_does_not_change_what_is_computed(torso):
    plain, turned = build(ATARI, torso=torso, channels_last=False), build(ATARI, torso=torso)
    batch = batch_of(plain, ATARI, T=2)
    torch.testing.assert_close(plain.unroll(batch), turned.unroll(batch), rtol=1e-4, atol=1e-5)
    turned.load_state_dict(plain.state_dict())
    assert turned.torso.layers[0].weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("torso", ["shallow", "nature", "deep"])
def test_pixels_are_numbers_from_0_to_1(torso):
    network = build(ATARI, torso=torso)
    images = batch_of(network, ATARI, T=1).observation.flatten(0, 1)
    first, *rest = network.torso.layers
    plain = nn.Conv2d(4, first.out_channels, first.kernel_size, first.stride, first.padding)
    plain.load_state_dict(first.state_dict())
    expected = nn.Sequential(plain, *rest)(images / 255.0)
    torch.testing.assert_close(network.torso(images), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("channels_last", [False, True])
def test_centred_pixels_are_blind_to_brightness(channels_last):
    network = build(ATARI, pixels="centred", channels_last=channels_last)
    images = batch_of(network, ATARI, T=1).observation.flatten(0, 1) // 2
    first, *rest = network.torso.layers
    plain = nn.Conv2d(4, 16, 8, 4)
    plain.load_state_dict(first.state_dict())
    mean = images.float().mean((1, 2, 3), keepdim=True)
    expected = nn.Sequential(plain, *rest)((images - mean) * 4 / 255.0)
    torch.testing.assert_close(network.torso(images), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.torso(images + 100), expected, rtol=1e-4, atol=1e-5)


def test_orthogonal_weights_keep_lengths():
    network = build(ATARI, torso="deep", core="lstm", initialisation="orthogonal")
    units = network.torso.layers[-2]
    torch.testing.assert_close(units.weight @ units.weight.T, 2.0 * torch.eye(256))
    assert not units.bias.any() and network.policy.weight.norm() < 0.05
    kernel = network.core.cell.weight_hh_l0
    torch.testing.assert_close(kernel.T @ kernel, torch.eye(256), rtol=0, atol=1e-5)


@pytest.mark.parametrize("torso", ["shallow", "deep"])
def test_images_are_read_a_block_at_a_time_and_nothing_changes(torso, monkeypatch):
    network = build(ATARI, torso=torso)
    batch, said = batch_of(network, ATARI, T=4), []
    for block in (10**6, 3):
        monkeypatch.setattr(network.torso, "block", block)
        network.zero_grad()
        unrolled = network.unroll(batch)
        (unrolled.value.sum() + unrolled.policy.square().sum()).backward()
        said.append([unrolled.value.detach(), *(p.grad.clone() for p in network.parameters())])
    torch.testing.assert_close(*said, rtol=1e-3, atol=1e-5)


def test_to_compile_without_a_compiler_is_an_error_that_says_so(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(MissingProgram, match=r"agent.network.compile.* g\+\+"):
        build(VECTOR, compile=True)


def test_bfloat16_is_near_and_its_gradient_float32(monkeypatch):
    plain, low = build(ATARI), build(ATARI, precision="bfloat16")
    batch = batch_of(plain, ATARI, T=2)
    for fast, twin in ((False, plain), (True, low)):
        monkeypatch.setattr(precision, "is_fast", lambda device, fast=fast: fast)
        chosen = build(ATARI, precision="auto").unroll(batch)
        torch.testing.assert_close(chosen, twin.unroll(batch), rtol=0, atol=0)
    exact, near = plain.unroll(batch), low.unroll(batch)
    assert near.policy.dtype == near.value.dtype == torch.float32
    torch.testing.assert_close(exact, near, rtol=0.05, atol=0.01)
    near.value.sum().backward()
    assert all(p.grad.dtype == torch.float32 for p in low.torso.parameters())


@pytest.mark.parametrize(
    "spec, settings, words",
    [
        (VECTOR, {"torso": "deep"}, "the deep torso takes uint8 images.*torso=mlp"),
        (VECTOR, {"head": "gaussian"}, "GaussianHead gives box actions.*head=auto"),
        (VECTOR, {"core": "mlp"}, "agent.network.core: 'mlp' is a torso"),
        (VECTOR, {"torso": "lstm"}, "agent.network.torso: 'lstm' is a core"),
        (VECTOR, {"core": "ltsm"}, "Did you mean 'lstm'"),
        (VECTOR, {"core": "gru", "share_torso": False}, "share_torso: .* for core='none'"),
        (ATARI, {"normalise": True}, "normalise: is for observations that are numbers"),
    ],
)
def test_parts_that_do_not_fit_are_refused(spec, settings, words):
    with pytest.raises((SettingsError, UnknownName, UnsupportedSpace), match=words):
        build(spec, **settings)
