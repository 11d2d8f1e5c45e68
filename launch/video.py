"""Frames as an MP4 file that every browser plays."""

import itertools
import os
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veldt.platform.errors import InputError, MissingProgram, RunFailed

Frame = NDArray[np.uint8]


def record(path: Path, frames: Iterable[Frame], fps: float) -> Path:
    """Writes H.264 in an MP4, frame by frame as they come; never more than one is held.

    A width or height that is odd gets its last column or row twice, for the codec takes
    even sizes only. The file appears when it is whole.

    Args:
        path: The file, `*.mp4`; its folder is made.
        frames: Each [height, width, 3] uint8, all of one size.
        fps: Frames per second.

    Raises:
        MissingProgram: if the extra `video` is not installed.
        InputError: if the file's name is not an MP4's or it cannot be written.
        RunFailed: if there is no frame, or one is of another size or kind, or ffmpeg fails.
    """
    if path.suffix.lower() != ".mp4":
        raise InputError(f"{path}: a video's name ends in .mp4.")
    if not fps > 0:
        raise InputError(f"{path}: {fps} frames per second; expected more than 0.")
    incoming = iter(frames)
    first = next(incoming, None)
    if first is None:
        raise RunFailed(f"{path}: there is no frame to write.")
    shape = _checked(first, first.shape).shape
    part = path.with_name(f"{path.stem}.part.mp4")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb"):  # a folder that may not be written to says so here, not in ffmpeg
            pass
    except OSError as error:
        raise InputError(f"{path}: cannot write there ({error.strerror}).") from error
    try:
        writer = _ffmpeg(part, shape[1] + shape[1] % 2, shape[0] + shape[0] % 2, fps)
        try:
            for frame in itertools.chain([first], incoming):
                writer.send(_even(_checked(frame, shape)))
        except OSError as error:
            raise RunFailed(f"{path}: ffmpeg failed: {error}") from error
        finally:
            writer.close()
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _ffmpeg(path: Path, width: int, height: int, fps: float) -> Generator[None, Any, None]:
    """ffmpeg, ready for frames."""
    try:
        import imageio_ffmpeg

        imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise MissingProgram(
            f'a video needs ffmpeg ({error}). Install it: pip install "veldt[video]".'
        ) from error
    writer: Generator[None, Any, None] = imageio_ffmpeg.write_frames(
        str(path),
        (width, height),
        fps=fps,
        codec="libx264",
        pix_fmt_out="yuv420p",
        quality=7,
        macro_block_size=2,
        ffmpeg_log_level="error",
        output_params=["-movflags", "+faststart"],
    )
    writer.send(None)
    return writer


def _checked(frame: Frame, shape: tuple[int, ...]) -> Frame:
    if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8 or 0 in frame.shape:
        raise RunFailed(
            f"a frame is {frame.dtype}{list(frame.shape)}; expected uint8[height, width, 3]."
        )
    if frame.shape != shape:
        raise RunFailed(f"a frame is {list(frame.shape)}, the first was {list(shape)}.")
    return frame


def _even(frame: Frame) -> Frame:
    """The frame, contiguous, with even height and width."""
    height, width, _ = frame.shape
    if height % 2 or width % 2:
        frame = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(frame)
