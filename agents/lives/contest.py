"""Losses on the same unseen tasks: each lives the same lives, with the same chance.

    evolved       a frozen learned loss
    un-evolved    losses as evolution begins with, each life's drawn for it: a single one may push
                  all policies the same way, and be right by chance
    ppo, ...      losses written by hand, at the best of a grid of settings that is chosen on lives
                  of its own, for returns and for areas each; losses that are a part of a written
                  one have the grid too
    random        a policy that never learns
    fixed         a policy that PPO trained on many tasks of one half, and that learns no more

A loss whose agents' first weights were evolved with it lives by those; all others, and it as
"fresh", by weights drawn from the keys of the lives.

A life breaks when its agent's numbers are no longer finite. For every contender alike, settings
of the grid by which any life broke are the last to be chosen, and where a life breaks in the test
it counts as the worst life of the contest, by anybody; `counted`.

Legend: L lives, U updates in each.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from veldt.agents.lives.anatomy import Anatomy
from veldt.agents.lives.catalogue import BY_HAND, kind_of
from veldt.agents.lives.chance import first_weights
from veldt.agents.lives.inner_losses import PPO, Descent, Lived, Parts
from veldt.agents.lives.life import Blend, Lives, Outcome, blend_of
from veldt.agents.lives.loss_file import Frozen
from veldt.agents.lives.settings import LifeSettings, demand_family
from veldt.platform.errors import InputError
from veldt.platform.keys import Key

RATES = (3e-4, 1e-3, 3e-3, 1e-2, 3e-2)
EPOCHS = (1, 4, 10)
MINIBATCHES = (4, 2, 1)  # in the steps from one update to the next
NO_OPTIONS: Mapping[str, Any] = {}
TOGETHER = 50  # lives in one program
MET, TRAINED = 8, 4  # tasks that a fixed policy was trained on, in so many times a life


@dataclasses.dataclass(frozen=True)
class Record:
    """What lives by one loss came to."""

    returns: NDArray[np.float64]  # [L], of the final policies
    curve: NDArray[np.float64]
    """what they got as they learnt, [L, U]: the mean reward of a step between two updates where
    all episodes are as long, else the mean return of the episodes that ended there"""
    settings: dict[str, Any]
    """what was chosen of the grid"""
    broken: int = 0
    """lives that broke, which count as the worst"""
    alike: bool = True
    """all episodes are as long"""

    @property
    def areas(self) -> NDArray[np.float64]:
        """Mean of the curve over the whole life, [L]: the area under it."""
        found: NDArray[np.float64] = self.curve.mean(1)
        return found


def counted(records: Mapping[str, Record]) -> dict[str, Record]:
    """The records, with lives that broke as the worst of all lives in all of them: the lowest
    return and, throughout, the lowest area. NaN is left where none was lived to its end."""
    ends = np.concatenate([record.returns for record in records.values()])
    areas = np.concatenate([record.areas for record in records.values()])
    whole = np.isfinite(ends)
    lowest, least = (part[whole].min(initial=np.inf) for part in (ends, areas))
    found = {}
    for name, record in records.items():
        broke = ~np.isfinite(record.returns)
        returns, curve = record.returns.copy(), record.curve.copy()
        returns[broke] = lowest if whole.any() else np.nan
        curve[broke] = least if whole.any() else np.nan
        found[name] = dataclasses.replace(
            record, returns=returns, curve=curve, broken=int(broke.sum())
        )
    return found


@dataclasses.dataclass(frozen=True)
class Tuned:
    """What lives came to with the best settings of a grid."""

    by_return: Record
    """with those whose lives ended best"""
    by_area: Record
    """with those whose lives were best throughout"""


class Contest:
    """Lives by different losses, in the same order and with the same chance.

    Args:
        frozen: The evolved loss.
        life: How all live, but for what a grid changes.
        lives: L
        key: Of what is tested; what is tuned has a child of it.
        tick: Called at least every few milliseconds.

    Raises:
        InputError: if the loss, or first weights evolved with it, do not fit.
    """

    def __init__(
        self,
        frozen: Frozen,
        life: LifeSettings,
        lives: int,
        key: Key,
        tick: Callable[[], None] = lambda: None,
    ) -> None:
        self._spec = demand_family(life)
        frozen.demand_fit(self._spec)
        size = frozen.anatomy(life.hidden, self._spec).policy_size
        if frozen.policy is not None and len(frozen.policy) != size:
            raise InputError(
                f"first weights of policies were evolved with this loss, {len(frozen.policy)} of "
                f"them, and these policies have {size}: let lives be where and as they were."
            )
        self._frozen, self._life, self._tick = frozen, life, tick
        self._keys = {
            purpose: [key.child(purpose, i) for i in range(lives)] for purpose in ("tune", "test")
        }

    def evolved(
        self, *, longer: int = 1, blind: bool = False, fresh: bool = False, **options: Any
    ) -> Record:
        """By the frozen loss, with the settings of its lives.

        Args:
            longer: So many times the updates.
            blind: The loss is shown rewards of 0.
            fresh: Agents begin with first weights that are drawn, not with evolved ones.
            options: Of the family, in the place of those of the lives.
        """
        life = self._life.model_copy(update={"updates": self._life.updates * longer})
        policy = None if fresh else self._frozen.policy
        return self._by_network(self._frozen.parameters, life, "test", blind, options, policy)

    def tuned(self, evolved: bool = True) -> Tuned:
        """By the frozen loss, or losses as evolution begins with, with the settings of the grid
        that do best on lives of their own: as losses written by hand."""
        parameters = self._frozen.parameters if evolved else None
        policy = self._frozen.policy if evolved else None

        def live(settings: dict[str, Any], purpose: str) -> Record:
            life = LifeSettings.parse(self._life.dump() | settings)
            return self._by_network(parameters, life, purpose, policy=policy)

        return self._best(live)

    def unevolved(self, **options: Any) -> Record:
        """By losses that are drawn as evolution draws its first, one for each life.

        Args:
            options: Of the family.
        """
        return self._by_network(None, self._life, "test", options=options)

    def _by_network(
        self,
        parameters: NDArray[np.float32] | None,
        life: LifeSettings,
        purpose: str,
        blind: bool = False,
        options: Mapping[str, Any] = NO_OPTIONS,
        policy: NDArray[np.float32] | None = None,
    ) -> Record:
        anatomy = self._frozen.anatomy(self._life.hidden, self._spec)
        kind = kind_of(self._frozen.settings)
        network = kind.network(self._frozen.settings, anatomy)

        def blend(lives: list[Key]) -> Blend:
            if parameters is None:
                first = [network.begin(key.child("first").generator()) for key in lives]
                rows = torch.from_numpy(np.stack(first).astype(np.float32))
            else:
                rows = torch.from_numpy(parameters).expand(len(lives), -1)
            found = blend_of(kind.loss(network, anatomy), rows, network.split)
            return _blind(found) if blind else found

        return self._live(purpose, life, anatomy, blend, options, policy)

    def random(self, *, evolved: bool = False, **options: Any) -> Record:
        """By nothing: the first policy to the end.

        Args:
            evolved: Which is the one evolved with the loss.
            options: Of the family.
        """
        anatomy = self._frozen.anatomy(self._life.hidden, self._spec)

        def nothing(agent: Parts, chosen: torch.Tensor) -> torch.Tensor:
            return 0.0 * sum(part.flatten(1).sum(1) for part in agent.values())  # type: ignore[return-value]

        def still(agent: Parts, lived: Lived) -> Descent:
            return nothing

        policy = self._frozen.policy if evolved else None
        return self._live("test", self._life, anatomy, lambda lives: still, options, policy)

    def by_hand(self, name: str) -> Tuned:
        """By a loss written by hand, with the settings that do best on lives of their own."""
        return self._best(lambda settings, purpose: self._by_hand(name, settings, purpose))

    def as_lived(self, name: str) -> Record:
        """By a loss written by hand, with the settings of the evolved loss's lives."""
        return self._by_hand(name, {}, "test")

    def fixed(
        self, trained: str, halves: Sequence[str], settings: Mapping[str, Any] = NO_OPTIONS
    ) -> dict[str, Record]:
        """By policies that PPO has trained, each on several tasks one after another, and that do
        not learn in the lives of the test: what is known beforehand of a half, and no more.

        Args:
            trained: The half that they were trained on.
            halves: Those of the lives of the test.
            settings: Of the training, in the place of those of the lives.
        """
        length = self._life.updates * TRAINED
        changed = {"stretches": MET, "updates": MET * math.ceil(length / MET), "final_episodes": 1}
        life = LifeSettings.parse(self._life.dump() | dict(settings) | changed)
        spec = self._spec
        anatomy = Anatomy(spec.observations.shape[0], spec.actions, life.hidden, PPO.value)
        lives = Lives(_placed(life, {"half": trained}), anatomy, self._tick)
        tested = life.model_copy(update={"final_episodes": self._life.final_episodes})
        found: dict[str, list[Outcome]] = {half: [] for half in halves}
        for some in _together(self._keys["test"]):
            carry = None
            for number in range(MET):
                tasks = [key.child("trained", number) for key in some]
                _, carry = lives.stretch(tasks, blend_of(PPO(anatomy)), number, carry)
            assert carry is not None
            for half in halves:
                there = Lives(_placed(tested, {"half": half}), anatomy, self._tick)
                found[half].append(there.score(some, carry))
        return {half: _record(outcomes, dict(settings)) for half, outcomes in found.items()}

    def _best(self, live: Callable[[dict[str, Any], str], Record]) -> Tuned:
        """With the settings of the grid whose lives "tune" are best, the lives "test"."""
        grid = list(self.grid())
        merits = []
        for settings in grid:
            tried = live(settings, "tune")
            broken = not np.isfinite(tried.returns).all()
            means = (tried.returns.mean(), tried.areas.mean())
            merits.append([-np.inf if broken else float(mean) for mean in means])
        chosen = [grid[place] for place in np.argmax(merits, axis=0)]
        records = [dataclasses.replace(live(some, "test"), settings=some) for some in chosen]
        return Tuned(*records)

    def grid(self) -> Iterator[dict[str, Any]]:
        """The settings that are tried."""
        for rate, epochs, parts in itertools.product(RATES, EPOCHS, MINIBATCHES):
            if self._life.steps % parts == 0:
                minibatch = self._life.steps // parts
                yield {"learning_rate": rate, "epochs": epochs, "minibatch": minibatch}

    def _by_hand(self, name: str, settings: dict[str, Any], purpose: str) -> Record:
        kind, spec = BY_HAND[name], self._spec
        anatomy = Anatomy(spec.observations.shape[0], spec.actions, self._life.hidden, kind.value)
        life = LifeSettings.parse(self._life.dump() | settings)
        return self._live(purpose, life, anatomy, lambda lives: blend_of(kind(anatomy)), {})

    def _live(
        self,
        purpose: str,
        life: LifeSettings,
        anatomy: Anatomy,
        blend: Callable[[list[Key]], Blend],
        options: Mapping[str, Any],
        policy: NDArray[np.float32] | None = None,
    ) -> Record:
        life, found = _placed(life, options), list[Outcome]()
        for some in _together(self._keys[purpose]):
            given = None if policy is None else torch.from_numpy(policy)
            weights = first_weights(anatomy, some, given)
            found.append(Lives(life, anatomy, self._tick).live(some, blend(some), weights))
        return _record(found)


def _together(keys: list[Key]) -> Iterator[list[Key]]:
    """In as many programs as it takes."""
    for first in range(0, len(keys), TOGETHER):
        yield keys[first : first + TOGETHER]


def _placed(life: LifeSettings, options: Mapping[str, Any]) -> LifeSettings:
    """The life with some options of its family changed."""
    if not options:
        return life
    environment = life.environment
    changed = {"options": environment.options | dict(options)}
    return life.model_copy(update={"environment": environment.model_copy(update=changed)})


def _record(found: list[Outcome], settings: dict[str, Any] | None = None) -> Record:
    """What all of them came to."""
    return Record(
        np.concatenate([outcome.returns for outcome in found]),
        np.concatenate(
            [outcome.rewards if outcome.alike else outcome.episodes for outcome in found]
        ),
        settings or {},
        alike=found[0].alike,
    )


def _blind(blend: Blend) -> Blend:
    """The same, shown rewards of 0."""

    def begin(agent: Parts, lived: Lived) -> Descent:
        channels = lived.channels.clone()
        channels[..., -2] = 0.0
        unpaid = torch.zeros_like(lived.reward)
        return blend(agent, dataclasses.replace(lived, channels=channels, reward=unpaid))

    return begin
