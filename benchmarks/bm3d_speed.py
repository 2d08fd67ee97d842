"""BM3D of whole color pictures: deepinv's against ours, in turn: processor seconds and PSNR.

python benchmarks/bm3d_speed.py --pictures DATA/kodak --images 6

Noise of 25 of 255, its level estimated. deepinv gets the paper's wavelets, which need a library
under a copyleft license there, as matrices, and a search radius of 12 and small chunks, because
with its defaults it takes several times longer.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from deepinv.models import BM3D
from PIL import Image
from torch import Tensor

from unpaired.metrics.noise_level import estimate_noise_std
from unpaired.systems.denoising.methods.bm3d import BIORTHOGONAL_1_5, HAAR, bm3d, wavelet_matrix
from unpaired.systems.denoising.methods.cbm3d import OPPONENT

NOISE_STD = 25 / 255


def theirs(image: Tensor) -> Tensor:
    stages = ("spatial_ht", "spatial_wiener", "group_ht", "group_wiener")
    transforms = {f"{name}_transform": "dct" for name in stages}
    model = BM3D(use_legacy=False, search_radius=12, chunk_size=64, **transforms)
    for name, taps in (
        ("spatial_ht", BIORTHOGONAL_1_5),
        ("group_ht", HAAR),
        ("group_wiener", HAAR),
    ):
        matrix = wavelet_matrix(len(model.get_buffer(name)), taps)
        model.get_buffer(name).data = matrix
        model.get_buffer(f"{name}_inv").data = torch.linalg.inv(matrix)
    return model(image, 1.0)


def mix(matrix: Tensor, image: Tensor) -> Tensor:
    return torch.einsum("oc,bchw->bohw", matrix, image)


def measured(work: Callable[[Tensor], Tensor], clean: Tensor, image: Tensor) -> tuple[float, float]:
    """Return processor seconds and PSNR in dB."""
    noise_std = estimate_noise_std(image[0].permute(1, 2, 0).numpy())
    start = time.process_time()
    restored = mix(OPPONENT.T, work(mix(OPPONENT, image / noise_std))) * noise_std
    seconds = time.process_time() - start
    return seconds, -10 * (restored.clamp(0, 1) - clean).square().mean().log10().item()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, required=True, help="a folder of color PNGs")
    parser.add_argument("--images", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    paths = sorted(options.pictures.glob("*.png"))
    pairs = []
    for path in paths[:: max(1, len(paths) // options.images)][: options.images]:
        pixels = np.array(Image.open(path).convert("RGB"))
        clean = torch.from_numpy(pixels).permute(2, 0, 1)[None] / 255
        generator = torch.Generator().manual_seed(0)
        image = clean + NOISE_STD * torch.randn(clean.shape, generator=generator)
        pairs.append([measured(work, clean, image) for work in (theirs, bm3d)])
        (slow, before), (fast, after) = pairs[-1]
        print(
            f"{path.name}: {slow:.1f} s, {before:.2f} dB; ours {fast:.1f} s, {after:.2f} dB",
            flush=True,
        )
    ratios = sorted(first[0] / second[0] for first, second in pairs)
    gains = sorted(second[1] - first[1] for first, second in pairs)
    seconds = [statistics.median(pair[side][0] for pair in pairs) for side in (0, 1)]
    print(
        f"deepinv {seconds[0]:.1f} s, ours {seconds[1]:.1f} s of processor: ratio "
        f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} .. {ratios[-1]:.2f}), "
        f"{statistics.mean(gains):+.2f} dB ({gains[0]:+.2f} .. {gains[-1]:+.2f}), n = {len(pairs)}"
    )


if __name__ == "__main__":
    main()
