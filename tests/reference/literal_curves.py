"""The model of learning curves as one dense Gaussian process over all that was seen."""

import math

import numpy as np

BROAD, OWN = 10.0, 0.1


def kernel(i, x, t, j, y, s, theta):
    """Covariance of curve i with settings x at time t and curve j with settings y at time s."""
    d = len(x)
    if d:
        r = math.sqrt(5.0 * sum((a - b) ** 2 for a, b in zip(x, y, strict=True)) / d)
        r /= theta.length
        matern = (1.0 + r + r * r / 3.0) * math.exp(-r)
        level = theta.height * ((1.0 - OWN) * matern + OWN * (i == j))
    else:
        level = theta.height * (i == j)
    phi = [(theta.beta / (time + theta.beta)) ** theta.alpha for time in (t, s)]
    decay = theta.decay * (theta.beta / (t + s + theta.beta)) ** theta.alpha if i == j else 0.0
    return (level + BROAD) * (1.0 - phi[0]) * (1.0 - phi[1]) + BROAD * phi[0] * phi[1] + decay


def predicted(curves, theta, n, time):
    """Mean and deviation of curve n at a time, and the logarithm of the likelihood."""
    seen = [
        (i, c.x, t, value)
        for i, c in enumerate(curves)
        for t, value in zip(c.times, c.values, strict=True)
    ]
    y = np.array([value for *_, value in seen])
    k = np.array([[kernel(i, x, t, j, z, s, theta) for j, z, s, _ in seen] for i, x, t, _ in seen])
    k += theta.noise * np.eye(len(seen))
    star = np.array([kernel(n, curves[n].x, time, j, z, s, theta) for j, z, s, _ in seen])
    inverse = np.linalg.inv(k)
    mean = star @ inverse @ y
    variance = kernel(n, curves[n].x, time, n, curves[n].x, time, theta) - star @ inverse @ star
    likelihood = -0.5 * (
        y @ inverse @ y + np.linalg.slogdet(k)[1] + len(y) * math.log(2.0 * math.pi)
    )
    return mean, math.sqrt(variance), likelihood
