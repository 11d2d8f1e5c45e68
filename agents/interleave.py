"""Images with the bytes of each pixel side by side, as convolutions read them fastest."""

import sys

import torch
from torch import Tensor

SOME = 32  # images whose words stay in a processor's cache; measured


def interleave(images: Tensor) -> Tensor:
    """The same images [N, C, ...], with C last in memory: contiguous in torch.channels_last.

    Four planes of bytes, which is what Atari has, go as one word a pixel: in half of the time.

    Args:
        images: Of any strides.
    """
    N, C, *sides = images.shape
    words = C == 4 and images.dtype == torch.uint8 and images.device.type == "cpu"
    if not words or sys.byteorder != "little":
        return torch.stack(images.unbind(1), -1).movedim(-1, 1)
    found = images.new_empty((N, *sides, C))
    word = found.view(torch.int32).squeeze(-1)
    for some, place in zip(torch.split(images, SOME), torch.split(word, SOME), strict=True):
        first, *rest = some.unbind(1)
        place.copy_(first)
        for at, plane in enumerate(rest, 1):
            place.add_(plane, alpha=256**at)
    return found.movedim(-1, 1)
