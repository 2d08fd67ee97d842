"""Tiny methods that use all of the contract: turns, averaged weights, other models, files.

Run as a command, it trains the GAN in several processes and saves it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from unpaired.core.processes import Processes, first_of_all
from unpaired.data.noise import get_noise
from unpaired.data.packs import Pack
from unpaired.learning.averaging import AveragedWeights
from unpaired.learning.method import Method, Phase
from unpaired.learning.training import train


@dataclass(frozen=True, kw_only=True)
class TinyConfig:
    images_seen: int = 32
    batch_size: int = 4
    patch_px: int = 16
    learning_rate: float = 1e-2
    width: int = 4


def falling(fraction: float) -> float:
    return 1 - fraction / 2


def network(inputs: int, outputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, width, 3, padding=1),
        nn.LeakyReLU(0.2),
        nn.Conv2d(width, outputs, 3, padding=1),
    )


class TinyGAN(Method):
    """In the order of pix2pix: the discriminator first, then the generator against the new one."""

    Config: ClassVar[type] = TinyConfig
    sees: ClassVar[tuple[str, ...]] = ("noisy", "clean")

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        self.generator = network(3, 3, config.width)
        self.discriminator = network(6, 1, config.width)

    def phases(self) -> list[Phase]:
        adam = partial(torch.optim.Adam, lr=self.config.learning_rate, betas=(0.5, 0.999))
        turns = {
            "discriminator": adam(self.discriminator.parameters()),
            "generator": adam(self.generator.parameters()),
        }
        return [Phase("train", self.config.images_seen, turns, falling)]

    def losses(self, batch, state):
        noisy, clean = batch["noisy"], batch["clean"]
        fake = self.generator(noisy)
        if state.turn == "discriminator":
            real, judged = self.judge(noisy, clean), self.judge(noisy, fake.detach())
            return {"loss": (functional.softplus(-real) + functional.softplus(judged)).mean()}
        l1 = functional.l1_loss(fake, clean)
        return {"loss": functional.softplus(-self.judge(noisy, fake)).mean() + 10 * l1, "l1": l1}

    def judge(self, noisy, picture):
        return self.discriminator(torch.cat([noisy, picture], dim=1))


class AveragedGAN(TinyGAN):
    """Publishes the average of its generator."""

    def phases(self) -> list[Phase]:
        self.averaged = AveragedWeights(
            self.generator, half_life_images=16, batch_size=self.config.batch_size, warm_up=0.5
        )
        return super().phases()

    def after_step(self) -> None:
        self.averaged.update(self.generator)

    def finish(self) -> None:
        self.averaged.put_into(self.generator)
        del self.averaged


class Follower(Method):
    """Learns what a teacher says, from where another model ended, scaled by a number in a file."""

    Config: ClassVar[type] = TinyConfig

    def __init__(self, config: TinyConfig) -> None:
        super().__init__(config)
        self.network = network(3, 3, config.width)
        self.scale = 1.0

    def start_from(self, other: Method) -> None:
        self.load_state_dict(other.state_dict())

    def receive_file(self, name: str, path: Path) -> None:
        self.scale = float(path.read_text())

    def phases(self) -> list[Phase]:
        adam = torch.optim.Adam(self.parameters(), lr=self.config.learning_rate)
        return [Phase("train", self.config.images_seen, adam, falling)]

    def losses(self, batch, state):
        said = batch["noisy"]
        if "teacher" in self.others:
            with torch.no_grad():
                said = self.others["teacher"].network(said)
        return {"loss": functional.mse_loss(self.network(batch["noisy"]), self.scale * said)}


def samples_of(method: Method, pack: Pack):
    return method.samples([pack], seed=1, noise=get_noise("gauss25"), noise_draw="fresh")


def trained(method: Method, pack: Pack, **options) -> Method:
    train(method, samples_of(method, pack), seed=1, device="cpu", precision="fp32", **options)
    return method


def made(kind: type[Method], seed: int = 1, **settings) -> Method:
    torch.manual_seed(seed)
    return kind(TinyConfig(**settings))


if __name__ == "__main__":
    pack, output, count = sys.argv[1:]
    torch.set_num_threads(1)
    method = trained(made(AveragedGAN), Pack(Path(pack)), processes=Processes(int(count)))
    if first_of_all():
        save_file({key: value.contiguous() for key, value in method.state_dict().items()}, output)
