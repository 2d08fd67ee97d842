"""The command line of a stage: ``python -m unpaired.stages.<stage>``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path

from unpaired.core.errors import UnpairedError, exit_with
from unpaired.core.locks import at_work


def run(main: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> None:
    """Parse the command line and run a stage; an expected error is one line and exit code 1."""
    arguments = parser.parse_args()
    try:
        with at_work():
            main(arguments)
    except UnpairedError as error:
        exit_with(error)


def stage_parser(about: str | None) -> argparse.ArgumentParser:
    """Return a parser with what the rule of every declared stage gives it."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="auto")
    return parser


class _Given(argparse.Action):
    """Collect NAME=FILE into a dictionary."""

    def __call__(self, parser, namespace, values, option_string=None):
        name, _, path = values.partition("=")
        setattr(namespace, self.dest, getattr(namespace, self.dest) | {name: Path(path)})


def add_given(parser: argparse.ArgumentParser, option: str, about: str) -> None:
    """Add an option NAME=FILE that may stand repeatedly; its value is a dictionary of paths."""
    parser.add_argument(option, action=_Given, default={}, metavar="NAME=FILE", help=about)


def json_argument(text: str) -> dict:
    """Parse a JSON object given on a command line."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value
