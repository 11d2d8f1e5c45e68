"""What a command says: lines of JSON in a file that it appends to.

{"steps": 2000, "value": 0.71}     how it goes; any other keys are the user's own
{"steps": 2000}                    it lives
{"steps": 2000, "score": 0.73}     what it came to; without steps: at the end
"""

import dataclasses
import json
import math
import re
from pathlib import Path
from typing import Any

from veldt.platform.errors import BrokenContract

EXPECTED = (
    'expected lines of JSON such as {"steps": 1000, "value": 12.5} on the way and '
    '{"score": 13.1} in the end, appended to the file that VELDT_REPORTS names'
)
_NAN = re.compile(r"(?<=[:\s])[+-]?(nan|inf|infinity)(?=[\s,}])", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class Line:
    """One of them."""

    steps: int | None
    value: float | None
    score: float | None

    @property
    def result(self) -> float | None:
        return self.value if self.score is None else self.score


class Said:
    """The file.

    A last line that was torn by a kill is taken away, so that the next one is whole.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        if path.exists():
            self._read = path.read_bytes().rfind(b"\n") + 1
            with path.open("r+b") as file:
                file.truncate(self._read)
        self.before = list(lines(path))
        """lines of earlier attempts and stretches"""
        self.now: list[Line] = []
        """lines of this one"""

    def news(self, last: bool = False) -> list[Line]:
        """Whole lines that were written since it was last asked.

        Args:
            last: There will be no more; one without an end is whole too.

        Raises:
            BrokenContract: if one is not what was expected.
        """
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        if not last:
            text = text[: text.rfind(b"\n") + 1]
        self._read += len(text)
        found = [parse(line) for line in text.decode(errors="replace").split("\n") if line.strip()]
        self.now += found
        return found

    def result(self, end: int, paused: bool) -> tuple[int, float]:
        """The steps it came to and its score, once it has ended well.

        Raises:
            BrokenContract: if it has not said so.
        """
        said = [line for line in self.now if line.result is not None]
        if not said:
            # One that was there already, and only its result was lost: nothing was left to do.
            before = [line for line in self.before if line.result is not None]
            said = [line for line in before if paused or (line.steps or 0) >= end][-1:]
        if not said:
            raise BrokenContract(f"it ended without having reported anything; {EXPECTED}.")
        chosen = next((x for x in reversed(said) if x.score is not None), said[-1])
        score = chosen.result
        assert score is not None
        steps = max(
            (line.steps for line in [*self.now, chosen] if line.steps is not None), default=None
        )
        if not math.isfinite(score):
            return steps or 0, score
        if not paused and chosen.score is not None and chosen.steps is None:
            return max(end, steps or 0), score
        if steps is None:
            raise BrokenContract(
                "it was paused and did not say where; expected the steps that its checkpoint "
                'has come to, as in {"steps": 1000, "score": 12.5}.'
            )
        if steps < end and not paused:
            raise BrokenContract(
                f"it ended with exit code 0 at {steps:,} steps of {end:,}, and had not been "
                "paused; expected it to go on to VELDT_STEPS, or, if it is to end early, to say "
                '{"score": ...} without steps.'
            )
        return steps, score


def lines(path: Path) -> list[Line]:
    """Whatever can be read of a file."""
    found = []
    for text in path.read_text(errors="replace").splitlines() if path.exists() else []:
        try:
            found.append(parse(text))
        except BrokenContract:
            continue
    return found


def curve(path: Path) -> list[tuple[int, float]]:
    """(steps, value), without what a later attempt went over again."""
    found: list[tuple[int, float]] = []
    for line in lines(path):
        if line.steps is None or line.result is None or not math.isfinite(line.result):
            continue
        while found and found[-1][0] >= line.steps:
            found.pop()
        found.append((line.steps, line.result))
    return found


def parse(text: str) -> Line:
    """A line.

    Raises:
        BrokenContract: if it is none.
    """
    try:
        # What C and others print is no JSON, and no reason to know nothing of it.
        body = json.loads(_NAN.sub(_spelt, text))
    except ValueError:
        raise BrokenContract(f"a report cannot be read: {_short(text)}; {EXPECTED}.") from None
    if not isinstance(body, dict):
        raise BrokenContract(f"a report is no table: {_short(text)}; {EXPECTED}.")
    steps, value = _number(body, "steps", text), _number(body, "value", text)
    score = _number(body, "score", text)
    if "score" in body and score is None:
        raise BrokenContract(f"a score is not a number: {_short(text)}; {EXPECTED}.")
    if steps is None and score is None:
        raise BrokenContract(f"a report does not say its steps: {_short(text)}; {EXPECTED}.")
    if steps is not None and not (math.isfinite(steps) and steps >= 0 and steps == int(steps)):
        raise BrokenContract(f"steps are no whole number: {_short(text)}; {EXPECTED}.")
    return Line(None if steps is None else int(steps), value, score)


def _number(body: dict[str, Any], name: str, text: str) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        what = {"score": "a score", "value": "a value", "steps": "steps"}[name]
        raise BrokenContract(f"{what} is not a number: {_short(text)}; {EXPECTED}.")
    return float(value)


def _spelt(match: re.Match[str]) -> str:
    word = match.group().lstrip("+").lower()
    sign = "-" if word.startswith("-") else ""
    return "NaN" if "nan" in word else f"{sign}Infinity"


def _short(text: str) -> str:
    return repr(text if len(text) <= 120 else f"{text[:120]}...")
