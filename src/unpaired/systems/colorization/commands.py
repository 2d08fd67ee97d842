"""What a person with gray pictures types, and what judges colors."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from unpaired.core.options import Device, Precision, Seed, examples, tell_refused

COLORIZE = (
    "unpaired colorize gray/ --output colored/ --model MODEL.safetensors",
    "unpaired colorize a.png --output vivid/ --model M.safetensors --temperature 0",
    "unpaired colorize a.png -o o/ --model local.safetensors --hints points.json",
    "unpaired colorize a.png -o o/ --model M.safetensors --histogram-of sea.jpg",
)
CLASSIFY = (
    "unpaired classify pictures/ --classifier vgg16.tv_in1k",
    "unpaired classify pictures/ --classifier NAME --colorizer M.safetensors",
)
EXPORT = (
    "unpaired study export truth/ --method l2=l2/ --sentinel random/ --output s/",
    "unpaired study export p/ --truth-half right --method m=M --sentinel r/ -o s/",
)
SCORE = ("unpaired study score study/ answers.csv --output scores.csv",)


def colorize(
    pictures: Annotated[list[Path], typer.Argument(help="Gray pictures, or folders of them.")],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Folder to write to, under the same names; a file for one."
        ),
    ],
    model: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="A trained colorizer (.safetensors), or a table's row: table10:full."),
    ] = None,
    temperature: Annotated[
        Optional[float],  # noqa: UP045 - typer reads this annotation
        typer.Option(
            help="0: the likeliest color; 1: the mean, paler; between: between. Without it what "
            "the model was made for."
        ),
    ] = None,
    hints: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation
        typer.Option(
            help="Points of color that `unpaired ui` saved (JSON); for several pictures, the "
            "folder of their NAME.points.json. For models of local_hints."
        ),
    ] = None,
    histogram_of: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="A color picture, whose shares of colors to take. For global_hints."),
    ] = None,
    saturation: Annotated[
        Optional[float],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="Mean saturation to have, 0 (gray) to 1. For models of global_hints."),
    ] = None,
    device: Device = "auto",
    precision: Precision = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace pictures that are there already.")
    ] = False,
) -> None:
    """Give gray pictures colors; their lightness stays as it is.

    For photographs, import the authors' weights once:
    unpaired import-weights colorization colorization_release_v2-9b330a0b.pth

    Then: unpaired colorize gray/ -o colored/ --model weights/colorization/eccv16.safetensors
    """
    from unpaired.systems.colorization.colorize import Options, colorize
    from unpaired.systems.colorization.told import Asked

    asked = Asked(hints, histogram_of, saturation)
    options = Options(model, temperature, device, precision, overwrite, asked)
    outcome = colorize(pictures, output, options)
    tell_refused(outcome.refused)
    print(outcome.summary(output))
    if outcome.refused:
        raise typer.Exit(1)


def classify(
    folder: Annotated[Path, typer.Argument(help="Colored pictures, one folder per class.")],
    classifier: Annotated[str, typer.Option(help="Name of a model of the library timm.")],
    weights: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="Its weights (.safetensors, .pth); timm's own without it."),
    ] = None,
    colorizer: Annotated[
        list[Path], typer.Option(help="A trained colorizer (.safetensors); may stand repeatedly.")
    ] = [],  # noqa: B006 - typer copies it
    labels: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="File with the folder of every class, in the classifier's order."),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation
        typer.Option("--output", "-o", help="CSV to write: what was predicted of every picture."),
    ] = None,
    device: Device = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a CSV that is there already.")
    ] = False,
) -> None:
    """Say how well a classifier knows pictures again whose colors were taken and given anew."""
    from unpaired.systems.colorization.classification import Options, classify

    options = Options(classifier, weights, tuple(colorizer), labels, device, overwrite)
    done = classify(folder, output, options)
    print(done.table)
    tell_refused(done.refused)
    if done.refused:
        raise typer.Exit(1)


def study_export(
    truth: Annotated[
        Path, typer.Argument(help="Folder of the true pictures, or of pairs (--truth-half).")
    ],
    method: Annotated[
        list[str],
        typer.Option(
            help="NAME=FOLDER of made pictures of the same names, or NAME=MODEL that translates."
        ),
    ],
    sentinel: Annotated[
        Path, typer.Option(help="Folder of pictures that fool nobody, or such a model.")
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to write to; must not be there.")
    ],
    inputs: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="Folder of what models are given, of the same names."),
    ] = None,
    truth_half: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="left or right: of pairs side by side; models get the other half."),
    ] = None,
    participants: Annotated[int, typer.Option(min=1, max=10_000, help="Sessions per method.")] = 40,
    seed: Seed = 1,
) -> None:
    """Write the pairs, orders and timings of a real-or-fake study, and the key to score it."""
    from unpaired.imaging.study import named_folders
    from unpaired.learning.study_pictures import export_made

    methods = named_folders(method)
    halves = {"inputs": inputs, "truth_half": truth_half}
    print(export_made(truth, methods, sentinel, output, participants, seed, **halves))


def study_score(
    folder: Annotated[Path, typer.Argument(help="What `study export` wrote.")],
    answers: Annotated[Path, typer.Argument(help="CSV with columns session, trial, fake (1, 2).")],
    output: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation
        typer.Option("--output", "-o", help="CSV to write."),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a CSV that is there already.")
    ] = False,
) -> None:
    """Say how often each method's pictures were taken for the real ones, with intervals."""
    from unpaired.imaging.study import score

    print(score(folder, answers, output, overwrite=overwrite))


def add_to(app: typer.Typer) -> None:
    """Add the commands of this system."""
    app.command(epilog=examples(*COLORIZE))(colorize)
    app.command(epilog=examples(*CLASSIFY))(classify)
    study = typer.Typer(help="A study with people: which picture is real?", no_args_is_help=True)
    study.command("export", epilog=examples(*EXPORT))(study_export)
    study.command("score", epilog=examples(*SCORE))(study_score)
    app.add_typer(study, name="study")
