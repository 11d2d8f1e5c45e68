"""The linear quadratic regulator's optimum by brute force: loops over matrices as lists.

Bertsekas, "Dynamic Programming and Optimal Control", volume 1, section 3.1: the cost to go
x'Px of ever longer horizons; and the covariance of the state, step by step, for the cost of
a gain in the long run. Slow on purpose.
"""


def product(a, b):
    return [
        [sum(x * y for x, y in zip(row, column, strict=True)) for column in turned(b)] for row in a
    ]


def turned(a):
    return [list(column) for column in zip(*a, strict=True)]


def plus(a, b, factor=1.0):
    return [[x + factor * y for x, y in zip(r, s, strict=True)] for r, s in zip(a, b, strict=True)]


def inverse(a):
    """By Gauss and Jordan, with pivots."""
    size = len(a)
    rows = [list(row) + [float(i == j) for j in range(size)] for i, row in enumerate(a)]
    for i in range(size):
        pivot = max(range(i, size), key=lambda k: abs(rows[k][i]))
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [x / rows[i][i] for x in rows[i]]
        for k in range(size):
            if k != i:
                rows[k] = [x - rows[k][i] * y for x, y in zip(rows[k], rows[i], strict=True)]
    return [row[size:] for row in rows]


def gain(a, b, q, r, horizon):
    """The gain K of the first step of so many, u = K x."""
    p = q
    for _ in range(horizon):
        bp = product(turned(b), p)
        best = product(inverse(plus(r, product(bp, b))), product(bp, a))
        closed = plus(a, product(b, best), -1.0)
        cost = plus(q, product(turned(best), product(r, best)))
        p = plus(cost, product(turned(closed), product(p, closed)))
    return [[-x for x in row] for row in best]


def stationary_cost(a, b, q, r, k, steps):
    """The mean cost of a step after so many under unit noise."""
    closed = plus(a, product(b, k))
    weight = plus(q, product(turned(k), product(r, k)))
    size = len(a)
    unit = [[float(i == j) for j in range(size)] for i in range(size)]
    covariance = unit
    for _ in range(steps):
        covariance = plus(product(product(closed, covariance), turned(closed)), unit)
    total = product(weight, covariance)
    return sum(total[i][i] for i in range(size))


def rollout_cost(a, b, q, r, k, noise):
    """The mean cost of a step from x = 0, x_{t+1} = A x + B K x + w_t, noise [T][3]."""
    x, total = [0.0] * len(a), 0.0
    for w in noise:
        u = [sum(k[i][j] * x[j] for j in range(len(x))) for i in range(len(k))]
        x = [
            sum(a[i][j] * x[j] for j in range(len(x)))
            + sum(b[i][j] * u[j] for j in range(len(u)))
            + w[i]
            for i in range(len(a))
        ]
        u = [sum(k[i][j] * x[j] for j in range(len(x))) for i in range(len(k))]
        total += sum(x[i] * q[i][j] * x[j] for i in range(len(x)) for j in range(len(x)))
        total += sum(u[i] * r[i][j] * u[j] for i in range(len(u)) for j in range(len(u)))
    return total / len(noise)
