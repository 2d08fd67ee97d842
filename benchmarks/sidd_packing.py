r"""Packing of SIDD's raw frames: how fast, and how much of the time is not reading.

    python benchmarks/sidd_packing.py --height 2988 --width 5312 --pairs 4

Writes frames of the simulated camera's noise as v7.3 files, compressed as MATLAB does, and packs
them in turn with `write_pack` and with a plain loop: h5py and scipy to read, four strided slices to
pack, one HDF5 file to write. "reading" is the time of `read_array` alone, which `write_pack` needs;
megabytes are those of the packed planes. The files lie in the system's cache, so no way waits for
the disk to read, and all times are the processor's (and of writing).
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import scipy.io

from unpaired.core.randomness import numpy_generator
from unpaired.data.matlab import read_array, write_v5, write_v73
from unpaired.data.pack_in_parts import write_pack_in_parts
from unpaired.data.pack_writing import write_pack
from unpaired.data.sources.sidd import PATTERN_OF_PHONE, Instance, medium_raw
from unpaired.imaging.camera import NoiseLevels, add_noise, digitize

ABOUT = {"source": "benchmark", "value_range": (0, 1), "color_space": "raw", "settings": {}}


def write_frames(folder: Path, pairs: int, height: int, width: int) -> None:
    """Write pairs of flat clean frames with the noise of ISO 800, phones in turn."""
    phones = list(PATTERN_OF_PHONE)
    for index in range(pairs):
        name = f"{index + 1:04d}_001_{phones[index % len(phones)]}_00800_00100_3200_L"
        rng = numpy_generator("packing benchmark", index)
        clean = rng.uniform(0, 0.5, (height, width)).astype(np.float32)
        noisy = digitize(add_noise(clean, NoiseLevels(0.0055, 1.3e-4), rng), 64, 1023)
        for role, mosaic in (("NOISY", noisy), ("GT", clean)):
            write_v73(folder / name / f"{name[:4]}_{role}_RAW_010.MAT", {"x": mosaic})
        tags = np.empty((2, 1), [("ID", object), ("Value", object)])
        pattern = [["RGB".index(letter) for letter in Instance.parse(name).pattern]]
        tags[:, 0] = [(33422, np.array(pattern)), (51041, np.array([[0.0055, 1.3e-4]]))]
        path = folder / name / f"{name[:4]}_METADATA_RAW_010.MAT"
        write_v5(path, {"metadata": {"UnknownTags": tags}})


def plain_loop(folder: Path, output: Path) -> None:
    """Do what a short script does: no checks, no digests, nothing aside."""
    red_of = {"RGGB": (0, 0), "GRBG": (0, 1), "GBRG": (1, 0), "BGGR": (1, 1)}
    with h5py.File(output, "w") as pack:
        for place in sorted(folder.iterdir()):
            for role in ("NOISY", "GT"):
                with h5py.File(place / f"{place.name[:4]}_{role}_RAW_010.MAT") as file:
                    mosaic = file["x"][()].T
                scipy.io.loadmat(place / f"{place.name[:4]}_METADATA_RAW_010.MAT")
                top, left = red_of[Instance.parse(place.name).pattern]
                corners = ((top, left), (top, 1 - left), (1 - top, left), (1 - top, 1 - left))
                planes = np.stack([mosaic[a::2, b::2] for a, b in corners], axis=-1)
                pack.create_dataset(f"{place.name}/{role}", data=planes, chunks=(256, 256, 4))


def read_with_h5py(folder: Path, output: Path) -> None:
    """Take the arrays out of the files as the plain loop does."""
    for path in folder.rglob("*_RAW_010.MAT"):
        if "METADATA" not in path.name:
            with h5py.File(path) as file:
                file["x"][()]


def read_only(folder: Path, output: Path) -> None:
    """Take the arrays out of the files and drop them."""
    for path in folder.rglob("*_RAW_010.MAT"):
        if "METADATA" not in path.name:
            read_array(path, "x")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=2)
    parser.add_argument("--height", type=int, default=1500)
    parser.add_argument("--width", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    ways: dict[str, Callable[[Path, Path], object]] = {
        "reading": read_only,
        "reading with h5py": read_with_h5py,
        "plain loop": plain_loop,
        "write_pack": lambda folder, path: write_pack(path, medium_raw(folder), **ABOUT),
        "in parts": lambda folder, path: write_pack_in_parts(path, medium_raw(folder), **ABOUT),
    }
    seconds: dict[str, list[float]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as root:
        folder, output = Path(root, "Data"), Path(root, "packs", "p.h5")
        write_frames(folder, arguments.pairs, arguments.height, arguments.width)
        for _ in range(arguments.runs):
            for way, act in ways.items():
                output.parent.mkdir()
                start = time.perf_counter()
                act(folder, output)
                seconds[way].append(time.perf_counter() - start)
                shutil.rmtree(output.parent)
    megabytes = arguments.pairs * 2 * arguments.height * arguments.width * 4 / 1e6
    middle = {way: float(np.median(taken)) for way, taken in seconds.items()}
    reading = dict.fromkeys(ways, middle["reading"])
    reading |= dict.fromkeys(("reading with h5py", "plain loop"), middle["reading with h5py"])
    print(f"{megabytes:.0f} MB, medians of {arguments.runs} runs")
    print("| way | seconds | MB/s | share that is not reading |\n|---|---|---|---|")
    for way in ways:
        share = 1 - reading[way] / middle[way]
        print(f"| {way} | {middle[way]:.2f} | {megabytes / middle[way]:.0f} | {share:.0%} |")


if __name__ == "__main__":
    main()
