"""PopArt: no value moves with its statistics, and these become those of the returns."""

from fractions import Fraction

import pytest
import torch

from veldt.agents.build import environment_spec
from veldt.agents.catalogue import AGENTS
from veldt.agents.conformance import check, synthetic_trajectory
from veldt.agents.impala import Impala, ImpalaSettings
from veldt.agents.networks.actor_critic import initialise
from veldt.agents.popart import PopArt
from veldt.agents.settings import TrainSettings
from veldt.agents.staging import to_batch
from veldt.platform.envs.vector import EnvironmentSpec, Observations, discrete
from veldt.platform.errors import SettingsError, UnsupportedSpace
from veldt.platform.plugins import attribute

SPEC = EnvironmentSpec("v", Observations((4,), "float32"), discrete(3), 1, tasks=("a", "b", "c"))
SETTINGS = ImpalaSettings.parse({"network": {"popart": 0.1}})


@pytest.fixture
def head():
    return initialise(lambda: PopArt(6, 3).double(), 0)


def test_values_stay_when_statistics_move(head):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(7, 6, generator=generator, dtype=torch.float64)
    task = torch.tensor([0, 2, 2])
    returns = 1000 * torch.randn(5, 3, generator=generator, dtype=torch.float64) + 50
    every = torch.arange(3).expand(7, 3)
    before = head.values(head(features), every)
    head.adapt(returns, task, 0.3)
    torch.testing.assert_close(head.values(head(features), every), before, rtol=1e-12, atol=1e-10)
    assert head.mean[0] != 0 and head.mean[1] == 0 and head.mean_square[1] == 1


def test_statistics_are_those_of_equation_9(head):
    generator = torch.Generator().manual_seed(1)
    mu, nu = [0.0] * 3, [1.0] * 3
    for _ in range(20):
        returns = torch.randn(4, 5, generator=generator, dtype=torch.float64) * 3 - 7
        task = torch.randint(3, (5,), generator=generator)
        head.adapt(returns, task, 0.05)
        for k in range(3):
            got = [returns[t, b].item() for t in range(4) for b in range(5) if task[b] == k]
            if got:
                mu[k] = 0.95 * mu[k] + 0.05 * sum(got) / len(got)
                nu[k] = 0.95 * nu[k] + 0.05 * sum(g * g for g in got) / len(got)
    assert head.mean.tolist() == pytest.approx(mu, rel=1e-12)
    expected = [(n - m * m) ** 0.5 for m, n in zip(mu, nu, strict=True)]
    assert head.deviation.tolist() == pytest.approx(expected, rel=1e-9)


def test_returns_far_from_0_have_their_small_deviation_in_float32():
    """The head is float32; its twin is equation 9 in exact fractions, without the limits."""
    head = initialise(lambda: PopArt(6, 1), 0)
    generator, beta = torch.Generator().manual_seed(3), Fraction(1, 8)
    mu, nu, task = Fraction(0), Fraction(1), torch.zeros(3, dtype=torch.int64)
    for update in range(300):
        returns = 1000 + 0.1 * torch.randn(8, 3, generator=generator)
        head.adapt(returns, task, float(beta))
        got = [Fraction(value) for value in returns.flatten().tolist()]
        mu = (1 - beta) * mu + beta * sum(got) / len(got)
        nu = (1 - beta) * nu + beta * sum(g * g for g in got) / len(got)
        if update in (0, 20, 299):
            assert head.mean.item() == pytest.approx(float(mu), rel=1e-12)
            assert head.deviation.item() == pytest.approx(float(nu - mu * mu) ** 0.5, rel=1e-6)
    assert head.deviation.item() == pytest.approx(0.1, rel=0.2)
    scaled = head.normalise(returns, task)
    assert scaled.dtype == head.values(scaled, task).dtype == torch.float32
    assert abs(scaled.std().item() - 1.0) < 0.3
    torch.testing.assert_close(head.values(scaled, task), returns)


def test_targets_come_to_mean_0_and_deviation_1(head):
    generator = torch.Generator().manual_seed(2)
    for _ in range(3000):
        returns = torch.randn(10, 3, generator=generator, dtype=torch.float64)
        returns = returns * torch.tensor([0.01, 1.0, 1000.0]) + torch.tensor([1.0, -2.0, 500.0])
        head.adapt(returns, torch.arange(3), 0.01)
    scaled = head.normalise(returns, torch.arange(3))
    assert scaled.mean(0).abs().max() < 1.5
    assert head.deviation.tolist() == pytest.approx([0.01, 1.0, 1000.0], rel=0.15)


@pytest.mark.parametrize("name", AGENTS)
def test_an_agent_with_popart_keeps_the_contract_and_moves_its_statistics(name):
    build = attribute(AGENTS[name])
    settings = build.Settings.parse({"name": name, "network": {"popart": 0.1}})
    check(build, settings, SPEC)
    agent = initialise(lambda: build(settings, SPEC), 0)
    batch = to_batch(synthetic_trajectory(SPEC, 6, 4, 0, policy_size=3), torch.device("cpu"))
    for loss, _ in agent.losses(batch, torch.Generator().manual_seed(0)):
        loss.backward()
    played = [task in batch.task.tolist() for task in range(3)]
    assert (agent.network.value.mean != 0).tolist() == played


def test_an_update_moves_the_statistics_of_the_tasks_that_were_played():
    agent = initialise(lambda: Impala(SETTINGS, SPEC), 0)
    batch = to_batch(synthetic_trajectory(SPEC, 6, 4, 0, policy_size=3), torch.device("cpu"))
    batch = batch._replace(task=torch.tensor([0, 0, 2, 2]))
    before = agent.network.unroll(batch).value
    for loss, _ in agent.losses(batch, torch.Generator()):
        loss.backward()
    torch.testing.assert_close(agent.network.unroll(batch).value, before, rtol=1e-4, atol=1e-5)
    moved = agent.network.value.mean != 0
    assert moved.tolist() == [True, False, True]
    gradient = agent.network.value.weight.grad.abs().sum(1) > 0
    assert gradient.tolist() == [True, False, True]


def test_the_loss_does_not_depend_on_the_scale_of_rewards():
    """Once the statistics are those of the returns: rewards times 1000, the same gradient."""
    gradients = []
    for scale in (1.0, 1000.0):
        agent = initialise(lambda: Impala(SETTINGS, SPEC), 0)
        made = to_batch(synthetic_trajectory(SPEC, 6, 4, 0, policy_size=3), torch.device("cpu"))
        batch = made._replace(reward=made.reward * scale)
        with torch.no_grad():
            agent.network.value.mean.fill_(0.5 * scale)
            agent.network.value.mean_square.fill_((0.25 + 4.0) * scale**2)
        agent.loss(batch)[0].backward()
        gradients.append(agent.network.policy.weight.grad)
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-5)


def train_settings(**environment):
    return {"environment": environment, "frames": 100}


def test_tasks_have_an_equal_number_of_actors():
    tasks = [{"id": f"atari/{game}"} for game in ("pong", "boxing", "breakout")]
    with pytest.raises(SettingsError, match="take a multiple of 3"):
        TrainSettings.parse(train_settings(tasks=tasks) | {"actors": {"count": 4}})
    settings = TrainSettings.parse(train_settings(tasks=tasks) | {"actors": {"count": 6}})
    assert [settings.task_of(actor) for actor in range(6)] == [0, 1, 2, 0, 1, 2]
    with pytest.raises(UnsupportedSpace, match="actions of atari/pong.*full_action_space=true"):
        environment_spec(settings)


@pytest.mark.parametrize(
    "environment, words",
    [
        ({}, "give an id, or else tasks"),
        ({"id": "a", "tasks": [{"id": "b"}]}, "give an id, or else tasks"),
        ({"tasks": [{"id": "b"}, {"id": "b"}]}, "each task has an id of its own"),
    ],
)
def test_one_environment_or_several(environment, words):
    with pytest.raises(SettingsError, match=words):
        TrainSettings.parse(train_settings(**environment))


def test_options_of_all_tasks_lie_under_those_of_each():
    settings = TrainSettings.parse(
        train_settings(
            options={"stack": 2, "sticky": 0.1},
            tasks=[{"id": "atari/pong", "options": {"sticky": 0.0}}, {"id": "atari/boxing"}],
        )
    )
    one, two = settings.environment.played
    assert one.options == {"stack": 2, "sticky": 0.0} and two.options == {
        "stack": 2,
        "sticky": 0.1,
    }
