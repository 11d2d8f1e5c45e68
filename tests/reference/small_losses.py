"""A learned loss that is small enough for tests."""

from veldt.agents.lives.learned_loss import Convolution, LossSettings

SMALL = LossSettings(
    convolutions=(Convolution(filters=3, side=4, stride=2),),
    context=5,
    units=4,
    memory=2,
    memory_weights=3,
)
