"""Training pack + test pack -> proof that they share no picture."""

from __future__ import annotations

import argparse
from pathlib import Path

from unpaired.core.command import run
from unpaired.core.files import atomic_path
from unpaired.data.disjoint import check_disjoint
from unpaired.data.packs import open_verified


def main(arguments: argparse.Namespace) -> None:
    train, test = open_verified(arguments.train), open_verified(arguments.test)
    check_disjoint(train, test)
    with atomic_path(arguments.output) as aside:
        aside.write_text(
            f"{train.source} ({len(train)}) and {test.source} ({len(test)}): disjoint\n"
        )


def parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    return parser


if __name__ == "__main__":
    run(main, parser())
