"""The report of a run: one HTML file that needs nothing else, not even a network."""

import shlex
from pathlib import Path

from veldt.platform.errors import InputError
from veldt.platform.runs import read_json, write_whole


def write(folder: Path, path: Path) -> Path:
    """Writes the report of a training or a search, finished or not.

    Args:
        folder: Where it ran.
        path: The file to write.

    Raises:
        InputError: if the folder holds neither, or the file cannot be written.
    """
    if not (folder / "settings.json").exists():
        raise InputError(f"{folder}: holds neither a training nor a search (no settings.json).")
    document = read_json(folder / "settings.json")
    settings = document.get("settings") if isinstance(document, dict) else None
    command = f"veldt report {shlex.quote(str(folder))}"
    if path != folder / "report.html":
        command += f" --out {shlex.quote(str(path))}"
    # Plotly and what a search needs are imported here: `veldt --help` does without.
    if isinstance(settings, dict) and "space" in settings:
        from veldt.launch.study_report import study_report

        content = study_report(folder, document, command)
    elif isinstance(settings, dict) and "environment" in settings:
        from veldt.launch.run_report import run_report

        content = run_report(folder, document, command)
    else:
        raise InputError(f"{folder / 'settings.json'}: of neither a training nor a search.")
    try:
        write_whole(path, content.encode())
    except OSError as error:
        raise InputError(f"{path}: cannot write there ({error.strerror}).") from error
    return path
