"""Reads what has several parts: each by a torso of its own kind, their features side by side.

Espeholt et al. 2018, D.1, for words: embedded in 20 numbers, an LSTM of 64, whose output at the
last word counts.

Legend: L words at most, padded with zeros.
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from veldt.agents.networks.catalogue import NETWORKS
from veldt.agents.networks.convolutional import is_image
from veldt.agents.networks.settings import NetworkSettings
from veldt.platform import plugins
from veldt.platform.envs.parts import BUCKETS
from veldt.platform.envs.vector import Observations, Part

DTYPES = {"uint8": torch.uint8, "float32": torch.float32, "int32": torch.int32}


class Composite(nn.Module):
    """A torso for observations with parts.

    `settings.torso` names the torso of the images among them; "auto" is shallow, and mlp for
    images that are too small for convolutions of its size. Numbers are read by an mlp.
    """

    def __init__(self, observations: Observations, settings: NetworkSettings) -> None:
        super().__init__()
        self._parts = observations.parts
        self.torsos = nn.ModuleList(_torso(part, settings) for part in self._parts)
        self.features = sum(_features(torso) for torso in self.torsos)

    def forward(self, observation: Tensor) -> Float[Tensor, "*batch features"]:
        seen = unpack(self._parts, observation)
        read = [
            torso(seen[part.name]).float()
            for part, torso in zip(self._parts, self.torsos, strict=True)
        ]
        return torch.cat(read, -1)


class Words(nn.Module):
    """Embedding and LSTM over numbered words."""

    features = 64

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(BUCKETS + 1, 20)
        self.lstm = nn.LSTM(20, self.features)

    def forward(self, words: Int[Tensor, "*batch L"]) -> Float[Tensor, "*batch 64"]:
        flat = words.flatten(0, -2).long()
        if not len(flat):
            return self.embedding.weight.new_zeros(*words.shape[:-1], self.features)
        # Few different texts are seen at once: each is read once.
        texts, which = torch.unique(flat, dim=0, return_inverse=True)
        lengths = (texts != 0).sum(1).clamp(min=1)
        longest = int(lengths.max())
        # In float32 whatever the images are read in: few CPUs have an LSTM in bfloat16.
        with torch.autocast(words.device.type, enabled=False):
            out, _ = self.lstm(self.embedding(texts[:, :longest].T))
        last = out[lengths - 1, torch.arange(len(texts), device=out.device)]
        found: Tensor = last[which].reshape(*words.shape[:-1], self.features)
        return found


def unpack(parts: tuple[Part, ...], row: Tensor) -> dict[str, Tensor]:
    """The parts of rows of bytes [*batch, N], by name, [*batch, *part.shape]."""
    return {part.name: _cell(part, row) for part in parts}


def _cell(part: Part, row: Tensor) -> Tensor:
    shape, dtype = (*row.shape[:-1], *part.shape), DTYPES[part.dtype]
    if not row.numel():  # torch does not view what is empty as another type
        return row.new_zeros(shape, dtype=dtype)
    cell = row[..., part.offset : part.offset + part.size].contiguous()
    return cell.view(dtype).reshape(shape)


def _torso(part: Part, settings: NetworkSettings) -> nn.Module:
    if part.kind == "words":
        return Words()
    shown = Observations(part.shape, "uint8" if part.dtype == "uint8" else "float32")
    name = "mlp"
    if part.kind == "image":
        automatic = "shallow" if is_image(shown) else "mlp"
        name = automatic if settings.torso == "auto" else settings.torso
    torso: nn.Module = plugins.load("networks", name, NETWORKS)(shown, settings)
    return torso


def _features(torso: Any) -> int:
    return int(torso.features)
