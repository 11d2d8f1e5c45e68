"""`veldt bench search`: what its figures are shares of; how fast it was decides nothing."""

import itertools
import types

import pytest

from veldt.launch import search_bench
from veldt.launch.console import Console
from veldt.search.journal import Event


def test_all_figures(capsys):
    found = search_bench.overhead(2.0, Console(), trials=150)
    assert set(found) == {
        "trials",
        "event_ms",
        "commit_ms",
        "utilisation_sim_64",
        "event_ms_halving",
        "event_ms_median",
        "event_ms_whole",
        "utilisation_2",
        "tpe_ms",
    }
    assert all(value > 0 for value in found.values())
    assert found["commit_ms"] < found["event_ms"]
    assert found["utilisation_sim_64"] <= 1 and found["utilisation_2"] <= 1
    search_bench.show(found, Console())
    assert f"{found['utilisation_2']:.1%}" in capsys.readouterr().out


@pytest.mark.parametrize("second, least, most", [(0.0, 0.999, 1.0), (0.01, 0.1, 0.6)])
def test_virtual_time_passes_while_the_coordinator_works(monkeypatch, second, least, most):
    """A clock that goes on by so much each time it is read: nothing is idle where it stands."""
    clock = itertools.count()
    ticking = types.SimpleNamespace(perf_counter=lambda: second * next(clock), time=lambda: 0.0)
    monkeypatch.setattr(search_bench, "time", ticking)
    crews = []

    class Kept(search_bench.Charged):
        def __init__(self, workers):
            super().__init__(workers)
            crews.append(self)

    monkeypatch.setattr(search_bench, "Charged", Kept)
    monkeypatch.setattr(search_bench, "WINDOW", 200)
    if second == 0.0:
        with pytest.raises(ZeroDivisionError):  # no event took any time
            1 / search_bench.simulated("asha", 300)["event_ms"]
    else:
        search_bench.simulated("asha", 300)
    assert least < crews[0].utilisation <= most
    busy = crews[0].utilisation * crews[0].size * crews[0].seconds
    assert busy <= crews[0].size * crews[0].seconds
    assert crews[0].coordinating < crews[0].seconds or second == 0.01


def test_the_share_of_two_ranks_ends_with_the_last_beginning():
    def start(time, name="trial-0000"):
        return Event(time, "start", {"name": name})

    def result(begun, ended):
        return Event(ended, "result", {"summary": {"begun": begun, "ended": ended}})

    events = [start(0), start(0), result(0.0, 4.0), start(5), result(1.0, 6.0), result(5.0, 9.0)]
    events.append(start(9, "winner"))
    assert search_bench.used(events, 2) == pytest.approx((4.0 + 4.0) / (2 * 5.0))


def test_wrong_input(veldt):
    done = veldt("bench", "search", "cartpole")
    assert done.returncode == 2 and "takes no recipe" in done.stderr
    done = veldt("bench", "search", "--seconds", "0.1")
    assert done.returncode == 2 and "--seconds" in done.stderr
