"""Whether a torso computes in bfloat16: where it is asked for, or where it is the faster."""

import functools
from typing import Any, Literal

import torch

Precision = Literal["auto", "float32", "bfloat16"]


def in_bfloat16(precision: Precision, device: str) -> bool:
    """Whether a setting means bfloat16 on a type of device, "cpu" or "cuda"."""
    return precision == "bfloat16" or (precision == "auto" and is_fast(device))


@functools.cache
def is_fast(device: str) -> bool:
    """Whether this machine multiplies in bfloat16; without the instructions it is much slower.

    With AVX-512's dot products (Zen 4 and 5, Cooper Lake) as with AMX's tiles: measured on a Zen 5
    at 1.8 times float32's frames in the whole of an update.
    """
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: dict[str, Any] = getattr(
        torch.cpu, "get_capabilities", dict
    )()  # from torch 2.10 on
    return any(capabilities.get(name, False) for name in ("amx_bf16", "avx512_bf16"))
