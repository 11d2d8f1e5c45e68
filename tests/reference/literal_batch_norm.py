"""Batch normalisation, number by number."""

import math


def batch_norm(reference, x, gain, bias, epsilon):
    """Rows of features normalised by the mean and variance of the rows of `reference`.

    Ioffe and Szegedy 2015, arXiv:1502.03167, algorithm 1.
    """
    result = [[0.0] * len(gain) for _ in x]
    for c in range(len(gain)):
        mean = sum(row[c] for row in reference) / len(reference)
        variance = sum((row[c] - mean) ** 2 for row in reference) / len(reference)
        for i, row in enumerate(x):
            normal = (row[c] - mean) / math.sqrt(variance + epsilon)
            result[i][c] = gain[c] * normal + bias[c]
    return result


def es_atari_logits(reference, x, parameters, convolve, epsilon):
    """Images through the network of Salimans et al. 2017, the reference batch beside them.

    Args:
        reference: [R, S, 84, 84] as floats in 0..1.
        x: [B, S, 84, 84] as floats in 0..1.
        parameters: (weight, gain, bias) of each hidden layer, then (weight, bias).
        convolve: (images, weight, stride) -> images; all else is done here.

    Returns:
        [B][A].
    """
    for (weight, gain, bias), stride in zip(parameters[:-1], (4, 2, None), strict=True):
        if stride is None:
            reference, x = ([image.reshape(-1) for image in batch] for batch in (reference, x))
            reference, x = ([weight @ row for row in batch] for batch in (reference, x))
            normal = batch_norm(reference, [*reference, *x], gain, bias, epsilon)
            rows = [[max(0.0, value) for value in row] for row in normal]
        else:
            both = [convolve(batch, weight, stride) for batch in (reference, x)]
            for c in range(len(gain)):
                values = both[0][:, c]
                mean = values.sum() / values.size
                variance = ((values - mean) ** 2).sum() / values.size
                for batch in both:
                    normal = (batch[:, c] - mean) / math.sqrt(variance + epsilon)
                    batch[:, c] = (gain[c] * normal + bias[c]).clip(0.0)
            reference, x = both
    weight, bias = parameters[-1]
    return [
        [float(w @ row + b) for w, b in zip(weight, bias, strict=True)]
        for row in rows[len(reference) :]
    ]
