"""Packs are intermediate: one that was deleted is made again where it is read, and nothing else.

A pack has a receipt, which stays: the digest of what it holds. In the DAG the receipt stands for
the pack, so what was made of a pack is made again when its content changes, not when its file does.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from unpaired.core.errors import UnpairedError
from unpaired.core.finished import lock_of, make_once
from unpaired.core.locks import locked
from unpaired.core.sealed_csv import read_record
from unpaired.data.pack_format import Identity
from unpaired.pipeline.records import write_record


def add_pack_options(parser: argparse.ArgumentParser) -> None:
    """Add what every stage that makes a pack is told of it."""
    parser.add_argument("--output", type=Path, required=True, help="pack to write")
    parser.add_argument("--receipt", type=Path, required=True, help="its receipt (JSON)")
    parser.add_argument("--work", type=Path, required=True, help="path of work in progress")
    parser.add_argument("--code", required=True, help="fingerprint of the code that makes it")
    parser.add_argument(
        "--again", action="store_true", help="if it was deleted; its receipt must be the same"
    )


def make_pack(
    arguments: argparse.Namespace, stamp: Mapping[str, Any], make: Callable[[], Identity]
) -> None:
    """Call ``make``, which writes the pack and says what it holds, and write its receipt.

    stamp: what the pack is made of, as JSON data. Raises UnpairedError if a pack that is made again
    is not the one that it was.
    """
    if arguments.again:
        with locked(lock_of(arguments.work)):
            _make_again(arguments.output, arguments.receipt, make)
        return

    def make_both() -> None:
        # Not from the file: a network folder may show late what was written to it.
        write_record(arguments.receipt, make()._asdict())

    outputs = (arguments.output, arguments.receipt)
    make_once(arguments.work, stamp | {"code": arguments.code}, outputs, make_both)


def _make_again(path: Path, receipt: Path, make: Callable[[], Identity]) -> None:
    # A network folder is asked anew; another process may just have made it.
    if path.parent.is_dir() and path.name in os.listdir(path.parent):
        return
    if make()._asdict() != read_record(receipt):
        path.unlink()
        raise UnpairedError(
            f"{path} was deleted, and what it was made of is not what it was; delete {receipt} "
            "and run again, to make anew all that came from it"
        )
