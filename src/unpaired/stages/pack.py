"""Source pictures -> pack."""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path

from unpaired.core.command import run
from unpaired.core.files import reading
from unpaired.data.pack_format import Identity
from unpaired.data.pack_in_parts import write_pack_in_parts
from unpaired.data.pack_writing import write_pack
from unpaired.data.records import Parts
from unpaired.data.sources import DataSet
from unpaired.pipeline.datasets import get_dataset, open_reader
from unpaired.pipeline.packing import add_pack_options, make_pack
from unpaired.pipeline.settings import parse_settings


def main(arguments: argparse.Namespace) -> None:
    folders = {arguments.own: str(arguments.folder)} if arguments.own else {}
    dataset = get_dataset(arguments.dataset, parse_settings({"folders": folders}))
    pictures, folder = arguments.pictures, arguments.folder
    if pictures is None and folder is not None:  # Made by a rule, which makes the folder anew.
        with reading(folder):
            pictures = os.stat(folder).st_mtime_ns
    what = (dataset.name, dataset.reader, dataset.value_range, dataset.color_space)
    stamp = {"dataset": what, "pictures": pictures}
    make_pack(arguments, stamp, partial(_pack, arguments, dataset))


def _pack(arguments: argparse.Namespace, dataset: DataSet) -> Identity:
    records = open_reader(dataset)(arguments.folder)
    write = write_pack_in_parts if isinstance(records, Parts) else write_pack
    written = write(
        arguments.output,
        records,
        source=dataset.name,
        value_range=dataset.value_range,
        color_space=dataset.color_space,
        settings={"dataset": dataset.name, "reader": dataset.reader},
    )
    print(f"{arguments.output}: {written.pictures} pictures")
    return written


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--folder", type=Path, help="where the pictures lie, unless embedded")
    parser.add_argument("--own", metavar="NAME", help="the user's folder that the set holds")
    parser.add_argument("--pictures", help="digest of what the folder holds")
    add_pack_options(parser)
    return parser


if __name__ == "__main__":
    run(main, parser())
