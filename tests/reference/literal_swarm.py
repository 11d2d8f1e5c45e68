"""A particle swarm, number by number, one particle after another."""

import math


def swarm(places, velocities, draws, score, inertia, own, common, rounds):
    """Clerc and Kennedy 2002, with reflection at the sides of the unit cube.

    Args:
        places: [P][n].
        velocities: [P][n].
        draws: (particle, move) -> r1 [n], r2 [n]; moves count from 1.
        score: place -> higher is better.
        inertia, own, common: w, c1, c2.
        rounds: Scores of each particle, the first one where it begins.

    Returns:
        Every place that was scored, in order.
    """
    visited = []
    own_best = [None] * len(places)  # (score, place)
    best = None
    for move in range(rounds):
        for i in range(len(places)):
            x, v = list(places[i]), list(velocities[i])
            if move > 0:
                r1, r2 = draws(i, move)
                for d in range(len(x)):
                    v[d] = inertia * v[d] + own * r1[d] * (own_best[i][1][d] - x[d])
                    v[d] = v[d] + common * r2[d] * (best[1][d] - x[d])
                    x[d] = x[d] + v[d]
                    while x[d] < 0.0 or x[d] > 1.0:
                        x[d] = -x[d] if x[d] < 0.0 else 2.0 - x[d]
                        v[d] = -v[d]
            places[i], velocities[i] = x, v
            found = score(x)
            visited.append(x)
            if own_best[i] is None or found > own_best[i][0]:
                own_best[i] = (found, list(x))
            if best is None or found > best[0]:
                best = (found, list(x))
    assert all(math.isfinite(value) for x in visited for value in x)
    return visited
