"""Nothing -> drawn portraits, in the layout of CelebAMask-HQ."""

from __future__ import annotations

import argparse
from pathlib import Path

from unpaired.core.command import run, stage_parser
from unpaired.core.files import atomic_folder
from unpaired.systems.few_shot.sources.drawn_portraits import render


def main(arguments: argparse.Namespace) -> None:
    with atomic_folder(arguments.output) as aside:
        count = render(aside)
    print(f"{arguments.output}: {count} portraits")


def parser() -> argparse.ArgumentParser:
    parser = stage_parser(__doc__)
    parser.add_argument("--output", type=Path, required=True, help="folder to make")
    return parser


if __name__ == "__main__":
    run(main, parser())
