"""The lines of a search, as its events come."""

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
