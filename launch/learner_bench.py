"""How fast a learner alone is, from synthetic trajectories, and by what its device could do.

frames_per_second   of trajectories that are at hand; sent ahead to a GPU, as in a training
*_ms                of an update, stage by stage (agents/stopwatch.py)
copy_share          bytes of a batch a second on their way to the device, by a plain copy's
v_trace_share       of an update without the copying: what the targets take, as they are
                    computed there, minibatch by minibatch; 0 of agents that do not say
arithmetic_share    of the network's multiply-accumulates, three times those of a forward pass
                    and twice those of a torso's first layer, whose input needs no gradient; by
                    a matrix product's on the same device in the same precision; of an agent
                    that goes over a batch once
"""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import rich.table

from veldt.launch.console import Console, number
from veldt.platform.trajectory import Trajectory

if TYPE_CHECKING:
    from veldt.agents.learner import Learner
    from veldt.agents.settings import TrainSettings
    from veldt.agents.staging import Staged, Staging

UPDATE = ("forward", "v_trace", "backward", "step")
STAGES = ("stacking", "copying", *UPDATE, "publishing")


def learner(settings: "TrainSettings", seconds: float, console: Console) -> dict[str, Any]:
    """Learns for about `seconds` from the same synthetic trajectories.

    Raises:
        InputError: if the settings cannot be trained here.
    """
    from veldt.agents import device_speed
    from veldt.agents.build import (
        environment_spec,
        find_device,
        make_agent,
        make_learner,
        use_threads,
    )
    from veldt.agents.conformance import synthetic_unroll
    from veldt.agents.networks.cost import cost_of, learning_cost
    from veldt.agents.staging import Staging

    device, spec = find_device(settings.learner.device), environment_spec(settings)
    use_threads(settings.learner.threads)
    agent = make_agent(settings, spec)
    cost = cost_of(agent, spec)
    T, B = settings.actors.unroll_length, settings.actors.environments
    unrolls = [synthetic_unroll(agent, spec, T, B, seed) for seed in range(settings.learner.batch)]
    one = make_learner(settings, spec, agent, device)
    size = sum(array.nbytes for unroll in unrolls for array in unroll.arrays().values())
    console.say(f"{settings.agent.name} on {device}: {cost}")
    console.say("learning ...")
    rehearsal = Rehearsal(one, Staging(device), unrolls)
    updates, elapsed, each = rehearsal.measure(seconds)
    console.say("the device ...")
    low = device_speed.in_low_precision(agent, device)
    peak = device_speed.arithmetic(device, low, seconds / 4)
    copying = device_speed.copying(device, size, seconds / 4)
    moving = each["copying"] + each["stacking"]  # to the device, and side by side there
    steps = T * B * settings.learner.batch  # replayed ones too
    flops = 2 * learning_cost(agent, spec) * steps * (T + 1) / T
    return {
        "frames_per_second": steps * spec.frames_per_step * updates / elapsed,
        "steps_per_second": steps * updates / elapsed,
        "update_ms": 1e3 * elapsed / updates,
        **{f"{stage}_ms": 1e3 * spent for stage, spent in each.items()},
        "v_trace_share": each["v_trace"] / sum(each[stage] for stage in UPDATE),
        "batch_bytes": size,
        "copy_gbps": size / moving / 1e9,
        "device_copy_gbps": copying / 1e9,
        "copy_share": size / moving / copying,
        "gflops": flops / (each["forward"] + each["backward"]) / 1e9,
        "device_gflops": peak / 1e9,
        "arithmetic_share": flops / (each["forward"] + each["backward"]) / peak,
        "precision": "bfloat16" if low else "float32",
        "device": str(device),
        "threads": settings.learner.threads,
        "updates": updates,
    }


class Rehearsal:
    """Updates as a training makes them, of the same unrolls again and again.

    Args:
        learner: Whose.
        staging: Of its device, as the learner of a training has it; where that sends unrolls ahead
            while an update runs, so does this.
        unrolls: Of one update.
    """

    def __init__(
        self, learner: "Learner", staging: "Staging", unrolls: Sequence[Trajectory]
    ) -> None:
        self._learner, self._staging, self._unrolls = learner, staging, unrolls
        self._ahead: list[Staged] = []

    def update(self, ahead: bool = True) -> None:
        """One update, and its weights.

        Args:
            ahead: Send the next one's unrolls off during it, if that pays.
        """
        watch = self._learner.stopwatch
        watch.begin()
        parts = self._ahead or [self._staging.begin(unroll) for unroll in self._unrolls]
        self._ahead = []
        watch.lap("copying")
        batch = self._staging.batch(parts)
        watch.lap("stacking")
        self._learner.update(batch, 0, self._look_ahead if ahead else lambda: None)
        self._learner.weights()
        watch.lap("publishing")

    def _look_ahead(self) -> None:
        if self._staging.ahead and not self._ahead:
            self._ahead = [self._staging.begin(unroll) for unroll in self._unrolls]

    def measure(self, seconds: float) -> tuple[int, float, dict[str, float]]:
        """How many updates were made in how many seconds, and the seconds of each one's stages.

        Where a device computes by itself the stages are measured for as long again, with a wait
        after each, and nothing sent ahead.
        """
        from veldt.agents import device_speed
        from veldt.agents.stopwatch import Stopwatch

        learner, device = self._learner, self._learner.device
        self.update()
        learner.stopwatch.seconds.clear()
        device_speed.settle(device)
        updates, elapsed = _repeat(self.update, seconds, lambda: device_speed.settle(device))
        staged = updates
        if self._staging.ahead:
            learner.stopwatch = Stopwatch(lambda: device_speed.settle(device))
            self._ahead = []
            staged, _ = _repeat(lambda: self.update(ahead=False), seconds)
        return updates, elapsed, {s: learner.stopwatch.seconds[s] / staged for s in STAGES}


def _repeat(
    work: Callable[[], None], seconds: float, settle: Callable[[], None] = lambda: None
) -> tuple[int, float]:
    """How often it was done, and in how many seconds, until it was settled."""
    begun, times = time.perf_counter(), 0
    while time.perf_counter() - begun < seconds or not times:
        work()
        times += 1
    settle()
    return times, time.perf_counter() - begun


def show(result: dict[str, Any], console: Console) -> None:
    table = rich.table.Table(title=f"a learner on {result['device']}", title_justify="left")
    for column in ("", "value"):
        table.add_column(column, justify="right" if column else "left")
    for name, value in result.items():
        table.add_row(name, number(value) if isinstance(value, int | float) else str(value))
    console.say(table)
