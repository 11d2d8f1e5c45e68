"""Lives: the learned loss against its literal twin, and agents that learn or do not."""

import dataclasses
import math

import literal_learned_loss as literal
import literal_losses
import literal_vtrace
import numpy as np
import pytest
import torch

from veldt.agents.distributions import Categorical
from veldt.agents.lives.anatomy import Anatomy
from veldt.agents.lives.catalogue import BY_HAND
from veldt.agents.lives.closed_form import read_off
from veldt.agents.lives.drift import DriftNetwork, DriftSettings, closed_form
from veldt.agents.lives.inner_losses import A2C, PPO, Evolved, Lived
from veldt.agents.lives.learned_loss import Convolution, LearnedLoss, LossSettings
from veldt.agents.lives.life import Lives, Living, blend_of, carry_size
from veldt.agents.lives.settings import LifeSettings, demand_family
from veldt.agents.lives.vtrace_loss import (
    VTraceLoss,
    VTraceNumbers,
    VTraceSettings,
    coefficients,
    transformed,
)
from veldt.agents.lives.world import Normaliser
from veldt.agents.optimizers import Adam
from veldt.platform.envs.vector import Actions, discrete
from veldt.platform.errors import SettingsError
from veldt.platform.keys import Key

BOX = Actions("box", (), (-1.0,) * 3, (1.0,) * 3)
SMALL = LossSettings(
    convolutions=(
        Convolution(filters=3, side=4, stride=2),
        Convolution(filters=2, side=2, stride=1),
    ),
    context=5,
    units=4,
    memory=2,
    memory_weights=3,
)
DIRECTION = {"environment": {"id": "family/direction"}}


def settings(**changes):
    return LifeSettings.parse(DIRECTION | changes)


def anatomy(actions=BOX, value=False, observation=11, hidden=(5,), memory=(2, 3)):
    return Anatomy(observation, actions, hidden, value, memory)


def lived(one, lives=2, older=4, newest=6, seed=0):
    """Something that was lived, made up."""
    random = np.random.default_rng(seed)

    def drawn(*shape):
        return torch.from_numpy(random.normal(size=shape).astype(np.float32))

    terminated = torch.from_numpy(random.random((lives, newest)) < 0.2)
    cut = torch.from_numpy(random.random((lives, newest)) < 0.2)
    action = drawn(lives, newest, one.choices)
    observation, after = drawn(2, lives, older + newest, one.observation)
    goes_on = ~(terminated | cut)[:, :-1, None]  # a step leads to what is seen at the next
    after = after[:, older:]
    after[:, :-1] = torch.where(goes_on, observation[:, older + 1 :], after[:, :-1])
    return Lived(
        observation=observation,
        channels=drawn(lives, older + newest, one.observation + one.choices + 3),
        action=action.argmax(-1) if one.discrete else action,
        reward=drawn(lives, newest),
        terminated=terminated,
        ended=terminated | cut,
        behaviour=drawn(lives, newest, one.outputs),
        after=after,
    )


def begun(one, lives, seed=0):
    rows = [one.begin(Key(seed).child("agent", i).generator()) for i in range(lives)]
    return torch.from_numpy(np.stack(rows))


def test_the_release_s_loss_has_9857_parameters_on_hopper():
    hopper = anatomy(hidden=(64, 64), memory=(32, 64))
    loss = LearnedLoss(LossSettings(), hopper)
    assert (loss.channels, loss.size) == (55, 9857)


@pytest.mark.parametrize("actions", [BOX, discrete(4)], ids=["box", "discrete"])
def test_the_learned_loss_is_the_literal_one(actions):
    one = anatomy(actions)
    network = LearnedLoss(SMALL, one)
    rows = torch.from_numpy(
        np.stack([network.begin(np.random.default_rng(i)) for i in range(2)])
    ).float()
    agents, seen = begun(one, 2), lived(one)
    chosen = torch.tensor([[0, 3, 5], [5, 1, 2]])
    parts, agent = network.split(rows), one.split(agents)
    found = Evolved(network, one)(parts, agent, seen)(agent, chosen)
    said, recalled = one.policy(agent, seen.observation), one.recall(agent)
    for life in range(2):
        memory = literal.memory(
            agent["memory.weight"][life].tolist(), agent["memory.bias"][life].tolist()
        )
        assert memory == pytest.approx(recalled[life].tolist(), rel=1e-5)
        expected = literal.learned_loss(
            {name: part[life].tolist() for name, part in parts.items()},
            [(layer.side, layer.stride) for layer in SMALL.convolutions],
            seen.channels[life].tolist(),
            said[life].tolist(),
            memory,
            [4 + place for place in chosen[life].tolist()],
        )
        assert found[life].item() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_memory_learns_through_the_samples_alone():
    one = anatomy()
    network = LearnedLoss(SMALL, one)
    row = torch.from_numpy(network.begin(np.random.default_rng(0)))[None].float()
    parts, seen = network.split(row), lived(one, lives=1)
    agents = begun(one, 1).requires_grad_()
    agent = one.split(agents)
    memory = one.recall(agent)
    said = one.policy(agent, seen.observation)
    assert network.context(parts, seen.channels, said, memory.detach()).requires_grad
    parts["units.weight"][:, -SMALL.context - 2 : -SMALL.context] = 0.0  # samples do not see it
    loss = Evolved(network, one)(parts, agent, seen)(agent, torch.tensor([[0, 1]]))
    (gradient,) = torch.autograd.grad(loss.sum(), agents)
    named = one.split(gradient)
    assert not named["memory.weight"].any() and named["policy.0.weight"].any()


def test_advantages_are_the_literal_ones():
    one = anatomy(value=True, memory=(0, 0))
    agent, seen = one.split(begun(one, 3)), lived(one, lives=3, newest=12)
    assert seen.terminated.any() and (seen.ended & ~seen.terminated).any()
    found, targets = A2C(one, 0.9, 0.8).advantages(agent, seen)
    values = one.value(agent, seen.observation[:, -12:])
    follow = one.value(agent, seen.after)
    torch.testing.assert_close(targets - found, values)
    for life in range(3):
        rows = (seen.reward, seen.terminated, seen.ended, values, follow)
        expected = literal.advantages(*(row[life].tolist() for row in rows), 0.9, 0.8)
        assert found[life].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_ppo_keeps_the_advantages_from_before_its_first_step():
    """Arithmetic of arXiv:1707.06347, algorithm 1; `after` is the agent a few steps later."""
    one = anatomy(discrete(3), value=True, memory=(0, 0))
    seen, chosen = lived(one, lives=1, newest=8), torch.tensor([[6, 1, 3, 0]])
    before, after = (one.split(begun(one, 1, seed)) for seed in (0, 1))
    descent = PPO(one)({}, before, seen)
    values = one.value(before, seen.observation[:, -8:])
    rows = (seen.reward, seen.terminated, seen.ended, values, one.value(before, seen.after))
    advantages = literal.advantages(*(row[0].tolist() for row in rows), 0.99, 0.95)
    observation = seen.observation[:, -8:]
    for agent in (before, after):
        pi, mu = one.policy(agent, observation)[0].tolist(), seen.behaviour[0].tolist()
        now = one.value(agent, observation)[0].tolist()
        actions = seen.action[0].tolist()
        expected = literal.ppo(pi, mu, actions, advantages, values[0].tolist(), now, chosen[0])
        assert descent(agent, chosen).item() == pytest.approx(expected, rel=1e-4)


def test_normalising_is_by_all_that_was_seen():
    random = np.random.default_rng(0)
    x = torch.from_numpy(random.normal(3.0, [0.01, 2.0], (2, 30, 2)).astype(np.float32))
    normalise = Normaliser(2, 2)
    torch.testing.assert_close(normalise(x), x)
    for part in x.split(10, 1):
        normalise.take(part)
    deviation = np.sqrt(np.maximum(x.numpy().var(1, keepdims=True), 0.01))
    expected = (x.numpy() - x.numpy().mean(1, keepdims=True)) / deviation
    np.testing.assert_allclose(normalise(x), expected, rtol=1e-4, atol=1e-4)


def test_a_life_is_the_same_in_any_company():
    short = settings(updates=3)
    spec = demand_family(short)
    one = Anatomy(4, spec.actions, (8,), False, (2, 3))
    network = LearnedLoss(LossSettings(memory=2, memory_weights=3), one)
    row = torch.from_numpy(network.begin(np.random.default_rng(0))).float()
    keys = [Key(1).child("life", i) for i in range(5)]

    def live(keys):
        blend = blend_of(Evolved(network, one), row.expand(len(keys), -1), network.split)
        return Lives(short, one).live(keys, blend)

    all_of_them, some = live(keys), live(keys[3:])
    np.testing.assert_allclose(some.returns, all_of_them.returns[3:], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(some.rewards, all_of_them.rewards[3:], rtol=1e-3, atol=1e-4)
    assert len(set(all_of_them.returns.tolist())) == 5
    assert all_of_them.steps == 3 * 64 + 3 * 50


@pytest.mark.parametrize("kind", ["epg", "v-trace"])
def test_a_life_in_stretches_is_the_same_life(kind):
    """Its agents, moments, buffers and statistics are taken along, bit for bit."""
    whole = settings(updates=4, steps=30, minibatch=10, buffer=80, stretches=2)
    value = kind == "v-trace"
    one = Anatomy(4, demand_family(whole).actions, (8,), value, (0, 0) if value else (2, 3))
    network = LearnedLoss(SMALL, one)
    rows = torch.from_numpy(network.begin(np.random.default_rng(0))).float().expand(3, -1)
    blend = blend_of(Evolved(network, one), rows, network.split)
    if value:
        blend = blend_of(
            VTraceLoss(one), torch.zeros(3, 9), VTraceNumbers(VTraceSettings(), one).split
        )
    keys = [Key(1).child("life", i) for i in range(3)]
    lives = Lives(whole, one)
    expected = lives.live(keys, blend)
    first, carry = lives.stretch(keys, blend, 0, None)
    kept = carry.clone()
    last, _ = lives.stretch(keys, blend, 1, carry)
    assert torch.equal(carry, kept) and carry.shape == (3, carry_size(whole, one))
    np.testing.assert_array_equal(last.returns, expected.returns)
    np.testing.assert_array_equal(np.hstack([first.rewards, last.rewards]), expected.rewards)
    assert first.steps + last.steps == expected.steps + 3 * 50
    seamless = Lives(whole.model_copy(update={"stretches": 1}), one).live(keys, blend)
    np.testing.assert_array_equal(seamless.rewards[:, :2], expected.rewards[:, :2])
    assert (seamless.rewards[:, 2:] != expected.rewards[:, 2:]).any()  # its episode is not cut


def test_they_descend_by_adam():
    one, rate = anatomy(value=True, memory=(0, 0)), 0.01
    agents, parameter = begun(one, 2), torch.nn.Parameter(begun(one, 2))
    adam = Adam([("agents", parameter)], epsilon=1e-8)
    living = object.__new__(Living)
    living._anatomy, living._settings = one, settings(learning_rate=rate)
    living.agents, living._moments = agents, torch.zeros(2, *agents.shape)
    living._descended = 0
    loss = A2C(one)
    for step in range(4):
        seen, chosen = lived(one, seed=step), torch.tensor([[0, 1, 4], [2, 3, 5]])
        descent = blend_of(loss)(one.split(living.agents), seen)
        living._descend(descent, chosen)
        adam.zero_grad()
        agent = one.split(parameter)
        loss({}, agent, seen)(agent, chosen).sum().backward()
        adam.step(rate)
    torch.testing.assert_close(living.agents, parameter.detach())


def learn(loss, **changes):
    changed = settings(**({"updates": 24, "learning_rate": 0.01} | changes))
    one = Anatomy(4, demand_family(changed).actions, (16, 16), loss.value)
    keys = [Key(2).child("life", i) for i in range(24)]
    return Lives(changed, one).live(keys, blend_of(loss(one)))


@pytest.mark.parametrize("name", sorted(BY_HAND))
def test_directions_are_learnt_by_hand_written_losses(name):
    found = learn(BY_HAND[name])
    assert found.returns.mean() > 25  # random: 0; the best there is: about 85
    assert found.rewards[:, -3:].mean() > found.rewards[:, :3].mean() + 0.3


def test_directions_are_not_learnt_from_advantages_turned_round(monkeypatch):
    right = A2C.advantages

    def turned(self, agent, seen):
        advantages, targets = right(self, agent, seen)
        return -advantages, targets

    monkeypatch.setattr(A2C, "advantages", turned)
    assert learn(A2C).returns.mean() < 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"minibatch": 48}, "does not divide 64"),
        ({"buffer": 32}, "less than the 64 newest"),
        ({"stretches": 5}, "stretches is 5, which does not divide 32"),
        ({"environment": {"id": "atari/pong"}}, "one task, not a family"),
        ({"environment": {"id": "family/direction", "options": {"half": "up"}}}, "half must be"),
    ],
)
def test_lives_that_cannot_be_lived(changes, words):
    with pytest.raises(SettingsError, match=words):
        demand_family(settings(**changes))


def test_a_drift_is_nothing_where_the_policies_are_the_same():
    one = anatomy(discrete(3), value=True, memory=(0, 0))
    network = DriftNetwork(DriftSettings(units=7), one)
    assert network.size == 9 * 7
    row = torch.from_numpy(network.begin(np.random.default_rng(0)))[None]
    parts = network.split(row)
    log_ratio = torch.tensor([[0.0, 0.3, -0.2]], dtype=torch.double)
    advantage = torch.tensor([[2.0, 1.0, -3.0]], dtype=torch.double)
    found = network.drift(parts, log_ratio, advantage)[0].tolist()
    units, out = parts["units"][0].tolist(), parts["out"][0].tolist()
    for d, a, got in zip(log_ratio[0].tolist(), advantage[0].tolist(), found, strict=True):
        x = [d, d * d, 1 - math.exp(d), (1 - math.exp(d)) ** 2]
        x += [part * a for part in x]
        hidden = [math.tanh(sum(x[i] * units[i][j] for i in range(8))) for j in range(7)]
        assert got == pytest.approx(sum(h * o[0] for h, o in zip(hidden, out, strict=True)))
    assert found[0] == 0.0 != found[1]


def test_the_closed_form_is_nothing_near_and_holds_back_far_away():
    d = torch.tensor([[0.0, 0.05, 1.5, -0.05, -2.0]])
    for sign in (1.0, -1.0):
        drift = closed_form(sign * d, torch.full_like(d, 4.0 * sign))[0]
        assert drift[0] == 0.0 and (drift >= 0.0).all() and drift[1] < 0.05 < drift[2]


def test_the_closed_form_is_read_off_a_drift():
    advantages, log_ratios = np.linspace(-2.0, 2.0, 17), np.linspace(-1.0, 1.0, 21)
    grid = np.meshgrid(advantages, log_ratios, indexing="ij")
    shown = closed_form(*(torch.from_numpy(axis) for axis in reversed(grid))).numpy()
    form = read_off(shown, advantages, log_ratios)
    assert dataclasses.astuple(form) == pytest.approx((1.0, 2.0, 1.0, 0.6, 0.0), abs=1e-3)
    other = 0.7 * np.maximum(grid[0] * np.expm1(grid[1]), 0.0)  # the limit of a small alpha
    other[advantages < 0] = shown[advantages < 0] + 0.01 * np.sin(7 * grid[1][advantages < 0])
    form = read_off(other, advantages, log_ratios)
    assert form.a == pytest.approx(0.7, abs=0.03) and form.alpha < 0.05
    assert form.beta == pytest.approx(0.6, abs=0.05) and 0.01 < form.residual < 0.1
    left = np.sqrt(np.square(other - form.drift(advantages, log_ratios)).mean())
    assert form.residual == pytest.approx(left / np.sqrt(np.square(other).mean()))


def test_nine_zeros_are_the_plain_v_trace_loss():
    one = anatomy(discrete(3), value=True, memory=(0, 0))
    agent, seen = one.split(begun(one, 2)), lived(one, newest=8)
    numbers = torch.zeros(2, 9)
    found = VTraceLoss(one)({"numbers": numbers}, agent, seen)(
        agent, torch.arange(8).expand(2, -1)
    )
    distribution = Categorical(3)
    observation = seen.observation[:, -8:]
    policy, values = one.policy(agent, observation), one.value(agent, observation)
    after = one.value(agent, seen.after)
    log_pi = distribution.log_probability(policy, seen.action)
    log_mu = distribution.log_probability(seen.behaviour, seen.action)
    for life in range(2):
        vs, advantages = literal_vtrace.vtrace(
            (log_pi - log_mu)[life].tolist(),
            [0.99 * (not over) for over in seen.terminated[life].tolist()],
            seen.reward[life].tolist(),
            values[life].tolist(),
            after[life, -1].item(),
            (seen.ended & ~seen.terminated)[life].tolist(),
            after[life].tolist(),
            1.0,
            1.0,
            1.0,
            1.0,
        )
        expected = literal_losses.impala(
            policy[life].tolist(),
            seen.action[life].tolist(),
            advantages,
            vs,
            values[life].tolist(),
            0.5,
            0.01,
        )
        assert found[life].item() == pytest.approx(expected / 8, rel=1e-4)


def test_each_number_moves_its_coefficient():
    plain = coefficients(torch.zeros(1, 9))
    names = list(plain)
    for i, name in enumerate(names):
        numbers = torch.zeros(1, 9)
        numbers[0, i] = -0.5
        moved = coefficients(numbers)
        others = [n for n in names if n != name and not torch.equal(moved[n], plain[n])]
        assert not torch.equal(moved[name], plain[name])
        assert others == (["clip_c_threshold"] if name == "clip_rho_threshold" else [])
    values = torch.tensor([[4.0, -4.0]])
    numbers = torch.tensor([[0.0] * 7 + [math.log(0.5), math.log(3.0)]])
    assert transformed(coefficients(numbers), values)[0].tolist() == pytest.approx([2.0, -6.0])
