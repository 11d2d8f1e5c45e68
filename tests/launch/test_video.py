"""Videos, read back; and that an environment can be looked at without a screen."""

import os
import re
import subprocess
import sys
import weakref

import numpy as np
import pytest

from veldt.agents.build import environment_spec, make_agent
from veldt.agents.evaluate import EvaluationSettings, evaluate, film
from veldt.agents.settings import TrainSettings
from veldt.launch import video
from veldt.platform.envs import catalogue, rendering
from veldt.platform.envs.gymnasium_vector import GymnasiumVector
from veldt.platform.envs.rendering import renderer
from veldt.platform.envs.single import make_single
from veldt.platform.errors import InputError, MissingProgram, RunFailed, UnknownName
from veldt.platform.keys import Key

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg")


def frames(count, height, width):
    """Grey that brightens from left to right, and from frame to frame."""
    for i in range(count):
        frame = np.empty((height, width, 3), np.uint8)
        frame[:] = (60 + 4 * i + np.arange(width) * 60 // width)[None, :, None]
        yield frame


def read(path):
    """(frames per second, the frames [n, height, width, 3])"""
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    line = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path), *raw]
    done = subprocess.run(line, capture_output=True, check=True)
    told = done.stderr.decode()
    width, height = map(int, re.search(r"Video: h264.*?, (\d+)x(\d+)", told).groups())
    fps = float(re.search(r"([\d.]+) fps", told).group(1))
    return fps, np.frombuffer(done.stdout, np.uint8).reshape(-1, height, width, 3)


@pytest.mark.parametrize(
    ("height", "width", "fps"), [(48, 64, 20.0), (33, 47, 30.0), (34, 47, 12.5), (33, 48, 50.0)]
)
def test_what_was_recorded_can_be_read(tmp_path, height, width, fps):
    path = video.record(tmp_path / "new" / "film.mp4", frames(25, height, width), fps)
    assert path == tmp_path / "new" / "film.mp4"
    assert [file.name for file in path.parent.iterdir()] == ["film.mp4"]
    rate, found = read(path)
    assert rate == pytest.approx(fps)
    assert found.shape == (25, height + height % 2, width + width % 2, 3)
    for seen, frame in zip(found, frames(25, height, width), strict=True):
        difference = seen[:height, :width].astype(int) - frame
        assert np.abs(difference).max() <= 6  # the codec is lossy


def test_no_more_than_two_frames_are_alive(tmp_path):
    alive, most = weakref.WeakSet(), 0

    class Counted(np.ndarray):
        """An array that can be weakly referred to, and compared by identity."""

        __hash__ = object.__hash__

    def counted():
        nonlocal most
        for frame in frames(40, 32, 32):
            frame = frame.view(Counted)
            alive.add(frame)
            most = max(most, len(alive))
            yield frame
            del frame

    video.record(tmp_path / "film.mp4", counted(), 20)
    assert most <= 3  # the first, which gave the size; the last; the one being made


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        ([], "no frame"),
        ([np.zeros((4, 4, 3))], "float64"),
        ([np.zeros((4, 4, 4), np.uint8)], r"uint8\[4, 4, 4\]; expected"),
        ([np.zeros((16, 16, 3), np.uint8), np.zeros((16, 18, 3), np.uint8)], "the first was"),
    ],
)
def test_frames_that_make_no_video(tmp_path, stream, words):
    with pytest.raises(RunFailed, match=words):
        video.record(tmp_path / "film.mp4", stream, 20)
    assert list(tmp_path.iterdir()) == []


def test_a_failing_environment_leaves_no_half_a_video(tmp_path):
    (tmp_path / "film.mp4").write_text("the old one")

    def broken():
        yield from frames(3, 16, 16)
        raise ArithmeticError("unwell")

    with pytest.raises(ArithmeticError):
        video.record(tmp_path / "film.mp4", broken(), 20)
    assert [file.name for file in tmp_path.iterdir()] == ["film.mp4"]
    assert (tmp_path / "film.mp4").read_text() == "the old one"


def test_wrong_input(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"ends in \.mp4"):
        video.record(tmp_path / "film.gif", frames(2, 16, 16), 20)
    with pytest.raises(InputError, match="frames per second"):
        video.record(tmp_path / "film.mp4", frames(2, 16, 16), 0)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write there"):
        video.record(tmp_path / "file" / "film.mp4", frames(2, 16, 16), 20)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(MissingProgram, match=r'pip install "veldt\[video\]"'):
        video.record(tmp_path / "film.mp4", frames(2, 16, 16), 20)
    assert not (tmp_path / "film.mp4").exists()


# What draws runs in a process of its own: the choice of a backend outlives a test, and a
# viewer that could not be made says so again when it is collected.
LOOK = """
import sys
import numpy as np
from pathlib import Path
from veldt.launch.video import record
from veldt.platform.envs.rendering import renderer
from veldt.platform.envs.single import make_single
seen = renderer("HalfCheetah-v5", {"width": 96, "height": 64})
plain = make_single("HalfCheetah-v5", {})
actions = np.random.default_rng(0).uniform(-1, 1, (10, 6))
one, two = np.empty(seen.spec.observation_size), np.empty(plain.spec.observation_size)
seen.reset(7, one)
plain.reset(7, two)
def film():
    for action in actions:
        assert seen.step(action, one) == plain.step(action, two)
        assert one.tobytes() == two.tobytes()
        yield seen.render()
record(Path(sys.argv[1]), film(), seen.spec.frames_per_second)
seen.close()
"""


def python(program, *arguments, **environment):
    base = {k: v for k, v in os.environ.items() if k not in ("DISPLAY", "MUJOCO_GL")}
    base.pop("WAYLAND_DISPLAY", None)
    return subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)],
        env=base | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_a_robot_is_filmed_without_a_screen_and_moves_as_it_does_unseen(tmp_path):
    pytest.importorskip("mujoco")
    done = python(LOOK, tmp_path / "robot.mp4")
    if "cannot be drawn" in done.stderr:
        pytest.skip("this machine has no EGL")
    assert done.returncode == 0, done.stderr
    rate, found = read(tmp_path / "robot.mp4")
    assert rate == 20
    assert found.shape == (10, 64, 96, 3)
    assert found.std() > 20  # there is something in the picture
    assert np.abs(found[0].astype(int) - found[-1]).max() > 20  # and it moves


def test_what_cannot_draw_says_what_to_install():
    pytest.importorskip("mujoco")
    done = python(
        "from veldt.platform.envs.rendering import renderer\nrenderer('HalfCheetah-v5', {})",
        MUJOCO_GL="glfw",
    )
    assert done.returncode == 1
    assert "RunFailed: HalfCheetah-v5 cannot be drawn with MUJOCO_GL=glfw" in done.stderr
    assert "apt install libegl1" in done.stderr


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "egl"),
        ({"MUJOCO_GL": "osmesa"}, "osmesa"),
        ({"DISPLAY": ":0"}, None),
        ({"WAYLAND_DISPLAY": "wayland-0"}, None),
        ({"DISPLAY": ":0", "MUJOCO_GL": "egl"}, "egl"),
    ],
)
def test_the_backend_is_chosen_only_where_there_is_no_screen(monkeypatch, environment, expected):
    monkeypatch.setattr(rendering.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "MUJOCO_GL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    rendering.choose_backend()
    assert os.environ.get("MUJOCO_GL") == expected
    monkeypatch.setenv("MUJOCO_GL", "")  # so that what was set here is undone


class Drawn:
    """An environment of which nothing is known but what it draws."""

    def __init__(self, made, picture):
        self.spec, self._picture, self.closed = made.spec, picture, False
        made.close()

    def reset(self, seed, seen):
        pass

    def render(self):
        return self._picture

    def close(self):
        self.closed = True


@pytest.mark.parametrize(
    "picture", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3)), np.zeros((1, 8, 8, 3), np.uint8)]
)
def test_no_picture_is_refused_and_the_environment_closed(monkeypatch, picture):
    drawn = Drawn(make_single("CartPole-v1", {}), picture)
    monkeypatch.setattr(rendering, "make_single", lambda *args, **kwargs: drawn)
    monkeypatch.setattr(rendering, "choose_backend", lambda: None)
    with pytest.raises(RunFailed, match="no picture"):
        renderer("CartPole-v1", {})
    assert drawn.closed


def test_unknown_environments_are_told_as_everywhere(monkeypatch):
    monkeypatch.setattr(rendering, "choose_backend", lambda: None)
    with pytest.raises(UnknownName, match="CartPole"):
        renderer("CartPoll-v1", {})


@pytest.mark.parametrize(
    "environment, size, rate",
    [
        ({"id": "CartPole-v1"}, (400, 600), 50),
        ({"id": "atari/pong", "options": {"max_frames": 200}}, (210, 160), 15),
    ],
    ids=["gymnasium", "atari"],
)
def test_an_agent_is_filmed(tmp_path, environment, size, rate):
    """As many frames as its episode has steps; the same film from the same key."""
    train = TrainSettings.parse(
        {"environment": environment, "frames": 100, "agent": {"network": {"core": "gru"}}}
    )
    agent = make_agent(train, environment_spec(train))
    settings = EvaluationSettings(policy="greedy")
    frames, fps = film(agent, train, settings, Key(3))
    count, found = (
        len(list(frames)),
        evaluate(agent, train, EvaluationSettings(episodes=1), Key(3)),
    )
    assert fps == rate and count > 3 and (found.steps > 3)
    again, _ = film(agent, train, settings, Key(3))
    path = video.record(tmp_path / "film.mp4", again, fps)
    _, seen = read(path)
    assert seen.shape == (count, *size, 3)


class Plain(GymnasiumVector):
    """Takes no render_mode."""

    def __init__(self, name, size, *, limit=3):
        super().__init__("CartPole-v1", size)


def test_an_environment_without_a_picture_is_not_filmed(monkeypatch):
    monkeypatch.setattr(catalogue, "ENVIRONMENTS", {"plain": f"{__name__}:Plain"})
    with pytest.raises(InputError, match="plain cannot be drawn: it takes no render_mode"):
        rendering.make_filmed("plain", {})
