"""What a person types: ``unpaired <command>``. Heavy libraries load only where needed."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Optional

import typer

from unpaired import __version__
from unpaired.errors import UnpairedError, exit_with

app = typer.Typer(
    help="Restore images without paired data, and reproduce the papers that showed how.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data = typer.Typer(help="The data sets that the tables use.", no_args_is_help=True)
app.add_typer(data, name="data")
study = typer.Typer(help="A study with people: which picture is real?", no_args_is_help=True)
app.add_typer(study, name="study")


def main() -> None:
    """Run the command line; an expected error is one line and exit code 1."""
    try:
        app()
    except UnpairedError as error:
        exit_with(error)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


def _tell_refused(refused: Iterable[str]) -> None:
    """Print every input that was refused, with its reason, to standard error."""
    for reason in refused:
        print(f"refused: {reason}", file=sys.stderr, flush=True)


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command()
def denoise(
    pictures: Annotated[list[Path], typer.Argument(help="Noisy pictures, or folders of them.")],
    output: Annotated[Path, typer.Option(help="Folder to write to, under the same names.")],
    method: Annotated[
        str, typer.Option(help="How to learn from noisy pictures.")
    ] = "neighbor2neighbor",
    model: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="A trained model (.safetensors); trains on the pictures without it."),
    ] = None,
    minutes: Annotated[float, typer.Option(help="Minutes of training.")] = 5.0,
    stride: Annotated[
        str,
        typer.Option(
            help="1, 2 or 3: restore pixels so far apart by themselves, against noise that "
            "neighbours share; auto measures it."
        ),
    ] = "auto",
    read_out: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="Which of the method's ways to restore, where it has several."),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, bf16 or fp32.")] = "auto",
) -> None:
    """Denoise pictures, learning from nothing but themselves."""
    from unpaired.denoise import Options, denoise

    options = Options(method, model, minutes, device, precision, stride, read_out)
    written = denoise(pictures, output, options)
    print(f"{len(written)} pictures written to {output}")


@app.command()
def compare(
    pictures: Annotated[list[Path], typer.Argument(help="Noisy pictures, or folders of them.")],
    output: Annotated[Path, typer.Option(help="Folder for the comparison and the best model.")],
    methods: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="Names with commas between; all that need noisy pictures alone."),
    ] = None,
    minutes: Annotated[float, typer.Option(help="Minutes of training, for all together.")] = 10.0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, bf16 or fp32.")] = "auto",
) -> None:
    """Find the method that denoises these pictures best, without clean ones to compare with."""
    from unpaired.compare import Options, compare

    names = tuple(methods.split(",")) if methods else ()
    print(compare(pictures, output, Options(names, minutes, device, precision)))


@app.command()
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
    device: Annotated[str, typer.Option(help="auto, cpu, gpu (cuda) or mps.")] = "auto",
    precision: Annotated[str, typer.Option(help="auto, bf16 or fp32.")] = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace pictures that are there already.")
    ] = False,
) -> None:
    """Give gray pictures colors; their lightness stays as it is.

    For photographs, import the authors' weights once:
    unpaired import-weights colorization colorization_release_v2-9b330a0b.pth

    Then: unpaired colorize gray/ -o colored/ --model weights/colorization/eccv16.safetensors
    """
    from unpaired.colorize import Options, colorize

    options = Options(model, temperature, device, precision, overwrite)
    outcome = colorize(pictures, output, options)
    _tell_refused(outcome.refused)
    print(outcome.summary(output))
    if outcome.refused:
        raise typer.Exit(1)


@app.command()
def classify(
    folder: Annotated[Path, typer.Argument(help="Coloured pictures, one folder per class.")],
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
    device: Annotated[str, typer.Option(help="auto, cpu, gpu (cuda) or mps.")] = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a CSV that is there already.")
    ] = False,
) -> None:
    """Say how well a classifier knows pictures again whose colors were taken and given anew."""
    from unpaired.classification import Options, classify

    options = Options(classifier, weights, tuple(colorizer), labels, device, overwrite)
    done = classify(folder, output, options)
    print(done.table)
    _tell_refused(done.refused)
    if done.refused:
        raise typer.Exit(1)


@study.command("export")
def study_export(
    truth: Annotated[Path, typer.Argument(help="Folder of the true pictures.")],
    method: Annotated[
        list[str], typer.Option(help="NAME=FOLDER of colorized pictures of the same names.")
    ],
    sentinel: Annotated[Path, typer.Option(help="Folder of pictures that fool nobody.")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder to write to; must not be there.")
    ],
    participants: Annotated[int, typer.Option(help="Sessions per method.")] = 40,
    seed: Annotated[int, typer.Option(help="Decides every order and draw.")] = 1,
) -> None:
    """Write the pairs, orders and timings of a real-or-fake study, and the key to score it."""
    from unpaired.study import export, named_folders

    print(export(truth, named_folders(method), sentinel, output, participants, seed))


@study.command("score")
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
    from unpaired.study import score

    print(score(folder, answers, output, overwrite=overwrite))


@app.command()
def distance(
    first: Annotated[Path, typer.Argument(help="A picture, or a folder of pictures.")],
    second: Annotated[Path, typer.Argument(help="The other one; folders are matched by name.")],
    net: Annotated[
        str, typer.Option(help="alex, vgg, squeeze, or a trained model (.safetensors).")
    ] = "alex",
    map: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="PNG to write, showing where two pictures differ."),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="CSV to write."),
    ] = None,
) -> None:
    """Say how different pictures look (LPIPS, a learned perceptual distance)."""
    from unpaired.distance import Options, distance

    print(distance(first, second, Options(net, map, output)))


@app.command()
def status(
    config: Annotated[
        list[Path], typer.Option(help="Configuration file; later ones overlay earlier ones.")
    ] = [Path("config/config.yaml")],  # noqa: B006 - typer copies it
    data_root: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="Folder that holds the data sets' folders."),
    ] = None,
    table: Annotated[
        Optional[int],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="Number of a table; all of them without it."),
    ] = None,
) -> None:
    """Say what of the tables is there, what is missing and why, and what it would cost."""
    from unpaired.datasets.check import load_settings
    from unpaired.status import describe

    print(describe(load_settings(config, data_root), Path("config/tables"), Path(), table))


@app.command("import-weights")
def import_weights(
    method: Annotated[
        str, typer.Argument(help="The method: neighbor2neighbor, colorization or lpips.")
    ],
    file: Annotated[
        Path, typer.Argument(help="A .pth file that its authors published, or torchvision's.")
    ],
    noise: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="What it was trained for, unless the file has the authors' name."),
    ] = None,
    output: Annotated[
        Optional[Path],  # noqa: UP045 - typer reads this annotation
        typer.Option(
            "--output", "-o", help="File to write; by default below weights/, where tables look."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a file that is there already.")
    ] = False,
) -> None:
    """Convert weights that a paper's authors published to a file that this project loads.

    Colors for photographs:
    unpaired import-weights colorization colorization_release_v2-9b330a0b.pth
    """
    from unpaired.authors_weights import import_weights

    written = import_weights(method, file, noise, output, overwrite=overwrite)
    option = "--net" if method == "lpips" else "--model"
    print(f"written to {written}; use it with {option} {written}")


@data.command("check")
def check_data(
    config: Annotated[
        list[Path], typer.Option(help="Configuration file; later ones overlay earlier ones.")
    ] = [Path("config/config.yaml")],  # noqa: B006 - typer copies it
    data_root: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="Folder that holds the data sets' folders."),
    ] = None,
) -> None:
    """Say for every data set that the settings name what is there, or where to get it."""
    from unpaired.datasets.check import describe, load_settings

    print(describe(load_settings(config, data_root), Path("config/tables")))
