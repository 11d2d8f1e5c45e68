"""What a log is kept in: rows, appended; the journal knows what they mean."""

from collections.abc import Sequence
from typing import Protocol

Row = tuple[int, float, str, str, int]
"""n, counted from 1; time; kind; body, as JSON; crc, of the body"""


class Store(Protocol):
    """One study's rows, and this process the only one that writes them."""

    def rows(self) -> list[Row]:
        """All of them, by number."""

    def write(self, rows: Sequence[Row]) -> None:
        """Appends all of them or none; they are on the disk when it returns.

        Raises:
            RunFailed: if they are not.
        """

    def forget(self, n: int) -> None:
        """Deletes a row."""

    def close(self) -> None:
        """Lets others write."""
