"""The command line's manners: help, lists, wrong input, plug-ins."""

import json
import pathlib
import signal
import subprocess
import sys
import sysconfig
import tomllib
import zipfile

import pytest

from veldt.agents.settings import TrainSettings
from veldt.launch import cookbook
from veldt.launch.kinds import Kind
from veldt.search.population.settings import PopulationSettings
from veldt.search.settings import SearchSettings
from veldt.search.space.space import Space

COMMANDS = ("train", "evaluate", "search", "report", "bench", "list", "doctor")


def test_every_command_has_help_with_an_example(veldt):
    overview = veldt("--help")
    assert overview.returncode == 0
    for command in COMMANDS:
        assert command in overview.stdout
        done = veldt(command, "--help")
        assert done.returncode == 0
        assert f"veldt {command}" in done.stdout.partition("Example:")[2]


def test_every_recipe_is_sound():
    found = cookbook.names()
    assert {"cartpole", "quickstart", "atari/pong"} <= found.keys()
    for name, meaning in found.items():
        assert len(meaning) > 20
        try:
            TrainSettings.parse(cookbook.load(name, "train"))
        except cookbook.InputError:
            data = cookbook.load(name, "search")
            (PopulationSettings if "strategy" in data else SearchSettings).parse(data)


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("recipes", ["cartpole", "quickstart", "atari/pong"]),
        ("agents", ["impala"]),
        ("strategies", ["ars", "cma-es", "genetic", "openai-es"]),
        ("policies", ["linear", "mlp", "network"]),
        ("problems", ["atari", "episodes", "function", "lqr"]),
        ("networks", ["mlp", "shallow"]),
        ("searchers", ["random"]),
        ("environments", ["CartPole-v1", "atari/pong", "atari/breakout"]),
    ],
)
def test_lists(veldt, kind, names):
    done = veldt("list", kind)
    assert done.returncode == 0
    listed = [line.split()[0] for line in done.stdout.splitlines()]
    assert set(names) <= set(listed)
    assert set(names) <= json.loads(veldt("list", kind, "--json").stdout).keys()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("train cartpol", ["'cartpol'", "'cartpole'"]),
        ("train nowhere.toml", ["nowhere.toml", "No such file"]),
        ("train broken.toml", ["broken.toml", "not TOML"]),
        ("train quickstart", ["veldt search"]),
        ("search cartpole", ["veldt train"]),
        ("train cartpole --set environment.id=CartPol-v1", ["'CartPole-v1'"]),
        ("train cartpole --set environment.id=atari/pongg", ["pong"]),
        ("train cartpole --set agent.entropy_cots=1", ["agent.entropy_cots", "'entropy_cost'"]),
        ("train cartpole --set actor.count=1", ["actor", "'actors'"]),
        ("train cartpole --set agent.discount=1.5", ["agent.discount", "1.5"]),
        ("train cartpole --set agent.name=impale", ["'impala'"]),
        ("train cartpole --set agent.network.torso=mpl", ["'mlp'"]),
        ("train cartpole --set learner.device=tpu", ["'tpu'", "cuda"]),
        ("train cartpole --set learner.device=cuda:99", ["cuda:99"]),
        (
            "train cartpole --set agent.network.torso=deep",
            ["the deep torso", "float32 [4]", "mlp"],
        ),
        ("train cartpole --set environment.options.colour=1", ["colour"]),
        ("train cartpole --set frames", ["--set frames", "key.sub=value"]),
        ("train cartpole --seed -1", ["--seed"]),
        ("train cartpole --out broken.toml", ["broken.toml"]),
        ("train cartpole --out .", ["broken.toml", "--out"]),
        ("train cartpole --resume", ["--out"]),
        ("train", ["recipe"]),
        ("trian cartpole", ["trian"]),
        ("evaluate nowhere", ["nowhere"]),
        ("report nowhere", ["nowhere"]),
        ("report .", ["neither a training nor a search"]),
        ("bench throughput cartpol", ["'cartpole'"]),
        ("bench speed", ["speed"]),
        ("list things", ["things"]),
    ],
)
def test_wrong_input(veldt, arguments, words):
    (veldt.folder / "broken.toml").write_text("frames = = 3")
    done = veldt(*arguments.split())
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert not (veldt.folder / "runs").exists()


README = pathlib.Path(__file__).parents[2] / "README.md"


def block(first_line):
    """The README's code block that has this line in it."""
    blocks = README.read_text().split("```")[1::2]
    return next(b.partition("\n")[2] for b in blocks if first_line in b)


def test_the_readme_says_how_to_add_each_kind():
    table = README.read_text().partition("| to add | write |")[2].partition("\n\n")[0]
    for kind in set(Kind) - {Kind.recipes}:
        assert f"`veldt.{kind}`" in table


def test_the_readmes_space_in_python_is_the_one_in_toml(veldt):
    """And can be searched."""
    code, found = block("# my_space.py"), {"__name__": "my_space"}
    exec(code, found)
    written = tomllib.loads(block('"agent.network.hidden" = {kind = "repeat"'))["space"]
    assert Space(found["space"]).tree == Space(written).tree
    script = veldt.folder / "my_space.py"
    script.write_text(code.replace("50_000", "3_000").replace('"trials": 20', '"trials": 2'))
    done = subprocess.run(
        [sys.executable, "-P", script],
        cwd=veldt.folder,
        env=veldt.environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "'agent.discount'" in done.stdout
    assert (veldt.folder / "runs" / "mine" / "summary.json").exists()


def test_the_readmes_plug_in(veldt):
    """An agent, a torso and an environment of somebody else's, word for word and installed."""
    mine = veldt.folder / "mine"
    mine.mkdir()
    code = block("# my_parts.py")
    written = "\n".join(map(block, ("# my_parts.py", "# pyproject.toml", "# mine.toml")))
    lines = [line for line in written.splitlines() if line and not line.startswith("#")]
    assert len(lines) < 60  # of all three files
    (mine / "my_parts.py").write_text(code)
    (mine / "pyproject.toml").write_text(block("# pyproject.toml"))
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation"]
    site = veldt.folder / "site"
    subprocess.run([*install, "--target", site, mine], check=True, capture_output=True)
    veldt.environment["PYTHONPATH"] += f":{site}"
    for kind, name in (("agents", "reinforce"), ("networks", "waves"), ("environments", "dial")):
        assert name in veldt("list", kind).stdout.split()
    checked = veldt("check", "agent", "reinforce")
    assert checked.returncode == 0 and checked.stdout.count("keeps its contract") == 5
    assert veldt("check", "environment", "dial").returncode == 0
    recipe = veldt.folder / "mine.toml"
    recipe.write_text(block("# mine.toml"))
    summary = veldt.summary("train", recipe, "--out", "run")
    assert summary["agent"] == "reinforce" and summary["environment"] == "dial"
    assert summary["mean_return"] > 35  # of 50; at random it is 0
    (veldt.folder / "run" / "summary.json").unlink()
    assert veldt.summary("train", recipe, "--out", "run", "--resume")["sessions"] == 2
    assert veldt.summary("evaluate", "run", "--episodes", 5)["mean_return"] > 30
    wrong = veldt("train", recipe, "--out", "other-run", "--set", "agent.discont=1")
    assert wrong.returncode == 2 and "'discount'" in wrong.stderr
    study = veldt.folder / "study.toml"
    study.write_text(
        'stages = [{method = "random", trials = 2}]\n'
        "heldout = {settings = {frames = 3000}}\n[train]\n"
        + block("# mine.toml").replace("100_000", "3_000")
        + '[space]\n"agent.discount" = {kind = "real", low = 0.5, high = 0.95}\n'
    )
    assert veldt.summary("search", study, "--out", "study")["trials"] == 2


def test_a_check_says_what_fails_and_why(veldt):
    other = veldt.folder / "broken"
    metadata = other / "broken-1.0.dist-info"
    metadata.mkdir(parents=True)
    code = block("# my_parts.py").replace("return loss + ", "return 0 * loss.detach() + 0 * ")
    code = code.replace("self.network.unroll(batch)", "(batch.observation, batch.reward, None)")
    (other / "broken.py").write_text(code)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[veldt.agents]\nbroken = broken:Reinforce\n")
    veldt.environment["PYTHONPATH"] += f":{other}"
    checked = veldt("check", "agent", "broken", "--set", "name=reinforce")
    assert checked.returncode == 1 and checked.stdout.count("FAILS") == 5
    assert "broken.py:" in checked.stdout and "in loss" in checked.stdout
    fit = veldt("check", "environment", "CartPole-v1", "--steps", 40)
    assert fit.returncode == 0 and "keeps its contract" in fit.stdout
    unfit = veldt("check", "environment", "faulty_environments:NaNReward-v0")
    assert unfit.returncode == 1 and "reward is nan" in unfit.stdout
    assert veldt("check", "environment", "CartPol-v1").returncode == 2


def test_the_readmes_recipe_runs(veldt):
    (veldt.folder / "acrobot.toml").write_text(block("# acrobot.toml"))
    summary = veldt.summary("train", "acrobot.toml", "--out", "run", "--set", "frames=5000")
    assert summary["environment"] == "Acrobot-v1" and summary["steps"] >= 5000


def test_the_readmes_command(veldt):
    (veldt.folder / "my_train.py").write_text(block("# my_train.py"))
    (veldt.folder / "my_search.toml").write_text(block("# my_search.toml"))
    checked = veldt("check", "command", "my_search.toml")
    assert checked.returncode == 0 and "FAILS" not in checked.stdout, checked.stdout
    summary = veldt.summary("search", "my_search.toml", "--out", "s", "--workers", 2)
    assert summary["failed_trials"] == 0 and summary["heldout_mean_return"] > 0.8


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path):
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation"]
    root = README.parent
    subprocess.run([*build, "-w", tmp_path, root], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    sources = {
        f"veldt/{path.relative_to(root)}"
        for folder in ("platform", "agents", "search", "launch")
        for path in (root / folder).rglob("*.py")
    } - {"veldt/launch/editable_links.py"}
    recipes = {f"veldt/launch/recipes/{name}.toml" for name in cookbook.names()}
    packed = {name for name in names if ".dist-info/" not in name}
    tables = {"veldt/launch/constraints.txt", "veldt/platform/envs/atari57.csv"}
    assert packed == sources | recipes | tables
    code = "from veldt.launch import cookbook; print(cookbook.__file__, *cookbook.names())"
    done = subprocess.run(
        [sys.executable, "-S", "-P", "-c", code],
        env={"PYTHONPATH": f"{tmp_path / 'site'}:{sysconfig.get_path('purelib')}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(tmp_path) in done.stdout and "atari/pong" in done.stdout


def test_ctrl_c_where_nothing_asks_for_it(veldt):
    """In the middle of a measurement, inside an environment that forgives every Exception."""
    process = veldt.start("bench", "throughput", "cartpole", "--seconds", "60")
    while "1/5" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert err == "veldt: stopped at once; what was not yet saved is lost.\n"


def test_a_recipe_of_ones_own(veldt):
    recipe = veldt.folder / "lake.toml"
    recipe.write_text('frames = 3000\nenvironment = {id = "FrozenLake-v1"}\n')
    summary = veldt.summary("train", recipe, "--out", "run", "--set", "actors.count=1")
    assert summary["environment"] == "FrozenLake-v1" and summary["seed"] == 0


def test_pong_is_played_for_real(veldt):
    arguments = ("train", "atari/pong", "--out", "run", "--set", "frames=12000")
    summary = veldt.summary(*arguments, "--set", "actors.environments=8")
    assert summary["frames"] == 4 * summary["steps"] >= 12_000
    assert summary["trajectories_dropped"] == 0
