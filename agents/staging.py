"""How unrolls come to the learner's device: each by itself, and there side by side.

    staged = staging.begin(trajectory)     as soon as it is there, while an update runs
    batch = staging.batch([staged, ...])   once there are enough

To a GPU they go through pinned memory on a stream of their own, so that they travel while it
computes; its own stream waits for them where they are put together. On a CPU nothing is copied
but there.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from veldt.agents.inputs import Batch, with_older
from veldt.platform.trajectory import Trajectory, stack

ALONG_B = {  # [T, B, ...]; the rest has in front what there are several of
    *("observation", "first", "action", "behaviour_policy"),
    *("reward", "terminated", "truncated"),
}
PLACES = ("stack_index", "final_index")  # (t, b)


class Staged(NamedTuple):
    """An unroll on its way."""

    trajectory: Trajectory
    tensors: dict[str, Tensor]  # its fields on a GPU, empty elsewhere
    there: torch.cuda.Event | None


class Staging:
    """One learner's.

    Args:
        device: Of the learner.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = _stream(device) if device.type == "cuda" else None
        self.ahead = self._stream is not None
        """whether it pays to begin before a batch is whole"""

    def begin(self, trajectory: Trajectory) -> Staged:
        """Sends an unroll off. On a CPU its arrays are still used until `batch`; a GPU has them
        in memory of its own when this returns."""
        if self._stream is None:
            return Staged(trajectory, {}, None)
        with torch.cuda.stream(self._stream):
            tensors = {
                name: _pinned(array).to(self._device, non_blocking=True)
                for name, array in trajectory.arrays().items()
            }
            return Staged(trajectory, tensors, self._stream.record_event())

    def batch(self, parts: Sequence[Staged]) -> Batch:
        """The unrolls side by side along B, each stack of frames whole."""
        if self._stream is None:
            arrays = stack([part.trajectory for part in parts]).arrays()
            fields = {name: torch.from_numpy(a).to(self._device) for name, a in arrays.items()}
        else:
            current = torch.cuda.current_stream(self._device)
            for part in parts:
                if part.there is not None:
                    current.wait_event(part.there)
                for tensor in part.tensors.values():
                    tensor.record_stream(current)
            fields = side_by_side([part.tensors for part in parts])
        index, older = fields.pop("stack_index"), fields.pop("stack_older")
        return Batch(**fields | {"observation": with_older(fields["observation"], index, older)})


def _pinned(array: NDArray[Any]) -> Tensor:
    """A copy that a GPU can fetch by itself."""
    like = torch.from_numpy(np.empty(0, array.dtype))
    found = torch.empty(array.shape, dtype=like.dtype, pin_memory=True)
    found.numpy()[...] = array
    return found


def _stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def side_by_side(parts: Sequence[dict[str, Tensor]]) -> dict[str, Tensor]:
    """`stack` of platform/trajectory.py where the fields are tensors."""
    found: dict[str, Tensor] = {}
    for name in parts[0]:
        tensors = [part[name] for part in parts]
        if name in PLACES:
            at, moved = 0, []
            for part, tensor in zip(parts, tensors, strict=True):
                moved.append(tensor + tensor.new_tensor([0, at]))
                at += part["reward"].shape[1]
            tensors = moved
        found[name] = torch.cat(tensors, 1 if name in ALONG_B else 0)
    return found


def to_batch(trajectory: Trajectory, device: torch.device) -> Batch:
    """One trajectory as a batch."""
    staging = Staging(device)
    return staging.batch([staging.begin(trajectory)])
