"""Unrolls on their way to the learner's device, and side by side there."""

import numpy as np
import pytest
import torch

from veldt.agents.conformance import synthetic_trajectory
from veldt.agents.staging import Staging, side_by_side, to_batch
from veldt.platform.envs.vector import EnvironmentSpec, Observations, discrete
from veldt.platform.trajectory import stack

STACKED = EnvironmentSpec("s", Observations((4, 40, 36), "uint8", stack=4), discrete(3), 4)
PLAIN = EnvironmentSpec("p", Observations((5,), "float32"), discrete(3), 1)
DEVICES = [
    "cpu",
    pytest.param(
        "cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
    ),
]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("widths", [(2, 1, 3), (4,)])
@pytest.mark.parametrize("spec", [STACKED, PLAIN], ids=lambda spec: spec.id)
def test_side_by_side_they_are_as_stacked_before(spec, widths, device):
    unrolls = [synthetic_trajectory(spec, 7, B, B, policy_size=3, state_size=2) for B in widths]
    assert sum(len(unroll.final_index) for unroll in unrolls) > 0
    expected = to_batch(stack(unrolls), torch.device("cpu"))
    staging = Staging(torch.device(device))
    parts = [staging.begin(unroll) for unroll in unrolls]
    if staging.ahead:
        overwrite(unrolls)
    batch = staging.batch(parts)
    overwrite(unrolls)
    for name, got in batch._asdict().items():
        np.testing.assert_array_equal(got.cpu(), getattr(expected, name), err_msg=name)


def test_tensors_are_stacked_as_arrays_are():
    unrolls = [synthetic_trajectory(STACKED, 7, B, B, policy_size=3, state_size=2) for B in (2, 3)]
    parts = [{n: torch.from_numpy(a) for n, a in unroll.arrays().items()} for unroll in unrolls]
    expected = stack(unrolls).arrays()
    for name, got in side_by_side(parts).items():
        np.testing.assert_array_equal(got, expected[name], err_msg=name)


def overwrite(unrolls):
    """What an actor does with memory that it was given back."""
    for unroll in unrolls:
        for array in unroll.arrays().values():
            array[...] = 1
