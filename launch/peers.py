"""Our recipes beside stable-baselines3's PPO and A2C, as a table: `launch/results.sh` runs it.

    pip install stable-baselines3
    python -m veldt.launch.peers FOLDER

Each environment is learnt on the same seeds in the same number of steps. What is compared is the
steps and the seconds of learning, without imports, until the mean return of the last 100
episodes is at the threshold. Stable-baselines3 has the settings of its own zoo (rl-baselines3-zoo,
hyperparams/*.yml); where the zoo has none, those of a neighbour, see `PEERS`. A rate that the zoo
has fall to 0 falls over the zoo's own number of steps, `n_timesteps`, however long it trains here;
there it would learn nothing more, so it stays at a twentieth of the first from then on. Who is at
the threshold stops. What is there already is not run again.
"""

import collections
import contextlib
import functools
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats

from veldt.agents.progress import WINDOW
from veldt.agents.settings import TrainSettings
from veldt.agents.train import train
from veldt.launch import cookbook
from veldt.launch.console import Console
from veldt.launch.training_results import SOLVED, crossing
from veldt.platform.errors import Interrupted
from veldt.platform.runs import read_json, write_json

SEEDS = range(21, 26)  # settings of ours were tried out on others
STEPS = {"cartpole": 300_000, "acrobot": 300_000, "inverted-pendulum": 300_000, "catch": 100_000}
IDS = {
    "cartpole": "CartPole-v1",
    "acrobot": "Acrobot-v1",
    "inverted-pendulum": "InvertedPendulum-v5",
    "catch": "veldt.platform.envs.diagnostics:veldt/Catch-v0",
}
OURS = {name: name for name in STEPS} | {"cartpole": "cartpole-ppo", "catch": "catch-ppo"}
LEAST = 0.05  # of the first, what a falling rate stays at
CARTPOLE_PPO: dict[str, Any] = {
    "n_timesteps": 100_000,
    **{"n_envs": 8, "n_steps": 32, "batch_size": 256, "gae_lambda": 0.8, "gamma": 0.98},
    **{"n_epochs": 20, "ent_coef": 0.0, "learning_rate": "0.001", "clip_range": "0.2"},
}
PEERS: dict[str, dict[str, dict[str, Any]]] = {
    "ppo": {
        "cartpole": CARTPOLE_PPO,
        "catch": CARTPOLE_PPO,  # not in the zoo
        "acrobot": {
            **{"normalize": True, "n_envs": 16, "n_steps": 256, "gae_lambda": 0.94},
            **{"gamma": 0.99, "n_epochs": 4, "ent_coef": 0.0},
        },
        "inverted-pendulum": {
            **{"normalize": True, "n_envs": 1, "n_steps": 32, "batch_size": 64, "gamma": 0.999},
            **{"learning_rate": 0.000222425, "ent_coef": 1.37976e-07, "clip_range": 0.4},
            **{"n_epochs": 5, "gae_lambda": 0.9, "max_grad_norm": 0.3, "vf_coef": 0.19816},
        },
    },
    "a2c": {
        "cartpole": {"n_envs": 8, "ent_coef": 0.0},
        "catch": {"n_envs": 8, "ent_coef": 0.0},  # not in the zoo
        "acrobot": {"normalize": True, "n_envs": 16, "ent_coef": 0.0},
        "inverted-pendulum": {"normalize": True, "n_envs": 8, "ent_coef": 0.0},  # not in the zoo
    },
}
CONTENDERS = ("veldt", *PEERS)
NOTE = (
    "Stable-baselines3 (SB3) has the settings of its zoo, a neighbour's where that has none. On "
    "CartPole-v1 and Catch-v0 PPO's learning rate and clip range fall over "
    f"{CARTPOLE_PPO['n_timesteps']:,} steps, as in the zoo; not to 0, but to {LEAST:.0%} of the "
    "first, where they stay."
)


def ours(name: str, seed: int) -> dict[str, Any]:
    """A training of our recipe, in this process and its actors."""
    data = cookbook.load(OURS[name], "train", [f"frames={STEPS[name]}"], seed=seed)
    found: dict[str, Any] = {}

    def watch(record: dict[str, Any]) -> None:
        found.update(found or crossing([record], SOLVED[name]))

    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(Interrupted):
        train(TrainSettings.parse(data), Path(folder), report=watch, stop=lambda: bool(found))
    return {"steps": found.get("steps"), "seconds": found.get("wall_seconds")}


def theirs(agent: str, name: str, seed: int) -> dict[str, Any]:
    """A training of stable-baselines3, in this process; the agent is "ppo" or "a2c"."""
    import stable_baselines3
    from stable_baselines3.common.env_util import make_vec_env
    from stable_baselines3.common.vec_env import VecNormalize

    settings = dict(PEERS[agent][name])
    over = settings.pop("n_timesteps", STEPS[name])
    environments: Any = make_vec_env(IDS[name], settings.pop("n_envs"), seed=seed)
    if settings.pop("normalize", False):
        environments = VecNormalize(environments, gamma=settings.get("gamma", 0.99))
    for key, value in settings.items():
        if isinstance(value, str):  # it falls
            settings[key] = falling(float(value), over, STEPS[name])

    returns: collections.deque[float] = collections.deque(maxlen=WINDOW)
    found: dict[str, Any] = {"steps": None, "seconds": None}

    def go_on(seen: dict[str, Any], _: dict[str, Any]) -> bool:
        """Called after each step of all environments."""
        returns.extend(float(info["episode"]["r"]) for info in seen["infos"] if "episode" in info)
        if len(returns) < WINDOW or np.mean(returns) < SOLVED[name]:
            return True
        steps = seen["self"].num_timesteps
        found.update({"steps": steps, "seconds": time.perf_counter() - begun})
        return False

    model = getattr(stable_baselines3, agent.upper())(
        "MlpPolicy", environments, seed=seed, device="cpu", **settings
    )
    begun = time.perf_counter()
    model.learn(STEPS[name], callback=go_on)
    return found


def falling(first: float, over: int, steps: int) -> Callable[[float], float]:
    """A schedule of stable-baselines3: falls to `LEAST` of the first value, and stays there.

    Args:
        first: At the beginning.
        over: Steps in which it would fall to 0, evenly.
        steps: Of the whole training; the schedule is asked with the share of them that is left.
    """
    return lambda left: first * max(1 - (1 - left) * steps / over, LEAST)


def median_of(values: Sequence[float | None]) -> tuple[float, str]:
    """The median with its 95 % bootstrap interval in words; None counts as infinity."""
    known = np.array([np.inf if value is None else value for value in values], float)
    with np.errstate(invalid="ignore"):
        found = scipy.stats.bootstrap(
            (known,),
            lambda x, axis: np.quantile(x, 0.5, axis=axis, method="inverted_cdf"),
            n_resamples=4000,
            method="percentile",
            rng=np.random.default_rng(0),
        ).confidence_interval
    middle = float(np.quantile(known, 0.5, method="inverted_cdf"))
    low, high = (_text(float(bound)) for bound in found)
    return middle, f"{_text(middle)} ({low} to {high})"


def _text(value: float) -> str:
    if not np.isfinite(value):
        return "never"
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def table(results: dict[tuple[str, str], list[dict[str, Any]]]) -> str:
    """The comparison as Markdown; a row for each environment and contender, and `NOTE`."""
    lines = [
        "| environment | threshold | learner | reached | median steps to it | median seconds "
        "| steps, by ours | seconds, by ours |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name in STEPS:
        base: tuple[float, float] | None = None
        for contender in CONTENDERS:
            found = results.get((name, contender))
            if not found:
                continue
            steps, steps_text = median_of([one["steps"] for one in found])
            seconds, seconds_text = median_of([one["seconds"] for one in found])
            reached = sum(one["steps"] is not None for one in found)
            base = base or (steps, seconds)
            ratios = [
                f"{mine / our:.1f}" if np.isfinite(mine) and np.isfinite(our) else "-"
                for mine, our in zip((steps, seconds), base, strict=True)
            ]
            who = (
                f"`veldt train {OURS[name]}`"
                if contender == "veldt"
                else f"SB3 {contender.upper()}"
            )
            lines.append(
                f"| {IDS[name].rpartition(':')[2]} | {SOLVED[name]:g} | {who} "
                f"| {reached} of {len(found)} | {steps_text} | {seconds_text} "
                f"| {ratios[0]} | {ratios[1]} |"
            )
    return "\n".join([*lines, "", NOTE])


def main(folder: Path) -> None:
    """Runs what is missing, and writes the table."""
    console, results = Console(), collections.defaultdict(list)
    folder.mkdir(parents=True, exist_ok=True)
    for name in STEPS:
        for seed in SEEDS:  # in turns, so that a slow hour is everybody's
            for contender in CONTENDERS:
                file = folder / f"{name}-{contender}-{seed}.json"
                if not file.exists():
                    line = [sys.executable, "-P", "-m", "veldt.launch.peers"]
                    done = subprocess.run(
                        [*line, contender, name, str(seed)], stdout=subprocess.PIPE, check=True
                    )
                    found = json.loads(done.stdout.splitlines()[-1])
                    write_json(file, found)
                    console.say(f"{file.stem}: {found}")
                results[name, contender].append(read_json(file))
    text = table(results)
    (folder / "table.md").write_text(text + "\n")
    console.say(text)


if __name__ == "__main__":
    if len(sys.argv) == 2:
        main(Path(sys.argv[1]))
    else:
        who, environment, number = sys.argv[1:]
        run = ours if who == "veldt" else functools.partial(theirs, who)
        print(json.dumps(run(environment, int(number))))
