"""Policies: against scipy, against each other, and against what is drawn from them."""

import numpy as np
import pytest
import scipy.stats
import torch

from veldt.agents.distributions import (
    Categorical,
    Gaussian,
    MultiCategorical,
    distribution_over,
)
from veldt.platform.envs.vector import Actions, discrete
from veldt.platform.errors import UnsupportedSpace

KINDS = [Categorical(4), MultiCategorical((2, 3)), Gaussian(2)]


def policy(kind, seed=0, rows=5):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(rows, kind.size, generator=generator, dtype=torch.float64)


def test_a_normal_density_is_scipys():
    p, x = policy(Gaussian(2)), torch.randn(5, 2, dtype=torch.float64)
    for row, at, got, spread in zip(
        p, x, Gaussian(2).log_probability(p, x), Gaussian(2).entropy(p), strict=True
    ):
        normal = scipy.stats.norm(row[:2].numpy(), row[2:].exp().numpy())
        assert got.item() == pytest.approx(normal.logpdf(at.numpy()).sum(), rel=1e-12)
        assert spread.item() == pytest.approx(normal.entropy().sum(), rel=1e-12)


def test_several_choices_are_the_product_of_each():
    both, p = MultiCategorical((2, 3)), policy(MultiCategorical((2, 3)))
    action = torch.tensor([[0, 2], [1, 0], [1, 1], [0, 0], [1, 2]])
    one, two = Categorical(2), Categorical(3)
    parts = (
        one.log_probability(p[:, :2], action[:, 0]),
        two.log_probability(p[:, 2:], action[:, 1]),
    )
    torch.testing.assert_close(both.log_probability(p, action), sum(parts))
    torch.testing.assert_close(both.entropy(p), one.entropy(p[:, :2]) + two.entropy(p[:, 2:]))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
def test_what_is_drawn_has_the_entropy_and_divergence_that_are_said(kind):
    one, other = policy(kind, 1, 1), policy(kind, 2, 1)
    many = one.expand(60_000, -1)
    drawn = kind.sample(many, torch.Generator().manual_seed(0))
    log_p = kind.log_probability(many, drawn)
    log_q = kind.log_probability(other.expand_as(many), drawn)
    for got, samples in (
        (kind.entropy(one), -log_p),
        (kind.divergence(one, other), log_p - log_q),
    ):
        error = samples.std().item() / len(samples) ** 0.5
        assert got.item() == pytest.approx(samples.mean().item(), abs=4 * error)
    assert kind.divergence(one, one).item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
def test_without_chance_the_likeliest_is_taken(kind):
    p = policy(kind)
    best = kind.log_probability(p, kind.sample(p, None))
    for seed in range(20):
        drawn = kind.sample(p, torch.Generator().manual_seed(seed))
        assert (kind.log_probability(p, drawn) <= best + 1e-12).all()


def test_choices_are_drawn_as_often_as_they_are_likely():
    logits = torch.tensor([0.5, 0.3, 0.2]).log().expand(40_000, 3)
    drawn = Categorical(3).sample(logits, torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        torch.bincount(drawn, minlength=3) / 40_000,
        torch.tensor([0.5, 0.3, 0.2]),
        atol=0.01,
        rtol=0,
    )


def test_actions_choose_their_distribution():
    assert distribution_over(discrete(5)).size == 5
    assert distribution_over(Actions("multi_discrete", (2, 3))).size == 5
    assert distribution_over(Actions("box", (), (-1.0, -np.inf), (1.0, 2.0))).size == 4
    with pytest.raises(UnsupportedSpace, match="no policy over Text"):
        distribution_over(Actions("other", description="Text(3)"))
