"""A run's own copy of the learned loss that it descends.

Settings name a file anywhere. A run has to be evaluated and resumed wherever it lies and long
after, so that the file is copied into its folder as it begins, and read from there.
"""

from pathlib import Path

from veldt.agents.settings import TrainSettings
from veldt.platform.errors import InputError
from veldt.platform.runs import write_whole

NAME = "loss.safetensors"


def kept(settings: TrainSettings, folder: Path) -> TrainSettings:
    """The settings, with the loss of the run in this folder if it has a copy."""
    copy = (folder / NAME).resolve()
    if not settings.agent.loss or not copy.is_file():
        return settings
    return settings.model_copy(
        update={"agent": settings.agent.model_copy(update={"loss": str(copy)})}
    )


def keep(settings: TrainSettings, folder: Path) -> TrainSettings:
    """Copies the loss into the run's folder unless it is there; the settings that read the copy.

    Raises:
        InputError: if there is no such file.
    """
    if settings.agent.loss and not (folder / NAME).exists():
        try:
            write_whole(folder / NAME, Path(settings.agent.loss).read_bytes())
        except OSError as error:
            raise InputError(f"{settings.agent.loss}: {error.strerror}.") from error
    return kept(settings, folder)


def without(settings: TrainSettings) -> TrainSettings:
    """The settings of an agent that only acts: it needs no loss, which its host may not have."""
    return settings.model_copy(update={"agent": settings.agent.model_copy(update={"loss": ""})})
