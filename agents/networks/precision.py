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
    """Whether this machine has matrix units for bfloat16; without them it is much slower."""
    if device == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    capabilities: dict[str, Any] = getattr(
        torch.cpu, "get_capabilities", dict
    )()  # from torch 2.10 on
    return bool(capabilities.get("amx_bf16", False))
