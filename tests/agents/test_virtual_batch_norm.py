"""Virtual batch normalisation, and the network for Atari that is built on it."""

import literal_batch_norm
import numpy as np
import pytest
import torch
from torch.nn import functional

from veldt.agents import virtual_batch_norm
from veldt.agents.es_atari_network import ESAtariNetwork
from veldt.agents.virtual_batch_norm import EPSILON, VirtualBatchNorm
from veldt.platform.keys import Key


@pytest.fixture
def layer():
    torch.manual_seed(0)
    reference = 3.0 + 2.0 * torch.randn(32, 5, 6, 6)
    return reference, torch.rand(5) + 0.5, torch.randn(5)


@pytest.mark.parametrize("shape", [(64, 5), (32, 5, 6, 6)])
def test_on_its_reference_batch_it_is_batch_normalisation(layer, shape):
    _, gain, bias = layer
    reference = 3.0 + 2.0 * torch.randn(shape)
    expected = functional.batch_norm(reference, None, None, gain, bias, training=True, eps=EPSILON)
    got = VirtualBatchNorm(reference, gain, bias)(reference)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


def test_against_its_literal_twin():
    torch.manual_seed(1)
    reference, x = 1.0 + torch.randn(12, 3).double(), torch.randn(7, 3).double()
    reference[:, 1] = 4.0  # a feature that never changes
    gain, bias = torch.rand(3).double(), torch.randn(3).double()
    expected = literal_batch_norm.batch_norm(
        reference.tolist(), x.tolist(), gain.tolist(), bias.tolist(), EPSILON
    )
    got = VirtualBatchNorm(reference, gain, bias)(x)
    np.testing.assert_allclose(got.numpy(), expected, rtol=1e-9)


def test_the_examples_at_hand_do_not_count(layer):
    reference, gain, bias = layer
    norm = VirtualBatchNorm(reference, gain, bias)
    x = torch.randn(8, 5, 6, 6)
    together = norm(x)
    for i in range(8):
        torch.testing.assert_close(norm(x[i : i + 1])[0], together[i], rtol=0, atol=0)
    ordinary = functional.batch_norm(x, None, None, gain, bias, training=True)
    assert (together - ordinary).abs().max() > 1.0


def test_folded_it_is_the_layer_and_then_itself():
    torch.manual_seed(2)
    x, weight = torch.randn(16, 3, 9, 9), torch.randn(5, 3, 4, 4)
    seen = functional.conv2d(x, weight)
    norm = VirtualBatchNorm(seen, torch.rand(5) + 0.5, torch.randn(5))
    torch.testing.assert_close(
        functional.conv2d(x, *norm.fold(weight)), norm(seen), rtol=1e-4, atol=1e-4
    )


def images(count, seed=0):
    """Dark pictures with a bright patch each, uint8 [count, 4, 84, 84]."""
    generator = np.random.default_rng(seed)
    pictures = np.full((count, 4, 84, 84), 40, np.uint8)
    for picture in pictures:
        row, column = generator.integers(0, 64, 2)
        picture[:, row : row + 20, column : column + 20] = generator.integers(60, 255)
    return pictures


def randomised(network, seed=0, spread=0.1):
    generator = np.random.default_rng(seed)
    return network.start(Key(seed)) + spread * generator.standard_normal(network.size)


def plain(pictures):
    return pictures.astype(np.float64) / 255.0


def convolve(pictures, weight, stride):
    return functional.conv2d(
        torch.from_numpy(pictures), torch.from_numpy(weight), stride=stride
    ).numpy()


def literal(network, parameters, reference, x):
    at, layers = 0, []
    for count, inputs in ((16, (4, 8, 8)), (32, (16, 4, 4)), (256, (2592,)), (3, (256,))):
        sizes = [count * int(np.prod(inputs)), *[count] * (1 if count == 3 else 2)]
        parts = np.split(parameters[at : at + sum(sizes)], np.cumsum(sizes)[:-1])
        layers.append((parts[0].reshape(count, *inputs), *parts[1:]))
        at += sum(sizes)
    assert at == network.size == len(parameters)
    return literal_batch_norm.es_atari_logits(
        plain(reference), plain(x), layers, convolve, EPSILON
    )


def test_the_network_is_its_literal_twin():
    reference, x = images(11), images(3, seed=1)  # not a multiple of the chunk
    network = ESAtariNetwork(3, reference)
    parameters = randomised(network)
    assert network.load(parameters)
    expected = literal(network, parameters, reference, x)
    np.testing.assert_allclose(network.logits(x), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("broken", ["epsilon", "other reference", "no reference"])
def test_the_twin_notices(monkeypatch, broken):
    reference, x = images(11), images(3, seed=1)
    if broken == "epsilon":
        monkeypatch.setattr(virtual_batch_norm, "EPSILON", 1e-2)
    used = reference[:6] if broken == "other reference" else reference
    network = ESAtariNetwork(3, used, normalise=broken != "no reference")
    parameters = randomised(network)
    network.load(parameters)
    expected = literal(network, parameters, reference, x)
    assert np.abs(network.logits(x) - expected).max() > 3e-2


def test_loading_again_gives_the_same_bits():
    reference, x = images(16), images(5, seed=1)
    network, other = ESAtariNetwork(4, reference), ESAtariNetwork(4, reference)
    parameters = randomised(network)
    network.load(parameters)
    first = network.logits(x)
    network.load(randomised(network, seed=9))
    assert not np.array_equal(network.logits(x), first)
    for again in (network, other):
        ticks = []
        again.load(parameters, lambda ticks=ticks: ticks.append(1))
        np.testing.assert_array_equal(again.logits(x), first)
        assert len(ticks) == 6  # chunks of 8, three layers


def test_what_is_not_finite_is_found():
    network = ESAtariNetwork(4, images(8))
    parameters = network.start(Key(0))
    assert network.load(parameters)
    for wrong in (np.nan, np.inf, 1e200):  # the last overflows float32
        broken = parameters.copy()
        broken[-3] = wrong
        assert not network.load(broken)


def choices(reference, x, normalise, seeds=20):
    """How many freshly drawn networks choose more than one action."""
    network, several = ESAtariNetwork(3, reference, normalise), 0
    for seed in range(seeds):
        network.load(network.start(Key(seed)))
        several += len(set(network.logits(x).argmax(1).tolist())) > 1
    return several / seeds


def test_normalised_networks_choose_more_than_one_action_and_others_seldom():
    from veldt.platform.envs.atari import AtariVector

    vector = AtariVector("atari/freeway", 2, life_loss=False)
    vector.reset(Key(0))
    seen = []
    for _ in range(192):
        action = Key(0).child("action", len(seen)).generator().integers(3, size=2)
        seen.append(vector.step(action).observation.copy())
    vector.close()
    reference, x = np.stack(seen[::6])[:, 0], np.stack(seen[::6])[:, 1]
    assert choices(reference, x, normalise=True) > 0.9
    assert choices(reference, x, normalise=False) < 0.5
