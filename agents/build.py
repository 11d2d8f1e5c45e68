"""From settings to things: the environments, the agent, the device."""

import os
from typing import Any

import torch

from veldt.agents.agent import Agent
from veldt.agents.catalogue import AGENTS
from veldt.agents.networks.actor_critic import initialise
from veldt.agents.settings import TrainSettings
from veldt.platform import plugins
from veldt.platform.envs import catalogue
from veldt.platform.envs.vector import EnvironmentSpec, VectorEnvironment
from veldt.platform.errors import MissingProgram, SettingsError
from veldt.platform.keys import Key


def make_environments(settings: TrainSettings, size: int) -> VectorEnvironment:
    """`size` environments of the kind the settings name."""
    return catalogue.make(settings.environment.id, size, settings.environment.options)


def environment_spec(settings: TrainSettings) -> EnvironmentSpec:
    """What the environment looks like, by making one and letting it go."""
    environments = make_environments(settings, 1)
    environments.close()
    return environments.spec


def make_agent(settings: TrainSettings, spec: EnvironmentSpec) -> Agent:
    """The agent the settings name, its network drawn from the seed."""
    build = plugins.load("agents", settings.agent.name, AGENTS)
    seed = Key(settings.seed).child("network").integer()
    agent: Agent = initialise(lambda: build(settings.agent, spec), seed)
    return agent


def find_device(name: str) -> torch.device:
    """The learner's device.

    Raises:
        SettingsError: if torch knows no device of this name.
        MissingProgram: if this machine has none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
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
