"""From settings to things: the environments, the agent, the device."""

import dataclasses
import os
from typing import Any

import torch

from veldt.agents.agent import Agent
from veldt.agents.catalogue import AGENTS, NEEDS
from veldt.agents.learner import Learner
from veldt.agents.learner_group import LearnerGroup
from veldt.agents.networks.actor_critic import initialise
from veldt.agents.settings import TrainSettings
from veldt.platform import plugins
from veldt.platform.envs import catalogue
from veldt.platform.envs.vector import EnvironmentSpec, PartOfVector, VectorEnvironment
from veldt.platform.errors import MissingProgram, SettingsError, UnsupportedSpace
from veldt.platform.keys import Key
from veldt.platform.machine import asked_threads, whole_cores
from veldt.platform.tickets import Place


def make_environments(settings: TrainSettings, size: int, task: int = 0) -> VectorEnvironment:
    """`size` environments of one of the tasks that the settings name."""
    return _made(settings, size, task)[0]


def _made(settings: TrainSettings, size: int, task: int) -> tuple[VectorEnvironment, str]:
    """And what the run's hidden task is, where there is one."""
    played = settings.environment.played[task]
    environments = catalogue.make(played.id, size, played.options)
    pin = getattr(environments, "pin", None)
    if pin is None or settings.environment.hidden_tasks == "many":
        return environments, ""
    return environments, pin(Key(settings.seed).child("hidden-task", task))


def environment_spec(settings: TrainSettings) -> EnvironmentSpec:
    """What the environment looks like, by making one and letting it go.

    Raises:
        UnsupportedSpace: if tasks differ in what they show or take.
    """
    return look(settings)[0]


def look(settings: TrainSettings) -> tuple[EnvironmentSpec, list[str]]:
    """The same, and the hidden tasks of the run, "family/goal: x 0.600, y 0.800" for one.

    Raises:
        UnsupportedSpace: if tasks differ in what they show or take.
    """
    specs, hidden = [], []
    for task in range(len(settings.environment.played)):
        environments, found = _made(settings, 1, task)
        if any(part.kind == "words" for part in environments.spec.observations.parts):
            environments.reset(Key(settings.seed).child("shown"))  # a text that is cut says so
        environments.close()
        if settings.actors.groups > 1 and not isinstance(environments, PartOfVector):
            raise SettingsError(
                f"actors.groups: {environments.spec.id} cannot be played in groups, for want of "
                "`reset_from`; set it to 1."
            )
        specs.append(environments.spec)
        if found:
            hidden.append(f"{environments.spec.id}: {found}")
    first = specs[0]
    for other in specs[1:]:
        for name in ("observations", "actions", "frames_per_step"):
            one, two = getattr(first, name), getattr(other, name)
            if one != two:
                raise UnsupportedSpace(
                    f"tasks of one agent show and take the same, but {name} of {first.id} are "
                    f"{one} and of {other.id} {two}. For Atari set "
                    'environment.options.full_action_space=true, or protocol="machado".'
                )
    return with_tasks(settings, first), hidden


def with_tasks(settings: TrainSettings, spec: EnvironmentSpec) -> EnvironmentSpec:
    """What one task looks like, as the spec of all."""
    return dataclasses.replace(spec, tasks=tuple(task.id for task in settings.environment.played))


def make_agent(settings: TrainSettings, spec: EnvironmentSpec) -> Agent:
    """The agent the settings name, its network drawn from the seed."""
    build = plugins.load("agents", settings.agent.name, AGENTS, *NEEDS)
    seed = Key(settings.seed).child("network").integer()
    agent: Agent = initialise(lambda: build(settings.agent, spec), seed)
    return agent


def make_learner(
    settings: TrainSettings,
    spec: EnvironmentSpec,
    agent: Agent,
    device: torch.device,
    group: LearnerGroup | None = None,
) -> Learner:
    """The learner of an agent, at the beginning of a run."""
    cores = asked_threads() or whole_cores() // settings.learner.count
    least = settings.learner.threads
    key = Key(settings.seed).child("learner")
    updates = settings.horizon(spec)
    threads = (least, max(least, cores))
    return Learner(agent, settings.optimizer, device, updates, key, group, threads)


def find_device(name: str, place: Place = Place()) -> torch.device:  # noqa: B008
    """The learner's device; of several learners each has its own GPU, or all have the CPU.

    Raises:
        SettingsError: if torch knows no device of this name.
        MissingProgram: if this machine has none.
    """
    several = place.learners > 1
    if name == "auto":
        enough = torch.cuda.is_available() and torch.cuda.device_count() >= place.learners
        name = "cuda" if enough else "cpu"
    if several and name == "cuda":
        name = f"cuda:{place.learner}"
    elif several and name.startswith("cuda"):
        raise SettingsError(
            f"learner.device: {name!r}, but each of {place.learners} learners has a GPU of its "
            "own; use auto, cuda or cpu."
        )
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingsError(
            f"learner.device: {name!r} is no device; use auto, cpu, cuda or cuda:N."
        ) from None
    if device.type not in ("cpu", "cuda"):
        raise SettingsError(f"learner.device: {name!r} is not supported; use auto, cpu or cuda.")
    if device.type == "cuda":
        count = torch.cuda.device_count()
        if (device.index or 0) >= count:
            raise MissingProgram(
                f"learner.device: {name!r}, but torch sees {count} CUDA devices here; "
                "use auto or cpu, or see `veldt doctor`."
            )
    return device


def make_deterministic() -> None:
    """The same bits from the same operations, where the device would choose for speed."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)


def use_threads(count: int) -> None:
    """Lets torch use so many threads in this process, from here on."""
    torch.set_num_threads(count)


def torch_features() -> dict[str, Any]:
    """What the torch of this machine is: version, threads, and its GPUs, each tried.

    Raises:
        RuntimeError: if a GPU is there but does not compute.
    """
    devices = []
    for index in range(torch.cuda.device_count()):
        torch.ones(8, device=f"cuda:{index}").sum().item()
        properties = torch.cuda.get_device_properties(index)
        devices.append({"name": properties.name, "memory_bytes": properties.total_memory})
    return {
        "torch": str(torch.__version__),
        "threads": torch.get_num_threads(),
        "devices": devices,
    }
