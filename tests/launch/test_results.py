"""The README's tables: every figure is read from a summary."""

import json

import pytest

from veldt.launch import peers
from veldt.launch.results import tables
from veldt.launch.throughput_results import FAULTS
from veldt.platform.records import Records

TRAINING = {
    "frames": 400_128,
    "mean_return": 499.5,
    "wall_seconds": 12.3,
    "steps_per_second": 32_445.0,
    "policy_lag_mean": 0.72,
    "trajectories_dropped": 0,
    "updates": 1563,
    "actor_restarts": 1,
    "actor_recovery_seconds_max": 0.06,
}
EVALUATION = {"mean_return": 498.25, "standard_error": 0.75}
SEARCH = {
    "trials": 36,
    "best_score": 500.0,
    "validation_mean_return": 497.5,
    "heldout_mean_return": 493.0,
    "heldout_standard_error": 2.5,
    "steps": 8_008_160,
    "wall_seconds": 151.9,
    "ranks": 3,
}
PARTS = ("env_only", "inference_only", "learner_only", "end_to_end", "limit")
BENCH = {part: 1000.0 * n for n, part in enumerate(PARTS, 1)}
BENCH |= {"ratio_to_limit": 0.833, "ratio_to_env": 0.41}


def test_tables(tmp_path):
    files = {f"cartpole-{seed}": TRAINING for seed in (1, 2, 3)}
    files |= {f"cartpole-{seed}-evaluation": EVALUATION for seed in (1, 2, 3)}
    files |= {"killed": TRAINING, "quickstart": SEARCH}
    for run, whole in enumerate((4000.0, 9000.0, 1000.0), 1):
        files[f"throughput/nature-{run}"] = BENCH | {"end_to_end": whole, "seconds": 60.0}
    files["throughput/faults"] = {name: 7.0 for name in FAULTS} | {"seconds": 600.0}
    (tmp_path / "throughput").mkdir()
    for name, content in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    text = tables(tmp_path)
    for part in ("--seed 2 --json` | 400,128 | 499.5 | 498.25 ± 0.75 | 12 s | 32,445 |", "0.06 s"):
        assert part in text
    assert "| 36 | 500 | 497.5 | 493 ± 2.5 | 8,008,160 | 152 s | 3 |" in text
    assert (
        "network=nature --seconds 60` | 3 | 1,000 | 2,000 | 3,000 | 4,000 | 5,000 | 0.83" in text
    )
    assert "| `veldt bench faults --seconds 600` | kills | updates |" in text
    ways = ("memcpy", "shm", "ipc", "tcp", "curve")
    found = {f"{way}_gbps": 8.0 / n for n, way in enumerate(ways, 1)}
    found |= {f"{way}_ratio": 1.0 / n for n, way in enumerate(ways, 1)}
    found |= {"unroll_bytes": 9_507_584, "seconds": 5.0}
    (tmp_path / "bench-transport.json").write_text(json.dumps(found))
    assert "| GB/s, unrolls of 9.5 MB | 8.00 | 4.00 | 2.67 |" in tables(tmp_path)
    (tmp_path / "killed.json").unlink()
    with pytest.raises(FileNotFoundError):
        tables(tmp_path)


def test_searchers_and_schedules_have_their_tables_and_nothing_has_none(tmp_path):
    assert tables(tmp_path) == ""
    (tmp_path / "searchers").mkdir()
    (tmp_path / "searchers" / "bbob.md").write_text("| searcher | rank |\n")
    (tmp_path / "bench-search.json").write_text(json.dumps({"event_ms": 1.25, "util_64": 0.991}))
    row = {"regret": 0.05, "regret_error": 0.004, "raced_regret": 0.03, "trials": 31.0}
    row |= {"optimism": 0.02, "raced_optimism": 0.001}
    found = {"points": 243, "repeats": 100, "default": "asha", "schedulers": {}}
    found["schedulers"] = {"whole": {"12": row, "24": row}, "asha": {"12": row, "24": row}}
    found |= {"default_by_random_12": 0.61, "default_by_random_12_unraced": 0.7}
    (tmp_path / "schedules.json").write_text(json.dumps({"cartpole": found}))
    text = tables(tmp_path)
    assert "| searcher | rank |" in text and "| `util_64` | 99.1% |" in text
    assert "| asha (the default) | 0.050 ± 0.004 | 0.050 ± 0.004 | 0.030 |" in text
    assert "at 12 whole trials: 0.61 raced, 0.70 not" in text


def test_the_learners_table(tmp_path):
    (tmp_path / "learner").mkdir()
    stages = {"forward_ms": 20.0, "v_trace_ms": 0.5, "backward_ms": 30.0, "step_ms": 4.0}
    found = stages | {"update_ms": 60.0, "v_trace_share": 0.0092, "frames_per_second": 41_000.0}
    for name in ("shallow", "minibatches"):
        (tmp_path / "learner" / f"{name}.json").write_text(json.dumps(found | {"device": "cpu"}))
    text = tables(tmp_path)
    shown = "network=shallow` | cpu | 41,000 | 60.00 | 20.00 | 0.50 | 30.00 | 4.00 | 0.92%"
    assert f"| `veldt bench learner --set {shown} |" in text
    assert "| `veldt bench learner atari/pong --set network=shallow` | cpu |" in text


def test_evolution_tables(tmp_path):
    for seed, reached in (("1", 120), ("2", None)):
        run = tmp_path / "swimmer" / "v1" / seed
        run.mkdir(parents=True)
        summary = {"episodes_to_threshold": reached, "best_score": 337.25, "steps": 200_000}
        summary |= {"evaluation_mean_return": 335.5, "evaluation_standard_error": 0.5}
        (run / "summary.json").write_text(json.dumps(summary | {"wall_seconds": 90.0}))
        settings = {"settings": {"evaluation": {"threshold": 325.0}}}
        (run / "settings.json").write_text(json.dumps(settings))
    bench = {"env_only_1": 1e4, "ars_1": 9.5e3, "ratio_1": 0.95, "outside_env_share": 0.042}
    bench |= {"env_only_2": 2e4, "ars_2": 1.8e4, "ratio_2": 0.9, "efficiency_2": 0.947}
    (tmp_path / "bench-evolution.json").write_text(json.dumps(bench | {"bytes_per_pair": 23.9}))
    text = tables(tmp_path)
    assert (
        "| `ars/swimmer --seed 1,2` | 325 | 120, - episodes | 100 episodes | 337.25, 337.25 | "
        "335.5 ± 0.5, 335.5 ± 0.5 | 200,000 | 1.5 min |"
    ) in text
    assert "2 rank(s) | 20,000 | 18,000 | 0.90 | 0.95 | - | 23.9 |" in text
    assert "pong" not in text


def test_training_tables(tmp_path):
    for seed, mean in ((1, 480.0), (2, 100.0)):
        run = tmp_path / "small" / "cartpole" / str(seed)
        run.mkdir(parents=True)
        records = Records(run, tensorboard=False)
        for update, value in ((1, 480.0), (2, 20.0), (3, mean)):
            progress = {"mean_return": value, "frames": 1000 * update, "wall_seconds": update}
            records.write(update, progress | {"episodes": 99 + (update > 1)})
        records.close()
        summary = {"frames": 3000, "wall_seconds": 10.0 * seed, "policy_lag_mean": 0.5}
        (run / "summary.json").write_text(json.dumps(summary))
        (run / "evaluation.json").write_text(json.dumps(EVALUATION))
    text = tables(tmp_path)
    assert "| `cartpole --seed 1,2` | 475 | 3,000, - | 3, - | 498.25 ± 0.75, 498.25" in text
    assert "| 3,000 | 15 s | 0.5, 0.5 |" in text


def test_an_evolved_loss_beside_impalas_own(tmp_path):
    for way, ends in (("plain", (9.0, 10.0)), ("evolved", (11.0, 13.0, 50.0))):
        for seed, end in enumerate(ends, 1):
            run = tmp_path / "epg" / "impala" / "catch" / way / str(seed)
            run.mkdir(parents=True)
            records = Records(run, tensorboard=False)
            for update, value in ((1, None), (2, end - 4.0), (3, end)):
                records.write(update, {"mean_return": value, "episodes": update})
            records.close()
            (run / "evaluation.json").write_text(json.dumps({"mean_return": end}))
    text = tables(tmp_path)
    # Pairs differ by 2 and by 3; Student's t of two is 12.7.
    assert "| `catch` | 2 | 9.5 | 12 | 2.5 (-3.8531 to 8.8531) | 7.5 | 10 | 2.5 (-3.8531" in text


def test_the_table_of_games_at_once(tmp_path):
    run = tmp_path / "atari" / "multitask-5" / "1"
    run.mkdir(parents=True)
    game = {"mean_return": 12.5, "standard_error": 0.5, "normalised_score": 0.75}
    tasks = {"atari/pong": game, "atari/boxing": game | {"mean_return": 80.0}}
    (run / "evaluation.json").write_text(json.dumps({"tasks": tasks}))
    (run / "summary.json").write_text(json.dumps({"wall_seconds": 1800.0}))
    text = tables(tmp_path)
    assert "| `veldt train ...` | pong | boxing | wall |" in text
    assert "--seed 1` | 12.5 ± 0.5 (0.75) | 80 ± 0.5 (0.75) | 30 min |" in text


def test_rooms_at_once_have_no_scores_beside_returns(tmp_path):
    run = tmp_path / "rooms" / "0"
    run.mkdir(parents=True)
    tasks = {"minigrid:MiniGrid-Empty-8x8-v0": {"mean_return": 0.5, "standard_error": 0.25}}
    (run / "evaluation.json").write_text(json.dumps({"tasks": tasks}))
    (run / "summary.json").write_text(json.dumps({"wall_seconds": 600.0}))
    text = tables(tmp_path)
    assert "| `veldt train ...` | MiniGrid-Empty-8x8-v0 | wall |" in text
    assert "| `minigrid/multitask --seed 0` | 0.5 ± 0.25 | 10 min |" in text


def test_peers_are_compared_by_medians():
    ours = [{"steps": steps, "seconds": 2.0} for steps in (100, 200, 300, 400, 500)]
    late = [{"steps": steps, "seconds": 8.0} for steps in (450, 600, 900, None, None)]
    never = [{"steps": None, "seconds": None}] * 5
    rows = peers.table(
        {("catch", "veldt"): ours, ("catch", "ppo"): late, ("catch", "a2c"): never}
    ).splitlines()
    assert len(rows) == 7
    assert "over 100,000 steps, as in the zoo; not to 0, but to 5%" in rows[6]
    assert "| 5 of 5 | 300 (100 to 500) | 2.0 (2.0 to 2.0) | 1.0 | 1.0 |" in rows[2]
    assert "| SB3 PPO | 3 of 5 | 900 (450 to never)" in rows[3]
    assert rows[3].endswith("| 3.0 | 4.0 |")
    assert rows[4].endswith("| 0 of 5 | never (never to never) | never (never to never) | - | - |")


def test_a_peers_rate_falls_over_the_zoos_steps():
    for name, steps in (("cartpole", 300_000), ("catch", 100_000)):
        settings = peers.PEERS["ppo"][name]
        rate = peers.falling(float(settings["learning_rate"]), settings["n_timesteps"], steps)
        for done, expected in (
            *((0, 0.001), (25_000, 0.00075), (50_000, 0.0005), (90_000, 0.0001)),
            *((95_000, 0.00005), (100_000, 0.00005), (steps, 0.00005)),
        ):
            assert rate(1 - done / steps) == pytest.approx(expected)
