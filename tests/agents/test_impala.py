"""The agent: its loss from a batch, its heads, and what it refuses."""

import dataclasses

import literal_losses
import literal_vtrace
import numpy as np
import pytest
import torch

from veldt.agents.conformance import check, synthetic_trajectory
from veldt.agents.impala import Impala, ImpalaSettings
from veldt.agents.inputs import Batch
from veldt.agents.networks.actor_critic import ActorCritic, initialise
from veldt.agents.networks.cost import parameter_count
from veldt.agents.networks.settings import NetworkSettings
from veldt.agents.staging import to_batch
from veldt.platform.envs.vector import Actions, EnvironmentSpec, Observations, discrete
from veldt.platform.errors import SettingsError, UnsupportedSpace

VECTOR = EnvironmentSpec("v", Observations((4,), "float32"), discrete(3), 1)
IMAGE = EnvironmentSpec("i", Observations((4, 84, 84), "uint8"), discrete(18), 4)


def build(spec=VECTOR, **settings):
    return initialise(lambda: Impala(ImpalaSettings(**settings), spec), 0)


def batch_of(trajectory):
    return to_batch(trajectory, torch.device("cpu"))


@pytest.mark.parametrize("spec", [VECTOR, IMAGE], ids=lambda spec: spec.id)
def test_conformance(spec):
    check(Impala, ImpalaSettings(), spec)


def test_without_correction_it_takes_what_it_is_sent_for_its_own():
    trajectory = synthetic_trajectory(VECTOR, T=12, B=5, seed=3, policy_size=3)
    batch = batch_of(trajectory)
    corrected, none = build(), build(correction="none")
    own = batch._replace(behaviour_policy=none.network.unroll(batch).policy[:-1].detach())
    losses = [agent.loss(seen)[0].item() for agent in (corrected, none) for seen in (batch, own)]
    assert losses[1] == pytest.approx(losses[2], rel=1e-6) == losses[3]
    assert abs(losses[0] - losses[1]) > 0.1


def test_v_trace_is_timed_in_each_minibatch():
    agent, laps = build(minibatches=3), []
    agent.lap = laps.append
    batch = batch_of(synthetic_trajectory(VECTOR, T=4, B=6, seed=3, policy_size=3))
    for _ in agent.losses(batch, torch.Generator().manual_seed(0)):
        laps.append("loss")
    assert laps == ["forward", "v_trace", "loss"] * 3


def test_loss_is_the_literal_one():
    agent = build(discount=0.9, entropy_cost=0.02, reward_clipping="abs_one")
    agent.network.double()
    trajectory = synthetic_trajectory(VECTOR, T=12, B=5, seed=3, policy_size=3)
    assert trajectory.truncated.any() and trajectory.terminated.any()
    batch = Batch(*(t.double() if t.is_floating_point() else t for t in batch_of(trajectory)))
    loss, _ = agent.loss(batch)
    logits, values, final, _ = agent.network.unroll(batch)
    finals = np.zeros((12, 5))
    finals[tuple(trajectory.final_index.T)] = final
    expected = 0.0
    for b in range(5):
        actions = trajectory.action[:, b].tolist()
        log_rhos = [
            np.log(
                literal_losses.softmax(logits[t, b].tolist())[a]
                / literal_losses.softmax(batch.behaviour_policy[t, b].tolist())[a]
            )
            for t, a in enumerate(actions)
        ]
        vs, advantages = literal_vtrace.vtrace(
            log_rhos,
            [0.9 * (not ended) for ended in trajectory.terminated[:, b]],
            np.clip(trajectory.reward[:, b], -1, 1).tolist(),
            values[:-1, b].tolist(),
            values[-1, b].item(),
            trajectory.truncated[:, b].tolist(),
            finals[:, b].tolist(),
            1.0,
            1.0,
            1.0,
            1.0,
        )
        expected += literal_losses.impala(
            logits[:-1, b].tolist(), actions, advantages, vs, values[:-1, b].tolist(), 0.5, 0.02
        )
    assert loss.item() == pytest.approx(expected, rel=1e-9)


def test_final_observations_matter_where_truncated_only():
    agent = build()
    trajectory = synthetic_trajectory(VECTOR, T=12, B=5, seed=3, policy_size=3)
    before = agent.loss(batch_of(trajectory))[0]
    other = dataclasses.replace(trajectory, final_observation=trajectory.final_observation + 1)
    assert agent.loss(batch_of(other))[0] != before
    none = dataclasses.replace(
        trajectory,
        truncated=np.zeros_like(trajectory.truncated),
        final_index=np.empty((0, 2), np.int64),
        final_observation=trajectory.final_observation[:0],
    )
    assert agent.loss(batch_of(none))[0] != before


def test_minibatches_are_the_batch_an_environment_once():
    trajectory = synthetic_trajectory(VECTOR, T=6, B=5, seed=3, policy_size=3)
    agent = build(minibatches=2)
    parts = agent.losses(batch_of(trajectory), torch.Generator().manual_seed(0))
    losses = [loss.item() for loss, _ in parts]
    assert len(losses) == 2
    whole = agent.loss(batch_of(trajectory))[0].item()
    assert sum(losses) == pytest.approx(whole, rel=1e-5)  # none was stepped down
    many = build(minibatches=9).losses(batch_of(trajectory), torch.Generator())
    assert len(list(many)) == 5


def test_actions_that_no_head_gives_are_refused():
    spec = dataclasses.replace(VECTOR, actions=Actions("other", description="Graph(3)"))
    with pytest.raises(UnsupportedSpace, match=r"v takes Graph\(3\), for which there is no head"):
        build(spec)


def test_thresholds_are_ordered():
    with pytest.raises(SettingsError, match="at most clip_rho_threshold"):
        ImpalaSettings.parse({"clip_c_threshold": 2.0})


def test_shallow_network_has_the_papers_layers():
    network = ActorCritic(IMAGE, NetworkSettings())
    convolutions = 16 * 4 * 8 * 8 + 16 + 32 * 16 * 4 * 4 + 32
    heads = 18 * 257 + 257
    assert parameter_count(network) == convolutions + (32 * 9 * 9 + 1) * 256 + heads


def test_shallow_network_needs_images():
    with pytest.raises(UnsupportedSpace, match="mlp"):
        ActorCritic(VECTOR, NetworkSettings(torso="shallow"))


def test_networks_are_drawn_from_their_seed_alone():
    first, again, other = (
        initialise(lambda: ActorCritic(VECTOR, NetworkSettings()), seed) for seed in (1, 1, 2)
    )
    state = torch.random.get_rng_state()
    assert all(map(torch.equal, first.parameters(), again.parameters()))
    assert not torch.equal(next(first.parameters()), next(other.parameters()))
    assert torch.equal(state, torch.random.get_rng_state())
