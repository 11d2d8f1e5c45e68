"""The live table of a population search: what is printed, when, and under which title."""

import re

import pytest

from veldt.launch.console import Console
from veldt.launch.generation_table import COLUMNS, GenerationTable, line


def generation(number, **over):
    return {
        "kind": "metrics",
        "generation": number,
        "best_fitness": 4612.34567,
        "mean_fitness": -17.5,
        "episodes": 64 * number,
        "steps": 64_000 * number,
        "steps_per_second": 21345.6,
        "outside_share": 0.0512,
        "failed": 2,
    } | over


def evaluation(number, **over):
    return {
        "kind": "evaluation",
        "generation": number,
        "episodes": 64 * number,
        "steps": 64_000 * number,
        "mean_return": 3430.25,
        "standard_error": 12.5,
        "evaluation_episodes": 100,
    } | over


class Watch:
    """A clock that the test turns."""

    now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def watch():
    return Watch()


@pytest.fixture
def table(watch):
    return GenerationTable(Console(), clock=watch)


@pytest.fixture
def printed(capsys):
    def lines():
        return capsys.readouterr().out.splitlines()

    return lines


def test_a_header_once_and_a_line_for_each_generation(table, watch, printed):
    for number in (1, 2, 3):
        watch.now += 2.0
        table(generation(number))
    head, *rows = printed()
    assert re.split(r"\s{2,}", head.strip()) == list(COLUMNS)
    assert [row.split()[0] for row in rows] == ["1", "2", "3"]
    assert rows[2].split() == [
        *("3", "4612.3", "-17.5", "192", "192,000", "21,346", "5.1%", "2"),
    ]
    # The last digit of a number stands under the last letter of its title.
    for value, title in (("4612.3", "best"), ("192,000", "steps"), ("5.1%", "outside env")):
        assert rows[2].index(value) + len(value) == head.index(title) + len(title)


def test_fast_generations_print_at_most_one_line_a_second_and_always_the_last(
    table, watch, printed
):
    for number in range(1, 1001):
        watch.now += 0.01
        table(generation(number))
    rows = printed()[1:]
    assert 10 <= len(rows) <= 11
    table({"kind": "final", **{k: v for k, v in evaluation(600).items() if k != "kind"}})
    last, final = printed()
    assert last.split()[0] == "1,000"
    assert final == (
        "the centre of generation 600, on episodes that nothing was chosen by: "
        "3430.2 +- 12.5 (100)"
    )
    table.flush()
    assert printed() == []


def test_without_a_pause_every_generation_is_printed(watch, printed):
    table = GenerationTable(Console(), pause=0.0, clock=watch)
    for number in range(1, 51):
        table(generation(number))
    assert len(printed()) == 1 + 50


def test_an_evaluation_shares_the_line_of_its_generation_if_that_is_not_printed_yet(
    table, watch, printed
):
    table(generation(1))
    table(generation(2))  # too soon: held back
    table(evaluation(2))
    _, first, both = printed()
    assert first.split()[0] == "1"
    assert both.split() == [
        *("2", "4612.3", "-17.5", "128", "128,000", "21,346", "5.1%", "2"),
        *("3430.2", "+-", "12.5", "(100)"),
    ]
    watch.now += 5.0
    table(generation(3))
    table(evaluation(3))
    third, its_evaluation = printed()
    assert "+-" not in third
    assert its_evaluation.split() == ["3", "192", "192,000", "3430.2", "+-", "12.5", "(100)"]


def test_an_evaluation_does_not_take_up_another_generation(table, watch, printed):
    table(generation(1))
    table(generation(2))
    table(evaluation(1))
    assert printed()[-1].split()[:2] == ["1", "64"]


def test_what_is_unknown_is_a_dash_and_nothing_breaks(table, printed):
    bare = generation(1, best_fitness=None, mean_fitness=None)
    del bare["steps_per_second"], bare["outside_share"]
    table(bare)
    table(evaluation(1, mean_return=None, standard_error=None))
    _, row, failed = printed()
    assert row.split() == ["1", "-", "-", "64", "64,000", "-", "-", "2"]
    assert failed.split() == ["1", "64", "64,000", "failed"]
    table({"kind": "something new"})
    assert printed() == []


def test_deaths_and_resumption_are_told(table, printed):
    table({"kind": "resumed", "generation": 1234, "best_score": None})
    table({"kind": "lost", "lost_ranks": 2, "left": 3})
    assert printed() == [
        "going on after generation 1,234, best evaluation -",
        "2 rank(s) died so far; 3 left, which go on",
    ]


def test_lines_have_nothing_that_a_log_file_could_not_hold(table, watch, printed):
    for number in range(1, 4):
        watch.now += 2.0
        table(generation(number))
        table(evaluation(number))
    for text in printed():
        assert text.isascii() and text.isprintable() and text == text.rstrip()
    assert line({}) == ""
