"""How much of the disk a study's checkpoints may take: see `retention.py`."""

import pydantic

from veldt.platform.settings import Settings


class KeepSettings(Settings):
    """How much of the disk checkpoints may take."""

    gigabytes: float | None = pydantic.Field(None, gt=0.0)
    """Of all trials together; None: those stay that may be of use"""
    best: int = pydantic.Field(5, ge=1, le=1_000_000)
    """The best so many trials keep theirs, whatever that takes"""
