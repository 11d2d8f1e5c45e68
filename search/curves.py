"""Learning curves and where they end, as one Gaussian process over settings and time.

Swersky, Snoek and Adams 2014, "Freeze-Thaw Bayesian Optimization", arXiv:1406.3896, section 3. A
curve comes to an asymptote, by a mixture of exponential decays:

    y_n(t) = a_n (1 - phi(t)) + c phi(t) + g_n(t) + noise
    a      ~ N(0, K_x + broad)    asymptotes: Matern 5/2 over the settings, and a common level
    c      ~ N(0, broad)          the common beginning
    g_n    ~ N(0, decay k_t)      k_t(t, t') = (beta / (t + t' + beta))^alpha
    phi(t) = (beta / (t + beta))^alpha, the mean of the same mixture

The paper has no c; with it is learnt that curves rise from where they all begin, the further the
higher they end. Given u = (a_1 ... a_N, c) curves are independent of each other, so that what
is inverted is a matrix for each curve and one of N + 1, and not one of all that was seen.
"""

import dataclasses
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from veldt.search.vectors import Vector

BROAD = 10.0  # variances of the level and of c, where what was seen has 1
OWN = 0.1  # of an asymptote's variance, what the settings do not explain
POINTS = 10  # of a curve, at most
SWEEPS = 2  # of the fit
WHOLE = 16  # curves, at most, by which the model is tried


class Theta(NamedTuple):
    """What is fitted; times in whole trainings, values with variance 1."""

    length: float = 0.3
    """of the settings' kernel, in a cube of one dimension"""
    height: float = 1.0
    """variance of asymptotes"""
    decay: float = 0.1
    """variance of curves around their mean, at the beginning"""
    alpha: float = 1.0
    beta: float = 0.3
    noise: float = 1e-2


GRID: dict[str, tuple[float, ...]] = {
    "length": (0.1, 0.3, 1.0),
    "height": (0.1, 0.3, 1.0, 3.0),
    "decay": (0.03, 0.1, 0.3, 1.0),
    "alpha": (0.5, 1.0, 2.0),
    "beta": (0.03, 0.1, 0.3, 1.0, 3.0),
    "noise": (1e-3, 1e-2, 1e-1),
}


@dataclasses.dataclass(frozen=True)
class Curve:
    """What was seen of a trial; nothing of one that is yet to begin."""

    x: Vector  # [d] settings, in the unit cube; d = 0: nothing is known of them
    times: Vector  # [k]
    values: Vector  # [k]


class Curves:
    """The model of some curves.

    Args:
        curves: At least one with something seen.
        theta: Taken as it is; else the most probable one on a grid.
    """

    def __init__(self, curves: Sequence[Curve], theta: Theta | None = None) -> None:
        seen = np.concatenate([curve.values for curve in curves])
        self._level, self.scale = float(seen.mean()), float(seen.std()) or 1.0
        self._curves = [
            dataclasses.replace(c, values=(c.values - self._level) / self.scale) for c in curves
        ]
        self.theta = fitted(self._curves) if theta is None else theta
        self.likelihood, self._mean, self._covariance = solved(self._curves, self.theta)

    def at(self, n: int, time: float) -> tuple[float, float]:
        """Mean and deviation of a curve at a time, without noise."""
        theta, curve, last = self.theta, self._curves[n], len(self._curves)
        seen, there = curve.times, np.array([time])
        between = theta.decay * decays(there, seen, theta)[0]
        weights = np.linalg.solve(own(seen, theta), between)
        # What the asymptote and the beginning add to what the curve itself says.
        more = (design(there, theta) - weights @ design(seen, theta))[0]
        u = np.ix_([n, last], [n, last])
        found = weights @ curve.values + more @ self._mean[[n, last]]
        variance = theta.decay * decays(there, there, theta)[0, 0] - between @ weights
        variance += more @ self._covariance[u] @ more
        return (
            self._level + self.scale * float(found),
            self.scale * math.sqrt(max(float(variance), 1e-12)),
        )


def decays(a: Vector, b: Vector, theta: Theta) -> Vector:
    """k_t between times a [n] and b [m]; [n, m]."""
    found: Vector = (theta.beta / (a[:, None] + b + theta.beta)) ** theta.alpha
    return found


def design(times: Vector, theta: Theta) -> Vector:
    """What the asymptote and the beginning count for, [k, 2]."""
    phi = (theta.beta / (times + theta.beta)) ** theta.alpha
    return np.stack([1.0 - phi, phi], axis=1)


def own(times: Vector, theta: Theta) -> Vector:
    """Covariance of what is seen of a curve, given u; [k, k]."""
    return theta.decay * decays(times, times, theta) + theta.noise * np.eye(len(times))


def asymptotes(x: Vector, theta: Theta) -> Vector:
    """Covariance of the asymptotes at settings x [n, d], without the common level; [n, n]."""
    count, dimensions = x.shape
    if not dimensions:
        return theta.height * np.eye(count)
    squares = np.square((x[:, None] - x) / theta.length).sum(-1) / dimensions
    r = np.sqrt(5.0 * squares)
    matern = (1.0 + r + r * r / 3.0) * np.exp(-r)
    found: Vector = theta.height * ((1.0 - OWN) * matern + OWN * np.eye(count))
    return found


def solved(curves: Sequence[Curve], theta: Theta) -> tuple[float, Vector, Vector]:
    """Logarithm of the likelihood; posterior mean [N + 1] and covariance [N + 1, N + 1] of u."""
    last = len(curves)
    prior = np.zeros((last + 1, last + 1))
    prior[:last, :last] = asymptotes(np.array([curve.x for curve in curves]), theta) + BROAD
    prior[last, last] = BROAD
    precision, pull = np.zeros_like(prior), np.zeros(last + 1)
    total = 0.0
    alike: dict[bytes, list[int]] = {}  # curves that were seen at the same times
    for n, curve in enumerate(curves):
        if len(curve.times):
            alike.setdefault(curve.times.tobytes(), []).append(n)
    for members in alike.values():
        times = curves[members[0]].times
        factor = np.linalg.cholesky(own(times, theta))
        values = np.stack([curves[n].values for n in members], axis=1)
        white = np.linalg.solve(factor, np.hstack([design(times, theta), values]))
        a, y = white[:, :2], white[:, 2:]
        inner, told = a.T @ a, a.T @ y
        precision[members, members] += inner[0, 0]
        precision[members, last] += inner[0, 1]
        precision[last, members] += inner[0, 1]
        precision[last, last] += inner[1, 1] * len(members)
        pull[members] += told[0]
        pull[last] += told[1].sum()
        total += np.square(y).sum() + len(members) * 2.0 * np.log(np.diag(factor)).sum()
        total += y.size * math.log(2.0 * math.pi)
    stretched = np.eye(last + 1) + prior @ precision
    covariance = np.asarray(np.linalg.solve(stretched, prior), np.float64)
    found: Vector = covariance @ pull
    total += np.linalg.slogdet(stretched)[1] - pull @ found
    return -0.5 * float(total), found, covariance


def fitted(curves: Sequence[Curve]) -> Theta:
    """The most probable of a grid, going over one coordinate after another."""
    theta, best = Theta(), -math.inf
    for _ in range(SWEEPS):
        for name, choices in GRID.items():
            for choice in choices:
                tried = theta._replace(**{name: choice})
                likelihood = solved(curves, tried)[0]
                if likelihood > best:
                    theta, best = tried, likelihood
    return theta


def doubt(curves: Sequence[Curve], theta: Theta) -> float:
    """How many times larger than the model says its errors are; at least 1.

    Each curve that was seen as a whole is foreseen from its first third, and from its first
    two, beside the others: the model is only nearly true, and with few points too sure.
    """
    zs = []
    for n in [n for n, curve in enumerate(curves) if len(curve.times) > 2][-WHOLE:]:
        whole = curves[n]
        for third in (1, 2):
            count = max(1, len(whole.times) * third // 3)
            part = dataclasses.replace(
                whole, times=whole.times[:count], values=whole.values[:count]
            )
            model = Curves([*curves[:n], part, *curves[n + 1 :]], theta)
            found, deviation = model.at(n, float(whole.times[-1]))
            noise = theta.noise * model.scale**2
            zs.append((whole.values[-1] - found) / math.sqrt(deviation**2 + noise))
    return max(1.0, math.sqrt(float(np.square(zs).mean()))) if zs else 1.0


class Experience:
    """What is fitted to curves, and the doubt in it: made anew when there is more to know."""

    def __init__(self) -> None:
        self._of: Sequence[tuple[int, int]] = ()
        self._found = Theta(), 1.0

    def of(self, known: Sequence[tuple[int, int]], curves: Sequence[Curve]) -> tuple[Theta, float]:
        """Fit and doubt.

        Args:
            known: Names what is in the curves: trials, and how much was seen of each.
            curves: Them.
        """
        if known != self._of:
            theta = Curves(curves).theta
            self._of, self._found = known, (theta, doubt(curves, theta))
        return self._found


def thinned(points: Sequence[tuple[int, float]], frames: int) -> tuple[Vector, Vector]:
    """Times and values of some of the points (frames, value) of a curve, the last among them.

    Args:
        points: In order.
        frames: Of a whole training.
    """
    count = len(points)
    places = {round((i + 1) * count / POINTS) - 1 for i in range(POINTS)} - {-1}
    chosen = [points[i] for i in sorted(places if count > POINTS else range(count))]
    return (
        np.array([there / frames for there, _ in chosen]),
        np.array([value for _, value in chosen]),
    )


def exceeds(found: tuple[float, float], than: float) -> float:
    """Probability that what has this mean and deviation is higher."""
    return 0.5 * math.erfc((than - found[0]) / found[1] / math.sqrt(2.0))


def improvement(found: tuple[float, float], than: float) -> float:
    """By how much it is expected to be higher, where it is."""
    middle, deviation = found
    z = (middle - than) / deviation
    density = math.exp(-0.5 * z * z) / math.sqrt(2.0 * math.pi)
    return deviation * (z * exceeds(found, than) + density)
