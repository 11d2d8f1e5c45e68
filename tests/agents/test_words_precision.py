"""Texts are read in float32, whatever the images beside them are read in."""

import numpy as np
import torch
from gymnasium import spaces

from veldt.agents.conformance import synthetic_trajectory
from veldt.agents.networks.actor_critic import ActorCritic, initialise
from veldt.agents.networks.settings import NetworkSettings
from veldt.agents.staging import to_batch
from veldt.platform.envs.parts import packed
from veldt.platform.envs.vector import EnvironmentSpec, discrete

SHOWN, _ = packed(
    spaces.Dict({"image": spaces.Box(0, 255, (40, 40, 3), np.uint8), "mission": spaces.Text(40)})
)
SPEC = EnvironmentSpec("w", SHOWN, discrete(3), 1)


def keep(read, at):
    def hook(module, given, out):  # the first call's; what a hook returns would replace it
        read.setdefault(at, out.detach())

    return hook


def test_words_are_read_in_float32_beside_an_image_in_bfloat16():
    read, said = {}, {}
    for precision in ("float32", "bfloat16"):
        settings = NetworkSettings(precision=precision)
        network = initialise(lambda settings=settings: ActorCritic(SPEC, settings), 0)
        for kind, torso in zip(("image", "words"), network.torso.torsos, strict=True):
            torso.register_forward_hook(keep(read, (precision, kind)))
        batch = to_batch(synthetic_trajectory(SPEC, 5, 4, 0, 3), torch.device("cpu"))
        said[precision] = network.unroll(batch)
        said[precision].value.sum().backward()
        words = network.torso.torsos[1]
        assert all(p.grad.dtype == torch.float32 for p in words.parameters())
    torch.testing.assert_close(read["bfloat16", "words"], read["float32", "words"], rtol=0, atol=0)
    assert read["bfloat16", "image"].dtype == torch.bfloat16
    torch.testing.assert_close(said["bfloat16"], said["float32"], rtol=0.05, atol=0.02)
