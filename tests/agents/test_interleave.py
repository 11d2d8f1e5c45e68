"""Bytes side by side: the same images, however they lie."""

import pytest
import torch

from veldt.agents.interleave import interleave


@pytest.mark.parametrize("shape", [(70, 4, 6, 5), (3, 4, 2), (5, 3, 6, 5), (2, 1, 4, 4)])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_images_are_the_same_with_channels_last_in_memory(shape, dtype):
    images = torch.randint(0, 256, shape).to(dtype)
    found = interleave(images)
    assert found.dtype == dtype and torch.equal(found, images)
    assert found.movedim(1, -1).is_contiguous()


def test_every_byte_comes_through_in_every_place():
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    for place in range(4):
        images = torch.full((1, 4, 16, 16), 255, dtype=torch.uint8)
        images[:, place] = every[:, 0]
        assert torch.equal(interleave(images), images)


def test_windows_on_a_line_of_frames_are_images_too():
    line = torch.randint(0, 256, (9, 2, 6, 5), dtype=torch.uint8)
    windows = line.unfold(0, 4, 1).movedim(-1, 2).flatten(0, 1)
    whole = [[line[t : t + 4, b] for b in range(2)] for t in range(6)]
    assert torch.equal(interleave(windows), torch.stack([x for row in whole for x in row]))
