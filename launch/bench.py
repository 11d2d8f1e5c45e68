"""How fast a training runs on this machine, and how fast it could: its parts alone, then all.

    environments, inference    what an actor's time goes into, each alone in one process
    acting                     both, as an actor does it
    learning                   updates from unrolls that are at hand
    whole                      the actors and the learner of `veldt train`, together

Rates are of all that actors and learners can have: what the environments alone would do there,
and so on. What they allow the whole depends on what shares what: see throughput_limit.py.
"""

import contextlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import rich.table
from numpy.typing import NDArray

from veldt.launch import learner_bench, throughput_limit
from veldt.launch.console import Console
from veldt.launch.throughput_limit import Placement, Seconds
from veldt.platform.envs.vector import Step, VectorEnvironment, random_actions
from veldt.platform.errors import Interrupted, RunFailed
from veldt.platform.keys import Key
from veldt.platform.machine import usable_cores
from veldt.platform.tickets import Place
from veldt.platform.trajectory import Trajectory

if TYPE_CHECKING:
    from veldt.agents.actor import Player
    from veldt.agents.agent import Agent
    from veldt.agents.settings import TrainSettings

WARM_UP_S = 2.0  # of the whole, at most
LOOK_S = 0.5  # at what else this machine does
REPORTS = 20  # of the whole while it is measured, about

STAGES = tuple(stage for stage in learner_bench.STAGES if stage != "publishing")  # of an update
FOLLOWER = "veldt-followers"

RATES = {
    "env_only": "environments alone",
    "inference_only": "inference alone",
    "acting_only": "acting: these two, together",
    "learner_only": "learning alone",
    "end_to_end": "whole",
    "limit": "limit of the whole",
}


def throughput(settings: "TrainSettings", seconds: float, console: Console) -> dict[str, Any]:
    """Measures the parts and the whole, each for about `seconds`.

    Returns:
        Rates in environment steps a second, of `cores` cores, and of GPUs where there are some.
        Times in milliseconds: an
        actor's as in acting (environment with the actor's own book-keeping), the learner's as
        in learning; waiting is what the whole takes beyond them, for data, weights, or a core.

    Raises:
        InputError: if the settings cannot be trained here.
        RunFailed: if the whole comes to grief.
    """
    from veldt.agents.actor import Player
    from veldt.agents.build import find_device, make_agent, make_environments, use_threads
    from veldt.agents.inference import rehearsal
    from veldt.agents.train import RECORDS

    learners, central = settings.learner.count, settings.actors.inference == "central"
    device = find_device(settings.learner.device, Place(0, learners))
    actors, batch = settings.actors.count, settings.learner.batch
    length, size = settings.actors.unroll_length, settings.actors.environments
    key = Key(settings.seed).child("bench")
    others = psutil.cpu_percent(LOOK_S) / 100 * psutil.cpu_count()
    if others > 0.25:
        console.say(f"other work keeps {others:.1f} cores busy: expect low figures")
    environments = make_environments(settings, size)
    try:
        spec = environments.spec
        acts, agent = make_agent(settings, spec), make_agent(settings, spec)
        acts.only_acts()
        use_threads(1)  # as in an actor
        console.say("1/5  the environments alone ...")
        environment_s = _stepping(environments, length, key, seconds)
        console.say("2/5  inference alone ...")
        still = Player(acts, Still(environments, key), length, key)
        inference_s = _unrolls(still, seconds)["inference"]
        console.say("3/5  acting ...")
        player = Player(acts, environments, length, key)
        acting = _unrolls(player, seconds)
        trajectories = [player.unroll(n, False)[0] for n in range(batch // learners)]
    finally:
        environments.close()
    console.say("4/5  learning alone ...")
    use_threads(settings.learner.threads)
    if central:
        acts = make_agent(settings, spec)
        acts.network.to(device)
        acts.only_acts()
        answer = rehearsal(acts, spec, device, size * actors // learners)
        inference_s = length * _mean_s(answer, seconds)
    learning, stages = _learning(settings, agent, device, trajectories, seconds)

    # Steps; what is replayed is learnt from, and counted no more.
    unroll, update = length * size, settings.steps_per_update
    threads = settings.learner.threads
    placement = Placement(
        actors, learners, threads, usable_cores(), device.type == "cuda", central
    )
    parts = Seconds(environment_s, inference_s, learning["update"])
    rates = throughput_limit.rates(placement, parts, unroll, update)
    limit, formula = throughput_limit.limit(placement, rates, parts, unroll)
    cores = placement.cores
    rates["acting_only"] = cores * unroll / acting["unroll"]
    if central:  # what actors do not do
        acting |= {"inference": inference_s, "unroll": acting["environment"] + inference_s}
        rates["acting_only"] = rates["env_only"]
    console.say("5/5  the whole ...")
    # A run is reported RECORDS times: so long a one that it is seen often enough, not more.
    updates = RECORDS * max(1, round(limit * seconds / REPORTS / update))
    frames = updates * settings.frames_per_update(spec)
    rate, learner_cores, actor_cores = _whole(settings, frames, seconds)
    actor_ms, learner_ms = 1e3 * unroll * actors / rate, 1e3 * update / rate
    return {
        **rates,
        "end_to_end": rate,
        "limit": limit,
        "limit_formula": formula,
        "ratio_to_limit": rate / limit,
        "ratio_to_env": rate / rates["env_only"],
        "frames_per_step": spec.frames_per_step,
        "cores": cores,
        "actors": actors,
        "environments_per_actor": size,
        "unroll_length": length,
        "batch": batch,
        "learners": learners,
        "learner_threads": threads,
        "inference": settings.actors.inference,
        "device": str(device),
        "seconds": seconds,
        "cores_busy_before": others,
        "actor_unroll_ms": actor_ms,
        "actor_environment_ms": 1e3 * acting["environment"],
        "actor_inference_ms": 1e3 * acting["inference"],
        "actor_waiting_ms": max(0.0, actor_ms - 1e3 * acting["unroll"]),
        "actor_cores": actor_cores / actors,
        "learner_cycle_ms": learner_ms,
        "learner_update_ms": 1e3 * learning["update"],
        **{f"learner_{stage}_ms": 1e3 * spent for stage, spent in stages.items()},
        "learner_publish_ms": 1e3 * learning["publish"],
        "learner_waiting_ms": max(0.0, learner_ms - 1e3 * sum(learning.values())),
        "learner_cores": learner_cores / learners,
    }


def show(result: dict[str, Any], console: Console) -> None:
    """The rates, and where the time of an actor and of the learner goes."""
    rates = rich.table.Table(title="rates", title_justify="left")
    for column in ("", "steps/s", "frames/s"):
        rates.add_column(column, justify="right" if column else "left")
    for name, meaning in RATES.items():
        rate = result[name]
        rates.add_row(meaning, f"{rate:,.0f}", f"{rate * result['frames_per_step']:,.0f}")
    console.say(rates)
    console.say(
        f"ratio {result['ratio_to_limit']:.2f}: the whole by its limit "
        f"({result['ratio_to_env']:.2f} by the environments alone), on {result['cores']:g} cores "
        f"with {result['actors']} actors of {result['environments_per_actor']} environments, "
        f"unrolls of {result['unroll_length']} steps, {result['batch']} in an update"
    )
    for who, turn, parts in (
        ("actor", "unroll", ("environment", "inference", "waiting")),
        ("learner", "cycle", ("update", "publish", "waiting")),
    ):
        times = ", ".join(f"{part} {result[f'{who}_{part}_ms']:.1f}" for part in parts)
        total, busy = result[f"{who}_{turn}_ms"], result[f"{who}_cores"]
        console.say(f"{who}, ms per {turn}: {total:.1f}: {times}; keeps {busy:.2f} cores busy")
    stages = ", ".join(f"{stage} {result[f'learner_{stage}_ms']:.1f}" for stage in STAGES)
    console.say(f"learner's update, ms by stage: {stages}")
    console.say(f"limit: {result['limit_formula']}")
    share = result["learner_v_trace_ms"] / result["learner_update_ms"]
    console.say(f"V-trace in an update: {result['learner_v_trace_ms']:.2f} ms, {share:.2%}")


class Still:
    """Environments whose time stands still: what an unroll of theirs costs is inference.

    Args:
        environments: What they look like; these are reset.
    """

    def __init__(self, environments: VectorEnvironment, key: Key) -> None:
        self.spec, self.size = environments.spec, environments.size
        self._observation = environments.reset(key)
        never, none = np.zeros(self.size, np.bool_), np.empty(0, np.int64)
        reward = np.zeros(self.size, np.float32)
        finals = self._observation[:0]
        self._step = Step(self._observation, reward, never, never, none, finals, ())

    def reset(self, key: Key) -> NDArray[np.generic]:
        return self._observation

    def step(self, action: NDArray[np.generic]) -> Step:
        return self._step

    def close(self) -> None:
        pass


def _mean_s(work: Callable[[], Any], seconds: float) -> float:
    """Seconds that `work` takes, the mean over `seconds` after one that does not count."""
    work()
    begun, count = time.perf_counter(), 0
    while True:
        work()
        count += 1
        elapsed = time.perf_counter() - begun
        if elapsed >= seconds:
            return elapsed / count


def _stepping(environments: VectorEnvironment, length: int, key: Key, seconds: float) -> float:
    """Seconds for `length` steps of random actions."""
    generator = key.generator()
    actions = [
        random_actions(environments.spec.actions, environments.size, generator)
        for _ in range(length)
    ]
    environments.reset(key)

    def work() -> None:
        for action in actions:
            environments.step(action)

    return _mean_s(work, seconds)


def _unrolls(player: "Player", seconds: float) -> dict[str, float]:
    """Mean seconds of an unroll: environment, inference, and the whole of it as unroll."""
    parts: list[dict[str, float]] = []
    unroll = _mean_s(lambda: parts.append(player.unroll(len(parts), False)[2]), seconds)
    counted = parts[1:]
    means = {name: sum(part[name] for part in counted) / len(counted) for name in parts[0]}
    return means | {"unroll": unroll}


def _learning(
    settings: "TrainSettings",
    agent: "Agent",
    device: Any,
    unrolls: list[Trajectory],
    seconds: float,
) -> tuple[dict[str, float], dict[str, float]]:
    """Mean seconds of an update on the same unrolls, and of publishing the weights; and of the
    update's stages."""
    from veldt.agents.learner import Learner
    from veldt.agents.staging import Staging
    from veldt.platform.wire import Body

    # To descend for long on one batch may end in NaN; the step's size costs nothing.
    optimizer = settings.optimizer.model_copy(update={"learning_rate": 1e-12})
    threads = settings.learner.threads
    learner = Learner(agent, optimizer, device, 1, threads=(threads, threads))
    rehearsal = learner_bench.Rehearsal(learner, Staging(device), unrolls)
    updates, elapsed, each = rehearsal.measure(seconds)
    update_s = elapsed / updates - each["publishing"]
    publish_s = _mean_s(lambda: Body(learner.weights()), seconds / 10)
    times = {"update": update_s, "publish": publish_s}
    return times, {stage: each[stage] for stage in STAGES}


class Watch:
    """Follows a training by its reports; start-up and warm-up do not count."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._warm_up_s = seconds, min(WARM_UP_S, seconds / 2)
        self._learner = psutil.Process()
        self._actors: list[psutil.Process] = []
        self._learners = [self._learner]
        self._ready_s: float | None = None
        self._first: NDArray[np.float64] | None = None
        self._span: NDArray[np.float64] | None = None  # from the first moment to the last

    def report(self, record: dict[str, Any]) -> None:
        """Looks at the training: what it says, and the CPU time of its processes."""
        now_s = time.perf_counter()
        if self._ready_s is None:
            others = self._learner.children(recursive=True)
            self._actors = [each for each in others if _name(each) != FOLLOWER]
            self._learners += [each for each in others if _name(each) == FOLLOWER]
            self._ready_s = now_s
        if now_s - self._ready_s < self._warm_up_s:
            return
        learner_s, actors_s = (sum(map(_cpu_s, each)) for each in (self._learners, self._actors))
        moment = np.array([now_s, record["steps"], learner_s, actors_s])
        if self._first is None:
            self._first = moment
        else:
            self._span = moment - self._first

    def stop(self) -> bool:
        """Whether it was looked at for long enough."""
        return self._span is not None and bool(self._span[0] >= self._seconds)

    def rates(self) -> tuple[float, float, float]:
        """Steps a second, and the cores that the learner and all actors kept busy.

        Raises:
            RunFailed: if the training ended before there were any.
        """
        if self._span is None:
            raise RunFailed("the training ended before it could be measured; try more --seconds.")
        steps, learner, actors = (self._span[1:] / self._span[0]).tolist()
        return steps, learner, actors


def _cpu_s(process: psutil.Process) -> float:
    """Seconds of CPU time that a process has used; 0 if it is gone."""
    try:
        return float(sum(process.cpu_times()[:2]))
    except psutil.NoSuchProcess:
        return 0.0


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.NoSuchProcess:
        return ""


def _whole(settings: "TrainSettings", frames: int, seconds: float) -> tuple[float, float, float]:
    """Trains for `frames` at most, in a folder that is let go; see `Watch.rates`."""
    from veldt.agents.train import train

    watch = Watch(seconds)
    longer = settings.model_copy(update={"frames": frames})
    with tempfile.TemporaryDirectory(prefix="veldt-") as folder:
        with contextlib.suppress(Interrupted):
            train(longer, Path(folder), report=watch.report, stop=watch.stop)
    return watch.rates()
