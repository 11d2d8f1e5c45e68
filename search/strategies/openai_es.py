"""OpenAI's evolution strategy: fresh mirrored noise in every generation.

Salimans et al. 2017, "Evolution Strategies as a Scalable Alternative to Reinforcement
Learning", arXiv:1703.03864, algorithm 2 with section 2's mirrored sampling, rank shaping and
weight decay. (The adaptive limit to episodes and virtual batch normalisation of that section
belong to problems.)
"""

from typing import Literal

from veldt.platform.keys import Key
from veldt.search.strategies.gradient_es import GradientES, GradientSettings
from veldt.search.strategies.noise import normal
from veldt.search.vectors import Vector


class OpenAIESSettings(GradientSettings):
    """The paper's knobs."""

    method: Literal["openai-es"] = "openai-es"
    mirrored: bool = True
    """Whether two members share one perturbation, with opposite signs; for comparison"""


class OpenAIES(GradientES):
    """A pair wears, and is credited with, the noise of its generation."""

    Settings = OpenAIESSettings
    unrolls = 1

    def __init__(self, settings: OpenAIESSettings, start: Vector, key: Key) -> None:
        super().__init__(
            settings,
            start,
            lambda generation, pair: normal(key.child("noise", generation, pair), len(start)),
            mirrored=settings.mirrored,
        )
