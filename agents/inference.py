"""Inference in one place: the actors' observations come to the learner's device, actions go back.

    actor    RemoteAgent --ask: what is seen--> channel --> InferenceServer, a thread
             RemoteAgent <--answer: what to do-- channel <--

Espeholt et al. 2020, "SEED RL", arXiv:1910.06591, but that the weights of an unroll are those
of its ticket here too: trajectories are the same wherever inference happens.

Where frames are shown in stacks, the newest travels and the stacks are kept here; on one host
what is seen lies in memory that both share.

All that wait are answered in one batch; in a deterministic run each by itself, with the chance
that its actor would have drawn, so that the bits are the actor's own.
"""

import collections
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from veldt.agents.agent import Agent
from veldt.agents.contents import Contents
from veldt.agents.inputs import Acted, Inputs, Memory
from veldt.platform import wire
from veldt.platform.channels.actor_end import ActorChannel
from veldt.platform.channels.arrivals import Arrays
from veldt.platform.channels.learner_end import LearnerChannel
from veldt.platform.channels.questions import Question
from veldt.platform.envs.vector import EnvironmentSpec, Observations
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
        spec: Of the environments.
        rounds: Questions about a step of all the actor's environments, one for each group.
    """

    def __init__(
        self, channel: ActorChannel, state_size: int, spec: EnvironmentSpec, rounds: int = 1
    ) -> None:
        self.state_size, self._channel = state_size, channel
        self._shown, self._rounds = spec.observations, rounds
        self._contents = Contents(spec)
        self._ticket: wire.Work | None = None
        self._step = 0

    def begin(self, ticket: wire.Work) -> None:
        """An unroll begins."""
        self._ticket, self._step = ticket, 0

    def act(self, inputs: Inputs, generator: torch.Generator | None) -> Acted:
        """As `Agent.act`; chance is the learner's.

        Raises:
            RunOver: if no answer will come.
            EnvironmentFault: if what is seen is none that can be learnt from.
            Diverged: if the answer is not finite.
        """
        if self._ticket is None:
            raise RuntimeError("begin an unroll first")
        seen = {name: tensor.numpy() for name, tensor in inputs._asdict().items()}
        seen |= newest(
            seen["observation"], seen["first"] | (self._step < self._rounds), self._shown
        )
        self._contents.vouch_for_environment(seen)
        answer = self._channel.ask(self._ticket, self._step, seen)
        if answer is None:
            raise RunOver
        self._contents.vouch_for_agent(answer["policy"], answer["state"])
        self._step += 1
        return Acted(**{name: torch.from_numpy(np.array(a)) for name, a in answer.items()})


def newest(
    observation: NDArray[Any], anew: NDArray[np.bool_], shown: Observations
) -> dict[str, NDArray[Any]]:
    """What has to be sent of stacks of frames, [B, ...], whose others were sent before.

    Args:
        anew: [B], where they were not.
    """
    place = shown.older[0]
    rows = np.flatnonzero(anew) if place else np.empty(0, np.int64)
    older = observation[rows, :place] if place else np.empty((0, 0), observation.dtype)
    return {
        "observation": observation[:, place:] if place else observation,
        "stack_index": rows,
        "stack_older": older,
    }


class Stacks:
    """Those of some environments, as they come: `newest`, undone.

    Args:
        rounds: Questions of an actor from one to the next about the same environments.
    """

    def __init__(self, rounds: int = 1) -> None:
        self._rounds = rounds
        self._last: Tensor | None = None
        self._at = (-1, -1)  # unroll, step

    def follow(self, header: wire.Ask, seen: dict[str, Tensor]) -> Tensor | None:
        """The observations whole, [B, ...], of a question; None if it is not the next one."""
        unroll, step = self._at
        self._at = header.number, header.step
        begins = header.step < self._rounds
        if not begins and (unroll, step + self._rounds) != self._at:
            return None
        frame, rows, older = seen["observation"], seen["stack_index"], seen["stack_older"]
        place = older.shape[1]
        if not place:
            return frame
        whole = frame.new_empty((len(frame), place + frame.shape[1], *frame.shape[2:]))
        whole[:, place:] = frame
        if not begins and self._last is not None:
            whole[:, :place] = self._last[:, frame.shape[1] :]
        elif len(rows) < len(frame):  # nothing was before
            return None
        whole[rows, :place] = older
        self._last = whole
        return whole


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
        rounds: Questions of an actor about a step of all its environments.
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
        rounds: int = 1,
    ) -> None:
        self._channel, self._device, self._key, self._place = channel, device, key, place
        self._max_lag, self._together = max_lag, together
        self._idle = [make() for _ in range(min(max_lag + 1, NETWORKS))]
        for agent in self._idle:
            agent.network.to(device)
            agent.only_acts()
        self._ready: collections.OrderedDict[int, Agent] = collections.OrderedDict()
        self._weights: dict[int, Arrays] = {}
        self._lock = threading.Lock()
        self._generators: collections.defaultdict[int, torch.Generator] = collections.defaultdict(
            lambda: torch.Generator(device)
        )
        own = key.child("inference", place.learner, done)
        self._common = torch.Generator(device).manual_seed(own.integer())
        self._rounds = rounds
        self._stacks: collections.defaultdict[tuple[int, int], Stacks] = collections.defaultdict(
            lambda: Stacks(rounds)
        )
        self._closing = threading.Event()
        self._died: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name="veldt-inference", daemon=True)
        self._thread.start()

    def publish(self, version: int, weights: Arrays) -> None:
        """From now on unrolls may be made with the weights of `version`."""
        kept = {name: np.array(array) for name, array in weights.items()}
        wanted = self._channel.versions()  # an actor may be slow
        with self._lock:
            self._weights[version] = kept
            for old in [v for v in self._weights if v < version - max(1, self._max_lag)]:
                if old not in wanted:
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
                        for question, arrays in self._act(questions):
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

    def _act(self, questions: Sequence[Question]) -> list[tuple[Question, Arrays]]:
        """What to do, of one version's questions that can be answered."""
        version = questions[0].header.version
        with torch.inference_mode():
            seen = [(question, self._seen(question)) for question in questions]
            asked = [(question, inputs) for question, inputs in seen if inputs is not None]
            self._channel.traffic.rejected += len(seen) - len(asked)
            agent = self._of(version) if asked else None
            if agent is None:  # of an actor that died in the meantime
                return []
            whole = Inputs(*map(torch.cat, zip(*(inputs for _, inputs in asked), strict=True)))
            acted = agent.act(whole, self._chance(asked[0][0].header))
            rows = [len(inputs.first) for _, inputs in asked]
            parts = [torch.split(tensor.cpu(), rows) for tensor in acted]
        return [
            (question, dict(zip(Acted._fields, (tensor.numpy() for tensor in part), strict=True)))
            for (question, _), part in zip(asked, zip(*parts, strict=True), strict=True)
        ]

    def _seen(self, question: Question) -> Inputs | None:
        """What the actor sees, on the device; None if it does not follow from what it saw."""
        arrays = {
            name: torch.from_numpy(np.array(array)).to(self._device)
            for name, array in question.arrays.items()
        }
        header = question.header
        whole = self._stacks[header.actor, header.step % self._rounds].follow(header, arrays)
        if whole is None:
            return None
        return Inputs(**{name: arrays[name] for name in Inputs._fields} | {"observation": whole})

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

    def _of(self, version: int) -> Agent | None:
        """The agent with the weights of a version; None if they are not there any more."""
        if version in self._ready:
            self._ready.move_to_end(version)
            return self._ready[version]
        with self._lock:
            weights = self._weights.get(version)
        if weights is None:
            return None
        agent = self._idle.pop() if self._idle else self._ready.popitem(last=False)[1]
        agent.network.load_state_dict(
            {name: torch.from_numpy(array) for name, array in weights.items()}
        )
        self._ready[version] = agent
        return agent


def rehearsal(
    agent: Agent, spec: EnvironmentSpec, device: torch.device, rows: int
) -> Callable[[], None]:
    """One answer about so many environments at once, to be measured; the network is moved."""
    shown = spec.observations
    memory = Memory(spec, rows, agent.state_size)
    seen = memory.inputs(np.zeros((rows, *shown.shape), shown.dtype))
    agent.network.to(device)
    chance = torch.Generator(device)

    def answer() -> None:
        with torch.inference_mode():
            acted = agent.act(Inputs(*(tensor.to(device) for tensor in seen)), chance)
            for tensor in acted:
                tensor.cpu()

    return answer
