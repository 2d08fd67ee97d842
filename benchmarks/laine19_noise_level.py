r"""How far the noise level that laine19 estimates is from the true one, on pairs.

    python benchmarks/laine19_noise_level.py results/models \
        --test results/packs/simulated_camera_validation_raw.h5

Prints the noise of the darkest tenth of the pixels as a share of all noise, and for every laine19
the ratio of the estimated to the true standard deviation: median, least and greatest of pictures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from unpaired.data.packs import Pack
from unpaired.learning.weights import load_model


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", type=Path, help="the folder with the folders of models")
    parser.add_argument("--test", type=Path, required=True, help="a pack of pairs")
    arguments = parser.parse_args()
    pack = Pack(arguments.test)
    pairs = [(pack.read_unit(index, "noisy"), pack.read_unit(index, "clean")) for index in pack]
    true = np.array([(noisy - clean).std() for noisy, clean in pairs])
    dark = [(noisy - clean)[clean < np.quantile(clean, 0.1)].std() for noisy, clean in pairs] / true
    print(f"darkest tenth: {np.median(dark):.2f} of all noise (median)")
    for folder in sorted(arguments.models.glob("laine19-*")):
        _, method = load_model(folder / "model.safetensors")
        with torch.inference_mode():
            estimated = [
                method.predict(torch.from_numpy(noisy).permute(2, 0, 1)[None])
                .noise_variance.mean()
                .sqrt()
                .item()
                for noisy, _ in pairs
            ]
        ratio = np.array(estimated) / true
        least, greatest = ratio.min(), ratio.max()
        model = f"{folder.name}, {method.config.noise_model}"
        print(f"{model}: {np.median(ratio):.2f} ({least:.2f} .. {greatest:.2f})")


if __name__ == "__main__":
    main()
