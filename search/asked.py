"""How many questions a search's stages ask, and that its scheduler has room for them all."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from veldt.platform.errors import SettingsError
from veldt.platform.keys import Key
from veldt.platform.settings import Settings
from veldt.search.space.space import Space

if TYPE_CHECKING:  # which asks here
    from veldt.search.settings import SearchSettings


def asked(stages: Iterable[Settings], space: Space) -> int | None:
    """At most; None if a stage does not say."""
    total = 0
    for stage in stages:
        trials = questions(stage, space)
        if trials is None:
            return None
        total += trials
    return total


def questions(stage: Any, space: Space) -> int | None:
    """Of one stage, by its settings: they have `asks(space)`, or else `trials`."""
    asks = getattr(stage, "asks", None)
    found = getattr(stage, "trials", None) if asks is None else asks(space)
    return found if isinstance(found, int) else None


def left_out(settings: "SearchSettings") -> int:
    """How many of the stages' questions a population has no place for, that then goes on by
    itself; 0 where the scheduler has none, or a budget says where the search ends."""
    population = getattr(settings.scheduler, "population", None)
    total = asked(settings.stages, settings.searched)
    if population is None or total is None or settings.budget is not None:
        return 0
    return max(0, total - int(population))


def demand_room(settings: "SearchSettings") -> None:
    """Sees that what was asked for is tried; with a budget, that says where it ends.

    Raises:
        SettingsError: if the scheduler would end before the stages.
    """
    scheduler = settings.build_scheduler()(settings.scheduler, settings.plan(Key(0)))
    room = getattr(scheduler, "room", None)
    if room is None or settings.budget is not None:
        return
    total = asked(settings.stages, settings.searched)
    if total is not None and total > room:
        name = settings.scheduler.name  # type: ignore[attr-defined]
        raise SettingsError(
            f"scheduler: {name} has room for {room:,} trials, and the stages ask for {total:,}; "
            f"leave out how many it takes, and it takes them all, or ask for {room:,}."
        )
