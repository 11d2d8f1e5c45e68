"""What is left out where images are read: nothing that anybody would see."""

import pytest
import torch

from veldt.agents.actor import load_weights
from veldt.agents.build import make_agent
from veldt.agents.conformance import synthetic_unroll
from veldt.agents.inputs import Memory
from veldt.agents.networks import precision
from veldt.agents.networks.actor_critic import ActorCritic
from veldt.agents.settings import TrainSettings
from veldt.agents.staging import to_batch
from veldt.platform.envs.vector import EnvironmentSpec, Observations, discrete

SPEC = EnvironmentSpec("i", Observations((4, 84, 84), "uint8", stack=4), discrete(3), 4)
CPU = torch.device("cpu")


def agent_of(name="impala", **network):
    settings = {"environment": {"id": "CartPole-v1"}, "frames": 1000}
    agent = make_agent(TrainSettings.parse(settings | {"agent": {"name": name}}), SPEC).__class__
    chosen = {"network": {"torso": "nature"} | network}
    torch.manual_seed(0)
    return agent(agent.Settings.parse(chosen), SPEC)


@pytest.mark.parametrize("network", [{}, {"share_torso": False}, {"core": "lstm"}])
@pytest.mark.parametrize("name", ["impala", "a2c", "ppo"])
def test_the_entry_that_nothing_was_done_after_has_no_gradient_to_find(name, network, monkeypatch):
    agent = agent_of(name, **network)
    batch = to_batch(synthetic_unroll(agent, SPEC, 3, 2, 0), CPU)
    found = []
    for along in (ActorCritic._seen_along, ActorCritic._seen):
        monkeypatch.setattr(ActorCritic, "_seen_along", along)
        agent.network.zero_grad()
        for loss, _ in agent.losses(batch, torch.Generator().manual_seed(0)):
            loss.backward()
        found.append([p.grad.clone() for p in agent.network.parameters()])
        assert any(gradient.any() for gradient in found[-1])
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("network", [{}, {"torso": "deep"}, {"share_torso": False}])
def test_who_only_acts_keeps_weights_as_they_are_read_and_acts_by_the_same_bits(network):
    both, acts = (agent_of(precision="bfloat16", **network) for _ in range(2))
    acts.only_acts()
    weights = {name: array.numpy() * 1.01 for name, array in both.network.state_dict().items()}
    for agent in (both, acts):
        load_weights(agent, weights)
    seen = torch.randint(0, 256, (5, 4, 84, 84), dtype=torch.uint8)
    inputs = Memory(SPEC, 5, both.state_size).inputs(seen.numpy())
    said = [agent.act(inputs, torch.Generator().manual_seed(1)) for agent in (both, acts)]
    torch.testing.assert_close(*said, rtol=0, atol=0)
    sizes = [sum(p.nbytes for p in a.network.torso.parameters()) for a in (both, acts)]
    assert sizes[1] < 0.55 * sizes[0]


def test_who_only_acts_in_float32_keeps_float32():
    acts = agent_of(precision="float32")
    acts.only_acts()
    assert {p.dtype for p in acts.network.parameters()} == {torch.float32}


@pytest.mark.parametrize("has, fast", [("amx_bf16", True), ("avx512_bf16", True), ("avx2", False)])
def test_bfloat16_is_chosen_where_the_processor_multiplies_in_it(has, fast, monkeypatch):
    names = ("amx_bf16", "avx512_bf16", "avx2")
    found = {name: name == has for name in names}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: found, raising=False)
    precision.is_fast.cache_clear()
    try:
        assert precision.in_bfloat16("auto", "cpu") == fast
    finally:
        precision.is_fast.cache_clear()
