"""The command line of each stage of the pipeline: ``python -m unpaired.stages.<stage>``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable

from unpaired.errors import UnpairedError, exit_with


def run(main: Callable[[argparse.Namespace], None], parser: argparse.ArgumentParser) -> None:
    """Parse the command line and run a stage; an expected error is one line and exit code 1."""
    arguments = parser.parse_args()
    try:
        main(arguments)
    except UnpairedError as error:
        exit_with(error)


def json_argument(text: str) -> dict:
    """Parse a JSON object given on a command line."""
    value = json.loads(text)
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value
