"""What a person with pictures types: features of them, and how good features are for classes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from unpaired.core.options import Device, examples, tell_refused

FEATURES = ("unpaired features pictures/ --model table15:split_brain_cl -o features.npy",)
PROBE = ("unpaired probe classes/ --model table15:split_brain_cl",)

Model = Annotated[
    Path, typer.Option(help="A trained encoder (.safetensors), or a table's row: table15:labels.")
]
Numbers = Annotated[
    int, typer.Option(min=1, max=1_000_000, help="Numbers of every layer and picture, about.")
]
Side = Annotated[
    Optional[int],  # noqa: UP045 - typer reads this annotation
    typer.Option(
        min=1,
        max=4096,
        help="Side that pictures are squeezed to, px; the model's own without it.",
    ),
]


def features(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="File to write (.npy); a CSV beside it.")
    ],
    model: Model,
    layer: Annotated[str, typer.Option(help="conv1 .. conv5")] = "conv3",
    numbers: Numbers = 9000,
    side: Side = None,
    device: Device = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files that are there already.")
    ] = False,
) -> None:
    """Write what a network that learned without labels sees in pictures, a row of numbers each.

    The CSV beside the file says which picture a row is.
    """
    from unpaired.systems.features.own_features import Options, write_features

    options = Options(model, layer, numbers, side, device, overwrite)
    written = write_features(pictures, output, options)
    tell_refused(written.refused)
    print(written.summary)
    if written.refused:
        raise typer.Exit(1)


def probe(
    folder: Annotated[Path, typer.Argument(help="Pictures, one folder per class.")],
    model: Model,
    beside: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="A network of the library timm to compare with."),
    ] = None,
    weights: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="Its weights (.safetensors, .pth); timm's own without it."),
    ] = None,
    numbers: Numbers = 9000,
    side: Side = None,
    device: Device = "auto",
) -> None:
    """Say how good features are for your classes: accuracy of linear classifiers on every layer.

    By five-fold cross-validation, with intervals. Copies and crops of one picture in a folder make
    it look better than it is.
    """
    from unpaired.systems.features.own_probe import Options, probe

    done = probe(folder, Options(model, beside, weights, numbers, side, device))
    print(done.table)
    tell_refused(done.refused)
    if done.refused:
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    """Add the commands of this system."""
    app.command(epilog=examples(*FEATURES))(features)
    app.command(epilog=examples(*PROBE))(probe)
