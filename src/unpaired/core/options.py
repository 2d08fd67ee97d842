"""Options that several commands share, and what ``--help`` says below them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Optional

import typer

INTERRUPTED = 130  # the exit code that a shell expects after Ctrl-C

ConfigFiles = Annotated[
    list[Path],
    typer.Option(help="Configuration file; give the option again to lay another one over it."),
]
DataRoot = Annotated[
    Optional[str],  # noqa: UP045 - typer reads this annotation
    typer.Option(help="Folder that holds the data sets' folders."),
]
Seed = Annotated[int, typer.Option(min=0, help="Decides every draw.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda (or gpu), mps.")]
Precision = Annotated[str, typer.Option(help="auto, bf16 or fp32.")]


def examples(*commands: str, listed: Mapping[str, str] | None = None) -> str:
    """Return examples, one a line, and below them names with a few words each.

    Lines of up to 76 characters: a longer one is wrapped in a terminal of 80, and loses its indent.
    """
    lines = [f"Example{'s' if len(commands) > 1 else ''}:", *(f"  {line}" for line in commands)]
    if listed:
        width = max(map(len, listed))
        lines += ["", "Methods:", *(f"  {name:{width}}  {about}" for name, about in listed.items())]
    return "\n".join(lines)


def tell_refused(refused: Iterable[str]) -> None:
    """Print every input that was refused, with its reason, to standard error."""
    for reason in refused:
        typer.echo(f"refused: {reason}", err=True)
