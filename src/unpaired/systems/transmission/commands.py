"""What a person with a picture and a noisy channel types."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from unpaired.core.options import Device, examples, tell_refused

TRANSMIT = (
    "unpaired transmit a.png -o sent/ --snr 1 --codec table9:deepjscc",
    "unpaired transmit a.png -o s/ --snr 5 --codec C --prior P --inn I --crop 32",
)


def transmit(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")],
    codec: Annotated[
        Path, typer.Option(help="A DeepJSCC codec (.safetensors), or table9:deepjscc.")
    ],
    snr: Annotated[
        list[float], typer.Option(help="Quality of the channel in dB; may stand repeatedly.")
    ],
    prior: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="A diffusion model (.safetensors), or table9:prior."),
    ] = None,
    inn: Annotated[
        list[Path],
        typer.Option(help="An invertible network for one of the channels; may stand repeatedly."),
    ] = [],  # noqa: B006 - typer copies it
    crop: Annotated[
        Optional[int],  # noqa: UP045 - typer reads this annotation
        typer.Option(min=1, help="Send the middle of every picture, of so many pixels a side."),
    ] = None,
    start: Annotated[
        float, typer.Option(help="Share of the diffusion's times to start from; 1: noise alone.")
    ] = 0.5,
    steps: Annotated[
        int, typer.Option(min=1, max=1000, help="Steps from there to the picture.")
    ] = 30,
    guidance: Annotated[
        float, typer.Option(help="Factor on the paper's step size towards what arrived.")
    ] = 1.0,
    device: Device = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is in the output folder already.")
    ] = False,
) -> None:
    """Send pictures through a simulated noisy channel, and write what arrives by every method.

    Beside the pictures: transmission.csv (symbols, scores, seconds), and index.html, a page with a
    slider over the channels.
    """
    from unpaired.systems.transmission.transmit import Options, transmit

    command = shlex.join(["unpaired", *sys.argv[1:]])
    chain = {"start": start, "steps": steps, "guidance": guidance}
    options = Options(
        codec,
        tuple(snr),
        prior,
        tuple(inn),
        crop,
        device=device,
        overwrite=overwrite,
        command=command,
        **chain,
    )
    outcome = transmit(pictures, output, options)
    tell_refused(outcome.refused)
    print(outcome.summary(output))
    if outcome.refused:
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    """Add the command of this system."""
    app.command(epilog=examples(*TRANSMIT))(transmit)
