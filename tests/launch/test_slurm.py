"""The Slurm scripts, run as Slurm would on nodes that all are this one.

`srun`, `scontrol` and `sbatch`'s environment are stood in for: what they start is real.
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import textwrap

import pytest

SCRIPTS = pathlib.Path(__file__).parents[2] / "launch" / "slurm"

STANDINS = {
    # Starts what follows the options, once a node, as long as the job lives.
    "srun": """
        nodes=1
        while [[ $1 == --* ]]; do
          case $1 in --nodes=*) nodes=${1#*=} ;; esac
          shift
        done
        for ((n = 0; n < nodes; n++)); do exec_in_node=$n "$@" & done
        trap 'kill -USR1 $(jobs -p)' USR1
        code=0
        for job in $(jobs -p); do
          while true; do
            wait "$job" && code=0 || code=$?
            kill -0 "$job" 2> /dev/null || break
          done
        done
        exit $code
    """,
    "scontrol": """
        case $1 in
          show) echo localhost; for ((n = 1; n < NODES; n++)); do echo 127.0.0.$n; done ;;
          requeue) echo "$2" >> requeued ;;
        esac
    """,
    "veldt": f"""exec {sys.executable} -m veldt.launch.cli "$@" """,
}


@pytest.fixture
def submit(veldt):
    """submit(script, *arguments, nodes): starts it as a job's first process."""
    commands = veldt.folder / "commands"
    commands.mkdir()
    for name, text in STANDINS.items():
        (commands / name).write_text("#!/usr/bin/env bash\n" + textwrap.dedent(text))
        (commands / name).chmod(0o755)
    veldt.environment |= {
        "PATH": f"{commands}:{os.path.dirname(sys.executable)}:{os.environ['PATH']}",
        "SLURM_JOB_ID": str(os.getpid()),
        "SLURM_JOB_NODELIST": "node[1-2]",
        "SLURM_CPUS_PER_TASK": "1",
        "SLURM_NTASKS": "2",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe",
    }

    def start(script, *arguments, nodes=1):
        veldt.environment["NODES"] = str(nodes)
        return veldt.start_line(["bash", str(SCRIPTS / script), *map(str, arguments)])

    return start


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.iterdir()))
def test_bash_can_read_it(script):
    subprocess.run(["bash", "-n", str(SCRIPTS / script)], check=True)


@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.iterdir()))
def test_a_node_that_fails_does_not_end_the_job(script):
    assert "#SBATCH --no-kill\n" in (SCRIPTS / script).read_text()


def test_a_training_on_two_nodes_stops_in_time_and_goes_on(veldt, submit, until):
    line = ("train.sbatch", "cartpole", "job", "--set", "frames=60000")
    slow = ("--set", "learner.checkpoint_updates=10")
    job = submit(*line, *slow, nodes=2)
    metrics = veldt.folder / "job" / "run" / "metrics.jsonl"
    until(lambda: metrics.exists() and metrics.read_text().count('"metrics"') > 20)
    job.send_signal(signal.SIGUSR1)
    out, err = job.communicate(timeout=120)
    assert (veldt.folder / "requeued").read_text().split() == [str(os.getpid())], (out, err)
    assert job.returncode == 1 and "stopped at update" in err
    again = submit(*line, *slow, nodes=2)
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    summary = json.loads((veldt.folder / "job" / "run" / "summary.json").read_text())
    assert summary["frames"] == 60_160 and summary["sessions"] == 2
    assert not list((veldt.folder / "job").glob("keys-*"))  # nobody needs them any more


def test_a_search_on_two_ranks(veldt, submit):
    job = submit("search.sbatch", "cma/sphere", "found", "--set", "generations=30")
    out, err = job.communicate(timeout=120)
    assert job.returncode == 0, err
    assert json.loads((veldt.folder / "found" / "summary.json").read_text())["ranks"] == 2
    assert not (veldt.folder / "requeued").exists()
