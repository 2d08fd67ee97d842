r"""Our Noise2Void against that of CAREamics, the package that its authors maintain now.

    pip install careamics
    python benchmarks/n2v_careamics.py --train results/packs/embedded_train.h5 \
        --test results/packs/embedded_test.h5

Both get the same noisy pictures, one version of each, and no clean ones, and learn one network per
channel, the default of CAREamics; network size, patch, batch, steps, masked share, window,
optimizer and schedule are equal, in fp32. What differs is theirs: bilinear up-sampling, windows
without the row and the column of the masked pixel, PyTorch's initial weights, and some patches
held out for validation. Prints the mean PSNR on 256 px center crops.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from careamics import CAREamist
from careamics.config.factories import create_advanced_n2v_config

from unpaired.core.randomness import seed_for
from unpaired.data.noise import get_noise
from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack
from unpaired.data.records import Record
from unpaired.data.samples import CropSamples
from unpaired.learning.create import create
from unpaired.learning.method import Observation
from unpaired.learning.restoring import observe
from unpaired.learning.training import train
from unpaired.systems.denoising.scoring import compare

NOISE = get_noise("gauss25")
WIDTH, DEPTH, PATCH_PX, BATCH_SIZE = 16, 2, 64, 4
RADIUS_PX, MASKED_PERCENT = 2, 6.25
LEARNING_RATE = 0.01
EPOCHS = 10  # The learning rate is halved every fifth of them.


class CareamicsN2V:
    """A trained CAREamics model as a restorer."""

    knows = ()
    multiple_px = 2**DEPTH
    margin_px = None

    def __init__(self, pictures: list[np.ndarray], steps: int, seed: int, folder: Path) -> None:
        config = create_advanced_n2v_config(
            experiment_name="n2v",
            data_type="array",
            axes="YXC",
            n_channels=3,
            independent_channels=True,
            patch_size=[PATCH_PX, PATCH_PX],
            batch_size=BATCH_SIZE,
            num_epochs=EPOCHS,
            num_steps=steps // EPOCHS,
            augmentations=[],
            roi_size=2 * RADIUS_PX + 1,
            masked_pixel_percentage=MASKED_PERCENT,
            num_workers=0,
            trainer_params={"accelerator": "cpu"},
            model_params={"depth": DEPTH, "num_channels_init": WIDTH, "residual": True},
            optimizer_params={"lr": LEARNING_RATE},
            lr_scheduler="StepLR",
            lr_scheduler_params={"step_size": EPOCHS // 5, "gamma": 0.5},
            seed=seed,
        )
        self.careamist = CAREamist(config, work_dir=folder, enable_progress_bar=False)
        self.careamist.train(train_data=pictures)

    def restore(self, observation: Observation) -> torch.Tensor:
        array = observation.image[0].permute(1, 2, 0).numpy()
        (restored,), _ = self.careamist.predict(array, batch_size=1)
        restored = torch.from_numpy(np.asarray(restored)).squeeze()
        if restored.shape[-1] == array.shape[-1]:
            restored = restored.permute(2, 0, 1)
        return restored[None]


def ours(pack: Pack, steps: int, seed: int):
    torch.manual_seed(seed_for(seed, "weights"))
    method = create(
        "n2v",
        width=WIDTH,
        depth=DEPTH,
        patch_px=PATCH_PX,
        batch_size=BATCH_SIZE,
        images_seen=steps * BATCH_SIZE,
        per_channel=True,
        masked_percent=MASKED_PERCENT,
        radius_px=RADIUS_PX,
        learning_rate=LEARNING_RATE,
    )
    samples = CropSamples(pack, sees=method.sees, patch_px=PATCH_PX, seed=seed, noise=None)
    train(method, samples, seed=seed, device="cpu", precision="fp32")
    return method.eval()


def mean_psnr_db(restorer, test: Pack) -> tuple[float, float]:
    comparisons = compare(restorer, test, NOISE, repeats=1, crop_px=256, device=torch.device("cpu"))
    rows = [comparison.row() for comparison in comparisons]
    return tuple(float(np.mean([row[key] for row in rows])) for key in ("psnr_db", "noisy_psnr_db"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    clean, test = Pack(arguments.train), Pack(arguments.test)
    names = clean.columns["name"]
    noisy = [observe(clean.read_unit(index), NOISE, "train", names[index])[0] for index in clean]
    with tempfile.TemporaryDirectory(prefix="n2v-") as folder:
        path = Path(folder) / "noisy.h5"
        write_pack(
            path,
            [Record(n, {"image": image}, n) for n, image in zip(names, noisy, strict=True)],
            source="noisy pictures",
            value_range=(0, 1),
            color_space="sRGB",
            settings={},
            total=len(noisy),
        )
        learners = {
            "ours": lambda seed: ours(Pack(path), arguments.steps, seed),
            "CAREamics": lambda seed: CareamicsN2V(
                noisy, arguments.steps, seed, Path(folder) / f"careamics-{seed}"
            ),
        }
        for seed in arguments.seeds:
            for name, learn in learners.items():
                start = time.perf_counter()
                restorer = learn(seed)
                seconds = time.perf_counter() - start
                psnr, noisy_psnr = mean_psnr_db(restorer, test)
                print(
                    f"seed {seed}, {name}: {psnr:.2f} dB ({psnr - noisy_psnr:+.2f} over the noisy "
                    f"pictures), trained in {seconds:.0f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
