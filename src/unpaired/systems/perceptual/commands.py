"""What a person types to measure how different pictures look."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from unpaired.core.options import examples

DISTANCE = (
    "unpaired distance original.png restored.png --map where.png",
    "unpaired distance originals/ restored/ --output distances.csv",
)


def distance(
    first: Annotated[Path, typer.Argument(help="A picture, or a folder of pictures.")],
    second: Annotated[Path, typer.Argument(help="The other one; folders are matched by name.")],
    net: Annotated[
        str,
        typer.Option(
            help="alex, vgg, squeeze, a network of timm's, or a trained model (.safetensors)."
        ),
    ] = "alex",
    weights: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation
        typer.Option(
            help="The network's weights (.safetensors, .pth), if you have them in a file."
        ),
    ] = None,
    map: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="PNG to write, showing where two pictures differ."),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation
        typer.Option("--output", "-o", help="CSV to write."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there already.")
    ] = False,
) -> None:
    """Say how different pictures look (LPIPS, a learned perceptual distance)."""
    from unpaired.systems.perceptual.distance import Options, distance

    print(distance(first, second, Options(net, weights, map, output, overwrite)))


def add_to(app: typer.Typer) -> None:
    """Add the commands of this system."""
    app.command(epilog=examples(*DISTANCE))(distance)
