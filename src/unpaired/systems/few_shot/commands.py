"""What a person with few pairs types: learn from them, and restore other pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unpaired.core.options import Device, examples, tell_refused

FEW_PAIRS = ("unpaired few-pairs recipe.yaml",)
RESTORE = ("unpaired restore degraded/ --output restored/ --model own/model.safetensors",)


def few_pairs(
    recipe: Annotated[Path, typer.Argument(help="YAML: where pairs and unpaired pictures are.")],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace models of other recipes in its output.")
    ] = False,
) -> None:
    """Learn to restore pictures from a few pairs and many unpaired ones.

    The recipe names three folders and an output; docs/few_pairs.md shows one.
    """
    from unpaired.systems.few_shot.own_pairs import learn, read_recipe

    print(learn(read_recipe(recipe), overwrite=overwrite).summary)


def restore(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Folder to write to, under the same names; a file for one."
        ),
    ],
    model: Annotated[
        Path, typer.Option(help="A trained model (.safetensors), or a table's row: table8:sud2.")
    ],
    device: Device = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace pictures that are there already.")
    ] = False,
) -> None:
    """Restore pictures with a model that `unpaired few-pairs`, or a table, has trained."""
    from unpaired.systems.few_shot.restore import Options, restore

    outcome = restore(pictures, output, Options(model, device, overwrite))
    tell_refused(outcome.refused)
    print(outcome.summary(output))
    if outcome.refused:
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    """Add the commands of this system."""
    app.command("few-pairs", epilog=examples(*FEW_PAIRS))(few_pairs)
    app.command(epilog=examples(*RESTORE))(restore)
