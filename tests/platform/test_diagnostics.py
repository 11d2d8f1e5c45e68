"""Catch and the T-maze: their rules, literally, and what can be had without memory."""

import gymnasium
import numpy as np
import pytest

from veldt.platform.envs import catalogue, diagnostics


def play(environment, choose, episodes):
    """The returns of whole episodes; `choose` is given what is seen."""
    returns = []
    for episode in range(episodes):
        seen, _ = environment.reset(seed=episode)
        total, ended = 0.0, False
        while not ended:
            seen, reward, terminated, truncated, _ = environment.step(choose(seen))
            total, ended = total + reward, terminated or truncated
        returns.append(total)
    return returns


def test_a_ball_is_caught_by_who_looks_at_it():
    def follow(board):
        ball = int(np.flatnonzero(board[:-1].max(0))[0])
        paddle = int(np.flatnonzero(board[-1])[0])
        return 1 + np.sign(ball - paddle)

    environment = diagnostics.Catch()
    assert play(environment, follow, 50) == [1.0] * 50
    stays = play(environment, lambda board: 1, 1000)
    assert set(stays) == {1.0, -1.0} and np.mean(stays) == pytest.approx(-0.6, abs=0.1)
    seen, _ = environment.reset(seed=0)
    assert seen.shape == (10, 5) and seen.sum() == 2 and seen[0].sum() == seen[-1, 2] == 1
    for step in range(1, 10):
        seen, reward, terminated, *_ = environment.step(0)
        assert terminated == (step == 9) and (reward != 0) == terminated
    with pytest.raises(ValueError, match="too small"):
        diagnostics.Catch(rows=1)


def test_the_sign_says_where_the_goal_is():
    environment = diagnostics.TMaze(length=4)
    for turn, sign in ((environment.NORTH, [0, 1, 1]), (environment.SOUTH, [1, 1, 0])):
        seed = next(s for s in range(99) if environment.reset(seed=s)[0].tolist() == sign)
        seen, _ = environment.reset(seed=seed)
        for place in range(1, 5):
            seen, reward, ended, *_ = environment.step(environment.EAST)
            assert reward == 0 and not ended
            assert seen.tolist() == ([1, 0, 1] if place < 4 else [0, 1, 0])
        assert environment.step(environment.EAST)[1:3] == (-0.1, False)  # into the wall
        assert environment.step(turn)[1:3] == (4.0, True)
        environment.reset(seed=seed)
        assert environment.step(turn)[1:3] == (-0.1, False)  # there is no way there yet
        for _ in range(4):
            environment.step(environment.EAST)
        assert environment.step(2 - turn)[1:3] == (-0.1, True)


def test_without_memory_half_the_goals_are_missed():
    def blind(seen):
        return diagnostics.TMaze.NORTH if seen.tolist() == [0, 1, 0] else diagnostics.TMaze.EAST

    assert np.mean(play(diagnostics.TMaze(), blind, 1000)) == pytest.approx(1.95, abs=0.15)


def test_both_are_known_by_name_and_can_be_filmed():
    assert {"veldt/Catch-v0", "veldt/TMaze-v0"} <= set(catalogue.names())
    for name, rows, columns in (("veldt/Catch-v0", 10, 5), ("veldt/TMaze-v0", 3, 11)):
        environment = gymnasium.make(name, render_mode="rgb_array")
        environment.reset(seed=0)
        picture = environment.render()
        assert picture.dtype == np.uint8
        assert picture.shape == (rows * diagnostics.PIXELS, columns * diagnostics.PIXELS, 3)
        environment.close()
