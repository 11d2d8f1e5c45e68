"""Settings: what is wrong is said with its whole path and a way out."""

import pydantic
import pytest

from veldt.platform.errors import SettingsError
from veldt.platform.settings import Settings, merge, nested, override


class Inner(Settings):
    learning_rate: float = pydantic.Field(0.1, gt=0)
    epsilon: float = 1e-3


class Outer(Settings):
    optimizer: Inner = Inner()
    maybe: Inner | None = None
    steps: int = 1


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"optimizer": {"learning_rat": 1}}, r"optimizer.learning_rat: no such.*'learning_rate'"),
        ({"maybe": {"epsilom": 1}}, r"maybe.epsilom: no such.*'epsilon'"),
        ({"zzz": 1}, r"zzz: no such setting. Known here: maybe, optimizer, steps"),
        ({"optimizer": {"learning_rate": -1}}, r"optimizer.learning_rate: .*greater than 0.*-1"),
        ({"steps": "many"}, r"steps: .*integer.*'many'"),
        ({"optimizer": {"epsilon": float("nan")}}, r"optimizer.epsilon: .*finite"),
        ({"optimizer": 3}, r"optimizer: .*3"),
        (4, r"expected a table"),
    ],
)
def test_messages(data, message):
    with pytest.raises(SettingsError, match=message):
        Outer.parse(data)


def test_all_faults_are_listed():
    with pytest.raises(SettingsError) as caught:
        Outer.parse({"a": 1, "b": 2, "steps": "x"})
    assert len(str(caught.value).splitlines()) == 3


def test_frozen_and_round_trip():
    settings = Outer.parse({"optimizer": {"learning_rate": 0.5}})
    assert Outer.parse(settings.dump()) == settings
    with pytest.raises(pydantic.ValidationError):
        settings.steps = 2


def test_override_reads_toml_values():
    data = override({"a": {"b": 1, "c": 2}}, ["a.b=1e-3", "d=true", "e=text", 'f="1"', "g=[1, 2]"])
    assert override({}, ['s."a.b".low=1', "s.k = a b"]) == {"s": {"a.b": {"low": 1}, "k": "a b"}}
    assert data == {"a": {"b": 1e-3, "c": 2}, "d": True, "e": "text", "f": "1", "g": [1, 2]}


@pytest.mark.parametrize("assignment", ["a", "=1", "a..b=1", ".a=1"])
def test_override_refuses(assignment):
    with pytest.raises(SettingsError, match="key.sub=value"):
        override({}, [assignment])


def test_merge_changes_neither():
    base = {"a": {"b": 1}}
    assert merge(base, nested("a.c", 2)) == {"a": {"b": 1, "c": 2}}
    assert base == {"a": {"b": 1}}
