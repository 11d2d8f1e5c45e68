"""The closed form that is read off an evolved drift, by least squares.

Lu et al. 2022, arXiv:2210.05639, read DPO off their drift by eye. Here its numbers are fitted,
and a scale for each side of 0, g = (r - 1) A and h = A log r:

    A >= 0    a relu(g - alpha tanh(g / alpha))
    A < 0     b relu(h - beta tanh(h / beta))

DPO has a = b = 1, alpha = 2, beta = 0.6.

Legend: R advantages, K ratios, r the ratio of the policy to the one that acted.
"""

import dataclasses

import numpy as np
from numpy.typing import NDArray

Row = NDArray[np.float64]  # [R] or [K]
Map = NDArray[np.float64]  # [R, K]

NARROWEST, WIDEST = 0.01, 100.0  # of alpha and beta
TRIED, NARROWED = 41, 6  # in a row, and how often around the best


@dataclasses.dataclass(frozen=True)
class ClosedForm:
    """What was fitted, by the letters of this page."""

    a: float
    alpha: float
    b: float
    beta: float
    residual: float
    """root of the mean squared error, by that of the drift's mean square: 0 is exact, 1 nothing"""

    def drift(self, advantages: Row, log_ratios: Row) -> Map:
        """The form's own."""
        gains, losses = _sides(advantages, log_ratios)
        found: Map = np.where(
            (advantages >= 0.0)[:, None],
            self.a * _bent(gains, self.alpha),
            self.b * _bent(losses, self.beta),
        )
        return found


def read_off(drift: Map, advantages: Row, log_ratios: Row) -> ClosedForm:
    """The form that is nearest to a drift, that is shown at some advantages and ratios."""
    positive = advantages >= 0.0
    gains, losses = _sides(advantages, log_ratios)
    a, alpha = _fitted(drift[positive], gains[positive])
    b, beta = _fitted(drift[~positive], losses[~positive])
    form = ClosedForm(a, alpha, b, beta, 0.0)
    error = np.square(drift - form.drift(advantages, log_ratios)).mean()
    residual = float(np.sqrt(error / max(np.square(drift).mean(), 1e-30)))
    return dataclasses.replace(form, residual=residual)


def _sides(advantages: Row, log_ratios: Row) -> tuple[Map, Map]:
    """g and h."""
    return np.outer(advantages, np.expm1(log_ratios)), np.outer(advantages, log_ratios)


def _bent(x: Map, width: float) -> Map:
    found: Map = np.maximum(x - width * np.tanh(x / width), 0.0)
    return found


def _fitted(drift: Map, x: Map) -> tuple[float, float]:
    """The scale and the width of one side; the scale of a width is that of linear regression."""

    def scale(width: float) -> float:
        bent = _bent(x, width)
        size = float(np.square(bent).sum())
        return float((bent * drift).sum()) / size if size > 0.0 else 0.0

    def error(width: float) -> float:
        return float(np.square(drift - scale(width) * _bent(x, width)).sum())

    low, high = np.log(NARROWEST), np.log(WIDEST)
    best = low
    for _ in range(NARROWED):
        tried = np.linspace(low, high, TRIED)
        best = min(tried, key=lambda log_width: error(float(np.exp(log_width))))
        step = tried[1] - tried[0]
        low = max(best - step, np.log(NARROWEST))
        high = min(best + step, np.log(WIDEST))
    width = float(np.exp(best))
    return scale(width), width
