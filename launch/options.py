"""What several commands of the command line take, and the folder they work in."""

import time
from pathlib import Path
from typing import Annotated

import typer

Recipe = Annotated[
    str, typer.Argument(help="A name from `veldt list recipes`, or the path of a TOML file.")
]
Folder = Annotated[Path, typer.Argument(help="The folder of a training or a search.")]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY.SUB=VALUE", help="Override a setting; may be repeated."),
]
Out = Annotated[
    Path | None, typer.Option("--out", help="The run's folder; default: runs/RECIPE-TIME.")
]
Seed = Annotated[int | None, typer.Option("--seed", min=0, help="Override the recipe's seed.")]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on with what is in --out, if there is something.")
]
Dashboard = Annotated[
    int | None,
    typer.Option(
        "--dashboard",
        metavar="PORT",
        min=0,
        max=65_535,
        help="Show how it goes at http://127.0.0.1:PORT, with /metrics for Prometheus.",
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print the summary as one JSON object, and only that.")
]


def folder_of(out: Path | None, recipe: str, resume: bool) -> Path:
    if out is None and resume:
        raise typer.BadParameter("--resume needs --out, the folder of the run to go on with.")
    return out or Path("runs") / f"{Path(recipe).stem}-{time.strftime('%Y%m%d-%H%M%S')}"
