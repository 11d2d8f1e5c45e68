"""The footer of a search: it says what the log says, on a terminal and nowhere else."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios

import pytest
from simulated_study import Landscape, simulated

from veldt.launch.search_footer import SearchFooter
from veldt.search.findings import steps
from veldt.search.journal import read
from veldt.search.view import View


class Clock:
    """A second for each event."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def lines(footer):
    return dict(footer._lines())


def fed(settings, events, before=()):
    clock = Clock()
    footer = SearchFooter(settings, before, clock)
    for event in events:
        clock.now += 1.0
        footer.take(event.kind, event.body)
    clock.now += 1.0
    return footer


def test_it_says_what_the_log_says(tmp_path):
    settings = simulated(
        tmp_path,
        {"name": "asha"},
        18,
        workers=3,
        landscape=Landscape(worst=10**-1.5),
        heldout={"finalists": 2, "validations": 2},
    )
    events = read(tmp_path / "study.sqlite")
    rungs, seen = re.compile(r"([\d,]+): (\d+)"), []
    for count in range(2, len(events)):
        view, footer = View(settings.frames, events[:count]), fed(settings, events[:count])
        said = lines(footer)
        states = [trial.state for trial in view.trials.values()]
        assert said["trials"].startswith(
            f"{states.count('done')} done · {states.count('running')} under way · "
            f"{states.count('paused')} paused · {states.count('condemned')} failed · "
            f"{len(view.trials)} of 18 points"
        )
        assert said["spent"].startswith(f"{steps(view):,} steps")
        for frames, found in rungs.findall(said.get("rungs", "")):
            there = [t for t in view.trials.values() if int(frames.replace(",", "")) in t.scores]
            assert len(there) == int(found)
        if view.best:
            assert f"trial {view.best.number}," in said["best"]
        # A worker is busy from a start to its end, at a second an event.
        busy, since = 0, {}
        for second, event in enumerate(events[:count], 1):
            if event.kind == "start":
                since[event.body["segment"]] = second
            elif event.kind in ("result", "fail") and event.body["segment"] in since:
                busy += second - since.pop(event.body["segment"])
        busy += sum(count + 1 - begun for begun in since.values())
        assert footer.busy == pytest.approx(busy / (3 * count))
        seen += [said["trials"], said["workers"]]
    everything = " ".join(seen)
    assert "rungs" in said and "validate-" in everything and "winner" in everything
    assert "validating" in everything and "testing the winner" in everything
    # Gone on with, it knows what was before.
    half = len(events) // 2
    before, after = lines(fed(settings, events)), events[half:]
    resumed = lines(fed(settings, after, events[:half]))
    assert all(resumed[name] == before[name] for name in ("trials", "rungs", "best"))


def test_who_gave_a_trial_up_or_died_is_not_at_work(tmp_path):
    settings = simulated(tmp_path, trials=4, workers=2)
    events = read(tmp_path / "study.sqlite")
    at = next(n for n, event in enumerate(events) if event.kind == "start") + 1
    begun = events[at - 1].body["segment"]
    others = sum(event.kind == "start" for event in events[:at]) - 1
    lost = {"ranks": 1, "workers": [0], "segments": [begun]}
    for kind, body in (("given_up", {"segment": begun}), ("lost", lost)):
        footer = fed(settings, events[:at])
        assert len(footer._at_work) == others + 1
        footer.take(kind, body)
        assert len(footer._at_work) == others


def test_a_long_one_is_cut_where_the_terminal_ends(tmp_path):
    import io

    import rich.console

    settings = simulated(tmp_path, trials=4, workers=4)
    events = read(tmp_path / "study.sqlite")
    for width in (20, 40, 200):
        console = rich.console.Console(file=io.StringIO(), width=width)
        console.print(fed(settings, events[:10]).draw())
        printed = console.file.getvalue().splitlines()
        assert len(printed) == len(lines(fed(settings, events[:10])))
        assert all(len(line) <= width for line in printed)


RECIPE = """
stages = [{method = "random", trials = 3}]
evaluation = {episodes = 4}
heldout = {evaluation = {episodes = 4}}
[space]
"optimizer.learning_rate" = {kind = "log", low = 1e-3, high = 3e-2}
[train]
frames = 3000
environment = {id = "CartPole-v1"}
agent = {name = "impala", network = {hidden = [16]}}
actors = {count = 1, environments = 8, unroll_length = 10}
learner = {batch = 1}
"""


def on_terminal(veldt, *arguments, until=None):
    """(exit code, what a terminal of 100 columns was sent)"""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    environment = os.environ | veldt.environment | {"TERM": "xterm"}
    process = subprocess.Popen(
        veldt.line(*arguments),
        cwd=veldt.folder,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    veldt._started.append(process)
    os.close(theirs)
    sent = b""
    while select.select([ours], [], [], 120.0)[0]:
        try:
            sent += os.read(ours, 65_536)
        except OSError:  # its end
            break
        if until is not None and until in sent:
            until = None
            process.send_signal(signal.SIGINT)
    os.close(ours)
    return process.wait(60), sent.decode()


def screen(sent):
    """What stands on a terminal in the end: the moves that rich makes, and no others."""
    rows, y, x = [[]], 0, 0
    for found in re.finditer(r"\x1b\[\??(\d*)[;\d]*([A-Za-z])|\r|\n|[^\x1b\r\n]", sent):
        match found.group(0), found.group(2):
            case "\r", _:
                x = 0
            case "\n", _:
                y += 1
                rows += [[]] * (y == len(rows))
            case _, "A":
                y -= int(found.group(1) or 1)
            case _, "K":
                rows[y] = []
            case character, None:
                rows[y] = [*rows[y][:x], *" " * (x - len(rows[y])), character, *rows[y][x + 1 :]]
                x += 1
    return ["".join(row).rstrip() for row in rows]


def test_a_terminal_has_it_while_the_search_runs_and_not_after(veldt):
    (veldt.folder / "tiny.toml").write_text(RECIPE)
    line = ("search", "tiny.toml", "--out", "s")
    code, sent = on_terminal(veldt, *line, until=b"of 3 points asked for")
    assert code == 1, sent
    left = screen(sent)
    assert any("go on with the same command" in row for row in left)
    assert not any("points asked for" in row or "% busy" in row for row in left)
    code, sent = on_terminal(veldt, *line, "--resume")
    assert code == 0, sent
    left = screen(sent)
    assert "% busy" in sent and "3 of 3 points asked for" in sent
    assert not any("points asked for" in row for row in left)
    # Every line is still there, whole, in its order.
    said = [" ".join(row.split()[:2]) for row in left if re.match(" *(trial-|winner)", row)]
    assert said[-2:] == ["winner started", "winner trained"] and "trial-0002 score" in said
    again = veldt(*line, "--resume", "--out", "t")
    assert again.returncode == 0 and "busy" not in again.stdout + again.stderr
    assert "\x1b" not in again.stdout and "trial-0002" in again.stdout
