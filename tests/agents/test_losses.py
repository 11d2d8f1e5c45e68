"""Losses and the optimiser against their literal twins."""

import math

import literal_losses
import pytest
import torch

from veldt.agents import losses
from veldt.agents.distributions import Categorical
from veldt.agents.optimizers import Adam, RMSProp, TorchRMSProp


@pytest.fixture
def steps():
    torch.manual_seed(0)
    logits = torch.randn(6, 3, 4, dtype=torch.float64) * 3
    actions = torch.randint(4, (6, 3))
    return logits, actions, *torch.randn(3, 6, 3, dtype=torch.float64)


def total(logits, actions, advantages, vs, values, reduction):
    policy = Categorical(4)
    return losses.actor_critic_loss(
        policy.log_probability(logits, actions),
        advantages,
        vs,
        values,
        policy.entropy(logits),
        baseline_cost=0.5,
        entropy_cost=0.01,
        reduction=reduction,
    )[0]


@pytest.mark.parametrize(("reduction", "parts"), [("sum", 1), ("mean", 18)])
def test_terms_equal_the_literal_sum(steps, reduction, parts):
    logits, *rest = steps
    flat = [tensor.flatten().tolist() for tensor in rest]
    expected = literal_losses.impala(logits.flatten(0, 1).tolist(), *flat, 0.5, 0.01)
    assert float(total(*steps, reduction)) == pytest.approx(expected / parts, abs=1e-12)


def test_the_advantage_carries_no_gradient(steps):
    logits, actions, advantages, *_ = steps
    advantages.requires_grad_()
    log_pi = Categorical(4).log_probability(logits.requires_grad_(), actions)
    loss = losses.policy_gradient_loss(log_pi, advantages, "sum")
    loss.backward()
    assert advantages.grad is None and logits.grad.abs().sum() > 0


def test_rewards_are_clipped_for_the_loss():
    rewards = torch.tensor([-3.0, -0.5, 0.0, 0.5, 3.0])
    assert losses.clip_rewards(rewards, "abs_one").tolist() == [-1.0, -0.5, 0.0, 0.5, 1.0]
    assert losses.clip_rewards(rewards, "none") is rewards
    for how, literal in (
        ("optimistic_asymmetric", lambda r: 0.3 * min(math.tanh(r), 0) + 5 * max(math.tanh(r), 0)),
        ("soft_asymmetric", lambda r: (1 if r >= 0 else 0.3) * 5 * math.tanh(r / 5)),
    ):
        expected = [literal(r) for r in rewards.tolist()]
        assert losses.clip_rewards(rewards, how).tolist() == pytest.approx(expected, rel=1e-6)


GRADIENTS = [0.3, -2.0, 0.01, 5.0, 0.0]


def descend(optimizer, parameter, *arguments):
    for gradient in GRADIENTS:
        parameter.grad = torch.full_like(parameter, gradient)
        optimizer.step(*arguments)
    return parameter.item()


def parameter():
    return torch.nn.Parameter(torch.tensor([1.5], dtype=torch.float64))


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("epsilon", [0.1, 1e-5])
def test_rmsprop_is_that_of_tensorflow_1(momentum, epsilon):
    moved = parameter()
    optimizer = RMSProp([("p", moved)], decay=0.9, momentum=momentum, epsilon=epsilon)
    expected = literal_losses.rmsprop(1.5, GRADIENTS, 0.1, 0.9, momentum, epsilon)
    assert descend(optimizer, moved, 0.1) == pytest.approx(expected, abs=1e-14)


def test_rmsprop_is_not_that_of_torch():
    ours, theirs = parameter(), parameter()
    RMSProp([("p", ours)]).step(0.1)  # without a gradient nothing moves
    assert ours.item() == 1.5
    moved = 1.5 - descend(RMSProp([("p", ours)], epsilon=0.01), ours, 0.1)
    optimizer = torch.optim.RMSprop([theirs], lr=0.1, alpha=0.99, eps=0.01)
    assert abs(1.5 - descend(optimizer, theirs) - moved) > 0.1


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_rmsprop_torch_is_that_of_torch(momentum):
    ours, theirs = parameter(), parameter()
    optimizer = torch.optim.RMSprop([theirs], lr=0.1, alpha=0.9, eps=0.1, momentum=momentum)
    expected = descend(optimizer, theirs)
    mine = TorchRMSProp([("p", ours)], decay=0.9, momentum=momentum, epsilon=0.1)
    assert descend(mine, ours, 0.1) == pytest.approx(expected, abs=1e-12)


def test_adam_is_that_of_torch():
    ours, theirs = parameter(), parameter()
    expected = descend(torch.optim.Adam([theirs], lr=0.1, eps=1e-3), theirs)
    assert descend(Adam([("p", ours)], epsilon=1e-3), ours, 0.1) == pytest.approx(
        expected, abs=1e-12
    )


def test_a_state_of_other_parameters_is_refused():
    with pytest.raises(ValueError, match="other parameters"):
        RMSProp([("p", parameter())]).load(RMSProp([("q", parameter())]).state())
