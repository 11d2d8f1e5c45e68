"""The lines of a search, as its events come, and those of a training."""

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


def test_a_training_says_who_waits(capsys):
    record = {
        **{"frames": 500, "frames_total": 1000, "wall_seconds": 60.0, "mean_return": 21.5},
        **{"episodes": 7, "steps_per_second": 1234.0, "policy_lag_mean": 1.25},
    }
    Console().training(record | {"actor_waiting_share": 0.034, "learner_waiting_share": 0.62})
    said = capsys.readouterr().out
    assert "1,234 steps/s  lag 1.2  actors idle   3%  learner idle  62%  01:00 left" in said
    assert "return     21.5" in said and " 50%" in said
    Console().training(record)  # before anything is known of them
    assert "idle" not in capsys.readouterr().out
