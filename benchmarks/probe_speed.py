r"""What probing all five layers costs, in forward passes of the encoder over the same pictures.

    python benchmarks/probe_speed.py [--pictures 10000] [--side 64] [--width 0.25] [--threads 1]

Pictures are random, in ten classes; the encoder has Gaussian weights, which cost the same time.
Prints seconds of

* one pass of the convolutions over the pictures, in batches of 100, read from their pack;
* the probe: reading, the same pass, features shrunk and kept as half floats, five classifiers.

and their ratio, by the clock, in turn in one process; and the largest memory.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack, open_verified
from unpaired.data.records import Record
from unpaired.learning.create import create
from unpaired.systems.features.methods.linear_probe import picture_batches

CLASSES = 10
CPU = torch.device("cpu")


def records(count: int, side_px: int) -> Iterator[Record]:
    rng = np.random.default_rng(0)
    for number in range(count):
        label = number % CLASSES
        picture = rng.integers(0, 256 - label, (side_px, side_px, 3), np.uint8)
        arrays = {"image": picture, "label": np.full((1, 1, 1), label, np.uint16)}
        yield Record(f"{number:06d}", arrays, f"{number:06d}")


def seconds_of(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pictures", type=int, default=10_000)
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--width", type=float, default=0.25)
    parser.add_argument("--numbers", type=int, default=9000)
    parser.add_argument("--iterations", type=int, default=50)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    about = {"width": options.width, "first_kernel_px": 7, "first_stride": 2}
    encoder = create("initial", **about).eval()
    settings = {"numbers": options.numbers, "iterations": options.iterations}
    probe = create("linear_probe", crop_px=options.side, **settings)
    probe.receive("encoder", encoder)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pictures.h5"
        stored = {"value_range": (0, 255), "color_space": "sRGB", "settings": {}}
        write_pack(path, records(options.pictures, options.side), source="random", **stored)
        pack = open_verified(path)
        probe.take_pictures(pack, 1)
        for _ in range(options.repeats):
            forward = seconds_of(lambda: one_pass(encoder, pack, options.side))
            whole = seconds_of(lambda: probe.fit(CPU))
            print(f"one pass {forward:.1f} s, probe {whole:.1f} s: {whole / forward:.2f} passes")
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"largest memory {peak_mib:.0f} MiB")


def one_pass(encoder: torch.nn.Module, pack: Pack, side_px: int) -> None:
    with torch.inference_mode():
        for batch in picture_batches(pack, side_px, CPU):
            encoder.features(batch)


if __name__ == "__main__":
    main()
