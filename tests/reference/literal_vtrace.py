"""V-trace as the paper writes it: sums and products, term by term, in float64.

Espeholt et al. 2018, arXiv:1802.01561, equation 1 and section 4.2. Slow on purpose.
"""

import math

import numpy as np


def vtrace(
    log_rhos,
    discounts,
    rewards,
    values,
    bootstrap_value,
    truncated,
    final_values,
    rho_bar,
    pg_rho_bar,
    c_bar,
    lambda_,
):
    """vs and advantages of one environment; all arguments are lists over time.

    An episode that ends, or is cut, inside the list is dealt with by cutting the list:
    each piece is an episode (or the head of one) and knows nothing of the others.
    """
    vs, advantages = [], []
    for begin, end in _pieces(discounts, truncated):
        length = end - begin
        last = end - 1
        if truncated[last]:
            after = final_values[last]
        elif end < len(rewards):
            after = 0.0  # terminated: multiplied by a discount of 0 anyway
        else:
            after = bootstrap_value
        V = [*values[begin:end], after]
        gamma = discounts[begin:end]
        ratio = [math.exp(x) for x in log_rhos[begin:end]]
        rho = [min(rho_bar, x) for x in ratio]
        c = [lambda_ * min(c_bar, x) for x in ratio]
        delta = [rho[t] * (rewards[begin + t] + gamma[t] * V[t + 1] - V[t]) for t in range(length)]
        v = []
        for s in range(length):
            total = V[s]
            for t in range(s, length):
                weight = 1.0
                for i in range(s, t):
                    weight *= gamma[i] * c[i]
                total += weight * delta[t]
            v.append(total)
        v.append(after)
        for s in range(length):
            vs.append(v[s])
            rho_pg = min(pg_rho_bar, ratio[s])
            advantages.append(rho_pg * (rewards[begin + s] + gamma[s] * v[s + 1] - V[s]))
    return np.array(vs), np.array(advantages)


def _pieces(discounts, truncated):
    begin = 0
    for t in range(len(discounts)):
        if discounts[t] == 0.0 or truncated[t] or t == len(discounts) - 1:
            yield begin, t + 1
            begin = t + 1
