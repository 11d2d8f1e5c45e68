"""An unroll cut where episodes begin, so that a recurrent core runs over each piece at once.

Legend: T steps, B environments, K truncations; N pieces of at most L steps.

Piece n is the part of one episode that lies in one column of the unroll. Where an episode
was truncated, what it showed last is its piece's last step: the core has then seen all that
the actor's had. Short pieces are padded at their end, which no earlier step can see.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Segments(NamedTuple):
    """Where the steps of an unroll lie in the pieces."""

    piece: Tensor  # [T+1, B] int64
    place: Tensor  # [T+1, B] int64, within the piece
    final_piece: Tensor  # [K] int64
    final_place: Tensor  # [K] int64
    begins: Tensor  # [N] int64, the column whose state a piece goes on from; -1: a new episode
    length: int  # L

    def gather(self, entries: Tensor, finals: Tensor) -> Tensor:
        """[T+1, B, F] and [K, F] as pieces [L, N, F]."""
        pieces = entries.new_zeros(self.length, len(self.begins), entries.shape[-1])
        pieces[self.place, self.piece] = entries
        pieces[self.final_place, self.final_piece] = finals
        return pieces

    def states(self, state: Tensor) -> Tensor:
        """States [B, S] before entry 0 as those before the pieces, [N, S]."""
        known = (self.begins >= 0)[:, None]
        return torch.where(known, state[self.begins.clamp(min=0)], state.new_zeros(()))

    def scatter(self, pieces: Tensor) -> tuple[Tensor, Tensor]:
        """[L, N, F] as entries [T+1, B, F] and finals [K, F]."""
        return pieces[self.place, self.piece], pieces[self.final_place, self.final_piece]


def cut(first: Tensor, final_index: Tensor) -> Segments:
    """The pieces of an unroll.

    Args:
        first: [T+1, B] bool, an episode begins here.
        final_index: [K, 2] int64, (t, b) of the truncations.
    """
    steps, width = first.shape
    starts = first.clone()
    starts[0] = True
    per_column = starts.sum(0)
    offset = per_column.cumsum(0) - per_column
    piece = offset + starts.long().cumsum(0) - 1
    time = torch.arange(steps, device=first.device)[:, None].expand(steps, width)
    begun = torch.where(starts, time, 0).cummax(0).values
    place = time - begun
    t, b = final_index.unbind(-1)
    final_piece, final_place = piece[t, b], place[t, b] + 1
    begins = torch.full((int(per_column.sum()),), -1, dtype=torch.int64, device=first.device)
    columns = torch.arange(width, device=first.device)
    begins[offset] = torch.where(first[0], -1, columns)
    length = int(torch.cat([place.flatten(), final_place]).max()) + 1
    return Segments(piece, place, final_piece, final_place, begins, length)
