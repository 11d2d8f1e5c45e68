"""The command line's manners: help, lists, wrong input, plug-ins."""

import json

import pytest

from veldt.agents.settings import TrainSettings
from veldt.launch import cookbook
from veldt.search.settings import SearchSettings

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
            SearchSettings.parse(cookbook.load(name, "search"))


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("recipes", ["cartpole", "quickstart", "atari/pong"]),
        ("agents", ["impala"]),
        ("networks", ["mlp", "shallow"]),
        ("searchers", ["es", "random"]),
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
        ("train cartpole --set environment.id=Pendulum-v1", ["categorical", "Box(-2.0, 2.0"]),
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


MY_AGENT = '''
"""A2C: as IMPALA, but it takes what it is sent for its own policy's doing."""

from typing import Literal

import torch

from veldt.agents import losses
from veldt.agents.agent import Agent, AgentSettings, Batch, sample
from veldt.agents.networks import ActorCritic, NetworkSettings


class A2CSettings(AgentSettings):
    name: Literal["a2c"] = "a2c"
    discount: float = 0.97
    network: NetworkSettings = NetworkSettings()


class A2C(Agent):
    Settings = A2CSettings

    def __init__(self, settings, spec):
        self.settings, self.network = settings, ActorCritic(spec, settings.network)

    def act(self, observation, generator):
        logits, _ = self.network(observation)
        return sample(logits, generator), logits

    def loss(self, batch: Batch):
        logits, values = self.network(batch.observation)
        target, targets = values[-1].detach(), []
        for t in reversed(range(len(batch.reward))):
            ended = batch.terminated[t] | batch.truncated[t]
            target = batch.reward[t] + self.settings.discount * torch.where(ended, 0.0, target)
            targets.insert(0, target)
        errors = torch.stack(targets) - values[:-1]
        loss = losses.policy_gradient_loss(logits[:-1], batch.action, errors, "sum")
        return loss + losses.baseline_loss(errors, "sum"), {"error": errors.detach().mean()}
'''


def test_an_agent_of_somebody_elses(veldt):
    """The README's way to an agent of your own: one file, one entry point."""
    other = veldt.folder / "other"
    metadata = other / "my_agents-1.0.dist-info"
    metadata.mkdir(parents=True)
    (other / "my_agents.py").write_text(MY_AGENT)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-agents\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[veldt.agents]\na2c = my_agents:A2C\n")
    veldt.environment["PYTHONPATH"] += f":{other}"
    assert "a2c" in veldt("list", "agents").stdout
    recipe = veldt.folder / "mine.toml"
    recipe.write_text('frames = 8000\nenvironment = {id = "CartPole-v1"}\nagent = {name = "a2c"}')
    summary = veldt.summary("train", recipe, "--out", "run")
    assert summary["agent"] == "a2c" and summary["episodes"] > 50
    assert veldt.summary("evaluate", "run", "--episodes", 5)["episodes"] == 5
    wrong = veldt("train", recipe, "--out", "other-run", "--set", "agent.discont=1")
    assert wrong.returncode == 2 and "'discount'" in wrong.stderr


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
