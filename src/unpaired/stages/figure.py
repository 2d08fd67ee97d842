"""Example pictures of a table's scores -> one comparison figure per noise."""

from __future__ import annotations

import argparse
from pathlib import Path

from unpaired.core.command import json_argument, run
from unpaired.pipeline.figures import draw_comparison
from unpaired.pipeline.plan import plan_table
from unpaired.pipeline.settings import parse_settings
from unpaired.pipeline.table import parse_table


def main(arguments: argparse.Namespace) -> None:
    plan = plan_table(parse_table(arguments.table), parse_settings(arguments.settings))
    draw_comparison(plan, arguments.noise, Path(), arguments.output)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=json_argument, required=True, help="the table, as JSON")
    parser.add_argument("--settings", type=json_argument, required=True, help="settings, as JSON")
    parser.add_argument("--noise", required=True)
    parser.add_argument("--output", type=Path, required=True)
    return parser


if __name__ == "__main__":
    run(main, parser())
