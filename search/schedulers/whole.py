"""Every trial to its end."""

from typing import Literal

from veldt.platform.settings import Settings
from veldt.search.schedulers.scheduler import Begin, Plan, Wish
from veldt.search.view import Trial, View


class WholeSettings(Settings):
    """There is nothing to choose."""

    name: Literal["whole"] = "whole"


class Whole:
    """A new trial for each worker that is free."""

    Settings = WholeSettings
    listens, forks = False, False

    def __init__(self, settings: WholeSettings, plan: Plan) -> None:
        self._frames = plan.frames

    def next(self, view: View, refused: bool) -> Wish | None:
        return None if refused else Begin(self._frames)

    def judge(self, view: View, trial: Trial) -> bool:
        return True
