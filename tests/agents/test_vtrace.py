"""V-trace against its literal twin, the published vectors and its identities."""

import literal_vtrace
import numpy as np
import pytest
import torch

from veldt.agents import vtrace

T, B = 9, 40


def problem(seed=0, endings=True):
    """Ratios from 0.05 to 20, so that every threshold is crossed; episodes end inside."""
    random = np.random.default_rng(seed)
    terminated = random.random((T, B)) < (0.15 if endings else 0.0)
    truncated = (random.random((T, B)) < (0.15 if endings else 0.0)) & ~terminated
    return {
        "log_rhos": np.log(np.geomspace(0.05, 20.0, T * B))[random.permutation(T * B)].reshape(
            T, B
        ),
        "discounts": np.where(terminated, 0.0, random.choice([0.9, 0.99, 1.0], (T, B))),
        "rewards": random.normal(size=(T, B)),
        "values": random.normal(size=(T, B)) * 3,
        "bootstrap_value": random.normal(size=B) * 3,
        "truncated": truncated,
        "final_values": np.where(truncated, random.normal(size=(T, B)) * 3, np.nan),
    }


def solve(data, **thresholds):
    return vtrace.from_importance_weights(
        **{name: torch.from_numpy(value) for name, value in data.items()}, **thresholds
    )


def double_sum(data, **rest):
    """The literal twin's vs and advantages, column by column; both [T, B] in float64."""
    columns = [
        literal_vtrace.vtrace(
            **{
                name: value[b].item() if name == "bootstrap_value" else value[:, b].tolist()
                for name, value in data.items()
            },
            **rest,
        )
        for b in range(B)
    ]
    return np.stack(columns, -1)


@pytest.mark.parametrize("lambda_", [1.0, 0.9, 0.0])
@pytest.mark.parametrize(
    ("rho_bar", "pg_rho_bar", "c_bar"), [(1.0, 1.0, 1.0), (3.7, 2.2, 1.0), (10.0, 1.0, 5.0)]
)
def test_equals_the_double_sum(rho_bar, pg_rho_bar, c_bar, lambda_):
    data = problem()
    assert data["truncated"].sum() > 20 and (data["discounts"] == 0).sum() > 20
    thresholds = {"rho_bar": rho_bar, "pg_rho_bar": pg_rho_bar, "c_bar": c_bar}
    vs, advantages = double_sum(data, **thresholds, lambda_=lambda_)
    named = {f"clip_{name[:-4]}_threshold": value for name, value in thresholds.items()}
    narrow = {n: x if x.dtype == bool else x.astype(np.float32) for n, x in data.items()}
    for given, tolerance in ((data, 1e-12), (narrow, 1e-5)):
        got = solve(given, **named, lambda_=lambda_)
        assert got.vs.numpy().dtype == got.pg_advantages.numpy().dtype == given["values"].dtype
        for ours, twin in zip(got, (vs, advantages), strict=True):
            relative = tolerance if given is narrow else 0
            np.testing.assert_allclose(ours, twin, rtol=relative, atol=tolerance)


# Published with rlax's own test (github.com/google-deepmind/rlax, rlax/_src/vtrace_test.py), two
# trajectories [B, T]: the inputs, and `_expected_td` and `_expected_pg`, which are ERRORS and
# ADVANTAGES_AT_1 in float32. All results here are in float64, by an independent direct sum.
PUBLISHED = {
    "behaviour_policy_logits": [
        [[8.9, 0.7], [5.0, 1.0], [0.6, 0.1], [-0.9, -0.1]],
        [[0.3, -5.0], [1.0, -8.0], [0.3, 1.7], [4.7, 3.3]],
    ],
    "target_policy_logits": [
        [[0.4, 0.5], [9.2, 8.8], [0.7, 4.4], [7.9, 1.4]],
        [[1.0, 0.9], [1.0, -1.0], [-4.3, 8.7], [0.8, 0.3]],
    ],
    "actions": [[0, 1, 0, 0], [1, 0, 0, 1]],
    "rewards": [[-1.3, -1.3, 2.3, 42.0], [1.3, 5.3, -3.3, -5.0]],
    "discounts": [[0.0, 0.89, 0.85, 0.99], [0.88, 1.0, 0.83, 0.95]],
    "values": [[2.1, 1.1, -3.1, 0.0], [3.1, 0.1, -1.1, 7.4]],
}
RATIOS = [
    [0.47515128, 22.312224, 0.038760800, 3.2206988],
    [95.639175, 0.88090578, 1.1426391e-05, 1.9085436],
]
ERRORS = [
    [-1.6155143, -3.4973223, 1.8670535, 50.316],
    [1.4662434, 3.6116402, -8.3369236e-05, -13.54],
]
ADVANTAGES_AT_1 = ERRORS  # both weights are min(1, ratio), and v_{s+1} is what the sum has
ADVANTAGES_AT_5 = [
    [-1.6155143, -17.486612, 1.8670535, 162.05268],
    [7.3312171, 3.6116402, -8.3369236e-05, -25.84168],
]
VS_AT_3_7 = [
    [0.48448565, -13.050219, 2.4484061, 162.05268],
    [-0.056247025, 3.7115375, -1.1002, -18.44168],
]
ADVANTAGES_AT_3_7_AND_2_2 = [
    [-1.6155143, -0.48602087, 5.5484061, 110.6952],
    [3.2255365, 3.6115375, -2.000372e-04, -25.84168],
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_published_vectors(dtype):
    data = {
        name: torch.tensor(value, dtype=torch.int64 if name == "actions" else dtype).transpose(
            0, 1
        )
        for name, value in PUBLISHED.items()
    }
    data["bootstrap_value"] = torch.tensor([8.4, -1.2], dtype=dtype)
    plain, at_5 = (vtrace.from_logits(**data, clip_pg_rho_threshold=bar) for bar in (1.0, 5.0))
    loose = vtrace.from_logits(**data, clip_rho_threshold=3.7, clip_pg_rho_threshold=2.2)
    near = {"rtol": 1e-5, "atol": 1e-7 if dtype == torch.float64 else 1e-5, "check_dtype": False}
    for ours, published in (
        (plain.log_rhos.exp(), RATIOS),
        (plain.vs - data["values"], ERRORS),
        (plain.pg_advantages, ADVANTAGES_AT_1),
        (at_5.pg_advantages, ADVANTAGES_AT_5),
        (loose.vs, VS_AT_3_7),
        (loose.pg_advantages, ADVANTAGES_AT_3_7_AND_2_2),
    ):
        torch.testing.assert_close(ours.T, torch.tensor(published), **near)


def test_arguments_by_place_are_the_released_codes():
    """scalable_agent/vtrace.py: after bootstrap_value come rho-bar and that of the gradient."""
    data = {name: torch.from_numpy(value) for name, value in problem(endings=False).items()}
    del data["truncated"], data["final_values"]
    named = vtrace.from_importance_weights(
        **data, clip_rho_threshold=3.0, clip_pg_rho_threshold=2.0, clip_c_threshold=1.5
    )
    placed = vtrace.from_importance_weights(*data.values(), 3.0, 2.0, 1.5)
    torch.testing.assert_close(placed, named, rtol=0, atol=0)
    torch.manual_seed(0)
    behaviour, target = torch.randn(2, T, B, 5, dtype=torch.float64).unbind(0)
    given = (behaviour, target, torch.randint(5, (T, B)), *list(data.values())[1:])
    far = vtrace.from_logits(*given, 3.0, 2.0)
    expected = vtrace.from_importance_weights(far.log_rhos, *given[3:], 3.0, 2.0)
    torch.testing.assert_close(far[:2], tuple(expected), rtol=0, atol=0)
    log_rhos = far.target_action_log_probs - far.behaviour_action_log_probs
    torch.testing.assert_close(far.log_rhos, log_rhos, rtol=0, atol=0)


def test_on_policy_is_the_n_step_return():
    data = problem(endings=False) | {"log_rhos": np.zeros((T, B))}
    got = solve(data)
    target = data["bootstrap_value"]
    for t in reversed(range(T)):
        target = data["rewards"][t] + data["discounts"][t] * target
        np.testing.assert_allclose(got.vs[t], target, atol=1e-12)


@pytest.mark.parametrize("threshold", [np.inf, None])
def test_without_thresholds_it_is_plain_importance_sampling(threshold):
    """Per decision: v_s = V + rho (r + gamma v' - V), whose sum weighs step t by the product of
    all ratios up to it; without a V it is the ordinary estimate of the return."""
    names = ("clip_rho_threshold", "clip_pg_rho_threshold", "clip_c_threshold")
    data, open_ = problem(endings=False), dict.fromkeys(names, threshold)
    got, ratio = solve(data, **open_), np.exp(data["log_rhos"])
    after = data["bootstrap_value"]
    for t in reversed(range(T)):
        target = data["rewards"][t] + data["discounts"][t] * after
        advantage = ratio[t] * (target - data["values"][t])
        after = data["values"][t] + advantage
        np.testing.assert_allclose(got.pg_advantages[t], advantage, rtol=1e-10, atol=1e-10)
        np.testing.assert_allclose(got.vs[t], after, rtol=1e-10, atol=1e-10)
    blind = data | {"values": np.zeros((T, B)), "bootstrap_value": np.zeros(B)}
    weight, expected = np.ones(B), np.zeros(B)
    for t in range(T):
        weight = weight * ratio[t]
        expected += weight * data["rewards"][t]
        weight = weight * data["discounts"][t]
    np.testing.assert_allclose(solve(blind, **open_).vs[0], expected, rtol=1e-10, atol=1e-10)


def test_a_cut_at_an_episodes_end_equals_two_runs():
    data = problem(endings=False)
    cut = 4
    data["truncated"][cut - 1] = True
    data["final_values"] = np.where(data["truncated"], 1.5, np.nan)
    whole = solve(data)
    head = {n: v if n == "bootstrap_value" else v[:cut] for n, v in data.items()}
    tail = {n: v if n == "bootstrap_value" else v[cut:] for n, v in data.items()}
    head["bootstrap_value"] = np.full(B, 1.5)
    head["truncated"] = np.zeros_like(head["truncated"])
    for name in ("vs", "pg_advantages"):
        pieces = torch.cat([getattr(solve(head), name), getattr(solve(tail), name)])
        torch.testing.assert_close(getattr(whole, name), pieces, rtol=0, atol=1e-12)


def test_the_next_episode_is_never_read():
    data = problem(endings=False)
    data["truncated"][3] = True
    data["final_values"] = np.where(data["truncated"], 0.5, np.nan)
    before = solve(data)
    for name in ("rewards", "values", "log_rhos"):
        data[name][4:] += 7.0
    after = solve(data)
    torch.testing.assert_close(before.vs[:4], after.vs[:4], rtol=0, atol=0)
    torch.testing.assert_close(before.pg_advantages[:4], after.pg_advantages[:4], rtol=0, atol=0)
    assert not torch.equal(before.vs[4:], after.vs[4:])


def test_extra_trailing_dimensions():
    data = problem()
    wide = {name: np.stack([value, value], -1) for name, value in data.items()}
    torch.testing.assert_close(solve(wide).vs[..., 1], solve(data).vs, rtol=0, atol=0)


def test_from_logits_is_from_importance_weights():
    torch.manual_seed(0)
    behaviour, target = torch.randn(2, T, B, 5, dtype=torch.float64).unbind(0)
    actions = torch.randint(5, (T, B))
    data = problem(endings=False)
    del data["truncated"], data["final_values"]
    tensors = {name: torch.from_numpy(value) for name, value in data.items() if name != "log_rhos"}
    got = vtrace.from_logits(behaviour, target, actions, **tensors)
    pi = torch.softmax(target, -1).gather(-1, actions[..., None])[..., 0]
    mu = torch.softmax(behaviour, -1).gather(-1, actions[..., None])[..., 0]
    expected = vtrace.from_importance_weights((pi / mu).log(), **tensors)
    torch.testing.assert_close(got.vs, expected.vs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_logits_in_half_precision_are_widened_before_their_softmax(dtype):
    torch.manual_seed(0)
    behaviour, target = (4 * torch.randn(2, T, B, 5)).to(dtype).unbind(0)
    actions, data = torch.randint(5, (T, B)), problem(endings=False)
    rest = {
        name: torch.from_numpy(data[name]).float()
        for name in ("discounts", "rewards", "values", "bootstrap_value")
    }
    got = vtrace.from_logits(behaviour, target, actions, **rest)
    exact = vtrace.from_logits(behaviour.double(), target.double(), actions, **rest)
    assert got.vs.dtype == got.log_rhos.dtype == torch.float32
    torch.testing.assert_close(got, exact, rtol=1e-5, atol=1e-5, check_dtype=False)


def test_targets_carry_no_gradient():
    data = {name: torch.from_numpy(value) for name, value in problem().items()}
    data["values"].requires_grad_()
    got = vtrace.from_importance_weights(**data)
    assert not got.vs.requires_grad and not got.pg_advantages.requires_grad


@pytest.mark.parametrize("name", ["log_rhos", "discounts", "rewards", "bootstrap_value"])
def test_shapes_that_do_not_fit_are_refused(name):
    data = problem()
    data[name] = data[name][..., :1]
    with pytest.raises(ValueError, match=name):
        solve(data)


def test_truncated_without_final_values_is_refused():
    with pytest.raises(ValueError, match="final_values"):
        solve({n: v for n, v in problem().items() if n != "final_values"})


# A two-armed bandit whose arms pay 1 and 0, seen through mu, which pulls the second nine
# times in ten; the value of pi, which pulls the first nine times in ten, is 0.9. With the
# thresholds out of the way V-trace finds it; without the correction one finds mu's 0.1.
@pytest.mark.parametrize(("corrected", "expected"), [(True, 0.9), (False, 0.1)])
def test_values_of_another_policy_are_learnt_by_the_correction_only(corrected, expected):
    torch.manual_seed(0)
    mu, pi = torch.tensor([0.1, 0.9]), torch.tensor([0.9, 0.1])
    value = torch.zeros(())
    for _ in range(300):
        actions = torch.multinomial(mu, 256, replacement=True)[None]
        ratios = (pi / mu)[actions] if corrected else torch.ones(1, 256)
        got = vtrace.from_importance_weights(
            ratios.log(),
            torch.zeros(1, 256),
            (actions == 0).float(),
            value.expand(1, 256),
            torch.zeros(256),
            clip_rho_threshold=None,
        )
        value = value + 0.05 * (got.vs.mean() - value)
    assert abs(float(value) - expected) < 0.06


def test_half_precision_is_rounded_once():
    data = {name: torch.from_numpy(value) for name, value in problem().items()}
    rounded = {n: x if n == "truncated" else x.bfloat16() for n, x in data.items()}
    wide = {n: x if n == "truncated" else x.float() for n, x in rounded.items()}
    got, expected = (vtrace.from_importance_weights(**d) for d in (rounded, wide))
    for ours, theirs in zip(got, expected, strict=True):
        assert ours.dtype == torch.bfloat16
        torch.testing.assert_close(ours, theirs.bfloat16(), rtol=0, atol=0)


@pytest.mark.parametrize(
    "backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_compiled_it_says_the_same(backend, dtype):
    data = {name: torch.from_numpy(value) for name, value in problem().items()}
    data = {name: x if name == "truncated" else x.to(dtype) for name, x in data.items()}
    compiled = torch.compile(vtrace.from_importance_weights, backend=backend, fullgraph=True)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-2
    for ours, theirs in zip(compiled(**data), vtrace.from_importance_weights(**data), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=tolerance, atol=tolerance)
