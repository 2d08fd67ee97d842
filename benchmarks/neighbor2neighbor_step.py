"""Neighbor2Neighbor, paper network: a training step and the restoration of a whole image.

Against the plain formulation, in turn in one process.

    python benchmarks/neighbor2neighbor_step.py --threads 2

The plain formulation is what the paper's equations become when written down directly: fp32, memory
laid out as it comes, sub-images picked by boolean masks.
"""

from __future__ import annotations

import argparse

import torch
from timing import compare
from torch import Tensor

from unpaired.core.devices import choose_device, choose_precision, describe
from unpaired.learning.create import create
from unpaired.learning.method import Observation, TrainingState
from unpaired.learning.steps import take_step
from unpaired.systems.denoising.methods.neighbor2neighbor import NEIGHBOR_PAIRS

BATCH, PATCH_PX = 4, 256
HEIGHT_PX, WIDTH_PX = 512, 768
# Multiply-adds of one training step, times two: forward on the patch without gradient, forward and
# backward on the half-size image. Counted from the layer table of the network.
TRAINING_STEP_FLOP = 272.6e9


def plain_masks(image: Tensor) -> tuple[Tensor, Tensor]:
    """Return two boolean masks over the pixels, each true once per 2 x 2 cell."""
    batch, _, height, width = image.shape
    pairs = torch.tensor(NEIGHBOR_PAIRS, device=image.device)
    drawn = pairs[torch.randint(8, (batch * height // 2 * (width // 2),), device=image.device)]
    masks = []
    for side in (0, 1):
        mask = torch.zeros(len(drawn) * 4, dtype=torch.bool, device=image.device)
        mask[torch.arange(len(drawn), device=image.device) * 4 + drawn[:, side]] = True
        masks.append(mask)
    return masks[0], masks[1]


def plain_subsample(image: Tensor, mask: Tensor) -> Tensor:
    batch, channels, height, width = image.shape
    result = torch.zeros(batch, channels, height // 2, width // 2, device=image.device)
    for channel in range(channels):
        cells = torch.nn.functional.unfold(image[:, channel : channel + 1], 2, stride=2)
        cells = cells.permute(0, 2, 1).reshape(-1)
        result[:, channel] = cells[mask].view(batch, height // 2, width // 2)
    return result


class Plain:
    """The formulation to beat."""

    def __init__(self, device: torch.device) -> None:
        self.network = create("neighbor2neighbor").network.to(device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=3e-4)

    def step(self, noisy: Tensor) -> None:
        first, second = plain_masks(noisy)
        with torch.no_grad():
            restored = self.network(noisy)
        gap = plain_subsample(restored, first) - plain_subsample(restored, second)
        output = self.network(plain_subsample(noisy, first))
        difference = output - plain_subsample(noisy, second)
        loss = difference.square().mean() + (difference - gap).square().mean()
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def restore(self, image: Tensor) -> None:
        with torch.no_grad():
            self.network(image)


class Ours:
    """The method as the pipeline trains and applies it."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.bf16 = choose_precision("auto", device) == "bf16"
        self.method = create("neighbor2neighbor").to(device, memory_format=torch.channels_last)
        self.optimizer = self.method.phases()[0].optimizer
        self.state = TrainingState(seed=1, step=0, images_seen=0, fraction=0.5)

    def step(self, noisy: Tensor) -> None:
        batch = {
            "noisy": noisy.contiguous(memory_format=torch.channels_last),
            "sample": torch.arange(len(noisy), device=self.device),
        }
        take_step(
            lambda: self.method.losses(batch, self.state),
            self.optimizer,
            factor=1.0,
            device=self.device,
            precision="bf16" if self.bf16 else "fp32",
        )

    def restore(self, image: Tensor) -> None:
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            self.method.restore(Observation(image.contiguous(memory_format=torch.channels_last)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    print(f"{describe(device)}, {arguments.threads} threads, torch {torch.__version__}")
    plain, ours = Plain(device), Ours(device)
    noisy = torch.rand(BATCH, 3, PATCH_PX, PATCH_PX, device=device)
    seconds = compare("training step, 4 x 256 px", plain.step, ours.step, noisy, arguments.runs)
    print(
        f"  ours: {BATCH / seconds:.1f} images/s, {TRAINING_STEP_FLOP / seconds / 1e9:.0f} GFLOP/s"
    )
    photo = torch.rand(1, 3, HEIGHT_PX, WIDTH_PX, device=device)
    compare("restore 768 x 512", plain.restore, ours.restore, photo, arguments.runs)


if __name__ == "__main__":
    main()
