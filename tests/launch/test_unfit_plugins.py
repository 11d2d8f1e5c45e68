"""Plug-ins that are not what they are offered as: an error of ours, and no folder."""

import pytest

CODE = """
from veldt.agents.agent import AgentSettings
from veldt.agents.networks.cores import GRU
from veldt.agents.networks.heads import CategoricalHead

class Wide(GRU):
    def step(self, x, state):
        out, after = super().step(x, state)
        return out, after.repeat(1, 2)

class Flat(GRU):
    def step(self, x, state):
        out, after = super().step(x, state)
        return out[0], after

class Mute:
    Settings = AgentSettings

class Rainbow: pass

number = 3
"""
OFFERED = """[veldt.networks]
wide = unfit:Wide
flat = unfit:Flat
number = unfit:number
[veldt.agents]
rainbow = unfit:Rainbow
mute = unfit:Mute
number = unfit:number
"""


@pytest.fixture
def unfit(veldt):
    other = veldt.folder / "unfit"
    metadata = other / "unfit-1.0.dist-info"
    metadata.mkdir(parents=True)
    (other / "unfit.py").write_text(CODE)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: unfit\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(OFFERED)
    veldt.environment["PYTHONPATH"] += f":{other}"
    return veldt


def refused(veldt, *line):
    done = veldt(*line)
    said = " ".join(done.stderr.split())
    assert done.returncode == 2 and "Traceback" not in said, said
    assert not (veldt.folder / "run").exists()
    return said


@pytest.mark.parametrize(
    "core, words",
    [
        ("wide", "'wide' says state_size 8, .* must be [1, 8]; it is [1, 16]"),
        ("flat", "'flat': the policy of a step of one environment must be [1, P]; it is [2]"),
    ],
)
def test_a_core_whose_shapes_are_others_is_refused_before_it_trains(unfit, core, words):
    settings = (f"agent.network.core={core}", "agent.network.core_size=8")
    sets = [word for setting in settings for word in ("--set", setting)]
    said = refused(unfit, "train", "cartpole", *sets, "--out", "run")
    for part in ("agent.network.core", *words.split(" .* ")):
        assert part in said


@pytest.mark.parametrize(
    "line, words",
    [
        ("train cartpole --set agent.name=rainbow", "agents: 'rainbow' has no Settings.parse"),
        ("train cartpole --set agent.name=mute", "agents: 'mute' has no act, losses"),
        ("train cartpole --set agent.name=number", "agents: 'number' cannot be called"),
        ("train cartpole --set agent.network.core=number", "networks: 'number' cannot be called"),
        ("train cartpole --set agent.network.torso=number", "networks: 'number' cannot be called"),
        ("check agent rainbow", "agents: 'rainbow' has no Settings.parse, act, losses;"),
        ("check agent impala --set network.core=number", "networks: 'number' cannot be called"),
    ],
)
def test_a_plugin_of_the_wrong_kind_is_named_with_its_group_and_distribution(unfit, line, words):
    out = ["--out", "run"] if line.startswith("train") else []
    said = refused(unfit, *line.split(), *out)
    kind, name, wrong = words.split(" ", 2)
    assert f"{kind} {name}, of the distribution unfit 1.0, is " in said and wrong in said
    assert f"the group veldt.{kind[:-1]} is for" in said
