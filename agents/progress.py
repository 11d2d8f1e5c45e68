"""What a training counts, and what of it is shown, recorded, saved and summed up."""

import collections
import dataclasses
import time
from collections.abc import Mapping
from typing import Any

from veldt.platform.envs.atari_scores import scores_of

WINDOW = 100  # episodes in `mean_return`
COUNTERS = frozenset(  # of which a record shows what was added since the one before
    ("updates", "steps", "wall_seconds", "trajectories", "lag_sum")
    + ("trajectories_replayed", "replayed_lag_sum")
)


@dataclasses.dataclass
class Progress:
    """The counters of a run over all its sessions; plain values, saved in checkpoints."""

    updates: int = 0
    steps: int = 0
    frames: int = 0
    episodes: int = 0
    returns_sum: float = 0.0
    lag_sum: int = 0
    lag_max: int = 0
    trajectories: int = 0
    trajectories_begun: int = 0
    trajectories_dropped: int = 0
    actors_ended_at_work: int = 0
    trajectories_replayed: int = 0
    replayed_lag_sum: int = 0
    messages_rejected: int = 0
    connections_refused: int = 0
    hosts_lost: int = 0
    actor_restarts: int = 0
    actors_hung: int = 0
    actor_recovery_seconds_max: float = 0.0
    learner_restarts: int = 0
    wall_seconds: float = 0.0
    recent_returns: collections.deque[float] = dataclasses.field(
        default_factory=lambda: collections.deque(maxlen=WINDOW)
    )
    recent_lengths: collections.deque[int] = dataclasses.field(
        default_factory=lambda: collections.deque(maxlen=WINDOW)
    )

    task_returns: dict[str, list[float]] = dataclasses.field(default_factory=dict)
    """Of each of several tasks, those of the last 100 episodes"""
    task_episodes: dict[str, int] = dataclasses.field(default_factory=dict)

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {
            name: list(value) if isinstance(value, collections.deque) else value
            for name, value in vars(self).items()
        }

    @classmethod
    def restore(cls, state: dict[str, Any]) -> "Progress":
        progress = cls()
        for name, value in state.items():
            old = getattr(progress, name)
            if isinstance(old, collections.deque):
                old.extend(value)
            else:
                setattr(progress, name, value)
        return progress

    def count_trajectory(
        self, lag: int, episodes: list[tuple[float, int]], task: str = ""
    ) -> None:
        """A trajectory goes into an update.

        Args:
            lag: Updates between the weights that acted and those that learn.
            episodes: (return, steps) of each whole episode that ended in it.
            task: Which was played, if there are several.
        """
        self.trajectories += 1
        self.lag_sum += lag
        self.lag_max = max(self.lag_max, lag)
        for episode_return, steps in episodes:
            self.episodes += 1
            self.returns_sum += episode_return
            self.recent_returns.append(episode_return)
            self.recent_lengths.append(steps)
            if task:
                kept = self.task_returns.setdefault(task, [])
                kept.append(episode_return)
                del kept[:-WINDOW]
                self.task_episodes[task] = self.task_episodes.get(task, 0) + 1

    def count_replayed(self, lags: list[int]) -> None:
        """Trajectories go into an update once more; `lags`, in updates, as of fresh ones."""
        self.trajectories_replayed += len(lags)
        self.replayed_lag_sum += sum(lags)

    @property
    def mean_return(self) -> float | None:
        """Of the last 100 episodes, unclipped; None before the first has ended."""
        returns = self.recent_returns
        return sum(returns) / len(returns) if returns else None

    def tasks(self) -> dict[str, float]:
        """Each task's mean return of its last 100 episodes and its human-normalised score, where
        there is one, and their mean."""
        found: dict[str, float] = {}
        normalised = []
        for task, returns in sorted(self.task_returns.items()):
            found[f"mean_return/{task}"] = mean = sum(returns) / len(returns)
            found[f"episodes/{task}"] = self.task_episodes[task]
            if known := scores_of(task):
                found[f"normalised_score/{task}"] = known.normalised(mean)
                normalised.append(known.normalised(mean))
        if normalised:
            found["mean_normalised_score"] = sum(normalised) / len(normalised)
        return found

    def summary(self) -> dict[str, Any]:
        """The numbers of summary.json, of the whole run. `policy_lag_mean` is of fresh
        trajectories; `replayed_lag_mean` is there if some were replayed. Both in updates."""
        lengths, replayed = self.recent_lengths, self.trajectories_replayed
        older = {"replayed_lag_mean": self.replayed_lag_sum / replayed} if replayed else {}
        return {
            "steps": self.steps,
            "frames": self.frames,
            "updates": self.updates,
            "episodes": self.episodes,
            "mean_return": self.mean_return,
            "mean_return_all_episodes": (
                self.returns_sum / self.episodes if self.episodes else None
            ),
            "mean_length": sum(lengths) / len(lengths) if lengths else None,
            "wall_seconds": round(self.wall_seconds, 3),
            "steps_per_second": round(self.steps / max(self.wall_seconds, 1e-9), 1),
            "policy_lag_mean": self.lag_sum / self.trajectories if self.trajectories else 0.0,
            "policy_lag_max": self.lag_max,
            **older,
            "actor_restarts": self.actor_restarts,
            "actors_hung": self.actors_hung,
            "actors_ended_at_work": self.actors_ended_at_work,
            "actor_recovery_seconds_max": round(self.actor_recovery_seconds_max, 3),
            "learner_restarts": self.learner_restarts,
            "trajectories_replayed": replayed,
            "trajectories": self.trajectories,
            "trajectories_begun": self.trajectories_begun,
            "trajectories_dropped": self.trajectories_dropped,
            "messages_rejected": self.messages_rejected,
            "connections_refused": self.connections_refused,
            "hosts_lost": self.hosts_lost,
            **self.tasks(),
        }


class Recent:
    """Of what is recorded, that which is of the time since the record before: a mean over a long
    training hides what has changed in it.

    Args:
        progress: At the beginning of the session.
    """

    def __init__(self, progress: Progress) -> None:
        self._before = self._counters(progress, {}, {})

    def since(
        self, progress: Progress, actors: Mapping[str, float], learner: Mapping[str, float]
    ) -> dict[str, float]:
        """The numbers of the next record.

        Args:
            progress: As it is now, `wall_seconds` too.
            actors: Seconds of all actors in this session, by what they were at.
            learner: The same of the learner.

        Returns:
            Over `record_updates` updates: `steps_per_second`, `policy_lag_mean`,
            `replayed_lag_mean` if there were some, `actor_NAME_share`, `learner_NAME_share`, and
            of an update the milliseconds `learner_NAME_ms`.
        """
        now = self._counters(progress, actors, learner)
        done = {name: value - self._before.get(name, 0.0) for name, value in now.items()}
        self._before = now
        updates = max(done["updates"], 1)
        found = {
            "record_updates": done["updates"],
            "steps_per_second": round(done["steps"] / max(done["wall_seconds"], 1e-9), 1),
            "policy_lag_mean": done["lag_sum"] / max(done["trajectories"], 1),
        }
        if replayed := done["trajectories_replayed"]:
            found["replayed_lag_mean"] = done["replayed_lag_sum"] / replayed
        for who, names in (("actor", actors), ("learner", learner)):
            spent = {name: done[f"{who}/{name}"] for name in names}
            whole = max(sum(spent.values()), 1e-9)
            found |= {f"{who}_{name}_share": s / whole for name, s in spent.items()}
            if who == "learner":
                found |= {f"{who}_{name}_ms": 1e3 * s / updates for name, s in spent.items()}
        return found

    @staticmethod
    def _counters(
        progress: Progress, actors: Mapping[str, float], learner: Mapping[str, float]
    ) -> dict[str, float]:
        return {
            **{name: value for name, value in vars(progress).items() if name in COUNTERS},
            **{f"actor/{name}": seconds for name, seconds in actors.items()},
            **{f"learner/{name}": seconds for name, seconds in learner.items()},
        }


class Clock:
    """Adds the seconds of this session to those of the sessions before."""

    def __init__(self, before: float) -> None:
        self._before, self._begun = before, time.monotonic()
        self._ended: float | None = None

    def stop(self) -> None:
        """Whatever comes now is not counted."""
        self._ended = time.monotonic()

    def seconds(self) -> float:
        now = time.monotonic() if self._ended is None else self._ended
        return self._before + now - self._begun
