"""Checkpoints that are kept, for other trials to begin with: TRIAL/kept/NUMBER."""

import shutil
from pathlib import Path

KEPT = "kept"


def kept(folder: Path, number: int) -> Path:
    """Where a trial's checkpoint is that was kept."""
    return folder / KEPT / f"{number:09d}"


def keep(folder: Path, checkpoint: Path, number: int) -> None:
    """Puts a trial's checkpoint where it stays."""
    copy(checkpoint, kept(folder, number))


def copy(source: Path, place: Path) -> None:
    """Copies a folder, whole or not at all; what was there is replaced."""
    partial = place.with_name(f".{place.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial, symlinks=True)
    shutil.rmtree(place, ignore_errors=True)
    partial.rename(place)
