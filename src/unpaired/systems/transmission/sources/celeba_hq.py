"""CelebA-HQ at the paper's size. Which thousand pictures are the test, the paper does not say."""

from __future__ import annotations

from pathlib import Path

from unpaired.data.records import Parts
from unpaired.data.sources.celeba_hq import portraits

SIDE_PX = 256
SPLIT = {"train": range(29_000), "test": range(29_000, 30_000)}


def train(folder: Path) -> Parts:
    """Return the pictures that everything is learned from."""
    return portraits(folder, SPLIT["train"], SIDE_PX)


def test(folder: Path) -> Parts:
    """Return the test pictures."""
    return portraits(folder, SPLIT["test"], SIDE_PX)
