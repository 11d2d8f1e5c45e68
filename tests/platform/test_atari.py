"""AtariVector against the emulators' own vector, which knows of no lives and of no keys."""

import cv2
import numpy as np
import pytest
from ale_py.vector_env import AtariVectorEnv

from veldt.platform.envs.atari import PROTOCOLS, AtariVector, games
from veldt.platform.envs.vector import Episode
from veldt.platform.errors import EnvironmentFault, SettingsError, UnknownName
from veldt.platform.keys import Key

KEY = Key(5)


def emulators(game, size, max_frames=108_000, **options):
    """The library's vector, in which only the end of a game is an end, at its first frames."""
    vector = AtariVectorEnv(
        game,
        size,
        num_threads=1,
        max_num_frames_per_episode=max_frames,
        autoreset_mode="SameStep",
        reward_clipping=False,
        **{"use_fire_reset": False, "noop_max": 31} | options,
    )
    seeds = [KEY.child("episode", b, 0).integer() for b in range(size)]
    return vector, vector.reset(seed=np.array(seeds))[0]


@pytest.mark.parametrize(
    "game, size, steps, max_frames, least_games, has_lives",
    [
        ("breakout", 2, 500, 108_000, 3, True),
        ("qbert", 2, 700, 1_000, 4, True),  # ends by lives and by the cap
        ("pong", 1, 1_250, 108_000, 1, False),
    ],
)
def test_episodes_are_games(game, size, steps, max_frames, least_games, has_lives):
    vector = AtariVector(f"atari/{game}", size, max_frames=max_frames)
    reference, first = emulators(game, size, max_frames)
    assert (vector.reset(KEY) == first).all()
    returns, lengths = np.zeros(size), np.zeros(size, np.int64)
    played = lives_lost = again = 0
    generator = KEY.child("actions").generator()
    for _ in range(steps):
        action = generator.integers(vector.spec.actions.count, size=size)
        step = vector.step(action)
        observation, reward, over, cut, info = reference.step(action)
        while (none := info["episode_frame_number"] == 0).any():  # began without a no-op
            observation, info = reference.reset(options={"reset_mask": none})
            again += 1
        assert step.observation.tobytes() == observation.tobytes()
        assert step.reward.dtype == np.float32 and (step.reward == reward).all()
        returns, lengths = returns + reward, lengths + 1
        ended = np.flatnonzero(over | cut)
        assert step.episodes == tuple(Episode(b, returns[b], lengths[b]) for b in ended)
        assert step.terminated[over].all() and (step.truncated <= cut).all()
        assert (step.terminated | step.truncated)[ended].all()
        assert not (step.terminated & step.truncated).any()
        played += ended.size
        lives_lost += np.delete(step.terminated, ended).sum()
        returns[ended] = lengths[ended] = 0
    assert played >= least_games
    assert (lives_lost > 0) == has_lives and again > 0


def test_without_life_loss_only_games_end():
    vector = AtariVector("atari/breakout", 1, life_loss=False)
    vector.reset(KEY)
    steps = [vector.step(np.array([t % 4])) for t in range(200)]
    assert any(step.terminated[0] for step in steps)
    assert all(step.terminated[0] == bool(step.episodes) for step in steps)


def test_rewards_are_not_clipped():
    vector = AtariVector("atari/qbert", 2)
    vector.reset(KEY)
    generator = KEY.generator()
    rewards = [vector.step(generator.integers(6, size=2)).reward.max() for _ in range(100)]
    assert max(rewards) >= 25


def test_the_frame_cap_truncates_and_shows_the_last_frames():
    """The library's own cut shows a newest frame mixed with that of the step before."""
    size, steps = 2, 100
    vector = AtariVector("atari/space_invaders", size, max_frames=4 * steps)
    reference, _ = emulators("space_invaders", size)
    vector.reset(KEY)
    generator = KEY.child("actions").generator()
    for t in range(steps):
        action = generator.integers(6, size=size)
        step = vector.step(action)
        observation, *_ = reference.step(action)
        assert step.truncated.any() == (t == steps - 1)
    assert step.truncated.all() and not step.terminated.any()
    assert step.final_rows.tolist() == [0, 1]
    assert step.final_observation.tobytes() == observation.tobytes()
    assert (step.observation[:, :-1] == 0).all(), "a stack begins with zeros"
    assert [episode.steps for episode in step.episodes] == [steps, steps]


def test_a_life_lost_at_the_frame_cap_is_terminated():
    actions = np.arange(200)[:, None] % 4
    free = AtariVector("atari/breakout", 1)
    free.reset(KEY)
    lost = next(t for t, action in enumerate(actions) if free.step(action).terminated[0])
    vector = AtariVector("atari/breakout", 1, max_frames=4 * (lost + 1))
    vector.reset(KEY)
    for action in actions[: lost + 1]:
        step = vector.step(action)
    assert step.terminated[0] and not step.truncated[0]
    assert step.final_rows.size == 0 and step.final_observation.shape == (0, 4, 84, 84)
    assert [episode.steps for episode in step.episodes] == [lost + 1]


def test_a_game_that_ends_at_the_frame_cap_ends_once():
    actions = np.arange(200)[:, None] % 4
    reference, _ = emulators("breakout", 1)
    length, over = 0, [False]
    while not over[0]:
        observation, _, over, _, _ = reference.step(actions[length])
        length += 1
    vector = AtariVector("atari/breakout", 1, max_frames=4 * length)
    vector.reset(KEY)
    for action in actions[:length]:
        step = vector.step(action)
    assert step.terminated[0] and not step.truncated[0]
    assert [episode.steps for episode in step.episodes] == [length]
    assert step.observation.tobytes() == observation.tobytes(), "no second reset"


def test_what_it_says_of_itself():
    vector = AtariVector("atari/pong", 2)
    spec = vector.spec
    assert (spec.id, spec.frames_per_step) == ("atari/pong", 4)
    assert (spec.observations.shape, spec.observations.dtype) == ((4, 84, 84), "uint8")
    assert (spec.actions.kind, spec.actions.count) == ("discrete", 6)
    with pytest.raises(EnvironmentFault, match="reset this vector"):
        vector.step(np.zeros(2, np.int64))
    assert vector.reset(KEY).shape == (2, 4, 84, 84)
    for bad in ([0, 6], [-1, 0], [0]):
        with pytest.raises(EnvironmentFault, match="actions must"):
            vector.step(np.array(bad))
    vector.step(np.zeros(2, np.int32))
    vector.close()
    with pytest.raises(EnvironmentFault, match="closed"):
        vector.reset(KEY)


def test_options_reach_the_emulator():
    vector = AtariVector(
        "atari/breakout", 1, full_action_space=True, stack=2, frame_skip=3, noop_max=0
    )
    assert (vector.spec.actions.count, vector.spec.frames_per_step) == (18, 3)
    assert vector.reset(KEY).shape == (1, 2, 84, 84)

    def play(**options):
        sticky = AtariVector("atari/breakout", 1, **options)
        sticky.reset(KEY)
        return [sticky.step(np.array([1 + t % 3])).observation.tobytes() for t in range(40)]

    assert play(sticky=0.5) == play(sticky=0.5) != play()


def test_how_a_game_starts():
    starts = []
    for noop_max, theirs, fire in ((30, 31, True), (0, 0, True), (0, 0, False)):
        vector = AtariVector("atari/pong", 1, noop_max=noop_max, fire_reset=fire)
        _, first = emulators("pong", 1, noop_max=theirs, use_fire_reset=fire)
        starts.append(vector.reset(KEY).tobytes())
        assert starts[-1] == first.tobytes()
    assert len(set(starts)) == 3


def test_a_game_starts_with_at_least_one_noop_each_number_as_likely(monkeypatch):
    """Espeholt et al. 2018, section 5.3.2. With a cap of one step each step begins new games."""
    counted, plain = [], AtariVector._with_noops

    def counting(self, observation, info):
        observation, info = plain(self, observation, info)
        counted.append(info["episode_frame_number"].copy())
        return observation, info

    monkeypatch.setattr(AtariVector, "_with_noops", counting)
    vector = AtariVector("atari/breakout", 4, max_frames=4, noop_max=2)
    vector.reset(KEY)
    for _ in range(25):
        step = vector.step(np.zeros(4, np.int64))
        assert len(step.episodes) == 4 and all(e.steps == 1 for e in step.episodes)
    noops = np.concatenate(counted)
    assert set(noops.tolist()) == {1, 2} and abs(noops.mean() - 1.5) < 0.2  # 4 deviations
    assert PROTOCOLS["paper"].noop_max == 30 and PROTOCOLS["machado"].noop_max == 0


@pytest.mark.parametrize(
    "options",
    [
        {"threads": 0},
        {"sticky": 1.5},
        {"sticky": float("nan")},
        {"sticky": "often"},
        {"stack": 0},
        {"stack": True},
        {"frame_skip": 0},
        {"frame_skip": 4.0},
        {"max_frames": 0},
        {"noop_max": -1},
    ],
)
def test_options_out_of_range(options):
    with pytest.raises(SettingsError, match=f"atari/pong: {next(iter(options))} must be"):
        AtariVector("atari/pong", 1, **options)


def test_size_zero():
    with pytest.raises(SettingsError, match="size must be"):
        AtariVector("atari/pong", 0)


@pytest.mark.parametrize(
    "name, near",
    [("atari/pongg", "atari/pong"), ("atari/MsPacman", "atari/ms_pacman"), ("atari/", "atari/")],
)
def test_unknown_games_come_with_the_nearest(name, near):
    with pytest.raises(UnknownName, match=f"no '{name}'. Did you mean '{near}"):
        AtariVector(name, 1)


def test_games():
    assert {"pong", "breakout", "ms_pacman"} <= set(games())


def test_the_protocols_are_what_their_papers_say():
    paper, machado = (
        AtariVector("atari/breakout", 1, protocol=protocol) for protocol in ("paper", "machado")
    )
    assert paper.spec.actions.count == 4 and machado.spec.actions.count == 18
    twin = AtariVector(
        "atari/breakout", 1, life_loss=False, sticky=0.25, full_action_space=True, noop_max=0
    )
    first = machado.reset(KEY)
    assert (first == twin.reset(KEY)).all()
    ends, generator = {"paper": 0, "machado": 0}, KEY.child("sticky").generator()
    paper.reset(KEY)
    for _ in range(150):
        action = generator.integers(4, size=1)
        one, other = machado.step(action), twin.step(action)
        assert one.observation.tobytes() == other.observation.tobytes()
        assert one.terminated.sum() == len(one.episodes)
        lost = paper.step(action)
        ends["paper"] += int(lost.terminated.sum()) > len(lost.episodes)
    assert ends["paper"] > 0
    with pytest.raises(SettingsError, match="protocol must be one of paper, machado, got 'dqn'"):
        AtariVector("atari/breakout", 1, protocol="dqn")


def test_a_film_shows_the_very_games_that_are_played():
    """With sticky actions, lives lost and games cut: its colours, made grey, are what is seen."""
    options = {"sticky": 0.25, "max_frames": 240, "noop_max": 2}  # so that games begin twice
    plain = AtariVector("atari/breakout", 2, **options)
    filmed = AtariVector("atari/breakout", 2, render_mode="rgb_array", **options)
    assert (plain.reset(KEY) == filmed.reset(KEY)).all()
    generator, cut = KEY.child("film").generator(), 0
    for _ in range(150):
        action = generator.integers(4, size=2)
        one, other = plain.step(action), filmed.step(action)
        assert one.observation.tobytes() == other.observation.tobytes()
        cut += len(one.final_rows)
        frame = filmed.render()
        assert frame.shape == (210, 160, 3) and frame.dtype == np.uint8
        small = cv2.resize(frame, (84, 84), interpolation=cv2.INTER_AREA) @ [0.299, 0.587, 0.114]
        assert np.abs(small - other.observation[0, -1]).mean() < 2.0
    assert cut > 0
    with pytest.raises(SettingsError, match="render_mode must be rgb_array"):
        AtariVector("atari/breakout", 1, render_mode="human")
