"""Blocks of images on threads: the bits of one thread, whatever the number of threads."""

import threading

import pytest
import torch
from torch import nn

from veldt.agents.build import make_agent, make_learner
from veldt.agents.conformance import synthetic_unroll
from veldt.agents.learner import Learner
from veldt.agents.networks import blocks
from veldt.agents.networks.convolutional import Shallow
from veldt.agents.networks.settings import NetworkSettings
from veldt.agents.settings import TrainSettings
from veldt.agents.staging import to_batch
from veldt.platform.envs.vector import EnvironmentSpec, Observations, discrete

SPEC = EnvironmentSpec("i", Observations((4, 84, 84), "uint8", stack=4), discrete(3), 4)
CPU = torch.device("cpu")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("torso", ["nature", "deep"])
def test_updates_are_the_same_bits_on_any_number_of_threads(torso, precision, monkeypatch):
    learnt = {}
    for threads, block in ((1, 5), (2, 5), (3, 5), (2, 10**6)):
        monkeypatch.setenv("OMP_NUM_THREADS", str(threads))
        settings = TrainSettings.parse(
            {
                "environment": {"id": "CartPole-v1"},
                "frames": 1000,
                "agent": {"network": {"torso": torso, "precision": precision}},
                "learner": {"threads": 1},
            }
        )
        agent = make_agent(settings, SPEC)
        learner = make_learner(settings, SPEC, agent, CPU)
        monkeypatch.setattr(type(agent.network.torso), "block", block)
        for update in range(2):
            batch = to_batch(synthetic_unroll(agent, SPEC, 4, 4, update), CPU)
            for idle in (threads - 1, 8):  # no more than there are
                learner.update(batch, update, idle=idle)
                assert agent.network.torso.threads == threads
        learnt[threads, block] = [p.detach().clone() for p in agent.network.parameters()]
    torch.testing.assert_close(learnt[1, 5], learnt[2, 5], rtol=0, atol=0)
    torch.testing.assert_close(learnt[1, 5], learnt[3, 5], rtol=0, atol=0)
    # Not so many bits of a whole: sums of sums.
    torch.testing.assert_close(learnt[1, 5], learnt[2, 10**6], rtol=0.05, atol=4e-3)


def test_a_learner_takes_the_cores_of_actors_that_wait_and_gives_them_back():
    settings = TrainSettings.parse({"environment": {"id": "CartPole-v1"}, "frames": 1000})
    agent = make_agent(settings, SPEC)
    learner = Learner(agent, settings.optimizer, CPU, 9, threads=(2, 4))
    batch, found = to_batch(synthetic_unroll(agent, SPEC, 1, 2, 0), CPU), []
    for idle in (0, 1, 5, 0):
        learner.update(batch, 0, idle=idle)
        found.append(agent.network.torso.threads)
    assert found == [2, 3, 4, 2]


def test_gradients_are_those_of_the_whole():
    layer, images = nn.Conv2d(2, 3, 3).double(), torch.randn(7, 2, 5, 5).double()
    frozen = nn.Parameter(torch.ones(3, 1, 1).double(), requires_grad=False)

    def look(block):
        return (layer(block) * frozen).square().flatten(1)

    weight = torch.randn(7, 27).double()
    found = []
    for threads in (None, 1, 4):
        layer.zero_grad()
        parameters = [*layer.parameters(), frozen]
        cut = images.tensor_split(3)
        seen = look(images) if threads is None else blocks.see(look, cut, parameters, threads)
        (seen * weight).sum().backward()
        found.append([seen.detach(), *(p.grad.clone() for p in layer.parameters())])
        assert frozen.grad is None
    torch.testing.assert_close(found[0], found[1], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(found[1], found[2], rtol=0, atol=0)


@pytest.mark.parametrize("mode", ["learning", "no_grad", "inference_mode"])
def test_they_are_on_threads_of_their_own_in_the_callers_modes(mode):
    layer, seen, together = nn.Linear(3, 2), [], threading.Barrier(2, timeout=30)

    def look(block):
        together.wait()  # which breaks if there is one thread
        seen.append(
            (
                threading.get_ident(),
                torch.get_num_threads(),
                torch.is_autocast_enabled("cpu"),
                torch.is_grad_enabled(),
                torch.is_inference_mode_enabled(),
            )
        )
        return layer(block)

    here = {"learning": torch.enable_grad, "no_grad": torch.no_grad}.get(
        mode, torch.inference_mode
    )
    with here(), torch.autocast("cpu", torch.bfloat16):
        found = blocks.see(look, torch.ones(4, 3).split(2), layer.parameters(), 2)
    identities, *modes = zip(*seen, strict=True)
    assert len(set(identities) - {threading.get_ident()}) == 2
    expected = (1, True, mode == "learning", mode == "inference_mode")
    assert [set(values) for values in modes] == [{value} for value in expected]
    assert found.dtype == torch.bfloat16 and found.requires_grad == (mode == "learning")


@pytest.mark.filterwarnings("ignore")  # torch's compiler imports what is deprecated
def test_a_torso_that_is_compiled_looks_at_blocks_too(monkeypatch):
    settings = NetworkSettings(torso="shallow")
    torso = Shallow(SPEC.observations, settings)
    monkeypatch.setattr(torso, "block", 3)
    images, found = torch.randint(0, 256, (8, 4, 84, 84), dtype=torch.uint8), []
    for compiled in (False, True):
        if compiled:
            torso.compile(backend="aot_eager")
        for threads in (1, 2):
            torso.threads = threads
            torso.zero_grad()
            features = torso(images)
            features.square().sum().backward()
            found.append([features.detach(), *(p.grad.clone() for p in torso.parameters())])
    for other in found[1:]:
        torch.testing.assert_close(found[0], other, rtol=1e-3, atol=1e-4)


def test_torch_has_one_thread_for_each_block_and_as_many_as_before_elsewhere():
    before, counts = torch.get_num_threads(), []
    layer, images = nn.Linear(3, 2), torch.ones(4, 3).split(1)

    def look(block):
        counts.append(torch.get_num_threads())
        return layer(block)

    try:
        torch.set_num_threads(3)
        blocks._pool.cache_clear()  # or its threads have learnt it in other tests
        blocks.see(look, images, layer.parameters(), 2)
        later = threading.Thread(target=lambda: counts.append(torch.get_num_threads()))
        later.start()
        later.join()
        assert counts == [1, 1, 1, 1, 3] and torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


def test_what_goes_wrong_in_a_block_is_the_callers():
    layer = nn.Linear(3, 2)

    def look(block):
        if block.sum() > 6:
            raise ZeroDivisionError("of a block")
        return layer(block)

    images = torch.stack([torch.ones(2, 3), torch.full((2, 3), 2.0)])
    with pytest.raises(ZeroDivisionError, match="of a block"):
        blocks.see(look, list(images), layer.parameters(), 2)
