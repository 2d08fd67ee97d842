"""Tables and all they were made from -> one HTML page."""

from __future__ import annotations

import argparse
from pathlib import Path

from unpaired.core.command import json_argument, run
from unpaired.pipeline.plan import plan_tables
from unpaired.pipeline.report.page import write_report
from unpaired.pipeline.settings import parse_settings
from unpaired.pipeline.table import load_table


def main(arguments: argparse.Namespace) -> None:
    settings = parse_settings(arguments.settings)
    tables = sorted(map(load_table, arguments.tables), key=lambda table: table.number)
    plans, refusals = plan_tables(tables, settings)
    refused = [(table, refusals[table.number]) for table in tables if table.number in refusals]
    write_report(arguments.output, plans, refused, settings, Path())


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=Path, nargs="+", required=True, help="YAML files")
    parser.add_argument("--settings", type=json_argument, required=True, help="settings, as JSON")
    parser.add_argument("--output", type=Path, required=True)
    return parser


if __name__ == "__main__":
    run(main, parser())
