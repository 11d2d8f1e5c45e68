"""Inference in one place: the actors' observations come to the learner's device, actions go back.

    actor    RemoteAgent --ask: what is seen--> channel --> InferenceServer, a thread
             RemoteAgent <--answer: what to do-- channel <--

Espeholt et al. 2020, "SEED RL", arXiv:1910.06591, but that the weights of an unroll are those
of its ticket here too: trajectories are the same wherever inference happens.

All that wait are answered in one batch; in a deterministic run each by itself, with the chance
that its actor would have drawn, so that the bits are the actor's own.
"""

import collections
import queue
import threading
from collections.abc import Callable, Sequence

import numpy as np
import torch

from veldt.agents.agent import Agent
from veldt.agents.inputs import Acted, Inputs
from veldt.platform import wire
from veldt.platform.channels.actor_end import ActorChannel
from veldt.platform.channels.arrivals import Arrays
from veldt.platform.channels.learner_end import LearnerChannel
from veldt.platform.channels.questions import Question
from veldt.platform.errors import RunFailed
from veldt.platform.keys import Key
from veldt.platform.tickets import Place

POLL_S = 0.2
NETWORKS = 4  # of as many versions that are asked for at once, at most


class RunOver(Exception):
    """There is nobody to answer any more."""


class RemoteAgent:
    """What an actor acts with, where the network is elsewhere.

    Args:
        channel: To the learner.
        state_size: Of the agent.
    """

    def __init__(self, channel: ActorChannel, state_size: int) -> None:
        self.state_size, self._channel = state_size, channel
        self._ticket: wire.Work | None = None
        self._step = 0

    def begin(self, ticket: wire.Work) -> None:
        """An unroll begins."""
        self._ticket, self._step = ticket, 0

    def act(self, inputs: Inputs, generator: torch.Generator | None) -> Acted:
        """As `Agent.act`; chance is the learner's.

        Raises:
            RunOver: if no answer will come.
        """
        if self._ticket is None:
            raise RuntimeError("begin an unroll first")
        seen = {name: tensor.numpy() for name, tensor in inputs._asdict().items()}
        answer = self._channel.ask(self._ticket, self._step, seen)
        if answer is None:
            raise RunOver
        self._step += 1
        return Acted(**{name: torch.from_numpy(np.array(a)) for name, a in answer.items()})


class InferenceServer:
    """Answers the actors of one learner.

    Args:
        channel: Of the learner.
        make: Gives an agent.
        device: Where the networks live.
        key: Of the run.
        place: Of the learner, of several.
        done: Updates before this session.
        max_lag: Of the tickets.
        together: Whether actors are answered in one batch.
    """

    def __init__(
        self,
        channel: LearnerChannel,
        make: Callable[[], Agent],
        device: torch.device,
        key: Key,
        place: Place,
        done: int,
        max_lag: int,
        together: bool,
    ) -> None:
        self._channel, self._device, self._key, self._place = channel, device, key, place
        self._max_lag, self._together = max_lag, together
        self._idle = [make() for _ in range(min(max_lag + 1, NETWORKS))]
        for agent in self._idle:
            agent.network.to(device)
        self._ready: collections.OrderedDict[int, Agent] = collections.OrderedDict()
        self._weights: dict[int, Arrays] = {}
        self._lock = threading.Lock()
        self._generators: collections.defaultdict[int, torch.Generator] = collections.defaultdict(
            lambda: torch.Generator(device)
        )
        own = key.child("inference", place.learner, done)
        self._common = torch.Generator(device).manual_seed(own.integer())
        self._closing = threading.Event()
        self._died: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name="veldt-inference", daemon=True)
        self._thread.start()

    def publish(self, version: int, weights: Arrays) -> None:
        """From now on unrolls may be made with the weights of `version`."""
        kept = {name: np.array(array) for name, array in weights.items()}
        with self._lock:
            self._weights[version] = kept
            for old in [v for v in self._weights if v < version - self._max_lag]:
                del self._weights[old]

    def check(self) -> None:
        """Raises `RunFailed` if the thread came to grief."""
        if self._died is not None:
            raise RunFailed(f"central inference broke: {self._died!r}.") from self._died

    def close(self) -> None:
        """No more is answered."""
        self._closing.set()
        self._thread.join()

    def _serve(self) -> None:
        with self._channel.answers() as answers:
            try:
                while not self._closing.is_set():
                    for questions in self._groups():
                        acted = self._act(questions)
                        for question, arrays in zip(questions, acted, strict=True):
                            answers.send(question.identity, arrays)
            except BaseException as error:  # handed to the learner's thread, which raises it
                self._died = error

    def _groups(self) -> list[list[Question]]:
        """All that is asked, by the weights that it is asked of."""
        waiting = self._channel.questions
        try:
            asked = [waiting.get(timeout=POLL_S)]
        except queue.Empty:
            return []
        while not waiting.empty():
            asked.append(waiting.get())
        if not self._together:
            return [[question] for question in asked]
        groups: dict[int, list[Question]] = {}
        for question in asked:
            groups.setdefault(question.header.version, []).append(question)
        return list(groups.values())

    def _act(self, questions: Sequence[Question]) -> list[Arrays]:
        agent = self._of(questions[0].header.version)
        rows = [len(question.arrays["first"]) for question in questions]
        with torch.inference_mode():
            inputs = Inputs(
                **{
                    name: torch.cat(
                        [torch.from_numpy(np.array(asked.arrays[name])) for asked in questions]
                    ).to(self._device)
                    for name in Inputs._fields
                }
            )
            acted = agent.act(inputs, self._chance(questions[0].header))
            parts = {
                name: torch.split(tensor.cpu(), rows) for name, tensor in acted._asdict().items()
            }
        return [
            {name: part[row].numpy() for name, part in parts.items()} for row in range(len(rows))
        ]

    def _chance(self, header: wire.Ask) -> torch.Generator:
        """Where the actions' chance comes from."""
        if self._together:
            return self._common
        generator = self._generators[header.actor]
        if header.step == 0:
            actor = self._key.child("actor", self._place.number(header.actor))
            seed = actor.child("actions", self._place.number(header.number)).integer()
            generator.manual_seed(seed)
        return generator

    def _of(self, version: int) -> Agent:
        """The agent with the weights of a version."""
        if version in self._ready:
            self._ready.move_to_end(version)
            return self._ready[version]
        agent = self._idle.pop() if self._idle else self._ready.popitem(last=False)[1]
        with self._lock:
            weights = self._weights[version]
        agent.network.load_state_dict(
            {name: torch.from_numpy(array) for name, array in weights.items()}
        )
        self._ready[version] = agent
        return agent
