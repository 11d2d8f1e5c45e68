"""What came in at a learner's end, and what was counted there."""

import dataclasses
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from veldt.platform import wire

Arrays = dict[str, NDArray[Any]]


@dataclasses.dataclass
class Traffic:
    """What the channel counted."""

    begun: int = 0  # tickets given out
    delivered: int = 0
    dropped: int = 0  # unrolls that were begun and will never be used
    ended_at_work: int = 0  # actors that were gone, or given up, with an unroll under way
    rejected: int = 0  # messages that were not ours or from actors given up
    refused: int = 0  # connections that were turned away, or over before anything right came
    hosts_lost: int = 0  # that were not heard any more, or sent away

    def refuse(self) -> None:
        """A connection."""
        self.refused += 1


@dataclasses.dataclass(frozen=True)
class Arrival:
    """A delivery as it came: its header and its arrays, views of the message or of a slot."""

    header: wire.Delivery
    arrays: Arrays
    release: Callable[[], None] = lambda: None
    """to be called when the arrays are needed no more: their memory is then another's"""
