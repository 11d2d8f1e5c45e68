"""The learned loss of one life, number by number (arXiv:1802.04821, figure 2)."""

import math

from literal_losses import softmax


def leaky(x):
    return x if x > 0 else 0.01 * x


def layer(weight, bias, row, activation=leaky):
    """weight [inputs][outputs]"""
    return [
        activation(bias[j] + sum(row[i] * weight[i][j] for i in range(len(row))))
        for j in range(len(bias))
    ]


def convolution(weight, bias, rows, side, stride):
    """Windows of `side` rows; weight [channel * side + place][filters]."""
    found = []
    for begin in range(0, len(rows) - side + 1, stride):
        window = [rows[begin + s][c] for c in range(len(rows[0])) for s in range(side)]
        found.append(layer(weight, bias, window))
    return found


def learned_loss(parts, layers, lived, policy, memory, chosen):
    """`parts` by name; `layers` as (side, stride); rows oldest first."""
    seen = [[*row, *said, *memory] for row, said in zip(lived, policy, strict=True)]
    rows = seen
    for i, (side, stride) in enumerate(layers):
        name = f"convolution.{i}"
        rows = convolution(parts[f"{name}.weight"], parts[f"{name}.bias"], rows, side, stride)
    mean = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
    context = layer(parts["context.weight"], parts["context.bias"], mean)
    total = 0.0
    for place in chosen:
        hidden = layer(parts["units.weight"], parts["units.bias"], [*seen[place], *context])
        (out,) = layer(parts["out.weight"], parts["out.bias"], hidden, activation=lambda x: x)
        total += out
    return total / len(chosen)


def memory(weight, bias):
    return [math.tanh(sum(row) + b) for row, b in zip(weight, bias, strict=True)]


def advantages(rewards, terminated, ended, values, follow, discount, lambda_):
    """Of one life; `follow` is the value of what a step led to."""
    found = []
    for t in range(len(rewards)):
        total, weight = 0.0, 1.0
        for k in range(t, len(rewards)):
            next_value = 0.0 if terminated[k] else follow[k]
            total += weight * (rewards[k] + discount * next_value - values[k])
            if ended[k]:
                break
            weight *= discount * lambda_
        found.append(total)
    return found


def ppo(policy, behaviour, actions, advantages, old_values, values, chosen):
    """Of one life's minibatch (arXiv:1707.06347, eq. 7 and 9), the divergence penalised."""
    some = [advantages[t] for t in chosen]
    mean = sum(some) / len(some)
    deviation = math.sqrt(sum((a - mean) ** 2 for a in some) / len(some))
    total = 0.0
    for t in chosen:
        pi, mu = softmax(policy[t]), softmax(behaviour[t])
        advantage = (advantages[t] - mean) / (deviation + 1e-8)
        ratio = pi[actions[t]] / mu[actions[t]]
        near = min(max(ratio, 0.8), 1.2)
        total -= min(ratio * advantage, near * advantage)
        total += 0.001 * sum(m * math.log(m / p) for m, p in zip(mu, pi, strict=True))
        total += 0.5 * 0.5 * (values[t] - (advantages[t] + old_values[t])) ** 2
    return total / len(chosen)
