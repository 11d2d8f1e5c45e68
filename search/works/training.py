"""What a trial does: the training of an agent of ours."""

from typing import Any, ClassVar

from veldt.agents.settings import TrainSettings
from veldt.platform.errors import SettingsError
from veldt.platform.settings import merge
from veldt.search.space.space import Point, Space


class Training:
    """The work of a search with [train].

    Args:
        recipe: Raw settings of a training.
        space: What is searched: settings of it, by path.
    """

    kind: ClassVar[str] = "training"

    def __init__(self, recipe: dict[str, Any], space: Space) -> None:
        self._recipe, self._space = recipe, space

    @property
    def frames(self) -> int:
        return TrainSettings.parse(self._recipe).frames

    @property
    def title(self) -> str:
        (_, environment), (_, agent) = self.facts
        return f"{agent} on {environment}"

    @property
    def facts(self) -> list[tuple[str, str]]:
        train = self.settings_of(self._space.corners()[0], 0)
        return [("environment", train.environment.label), ("agent", train.agent.name)]

    def check(self, over: dict[str, Any], forks: bool) -> None:
        self._try(None, {}, "train")
        corners = self._space.corners()
        for point in corners:
            self._try(point, {}, "space")
        self._try(corners[0], over, "heldout.settings")
        if forks:
            first, *others = [_inherited(self.settings_of(point, 0)) for point in corners]
            differing = {name for other in others for name in first if other[name] != first[name]}
            if differing:
                raise ValueError(
                    f"space: {', '.join(sorted(differing))} cannot be searched by a scheduler "
                    "whose trials go on from others' checkpoints"
                )

    def _try(self, point: Point | None, over: dict[str, Any], part: str) -> None:
        try:
            self.settings_of(point, 0, over)
        except SettingsError as error:
            lines = "\n".join(f"{part}: {line}" for line in str(error).splitlines())
            raise SettingsError(lines) from None

    def demand(self) -> None:
        pass

    def demand_longer(self, point: Point, frames: int) -> None:
        self.settings_of(point, 0, {"frames": frames}).demand_horizon(self.frames)

    def length(self, over: dict[str, Any]) -> int:
        return int(over.get("frames", self.frames))

    def settings(self, point: Point, seed: int, over: dict[str, Any]) -> dict[str, Any]:
        return self.settings_of(point, seed, over).dump()

    def settings_of(
        self, point: Point | None, seed: int, over: dict[str, Any] | None = None
    ) -> TrainSettings:
        """The training that a point stands for; None: what all trials have in common."""
        bound = self._recipe if point is None else self._space.bind(self._recipe, point)
        return TrainSettings.parse(merge(bound, (over or {}) | {"seed": seed}))


def _inherited(settings: TrainSettings) -> dict[str, Any]:
    """What trials have in common of which one begins with another's checkpoint."""
    return {
        "environment": settings.environment,
        "agent.name": settings.agent.name,
        "agent.network": getattr(settings.agent, "network", None),
        "optimizer.name": settings.optimizer.name,
        "frames": settings.frames,
        "steps of an update": settings.steps_per_update,
        "learner.checkpoint_updates": settings.learner.checkpoint_updates,
    }
