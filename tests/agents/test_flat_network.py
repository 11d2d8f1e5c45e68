"""Networks of our agents as flat vectors, and their way back into an agent."""

import numpy as np
import pytest
import torch

from veldt.agents import flat_network
from veldt.agents.build import environment_spec, make_agent
from veldt.agents.es_atari_network import ESAtariNetwork
from veldt.agents.evaluate import EvaluationSettings, evaluate, load_run
from veldt.agents.flat_network import FlatNetwork, FlatNetworkSettings, export
from veldt.agents.inputs import Memory
from veldt.agents.settings import TrainSettings
from veldt.platform.envs.single import make_single
from veldt.platform.envs.vector import EnvironmentSpec, Observations, discrete
from veldt.platform.errors import FolderTaken, InputError
from veldt.platform.keys import Key
from veldt.search.problems.episodes import Episodes, EpisodesSettings
from veldt.search.problems.policies.catalogue import POLICIES
from veldt.search.problems.policies.policy import Policy
from veldt.search.problems.problem import Members

ENVIRONMENT = EnvironmentSpec("e", Observations((4,), "float32"), discrete(2), 1)
TRAIN = {"environment": {"id": "CartPole-v1"}, "frames": 1000}


@pytest.fixture(scope="module")
def spec():
    single = make_single("CartPole-v1", {})
    yield single.spec
    single.close()


def policy_of(spec, clip=None, **settings):
    policy: Policy = FlatNetwork(FlatNetworkSettings(**settings), spec, clip)
    return policy


def agent_of(**network):
    settings = TrainSettings.parse(TRAIN | {"agent": {"network": network}})
    return make_agent(settings, environment_spec(settings)), settings


def logits(agent, observations):
    memory = Memory(ENVIRONMENT, len(observations), 0)
    if observations.dtype == np.float64:
        observations = np.float32(observations)
    with torch.inference_mode():
        return agent.act(memory.inputs(observations), None).policy.numpy()


def parameters_of(policy, seed=0):
    return policy.start(Key(seed)) + 0.3 * np.random.default_rng(seed).normal(size=policy.size)


IDENTITY = np.zeros(4), np.ones(4)


@pytest.mark.parametrize("activation", ["tanh", "relu"])
def test_it_is_the_agents_network(spec, activation):
    policy = policy_of(spec, hidden=(8, 16), activation=activation)
    agent, _ = agent_of(hidden=[8, 16], activation=activation)
    parameters = parameters_of(policy)
    policy.load(parameters, *IDENTITY)
    agent.network.load_state_dict(
        {name: torch.from_numpy(array) for name, array in policy.named(parameters).items()}
    )
    assert policy.size == 8 * 5 + 16 * 9 + 2 * 17
    observations = np.random.default_rng(1).normal(size=(20, 4))
    for row in observations:
        act = policy.act(row)
        assert act.dtype == np.float64
        np.testing.assert_allclose(act, logits(agent, row[None])[0], rtol=1e-5, atol=1e-6)
    modules = policy_of(spec, hidden=(8, 16), activation=activation)
    modules.load(parameters, *IDENTITY)
    modules._hidden = None  # as with any other torso
    np.testing.assert_allclose(modules.act(row), act, rtol=1e-5, atol=1e-6)
    assert not agent.network.value.weight.any()


def test_every_parameter_counts_and_is_copied(spec):
    policy, row = policy_of(spec, hidden=(3,)), np.array([0.3, -0.2, 0.5, 0.1])
    parameters = parameters_of(policy)
    policy.load(parameters, *IDENTITY)
    before = policy.act(row)
    parameters += 1.0
    np.testing.assert_array_equal(policy.act(row), before)
    parameters -= 1.0
    for i in range(policy.size):
        moved = parameters.copy()
        moved[i] += 0.5
        policy.load(moved, *IDENTITY)
        assert not np.array_equal(policy.act(row), before), i


def test_a_start_is_the_agents_and_the_keys(spec):
    policy = policy_of(spec)
    one, same, other = (policy.start(Key(seed)) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
    agent, settings = agent_of()
    network = {k: v for k, v in agent.network.state_dict().items() if "value" not in k}
    key = Key(settings.seed).child("network")
    flat = np.concatenate([part.numpy().ravel() for part in network.values()])
    np.testing.assert_array_equal(policy.start(key), flat)


def test_the_filter_comes_before_the_network(spec):
    mean, scale = np.array([1.0, -2.0, 0.5, 0.0]), np.array([2.0, 0.1, 0.0, 30.0])
    filtered, clipped, plain = policy_of(spec), policy_of(spec, clip=1.5), policy_of(spec)
    parameters = parameters_of(plain)
    filtered.load(parameters, mean, scale)
    clipped.load(parameters, mean, scale)
    plain.load(parameters, *IDENTITY)
    for row in np.random.default_rng(2).normal(size=(10, 4)):
        x = (row - mean) * scale
        np.testing.assert_array_equal(filtered.act(row), plain.act(x))
        np.testing.assert_array_equal(clipped.act(row), plain.act(x.clip(-1.5, 1.5)))


def test_what_a_search_finds_plays_as_an_agent(spec, tmp_path, monkeypatch):
    monkeypatch.setitem(POLICIES, "network", "veldt.agents.flat_network:FlatNetwork")
    settings = EpisodesSettings.parse(
        {
            "environment": {"id": "CartPole-v1"},
            "policy": {"name": "network", "hidden": [8]},
            "filter": {"enabled": False},
        }
    )
    problem = Episodes(settings, Key(0))
    best, fitness = problem.start, 0.0
    for seed in range(2000):  # random search finds a balance
        found = 2.0 * np.random.default_rng(seed).normal(size=len(problem.start))
        members = Members(range(1), lambda number, found=found: found, lambda n: Key(4))
        score = problem.evaluate(members, lambda: None)[0].fitness
        if score > fitness:
            best, fitness = found, score
        if fitness > 200.0:
            break
    assert fitness > 200.0
    mine = [problem.test(best, [Key(7).child("t", e)], lambda: None)[0].fitness for e in range(20)]
    train = TrainSettings.parse(TRAIN | {"agent": {"network": {"hidden": [8]}}})
    export(problem.policy(best), train, tmp_path / "run")
    problem.close()
    agent, loaded, update = load_run(tmp_path / "run")
    assert (loaded, update) == (train, 0)
    greedy = EvaluationSettings(episodes=20, policy="greedy")
    returns = evaluate(agent, loaded, greedy, Key(8)).returns
    spread = np.hypot(np.std(mine), np.std(returns)) / 20**0.5
    assert np.mean(returns) == pytest.approx(np.mean(mine), abs=4 * spread + 1e-9)
    with pytest.raises(FolderTaken):
        export(policy_of(spec, hidden=(8,)).named(best), train, tmp_path / "run")


def exported(arrays, folder, **network):
    _, settings = agent_of(**network)
    export(arrays, settings, folder)
    return load_run(folder)[0]


def test_a_filter_is_folded_into_the_exported_network(spec, tmp_path):
    mean, scale = np.array([1.0, -2.0, 0.5, 0.0]), np.array([2.0, 0.1, 0.0, 3.0])
    policy = policy_of(spec, hidden=(8,))
    parameters = parameters_of(policy)
    policy.load(parameters, mean, scale)
    arrays = policy.named(parameters) | {"filter.mean": mean, "filter.scale": scale}
    agent = exported(arrays, tmp_path / "run", hidden=[8])
    rows = np.random.default_rng(2).normal(size=(10, 4))
    expected = np.stack([policy.act(row) for row in rows])
    np.testing.assert_allclose(logits(agent, rows), expected, rtol=1e-4, atol=1e-5)
    unfiltered = exported(policy.named(parameters), tmp_path / "other", hidden=[8])
    assert np.abs(logits(unfiltered, rows) - expected).max() > 0.1


def test_another_network_is_refused(spec, tmp_path):
    policy = policy_of(spec, hidden=(8,))
    arrays = policy.named(policy.start(Key(0)))
    with pytest.raises(InputError, match=r"torso.layers.0.weight \(8, 4\), not \(9, 4\)"):
        exported(arrays, tmp_path / "run", hidden=[9])
    mean = {"filter.mean": np.zeros(5), "filter.scale": np.ones(5)}
    with pytest.raises(InputError, match="a filter of 5 numbers cannot be folded"):
        exported(arrays | mean, tmp_path / "run", hidden=[8])
    assert not (tmp_path / "run").exists()


def test_a_training_goes_on_from_an_exported_policy(spec, tmp_path):
    from veldt.agents.train import train

    policy = policy_of(spec)
    parameters = parameters_of(policy)
    settings = TrainSettings.parse(
        TRAIN | {"frames": 320, "actors": {"count": 1, "environments": 2, "unroll_length": 20}}
    )
    export(policy.named(parameters), settings, tmp_path / "run")
    summary = train(settings, tmp_path / "run", resume=True, tensorboard=False)
    assert summary["updates"] == 4
    agent, _, update = load_run(tmp_path / "run")
    assert update == 4
    moved = agent.network.torso.layers[0].weight.detach().numpy()
    before = policy.named(parameters)["torso.layers.0.weight"]
    assert 0.0 < np.abs(moved - before).max() < 0.1


def test_the_network_of_evolution_strategies_is_a_shallow_agents(tmp_path):
    generator = np.random.default_rng(0)
    reference = generator.integers(0, 255, (16, 4, 84, 84), dtype=np.uint8)
    network = ESAtariNetwork(3, reference)
    network.load(network.start(Key(0)) + 0.02 * generator.normal(size=network.size))
    settings = TrainSettings.parse({"environment": {"id": "atari/freeway"}, "frames": 1000})
    export(network.named(), settings, tmp_path / "run")
    agent = load_run(tmp_path / "run")[0]
    x = generator.integers(0, 255, (6, 4, 84, 84), dtype=np.uint8)
    got = logits(agent, x)
    np.testing.assert_allclose(got, network.logits(x), rtol=1e-4, atol=1e-5)


def test_it_names_the_head_that_does_not_act():
    agent, _ = agent_of()
    names = [name for name, _ in agent.network.named_parameters()]
    left = set(names) - set(flat_network._acting(agent.network))
    assert left == {"value.weight", "value.bias"}
