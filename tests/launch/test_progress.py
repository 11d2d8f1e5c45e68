"""The lines of a search, as its events come, and those of a training."""

import time

from veldt.launch.console import Console
from veldt.launch.studies import Progress


def test_an_error_of_the_code_is_shown_once():
    said = []

    class Console:
        def say(self, text):
            said.append(text)

    progress = Progress(Console())
    for number, place in enumerate([1, 1, 2, 1]):
        error = f'Traceback\n  File "a.py", line {place}, in f\nKeyError: {number}'
        body = {"name": f"trial-{number}", "reason": f"KeyError: {number}", "error": error}
        progress("fail", body)
        progress("result", body | {"score": None})
    progress("result", {"name": "trial-4", "reason": "Diverged", "error": "", "score": None})
    assert sum("came to nothing" in line for line in said) == 4
    shown = [line for line in said if "Traceback" in line]
    assert len(shown) == 2 and "KeyError: 0" in shown[0] and "KeyError: 2" in shown[1]


def test_a_long_name_is_shown_to_its_end(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    Console().summary({"mean_return/minigrid:MiniGrid-GoToDoor-5x5-v0": 0.5}, "runs/rooms")
    rows = [line.split("│") for line in capsys.readouterr().out.splitlines() if "│" in line]
    assert "".join(row[1].strip() for row in rows).endswith("GoToDoor-5x5-v0")


def test_a_training_says_who_waits(capsys):
    record = {
        **{"frames": 296_160, "frames_total": 592_320, "steps": 74_040, "mean_return": 21.5},
        **{"episodes": 7, "steps_per_second": 1234.0, "policy_lag_mean": 1.25},
        "record_updates": 10,
    }
    Console().training(record | {"actor_waiting_share": 0.034, "learner_waiting_share": 0.62})
    said = capsys.readouterr().out
    assert "1,234 steps/s  lag 1.2  actors idle   3%  learner idle  62%  01:00 left" in said
    assert "return     21.5" in said and " 50%" in said
    Console().training(record)  # before anything is known of them
    assert "idle" not in capsys.readouterr().out


def test_a_line_is_of_what_was_recorded_since_the_one_before(capsys, monkeypatch):
    now = iter([10.0, 10.5, 11.0, 13.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    console = Console()

    def record(frames, rate, lag, idle):
        return {
            **{"frames": frames, "frames_total": 20_000, "steps": frames, "episodes": 1},
            **{"mean_return": 1.0, "record_updates": 10, "steps_per_second": rate},
            **{
                "policy_lag_mean": lag,
                "replayed_lag_mean": lag + 5,
                "learner_waiting_share": idle,
            },
        }

    console.training(record(1000, 1000.0, 1.0, 0.0))
    assert "1,000 steps/s  lag 1.0, replayed 6.0  learner idle   0%  00:19 left" in (
        capsys.readouterr().out
    )
    console.training(record(2000, 100.0, 2.0, 0.9))
    console.training(record(3000, 100.0, 2.0, 0.9))
    assert capsys.readouterr().out == ""
    console.training(record(4000, 50.0, 5.0, 0.7))  # as long as the two before it together
    assert "75 steps/s  lag 3.0, replayed 8.0  learner idle  80%  03:33 left" in (
        capsys.readouterr().out
    )
