"""The page of a run that goes on: what it serves, to whom, and when it ends."""

import http.client
import json
import re
import shutil
import signal
import socket
import subprocess
import threading

import pytest
from prometheus_client.parser import text_string_to_metric_families
from simulated_study import simulated

from veldt.launch import dashboard

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.fixture
def port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def get(port, path, **headers):
    return ask(port, "GET", path, **headers)


def ask(port, method, path, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers
    finally:
        connection.close()


def answers(port):
    try:
        return get(port, "/metrics")[0] == 200
    except OSError:
        return False


def numbers(port):
    families = text_string_to_metric_families(get(port, "/metrics")[1])
    return {s.name: s for family in families for s in family.samples}


def test_a_training_is_watched_and_the_page_ends_with_it(veldt, until, port):
    longer = ("--set", "frames=10000000")
    training = veldt.start("train", "cartpole", "--out", "run", "--dashboard", port, *longer)
    until(lambda: answers(port))
    frames = until(lambda: numbers(port).get("veldt_frames"))
    assert frames.labels == {"run": "run", "task": ""} and frames.value > 0
    until(lambda: numbers(port)["veldt_frames"].value > frames.value)
    status, page, _ = get(port, "/")
    assert status == 200 and "Learning curve" in page and "fetch(" in page
    status, body, headers = get(port, "/body")
    assert status == 200 and "<html" not in body and "Learning curve" in body
    assert get(port, "/none")[0] == 404
    assert (
        get(port, "/", Host="evil.example")[0] == get(port, "/", Host="evil.example:80")[0] == 403
    )
    assert get(port, "/", Host=f"localhost:{port}")[0] == 200
    # Not to other hosts, even of this machine's own other addresses.
    with socket.socket() as elsewhere, pytest.raises(OSError):
        elsewhere.connect(("127.0.0.2", port))
    training.kill()
    training.wait()
    until(lambda: not answers(port), 20.0)


def test_a_finished_run_is_shown_and_nothing_new_is_not_sent_again(veldt, until, port):
    veldt.summary("train", "cartpole", "--out", "run", "--set", "frames=5000")
    server = veldt.start("dashboard", "run", "--port", port)
    until(lambda: answers(port))
    stamp = get(port, "/body")[2]["ETag"]
    assert get(port, "/body", **{"If-None-Match": stamp})[0] == 304
    (veldt.folder / "run" / "evaluation.json").unlink(missing_ok=True)
    veldt.summary("evaluate", "run", "--episodes", 2)
    status, body, _ = get(port, "/body", **{"If-None-Match": stamp})
    assert status == 200 and "Evaluation" in body
    if CHROMIUM is not None:
        line = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
        line += ["--virtual-time-budget=6000", f"http://127.0.0.1:{port}/"]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, check=True)
        # Plots are drawn by the page's own scripts: they ran, those put in later too.
        assert done.stdout.count("main-svg") > 3 and 'id="away" hidden' in done.stdout
    server.send_signal(signal.SIGINT)
    assert server.wait(20) == 0


def test_what_is_not_there_yet_is_waited_for(veldt, until, port):
    (veldt.folder / "run").mkdir()
    server = veldt.start("dashboard", "run", "--port", port)
    until(lambda: answers(port))
    body = get(port, "/body")[1]
    assert "Nothing to show yet" in body and "<script" not in body and "<main" not in body
    assert get(port, "/")[1].count('fetch("/body"') == 1
    server.kill()


def test_what_cannot_be_served(veldt, port):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        done = veldt("train", "cartpole", "--out", "run", "--dashboard", port)
    assert done.returncode == 2 and f"port {port}" in done.stderr and "another" in done.stderr
    absent = veldt("dashboard", "absent", "--port", port)
    assert absent.returncode == 2 and "no folder there" in absent.stderr


def test_a_search_is_watched(veldt, until, port):
    search = veldt.start(
        *(
            "search",
            "cma/sphere",
            "--out",
            "run",
            "--dashboard",
            port,
            "--set",
            "generations=9999",
        ),
        *("--set", "evaluation.stop_at_threshold=false"),
    )
    until(lambda: answers(port))
    until(lambda: "veldt_generation" in numbers(port))
    assert "Generations" in get(port, "/")[1] or "generation" in get(port, "/")[1]
    search.kill()


def dumped(url, folder):
    """A page as Chromium has it after a while."""
    line = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"]
    line += [f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=8000", url]
    done = subprocess.run(line, capture_output=True, text=True, timeout=120, check=True)
    body = done.stdout.partition("<body")[2]
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def test_a_study_is_mirrored_to_optuna_dashboard_and_follows_the_log(veldt, until, port):
    folder, asha = veldt.folder / "study", {"name": "asha"}
    simulated(folder, asha, trials=9, events=20)
    server = veldt.start("dashboard", folder, "--port", port)
    until(lambda: answers(port))
    assert '<a href="/dashboard/studies/0">' in get(port, "/")[1]
    # Whoever reads the log does not change it: nothing new is not sent again.
    stamp = get(port, "/body")[2]["ETag"]
    assert get(port, "/body", **{"If-None-Match": stamp})[0] == 304

    def trials():
        status, text, _ = get(port, "/api/studies/0")
        assert status == 200
        return json.loads(text)["trials"]

    few = trials()
    assert 0 < len(few) < 9
    simulated(folder, asha, trials=9)
    # Its pages read the storage at most every two seconds: ours is there at once.
    whole = trials()
    assert len(whole) == 9 and {trial["state"] for trial in whole} == {"Running", "Complete"}
    for trial in (*few, *whole):
        assert trial["intermediate_values"] or trial in few
    assert get(port, "/static/bundle.js")[0] == 200
    assert get(port, "/static/..%2f..%2f..%2fsettings.json")[0] in (403, 404)
    assert get(port, "/api/studies", Host="evil.example")[0] == 403
    for method in ("POST", "PUT", "DELETE"):  # one way only
        assert ask(port, method, "/api/studies/0")[0] == 501
    assert len(trials()) == 9
    if CHROMIUM is None:
        server.kill()
        pytest.skip("the rest is looked at in chromium, which is not installed")
    best = next(t["number"] for t in whole if t["state"] == "Complete")
    url = f"http://127.0.0.1:{port}/dashboard/studies/0/trials?numbers={best}"
    text = dumped(url, veldt.folder)
    assert "study (id=0)" in text and "9 Trials" in text and "Trial 0 Running" in text
    assert f"Trial {best} (trial_id={best}) Complete" in text
    assert "optimizer.learning_rate" in text and "frames 8100" in text
    server.send_signal(signal.SIGINT)
    assert server.wait(20) == 0


def test_what_is_no_study_has_no_mirror(veldt, until, port):
    veldt.summary("train", "cartpole", "--out", "run", "--set", "frames=2000")
    server = veldt.start("dashboard", "run", "--port", port)
    until(lambda: answers(port))
    assert "optuna" not in get(port, "/")[1].partition("<main>")[0].rpartition("</head>")[2]
    assert get(port, "/dashboard")[0] == get(port, "/api/studies")[0] == 404
    server.kill()


def test_a_mirror_of_a_log_that_cannot_be_read_says_so(veldt, until, port):
    simulated(veldt.folder / "study", trials=2)
    (veldt.folder / "study" / "study.sqlite").write_bytes(b"nonsense" * 1000)
    for beside in (veldt.folder / "study").glob("study.sqlite-*"):
        beside.unlink()
    server = veldt.start("dashboard", "study", "--port", port)
    until(lambda: answers(port))
    status, text, _ = get(port, "/api/studies")
    assert status == 503 and "not a study's log" in text
    assert "file is not a database" in get(port, "/body")[1]
    server.kill()


def test_without_optuna_dashboard_there_is_no_link_and_a_word_what_to_install(
    tmp_path, monkeypatch
):
    simulated(tmp_path, trials=2)
    monkeypatch.setattr(dashboard, "installed", lambda: False)
    with dashboard.listen(0) as listening:
        port = listening.getsockname()[1]
        with dashboard.Dashboard(tmp_path, listening) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            assert "/dashboard/studies" not in get(port, "/")[1]
            status, text, _ = get(port, "/dashboard/studies/0")
            assert status == 404 and "pip install 'veldt[dashboard]'" in text
            server.shutdown()
