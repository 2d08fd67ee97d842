"""What a person types who has pictures to translate, or pairs to learn from."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from unpaired.core.options import Device, Seed, examples, tell_refused

LEARN = (
    "unpaired learn-translation pairs/ --output own/",
    "unpaired learn-translation maps/ --direction BtoA -o own/ --picture-px 128",
)
TRANSLATE = (
    "unpaired translate new/ --output made/ --model own/model.safetensors",
    "unpaired translate new/ -o made/ --model M.safetensors --like facade.jpg",
)
SIDE_MAX_PX, SAMPLES_MAX = 4096, 1000


def learn_translation(
    pairs: Annotated[
        Path,
        typer.Argument(help="Folder of pictures with two halves, or with folders A and B."),
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write the model to.")],
    direction: Annotated[
        str, typer.Option(help="AtoB: from the left half to the right one; or BtoA.")
    ] = "AtoB",
    picture_px: Annotated[
        int, typer.Option(min=1, max=SIDE_MAX_PX, help="Side that halves are brought to, px.")
    ] = 64,
    settings: Annotated[
        list[str], typer.Option("--set", help="KEY=VALUE of the method; may stand repeatedly.")
    ] = [],  # noqa: B006 - typer copies it
    seed: Seed = 1,
    device: Device = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another model that is there already.")
    ] = False,
) -> None:
    """Learn to translate pictures in many ways from pairs; docs/translation.md says what helps."""
    from unpaired.systems.translation.own_pairs import Options, learn, settings_of

    options = Options(output, direction, picture_px, settings_of(settings), seed, device, overwrite)
    model = learn(pairs, options)
    print(f"written to {model}; use it by: unpaired translate PICTURES -o DIR --model {model}")


def translate(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders of them.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")],
    model: Annotated[
        Path,
        typer.Option(help="A trained model (.safetensors), or a table's row: table13:bicyclegan."),
    ],
    samples: Annotated[
        int, typer.Option(min=1, max=SAMPLES_MAX, help="Outputs of every picture.")
    ] = 6,
    like: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="One output in the style of this picture, in place of samples."),
    ] = None,
    half: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="left or right: of pictures that are pairs side by side."),
    ] = None,
    seed: Seed = 1,
    device: Device = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace pictures that are there already.")
    ] = False,
) -> None:
    """Translate pictures in many ways, with a contact sheet of each."""
    from unpaired.systems.translation.translate import Options, translate

    outcome = translate(
        pictures, output, Options(model, samples, like, half, seed, device, overwrite)
    )
    tell_refused(outcome.refused)
    print(outcome.summary(output))
    if outcome.refused:
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    """Add the commands of this system."""
    app.command("learn-translation", epilog=examples(*LEARN))(learn_translation)
    app.command(epilog=examples(*TRANSLATE))(translate)
