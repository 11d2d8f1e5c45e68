"""Ctrl-C and SIGTERM as a question the work asks itself, instead of an exception anywhere.

So is SIGUSR1: `mpirun` passes it on to its ranks, and Slurm can send it ahead of a time limit.
"""

import signal
from types import FrameType, TracebackType


class Interrupts:
    """While entered, the first of these signals is remembered; a second one acts as before.

    Example:
        with Interrupts() as interrupts:
            train(settings, folder, stop=interrupts)
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

    def __init__(self) -> None:
        self._asked = False

    def __call__(self) -> bool:
        """Whether the work should come to an end."""
        return self._asked

    def __enter__(self) -> "Interrupts":
        self._before = {number: signal.signal(number, self._remember) for number in self.SIGNALS}
        return self

    def _remember(self, number: int, frame: FrameType | None) -> None:
        self._asked = True
        for restored, handler in self._before.items():
            signal.signal(restored, handler)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
