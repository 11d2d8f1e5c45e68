"""The observation filter as a pass over the observations, one number at a time, in float64.

Welford 1962, "Note on a method for calculating corrected sums of squares and products",
Technometrics 4(3); Chan, Golub and LeVeque 1983, "Algorithms for computing the sample
variance", The American Statistician 37(3), for two halves put together. Slow on purpose.
"""

import math


def welford(observations):
    """Count, mean and sum of squared deviations of each column of a list of lists."""
    count, mean, squares = 0, [], []
    for row in observations:
        count += 1
        mean, squares = mean or [0.0] * len(row), squares or [0.0] * len(row)
        for i, x in enumerate(row):
            before = x - mean[i]
            mean[i] += before / count
            squares[i] += before * (x - mean[i])
    return count, mean, squares


def together(one, other):
    """What `welford` gives for two lists, from what it gives for each."""
    (n, mean, squares), (m, mean2, squares2) = one, other
    apart = [b - a for a, b in zip(mean, mean2, strict=True)]
    middle = [a + d * m / (n + m) for a, d in zip(mean, apart, strict=True)]
    spread = [
        a + b + d * d * n * m / (n + m) for a, b, d in zip(squares, squares2, apart, strict=True)
    ]
    return n + m, middle, spread


def filtered(observation, summary, smallest=1e-7, floor=0.0, clip=math.inf):
    """(x - mean) / (deviation + 1e-8), cut at +-clip; a constant is 0."""
    count, mean, squares = summary
    found = []
    for x, centre, square in zip(observation, mean, squares, strict=True):
        deviation = max(math.sqrt(square / (count - 1)), floor)
        deviation = math.inf if deviation < smallest else deviation
        found.append(min(max((x - centre) / (deviation + 1e-8), -clip), clip))
    return found
