"""Regression by a Gaussian process.

Rasmussen and Williams 2006, "Gaussian Processes for Machine Learning": Matérn's kernel with
nu = 5/2 (eq. 4.17), a length for each coordinate, and noise; eq. 2.25 and 2.26 for what is
predicted. Lengths, height and noise are the most probable ones under log-normal priors
(eq. 5.8 and 5.9 for the likelihood and its gradient).

    x        [n, d]  points of the unit cube
    y        [n]     what was seen there, with mean 0 and deviation 1 or so
    theta    [d + 2] logarithms: a length for each coordinate, the height, the noise's variance
"""

import math

import numpy as np
from scipy.linalg import cho_solve, cholesky, solve_triangular
from scipy.optimize import minimize
from scipy.special import erfcx, ndtr

from veldt.search.vectors import Vector

LENGTH, HEIGHT, NOISE = (math.log(0.5), 1.0), (0.0, 0.5), (math.log(1e-3), 1.5)
"""(mean, deviation) of the logarithms; a length is longer with the root of the coordinates, as
distances are (Hvarfner et al. 2024, arXiv:2402.02229)"""
LEAST_NOISE = 1e-6
DIMENSIONS = 5  # where the mean length is that of LENGTH
ITERATIONS = 40
FAR = -1e4  # deviations below the best; beyond, log1p has no digits left


class GaussianProcess:
    """Fitted to what was seen.

    Args:
        x: Where.
        y: What.
        theta: To begin the fit at, e.g. that of one point less; or the priors' means.
        fit: Whether to; else theta is taken as it is.
    """

    def __init__(
        self, x: Vector, y: Vector, theta: Vector | None = None, fit: bool = True
    ) -> None:
        self._x = x
        self.theta: Vector = priors(x.shape[1])[0] if theta is None else theta
        if fit:
            bounds = [(-5.0, 5.0)] * x.shape[1] + [(-4.0, 4.0), (math.log(LEAST_NOISE), 0.0)]
            more = {"maxiter": ITERATIONS}
            self.theta = minimize(
                loss, self.theta, (x, y), "L-BFGS-B", jac=True, bounds=bounds, options=more
            ).x
        self._factor = cholesky(covariance(x, self.theta), lower=True)
        self._weights = cho_solve((self._factor, True), y)

    def predict(self, x: Vector) -> tuple[Vector, Vector]:
        """Mean and deviation, without noise, at x [m, d]; each [m]."""
        between, _ = matern(x, self._x, self.theta)
        mean: Vector = between @ self._weights
        part = solve_triangular(self._factor, between.T, lower=True)
        variance = math.exp(self.theta[-2]) - np.square(part).sum(0)
        deviation: Vector = np.sqrt(variance.clip(1e-12))
        return mean, deviation

    def log_improvement(self, x: Vector, best: float) -> Vector:
        """Logarithm of the improvement to be expected at x [m, d] over the best, [m].

        Ament et al. 2023, "Unexpected Improvements to Expected Improvement", arXiv:2310.20708.
        """
        mean, deviation = self.predict(x)
        z = (mean - best) / deviation
        # h(z) = phi(z) + z Phi(z), (eq. 9): as it stands, or with phi(z) taken out
        near, far = np.maximum(z, -1.0), np.clip(z, FAR, -1.0)
        plain = np.log(np.exp(-0.5 * near * near) / math.sqrt(2.0 * math.pi) + near * ndtr(near))
        rest = np.log1p(math.sqrt(0.5 * math.pi) * far * erfcx(-far / math.sqrt(2.0)))
        taken = -0.5 * z * z - 0.5 * math.log(2.0 * math.pi) + rest
        logarithm: Vector = np.where(z > -1.0, plain, taken) + np.log(deviation)
        return logarithm


def priors(dimensions: int) -> tuple[Vector, Vector]:
    """Means and deviations of theta."""
    longer = 0.5 * math.log(dimensions / DIMENSIONS)
    mean = np.array([LENGTH[0] + longer] * dimensions + [HEIGHT[0], NOISE[0]])
    return mean, np.array([LENGTH[1]] * dimensions + [HEIGHT[1], NOISE[1]])


def matern(a: Vector, b: Vector, theta: Vector) -> tuple[Vector, Vector]:
    """The kernel between a [n, d] and b [m, d], and the scaled distances; each [n, m]."""
    lengths = np.exp(theta[:-2])
    u, v = a / lengths, b / lengths
    squares = np.square(u).sum(1)[:, None] + np.square(v).sum(1) - 2.0 * u @ v.T
    r = np.sqrt(5.0 * squares.clip(0.0))
    return math.exp(theta[-2]) * (1.0 + r + r * r / 3.0) * np.exp(-r), r


def covariance(x: Vector, theta: Vector) -> Vector:
    """Of what is seen at x, noise included; [n, n]."""
    kernel, _ = matern(x, x, theta)
    kernel[np.diag_indices(len(x))] = math.exp(theta[-2]) + math.exp(theta[-1]) + 1e-10
    return kernel


def loss(theta: Vector, x: Vector, y: Vector) -> tuple[float, Vector]:
    """Minus the logarithm of the posterior's density, up to a constant, and its gradient."""
    height, noise = math.exp(theta[-2]), math.exp(theta[-1])
    kernel, r = matern(x, x, theta)
    kernel[np.diag_indices(len(x))] = height + noise + 1e-10
    factor = cholesky(kernel, lower=True)
    weights = cho_solve((factor, True), y)
    mean, deviation = priors(x.shape[1])
    off = (theta - mean) / deviation
    value = 0.5 * y @ weights + np.log(np.diag(factor)).sum() + 0.5 * off @ off
    # dL = 1/2 tr((K^-1 - a a^T) dK)
    outer = cho_solve((factor, True), np.eye(len(x))) - np.outer(weights, weights)
    slope = outer * (height * (5.0 / 3.0) * (1.0 + r) * np.exp(-r))  # of r^2 / 10, by lengths
    scaled = x / np.exp(theta[:-2])
    gradient = np.empty_like(theta)
    # sum_ij S_ij (u_i - u_j)^2 = 2 sum_i u_i^2 S_i - 2 u^T S u
    gradient[:-2] = (
        0.5
        * 2.0
        * (np.square(scaled).T @ slope.sum(1) - np.einsum("id,id->d", scaled, slope @ scaled))
    )
    np.fill_diagonal(kernel, height)
    gradient[-2] = 0.5 * (outer * kernel).sum()
    gradient[-1] = 0.5 * np.trace(outer) * noise
    return float(value), gradient + off / deviation
