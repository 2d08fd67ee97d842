"""Source pictures -> pack."""

from __future__ import annotations

import argparse
from pathlib import Path

from unpaired.core.command import run
from unpaired.data.packs import Parts, write_pack, write_pack_in_parts
from unpaired.pipeline.datasets import get_dataset, open_reader
from unpaired.pipeline.settings import parse_settings


def main(arguments: argparse.Namespace) -> None:
    folders = {arguments.dataset: str(arguments.folder)} if arguments.own else {}
    dataset = get_dataset(arguments.dataset, parse_settings({"folders": folders}))
    records = open_reader(dataset)(arguments.folder)
    write = write_pack_in_parts if isinstance(records, Parts) else write_pack
    count = write(
        arguments.output,
        records,
        source=dataset.name,
        value_range=dataset.value_range,
        color_space=dataset.color_space,
        settings={"dataset": dataset.name, "reader": dataset.reader},
    )
    print(f"{arguments.output}: {count} pictures")


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--folder", type=Path, help="where the pictures lie, unless embedded")
    parser.add_argument(
        "--own", action="store_true", help="a folder of the user's, not a listed set"
    )
    parser.add_argument("--output", type=Path, required=True)
    return parser


if __name__ == "__main__":
    run(main, parser())
