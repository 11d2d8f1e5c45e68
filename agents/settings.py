"""What a training is made of, as settings; a recipe is these in TOML."""

import math
from typing import Annotated, Any, Literal

import pydantic

from veldt.agents.agent import AgentSettings
from veldt.agents.catalogue import AGENTS, NEEDS
from veldt.agents.environment_settings import EnvironmentSettings
from veldt.platform import plugins
from veldt.platform.envs.vector import EnvironmentSpec
from veldt.platform.errors import InputError, SettingsError
from veldt.platform.machine import asked_threads, has_gpu, whole_cores
from veldt.platform.settings import Path, Settings

# Each optimiser's own settings, and what they are if nothing else is said.
OWN: dict[str, dict[str, float]] = {
    "rmsprop": {"decay": 0.99, "momentum": 0.0, "epsilon": 0.01},  # table G.1; its code's decay
    "rmsprop-torch": {"decay": 0.99, "momentum": 0.0, "epsilon": 1e-8},  # torch.optim.RMSprop's
    "adam": {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8},  # its paper's, and torch.optim.Adam's
}
MOST_THREADS = 1024
WRITTEN = {"decay": 0.99, "momentum": 0.0}  # into every run's settings, when adam ignored them


class OptimizerSettings(Settings):
    """How the learner descends. What another optimiser alone has is refused."""

    name: Literal["rmsprop", "rmsprop-torch", "adam"] = "rmsprop"
    """rmsprop is TensorFlow 1's, as in the paper."""
    learning_rate: float = pydantic.Field(6e-4, gt=0.0)
    anneal: bool = True
    """Lower the learning rate linearly on frames, to 0 at the end."""
    horizon_frames: int | None = pydantic.Field(None, ge=1, le=10**13)
    """Where that end is, if not where the training ends: one that may be made longer later has to
    know how long, or its past would change."""
    decay: float | None = pydantic.Field(None, ge=0.0, lt=1.0)
    """rmsprop, rmsprop-torch: of the mean square, 0.99 by default"""
    momentum: float | None = pydantic.Field(None, ge=0.0, lt=1.0)
    """rmsprop, rmsprop-torch: 0 by default"""
    beta1: float | None = pydantic.Field(None, ge=0.0, lt=1.0)
    """adam: of the mean gradient, 0.9 by default"""
    beta2: float | None = pydantic.Field(None, ge=0.0, lt=1.0)
    """adam: of the mean square, 0.999 by default"""
    epsilon: float | None = pydantic.Field(None, gt=0.0)
    """Added to the mean square, inside the root (rmsprop: 0.01 by default), or to the root (the
    others: 1e-8)."""
    max_gradient_norm: float = pydantic.Field(40.0, gt=0.0)
    """Gradients are scaled down to this global norm."""

    @pydantic.model_validator(mode="before")
    @classmethod
    def _with_its_own(cls, data: Any) -> Any:
        name = data.get("name", "rmsprop") if isinstance(data, dict) else None
        if not isinstance(name, str) or name not in OWN:
            return data
        given = {key: value for key, value in data.items() if value is not None}
        if name == "adam" and WRITTEN.items() <= given.items():
            given = {key: value for key, value in given.items() if key not in WRITTEN}
        others = {key: other for other, keys in reversed(OWN.items()) for key in keys}
        if foreign := sorted(given.keys() & (others.keys() - OWN[name].keys())):
            listed, theirs = ", ".join(foreign), others[foreign[0]]
            raise ValueError(
                f"{listed} would have no effect on {name}, whose own settings are "
                f"{', '.join(OWN[name])}: leave {listed} out, or take name = {theirs!r}"
            )
        return OWN[name] | given

    @property
    def own(self) -> dict[str, float]:
        """What this optimiser alone is made with."""
        return {key: getattr(self, key) for key in OWN[self.name]}


class ActorsSettings(Settings):
    """The processes that play."""

    count: int = pydantic.Field(default_factory=whole_cores, ge=1, le=4096)
    """The default is one for each core that may be used here but for those of a learner with
    several threads, and more if tasks or learners could not share them evenly."""
    cores: tuple[Annotated[int, pydantic.Field(ge=0)], ...] = ()
    """Cores that actors are bound to, one after another, as the system numbers them (Linux)."""
    bind: bool = True
    """Where no cores are named, and there are enough for all actors and the learners, each actor
    takes one that no other has, of another training neither (Linux)."""
    environments: int = pydantic.Field(16, ge=1, le=4096)
    """B, in each actor"""
    groups: int = pydantic.Field(1, ge=1, le=64)
    """Of these environments: while one group steps, the network acts for another. It pays where
    there are more cores than actors and the environments step on threads of their own (Atari) or
    wait, and with central inference"""
    unroll_length: int = pydantic.Field(20, ge=1, le=100_000)
    """T, steps"""
    inference: Literal["actor", "central"] = "actor"
    """Where the network that acts is: in each actor, or on the learner's device, for all of them
    (SEED, arXiv:1910.06591). Actors then need no weights, but wait for each action."""
    transport: Literal["shared", "ipc", "tcp"] = "shared"
    """How unrolls come to a learner of the same host: in memory that both share (Linux), through
    a socket, or through the loopback interface."""
    silence_s: float = pydantic.Field(120.0, gt=0.0)
    """An actor that makes no unroll for so long is killed and started again."""

    @pydantic.model_validator(mode="after")
    def _groups(self) -> "ActorsSettings":
        if self.environments % self.groups:
            raise ValueError(
                f"environments is {self.environments}, which {self.groups} groups cannot share"
            )
        return self


class LearnerSettings(Settings):
    """The process that learns."""

    count: int = pydantic.Field(1, ge=1, le=64)
    """Learners on this host that learn as one, each with its share of the actors, of the batch
    and of the replayed, and a GPU of its own where that is the device"""
    batch: int = pydantic.Field(2, ge=1, le=65_536)
    """Trajectories in an update, of all learners"""
    replay: int = pydantic.Field(0, ge=0, le=10_000_000)
    """Trajectories kept in memory to be learnt from again; 0: none (the paper's: 10,000)"""
    replayed: int = pydantic.Field(0, ge=0, le=65_536)
    """Of an update's trajectories, how many are replayed; the rest is fresh"""
    device: str = "auto"
    """"auto" (a GPU if there is one), "cpu", "cuda", "cuda:1"..."""
    threads: int = pydantic.Field(1, ge=1, le=MOST_THREADS)
    """Of torch, in each learner. The default is 1 in a `deterministic` training, else
    OMP_NUM_THREADS if that is set, else 1 with a GPU, else a quarter of the cores that may be
    used here, shared by the learners."""
    max_lag: int | None = pydantic.Field(None, ge=0, le=10_000)
    """Updates by which the weights of an unroll may be older than its update. As a bound on all of
    them it has the others wait for an actor that is slow. By default nobody waits unless the agent
    wants a bound (a2c: 0, ppo: 1): there are credits for so many unrolls that all actors are busy
    while the learner keeps up (actors / fresh trajectories updates, at least 1), and what a slow
    one makes is as old as it is."""
    checkpoint_updates: int = pydantic.Field(500, ge=1)
    """Updates between two checkpoints"""

    @pydantic.model_validator(mode="after")
    def _replay(self) -> "LearnerSettings":
        if (self.replay > 0) != (self.replayed > 0):
            raise ValueError("replay and replayed are given together")
        if self.replayed >= self.batch:
            raise ValueError("replayed must be less than batch: something has to be fresh")
        for name in ("batch", "replay", "replayed"):
            if (number := getattr(self, name)) % self.count:
                raise ValueError(f"{name} is {number}, which {self.count} learners cannot share")
        return self

    @property
    def fresh(self) -> int:
        """Trajectories in an update that were not learnt from before."""
        return self.batch - self.replayed


class BesideSettings(Settings):
    """Evaluations beside the training, by a process of their own."""

    every: int = pydantic.Field(0, ge=0, le=10**13)
    """Frames between two; 0: none. The end of the training is evaluated as well."""
    episodes: int = pydantic.Field(20, ge=1, le=1_000_000)
    """Whole ones, on seeds of their own, of each task"""
    policy: Literal["sample", "greedy"] = "sample"
    """Draw actions from the policy, as in training, or take the likeliest."""


class TrainSettings(Settings):
    """One training."""

    environment: EnvironmentSettings
    agent: pydantic.SerializeAsAny[AgentSettings]
    optimizer: OptimizerSettings = OptimizerSettings()
    actors: ActorsSettings = ActorsSettings()
    learner: LearnerSettings = LearnerSettings()
    evaluation: BesideSettings = BesideSettings()
    frames: int = pydantic.Field(ge=1, le=10**13)
    """Length of the training in emulator frames; a step of Atari is 4 of them."""
    seed: int = pydantic.Field(0, ge=0, lt=2**63)
    deterministic: bool = False
    """Same seed, same bits, whatever the speed of the processes: they go in lockstep; resuming
    is exact. Episodes are begun anew at each checkpoint, so let there be many between two."""

    @classmethod
    def prepare(cls, data: dict[str, Any], at: Path) -> dict[str, Any]:
        agent = data.get("agent", {"name": "impala"})
        if isinstance(agent, dict):
            name = agent.get("name", "impala")
            settings = plugins.load("agents", str(name), AGENTS, *NEEDS).Settings
            data["agent"] = settings.parse({"name": name} | agent, (*at, "agent"))
        learner = data.get("learner", {})
        if isinstance(learner, dict) and "threads" not in learner:
            data["learner"] = learner = learner | {"threads": _threads(data)}
        actors = data.get("actors", {})
        if isinstance(actors, dict) and "count" not in actors:
            least, taken = _sharers(data), _taken(learner)
            data["actors"] = actors | {"count": least * math.ceil((whole_cores() - taken) / least)}
        return data

    @classmethod
    def completed(cls, old: dict[str, Any]) -> dict[str, Any]:
        """What a run's folder says, with the defaults of settings that there were not yet."""
        try:
            return cls.parse(old).dump()
        except InputError:
            return old

    @pydantic.model_validator(mode="after")
    def _share_of_each_task(self) -> "TrainSettings":
        tasks = len(self.environment.played)
        if self.actors.count % tasks:
            raise ValueError(
                f"actors.count is {self.actors.count}, but each of {tasks} tasks gets the same "
                f"number of actors: take a multiple of {tasks}"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _no_replay(self) -> "TrainSettings":
        if self.deterministic and self.learner.replay:
            raise ValueError(
                "deterministic and learner.replay exclude one another: checkpoints do not hold "
                "what was kept"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _on_policy(self) -> "TrainSettings":
        if self.learner.replay and self._wanted_lag is not None:
            raise ValueError(
                f"learner.replay: {self.agent.name} learns from its newest policies alone and "
                "corrects for no older ones: set replay and replayed to 0, or take impala"
            )
        return self

    @pydantic.model_validator(mode="after")
    def _share_of_each_learner(self) -> "TrainSettings":
        if self.actors.count % self.learner.count:
            raise ValueError(
                f"actors.count is {self.actors.count}, which {self.learner.count} learners "
                "cannot share: take a multiple"
            )
        return self

    def task_of(self, actor: int) -> int:
        """The number of the task that an actor plays."""
        return actor % len(self.environment.played)

    @property
    def steps_per_update(self) -> int:
        """Fresh ones"""
        return self.actors.unroll_length * self.actors.environments * self.learner.fresh

    def frames_per_update(self, spec: EnvironmentSpec) -> int:
        return self.steps_per_update * spec.frames_per_step

    def updates(self, spec: EnvironmentSpec) -> int:
        """Updates in the whole training; the last may go past `frames`."""
        return math.ceil(self.frames / self.frames_per_update(spec))

    def horizon(self, spec: EnvironmentSpec) -> int:
        """Updates over which the learning rate falls to 0."""
        frames = self.optimizer.horizon_frames
        if frames is None:
            return self.updates(spec)
        return math.ceil(frames / self.frames_per_update(spec))

    def demand_horizon(self, frames: int) -> None:
        """Raises `SettingsError` if a training of these settings cannot be made to last longer.

        Args:
            frames: How long it was to last at first.
        """
        optimizer = self.optimizer
        if frames < self.frames and optimizer.anneal and optimizer.horizon_frames is None:
            raise SettingsError(
                f"optimizer.anneal: the learning rate was to be 0 after {frames:,} frames, so the "
                "training cannot be made longer. Set it to false, or optimizer.horizon_frames to "
                "the longest it may be, from the beginning on."
            )

    def exact(self, updates: int, spec: EnvironmentSpec) -> bool:
        """Whether a checkpoint may be gone on from. In lockstep, not from where a training that
        was shorter once ended between two of the longer one's."""
        between = updates % self.learner.checkpoint_updates
        return not (self.deterministic and between) or updates == self.updates(spec)

    def boundary(self, frames: int, spec: EnvironmentSpec) -> int:
        """The updates after which a part of the training of about so many frames ends: the next
        checkpoint's, from which it goes on as if it had not stopped."""
        every = self.learner.checkpoint_updates
        updates = math.ceil(frames / self.frames_per_update(spec))
        return min(self.updates(spec), math.ceil(updates / every) * every)

    @property
    def max_lag(self) -> int:
        if self.learner.max_lag is not None:
            return self.learner.max_lag
        usual = max(1, math.ceil(self.actors.count / self.learner.fresh))
        return usual if self._wanted_lag is None else min(usual, self._wanted_lag)

    @property
    def _wanted_lag(self) -> int | None:
        """`Agent.max_lag`"""
        build = plugins.load("agents", self.agent.name, AGENTS, *NEEDS)
        lag: int | None = getattr(build, "max_lag", None)
        return lag

    @property
    def lag_is_bound(self) -> bool:
        """Whether all wait for a slow actor, so that no unroll is older than `max_lag`."""
        return self.learner.max_lag is not None or self._wanted_lag is not None

    @property
    def remarks(self) -> list[str]:
        """What somebody who starts this may want to hear."""
        count, fresh = self.actors.count, self.learner.fresh
        busy = min(count, (self.max_lag + 1) * fresh)
        if busy == count:
            return []
        return [
            f"of {count} actors {busy} can be at work at a time: weights may be {self.max_lag} "
            f"updates old (learner.max_lag), and an update learns from {fresh} unrolls "
            "(learner.batch)"
        ]


def _learners(data: dict[str, Any]) -> int:
    learner = data.get("learner")
    count = learner.get("count") if isinstance(learner, dict) else None
    return count if isinstance(count, int) and count > 0 else 1


def _threads(data: dict[str, Any]) -> int:
    """Of each learner, on this machine."""
    if data.get("deterministic"):  # the same bits, whatever surrounds it
        return 1
    if (asked := asked_threads()) is not None:
        return min(asked, MOST_THREADS)
    learner = data.get("learner")
    device = learner.get("device", "auto") if isinstance(learner, dict) else "auto"
    gpu = str(device).startswith("cuda") or (device == "auto" and has_gpu())
    if gpu:
        return 1
    return max(1, whole_cores() // 4 // _learners(data))


def _taken(learner: Any) -> int:
    """Cores of this machine that are no actor's: one thread shares with the actors."""
    threads = learner.get("threads") if isinstance(learner, dict) else None
    several = threads if isinstance(threads, int) and threads > 1 else 0
    return min(several * _learners({"learner": learner}), whole_cores() - 1)


def chosen_before(
    data: dict[str, Any], old: dict[str, Any], whole: bool = False
) -> dict[str, Any]:
    """Settings with what was chosen from the machine where the run began, where nothing else is
    said of it; it may go on on another machine.

    Args:
        data: As a recipe has them.
        old: As the run's folder has them.
        whole: Whether in `data` too it was chosen, on this machine: then nothing is said of it.
    """
    found = dict(data)
    for table, name in (("actors", "count"), ("learner", "threads")):
        said, before = data.get(table, {}), old.get(table)
        if isinstance(said, dict) and isinstance(before, dict) and name in before:
            kept = {name: before[name]}
            found[table] = said | kept if whole else kept | said
    return found


def _sharers(data: dict[str, Any]) -> int:
    """The least number of actors that a training's tasks and learners can share evenly."""
    environment = data.get("environment")
    tasks = environment.get("tasks") if isinstance(environment, dict) else None
    return math.lcm(
        len(tasks) if isinstance(tasks, list | tuple) and tasks else 1, _learners(data)
    )
