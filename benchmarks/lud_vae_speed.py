"""LUD-VAE, paper network and the public one: a training step, and making noise for a clean image.

    python benchmarks/lud_vae_speed.py --threads 2

Plain fp32 in the memory layout as it comes, against bf16 (where the processor has it) in
channels-last layout, in turn in one process.
"""

from __future__ import annotations

import argparse

import torch
from timing import compare
from torch import Tensor

from unpaired.core.devices import choose_device, choose_precision, describe
from unpaired.learning.create import create
from unpaired.learning.method import TrainingState
from unpaired.learning.steps import take_step

BATCH = 2  # Of each kind of images; the paper's 8 take as long per image.
HEIGHT_PX = WIDTH_PX = 512


class Run:
    """A method that is trained and used in one precision and memory layout."""

    def __init__(self, name: str, device: torch.device, layout: torch.memory_format, bf16: bool):
        self.device, self.layout, self.bf16 = device, layout, bf16
        self.method = create(name).to(device, memory_format=layout)
        self.optimizer = self.method.phases()[0].optimizer
        self.state = TrainingState(seed=1, step=0, images_seen=0, fraction=0.5)

    def step(self, images: Tensor) -> None:
        placed = images.contiguous(memory_format=self.layout)
        noisy, clean = placed.chunk(2)
        batch = {
            "noisy": noisy,
            "unpaired_clean": clean,
            "sample": torch.arange(len(noisy), device=self.device),
        }
        take_step(
            lambda: self.method.losses(batch, self.state),
            self.optimizer,
            factor=1.0,
            device=self.device,
            precision="bf16" if self.bf16 else "fp32",
        )
        self.method.after_step()

    def degrade(self, image: Tensor) -> None:
        placed = image.contiguous(memory_format=self.layout)
        noise = self.method.draw_noise(placed, [torch.Generator(self.device).manual_seed(1)])
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            self.method.degrade(placed, noise, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--methods", nargs="+", default=["lud_vae", "lud_vae_public"])
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    bf16 = choose_precision("auto", device) == "bf16"
    print(f"{describe(device)}, {arguments.threads} threads, torch {torch.__version__}")
    for name in arguments.methods:
        plain = Run(name, device, torch.contiguous_format, bf16=False)
        ours = Run(name, device, torch.channels_last, bf16)
        side = ours.method.config.patch_px
        images = torch.rand(2 * BATCH, 3, side, side, device=device)
        title = f"{name}: step, {BATCH} + {BATCH} x {side} px"
        seconds = compare(title, plain.step, ours.step, images, arguments.runs)
        print(f"  ours: {images.numel() / 3 / seconds / 1e6:.2f} megapixels/s")
        image = torch.rand(1, 3, HEIGHT_PX, WIDTH_PX, device=device)
        title = f"{name}: noise for {HEIGHT_PX} x {WIDTH_PX}"
        seconds = compare(title, plain.degrade, ours.degrade, image, arguments.runs)
        print(f"  ours: {image.numel() / 3 / seconds / 1e6:.2f} megapixels/s")


if __name__ == "__main__":
    main()
