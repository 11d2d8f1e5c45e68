"""What a training counts, and what of it is shown, recorded, saved and summed up."""

import collections
import dataclasses
import time
from typing import Any

WINDOW = 100  # episodes in `mean_return`


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
    trajectories_dropped: int = 0
    messages_rejected: int = 0
    actor_restarts: int = 0
    actor_recovery_seconds_max: float = 0.0
    wall_seconds: float = 0.0
    recent_returns: collections.deque[float] = dataclasses.field(
        default_factory=lambda: collections.deque(maxlen=WINDOW)
    )
    recent_lengths: collections.deque[int] = dataclasses.field(
        default_factory=lambda: collections.deque(maxlen=WINDOW)
    )

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

    def count_trajectory(self, lag: int, episodes: list[tuple[float, int]]) -> None:
        """A trajectory goes into an update.

        Args:
            lag: Updates between the weights that acted and those that learn.
            episodes: (return, steps) of each whole episode that ended in it.
        """
        self.trajectories += 1
        self.lag_sum += lag
        self.lag_max = max(self.lag_max, lag)
        for episode_return, steps in episodes:
            self.episodes += 1
            self.returns_sum += episode_return
            self.recent_returns.append(episode_return)
            self.recent_lengths.append(steps)

    @property
    def mean_return(self) -> float | None:
        """Of the last 100 episodes, unclipped; None before the first has ended."""
        returns = self.recent_returns
        return sum(returns) / len(returns) if returns else None

    def summary(self) -> dict[str, Any]:
        """The numbers of summary.json."""
        lengths = self.recent_lengths
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
            "actor_restarts": self.actor_restarts,
            "actor_recovery_seconds_max": round(self.actor_recovery_seconds_max, 3),
            "trajectories_dropped": self.trajectories_dropped,
            "messages_rejected": self.messages_rejected,
        }


class Clock:
    """Adds the seconds of this session to those of the sessions before."""

    def __init__(self, before: float) -> None:
        self._before, self._begun = before, time.monotonic()

    def seconds(self) -> float:
        return self._before + time.monotonic() - self._begun
