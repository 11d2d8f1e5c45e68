"""The report of one or more runs: one HTML file that needs nothing else, not even a network."""

import shlex
from pathlib import Path

from veldt.platform.errors import InputError
from veldt.platform.runs import read_json, write_whole


def write(folder: Path, path: Path) -> Path:
    """Writes the report of a training or a search, finished or not, or of several searches.

    Args:
        folder: Where it ran; or one with population searches in it, `FOLDER/SEED` or
            `FOLDER/GROUP/SEED`, which are then compared.
        path: The file to write.

    Raises:
        InputError: if the folder holds none of these, or the file cannot be written.
    """
    command = f"veldt report {shlex.quote(str(folder))}"
    if path != folder / "report.html":
        command += f" --out {shlex.quote(str(path))}"
    content = _content(folder, command)
    try:
        write_whole(path, content.encode())
    except OSError as error:
        raise InputError(f"{path}: cannot write there ({error.strerror}).") from error
    return path


def _content(folder: Path, command: str) -> str:
    # Plotly and what a search needs are imported here: `veldt --help` does without.
    if not (folder / "settings.json").exists():
        from veldt.launch.population_groups import find, groups_report

        groups = find(folder)
        if not groups:
            raise InputError(
                f"{folder}: holds neither a training nor a search (no settings.json), nor "
                "folders of population searches."
            )
        return groups_report(folder, groups, command)
    document = read_json(folder / "settings.json")
    settings = document.get("settings") if isinstance(document, dict) else None
    kinds = settings.keys() if isinstance(settings, dict) else set()
    if "space" in kinds:
        from veldt.launch.study_report import study_report

        return study_report(folder, document, command)
    if {"strategy", "problem"} <= kinds:
        from veldt.launch.population_report import population_report

        return population_report(folder, document, command)
    if "environment" in kinds:
        from veldt.launch.run_report import run_report

        return run_report(folder, document, command)
    raise InputError(f"{folder / 'settings.json'}: of neither a training nor a search.")
