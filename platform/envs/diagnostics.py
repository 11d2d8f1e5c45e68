"""Two small environments that show whether an agent learns at all, and whether it remembers.

Registered with Gymnasium as "veldt/Catch-v0" and "veldt/TMaze-v0".
"""

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

Observation = NDArray[np.float32]
Stepped = tuple[Observation, float, bool, bool, dict[str, Any]]

NAMESPACE = "veldt"
PIXELS = 24  # of a cell in a picture


class Catch(gymnasium.Env[Observation, np.int64]):
    """A ball falls from the top row, a paddle on the bottom row is to be under it.

    Osband et al. 2020, "Behaviour suite for reinforcement learning", arXiv:1908.03568. Shown:
    the board, float32 [rows, columns], 1 at the ball and at the paddle. Actions: left, stay,
    right. The one reward comes with the end of the episode, rows - 1 steps after its start:
    1 if the ball is caught, else -1.

    Args:
        rows: At least 2.
        columns: At least 1.
        render_mode: "rgb_array", or None.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}

    def __init__(self, rows: int = 10, columns: int = 5, render_mode: str | None = None) -> None:
        if rows < 2 or columns < 1:
            raise ValueError(f"a board of {rows} rows and {columns} columns is too small")
        self.render_mode = render_mode
        self.observation_space = spaces.Box(0.0, 1.0, (rows, columns), np.float32)
        self.action_space = spaces.Discrete(3)
        self._rows, self._columns = rows, columns
        self._row = self._column = self._paddle = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        self._row, self._column = 0, int(self.np_random.integers(self._columns))
        self._paddle = self._columns // 2
        return self._board(), {}

    def step(self, action: np.int64) -> Stepped:
        self._paddle = min(max(self._paddle + int(action) - 1, 0), self._columns - 1)
        self._row += 1
        ended = self._row == self._rows - 1
        caught = 1.0 if self._paddle == self._column else -1.0
        return self._board(), caught if ended else 0.0, ended, False, {}

    def _board(self) -> Observation:
        board = np.zeros((self._rows, self._columns), np.float32)
        board[self._row, self._column] = board[-1, self._paddle] = 1.0
        return board

    def render(self) -> NDArray[np.uint8]:
        return _picture(255 * self._board())


class TMaze(gymnasium.Env[Observation, np.int64]):
    """A sign at the start of a corridor says which way to turn at its far end.

    Bakker 2002, "Reinforcement learning with long short-term memory", section 4. Shown, as
    float32 [3]: (0, 1, 1) at the start if the goal is to the north, (1, 1, 0) if it is to the
    south, (1, 0, 1) in the corridor, (0, 1, 0) at the junction. Actions: north, east, south,
    west. A turn at the junction ends the episode, with 4 at the goal and -0.1 on the other
    side; a step into a wall costs 0.1. Without memory nothing beats going east and guessing:
    1.95 on average.

    Args:
        length: Steps from the start to the junction, at least 1.
        render_mode: "rgb_array", or None.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 5}
    NORTH, EAST, SOUTH, WEST = range(4)
    GOAL, WALL = 4.0, -0.1

    def __init__(self, length: int = 10, render_mode: str | None = None) -> None:
        if length < 1:
            raise ValueError(f"a corridor of length {length} is too short")
        self.render_mode = render_mode
        self.observation_space = spaces.Box(0.0, 1.0, (3,), np.float32)
        self.action_space = spaces.Discrete(4)
        self._length = length
        self._place, self._goal = 0, self.NORTH

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        super().reset(seed=seed)
        self._place = 0
        self._goal = self.NORTH if self.np_random.integers(2) else self.SOUTH
        return self._seen(), {}

    def step(self, action: np.int64) -> Stepped:
        junction = self._place == self._length
        if action in (self.NORTH, self.SOUTH) and junction:
            return self._seen(), self.GOAL if action == self._goal else self.WALL, True, False, {}
        towards = {self.EAST: 1, self.WEST: -1}.get(int(action), 0)
        place = min(max(self._place + towards, 0), self._length)
        hit, self._place = place == self._place, place
        return self._seen(), self.WALL if hit else 0.0, False, False, {}

    def _seen(self) -> Observation:
        if self._place == self._length:
            return np.array([0, 1, 0], np.float32)
        if self._place > 0:
            return np.array([1, 0, 1], np.float32)
        return np.array([0, 1, 1] if self._goal == self.NORTH else [1, 1, 0], np.float32)

    def render(self) -> NDArray[np.uint8]:
        maze = np.zeros((3, self._length + 1), np.uint8)
        maze[1] = maze[:, -1] = 80
        maze[0 if self._goal == self.NORTH else 2, -1] = 160
        maze[1, self._place] = 255
        return _picture(maze)


def _picture(cells: NDArray[Any]) -> NDArray[np.uint8]:
    """Cells of 0 to 255 as a picture, uint8 [H, W, 3]."""
    large = np.kron(cells, np.ones((PIXELS, PIXELS))).astype(np.uint8)
    return np.repeat(large[..., None], 3, axis=2)


gymnasium.register(f"{NAMESPACE}/Catch-v0", f"{__name__}:Catch")
gymnasium.register(f"{NAMESPACE}/TMaze-v0", f"{__name__}:TMaze", max_episode_steps=200)
