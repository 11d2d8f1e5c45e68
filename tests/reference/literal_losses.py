"""The loss's terms and RMSProp, element by element."""

import math


def softmax(logits):
    top = max(logits)
    weights = [math.exp(x - top) for x in logits]
    return [w / sum(weights) for w in weights]


def impala(logits, actions, advantages, vs, values, baseline_cost, entropy_cost):
    """The summed loss of one list of steps (arXiv:1802.01561, section 4.2)."""
    total = 0.0
    for row, action, advantage, target, value in zip(
        logits, actions, advantages, vs, values, strict=True
    ):
        pi = softmax(row)
        total += -math.log(pi[action]) * advantage
        total += baseline_cost * 0.5 * (target - value) ** 2
        total -= entropy_cost * -sum(p * math.log(p) for p in pi)
    return total


def rmsprop(parameter, gradients, lr, decay, momentum, epsilon):
    """One parameter through TensorFlow 1's RMSPropOptimizer."""
    mean_square, velocity = 1.0, 0.0
    for gradient in gradients:
        mean_square = decay * mean_square + (1 - decay) * gradient**2
        velocity = momentum * velocity + lr * gradient / math.sqrt(mean_square + epsilon)
        parameter -= velocity
    return parameter
