"""What a person types to color pictures by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from unpaired.core.options import Device, Precision, examples

UI = (
    "unpaired ui holiday.jpg --model weights/local_hints/siggraph17.safetensors",
    "unpaired ui scenes/ --model table11:local --no-browser",
)


def ui(
    model: Annotated[
        Path,
        typer.Option(
            help="A trained model of local_hints or global_hints (.safetensors), or a table's "
            "row: table11:local."
        ),
    ],
    pictures: Annotated[
        list[Path], typer.Argument(help="Pictures, or folders of them; the page opens others too.")
    ] = [],  # noqa: B006 - typer copies it
    port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Of this machine; 0 takes a free one.")
    ] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in the browser.")
    ] = True,
    device: Device = "auto",
    precision: Precision = "auto",
) -> None:
    """Color pictures by hand: click a point, pick a color, see the picture change at once.

    A page on this machine alone, which needs no network. Ctrl-C ends it.

    For photographs, import the authors' weights once:
    unpaired import-weights local_hints siggraph17-df00044c.pth
    """
    from unpaired.systems.guided_colorization.page.serve import serve

    serve(pictures, model, port=port, open_browser=browser, device=device, precision=precision)


def add_to(app: typer.Typer) -> None:
    """Add the command of this system."""
    app.command(epilog=examples(*UI))(ui)
