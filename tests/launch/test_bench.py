"""`veldt bench`: what it returns hangs together; how fast it was decides nothing."""

import types

import numpy as np
import pytest
import torch

from veldt.agents import inference
from veldt.agents.actor import Player
from veldt.agents.build import environment_spec, make_agent, make_environments
from veldt.agents.settings import TrainSettings
from veldt.agents.stopwatch import Stopwatch
from veldt.launch import bench, cookbook, throughput_limit, transport_bench
from veldt.launch.console import Console
from veldt.launch.learner_bench import Rehearsal
from veldt.launch.throughput_limit import SUM, Placement, Seconds, rates
from veldt.platform.channels.arrivals import Arrival
from veldt.platform.errors import RunFailed
from veldt.platform.keys import Key
from veldt.platform.trajectory import from_arrays

PARTS = ("env_only", "inference_only", "acting_only", "learner_only", "end_to_end", "limit")


def test_transport(veldt):
    result = veldt.summary("bench", "transport", "--seconds", 1)
    for way in ("shm", "ipc", "tcp", "curve"):
        ratio = result[f"{way}_gbps"] / result["memcpy_gbps"]
        assert result[f"{way}_ratio"] == pytest.approx(ratio) and ratio > 0
    assert result["unroll_bytes"] == (21 + 3) * 16 * 84 * 84 + 20 * 16 * (18 + 1) * 4
    done = veldt("bench", "transport", "cartpole")
    assert done.returncode == 2 and "takes no recipe" in done.stderr


def test_copies_are_of_as_many_processes_as_there_are_actors_and_add_up(monkeypatch):
    started, slept = [], []

    class Zygote:
        def spawn(self, target, argument):
            assert target == "veldt.launch.transport_bench:copy"
            started.append(argument)
            self._add(argument, 10)
            return self

        def _add(self, argument, size):
            counts = np.memmap(argument["done"], np.int64, "r+")
            counts[argument["process"]] += size

        def sleep(self, seconds):
            slept.append(seconds)
            for process, argument in enumerate(started):
                self._add(argument, 1000 * (process + 1))

        def signal(self, number):
            pass

        def wait(self, timeout_s):
            pass

    zygote, now = Zygote(), iter([100.0, 102.0])
    clock = types.SimpleNamespace(perf_counter=lambda: next(now), sleep=zygote.sleep)
    monkeypatch.setattr(transport_bench, "time", clock)
    assert transport_bench._copy(2.0, zygote) == (1000 + 2000) / 2.0
    assert [argument["process"] for argument in started] == [0, 1]
    assert len(started) == transport_bench.ACTORS and slept == [transport_bench.WARM_UP_S, 2.0]


def test_an_unroll_that_arrived_is_read_before_it_is_let_go():
    sent, place = transport_bench.unroll(), transport_bench.unroll()
    for array in place.values():
        array[:] = 0
    expected = {name: array.copy() for name, array in sent.items()}

    def release():
        for array in sent.values():
            array[:] = 1

    size = transport_bench.take_in(Arrival(None, sent, release), place)
    assert size == sum(array.nbytes for array in expected.values())
    for name, array in expected.items():
        np.testing.assert_array_equal(place[name], array)
    assert (sent["reward"] == 1).all()


def test_cartpole(veldt, capsys):
    small = ("--set", "actors.environments=4", "--set", "frames=1000")
    result = veldt.summary("bench", "throughput", "cartpole", "--seconds", 1, *small)
    rates = {name: result[name] for name in PARTS}
    assert all(rate > 0 for rate in rates.values())
    assert result["ratio_to_limit"] == pytest.approx(rates["end_to_end"] / rates["limit"])
    assert result["ratio_to_env"] == pytest.approx(rates["end_to_end"] / rates["env_only"])
    cost = sum(1 / rates[name] for name in ("env_only", "inference_only", "learner_only"))
    assert rates["limit"] == pytest.approx(1 / cost)
    assert 0 < result["cores"] <= result["actors"] + 1
    assert result["actors"] == 2 and result["environments_per_actor"] == 4
    assert result["unroll_length"] == 16 and result["batch"] == 2
    assert result["seconds"] == 1.0 and result["frames_per_step"] == 1
    acting_ms = result["actor_environment_ms"] + result["actor_inference_ms"]
    assert 0 < acting_ms <= 1e3 * 16 * 4 * result["cores"] / rates["acting_only"] * 1.001
    # Two actors, each making one of the two unrolls of an update.
    assert result["actor_unroll_ms"] == pytest.approx(result["learner_cycle_ms"])
    assert result["actor_unroll_ms"] == pytest.approx(1e3 * 16 * 4 * 2 / rates["end_to_end"])
    stages = [result[f"learner_{stage}_ms"] for stage in bench.STAGES]
    assert sum(stages) == pytest.approx(result["learner_update_ms"], rel=0.1)
    for name in (
        *(f"learner_{stage}_ms" for stage in ("stacking", "forward", "backward", "step")),
        "learner_update_ms",
        "learner_v_trace_ms",
        "learner_publish_ms",
        "learner_cores",
        "actor_cores",
    ):
        assert result[name] > 0
    assert result["actor_waiting_ms"] >= 0 and result["learner_waiting_ms"] >= 0
    assert not list(veldt.folder.iterdir())  # the run was elsewhere, and is gone
    bench.show(result, Console())
    shown = capsys.readouterr().out
    assert f"{rates['end_to_end']:,.0f}" in shown
    assert f"ratio {result['ratio_to_limit']:.2f}" in shown
    assert f"limit: {SUM}" in shown and f"forward {result['learner_forward_ms']:.1f}" in shown
    assert "waiting" in shown and "[" not in shown


@pytest.mark.parametrize(
    "arguments, words",
    [
        (["carpole"], "Did you mean 'cartpole'"),
        (["quickstart"], "veldt search"),
        (["--set", "network=deeep"], "Did you mean 'deep'"),
        (["--set", "env=atari/pongg"], "atari/pong"),
        (["cartpole", "--set", "agent.network.torso=deep"], "the deep torso takes uint8"),
        (["cartpole", "--seconds", "0.1"], "--seconds"),
    ],
)
def test_wrong_input(veldt, arguments, words):
    done = veldt("bench", "throughput", *arguments, "--json")
    assert done.returncode == 2 and done.stdout == ""
    assert words in done.stderr and "Traceback" not in done.stderr


SECONDS = Seconds(environment=0.1, inference=0.2, update=0.05)


@pytest.mark.parametrize(
    ("placement", "parts", "limit"),
    [
        # 10 steps an unroll, 20 an update; (environments, inference, learning)
        (
            Placement(2, 1, 1, 3.0, False, False),
            (300, 150, 1200),
            1 / (1 / 300 + 1 / 150 + 1 / 1200),
        ),
        (
            Placement(2, 1, 1, 2.0, False, False),
            (200, 100, 800),
            1 / (1 / 200 + 1 / 100 + 1 / 800),
        ),
        # Two learners do their parts at once, on two cores.
        (
            Placement(2, 2, 1, 8.0, False, False),
            (400, 200, 800),
            1 / (1 / 400 + 1 / 200 + 1 / 800),
        ),
        # A GPU learns what the cores act, or less.
        (Placement(8, 1, 1, 16.0, True, False), (800, 400, 400), 800 / 3),
        (Placement(32, 1, 1, 16.0, True, False), (1600, 800, 400), 400),
        # It infers, too: unrolls of 8 actors in 0.2 s.
        (Placement(8, 1, 1, 16.0, True, True), (800, 400, 400), 200),
        (Placement(1, 1, 1, 16.0, True, True), (100, 50, 400), 1 / (1 / 50 + 1 / 400)),
        # On a CPU one thread infers for both actors: 100 steps a second, whatever there is.
        (Placement(2, 1, 1, 3.0, False, True), (300, 300, 1200), 100),
        (Placement(2, 1, 1, 0.5, False, True), (50, 50, 200), 1 / (1 / 50 + 1 / 50 + 1 / 200)),
    ],
)
def test_the_limit_is_that_of_what_shares_what(placement, parts, limit):
    found = rates(placement, SECONDS, unroll=10, update=20)
    assert tuple(found.values()) == pytest.approx(parts)
    value, formula = throughput_limit.limit(placement, found, SECONDS, unroll=10)
    assert value == pytest.approx(limit) and "learning" in formula


def test_an_answer_to_all_actors_is_rehearsed():
    settings = TrainSettings.parse(cookbook.load("cartpole", "train"))
    spec = environment_spec(settings)
    asked = []

    class Watched(make_agent(settings, spec).__class__):
        def act(self, inputs, generator):
            asked.append(len(inputs.first))
            return super().act(inputs, generator)

    answer = inference.rehearsal(Watched(settings.agent, spec), spec, torch.device("cpu"), 24)
    answer()
    assert asked == [24]


def test_a_rehearsal_sends_ahead_as_a_training_does():
    done = []

    class Staging:
        def __init__(self, ahead):
            self.ahead = ahead

        def begin(self, unroll):
            done.append(f"begin {unroll}")
            return unroll

        def batch(self, parts):
            done.append(f"batch {parts}")

    class Learner:
        stopwatch, device = Stopwatch(), torch.device("cpu")

        def update(self, batch, number, meanwhile):
            for _ in range(2):  # of two minibatches
                meanwhile()
            done.append("update")

        def weights(self):
            done.append("weights")

    turn = ["batch [1, 2]", "begin 1", "begin 2", "update", "weights"]
    rehearsal = Rehearsal(Learner(), Staging(ahead=True), [1, 2])
    for _ in range(2):
        rehearsal.update()
    assert done == ["begin 1", "begin 2", *turn, *turn]
    done.clear()
    Rehearsal(Learner(), Staging(ahead=False), [1, 2]).update()
    assert done == ["begin 1", "begin 2", "batch [1, 2]", "update", "weights"]


def test_still_environments_make_a_valid_unroll():
    settings = TrainSettings.parse(cookbook.load("cartpole", "train"))
    environments = make_environments(settings, 3)
    still = bench.Still(environments, Key(0))
    agent = make_agent(settings, still.spec)
    trajectory, episodes, _ = Player(agent, still, 5, Key(0)).unroll(0, True)
    environments.close()
    assert from_arrays(trajectory.arrays(), still.spec).steps == 15
    assert (trajectory.observation == trajectory.observation[0]).all()
    assert not trajectory.terminated.any() and not episodes


def test_the_watch_counts_from_the_first_report_after_the_warm_up(monkeypatch):
    now = iter([100.0, 101.0, 102.0, 104.0])
    clock = types.SimpleNamespace(perf_counter=lambda: next(now))
    monkeypatch.setattr(bench, "time", clock)
    watch = bench.Watch(4.0)  # warms up for 2 s
    with pytest.raises(RunFailed, match="--seconds"):
        watch.rates()
    for steps in (50, 1000, 2000):
        watch.report({"steps": steps})
        assert not watch.stop()
    watch.report({"steps": 2600})
    assert not watch.stop()
    assert watch.rates()[0] == 300.0
    now = iter([106.0])
    watch.report({"steps": 3000})
    assert watch.stop() and watch.rates()[0] == 250.0


@pytest.mark.slow
def test_lives(veldt):
    few = ("strategy.pairs=2", "problem.tasks=2", "problem.life.updates=2", "problem.bootstrap=0")
    small = [part for setting in few for part in ("--set", setting)]
    lives = veldt.summary("bench", "lives", "--seconds", 1, *small)
    for way in ("process", "alone"):
        for size in (1, 2):
            ratio = lives[f"lives_steps_{size}"] / lives[f"{way}_steps_{size}"]
            assert 0.1 < lives[f"{way}_ratio_{size}"] / ratio < 10.0  # medians, and of ratios
    together = lives["lives_steps_2"] / (2 * lives["lives_steps_1"])
    assert 0.2 < lives["efficiency_2"] / together < 5.0  # a median of ratios, and of medians
    wrong = veldt("bench", "lives", "cma/sphere")
    assert wrong.returncode == 2 and "'lives'" in wrong.stderr


@pytest.mark.slow
def test_evolution(veldt):
    small = ("--set", "strategy.directions=4", "--set", "strategy.top=2")
    result = veldt.summary("bench", "evolution", "--seconds", 1, *small)
    for size in (1, 2):
        assert result[f"env_only_{size}"] > 0 and result[f"ars_{size}"] > 0
        assert result[f"ratio_{size}"] > 0
    expected = result["ars_2"] / (2 * result["ars_1"])
    assert result["efficiency_2"] == pytest.approx(expected)
    assert result["outside_env_share"] < 1
    # Rank 1 gets 16 bytes a pair and its tickets, rank 0 24 of each pair that it did not score.
    assert 0 < result["bytes_per_pair"] <= 24
    done = veldt("bench", "evolution", "cma/sphere", "--seconds", 1)
    assert done.returncode == 2 and "kind = 'episodes'" in done.stderr


def test_a_learner_alone(veldt):
    small = ("--set", "network=shallow", "--set", "actors.environments=2")
    result = veldt.summary("bench", "learner", "--seconds", 1, *small)
    stages = ("stacking", "copying", "forward", "v_trace", "backward", "step", "publishing")
    spent = sum(result[f"{stage}_ms"] for stage in stages)
    assert 0.7 * result["update_ms"] < spent <= 1.01 * result["update_ms"]
    whole = sum(result[f"{stage}_ms"] for stage in ("forward", "v_trace", "backward", "step"))
    assert result["v_trace_share"] == pytest.approx(result["v_trace_ms"] / whole) and whole > 0
    assert result["v_trace_ms"] > 0
    steps = 20 * 2  # of Pong's recipe, with 2 environments
    assert result["steps_per_second"] == pytest.approx(1e3 * steps / result["update_ms"])
    assert result["frames_per_second"] == pytest.approx(4 * result["steps_per_second"])
    assert result["device"] == "cpu" and result["precision"] in ("float32", "bfloat16")
    for share, ours, devices in (
        ("copy_share", "copy_gbps", "device_copy_gbps"),
        ("arithmetic_share", "gflops", "device_gflops"),
    ):
        assert result[share] == pytest.approx(result[ours] / result[devices]) and result[share] > 0


@pytest.mark.slow
def test_faults(veldt):
    result = veldt.summary("bench", "faults", "cartpole", "--seconds", 3, "--every", 0.7)
    assert 2 <= result["kills"] <= 4 and result["actor_restarts"] >= result["kills"] - 1
    assert result["updates_lost"] == 0 and result["shared_memory_left"] == []
    # Beside those at the deaths, at the end as many are under way as there are actors, and unrolls
    # that wait their turn.
    at_the_end = result["trajectories_dropped"] - result["actors_ended_at_work"]
    assert 0 <= at_the_end <= 2 * 2 + 2 and result["unrolls_unaccounted"] == 0
    assert result["actors_ended_at_work"] <= result["kills"]
    rates = result["disturbed_steps_per_second"] / result["undisturbed_steps_per_second"]
    assert result["ratio"] == pytest.approx(rates)
    assert result["learner_megabytes_early"] > 10 and result["learner_megabytes_late"] > 10
    assert abs(result["learner_megabytes_per_minute"]) < 10_000
