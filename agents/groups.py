"""The environments of an actor in groups: while one group steps, the agent acts for another.

receive group 0   act   send  | receive group 1   act   send  | receive group 0 ...
                          `----- group 0 steps ------'
"""

import concurrent.futures
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from veldt.agents.inputs import Inputs, Memory
from veldt.platform.envs.vector import PartOfVector, Step, SteppedAside, VectorEnvironment
from veldt.platform.errors import EnvironmentFault
from veldt.platform.keys import Key
from veldt.platform.whereabouts import Traced, Whereabouts


class Group:
    """Some of an actor's environments, stepped together while others are thought about.

    Args:
        environments: A vector of them.
        rows: Which they are of the actor's.
        alone: Whether there are no others.
        where: The actor's whereabouts.
        state_size: Of the agent.
    """

    def __init__(
        self,
        environments: VectorEnvironment,
        rows: slice,
        alone: bool,
        where: Whereabouts,
        state_size: int,
    ) -> None:
        self.rows, self._alone, self._state_size = rows, alone, state_size
        self._environments = environments
        size = environments.size
        if isinstance(environments, Traced):
            environments.trace(where if alone else where.part(rows.start, size))
        self.spec = environments.spec
        self._aside: SteppedAside | None = None
        if isinstance(environments, SteppedAside):
            self._aside = environments
        elif not alone:
            self._aside = Thread(environments)
        self._action: NDArray[Any] = np.empty(0)
        self.now: NDArray[Any] | None = None
        self.memory = self._nothing()

    def _nothing(self) -> Memory:
        return Memory(self.spec, self._environments.size, self._state_size)

    def begin(self, key: Key) -> None:
        """New episodes."""
        environments = self._environments
        if self._alone:
            self.now = environments.reset(key)
        elif isinstance(environments, PartOfVector):
            self.now = environments.reset_from(key, self.rows.start)
        else:
            raise EnvironmentFault(f"{self.spec.id} cannot be played in groups: actors.groups = 1")
        self.memory = self._nothing()

    def inputs(self) -> Inputs:
        """What the agent acts on."""
        if self.now is None:
            raise RuntimeError("begin episodes first")
        return self.memory.inputs(self.now)

    def send(self, action: NDArray[Any]) -> None:
        """Begins a step."""
        self._action = action
        if self._aside is not None:
            self._aside.send(action)

    def receive(self, state: torch.Tensor) -> Step:
        """Ends it.

        Args:
            state: Recurrent, of the agent after it acted.
        """
        aside = self._aside
        step = self._environments.step(self._action) if aside is None else aside.receive()
        self.memory.keep(self._action, state, step)
        self.now = step.observation
        return step

    def close(self) -> None:
        if isinstance(self._aside, Thread):
            self._aside.close()
        self._environments.close()


class Thread:
    """Steps a vector that has no threads of its own on one."""

    def __init__(self, environments: VectorEnvironment) -> None:
        self._environments = environments
        self._pool = concurrent.futures.ThreadPoolExecutor(1)
        self._step: concurrent.futures.Future[Step] | None = None

    def send(self, action: NDArray[np.generic]) -> None:
        self._step = self._pool.submit(self._environments.step, action)

    def receive(self) -> Step:
        if self._step is None:
            raise RuntimeError("send actions first")
        return self._step.result()

    def close(self) -> None:
        self._pool.shutdown()
