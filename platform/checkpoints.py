"""Checkpoints: named arrays and plain values, written whole or not at all.

    DIR/checkpoints/000001200/arrays.safetensors
    DIR/checkpoints/000001200/state.json          {"digest": of both, "state": ...}

A checkpoint is written beside its place, forced to disk and renamed. The last two
are kept, so that a disk that lies about the newest does not end the run.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from numpy.typing import NDArray
from safetensors import SafetensorError

from veldt.platform.errors import BrokenCheckpoint
from veldt.platform.runs import sync_folder, write_whole

KEEP = 2
PLAIN = "plain values"  # the name of an array
log = logging.getLogger("veldt")

Arrays = dict[str, NDArray[Any]]


def save(
    run: Path, number: int, arrays: Mapping[str, NDArray[Any]], state: Mapping[str, Any]
) -> Path:
    """Writes checkpoint `number` of a run and forgets all but the last two.

    Args:
        run: The run's folder.
        number: Grows with time: the number of updates.
        arrays: Named arrays.
        state: Plain JSON values; NaN is refused.
    """
    folder = run / "checkpoints"
    temporary, final = folder / f".{number:09d}.partial", folder / f"{number:09d}"
    for cut_short in folder.glob(".*.partial"):
        shutil.rmtree(cut_short, ignore_errors=True)
    temporary.mkdir(parents=True)
    tensors = _packed(arrays)
    plain = json.dumps(state, allow_nan=False)
    digest = _digest(tensors, plain)
    _write(temporary / "arrays.safetensors", tensors)
    _write(temporary / "state.json", json.dumps({"digest": digest, "state": plain}).encode())
    sync_folder(temporary)
    if final.exists():
        shutil.rmtree(final)
    temporary.rename(final)
    sync_folder(folder)
    # Newer ones are damaged, or this one would not have been gone on from.
    kept = [known for known in numbers(run) if known <= number][-KEEP:]
    for other in set(numbers(run)) - set(kept):
        shutil.rmtree(folder / f"{other:09d}")
    return final


def numbers(run: Path) -> list[int]:
    """The checkpoints of a run, oldest first."""
    folder = run / "checkpoints"
    found = folder.iterdir() if folder.exists() else ()
    return sorted(int(item.name) for item in found if item.name.isdigit())


def load(
    run: Path, wanted: Callable[[int], bool] = lambda number: True
) -> tuple[int, Arrays, dict[str, Any]] | None:
    """The newest whole checkpoint: its number, arrays and state. None if there is none.

    Args:
        run: The run's folder.
        wanted: Of the numbers, those that will do.

    Raises:
        BrokenCheckpoint: if there are some and each is damaged.
    """
    faults = []
    for number in filter(wanted, reversed(numbers(run))):
        folder = run / "checkpoints" / f"{number:09d}"
        try:
            return (number, *_read(folder))
        except (OSError, ValueError, KeyError, RecursionError, SafetensorError) as error:
            faults.append(f"{folder}: {error}")
            log.warning("checkpoint %s is damaged (%s); trying the one before.", folder, error)
    if faults:
        raise BrokenCheckpoint(
            "no whole checkpoint is left:\n  "
            + "\n  ".join(faults)
            + "\nStart again in another folder with --out, or restore the files."
        )
    return None


def copy(checkpoint: Path, run: Path) -> None:
    """Puts another run's checkpoint, a folder, among those of a run."""
    final = run / "checkpoints" / checkpoint.name
    partial = final.with_name(f".{checkpoint.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(checkpoint, partial)
    partial.rename(final)


def save_arrays(
    path: Path, arrays: Mapping[str, NDArray[Any]], words: Mapping[str, str] | None = None
) -> None:
    """Writes named arrays as one safetensors file, which other programs can read too.

    Args:
        path: Of the file.
        arrays: By name.
        words: The file's metadata.
    """
    write_whole(path, _packed(arrays, words))


def _packed(arrays: Mapping[str, NDArray[Any]], words: Mapping[str, str] | None = None) -> bytes:
    # In C order: the library writes memory as it lies, and reads it as if it lay so.
    ordered = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    return safetensors.numpy.save(ordered, dict(words) if words else None)


def load_arrays(path: Path) -> tuple[Arrays, dict[str, str]]:
    """What `save_arrays` was given.

    Raises:
        BrokenCheckpoint: if the file is damaged.
    """
    try:
        with safetensors.safe_open(path, "numpy") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (OSError, SafetensorError) as error:
        raise BrokenCheckpoint(f"{path}: {error}") from error


def pack(arrays: Mapping[str, NDArray[Any]], state: Mapping[str, Any]) -> bytes:
    """Arrays and plain values as bytes, to be sent to another process."""
    plain = np.frombuffer(json.dumps(state, allow_nan=False).encode(), np.uint8)
    return safetensors.numpy.save({**arrays, PLAIN: plain})


def unpack(data: bytes) -> tuple[Arrays, dict[str, Any]]:
    """What `pack` was given."""
    arrays = safetensors.numpy.load(data)
    state: dict[str, Any] = json.loads(arrays.pop(PLAIN).tobytes())
    return arrays, state


def _read(folder: Path) -> tuple[Arrays, dict[str, Any]]:
    tensors = (folder / "arrays.safetensors").read_bytes()
    outer = json.loads((folder / "state.json").read_bytes())
    if not (isinstance(outer, dict) and isinstance(outer.get("state"), str)):
        raise ValueError("state.json is none of ours")
    if _digest(tensors, outer["state"]) != outer.get("digest"):
        raise ValueError("its content does not match its digest")
    return safetensors.numpy.load(tensors), json.loads(outer["state"])


def _digest(tensors: bytes, plain: str) -> str:
    return hashlib.blake2b(tensors + plain.encode(), digest_size=16).hexdigest()


def _write(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
