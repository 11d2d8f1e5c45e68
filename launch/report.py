"""The report of one or more runs: one HTML file that needs nothing else, not even a network."""

import shlex
from pathlib import Path
from typing import Any

from veldt.platform.errors import InputError
from veldt.platform.runs import read_json, write_whole


def write(folder: Path, path: Path) -> Path:
    """Writes the report of a training or a search, finished or not, or of several.

    Args:
        folder: Where it ran; or one with trainings or population searches in it, `FOLDER/SEED`
            or `FOLDER/GROUP/SEED`, which are then compared.
        path: The file to write.

    Raises:
        InputError: if the folder holds none of these, or the file cannot be written.
    """
    command = f"veldt report {shlex.quote(str(folder))}"
    if path != folder / "report.html":
        command += f" --out {shlex.quote(str(path))}"
    page = content(folder, command)
    try:
        write_whole(path, page.encode())
    except OSError as error:
        raise InputError(f"{path}: cannot write there ({error.strerror}).") from error
    return path


def content(folder: Path, command: str) -> str:
    """The report as HTML; `command` is what its footer says it was made by.

    Raises:
        InputError: as `write`.
    """
    # Plotly and what a search needs are imported here: `veldt --help` does without.
    if not (folder / "settings.json").exists():
        from veldt.launch import population_groups, training_groups

        searches = population_groups.find(folder)
        trainings = population_groups.collect(folder, _is_training, training_groups.read_training)
        if searches and trainings:
            raise InputError(f"{folder}: holds trainings and searches; name a folder of one kind.")
        if trainings:
            return training_groups.trainings_report(folder, trainings, command)
        if searches:
            return population_groups.groups_report(folder, searches, command)
        raise InputError(
            f"{folder}: holds neither a training nor a search (no settings.json), nor "
            "folders of trainings or of population searches."
        )
    document = read_json(folder / "settings.json")
    settings = document.get("settings") if isinstance(document, dict) else None
    kinds = settings.keys() if isinstance(settings, dict) else set()
    if "space" in kinds:
        from veldt.launch.study_report import study_report

        return study_report(folder, document, command)
    if {"strategy", "problem"} <= kinds:
        from veldt.launch.population_report import population_report

        return population_report(folder, document, command)
    if _is_training(document):
        from veldt.launch.run_report import run_report

        return run_report(folder, document, command)
    raise InputError(f"{folder / 'settings.json'}: of neither a training nor a search.")


def _is_training(document: Any) -> bool:
    """Whether this is the settings.json of a training."""
    settings = document.get("settings") if isinstance(document, dict) else None
    return isinstance(settings, dict) and {"environment", "agent"} <= settings.keys()
