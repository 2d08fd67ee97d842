r"""Noise that neighbors share: `unpaired denoise` with stride 1 against the stride it chooses.

    python benchmarks/correlated_noise.py --pictures DATA/kodak --images 3 --minutes 1

Gaussian noise is blurred by a small binomial kernel, as demosaicking or enlarging does, and added
to clean pictures; both runs train on the same noisy files for the same time. Prints the mean PSNR.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import tempfile
from pathlib import Path

import numpy as np
import tifffile
import torch
from scipy.ndimage import convolve1d

from unpaired.core.randomness import numpy_generator
from unpaired.imaging.finding import find_pictures
from unpaired.imaging.pictures import read_rgb8
from unpaired.systems.denoising.denoise import Options, denoise


def blurred_noise(shape: tuple[int, ...], noise_std: float, kernel: list[int], *key) -> np.ndarray:
    """Return noise of ``noise_std`` before the blur by ``kernel`` along rows and columns."""
    noise = noise_std * numpy_generator("correlated noise", *key).standard_normal(shape)
    taps = np.array(kernel) / sum(kernel)
    return convolve1d(convolve1d(noise, taps, axis=0, mode="wrap"), taps, axis=1, mode="wrap")


def mean_psnr_db(clean: dict[str, np.ndarray], folder: Path) -> float:
    scores = []
    for name, picture in clean.items():
        error = np.mean((tifffile.imread(folder / name).astype(np.float64) - picture) ** 2)
        scores.append(-10 * np.log10(error))
    return float(np.mean(scores))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, required=True, help="folder of clean pictures")
    parser.add_argument("--images", type=int, help="the first so many; all if not given")
    parser.add_argument("--sigma", type=float, nargs="+", default=[25, 50], help="before the blur")
    parser.add_argument("--kernel", type=int, nargs="+", default=[1, 2, 1])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--method", default="neighbor2neighbor")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    paths = find_pictures([arguments.pictures])[: arguments.images]
    clean = {
        f"{path.stem}.tif": read_rgb8(path, alpha="refuse").astype(np.float32) / 255
        for path in paths
    }
    print("| sigma | noisy | stride 1 | stride auto | what was chosen |\n|---|---|---|---|---|")
    for sigma in arguments.sigma:
        with tempfile.TemporaryDirectory() as folder:
            noisy = Path(folder) / "noisy"
            noisy.mkdir()
            for name, picture in clean.items():
                noise = blurred_noise(picture.shape, sigma / 255, arguments.kernel, name)
                file = noisy / name
                tifffile.imwrite(file, (picture + noise).astype(np.float32), photometric="rgb")
            scores = [mean_psnr_db(clean, noisy)]
            for stride in ("1", "auto"):
                output, told = Path(folder) / stride, io.StringIO()
                options = Options(arguments.method, minutes=arguments.minutes, stride=stride)
                with contextlib.redirect_stdout(told):
                    denoise([noisy], output, options)
                scores.append(mean_psnr_db(clean, output))
            chosen = told.getvalue().splitlines()[0]
        figures = " | ".join(f"{score:.2f} dB" for score in scores)
        print(f"| {sigma:g} | {figures} | {chosen} |", flush=True)


if __name__ == "__main__":
    main()
