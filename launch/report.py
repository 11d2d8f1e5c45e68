"""The report of a run (being written)."""

from pathlib import Path


def write(folder: Path, path: Path) -> Path:
    """Writes the report."""
    return path
