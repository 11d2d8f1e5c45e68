"""Learners that are ranks of an MPI job and learn as one.

    rank 0        leads: it trains, and keeps the run's folder
    the others    follow: it tells them what to train, with which weights to begin, and which
                  update is the last

Gradients, statistics and JSON go by MPI, as fast as the job's network is. Where a rank dies MPI
ends the job; the same command with --resume goes on from the last checkpoint.
"""

import contextlib
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from veldt.agents.actor_pool import MODULE as ACTOR
from veldt.agents.actor_pool import PRELOAD
from veldt.agents.build import (
    environment_spec,
    find_device,
    make_agent,
    make_learner,
    use_threads,
)
from veldt.agents.feed import Feed
from veldt.agents.followers import follow
from veldt.agents.learner import Learner
from veldt.agents.learner_group import apart, in_one
from veldt.agents.settings import TrainSettings
from veldt.platform.channels.door import Door
from veldt.platform.errors import InputError, RunFailed
from veldt.platform.ranks import Ranks
from veldt.platform.tickets import Place
from veldt.platform.zygote import Zygote

Manifest = Sequence[tuple[str, str, list[int]]]


class RankGroup:
    """A `LearnerGroup` of ranks.

    Args:
        ranks: The learners, and nobody else.
    """

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self.place = Place(ranks.rank, ranks.size)
        self.waiting = False
        """in an exchange, or left it before it was over"""

    def exchange(
        self, message: dict[str, Any], idle: Callable[[], None] = lambda: None
    ) -> list[dict[str, Any]]:
        self.waiting = True
        found = [json.loads(t) for t in self._ranks.gather(json.dumps(message).encode(), idle)]
        self.waiting = False
        return found

    def sum(self, tensors: Sequence[Tensor]) -> None:
        flat = in_one(tensors)
        whole = self._ranks.total(flat.detach().cpu().numpy())
        apart(torch.from_numpy(whole).to(flat.device), tensors)

    def total(self, tensor: Tensor) -> Tensor:
        found = tensor.clone()
        self.sum([found])
        return found

    def give(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Sends arrays to all; for the first."""
        for array in arrays.values():
            self._ranks.broadcast(np.ascontiguousarray(array).reshape(-1).view(np.uint8).copy())

    def get(self, manifest: Manifest) -> dict[str, NDArray[Any]]:
        """What the first gives: name, dtype and shape of each array are known."""
        found = {}
        for name, dtype, shape in manifest:
            array = np.empty(shape, dtype)
            flat = np.empty(array.nbytes, np.uint8)
            self._ranks.broadcast(flat)
            found[name] = flat.view(dtype).reshape(shape)
        return found

    def close(self) -> None:
        pass


class RankTeam:
    """A `Team` of ranks.

    Args:
        group: With this rank as the first.
        near: Which it is of the learners on its machine.
    """

    def __init__(self, group: RankGroup, near: Place) -> None:
        self.group, self.near = group, near
        self.begun = False

    def begin(self, settings: TrainSettings, learner: Learner, done: int, end: int) -> None:
        self.begun = True
        arrays = learner.arrays()
        manifest = [(name, a.dtype.name, list(a.shape)) for name, a in arrays.items()]
        words = {"settings": settings.dump(), "done": done, "end": end, "arrays": manifest}
        self.group.exchange(words)
        self.group.give(arrays)

    def dismiss(self) -> None:
        """There is nothing to be learnt, if nothing was begun."""
        if not self.begun:
            self.group.exchange({})

    def check(self, within_s: float = 0.0) -> None:
        pass

    def close(self) -> None:
        pass


def follow_leader(ranks: Ranks, near: Place, door: Callable[[TrainSettings], Door | None]) -> None:
    """Learns as a rank that is not the first, until the session is over.

    Args:
        ranks: The learners.
        near: Which this is of the learners on its machine.
        door: Where actors come in.

    Raises:
        RunFailed: if it cannot, or another is gone.
    """
    group = RankGroup(ranks)
    begun = group.exchange({})[0]
    if not begun:
        return
    try:
        settings = TrainSettings.parse(begun["settings"])
        with (
            contextlib.closing(Zygote([ACTOR, PRELOAD])) as zygote,
            tempfile.TemporaryDirectory(prefix="veldt-learner-") as scratch,
        ):
            device, spec = find_device(settings.learner.device, near), environment_spec(settings)
            use_threads(settings.learner.threads)
            agent = make_agent(settings, spec)
            learner = make_learner(settings, spec, agent, device, group)
            learner.load(group.get(begun["arrays"]))
            done = begun["done"]
            feed = Feed(
                *(settings, spec, agent, Path(scratch), zygote, done, device),
                *(group.place, door(settings)),
            )
            follow(group, learner, feed, done, begun["end"])
    except InputError as error:  # not what all ranks were asked, but what is wrong with this one
        raise RunFailed(str(error)) from error
