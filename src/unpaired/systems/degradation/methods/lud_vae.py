"""LUD-VAE (Zheng et al., ICLR 2022 submission): degradations learned from unpaired images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from unpaired.core.errors import UnpairedError, check_choice
from unpaired.core.kinds import CountFromZero, PositiveNumber
from unpaired.learning.method import Observation, TrainingState
from unpaired.networks.latents import Gaussian
from unpaired.networks.lud_vae import LUDVAENet
from unpaired.systems.degradation.methods.degradation import (
    SAMPLINGS,
    DegradationConfig,
    DegradationModel,
)


@dataclass(frozen=True, kw_only=True)
class LUDVAEConfig(DegradationConfig):
    """Sections 3.3 and 4.2; blur for SIDD (AIM19: 9 and 4, NTIRE20: 9 and 3).

    The paper does not give the size of the network, but prints 10.07 million parameters. Codebooks
    and number of residual blocks are VQ-VAE-2's; with these widths there are 10.06 million.

    blur_kernel_px, blur_std_px: of the Gaussian that the image branch sees its input through.
    kl_weight: weight of the divergence of the noise latents at the end. It grows linearly from 0,
        in the paper by 1 / 5e8 per iteration, hence to 4e-4 after 200,000. A shorter training feels
        less of the same weight and needs a larger one to end as near to N(0, I).
    commitment_weight: of the distance between features and codes (VQ-VAE-2's).
    width, residual_width, residual_blocks, code_dim, codes: of the network.
    start_noise_std: with ``global_residual``, of the noise that latents of N(0, I) are at first.
        In a short training this scale stays nearly as it is: it should be that of the set's noise,
        or, where the divergence weighs too little to be felt, that of weak noise, because in
        synthesis t multiplies it by 1 to 4. Not in the paper.
    adds_to: what the decoded noise is added to: "reconstruction", as in the paper, or "picture",
        the clean picture itself, whose detail a small image branch cannot carry.
    sampling: how pairs get their noise latents where nothing else is asked for, see `synthesis`;
        "prior" is the paper's.
    """

    blur_kernel_px: int = 21
    blur_std_px: PositiveNumber = 10.0
    kl_weight: float = 4e-4
    commitment_weight: float = 0.25
    width: int = 256
    residual_width: int = 72
    residual_blocks: CountFromZero = 2
    code_dim: int = 64
    codes: int = 512
    start_noise_std: float = 0.1
    adds_to: str = "reconstruction"
    sampling: str = "prior"
    patch_px: int = 160
    schedule: str = "constant"

    def __post_init__(self) -> None:
        check_choice("lud_vae", "adds_to", self.adds_to, ("reconstruction", "picture"))
        check_choice("lud_vae", "sampling", self.sampling, SAMPLINGS)
        kernel_px = self.blur_kernel_px
        if kernel_px < 1 or kernel_px % 2 == 0 or not self.blur_std_px > 0:
            raise UnpairedError(
                "lud_vae: blur_kernel_px must be odd and blur_std_px positive, got "
                f"{kernel_px} and {self.blur_std_px}; a kernel of 1 does not blur"
            )
        _refuse_smaller_than_blur(kernel_px, self.patch_px, self.patch_px)


def _refuse_smaller_than_blur(kernel_px: int, height: int, width: int) -> None:
    if min(height, width) < kernel_px:
        raise UnpairedError(
            f"lud_vae: blur_kernel_px = {kernel_px} is larger than an image of {width}x{height} "
            "pixels; lower it, or take larger images"
        )


class LUDVAE(DegradationModel):
    """Squared errors of both kinds of images, and the divergence of the noise from N(0, I).

    This is Proposition 1 with images that are normal around what the decoders give. The codes are
    equally likely and chosen for certain, so the divergence of theirs is a constant; what VQ-VAE
    trains the encoder with takes its place, and its two halves, one of each kind of images, are the
    mean over both.
    """

    Config: ClassVar[type] = LUDVAEConfig
    config: LUDVAEConfig

    def __init__(self, config: LUDVAEConfig) -> None:
        super().__init__(config)
        self.network = LUDVAENet(
            config.channels,
            width=config.width,
            residual_width=config.residual_width,
            residual_blocks=config.residual_blocks,
            code_dim=config.code_dim,
            codes=config.codes,
            blur_kernel_px=config.blur_kernel_px,
            blur_std_px=config.blur_std_px,
            global_residual=config.global_residual,
            start_noise_std=config.start_noise_std,
        )

    @property
    def sampling(self) -> str:
        return self.config.sampling

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        clean, noisy = self.unpaired_views(batch, state)
        noise = self.draw_noise(noisy, state.generators(batch["sample"], "noise latents"))
        codes = self.network.encode_image(torch.cat([clean, noisy]))
        decoded_clean, decoded_noisy = self.network.decode_image(codes).chunk(2)
        posteriors, latents = self.network.encode_noise(noisy, noise)
        added = self.network.decode_noise(codes.second_half(), latents)

        clean_error = functional.mse_loss(decoded_clean, clean)
        noisy_error = functional.mse_loss(decoded_noisy + added, noisy)
        commitment = codes.top.commitment + codes.bottom.commitment
        # Per pixel and channel of the image, as the squared errors are.
        divergence = (
            sum(p.divergence(Gaussian.standard(p.mean)).sum() for p in posteriors) / noisy.numel()
        )
        kl_weight = self.config.kl_weight * state.fraction
        loss = (
            clean_error
            + noisy_error
            + self.config.commitment_weight * commitment
            + kl_weight * divergence
        )
        return {
            "loss": loss,
            "clean_error": clean_error,
            "noisy_error": noisy_error,
            "commitment": commitment,
            "divergence": divergence,
            "codes_used_top": codes.top.perplexity,
            "codes_used_bottom": codes.bottom.perplexity,
        }

    def after_step(self) -> None:
        self.network.top_codebook.update()
        self.network.bottom_codebook.update()

    def noise_latents(self, noisy: Tensor, noise: list[Tensor]) -> list[Tensor]:
        _refuse_smaller_than_blur(self.config.blur_kernel_px, *noisy.shape[-2:])
        with torch.inference_mode():
            return self.network.encode_noise(noisy, noise)[1]

    def degrade(
        self, clean: Tensor, noise: list[Tensor], t: float, content_noise: float | None = None
    ) -> Tensor:
        _refuse_smaller_than_blur(self.config.blur_kernel_px, *clean.shape[-2:])
        with torch.inference_mode():
            codes = self.network.encode_image(clean)
            added = self.network.decode_noise(codes, [t * level for level in noise])
            adds_to_picture = self.config.adds_to == "picture"
            return (clean if adds_to_picture else self.network.decode_image(codes)) + added

    def restore(self, observation: Observation) -> Tensor:
        """Return the clean image that the codes of the noisy one stand for."""
        _refuse_smaller_than_blur(self.config.blur_kernel_px, *observation.image.shape[-2:])
        with torch.inference_mode():
            return self.network.decode_image(self.network.encode_image(observation.image))
