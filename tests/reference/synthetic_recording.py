"""A recording that nobody made: curves by a formula, for what replays them."""

import math

import numpy as np

from veldt.launch.landscape import SPACE, sobol
from veldt.search.recording import Recording

FRAMES = 9_000


def recording(points=64, seeds=3, noise=3.0, diverging=True):
    """Points are good near a rate of 1e-3 and a discount near 1; every 16th diverges half-way."""
    random = np.random.default_rng(0)
    listed = sobol(points)
    frames = [FRAMES * (i + 1) // 20 for i in range(20)]
    returns, training, seconds = [], [], []
    for number, point in enumerate(listed):
        distance = abs(math.log10(point["optimizer.learning_rate"]) + 3.0)
        top = 500.0 * math.exp(-distance) * point["agent.discount"]
        rows = []
        for _ in range(seeds):
            shift = noise * random.normal()
            row = [top * (f / FRAMES) ** 0.5 + shift + noise * random.normal() for f in frames]
            if diverging and number % 16 == 5:
                row[10:] = [None] * 10
            rows.append([None if value is None else round(value, 2) for value in row])
        returns.append(rows)
        training.append([[None, *row[1:]] for row in rows])
        seconds.append([[round(0.1 * (i + 1) * (1 + number % 3), 2) for i in range(20)]] * seeds)
    return Recording(
        environment="synthetic",
        train={"frames": FRAMES, "environment": {"id": "CartPole-v1"}},
        space=SPACE,
        points=listed,
        frames=frames,
        returns=returns,
        training_returns=training,
        seconds=seconds,
        episodes=10,
        made_with={"commit": None},
    )
