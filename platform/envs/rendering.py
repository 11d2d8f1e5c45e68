"""An environment that can be looked at, on machines without a screen too.

MuJoCo draws by OpenGL. Where there is no display it has to be told to use EGL, which draws
into memory, on a GPU or (Mesa) without one.
"""

import contextlib
import os
import sys
from collections.abc import Mapping
from typing import Any

import gymnasium
import numpy as np

from veldt.platform.envs.single import Single, make_single
from veldt.platform.errors import MissingProgram, RunFailed, VeldtError


def renderer(name: str, options: Mapping[str, Any]) -> Single:
    """An environment whose `render` gives frames: the same bits as without.

    A frame has been drawn by the time it is returned, so that what cannot draw fails here.
    `spec.frames_per_second` is how fast its frames are to be played.

    Args:
        name: Of an environment of Gymnasium's.
        options: For `gymnasium.make`.

    Raises:
        RunFailed: if nothing can be drawn on this machine; it says what to install.
        UnsupportedSpace, UnknownName, SettingsError, MissingProgram: as `make_single`.
    """
    choose_backend()
    environment = make_single(name, options, render=True)
    try:
        environment.reset(0, np.empty(environment.spec.observation_size))
        frame = environment.render()
        if frame.ndim != 3 or frame.shape[2] != 3 or frame.dtype != np.uint8:
            raise RunFailed(
                f"{name}: render gives {frame.dtype}{list(frame.shape)}, no picture of "
                "uint8[height, width, 3]."
            )
    except VeldtError:
        environment.close()
        raise
    except gymnasium.error.DependencyNotInstalled as error:
        _drop(environment)
        raise MissingProgram(f"{name} cannot be drawn: {error}") from error
    except Exception as error:  # whatever OpenGL's bindings raise where there is none
        _drop(environment)
        raise RunFailed(
            f"{name} cannot be drawn with MUJOCO_GL={os.environ.get('MUJOCO_GL', '')} "
            f"({type(error).__name__}: {error}). Without a screen MuJoCo needs EGL "
            "(Debian: apt install libegl1 libgl1-mesa-dri, then MUJOCO_GL=egl) or OSMesa "
            "(apt install libosmesa6, then MUJOCO_GL=osmesa)."
        ) from error
    return environment


def choose_backend() -> None:
    """Has MuJoCo draw into memory where there is no screen and nobody chose otherwise."""
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform == "linux" and not screen:
        os.environ.setdefault("MUJOCO_GL", "egl")


def _drop(environment: Single) -> None:
    """Closes what could not draw: its viewer is half made, and its end would raise too."""
    with contextlib.suppress(Exception):
        environment.close()
