"""Where a learner's time goes, stage after stage.

waiting     for unrolls              backward    the gradient
stacking    unrolls side by side     together    sums over several learners
copying     to the device            step        clipping and the optimiser
forward     the loss                 publishing  the new weights, records, checkpoints
v_trace     its targets, of agents that say when they are there
"""

import collections
import time
from collections.abc import Callable


class Stopwatch:
    """Adds up the seconds of stages, each from the end of the one before.

    Args:
        settle: Called at the end of each, to wait for what a device still does; without it, a
            GPU's work counts where its result is first looked at.
    """

    def __init__(self, settle: Callable[[], None] = lambda: None) -> None:
        self.seconds: collections.defaultdict[str, float] = collections.defaultdict(float)
        self._settle, self._last = settle, time.perf_counter()

    def begin(self) -> None:
        """What was before counts nowhere."""
        self._last = time.perf_counter()

    def lap(self, stage: str) -> None:
        """A stage is over."""
        self._settle()
        now = time.perf_counter()
        self.seconds[stage] += now - self._last
        self._last = now
