"""The learner: from a stacked trajectory to new weights."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from veldt.agents.agent import Agent
from veldt.agents.inputs import Batch
from veldt.agents.learner_group import LearnerGroup
from veldt.agents.optimizers import Adam, Optimizer, RMSProp, TorchRMSProp
from veldt.agents.settings import OptimizerSettings
from veldt.agents.stopwatch import Stopwatch
from veldt.platform.errors import BrokenCheckpoint, Diverged
from veldt.platform.keys import Key

Arrays = dict[str, NDArray[Any]]

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "rmsprop": RMSProp,
    "rmsprop-torch": TorchRMSProp,
    "adam": Adam,
}


class Learner:
    """The agent's network on its device, and the optimiser that moves it.

    Args:
        agent: Its network is moved to `device`.
        settings: Of the optimiser.
        device: Where the network lives.
        updates: Over which an annealed learning rate falls to 0.
        key: Of whatever chance there is in an update.
        group: Of learners that learn together; None: it is the only one.
        threads: On which images are looked at side by side, on a CPU: so many in any case, and so
            many at most, where actors wait. What is learnt is the same bits.
    """

    def __init__(
        self,
        agent: Agent,
        settings: OptimizerSettings,
        device: torch.device,
        updates: int,
        key: Key = Key(0),  # noqa: B008
        group: LearnerGroup | None = None,
        threads: tuple[int, int] = (1, 1),
    ) -> None:
        self._threads = threads
        self._key, self._generator, self._group = key, torch.Generator(), group
        self.agent, self._settings, self.device, self._updates = agent, settings, device, updates
        agent.network.to(device)
        self.stopwatch = Stopwatch()
        agent.lap = lambda stage: self.stopwatch.lap(stage)  # of whichever it has then
        if group is not None:
            agent.total = group.total
        parameters = list(agent.network.named_parameters())
        self._parameters = [parameter for _, parameter in parameters]
        self._optimizer = OPTIMIZERS[settings.name](parameters, **settings.own)

    def update(
        self,
        batch: Batch,
        done: int,
        meanwhile: Callable[[], None] = lambda: None,
        idle: int = 0,
    ) -> dict[str, float]:
        """Steps down the losses that the agent has for a batch.

        Args:
            batch: On the learner's device.
            done: Updates done before this one.
            meanwhile: Called while a GPU is at work, before its results are looked at.
            idle: Actors of this host that wait for what comes of this: their cores may be used.

        Returns:
            Means over what was descended; of this learner's part, where there are several.

        Raises:
            LearnerDied: if another of the group is gone.
            Diverged: if a loss or its gradient is not finite; it was not stepped down.
        """
        settings = self._settings
        least, most = self._threads
        self.agent.spread(min(most, least + idle))
        rate = settings.learning_rate
        if settings.anneal:
            rate *= max(0.0, 1.0 - done / self._updates)
        self._generator.manual_seed(self._key.child("update", done).integer())
        taken: list[dict[str, Tensor]] = []
        self.agent.look_ahead(batch)
        for loss, metrics in self.agent.losses(batch, self._generator):
            self.stopwatch.lap("forward")
            norm = self._descend(loss, metrics, rate, done, meanwhile)
            taken.append(metrics | {"loss": loss.detach(), "gradient_norm": norm})
        self.agent.look_back(batch)
        means = {name: sum(float(each[name]) for each in taken) / len(taken) for name in taken[0]}
        self.stopwatch.lap("step")
        return means | {"learning_rate": rate}

    def _descend(
        self,
        loss: Tensor,
        metrics: dict[str, Tensor],
        rate: float,
        done: int,
        meanwhile: Callable[[], None],
    ) -> Tensor:
        """One step; the norm of the gradient before it was scaled down."""
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        meanwhile()
        self.stopwatch.lap("backward")
        total = loss.detach()
        if self._group is not None:
            total = self._bring_together(self._group, total)
            self.stopwatch.lap("together")
        norm = torch.nn.utils.clip_grad_norm_(self._parameters, self._settings.max_gradient_norm)
        if not torch.isfinite(norm + total):  # looked at together: a GPU is waited for once
            values = {"loss": total} | metrics
            wrong = [name for name, value in values.items() if not torch.isfinite(value).all()]
            what = "gradient" if torch.isfinite(total) else "loss"
            raise Diverged(
                f"the {what} at update {done + 1} is not finite (loss {total.item():g}, learning "
                f"rate {rate:g}; not finite: {', '.join(wrong) or 'the gradient alone'}); lower "
                "optimizer.learning_rate or optimizer.max_gradient_norm."
            )
        self._optimizer.step(rate)
        self.stopwatch.lap("step")
        return norm

    def _bring_together(self, group: LearnerGroup, loss: Tensor) -> Tensor:
        """Makes the gradient of a part that of the whole batch; all learners' loss."""
        gradients = []
        for parameter in self._parameters:
            if parameter.grad is None:  # by some learners it may be used
                parameter.grad = torch.zeros_like(parameter)
            gradients.append(parameter.grad)
        whole = loss.clone()  # summed too, so that all stop where that of one is not finite
        if self.agent.reduction == "mean":
            torch._foreach_div_([*gradients, whole], group.place.learners)
        group.sum([*gradients, whole])
        return whole

    def weights(self) -> Arrays:
        """The network's parameters and buffers; views where the device is the CPU."""
        state = self.agent.network.state_dict()
        return {name: tensor.detach().cpu().numpy() for name, tensor in state.items()}

    def arrays(self) -> Arrays:
        """Everything a checkpoint needs: network/NAME and optimizer/SLOT/NAME."""
        arrays = {f"network/{name}": array for name, array in self.weights().items()}
        for name, tensor in self._optimizer.state().items():
            arrays[f"optimizer/{name}"] = tensor.cpu().numpy()
        return arrays

    def load(self, arrays: Arrays) -> None:
        """Takes up a checkpoint.

        Raises:
            BrokenCheckpoint: if it is of another network or optimiser.
        """
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "optimizer": {}}
        for name, array in arrays.items():
            part, _, rest = name.partition("/")
            parts[part][rest] = torch.from_numpy(np.array(array))
        try:
            self.agent.network.load_state_dict(parts["network"])
            self._optimizer.load(parts["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise BrokenCheckpoint(f"the checkpoint is of another network: {error}") from error
