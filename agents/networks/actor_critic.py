"""Policy and value from one network: a torso that reads, a core that remembers, two heads.

    step     policy, value, state = network(inputs)          in an actor, one step
    unroll   policy, value, final_value = network.unroll(batch)     in the learner

Parts are found by name; a plug-in adds one through the entry points `veldt.networks`:

    torso    built from (observations, settings), has `features`
    core     built from (width, settings), keeps to `cores.Core`
    head     built from (features, actions), a `heads.Head`

Legend: T steps, B environments, K truncations or value heads, P parameters of the policy, S
of a state.
"""

import math
import os
import shutil
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from veldt.agents.distributions import Distribution
from veldt.agents.inputs import Acted, Batch, Inputs
from veldt.agents.networks import segments
from veldt.agents.networks.catalogue import NETWORKS
from veldt.agents.networks.composite import Composite
from veldt.agents.networks.convolutional import ImageTorso, is_image
from veldt.agents.networks.heads import HEADS
from veldt.agents.networks.normaliser import Normaliser
from veldt.agents.networks.precision import in_bfloat16
from veldt.agents.networks.settings import NetworkSettings
from veldt.agents.popart import PopArt
from veldt.platform import plugins
from veldt.platform.envs.vector import Actions, EnvironmentSpec
from veldt.platform.errors import MissingProgram, SettingsError, UnsupportedSpace


class Unrolled(NamedTuple):
    """What the network says of a batch."""

    policy: Float[Tensor, "T+1 B P"]
    value: Float[Tensor, "T+1 B"]
    final_value: Float[Tensor, " K"]
    """of what the truncated episodes showed last; without a gradient"""
    head: Float[Tensor, "T+1 B"]
    """the value as its head gives it: normalised, with PopArt"""


class ActorCritic(nn.Module):
    """Two heads on one body."""

    normaliser: Normaliser | None
    torso: Any
    critic: Any
    """the value's own torso; None: it reads with the policy's"""
    core: Any
    policy: Any
    value: nn.Linear | PopArt
    distribution: Distribution

    def __init__(self, spec: EnvironmentSpec, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings, self._actions = settings, spec.actions
        torso, head = settings.torso, settings.head
        if torso == "auto":
            torso = "shallow" if is_image(spec.observations) else "mlp"
        if head == "auto":
            if spec.actions.kind not in HEADS:
                raise UnsupportedSpace(
                    f"{spec.id} takes {spec.actions.description}, for which there is no head; "
                    "there are heads for Discrete, MultiDiscrete, MultiBinary and Box of floats."
                )
            head = HEADS[spec.actions.kind]
        self.normaliser = None
        if settings.normalise:
            if spec.observations.parts or spec.observations.dtype != "float32":
                raise SettingsError(
                    f"agent.network.normalise: is for observations that are numbers, which those "
                    f"of {spec.id} are not."
                )
            self.normaliser = Normaliser(spec.observations.shape)
        build = Composite if spec.observations.parts else _part("torso", torso)
        self.torso = build(spec.observations, settings)
        beside = int(settings.last_reward)
        beside += action_width(spec.actions) if settings.last_action else 0
        self.core = _part("core", settings.core)(self.torso.features + beside, settings)
        self.policy = _part("head", head)(self.core.features, spec.actions)
        self.critic, read = None, self.core.features
        if not settings.share_torso:
            if self.core.state_size:
                raise SettingsError(
                    f"agent.network.share_torso: a torso of the value's own is for core='none'; "
                    f"the core {settings.core!r} remembers for policy and value together."
                )
            self.critic = build(spec.observations, settings)
            read = self.critic.features + beside
        tasks = max(1, len(spec.tasks))
        self.value = PopArt(read, tasks) if settings.popart else nn.Linear(read, 1)
        torsos = [self.torso] if self.critic is None else [self.torso, self.critic]
        if settings.initialisation == "orthogonal":
            gains = [(torso, math.sqrt(2.0)) for torso in torsos]
            for part, gain in (*gains, (self.core, 1.0), (self.value, 1.0)):
                make_orthogonal(part, gain)
        self.policy.begin()
        nn.init.zeros_(self.value.bias)
        self.distribution = self.policy.distribution
        self.state_size: int = self.core.state_size
        if settings.compile:
            demand_compiler()
            for torso in torsos:
                torso.compile()

    def forward(self, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
        """One step of B episodes.

        Returns:
            The policy [B, P], the values [B, K] that the heads give, and the state after
            this step [B, S].
        """
        features, state = self._step(inputs)
        return self.policy(features), self.value(self._read(features, *_shown(inputs))), state

    def _step(self, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """What the heads read, and the state after this step."""
        seen = self._seen(self.torso, *_shown(inputs))
        if not self.state_size:
            return seen, inputs.state
        found: tuple[Tensor, Tensor] = self.core.step(
            seen, inputs.state.masked_fill(inputs.first[:, None], 0.0)
        )
        return found

    def act(self, inputs: Inputs, generator: torch.Generator | None) -> Acted:
        """An action each, drawn or, without a generator, the likeliest."""
        features, state = self._step(inputs)
        policy = self.policy(features)
        return Acted(self.distribution.sample(policy, generator), policy, state)

    def only_acts(self) -> None:
        """From now on it does not learn, where it is: weights are kept as acting reads them."""
        device = next(self.parameters()).device.type
        if in_bfloat16(self.settings.precision, device):
            for torso in self.modules():
                if isinstance(torso, ImageTorso):
                    torso.keep_low()

    def spread(self, threads: int) -> None:
        """Images are looked at on so many threads, side by side; the numbers stay the same."""
        for torso in self.modules():
            if isinstance(torso, ImageTorso):
                torso.threads = threads

    def unroll(self, batch: Batch) -> Unrolled:
        """Every entry of a batch, as the actors saw it.

        What is said of the last one, which nothing was done after, is no function of the torso:
        targets take its value as a number.
        """
        last_action = torch.cat([batch.last_action[None], batch.action])
        last_reward = torch.cat([batch.last_reward[None], batch.reward])
        shown = (batch.observation, batch.first, last_action, last_reward)
        seen = self._seen_along(self.torso, *shown)
        t, b = batch.final_index.unbind(-1)
        final = seen.new_empty(0, seen.shape[-1])
        if len(t):
            never = torch.zeros(len(t), dtype=torch.bool, device=t.device)
            last = (batch.final_observation, never, batch.action[t, b], batch.reward[t, b])
            with torch.no_grad():
                final = self._seen(self.torso if self.critic is None else self.critic, *last)
        if not self.state_size:
            features = seen
        elif not len(t) and not bool(batch.first[1:].any()):
            state = batch.state.masked_fill(batch.first[0][:, None], 0.0)
            features = self.core.sequence(seen, state)
        else:
            pieces = segments.cut(batch.first, batch.final_index)
            out = self.core.sequence(pieces.gather(seen, final), pieces.states(batch.state))
            features, final = pieces.scatter(out)
        final_value = features.new_empty(0)
        if len(t):
            with torch.no_grad():
                final_value = self._values(self.value(final), batch.task[b])[0]
        read = features if self.critic is None else self._seen_along(self.critic, *shown)
        value, head = self._values(self.value(read), batch.task)
        return Unrolled(self.policy(features), value, final_value, head)

    def _values(self, heads: Tensor, task: Tensor) -> tuple[Tensor, Tensor]:
        """The values of tasks [B], and what their heads said, from those of all [..., B, K]."""
        head = heads[..., 0]
        if not isinstance(self.value, PopArt):
            return head, head
        if heads.shape[-1] > 1:
            each = task.expand(heads.shape[:-1])
            head = heads.gather(-1, each[..., None]).squeeze(-1)
        return self.value.values(head, task), head

    def scaled(self, advantages: Tensor, targets: Tensor, task: Tensor) -> tuple[Tensor, Tensor]:
        """Advantages and the values' targets, [T, B], on the scale of the heads."""
        if not isinstance(self.value, PopArt):
            return advantages, targets
        scaled = (advantages / self.value.deviation[task]).to(advantages.dtype)
        return scaled, self.value.normalise(targets, task)

    def adapt(self, targets: Tensor, task: Tensor, total: Callable[[Tensor], Tensor]) -> None:
        """After an update: moves the heads' scale towards the targets; no value changes.

        Args:
            targets: Of the values, [T, B].
            task: int64 [B]
            total: `Agent.total`.
        """
        if isinstance(self.value, PopArt):
            self.value.adapt(targets, task, self.settings.popart, total)

    def _read(self, features: Tensor, *shown: Tensor) -> Tensor:
        """What the value's head reads: the policy's features, or what its own torso makes."""
        return features if self.critic is None else self._seen(self.critic, *shown)

    def look_back(self, observation: Tensor, total: Callable[[Tensor], Tensor]) -> None:
        """After an update: moves the scale of observations, if they are normalised.

        Args:
            observation: What the update learnt from, [T, B, ...].
            total: `Agent.total`.
        """
        if self.normaliser is not None:
            self.normaliser.adapt(observation, total)

    def _seen_along(self, torso: Any, *shown: Tensor) -> Tensor:
        """`_seen` of entries 0 to T."""
        if shown[0].dim() < 5:
            return self._seen(torso, *shown)
        # Images: of the last one only the value is wanted, as a number. Its gradient is 0, and
        # to find that out would cost as much as any other's.
        learnt = self._seen(torso, *(part[:-1] for part in shown))
        with torch.no_grad():
            last = self._seen(torso, *(part[-1:] for part in shown))
        return torch.cat([learnt, last])

    def _seen(
        self,
        torso: Any,
        observation: Tensor,
        first: Tensor,
        last_action: Tensor,
        last_reward: Tensor,
    ) -> Tensor:
        """What the core is given: a torso's features, and what happened before."""
        settings = self.settings
        if self.normaliser is not None:
            observation = self.normaliser(observation)
        if in_bfloat16(settings.precision, observation.device.type):
            with torch.autocast(observation.device.type, torch.bfloat16):
                features = torso(observation).float()
        else:
            features = torso(observation)
        parts: list[Tensor] = [features]
        if not (settings.last_action or settings.last_reward):
            return parts[0]
        known = (~first)[..., None].to(parts[0].dtype)
        if settings.last_action:
            parts.append(encode_actions(self._actions, last_action) * known)
        if settings.last_reward:
            parts.append(last_reward.clamp(-1.0, 1.0)[..., None] * known)
        return torch.cat(parts, -1)


def _shown(inputs: Inputs) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    return inputs.observation, inputs.first, inputs.last_action, inputs.last_reward


@torch.no_grad()
def make_orthogonal(part: nn.Module, gain: float) -> None:
    """Draws weights anew: the rows or the columns of each are orthogonal; biases become 0."""
    for name, parameter in part.named_parameters():
        if parameter.dim() > 1:
            parameter.copy_(nn.init.orthogonal_(torch.empty(parameter.shape), gain))
        elif "bias" in name:
            parameter.zero_()


def demand_compiler() -> None:
    """Raises `MissingProgram` where torch.compile would find no compiler at its first call."""
    names = [os.environ.get("CXX", ""), "g++", "clang++"]
    if not any(name and shutil.which(name) for name in names):
        raise MissingProgram(
            "agent.network.compile: torch.compile needs a C++ compiler, and there is no g++ or "
            "clang++ here; install one (on Debian: apt install g++), or leave compile=false."
        )


def action_width(actions: Actions) -> int:
    """Numbers in an encoded action."""
    return len(actions.low) if actions.kind == "box" else sum(actions.counts)


def encode_actions(actions: Actions, action: Tensor) -> Float[Tensor, "*batch F"]:
    """One-hot, choice after choice; the numbers of a box as they are."""
    if actions.kind == "box":
        return action
    choices = action[..., None] if actions.kind == "discrete" else action
    parts = [
        functional.one_hot(choice, count)
        for choice, count in zip(choices.unbind(-1), actions.counts, strict=True)
    ]
    return torch.cat(parts, -1).float()


def initialise(build: Callable[[], Any], seed: int) -> Any:
    """Calls `build` with torch's global generator seeded, and puts the generator back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()


MARKS = {"core": "sequence", "head": "begin"}


def _part(kind: str, name: str) -> Any:
    """The part of a network called `name`, if it is of this kind."""
    part = plugins.load("networks", name, NETWORKS)
    found = [other for other, mark in MARKS.items() if hasattr(part, mark)] or ["torso"]
    if kind not in found:
        raise SettingsError(f"agent.network.{kind}: {name!r} is a {found[0]}.")
    return part
