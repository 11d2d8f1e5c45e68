"""Strategies written down as their papers do: one loop a sum, one number at a time.

Each takes the centre, the perturbations as a list and the scores as a list, and returns the
next centre; nothing is vectorised, exact or distributed here.
"""

import math


def ars(m, deltas, plus, minus, top, step_size):
    """Mania, Guy and Recht 2018, algorithm 2, lines 6 and 7."""
    order = sorted(range(len(deltas)), key=lambda k: -max(plus[k], minus[k]))[:top]
    used = [plus[k] for k in order] + [minus[k] for k in order]
    mean = sum(used) / len(used)
    sigma_r = math.sqrt(sum((r - mean) ** 2 for r in used) / len(used))
    return [
        m[j]
        + step_size / (top * sigma_r) * sum((plus[k] - minus[k]) * deltas[k][j] for k in order)
        for j in range(len(m))
    ]


def basic_random_search(m, deltas, plus, minus, step_size):
    """Mania, Guy and Recht 2018, algorithm 1."""
    n = len(deltas)
    return [
        m[j] + step_size / n * sum((plus[k] - minus[k]) * deltas[k][j] for k in range(n))
        for j in range(len(m))
    ]


def ranks(scores):
    """From 0 to 1 - 1/2: how many are below, ties counted half."""
    found = []
    for score in scores:
        below = sum(other < score for other in scores)
        ties = sum(other == score for other in scores) - 1
        found.append((below + ties / 2) / (len(scores) - 1) - 0.5)
    return found


def openai_es_gradient(theta, epsilons, plus, minus, weight_decay):
    """Salimans et al. 2017, algorithm 2, with ranks over all members together."""
    u = ranks([*plus, *minus])
    n = len(epsilons)
    return [
        sum((u[k] - u[n + k]) * epsilons[k][j] for k in range(n)) / (2 * n)
        - weight_decay * theta[j]
        for j in range(len(theta))
    ]


def adam(gradients, rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
    """Kingma and Ba 2015, algorithm 1: the sum of its steps, for a list of numbers."""
    m = v = total = 0.0
    for t, g in enumerate(gradients, 1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        alpha = rate * math.sqrt(1 - beta2**t) / (1 - beta1**t)
        total += alpha * m / (math.sqrt(v) + epsilon)
    return total


def clipup(gradients, rate, momentum, max_speed):
    """Toklu et al. 2020, algorithm 1: the sum of its steps, for a list of vectors."""
    n = len(gradients[0])
    velocity, total = [0.0] * n, [0.0] * n
    for g in gradients:
        length = math.sqrt(sum(x * x for x in g))
        velocity = [momentum * velocity[j] + rate * g[j] / length for j in range(n)]
        speed = math.sqrt(sum(x * x for x in velocity))
        if speed > max_speed:
            velocity = [x * max_speed / speed for x in velocity]
        total = [total[j] + velocity[j] for j in range(n)]
    return total


def snes(mu, sigma, draws, scores, eta_sigma):
    """Schaul et al. 2011, algorithm 1; no ties."""
    size, n = len(scores), len(mu)
    order = sorted(range(size), key=lambda i: -scores[i])
    raw = [max(0.0, math.log(size / 2 + 1) - math.log(i + 1)) for i in range(size)]
    u = {member: raw[place] / sum(raw) - 1 / size for place, member in enumerate(order)}
    gradient = [sum(u[i] * draws[i][j] for i in range(size)) for j in range(n)]
    spread = [sum(u[i] * (draws[i][j] ** 2 - 1) for i in range(size)) for j in range(n)]
    return (
        [mu[j] + sigma[j] * gradient[j] for j in range(n)],
        [sigma[j] * math.exp(eta_sigma / 2 * spread[j]) for j in range(n)],
    )


def pgpe_sigma(sigma, draws, plus, minus, rate, most):
    """Sehnke et al. 2010, eq. 12 with symmetric samples; the change bounded."""
    n, size = len(sigma), len(draws)
    baseline = sum([*plus, *minus]) / (2 * size)
    found = []
    for j in range(n):
        change = (
            rate
            * sum(
                ((plus[k] + minus[k]) / 2 - baseline) * (draws[k][j] ** 2 - 1) for k in range(size)
            )
            / size
        )
        found.append(sigma[j] * (1 + min(most, max(-most, change))))
    return found


def persistent_es_gradient(lives, plus, minus):
    """Vicol et al. 2021, algorithm 2: lives[k] are the perturbations of pair k since birth."""
    n = len(lives[0][0])
    return [
        sum((plus[k] - minus[k]) * sum(worn[j] for worn in lives[k]) for k in range(len(lives)))
        / (2 * len(lives))
        for j in range(n)
    ]


def genetic(start, parents, children):
    """Such et al. 2017, section 3.1: individuals as sums of their mutations.

    Args:
        start: A list of numbers.
        parents: Child -> parent, by name; None is the start.
        children: Name -> its mutation, oldest first.
    """
    found = {None: list(start)}
    for name, mutation in children.items():
        origin = found[parents[name]]
        found[name] = [a + b for a, b in zip(origin, mutation, strict=True)]
    return found
