"""Self2Self (Quan et al., CVPR 2020): a network learns one noisy image's pixels from its others."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from unpaired.core.devices import choose_precision
from unpaired.core.errors import UnpairedError
from unpaired.core.kinds import PositiveNumber, Share
from unpaired.learning.fitting import fit, fitting_on
from unpaired.learning.method import Observation, PerImageRestorer
from unpaired.networks.partial_conv_unet import PartialConvUNet


def draw_known(image: Tensor, keep_probability: float) -> Tensor:
    """Return a mask like ``image``: 1 with ``keep_probability``, else 0, each value by itself."""
    return (torch.rand(image.shape, device=image.device) < keep_probability).to(image.dtype)


def dropped_error(output: Tensor, noisy: Tensor, known: Tensor) -> Tensor:
    """Return the mean squared error over the values that the network was not shown."""
    dropped = 1 - known
    # An image of a few pixels may keep them all.
    return ((output - noisy).square() * dropped).sum() / dropped.sum().clamp_min(1)


def draw_flip() -> list[int]:
    """Draw along which of the image axes to flip: one of four lists of dimensions."""
    return [axis for axis, drawn in zip((-2, -1), torch.randint(2, (2,)), strict=True) if drawn]


class Self2Self(PerImageRestorer):
    """Restorer: the mean of many outputs under dropout, each from another sample of the image.

    The authors' code for synthetic noise, which leaves the noisy image unclipped.
    """

    @dataclass(frozen=True)
    class Config:
        """Settings of the authors' code.

        width: feature channels of the encoder.
        keep_probability: with which a value of one pixel and channel is shown to the network.
        dropout: rate in the decoder; the authors take 0.2 for BSD68 at a standard deviation of 25.
        passes: outputs whose mean is the result.
        precision: "bf16", "fp32", or "auto" for bf16 where the processor has it. The authors' is
            fp32. That of the run's trainings, unless it is set for the method.
        """

        iterations: int = 150_000
        width: int = 48
        learning_rate: PositiveNumber = 1e-4
        keep_probability: Share = 0.7
        dropout: Share = 0.3
        passes: int = 100
        precision: str = "auto"

        def __post_init__(self) -> None:
            for name in ("keep_probability", "dropout"):
                if not 0 < getattr(self, name) < 1:
                    raise UnpairedError(
                        f"{name} of 'self2self' must be between 0 and 1, not {getattr(self, name)}"
                    )

    def restore(self, observation: Observation) -> Tensor:
        """Return the denoised image, 1 x C x H x W in [0, 1], the same for the same image."""
        device = observation.image.device
        with fitting_on(device, "self2self"):
            # A copy, because gradients cannot flow from a tensor made in inference mode.
            noisy = observation.image.clone(memory_format=torch.channels_last)
            network = PartialConvUNet(
                noisy.shape[1], width=self.config.width, dropout=self.config.dropout
            ).to(device, memory_format=torch.channels_last)
            self._learn(network, noisy)
            return self._average(network, noisy)

    def _learn(self, network: PartialConvUNet, noisy: Tensor) -> None:
        config = self.config

        def losses() -> dict[str, Tensor]:
            flipped = noisy.flip(draw_flip())
            known = draw_known(flipped, config.keep_probability)
            return {"loss": dropped_error(network(flipped, known), flipped, known)}

        optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, fused=True)
        about = {"device": noisy.device, "precision": config.precision}
        fit("self2self", losses, optimizer, steps=config.iterations, **about)

    def _average(self, network: PartialConvUNet, noisy: Tensor) -> Tensor:
        bf16 = choose_precision(self.config.precision, noisy.device) == "bf16"
        total = torch.zeros_like(noisy)
        with torch.no_grad(), torch.autocast(noisy.device.type, torch.bfloat16, enabled=bf16):
            for _ in range(self.config.passes):
                axes = draw_flip()
                flipped = noisy.flip(axes)
                known = draw_known(flipped, self.config.keep_probability)
                total += network(flipped, known).flip(axes)
        return (total / self.config.passes).contiguous()
