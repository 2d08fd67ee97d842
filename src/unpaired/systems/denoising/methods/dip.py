"""Deep Image Prior (Ulyanov et al., CVPR 2018): a network learns to turn noise into one image.

On its way it meets what is regular in the image before it meets the noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from unpaired.core.kinds import PositiveNumber, ShareBelowOne
from unpaired.learning.fitting import fit, fitting_on
from unpaired.learning.method import Observation, PerImageRestorer
from unpaired.networks.skip_net import SkipNet

INPUT_SCALE = 0.1  # The fixed input is uniform in [0, INPUT_SCALE).
FALL_DB = 5.0


class RollBack:
    """Puts a network back to its last good weights when it has lost the image.

    Lost means that the PSNR of its output to the noisy image fell by more than 5 dB in one step.
    The authors' code, which leaves out every 100th step, where it draws a figure.
    """

    def __init__(self, network: nn.Module) -> None:
        self._parameters = list(network.parameters())
        self._kept: list[Tensor] = []
        self._psnr_db = -math.inf

    def check(self, squared_error: Tensor) -> bool:
        """Keep the weights or put the kept ones back; says whether it did the latter.

        squared_error: mean over the image of the output that the present weights gave.
        """
        psnr_db = -10 * math.log10(max(squared_error.detach().item(), 1e-12))
        fell = psnr_db < self._psnr_db - FALL_DB
        with torch.no_grad():
            if fell:
                for parameter, kept in zip(self._parameters, self._kept, strict=True):
                    parameter.copy_(kept)
            else:
                self._kept = [parameter.clone() for parameter in self._parameters]
                self._psnr_db = psnr_db
        return fell


class DeepImagePrior(PerImageRestorer):
    """Restorer: the running average of what a network gives while it learns the noisy image.

    The authors' denoising example (F16) throughout, and of its two outputs the running average,
    not the last one. The number that Neighbor2Neighbor (Huang et al., CVPR
    2021) prints for this method, 27.20 dB on Kodak at a standard deviation of 25, suggests that it
    was run with less care.
    """

    @dataclass(frozen=True)
    class Config:
        """Settings of the authors' F16 example.

        width, skip_width: feature channels of the network and of its skip connections.
        input_channels: of the noise that the network turns into the image.
        perturbation_std: of the Gaussian noise that is added to that input anew in every iteration;
            1/30 in the example, where the authors advise 1/20 for noise of 50/255.
        averaging: decay of the running average; 0 gives the last output.
        precision: "bf16", "fp32", or "auto" for bf16 where the processor has it. The authors' is
            fp32. That of the run's trainings, unless it is set for the method.
        """

        iterations: int = 3000
        width: int = 128
        skip_width: int = 4
        input_channels: int = 32
        perturbation_std: float = 1 / 30
        learning_rate: PositiveNumber = 0.01
        averaging: ShareBelowOne = 0.99
        precision: str = "auto"

    def restore(self, observation: Observation) -> Tensor:
        """Return the denoised image, 1 x C x H x W in [0, 1], the same for the same image.

        The authors crop to multiples of 32; here the image is extended by reflection instead, and
        the result cropped. As they do, the network learns the image clipped to [0, 1].
        """
        image = observation.image
        height, width = image.shape[-2:]
        with fitting_on(image.device, "dip"):
            target = extend(image, SkipNet.multiple_px, SkipNet.smallest_px).clamp(0, 1)
            return self._learn(target)[..., :height, :width].contiguous()

    def _learn(self, target: Tensor) -> Tensor:
        config = self.config
        network = SkipNet(
            config.input_channels,
            target.shape[1],
            width=config.width,
            skip_width=config.skip_width,
        ).to(target.device, memory_format=torch.channels_last)
        draw = _noise_like(target, config.input_channels)
        fixed = draw(torch.rand) * INPUT_SCALE
        roll_back = RollBack(network)
        average = None

        def losses() -> dict[str, Tensor]:
            nonlocal average
            given = fixed
            if config.perturbation_std:
                given = fixed + draw(torch.randn) * config.perturbation_std
            output = network(given)
            seen = output.detach()
            average = seen if average is None else average.lerp(seen, 1 - config.averaging)
            return {"loss": nn.functional.mse_loss(output, target)}

        def backward(loss: Tensor) -> None:
            # In the authors' order: the step that follows is along the gradient of lost weights.
            loss.backward()
            roll_back.check(loss)

        optimizer = torch.optim.Adam(network.parameters(), lr=config.learning_rate, fused=True)
        fit(
            "dip",
            losses,
            optimizer,
            steps=config.iterations,
            device=target.device,
            precision=config.precision,
            backward=backward,
        )
        return average


def extend(image: Tensor, multiple_px: int, smallest_px: int) -> Tensor:
    """Extend an image at the bottom and on the right by reflection about its last pixels.

    image: 1 x C x H x W of any size, also smaller than the extension. Returns a new tensor with
    sides that are multiples of ``multiple_px`` and at least ``smallest_px``.
    """
    sides = [max(-(-side // multiple_px) * multiple_px, smallest_px) for side in image.shape[-2:]]
    bottom, right = (long - side for long, side in zip(sides, image.shape[-2:], strict=True))
    # NumPy goes on back and forth where torch's padding refuses.
    padded = np.pad(image.cpu().numpy(), ((0, 0), (0, 0), (0, bottom), (0, right)), mode="reflect")
    return torch.from_numpy(padded).to(image.device)


def _noise_like(target: Tensor, channels: int) -> Callable[[Callable[..., Tensor]], Tensor]:
    """Return what draws 1 x ``channels`` x H x W numbers by ``torch.rand`` or ``torch.randn``."""
    _, _, height, width = target.shape

    def draw(distribution: Callable[..., Tensor]) -> Tensor:
        # Drawn in the order of channels_last, because filling a permuted tensor takes far longer.
        numbers = distribution((1, height, width, channels), device=target.device)
        return numbers.permute(0, 3, 1, 2)

    return draw
