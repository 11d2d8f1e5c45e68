"""IMPALA learns, and does not when it is broken on purpose.

In one process, so that a broken algorithm can be put in the place of the right one.
"""

import itertools

import numpy as np
import pytest
import torch

from veldt.agents import losses, vtrace
from veldt.agents.actor import Player
from veldt.agents.build import make_agent, make_environments
from veldt.agents.learner import Learner
from veldt.agents.settings import TrainSettings
from veldt.agents.staging import to_batch
from veldt.launch import cookbook
from veldt.platform.errors import Diverged
from veldt.platform.keys import Key
from veldt.platform.tickets import Place

UPDATES = 230


def learn(updates=UPDATES, assignments=()):
    """The last 50 returns of a short training of the cartpole recipe, in this process."""
    data = cookbook.load("cartpole", "train", ["actors.environments=16", *assignments], seed=1)
    settings = TrainSettings.parse(data)
    environments = make_environments(settings, settings.actors.environments)
    agent = make_agent(settings, environments.spec)
    learner = Learner(agent, settings.optimizer, torch.device("cpu"), 2 * updates)
    player = Player(agent, environments, settings.actors.unroll_length, Key(1))
    returns = []
    for update in range(updates):
        trajectory, episodes, _ = player.unroll(update, fresh=update == 0)
        returns += [value for value, _ in episodes]
        learner.update(to_batch(trajectory, torch.device("cpu")), update)
    return np.mean(returns[-50:])


def test_cartpole_is_learnt():
    assert learn() > 120  # a random policy makes 20


@pytest.mark.parametrize("fault", ["advantages inverted", "no advantages", "terminations ignored"])
def test_cartpole_is_not_learnt_by_a_broken_algorithm(fault, monkeypatch):
    plain_loss, plain_vtrace = losses.policy_gradient_loss, vtrace.from_importance_weights

    def loss(log_pi, advantages, reduction):
        sign = {"advantages inverted": -1.0, "no advantages": 0.0}.get(fault, 1.0)
        return plain_loss(log_pi, sign * advantages, reduction)

    def targets(log_rhos, discounts, *rest, **named):
        if fault == "terminations ignored":
            discounts = torch.full_like(discounts, float(discounts.max()))
        return plain_vtrace(log_rhos, discounts, *rest, **named)

    monkeypatch.setattr(losses, "policy_gradient_loss", loss)
    monkeypatch.setattr(vtrace, "from_importance_weights", targets)
    assert learn() < 80


def test_a_gradient_that_is_not_finite_changes_nothing():
    settings = TrainSettings.parse(cookbook.load("cartpole", "train"))
    environments = make_environments(settings, 2)
    agent = make_agent(settings, environments.spec)
    learner = Learner(agent, settings.optimizer, torch.device("cpu"), 10)
    trajectory, _, _ = Player(agent, environments, 5, Key(1)).unroll(0, True)
    trajectory.reward[2, 1] = np.inf
    before = {name: array.copy() for name, array in learner.arrays().items()}
    with pytest.raises(Diverged, match="update 4 is not finite"):
        learner.update(to_batch(trajectory, torch.device("cpu")), 3)
    for name, array in learner.arrays().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_loss_that_is_not_finite_changes_nothing_though_its_gradient_is(wrong, monkeypatch):
    settings = TrainSettings.parse(cookbook.load("cartpole", "train"))
    environments = make_environments(settings, 2)
    agent = make_agent(settings, environments.spec)
    learner = Learner(agent, settings.optimizer, torch.device("cpu"), 10)
    trajectory, _, _ = Player(agent, environments, 5, Key(1)).unroll(0, True)
    sound = agent.losses

    def losses(batch, generator):
        for loss, metrics in sound(batch, generator):
            yield loss + wrong, metrics

    monkeypatch.setattr(agent, "losses", losses)
    before = {name: array.copy() for name, array in learner.arrays().items()}
    with pytest.raises(Diverged, match=rf"the loss at update 4 is not finite \(loss {wrong}"):
        learner.update(to_batch(trajectory, torch.device("cpu")), 3)
    for name, array in learner.arrays().items():
        np.testing.assert_array_equal(array, before[name])


class Twin:
    """Stands for a group of two; the other learner has the same gradient, and a loss of NaN."""

    place = Place(0, 2)

    def total(self, tensor):
        return 2 * tensor

    def sum(self, tensors):
        *gradients, loss = tensors
        torch._foreach_mul_(gradients, 2)
        loss.fill_(np.nan)


def test_a_learner_stops_where_the_loss_of_another_is_not_finite():
    settings = TrainSettings.parse(cookbook.load("cartpole", "train"))
    environments = make_environments(settings, 2)
    agent = make_agent(settings, environments.spec)
    learner = Learner(agent, settings.optimizer, torch.device("cpu"), 10, group=Twin())
    trajectory, _, _ = Player(agent, environments, 5, Key(1)).unroll(0, True)
    with pytest.raises(Diverged, match=r"the loss at update 1 is not finite \(loss nan"):
        learner.update(to_batch(trajectory, torch.device("cpu")), 0)


@pytest.mark.parametrize("optimizer", ["rmsprop", "rmsprop-torch", "adam"])
def test_a_learner_goes_on_from_its_arrays_bit_for_bit(optimizer):
    moment = "beta1" if optimizer == "adam" else "momentum"
    assignments = [f"optimizer.name={optimizer}", f"optimizer.{moment}=0.5"]
    settings = TrainSettings.parse(cookbook.load("cartpole", "train", assignments))
    environments = make_environments(settings, 4)
    trajectories = [
        Player(make_agent(settings, environments.spec), environments, 5, Key(9)).unroll(n, True)[0]
        for n in range(6)
    ]

    def learner():
        agent = make_agent(settings, environments.spec)
        return Learner(agent, settings.optimizer, torch.device("cpu"), 6)

    whole, head, tail = learner(), learner(), learner()
    for update, trajectory in enumerate(trajectories):
        whole.update(to_batch(trajectory, torch.device("cpu")), update)
    for update, trajectory in enumerate(trajectories[:3]):
        head.update(to_batch(trajectory, torch.device("cpu")), update)
    tail.load(head.arrays())
    for update, trajectory in itertools.islice(enumerate(trajectories), 3, None):
        tail.update(to_batch(trajectory, torch.device("cpu")), update)
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(array, tail.arrays()[name])


def test_the_learning_rate_falls_to_nothing_on_frames():
    settings = TrainSettings.parse(cookbook.load("cartpole", "train"))
    environments = make_environments(settings, 2)
    agent = make_agent(settings, environments.spec)
    learner = Learner(agent, settings.optimizer, torch.device("cpu"), 4)
    trajectory, _, _ = Player(agent, environments, 5, Key(1)).unroll(0, True)
    rates = [
        learner.update(to_batch(trajectory, torch.device("cpu")), done)["learning_rate"]
        for done in range(4)
    ]
    assert rates == pytest.approx([0.01, 0.0075, 0.005, 0.0025])
