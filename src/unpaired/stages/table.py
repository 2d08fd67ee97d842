"""Scores + printed values -> table (CSV, Markdown) and its costs."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from unpaired.core.command import json_argument, run
from unpaired.core.files import atomic_path
from unpaired.core.sealed_csv import write_sealed
from unpaired.learning.model_names import link_models
from unpaired.pipeline.plan import plan_table
from unpaired.pipeline.settings import parse_settings
from unpaired.pipeline.table import parse_table
from unpaired.pipeline.tables.costs import costs_as_csv
from unpaired.pipeline.tables.layout import lines_as_markdown
from unpaired.pipeline.tables.lines import lines_as_csv, read_paper_numbers
from unpaired.pipeline.tables.measuring import build_lines


def main(arguments: argparse.Namespace) -> None:
    plan = plan_table(parse_table(arguments.table), parse_settings(arguments.settings))
    root = Path()
    lines = build_lines(plan, read_paper_numbers(arguments.paper_numbers), root)
    markdown = lines_as_markdown(plan, lines)
    with atomic_path(arguments.markdown) as aside:
        aside.write_text(markdown)
    texts = {arguments.output: lines_as_csv(lines), arguments.costs: costs_as_csv(plan, root)}
    seals = write_sealed(texts)
    with atomic_path(arguments.record) as aside:
        aside.write_text(json.dumps(seals, indent=2) + "\n")
    link_models(plan, root)
    print(markdown)


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=json_argument, required=True, help="the table, as JSON")
    parser.add_argument("--settings", type=json_argument, required=True, help="settings, as JSON")
    parser.add_argument("--paper-numbers", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--markdown", type=Path, required=True)
    parser.add_argument("--costs", type=Path, required=True)
    parser.add_argument("--record", type=Path, required=True, help="their digests (JSON)")
    return parser


if __name__ == "__main__":
    run(main, parser())
