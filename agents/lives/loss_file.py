"""A learned loss as a file: its numbers, what it is for, and where it comes from.

One safetensors file; `WORD` in its metadata is JSON.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from veldt.agents.lives.anatomy import Anatomy
from veldt.agents.lives.catalogue import kind_of, memory_of, parse
from veldt.agents.lives.settings import LifeSettings
from veldt.platform.checkpoints import load_arrays
from veldt.platform.envs.vector import Actions, EnvironmentSpec
from veldt.platform.errors import BrokenCheckpoint, InputError, VeldtError
from veldt.platform.settings import Settings

WORD = "veldt.loss"
NUMBERS, POLICY = "loss", "policy"  # the names of the arrays


@dataclasses.dataclass(frozen=True)
class Frozen:
    """A loss that is not evolved any more."""

    parameters: NDArray[np.float32]  # [Q]
    settings: Any
    life: LifeSettings
    """that it was evolved in"""
    observation: int
    actions: Actions
    provenance: dict[str, Any]
    """the search it comes from"""
    policy: NDArray[np.float32] | None = None
    """first weights of agents' policies that were evolved with it, as `Anatomy` lays them"""

    def anatomy(
        self, hidden: tuple[int, ...] | None = None, spec: EnvironmentSpec | None = None
    ) -> Anatomy:
        """Agents that can descend it.

        Args:
            hidden: Widths of their layers; None: as it was evolved with.
            spec: That they live in, for losses of any shape; None: where it was evolved.
        """
        kind = kind_of(self.settings)
        elsewhere = spec is not None and kind.any_shape
        return Anatomy(
            spec.observations.shape[0] if spec and elsewhere else self.observation,
            spec.actions if spec and elsewhere else self.actions,
            self.life.hidden if hidden is None else hidden,
            value=kind.value,
            memory=memory_of(self.settings),
        )

    def demand_fit(self, spec: EnvironmentSpec) -> None:
        """Raises `InputError` if it is not for this environment's shapes."""
        if kind_of(self.settings).any_shape:
            return
        shape, actions = spec.observations.shape, spec.actions
        same = (actions.kind, actions.counts, len(actions.low)) == (
            self.actions.kind,
            self.actions.counts,
            len(self.actions.low),
        )
        if shape != (self.observation,) or not same:
            raise InputError(
                f"this loss is for {self.observation} numbers seen and "
                f"{self.actions.description}; {spec.id} shows {list(shape)} and takes "
                f"{actions.description}."
            )


def words(
    settings: Settings, life: LifeSettings, observation: int, actions: Actions
) -> dict[str, str]:
    """The metadata that say what a loss is for."""
    content = {
        "loss": settings.dump(),
        "life": life.dump(),
        "observation": observation,
        "actions": dataclasses.asdict(actions),
    }
    return {WORD: json.dumps(content)}


def load(path: Path) -> Frozen:
    """The loss in a file.

    Raises:
        InputError: if there is no such file.
        BrokenCheckpoint: if it is damaged, or holds no loss.
    """
    if not path.is_file():
        raise InputError(f"{path}: there is no such file.")
    arrays, metadata = load_arrays(path)
    try:
        found: Mapping[str, Any] = json.loads(metadata[WORD])
        actions: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in found["actions"].items()
        }
        frozen = Frozen(
            arrays[NUMBERS].astype(np.float32),
            parse(found["loss"]),
            LifeSettings.parse(found["life"]),
            int(found["observation"]),
            Actions(**actions),
            json.loads(metadata.get("veldt.search", "{}")),
            arrays[POLICY].astype(np.float32) if POLICY in arrays else None,
        )
        size = kind_of(frozen.settings).network(frozen.settings, frozen.anatomy()).size
    except (KeyError, TypeError, ValueError, AttributeError, VeldtError) as error:
        raise BrokenCheckpoint(f"{path}: this is no learned loss ({error!r}).") from error
    if frozen.parameters.shape != (size,) or not np.isfinite(frozen.parameters).all():
        raise BrokenCheckpoint(f"{path}: expected {size} finite numbers of a loss.")
    if frozen.policy is not None:
        size = frozen.anatomy().policy_size
        if frozen.policy.shape != (size,) or not np.isfinite(frozen.policy).all():
            raise BrokenCheckpoint(f"{path}: expected {size} finite first weights of a policy.")
    return frozen
