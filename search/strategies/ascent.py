"""Gradient ascent: from an estimate of a gradient to a step, by functions of plain arrays.

An optimiser is a function (gradient, slots, rate, settings) -> (step, slots): its slots are
named arrays that it is handed back the next time. A schedule is a function of the fraction
of its course that has gone by.

Legend: g the gradient [n] of what is maximised, alpha the rate, t the steps taken before.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import pydantic
from numpy.typing import NDArray

from veldt.platform.settings import Settings
from veldt.search.vectors import State, Vector


class ScheduleSettings(Settings):
    """How the rate changes."""

    name: Literal["constant", "linear", "cosine"] = "constant"
    generations: int = pydantic.Field(1000, ge=1)
    """after which it stays what it is"""
    final: float = pydantic.Field(0.0, ge=0.0)
    """the fraction of the first rate that is left then"""


class OptimizerSettings(Settings):
    """Which, and its constants."""

    name: Literal["sgd", "momentum", "adam", "clipup"] = "adam"
    learning_rate: float = pydantic.Field(0.01, gt=0.0)
    """alpha; for ClipUp the length of a step's new part"""
    momentum: float = pydantic.Field(0.9, ge=0.0, lt=1.0)
    beta1: float = pydantic.Field(0.9, ge=0.0, lt=1.0)
    beta2: float = pydantic.Field(0.999, ge=0.0, lt=1.0)
    epsilon: float = pydantic.Field(1e-8, gt=0.0)
    max_speed: float | None = pydantic.Field(None, gt=0.0)
    """ClipUp's bound on a step's length; twice the learning rate if not given"""
    schedule: ScheduleSettings = ScheduleSettings()


Update = Callable[[Vector, State, float, OptimizerSettings], tuple[Vector, State]]
Schedule = Callable[[float, float], float]


def sgd(g: Vector, slots: State, rate: float, settings: OptimizerSettings) -> tuple[Vector, State]:
    """alpha g."""
    return rate * g, {}


def momentum(
    g: Vector, slots: State, rate: float, settings: OptimizerSettings
) -> tuple[Vector, State]:
    """alpha v, v the running mean of gradients (Polyak 1964, damped)."""
    velocity = settings.momentum * slots.get("velocity", np.zeros_like(g))
    velocity = velocity + (1.0 - settings.momentum) * g
    return rate * velocity, {"velocity": velocity}


def adam(
    g: Vector, slots: State, rate: float, settings: OptimizerSettings
) -> tuple[Vector, State]:
    """Kingma and Ba 2015, arXiv:1412.6980, algorithm 1 in its efficient form (section 2)."""
    t = int(slots.get("t", np.array(0))) + 1
    m = settings.beta1 * slots.get("m", np.zeros_like(g)) + (1.0 - settings.beta1) * g
    v = settings.beta2 * slots.get("v", np.zeros_like(g)) + (1.0 - settings.beta2) * g * g
    rate *= math.sqrt(1.0 - settings.beta2**t) / (1.0 - settings.beta1**t)
    return rate * m / (np.sqrt(v) + settings.epsilon), {"m": m, "v": v, "t": np.array(t)}


def clipup(
    g: Vector, slots: State, rate: float, settings: OptimizerSettings
) -> tuple[Vector, State]:
    """Toklu, Liskowski and Srivastava 2020, arXiv:2008.02387, algorithm 1."""
    norm = float(np.sqrt(g @ g))
    velocity = settings.momentum * slots.get("velocity", np.zeros_like(g))
    if norm > 0.0:
        velocity = velocity + rate * g / norm
    speed = float(np.sqrt(velocity @ velocity))
    limit = settings.max_speed or 2.0 * settings.learning_rate
    if speed > limit:
        velocity = velocity * (limit / speed)
    return velocity, {"velocity": velocity}


def constant(fraction: float, final: float) -> float:
    return 1.0


def linear(fraction: float, final: float) -> float:
    return 1.0 + (final - 1.0) * fraction


def cosine(fraction: float, final: float) -> float:
    """Loshchilov and Hutter 2017, arXiv:1608.03983, eq. 5, without restarts."""
    return final + (1.0 - final) * (1.0 + math.cos(math.pi * fraction)) / 2.0


UPDATES: Mapping[str, Update] = {
    "sgd": sgd,
    "momentum": momentum,
    "adam": adam,
    "clipup": clipup,
}
SCHEDULES: Mapping[str, Schedule] = {"constant": constant, "linear": linear, "cosine": cosine}


def decayed(rate: float, steps: int, settings: ScheduleSettings) -> float:
    """A rate after so many steps of its schedule."""
    fraction = min(1.0, steps / settings.generations)
    return rate * SCHEDULES[settings.name](fraction, settings.final)


class Ascent:
    """An optimiser with its slots.

    Args:
        settings: Name the functions.
        update: Another optimiser than the one named.
    """

    def __init__(self, settings: OptimizerSettings, update: Update | None = None) -> None:
        self._settings = settings
        self._update = update or UPDATES[settings.name]
        self._slots: State = {}
        self._steps = 0

    def step(self, gradient: Vector) -> Vector:
        """What to add to the parameters, [n]."""
        settings = self._settings
        rate = decayed(settings.learning_rate, self._steps, settings.schedule)
        step, self._slots = self._update(gradient, self._slots, rate, settings)
        self._steps += 1
        return step

    def state(self) -> State:
        slots = {f"ascent.{name}": array for name, array in self._slots.items()}
        return {"ascent_steps": np.array(self._steps), **slots}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._steps = int(state["ascent_steps"])
        self._slots = {
            name.removeprefix("ascent."): array.copy()
            for name, array in state.items()
            if name.startswith("ascent.")
        }
