"""Example pictures of a table's scores -> one comparison figure per noise."""

from __future__ import annotations

import argparse
from pathlib import Path

from unpaired.figures import draw_comparison
from unpaired.files import atomic_path
from unpaired.plan import plan_table
from unpaired.settings import parse_settings, parse_table
from unpaired.stages import json_argument, run


def main(arguments: argparse.Namespace) -> None:
    plan = plan_table(parse_table(arguments.table), parse_settings(arguments.settings))
    with atomic_path(arguments.output) as aside:
        draw_comparison(plan, arguments.noise, Path(), aside)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=json_argument, required=True, help="the table, as JSON")
    parser.add_argument("--settings", type=json_argument, required=True, help="settings, as JSON")
    parser.add_argument("--noise", required=True)
    parser.add_argument("--output", type=Path, required=True)
    return parser


if __name__ == "__main__":
    run(main, parser())
