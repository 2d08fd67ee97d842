"""The files that the SIDD benchmark takes: restored blocks in a MATLAB file and in a CSV."""

from __future__ import annotations

import base64
import csv
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from unpaired.core.errors import UnpairedError
from unpaired.core.files import atomic_path
from unpaired.core.progress import Progress
from unpaired.data.matlab import write_v73
from unpaired.data.packs import Pack
from unpaired.data.sources.sidd import BLOCK_INSTANCES, BLOCK_PX, BLOCKS_PER_INSTANCE
from unpaired.imaging import bayer
from unpaired.imaging.pixels import to_uint8
from unpaired.learning.method import Restorer
from unpaired.learning.restoring import restore_array
from unpaired.systems.denoising.scoring import pattern_of

SHAPES = {
    "Raw": (len(BLOCK_INSTANCES), BLOCKS_PER_INSTANCE, BLOCK_PX, BLOCK_PX),
    "Srgb": (len(BLOCK_INSTANCES), BLOCKS_PER_INSTANCE, BLOCK_PX, BLOCK_PX, 3),
}
TYPES = {"Raw": np.dtype(np.float32), "Srgb": np.dtype(np.uint8)}


@dataclass(frozen=True)
class Description:
    """What the benchmark shows beside the scores."""

    method: str
    authors: str = ""
    paper: str = ""
    venue: str = ""


def restore_blocks(
    restorer: Restorer, pack: Pack, device: torch.device
) -> tuple[np.ndarray, float]:
    """Restore all blocks of a pack of the benchmark; return them as the files want them.

    The second value is the seconds that restoring took, without reading. Raises UnpairedError for
    a pack of another number of blocks.
    """
    space = "Raw" if pack.value_range == (0, 1) else "Srgb"
    shape, restored, seconds = SHAPES[space], [], 0.0
    if len(pack) != math.prod(shape[:2]):
        raise UnpairedError(
            f"pack {pack.path} holds {len(pack)} pictures, not the benchmark's "
            f"{math.prod(shape[:2])} blocks"
        )
    with Progress(f"restore {pack.source}", len(pack)) as progress:
        for index in pack:
            noisy = pack.read_unit(index, "noisy")
            start = time.perf_counter()
            block = restore_array(restorer, noisy, None, device)
            seconds += time.perf_counter() - start
            if space == "Raw":
                pattern = pattern_of(pack.columns["name"][index])
                restored.append(bayer.unpack(np.clip(block, 0, 1), pattern))
            else:
                restored.append(to_uint8(block))
            progress.advance()
    return np.stack(restored).reshape(shape), seconds


def write_submission(
    folder: Path, blocks: np.ndarray, seconds: float, description: Description
) -> tuple[Path, Path]:
    """Write ``Submit{Raw,Srgb}.mat`` and the CSV of the same name; return their paths.

    blocks: restored blocks in the order of the benchmark's: float32 mosaics 40 x 32 x 256 x 256
    in [0, 1], or uint8 40 x 32 x 256 x 256 x 3. seconds: what all of them took together.

    The MATLAB file is that of the benchmark's kit: v7.3, a cell of blocks, seconds per megapixel
    (2^20 pixels) and a struct. The CSV is that of its newer site: a running number and the block's
    bytes, row by row, in base64; for raw blocks these are little-endian float32.

    Raises UnpairedError for another shape or type, or values that are not in [0, 1].
    """
    space = _space_of(blocks)
    cells = np.empty(blocks.shape[:2], object)
    for index in np.ndindex(cells.shape):
        cells[index] = blocks[index]
    pixels = math.prod(blocks.shape[:4])
    values = {
        f"DenoisedBlocks{space}": cells,
        f"TimeMP{space}": seconds * 2**20 / pixels,
        "OptionalData": {
            "MethodName": description.method,
            "Authors": description.authors,
            "PaperTitle": description.paper,
            "Venue": description.venue,
        },
    }
    mat, table = (folder / f"Submit{space}{suffix}" for suffix in (".mat", ".csv"))
    write_v73(mat, values)
    _write_csv(table, blocks.reshape(-1, *blocks.shape[2:]))
    return mat, table


def _space_of(blocks: np.ndarray) -> str:
    for space, shape in SHAPES.items():
        if blocks.shape == shape and blocks.dtype == TYPES[space]:
            break
    else:
        expected = " or ".join(f"{TYPES[space]} {shape}" for space, shape in SHAPES.items())
        raise UnpairedError(
            f"blocks to submit are {blocks.dtype} {blocks.shape}, not {expected}; restore all "
            "blocks of the benchmark, in its order"
        )
    # Written so that NaN is refused as well.
    if space == "Raw" and not (blocks.min() >= 0 and blocks.max() <= 1):
        raise UnpairedError("blocks to submit hold values outside [0, 1]; clamp them")
    return space


def _write_csv(path: Path, blocks: np.ndarray) -> None:
    with atomic_path(path) as aside, open(aside, "w", newline="", encoding="ascii") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("ID", "BLOCK"))
        for number, block in enumerate(blocks):
            data = np.ascontiguousarray(block, block.dtype.newbyteorder("<")).tobytes()
            writer.writerow((number, base64.b64encode(data).decode("ascii")))
