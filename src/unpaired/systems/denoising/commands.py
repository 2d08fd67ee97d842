"""What a person with noisy pictures types."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from unpaired.core.options import INTERRUPTED, Device, Precision, examples
from unpaired.systems.denoising.offers import FOR_NOISY_PICTURES

DENOISE = (
    "unpaired denoise my_pictures/ --output restored/",
    "unpaired denoise a.tif b.tif --output restored/ --minutes 10",
    "unpaired denoise my_pictures/ --output restored/ --method cbm3d",
)
COMPARE = (
    "unpaired compare my_pictures/ --output comparison/ --minutes 20",
    "unpaired compare my_pictures/ --output comparison/ --methods cbm3d,n2v",
)


def denoise(
    pictures: Annotated[list[Path], typer.Argument(help="Noisy pictures, or folders of them.")],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="Folder to write to; for one picture a file as well."),
    ],
    method: Annotated[
        str, typer.Option(help="How to denoise; auto tries the best two and keeps the better.")
    ] = "auto",
    model: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="A trained model (.safetensors); nothing is learned then."),
    ] = None,
    minutes: Annotated[
        float, typer.Option(help="How long it may take by the clock, all in all.")
    ] = 5.0,
    stride: Annotated[
        str,
        typer.Option(
            help="1, 2 or 3: restore pixels so far apart by themselves, against noise that "
            "neighbors share; auto measures it."
        ),
    ] = "auto",
    read_out: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="Which of the method's ways to restore, where it has several."),
    ] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped.")
    ] = False,
) -> None:
    """Denoise pictures, learning from nothing but themselves."""
    from unpaired.systems.denoising.denoise import Options, denoise

    options = Options(
        method, model, minutes, device, precision, stride, read_out, overwrite, resume
    )
    report = denoise(pictures, output, options, command=shlex.join(["unpaired", *sys.argv[1:]]))
    print("\n".join([*report.lines, report.count(output)]))
    if report.refused:
        raise typer.Exit(1)


def compare(
    pictures: Annotated[list[Path], typer.Argument(help="Noisy pictures, or folders of them.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the comparison and the best model.")
    ],
    methods: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this annotation
        typer.Option(
            help="Names with commas between, tried in this order; without it, all that need noisy "
            "pictures alone."
        ),
    ] = None,
    minutes: Annotated[float, typer.Option(help="Minutes by the clock, for everything.")] = 10.0,
    device: Device = "auto",
    precision: Precision = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier comparison in the folder.")
    ] = False,
) -> None:
    """Find the method that denoises these pictures best, without clean ones to compare with.

    The ranking so far is shown after every method. Ctrl-C ends the comparison and keeps what is
    done.
    """
    from unpaired.systems.denoising.compare import Options, compare

    names = tuple(name.strip() for name in methods.split(",")) if methods is not None else ()
    try:
        found = compare(pictures, output, Options(names, minutes, device, precision, overwrite))
    except KeyboardInterrupt as interrupt:
        print(": ".join(["stopped", *map(str, interrupt.args)]), file=sys.stderr, flush=True)
        raise typer.Exit(INTERRUPTED) from None
    print(found.text)
    if found.is_stopped:
        raise typer.Exit(INTERRUPTED)


def add_to(app: typer.Typer) -> None:
    """Add the commands of this system."""
    app.command(epilog=examples(*DENOISE, listed=FOR_NOISY_PICTURES))(denoise)
    app.command(epilog=examples(*COMPARE, listed=FOR_NOISY_PICTURES))(compare)
