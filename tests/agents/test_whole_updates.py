"""How the torso computes changes no learning: whole updates, one after another, come to the
same parameters up to rounding.

A difference counts by how far the parameters have moved: 0 is the same learning, 1 is none.
"""

import pytest
import torch
from torch import nn

from veldt.agents.conformance import synthetic_trajectory
from veldt.agents.impala import Impala, ImpalaSettings
from veldt.agents.learner import Learner
from veldt.agents.networks.actor_critic import initialise
from veldt.agents.settings import OptimizerSettings
from veldt.agents.staging import to_batch
from veldt.platform.envs.vector import EnvironmentSpec, Observations, discrete

VECTOR = EnvironmentSpec("v", Observations((4,), "float32"), discrete(3), 1)
IMAGE = EnvironmentSpec("i", Observations((4, 84, 84), "uint8", stack=4), discrete(3), 4)
CPU = torch.device("cpu")
UPDATES = 5


def learnt(spec, T=6, B=3, **network):
    """The parameters before and after some updates, [UPDATES + 1 of name -> tensor]."""
    settings = ImpalaSettings.parse({"network": network, "minibatches": 1})
    agent = initialise(lambda: Impala(settings, spec), 0)
    learner = Learner(agent, OptimizerSettings(learning_rate=1e-3), CPU, 2 * UPDATES)
    found = []
    for update in range(UPDATES + 1):
        found.append({n: p.detach().clone() for n, p in agent.network.named_parameters()})
        made = synthetic_trajectory(spec, T, B, update, policy_size=3)
        learner.update(to_batch(made, CPU), update)
    return found


def difference(one, other):
    """Of each parameter, by how far it moved in `one`; the largest."""
    assert one[-1].keys() == other[-1].keys()
    far = {}
    for name, begun in one[0].items():
        torch.testing.assert_close(begun, other[0][name], rtol=0, atol=0)
        moved = (one[-1][name] - begun).norm()
        assert moved > 0, name
        far[name] = float((other[-1][name] - one[-1][name]).norm() / moved)
    return max(far.values())


@pytest.mark.filterwarnings("ignore")  # torch's compiler imports what is deprecated
@pytest.mark.parametrize(
    "backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)]
)
def test_compiled(backend, monkeypatch):
    plain, compile_ = learnt(VECTOR, hidden=[8]), nn.Module.compile
    compiled = []

    def chosen(module):
        compiled.append(module)
        compile_(module, backend=backend)

    monkeypatch.setattr(nn.Module, "compile", chosen)
    monkeypatch.setattr("veldt.agents.networks.actor_critic.demand_compiler", lambda: None)
    assert difference(plain, learnt(VECTOR, hidden=[8], compile=True)) < 1e-4
    assert len(compiled) == 1


def test_in_bfloat16():
    """Eight bits of mantissa in the torso, forwards and backwards; the optimiser is in 32."""
    exact = learnt(IMAGE, T=3, B=2, torso="shallow")
    low = learnt(IMAGE, T=3, B=2, torso="shallow", precision="bfloat16")
    assert 0 < difference(exact, low) < 0.2


@pytest.mark.parametrize(
    ("torso", "near"),
    [
        ("shallow", 1e-3),
        ("deep", 2e-2),  # the maximum of a pool is another's where two are nearly equal
    ],
)
def test_channels_last(torso, near):
    first, last = (learnt(IMAGE, T=3, B=2, torso=torso, channels_last=on) for on in (False, True))
    assert difference(first, last) < near
