"""What a person types to learn what noise is like, and to make clean pictures noisy with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from unpaired.core.errors import UnpairedError
from unpaired.core.options import Device, Seed, examples, tell_refused

DEGRADE = (
    "unpaired degrade --learn-from noisy/ --clean clean/ --output camera/",
    "unpaired degrade clean/ --model camera/ --output made_noisy/",
)
NoPictures = Optional[list[Path]]  # noqa: UP045 - typer reads this annotation
NoPath = Optional[Path]  # noqa: UP045


def degrade(
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Folder to write to: the model, or the noisy pictures."
        ),
    ],
    pictures: Annotated[
        NoPictures, typer.Argument(help="Clean pictures, or folders of them, to make noisy.")
    ] = None,
    learn_from: Annotated[
        NoPath, typer.Option(help="Folder of noisy pictures, to learn from.")
    ] = None,
    clean: Annotated[
        NoPath, typer.Option(help="Folder of clean pictures of other scenes, to learn from.")
    ] = None,
    model: Annotated[
        NoPath, typer.Option(help="What was learned: a folder, or a .safetensors file.")
    ] = None,
    device: Device = "auto",
    seed: Seed = 1,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace what is there already, also another model.")
    ] = False,
) -> None:
    """Learn a degradation from pictures that do not match, or make clean pictures noisy with it.

    The noisy pictures and the clean ones they were made of are pairs to train a network on.
    """
    if model is None:
        _learn(pictures, learn_from, clean, output, device, seed, overwrite)
        return
    if learn_from is not None or clean is not None or not pictures:
        raise UnpairedError(
            f"--model makes pictures noisy: name them, and leave --learn-from out; {DEGRADE[1]}"
        )
    from unpaired.systems.degradation.degrade import Options, degrade

    outcome = degrade(pictures, output, Options(model, device, seed, overwrite))
    tell_refused(outcome.refused)
    print(outcome.summary(output))
    if outcome.refused:
        raise typer.Exit(1)


def _learn(
    pictures: list[Path] | None,
    noisy: Path | None,
    clean: Path | None,
    output: Path,
    device: str,
    seed: int,
    overwrite: bool,
) -> None:
    if pictures or noisy is None or clean is None:
        raise UnpairedError(
            f"give --learn-from and --clean, or --model and pictures: {' ; '.join(DEGRADE)}"
        )
    from unpaired.systems.degradation.own_degradation import Folders, learn

    learn(Folders(noisy, clean, output), device=device, seed=seed, overwrite=overwrite)
    print(f"written to {output}; use it by: unpaired degrade CLEAN --model {output} --output DIR")


def add_to(app: typer.Typer) -> None:
    """Add the commands of this system."""
    app.command(epilog=examples(*DEGRADE))(degrade)
