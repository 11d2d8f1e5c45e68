"""The numbers on a report: intervals, and the axes of searched settings."""

import pytest

from veldt.launch.intervals import interval
from veldt.launch.setting_axis import SettingAxis, linear_ticks, log_ticks, short_names
from veldt.search.space.tree import Number, Pick, Value


def test_intervals():
    assert interval([3.0]) is None and interval([3.0, 3.0]) == (3.0, 3.0)
    low, high = interval([float(value % 100) for value in range(10_000)])
    assert 48.5 < low < 49.5 < high < 50.5


def test_axes():
    assert log_ticks(1e-4, 1e-1) == [1e-4, 1e-3, 1e-2, 1e-1]
    assert log_ticks(5, 40) == [5, 10, 20] and log_ticks(1.01, 1.02) == [1.01, 1.02]
    assert linear_ticks(0.9, 0.999) == [0.9, 0.92, 0.94, 0.96, 0.98]
    assert linear_ticks(1, 3, whole=True) == [1, 2, 3]
    assert short_names(["a.x", "b.x", "b.y"]) == {"a.x": "a.x", "b.x": "b.x", "b.y": "y"}
    assert short_names(["n.hidden.0", "n.hidden"]) == {
        "n.hidden.0": "hidden.0",
        "n.hidden": "hidden",
    }
    log = SettingAxis("a.rate", Number(1e-4, 1e-2, log=True))
    assert log.share(1e-3) == pytest.approx(0.5) and log.range == pytest.approx([-4.12, -1.88])
    choice = SettingAxis("a.kind", Pick((Value("p"), Value("q"), Value("r"))))
    assert choice.share(choice.place("q")) == 0.5 and choice.meaning == "p, q, r"
    whole_numbers = SettingAxis("a.count", Number(2, 8, log=True, whole=True))
    assert whole_numbers.meaning == "whole numbers 2 to 8, logarithmic"
    assert SettingAxis("a.real", Number(0.0, 1.0)).place(0.25) == 0.25
