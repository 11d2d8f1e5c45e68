"""The process of PB2, entry by entry, and as the density of what was seen."""

import math

import numpy as np


def kernel(x, t, z, s, theta):
    square = sum((a - b) ** 2 for a, b in zip(x, z, strict=True)) / len(x)
    return math.exp(-square / (2.0 * theta.length**2)) * (1.0 - theta.drift) ** (abs(t - s) / 2.0)


def covariance(x, t, theta):
    n = len(x)
    found = np.array([[kernel(x[i], t[i], x[j], t[j], theta) for j in range(n)] for i in range(n)])
    return found + theta.noise * np.eye(n)


def mean(x, t, y, at, now, theta):
    star = np.array([kernel(at, now, x[i], t[i], theta) for i in range(len(x))])
    return star @ np.linalg.inv(covariance(x, t, theta)) @ y


def deviation(x, t, at, now, theta):
    star = np.array([kernel(at, now, x[i], t[i], theta) for i in range(len(x))])
    return math.sqrt(1.0 - star @ np.linalg.inv(covariance(x, t, theta)) @ star)


def likelihood(x, t, y, theta):
    k = covariance(x, t, theta)
    return math.log(
        math.exp(-0.5 * y @ np.linalg.inv(k) @ y)
        / math.sqrt((2.0 * math.pi) ** len(y) * np.linalg.det(k))
    )
