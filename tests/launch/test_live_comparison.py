"""The default policy beside random search: what is compared, and that it costs as much."""

import json
import re
import shlex
from pathlib import Path

import pytest

from veldt.launch import cookbook
from veldt.launch.live_comparison import HEAD, compared, rows
from veldt.launch.results import tables
from veldt.platform.errors import InputError
from veldt.search.settings import SearchSettings


def write(folder, policy, seed, held, steps=1_000_000):
    place = folder / policy / str(seed)
    place.mkdir(parents=True)
    summary = {"heldout_mean_return": held, "heldout_standard_error": 2.0, "best_score": 400.0}
    summary |= {"trials": 30, "steps": steps, "wall_seconds": 60.0, "seed": seed}
    (place / "summary.json").write_text(json.dumps(summary))


def test_studies_are_paired_by_seed(tmp_path):
    for seed, (default, random) in enumerate([(480, 300), (470, 440), (450, 460)], 1):
        write(tmp_path, "default", seed, float(default), 1_100_000)
        write(tmp_path, "random", seed, float(random))
    write(tmp_path, "default", 4, 1.0)  # whose partner is not over
    found = compared(tmp_path)
    assert [study["difference"] for study in found["studies"]] == [180.0, 30.0, -10.0]
    # t of 2 degrees of freedom, 97.5 %: 4.3027; the deviation of the three is 100.167
    half = 4.30265 * 100.1665 / 3**0.5
    assert found["difference"] == pytest.approx(200 / 3)
    assert found["difference_low"] == pytest.approx(200 / 3 - half, abs=0.01)
    assert found["difference_high"] == pytest.approx(200 / 3 + half, abs=0.01)
    assert found["won"] == 2 and found["steps_ratio"] == pytest.approx(1.1)
    assert found["wall_seconds"] == {"default": 180.0, "random": 180.0}
    made = rows(found)
    assert len(made) == 4 and {len(row) for row in made} == {len(HEAD)}
    assert made[0][:4] == ["1", "480 ± 2", "300 ± 2", "180"]
    (tmp_path / "live.json").write_text(json.dumps(found))
    shown = tables(tmp_path)  # this section alone
    assert shown.splitlines()[0].startswith("| study | default, held out |")
    assert "| mean, 95 % | " in shown and "1.10 of" in shown
    for seed in (2, 3):
        (tmp_path / "random" / str(seed) / "summary.json").unlink()
    with pytest.raises(InputError, match="1 seed.s. with a study of each policy"):
        compared(tmp_path)


def test_both_policies_may_cost_the_same():
    """What `launch/results.sh live` searches with."""
    text = (Path(__file__).parents[2] / "launch" / "results.sh").read_text()
    section = text[text.index("live() {") : text.index("schedules() {")].replace("\\\n", " ")
    calls = [shlex.split(line) for line in section.splitlines() if "evolve" in line]
    made = {}
    for _, folder, recipe, seeds, *more in calls:
        assignments = [word for word in more if word != "--set"]
        made[folder] = SearchSettings.parse(cookbook.load(recipe, "search", assignments))
        assert len(re.findall(r"\d", seeds)) == 5
    default, random = made["live/default"], made["live/random"]
    assert default.scheduler.name == "asha" and default.heldout.finalists == 2
    assert [stage.method for stage in default.stages] == ["auto"]
    assert random.scheduler.name == "whole" and random.heldout.finalists == 1
    assert [stage.method for stage in random.stages] == ["random"]
    assert default.budget == random.budget == 12 and default.space == random.space
    assert default.heldout.tests == random.heldout.tests == 5
    # A ninth of a trial ends where a checkpoint is, however long the unrolls.
    train = default.settings_of(default.searched.corners()[0], 0)
    assert train.learner.checkpoint_updates * 64 * 16 * 2 < default.frames / 4
