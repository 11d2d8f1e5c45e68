"""An environment that can be looked at, on machines without a screen too.

MuJoCo draws by OpenGL. Where there is no display it has to be told to use EGL, which draws
into memory, on a GPU or (Mesa) without one.
"""

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import gymnasium
import numpy as np

from veldt.platform.envs import catalogue
from veldt.platform.envs.single import Single, make_single
from veldt.platform.envs.vector import FilmedEnvironment
from veldt.platform.errors import InputError, MissingProgram, RunFailed, SettingsError, VeldtError
from veldt.platform.keys import Key


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
    with _drawing(name, environment.close):
        environment.reset(0, np.empty(environment.spec.observation_size))
        _check(name, environment.render())
    return environment


def make_filmed(name: str, options: Mapping[str, Any]) -> FilmedEnvironment:
    """A vector of one environment that can be looked at; the same bits as without.

    Args:
        name: As for `catalogue.make`.
        options: As for `catalogue.make`.

    Raises:
        InputError: if this environment cannot be drawn.
        RunFailed: as `renderer`; whatever `catalogue.make` raises.
    """
    choose_backend()
    options = {**options, "render_mode": "rgb_array"}
    try:
        environments: Any = catalogue.make(name, 1, options)
    except SettingsError as error:
        if "render_mode" not in str(error):
            raise
        raise InputError(f"{name} cannot be drawn: it takes no render_mode.") from error
    with _drawing(name, environments.close):
        environments.reset(Key(0))
        _check(name, environments.render())
    filmed: FilmedEnvironment = environments
    return filmed


def _check(name: str, frame: Any) -> None:
    array = np.asarray(frame)
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8:
        raise RunFailed(
            f"{name}: render gives {array.dtype}{list(array.shape)}, no picture of "
            "uint8[height, width, 3]."
        )


@contextlib.contextmanager
def _drawing(name: str, close: Callable[[], None]) -> Iterator[None]:
    """Whatever prevents the first frame, in words; the environment is let go."""
    try:
        yield
    except VeldtError:
        close()
        raise
    except gymnasium.error.DependencyNotInstalled as error:
        _drop(close)
        raise MissingProgram(f"{name} cannot be drawn: {error}") from error
    except Exception as error:  # whatever OpenGL's bindings raise where there is none
        _drop(close)
        raise RunFailed(
            f"{name} cannot be drawn with MUJOCO_GL={os.environ.get('MUJOCO_GL', '')} "
            f"({type(error).__name__}: {error}). Without a screen MuJoCo needs EGL "
            "(Debian: apt install libegl1 libgl1-mesa-dri, then MUJOCO_GL=egl) or OSMesa "
            "(apt install libosmesa6, then MUJOCO_GL=osmesa)."
        ) from error


def choose_backend() -> None:
    """Has MuJoCo and pygame draw into memory where there is no screen, unless told otherwise."""
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform == "linux" and not screen:
        os.environ.setdefault("MUJOCO_GL", "egl")
        os.environ.setdefault("SDL_VIDEODRIVER", "dummy")  # pygame's, of the classic control tasks


def _drop(close: Callable[[], None]) -> None:
    """Closes what could not draw: its viewer is half made, and its end would raise too."""
    with contextlib.suppress(Exception):
        close()
