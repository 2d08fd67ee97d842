"""What a person with small pictures types: make them four times larger."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unpaired.core.options import Device, examples, tell_refused

UPSCALE = (
    "unpaired upscale small/ --output large/ --model table5:lud_vae",
    "unpaired upscale small.png --output large.png --model model.safetensors",
)


def upscale(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Folder to write to, under the same names; a file for one."
        ),
    ],
    model: Annotated[
        Path, typer.Option(help="A trained model (.safetensors), or a table's row: table5:lud_vae.")
    ],
    device: Device = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace pictures that are there already.")
    ] = False,
) -> None:
    """Make pictures four times larger with a network that Table 5 has trained."""
    from unpaired.systems.super_resolution.upscale import Options, upscale

    outcome = upscale(pictures, output, Options(model, device, overwrite))
    tell_refused(outcome.refused)
    print(outcome.summary(output))
    if outcome.refused:
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    """Add the commands of this system."""
    app.command(epilog=examples(*UPSCALE))(upscale)
