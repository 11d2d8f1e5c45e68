"""How fast a whole training could be, from how fast its parts are alone: by where they run.

    cores shared by all            a step costs each of the three: 1 / sum(1 / rate)
    learner on a GPU of its own    the cores act, the GPU learns: the slower of the two
    inference on that GPU too      the cores step environments, the GPU infers and learns
    inference by the learner       on cores shared by all; but one thread of each learner infers

No limit is below what can be done: nothing waits for anything in it, and nothing is sent.
"""

import dataclasses
from collections.abc import Mapping

SUM = "1 / (1 / environments + 1 / inference + 1 / learning)"


@dataclasses.dataclass(frozen=True)
class Placement:
    """What runs where."""

    actors: int
    learners: int
    threads: int
    """of each learner"""
    usable: float
    """cores of this machine"""
    gpu: bool
    """each learner has one"""
    central: bool
    """inference is the learners'"""

    @property
    def cores(self) -> float:
        """That actors can have, and on a CPU learners with them."""
        learning = 0 if self.gpu else self.learners * self.threads
        return min(self.usable, self.actors + learning)


@dataclasses.dataclass(frozen=True)
class Seconds:
    """What the parts take."""

    environment: float
    """an unroll, on a core"""
    inference: float
    """an unroll, on a core; central: unrolls of all actors of a learner, where it is"""
    update: float
    """each learner's part of an update"""


def rates(placement: Placement, seconds: Seconds, unroll: int, update: int) -> dict[str, float]:
    """Steps a second of each part, if it had all that it can have to itself.

    Args:
        unroll, update: Steps of an unroll, and fresh ones of an update of all learners.
    """
    cores, learners = placement.cores, placement.learners
    if placement.central:
        every = unroll * placement.actors  # in `seconds.inference`, each learner its part
        inference = every / seconds.inference
        if not placement.gpu:
            inference *= cores / (learners * placement.threads)
    else:
        inference = cores * unroll / seconds.inference
    if placement.gpu:
        learning = update / seconds.update
    else:
        learning = cores * update / (learners * placement.threads * seconds.update)
    return {
        "env_only": cores * unroll / seconds.environment,
        "inference_only": inference,
        "learner_only": learning,
    }


def limit(
    placement: Placement, found: Mapping[str, float], seconds: Seconds, unroll: int
) -> tuple[float, str]:
    """Of the whole, in steps a second, and the formula that it is by."""
    environments, inference = found["env_only"], found["inference_only"]
    learning = found["learner_only"]
    if placement.gpu and placement.central:
        formula = "min(environments, 1 / (1 / inference + 1 / learning))"
        return min(environments, 1.0 / (1.0 / inference + 1.0 / learning)), formula
    if placement.gpu:
        formula = "min(1 / (1 / environments + 1 / inference), learning)"
        return min(1.0 / (1.0 / environments + 1.0 / inference), learning), formula
    shared = 1.0 / sum(1.0 / rate for rate in (environments, inference, learning))
    if placement.central:
        serial = unroll * placement.actors / seconds.inference
        return min(shared, serial), f"min({SUM}, inference by a thread of each learner)"
    return shared, SUM
