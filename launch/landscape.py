"""Records a landscape: what many settings of IMPALA come to, for searches to be compared on.

    python -P -m veldt.launch.landscape record OUT --environment cartpole
    mpirun -n 2 python -P -m veldt.launch.landscape record OUT --environment cartpole

Points are Sobol's, of a space so wide that most of them are bad; each is trained from several
seeds. A training is one process on one core: player and learner take turns, the player one
update behind, as in lockstep with one actor: the same bits each time, and no processes that come
and go 20 times. What is done is in OUT.parts, so that the same
command goes on after a kill; OUT is one small file with everything in it.
"""

import argparse
import math
import platform
import shutil
import time
from pathlib import Path
from typing import Any

import numpy as np

from veldt.agents.build import (
    environment_spec,
    find_device,
    make_agent,
    make_environments,
    make_learner,
    torch_features,
    use_threads,
)
from veldt.agents.evaluate import EvaluationSettings, evaluate
from veldt.agents.settings import TrainSettings
from veldt.launch import cookbook
from veldt.platform.errors import Diverged, InputError
from veldt.platform.keys import Key
from veldt.platform.ranks import Ranks, join
from veldt.platform.runs import code_version, read_json, write_json
from veldt.platform.settings import merge
from veldt.search.recording import Recording, save
from veldt.search.sobol import Sobol, SobolSettings
from veldt.search.space.space import Space

CHECKPOINTS = 20
EPISODES = 10  # of an evaluation
SPACE: dict[str, Any] = {
    "optimizer.learning_rate": {"kind": "log", "low": 1e-5, "high": 1.0},
    "optimizer.epsilon": {"kind": "log", "low": 1e-8, "high": 1.0},
    "agent.entropy_cost": {"kind": "log", "low": 1e-5, "high": 1.0},
    "agent.baseline_cost": {"kind": "log", "low": 1e-2, "high": 10.0},
    "agent.discount": {"kind": "real", "low": 0.7, "high": 0.9999},
    "actors.unroll_length": {"kind": "integer", "low": 4, "high": 64, "log": True},
}
FRAMES = {"cartpole": 100_000, "acrobot": 100_000}
OURS: dict[str, Any] = {
    "optimizer": {"anneal": False},  # what a training comes to does not depend on its end
    "actors": {"count": 1},
    "learner": {"batch": 1, "device": "cpu"},
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="veldt.launch.landscape", description=__doc__)
    parser.add_argument("command", choices=["record"])
    parser.add_argument("out", type=Path, help="the file, NAME.json.gz")
    parser.add_argument("--environment", choices=sorted(FRAMES), required=True)
    parser.add_argument("--configurations", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--frames", type=int, default=None, help="of a training")
    given = parser.parse_args()
    for name in ("configurations", "seeds", "frames"):
        if (value := getattr(given, name)) is not None and value < 1:
            parser.error(f"--{name} is {value}; it has to be 1 or more.")
    if (given.frames or CHECKPOINTS) < CHECKPOINTS:
        parser.error(f"--frames is {given.frames}, fewer than the {CHECKPOINTS} checkpoints.")
    ranks = join()
    try:
        record(given, ranks)
    except InputError as error:
        parser.error(str(error))
    ranks.leave()


def record(given: argparse.Namespace, ranks: Ranks) -> None:
    """This rank's share of the trainings; rank 0 puts all of them together."""
    out: Path = given.out
    if out.exists():
        raise InputError(f"{out} is there already.")
    train = merge(cookbook.load(given.environment, "train"), OURS)
    train["frames"] = given.frames or FRAMES[given.environment]
    points = sobol(given.configurations)
    meant = {"train": train, "space": SPACE, "points": points, "seeds": given.seeds}
    parts = out.with_name(f"{out.name}.parts")
    if ranks.rank == 0:
        parts.mkdir(parents=True, exist_ok=True)
        if not (parts / "meant.json").exists():
            write_json(parts / "meant.json", meant)
    ranks.gather(b"")
    if read_json(parts / "meant.json") != meant:
        raise InputError(f"{parts} is of a recording with other settings; delete it.")
    use_threads(1)
    tasks = [(seed, number) for seed in range(given.seeds) for number in range(len(points))]
    for seed, number in tasks[ranks.rank :: ranks.size]:
        ranks.receive(0.0)  # ends with its launcher
        part = parts / f"{number:04d}-{seed}.json"
        if not part.exists():
            bound = Space(SPACE).bind(train, points[number])
            found = curve(TrainSettings.parse(bound | {"seed": 1 + seed}))
            write_json(part, found)
            last = found["returns"][-1]
            print(f"{part.stem}  {found['seconds'][-1]:6.1f} s  return {last}", flush=True)
    ranks.gather(b"")
    if ranks.rank == 0:
        save(out, assembled(given.environment, meant, parts))
        shutil.rmtree(parts)


def sobol(count: int) -> list[dict[str, Any]]:
    """The points."""
    searcher = Sobol(SobolSettings(trials=count), Space(SPACE), Key(0).child("landscape"), None)
    return [searcher.point(number) for number in range(count)]


def assembled(environment: str, meant: dict[str, Any], parts: Path) -> Recording:
    """The recording, where every part is there."""
    frames: int = meant["train"]["frames"]
    curves: dict[str, list[list[list[Any]]]] = {
        name: [
            [
                read_json(parts / f"{number:04d}-{seed}.json")[name]
                for seed in range(meant["seeds"])
            ]
            for number in range(len(meant["points"]))
        ]
        for name in ("returns", "training_returns", "seconds")
    }
    return Recording(
        environment=environment,
        train=meant["train"],
        space=meant["space"],
        points=meant["points"],
        frames=[math.ceil(frames * (i + 1) / CHECKPOINTS) for i in range(CHECKPOINTS)],
        episodes=EPISODES,
        made_with={
            **code_version(),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "torch": torch_features()["torch"],
            "machine": platform.machine(),
        },
        **curves,
    )


def curve(settings: TrainSettings) -> dict[str, list[float | None]]:
    """One training: at each checkpoint the mean return of whole episodes, that of the training's
    episodes since the last one, and the seconds so far, evaluations apart.

    From where a training diverged on, there are no returns.
    """
    from veldt.agents.actor import Player
    from veldt.agents.staging import to_batch

    spec, key = environment_spec(settings), Key(settings.seed)
    environments = make_environments(settings, settings.actors.environments)
    agent = make_agent(settings, spec)
    cpu = find_device("cpu")
    learner = make_learner(settings, spec, agent, cpu)
    player = Player(agent, environments, settings.actors.unroll_length, key.child("actor", 0))
    found: dict[str, list[float | None]] = {"returns": [], "training_returns": [], "seconds": []}
    episodes: list[float] = []
    updates, seconds, begun = 0, 0.0, time.perf_counter()
    waiting, ended, _ = player.unroll(0, True)
    try:
        while len(found["returns"]) < CHECKPOINTS:
            next_one, more, _ = player.unroll(updates + 1, False)
            episodes += [value for value, _ in ended]
            learner.update(to_batch(waiting, cpu), updates)
            waiting, ended, updates = next_one, more, updates + 1
            done = updates * settings.frames_per_update(spec)
            while (place := len(found["returns"])) < CHECKPOINTS and done >= math.ceil(
                settings.frames * (place + 1) / CHECKPOINTS
            ):
                seconds += time.perf_counter() - begun
                scored = evaluate(
                    agent,
                    settings,
                    EvaluationSettings(episodes=EPISODES),
                    key.child("landscape", place),
                )
                found["returns"].append(round(sum(scored.returns) / EPISODES, 2))
                mean = round(sum(episodes) / len(episodes), 2) if episodes else None
                found["training_returns"].append(mean)
                found["seconds"].append(round(seconds, 2))
                episodes, begun = [], time.perf_counter()
    except Diverged:
        seconds += time.perf_counter() - begun
        for name, value in (("returns", None), ("training_returns", None), ("seconds", seconds)):
            rest = CHECKPOINTS - len(found[name])
            found[name] += [None if value is None else round(value, 2)] * rest
    finally:
        environments.close()
    return found


if __name__ == "__main__":
    main()
