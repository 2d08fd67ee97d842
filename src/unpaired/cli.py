"""What a person types: ``unpaired <command>``. Heavy libraries load only where needed."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Optional

import typer

from unpaired import __version__
from unpaired.errors import UnpairedError, exit_with
from unpaired.help_texts import CONFIG, DEVICE, DOCUMENTATION, examples, examples_and_methods

# Its parent is the error of a wrong command line; typer has moved that one between its releases.
UsageError = typer.BadParameter.__base__

INTERRUPTED = 130  # the exit code that a shell expects after Ctrl-C

app = typer.Typer(
    help="Restore images without paired data, and reproduce the papers that showed how.",
    epilog=f"unpaired COMMAND --help shows examples. {DOCUMENTATION}",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data = typer.Typer(help="The data sets that the tables use.", no_args_is_help=True)
app.add_typer(data, name="data")
study = typer.Typer(help="A study with people: which picture is real?", no_args_is_help=True)
app.add_typer(study, name="study")


def main() -> None:
    """Run the command line; an expected error is one line on standard error.

    The exit code is 1 for an error, 2 for a command line that is not understood.
    """
    try:
        code = app(prog_name="unpaired", standalone_mode=False)
    except UnpairedError as error:
        exit_with(error)
    except UsageError as error:
        code = error.exit_code
        # A command without its arguments has printed its help, and says nothing more.
        if message := error.format_message():
            command = error.ctx.command_path if error.ctx else "unpaired"
            print(f"error: {message} (`{command} -h` shows how)", file=sys.stderr)
    raise SystemExit(code)


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
        bool,
        typer.Option(
            "-V",
            "--version",
            callback=_print_version,
            is_eager=True,
            help="Show the version and exit.",
        ),
    ] = False,
) -> None:
    pass


def _typed() -> str:
    """Return the command as it was typed, for a page to show."""
    return shlex.join(["unpaired", *sys.argv[1:]])


@app.command(epilog=examples_and_methods("denoise"))
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
    device: Annotated[str, typer.Option(help=DEVICE)] = "auto",
    precision: Annotated[str, typer.Option(help="auto, bf16 or fp32.")] = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is there.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with a run that was stopped.")
    ] = False,
) -> None:
    """Denoise pictures, learning from nothing but themselves."""
    from unpaired.commands.denoise import Options, denoise

    options = Options(
        method, model, minutes, device, precision, stride, read_out, overwrite, resume
    )
    report = denoise(pictures, output, options, command=_typed())
    print("\n".join([*report.lines, report.count(output)]))
    if report.refused:
        raise typer.Exit(1)


@app.command(epilog=examples_and_methods("compare"))
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
    device: Annotated[str, typer.Option(help=DEVICE)] = "auto",
    precision: Annotated[str, typer.Option(help="auto, bf16 or fp32.")] = "auto",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace an earlier comparison in the folder.")
    ] = False,
) -> None:
    """Find the method that denoises these pictures best, without clean ones to compare with.

    The ranking so far is shown after every method. Ctrl-C ends the comparison and keeps what is
    done.
    """
    from unpaired.commands.compare import Options, compare

    names = tuple(name.strip() for name in methods.split(",")) if methods is not None else ()
    try:
        found = compare(pictures, output, Options(names, minutes, device, precision, overwrite))
    except KeyboardInterrupt as interrupt:
        print(": ".join(["stopped", *map(str, interrupt.args)]), file=sys.stderr, flush=True)
        raise typer.Exit(INTERRUPTED) from None
    print(found.text)
    if found.is_stopped:
        raise typer.Exit(INTERRUPTED)


@app.command(epilog=examples("colorize"))
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
    device: Annotated[str, typer.Option(help=DEVICE)] = "auto",
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
    from unpaired.commands.colorize import Options, colorize

    options = Options(model, temperature, device, precision, overwrite)
    outcome = colorize(pictures, output, options)
    _tell_refused(outcome.refused)
    print(outcome.summary(output))
    if outcome.refused:
        raise typer.Exit(1)


@app.command(epilog=examples("distance"))
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


@app.command(epilog=examples("classify"))
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
    device: Annotated[str, typer.Option(help=DEVICE)] = "auto",
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


@study.command("export", epilog=examples("study export"))
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


@study.command("score", epilog=examples("study score"))
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


@app.command(epilog=examples("status"))
def status(
    config: Annotated[list[Path], typer.Option(help=CONFIG)] = [  # noqa: B006 - typer copies it
        Path("config/config.yaml")
    ],
    data_root: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="Folder that holds the data sets' folders."),
    ] = None,
    table: Annotated[
        Optional[int],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="Number of a table; all of them without it."),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Say what is missing and what each job takes.")
    ] = False,
) -> None:
    """Say which tables are made, what is missing, why, and how long it would take."""
    from unpaired.datasets.check import load_settings
    from unpaired.status import describe

    settings = load_settings(config, data_root)
    print(describe(settings, Path("config/tables"), Path(), table, verbose=verbose))


@app.command("import-weights", epilog=examples("import-weights"))
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


@data.command("check", epilog=examples("data check"))
def check_data(
    config: Annotated[list[Path], typer.Option(help=CONFIG)] = [  # noqa: B006 - typer copies it
        Path("config/config.yaml")
    ],
    data_root: Annotated[
        Optional[str],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="Folder that holds the data sets' folders."),
    ] = None,
    table: Annotated[
        Optional[int],  # noqa: UP045 - typer reads this annotation
        typer.Option(help="Number of a table: only what it needs."),
    ] = None,
) -> None:
    """Say for every data set what is there, or where to get it."""
    from unpaired.datasets.check import describe, load_settings

    print(describe(load_settings(config, data_root), Path("config/tables"), table))


if __name__ == "__main__":
    main()
