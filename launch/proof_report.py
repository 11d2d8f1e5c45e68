"""The part of a search's report on how far its winner can be believed.

Intervals between trainings are Student's; of the episodes of one training, a bootstrap.
"""

from typing import Any

from veldt.launch.console import number
from veldt.launch.evaluation_report import histogram
from veldt.launch.intervals import interval_text
from veldt.launch.page import heading, paragraph, plural, table
from veldt.launch.replicates import Proof, Replicates, replicates, validations
from veldt.launch.trials import Trial, Trials
from veldt.platform.runs import differences
from veldt.search.settings import SearchSettings


def proof(best: Trial, trials: Trials, settings: SearchSettings) -> str:
    """The score the winner was chosen for beside what it came to on other seeds."""
    validated = validations(trials.view)
    tested = trials.tests
    mine = replicates(validated.get(best.number, []))
    test = replicates(tested)
    scored = [body for body in tested if body["score"] is not None]
    names = ["", settings.measure, "95 % interval", "from"]
    rows = [_single(f"score of trial {best.number}", best.evaluation)]
    kinds = [""]
    if mine.scores:
        rows.append(_several("on validation seeds", mine))
        kinds.append("")
    title = heading("Chosen and held out")
    if not scored:
        text = "It has not been trained again on a fresh seed yet: its score is partly luck."
        if trials.winner_reason:
            text = f"It could not be trained again on a fresh seed: {trials.winner_reason}"
        return title + table(names, rows, kinds=kinds) + paragraph(text)
    if len(scored) == 1:
        rows.append(_single("held out: trained again", scored[0]["evaluation"]))
    else:
        rows.append(_several("held out: trained again", test))
    mean = test.mean or 0.0
    kinds.append("best")
    if alike := not _apart(best, settings):
        rows.append(["difference", number((best.score or 0.0) - mean), None, None])
        kinds.append("")
    returns = [value for body in scored for value in _returns(body["evaluation"])]
    parts = [title]
    for first, end in ((0, len(rows)),) if alike else ((0, 1), (1, len(rows))):
        parts.append(table(names, rows[first:end], kinds=kinds[first:end]))
    parts.append(paragraph(_optimism(best, mine, test, trials, settings)))
    if returns:
        parts += [heading("Its held-out episodes"), histogram(returns, "heldout")]
    return "".join(parts)


def _apart(best: Trial, settings: SearchSettings) -> list[str]:
    """In what protocol the held-out evaluation is another than a trial's; nothing if it is the
    same, but perhaps of more episodes."""
    mine, held = settings.evaluation.policy, settings.heldout.evaluation.policy
    found = [f"policy: {mine} -> {held}"] if mine != held else []
    return found + [line for line in _changed(best, settings) if line.startswith("environment")]


def _changed(best: Trial, settings: SearchSettings) -> list[str]:
    """How the winner's held-out training differs from its own."""
    if not settings.train:
        return []
    point, heldout = best.point, settings.heldout.settings
    return differences(
        settings.work.settings(point, 0, {}), settings.work.settings(point, 0, heldout)
    )


def _single(name: str, evaluation: Proof) -> list[Any]:
    """A row of one training: the interval is over its episodes."""
    returns = _returns(evaluation)
    text = interval_text(returns) if returns else None
    source = f"{plural(len(returns), 'episode')} of one training" if returns else "one training"
    return [name, number(evaluation.get("mean_return")), text, source]


def _returns(evaluation: Proof) -> list[float]:
    """Of its episodes; nothing for a command, which scores itself."""
    return evaluation.get("returns", []) if evaluation.get("standard_error") is not None else []


def _several(name: str, found: Replicates) -> list[Any]:
    """A row of trainings on several seeds: the interval is over the seeds."""
    failed = f", {found.failed} failed" if found.failed else ""
    count = plural(len(found.scores), "training")
    return [name, number(found.mean), found.text, f"{count}{failed}"]


def _optimism(
    best: Trial, mine: Replicates, test: Replicates, trials: Trials, settings: SearchSettings
) -> str:
    heldout, count = settings.heldout, len(trials.scored)
    difference = (best.score or 0.0) - (test.mean or 0.0)
    text = f"Trial {best.number} was chosen among {plural(count, 'score')}, so its own, "
    text += f"{number(best.score)}, is partly luck. "
    if heldout.finalists > 1 and mine.scores:
        text += (
            f"The {heldout.finalists} best trials were trained again on validation seeds, up to "
            f"{heldout.validations} times each, and the highest mean won: {number(mine.mean)}, "
            "which is the highest of a few and so a little lucky too. "
        )
    text += (
        f"On {plural(len(test.scores), 'seed')} that nothing was chosen by it came to "
        f"{number(test.mean)}: "
    )
    several = len(test.scores) > 1
    if difference >= 0:
        text += f"the optimism of the selection is {number(difference)}"
    else:
        text += f"{number(-difference)} more than its score, which was bad luck"
    if several:
        text += ". The interval there is Student's, over trainings."
    else:
        text += ", from one training each."
        if settings.command is None:
            text += " The intervals cover chance in the episodes, not in the training."
    changed = _changed(best, settings)
    if different := _apart(best, settings):
        text += (
            f" It was evaluated under another protocol than the trials ({'; '.join(different)}): "
            "the two do not compare."
        )
    if changed:
        text += (
            f" The held-out training also differs by heldout.settings ({'; '.join(changed)}), so "
            "the difference holds the effect of that too."
        )
    return text


def border(summary: dict[str, Any] | None) -> str:
    """A warning that the winner lies at the border of what was searched in."""
    names = [str(name) for name in (summary or {}).get("at_border") or []]
    if not names:
        return ""
    return paragraph(
        f"At the border: {', '.join(names)}. The winner has there the lowest or the highest "
        "value that was searched in; a better one may lie beyond.",
        "state",
    )
