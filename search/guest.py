"""A guest: a Python program of one's own that a search tunes, with [command].

    from veldt.search.guest import Guest

    guest = Guest()
    model, done = load(guest.folder) or begin(guest.seed, **guest.settings)
    while done < guest.steps:
        model, done = train(model), done + 100
        save(guest.folder, model, done)
        guest.report(done, accuracy(model))
        if guest.should_pause():
            break
    guest.score(accuracy(model), done)

It only reads variables and files (see `works/command.py`), from the standard library alone.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from veldt.platform.errors import InputError


class Guest:
    """The program's side of a trial.

    Args:
        environment: Where the variables are.

    Raises:
        InputError: if no search has started this program.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        if "VELDT_FOLDER" not in environment:
            raise InputError(
                "no search has started this program (VELDT_FOLDER is not set); to try it, "
                "`veldt check command RECIPE` starts it as a search does."
            )
        self.folder = Path(environment["VELDT_FOLDER"])
        """its own, where its checkpoint lives"""
        self.steps = int(environment["VELDT_STEPS"])
        """how far to go, what is in the folder included"""
        self.total_steps = int(environment["VELDT_TOTAL_STEPS"])
        """how far a whole trial goes"""
        self.seed = int(environment["VELDT_SEED"])
        self.trial = environment["VELDT_TRIAL"]
        self.settings: dict[str, Any] = json.loads(Path(environment["VELDT_SETTINGS"]).read_text())
        self._reports, self._pause = environment["VELDT_REPORTS"], environment["VELDT_PAUSE"]

    def report(self, steps: int, value: float | None = None) -> None:
        """Says how it goes, once its checkpoint is written; without a value, that it lives."""
        self._say({"steps": int(steps), "value": None if value is None else float(value)})

    def score(self, score: float, steps: int | None = None) -> None:
        """Says what it came to; without `steps`, at the end."""
        place = {} if steps is None else {"steps": int(steps)}
        self._say(place | {"score": float(score)})

    def should_pause(self) -> bool:
        """Whether it should write its checkpoint, say its score and end with exit code 0."""
        return os.path.exists(self._pause)

    def _say(self, line: dict[str, Any]) -> None:
        with open(self._reports, "a") as file:
            file.write(json.dumps(line) + "\n")
