"""What a command says, and what is made of it."""

import json
import math

import pytest

from veldt.platform.errors import BrokenContract, InputError, SettingsError
from veldt.search.guest import Guest
from veldt.search.works import said
from veldt.search.works.placeholders import fill
from veldt.search.works.said import Said


def spoken(path, *lines):
    with path.open("a") as file:
        file.write(
            "".join(line if isinstance(line, str) else json.dumps(line) + "\n" for line in lines)
        )


def result(tmp_path, *lines, end=100, paused=False, before=()):
    path = tmp_path / "guest.jsonl"
    path.unlink(missing_ok=True)
    spoken(path, *before)
    one = Said(path)
    spoken(path, *lines)
    one.news(last=True)
    return one.result(end, paused)


def test_the_score_is_the_last_one_or_the_last_value(tmp_path):
    on_the_way = [{"steps": 50, "value": 1}, {"steps": 100, "value": 2.5, "loss": "mine"}]
    assert result(tmp_path, *on_the_way) == (100, 2.5)
    assert result(tmp_path, *on_the_way, {"score": 7}) == (100, 7.0)
    assert result(tmp_path, {"score": 7}) == (100, 7.0)
    assert result(tmp_path, {"steps": 104, "score": 7}) == (104, 7.0)
    assert result(tmp_path, '{"steps": 100, "score": 3}') == (100, 3.0)  # echo -n
    assert result(tmp_path, {"steps": 100, "score": 8}, {"steps": 100, "value": 1})[1] == 8.0
    assert result(tmp_path, {"steps": 40, "value": 2}, {"score": 1}, paused=True) == (40, 1.0)
    for word in ("nan", "NaN", "-nan", "Infinity", "-inf"):
        assert not math.isfinite(result(tmp_path, f'{{"score": {word}}}\n')[1])


def test_what_was_said_before_counts_only_if_nothing_was_left_to_do(tmp_path):
    assert result(tmp_path, before=[{"steps": 100, "value": 2}]) == (100, 2.0)
    with pytest.raises(BrokenContract, match="without having reported anything"):
        result(tmp_path, before=[{"steps": 99, "value": 2}])
    assert result(tmp_path, {"steps": 100, "value": 3}, before=[{"steps": 100, "value": 2}]) == (
        100,
        3.0,
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("accuracy 0.9", "cannot be read: 'accuracy 0.9'"),
        ("[1, 2]", "is no table"),
        ('{"steps": 1, "score": "good"}', "score is not a number"),
        ('{"steps": 1, "score": null}', "score is not a number"),
        ('{"steps": 1, "value": true}', "value is not a number"),
        ('{"value": 1}', "does not say its steps"),
        ('{"steps": 1.5, "value": 1}', "no whole number"),
        ('{"steps": -1, "value": 1}', "no whole number"),
    ],
)
def test_a_line_that_is_none_is_refused_with_what_was_expected(line, words):
    with pytest.raises(BrokenContract, match=words) as refused:
        said.parse(line)
    assert '{"steps": 1000, "value": 12.5}' in str(refused.value)


def test_an_end_that_is_none(tmp_path):
    with pytest.raises(BrokenContract, match="at 60 steps of 100"):
        result(tmp_path, {"steps": 60, "value": 1})
    with pytest.raises(BrokenContract, match="did not say where"):
        result(tmp_path, {"score": 1}, paused=True)
    assert result(tmp_path, {"steps": 60, "value": 1}, paused=True) == (60, 1.0)


def test_a_torn_last_line_is_taken_away_and_a_half_one_waited_for(tmp_path):
    path = tmp_path / "guest.jsonl"
    spoken(path, {"steps": 10, "value": 1}, '{"steps": 20, "va')
    one = Said(path)
    spoken(path, '{"steps": 20,')
    assert [line.steps for line in one.before] == [10] and one.news() == []
    spoken(path, ' "value": 2}\n{"steps": 30}\n')
    assert [(line.steps, line.value) for line in one.news()] == [(20, 2.0), (30, None)]
    spoken(path, {"steps": 15, "value": 9})  # an attempt that goes over it again
    assert said.curve(path) == [(10, 1.0), (15, 9.0)]


def test_placeholders():
    values = {
        "lr": 0.001,
        "on": True,
        "optimizer": {"name": "adam", "beta": [1, 2]},
        "text": "a b",
    }
    assert fill("--lr={lr} {on} {text}", values) == "--lr=0.001 true a b"
    assert fill("{optimizer.name} {optimizer.beta} ${{lr}}", values) == "adam [1, 2] ${lr}"
    shell = """awk '{print $1}' <<< '{"a": {"lr": 1}}' { } ${1} {"""
    assert fill(shell, values) == shell
    assert json.loads(fill("{optimizer}", values)) == values["optimizer"]
    with pytest.raises(SettingsError, match="Did you mean 'lr'"):
        fill("{lrr}", values)


def test_a_guest_outside_of_a_search_says_so():
    with pytest.raises(InputError, match="veldt check command"):
        Guest({})
