r"""Packing of as many pictures as ImageNet has: how fast, with how much memory, and after a kill.

    python benchmarks/packing.py --names 1000000
    python benchmarks/packing.py --pictures 50000

With ``--names``, empty files in folders of a thousand are listed and packed as records of one
pixel, by a process of its own. Then the pack is opened by another.

With ``--pictures``, JPEG files of 256 x 256 px are packed by the stage that the workflow runs:
once without interruption, and once killed half-way and started again. A hundredth of the files
differ, and the others are hard links to them; all are decoded. The disk must hold 400 kB for each.
Peaks are those of the whole process.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from unpaired.core.files import state_of
from unpaired.core.randomness import numpy_generator
from unpaired.data.pack_in_parts import write_pack_in_parts
from unpaired.data.packs import Pack
from unpaired.data.records import LazyParts, Part, Parts, Record
from unpaired.data.sources.imagenet import TOGETHER
from unpaired.imaging.finding import names_in

ABOUT = {"source": "benchmark", "value_range": (0, 255), "color_space": "sRGB", "settings": {}}
DATA_SET = "imagenet_val"
SIDE_PX = 256
KIB_PER_MIB = 1024


def name_of(index: int) -> str:
    """Return a file's name as ImageNet's training set has it."""
    folder = f"n{index // 1000:08d}"
    return f"{folder}/{folder}_{index % 1000}.JPEG"


# Names.


def write_empty_files(folder: Path, count: int) -> None:
    for index in range(count):
        path = folder / name_of(index)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def pack_names(folder: Path, output: Path) -> float:
    """List a folder, pack a pixel for each file, and return how long the listing took."""
    start = time.perf_counter()
    names = names_in(folder)
    seconds = time.perf_counter() - start

    def part(name: str) -> Part:
        return Part(name, state_of(folder / name), lambda: pixel(name))

    parts = Parts("names", LazyParts(lambda: names, part), together=TOGETHER)
    write_pack_in_parts(output, parts, **ABOUT)
    return seconds


def pixel(name: str) -> Record:
    return Record(name, {"image": np.zeros((1, 1, 3), np.uint8)}, f"file:{name}", "0" * 64)


def open_pack(path: Path) -> float:
    """Open a pack, read the names, and return how long the opening took."""
    start = time.perf_counter()
    pack = Pack(path)
    seconds = time.perf_counter() - start
    assert len(pack.columns["name"]) == len(pack)
    return seconds


def measured(work: Callable[..., float], *arguments: Path) -> tuple[float, float, float]:
    """Return what ``work`` returns, its seconds and its peak in MiB, of a process of its own."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measure, work, *arguments).result()


def _measure(work: Callable[..., float], *arguments: Path) -> tuple[float, float, float]:
    start = time.perf_counter()
    result = work(*arguments)
    seconds = time.perf_counter() - start
    return result, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB_PER_MIB


def measure_names(root: Path, count: int) -> None:
    folder, output = root / "names", root / "names.h5"
    write_empty_files(folder, count)
    listing, seconds, peak = measured(pack_names, folder, output)
    print(f"{count} names: listed in {listing:.0f} s, packed in {seconds:.0f} s, {peak:.0f} MiB")
    opening, _, peak = measured(open_pack, output)
    print(f"opened in {opening:.1f} s; with the names read {peak:.0f} MiB", flush=True)


# Pictures.


def write_pictures(folder: Path, count: int) -> None:
    """Write smooth random pictures, a hundredth of them, and hard links for the rest."""
    different = max(1, count // 100)
    for index in range(count):
        path = folder / name_of(index)
        path.parent.mkdir(parents=True, exist_ok=True)
        if index < different:
            rng = numpy_generator("packing benchmark", index)
            small = Image.fromarray(rng.integers(0, 256, (24, 24, 3), np.uint8))
            small.resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC).save(path, quality=95)
        else:
            os.link(folder / name_of(index % different), path)


def start_stage(folder: Path, results: Path) -> subprocess.Popen:
    options = {
        "dataset": DATA_SET,
        "folder": folder,
        "pictures": "benchmark",
        "code": "benchmark",
        "output": results / "pack.h5",
        "receipt": results / "receipt.json",
        "work": results / "work" / DATA_SET,
    }
    command = [f"--{key}={value}" for key, value in options.items()]
    return subprocess.Popen([sys.executable, "-m", "unpaired.stages.pack", *command])


def measure_pictures(root: Path, count: int) -> None:
    folder, results = root / "pictures", root / "results"
    write_pictures(folder, count)
    megabytes = sum((folder / name_of(index)).stat().st_size for index in range(count)) / 1e6
    start = time.perf_counter()
    _, status, used = os.wait4(start_stage(folder, results).pid, 0)
    assert status == 0
    seconds, peak = time.perf_counter() - start, used.ru_maxrss / KIB_PER_MIB
    processor = used.ru_utime + used.ru_stime
    print(
        f"{count} pictures, {megabytes:.0f} MB of JPEG: {seconds:.0f} s, "
        f"{count / seconds:.0f} pictures/s, {processor:.0f} s of processor, {peak:.0f} MiB, "
        f"pack of {(results / 'pack.h5').stat().st_size / 1e9:.2f} GB",
        flush=True,
    )
    (results / "pack.h5").unlink()
    (results / "receipt.json").unlink()
    measure_kill(folder, root / "killed", count)


def measure_kill(folder: Path, results: Path, count: int) -> None:
    """Kill the stage when half of the parts are there, and count those that are read anew."""
    process = start_stage(folder, results)
    while len(parts_in(results)) < count / TOGETHER / 2:
        time.sleep(0.05)
    process.kill()
    process.wait()
    kept = parts_in(results)
    start = time.perf_counter()
    process, seen = start_stage(folder, results), {}
    while process.poll() is None:
        seen |= parts_in(results)
        time.sleep(0.05)
    seconds = time.perf_counter() - start
    again = sum(seen[name] != written for name, written in kept.items())
    print(
        f"killed with {len(kept)} parts of {TOGETHER} pictures kept, {again} of them read anew; "
        f"the rest took {seconds:.0f} s",
        flush=True,
    )


def parts_in(results: Path) -> dict[str, int]:
    """Return the finished parts and when they were written."""
    try:
        paths = [path for path in (results / ".pack.parts").iterdir() if path.name[0] != "."]
        return {path.name: path.stat().st_mtime_ns for path in paths}
    except FileNotFoundError:  # Not yet there, or no more.
        return {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--names", type=int, default=0)
    parser.add_argument("--pictures", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        if arguments.names:
            measure_names(Path(root), arguments.names)
        if arguments.pictures:
            measure_pictures(Path(root), arguments.pictures)


if __name__ == "__main__":
    main()
