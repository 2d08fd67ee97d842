"""DBSN (Wu et al., ECCV 2020), stage one: a blind-spot mean, and variances learned beside it.

Stage two, the distillation into another network with the help of clean images, is not part of
Neighbor2Neighbor's comparison.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from unpaired.core.errors import UnpairedError, check_choice
from unpaired.core.kinds import Share, ShareBelowOne
from unpaired.learning.denoiser import Denoiser, DenoiserConfig
from unpaired.learning.method import Observation, Phase, TrainingState
from unpaired.learning.phases import adam_phase
from unpaired.networks.dbsn import DilatedBlindSpotNet, PointwiseStack
from unpaired.systems.denoising.methods.posterior import (
    diagonal_covariance,
    in_float64,
    negative_log_likelihood,
    noise_parameter,
    posterior_mean,
)

NOISE_MODELS = ("gaussian", "poisson")
LIKELIHOODS = ("plain", "constrained")
EPOCHS = 120  # The default of the authors' code, for each of the two phases.


@dataclass(frozen=True, kw_only=True)
class DBSNConfig(DenoiserConfig):
    """Defaults of the authors' options. The epochs are of Neighbor2Neighbor's 44,328 images.

    The authors' own list of images mixes the test sets Set14 and Kodak in, and their patches are
    flipped and transposed at random; neither is done here. Their scripts for single noises differ
    from their options: batches of 8, 100 epochs, and a tenth of the learning rate in the joint
    phase.

    noise_model: "gaussian" has one standard deviation per image and channel, found from the noisy
        image. "poisson" has one per pixel and channel, found from the mean: the paper's
        heteroscedastic Gaussian. Neither is told a level.
    likelihood: loss of the joint phase. "plain" is what the authors' scripts for these noises use.
        It fixes the sum of both variances only, not which is the noise's, and a posterior mean from
        a wrong split can be worse than the mean. "constrained" is the other loss in their code and
        named in the paper's abstract: it keeps the clean pixel's variance small beside the noise's.
    width: feature channels of the blind-spot network. blocks: inception blocks in each branch.
    mean_share: of ``images_seen``, what the mean is trained on alone, before the joint phase.
    """

    noise_model: str = "gaussian"
    likelihood: str = "plain"
    blocks: int = 8
    mean_share: Share = 0.5
    width: int = 96
    images_seen: int = 2 * EPOCHS * 44_328
    batch_size: int = 1
    patch_px: int = 96
    schedule: str = "tenth_every_sixth"
    beta2: ShareBelowOne = 0.999

    def __post_init__(self) -> None:
        check_choice("dbsn", "noise_model", self.noise_model, NOISE_MODELS)
        check_choice("dbsn", "likelihood", self.likelihood, LIKELIHOODS)
        if not 0 < self.mean_share < 1:
            raise UnpairedError(
                f"dbsn: mean_share must lie between 0 and 1, both excluded; got {self.mean_share}"
            )


def uncertainty_penalty(clean: Tensor, noise: Tensor) -> Tensor:
    """Return what turns the likelihood into the constrained one: 1/2 sum of r - log(1 + r).

    clean, noise: variances, B x C x H x W or B x C x 1 x 1, and r is clean / noise. The sum over
    channels, B x 1 x H x W, replaces 1/2 log det (Sx + Sn) by its bound, the tangent at Sx = 0:
    1/2 log det Sn + 1/2 tr Sn^-1 Sx.
    """
    ratio = clean / noise
    return (ratio - ratio.log1p()).sum(1, keepdim=True) / 2


class DBSN(Denoiser):
    """Mean and variance of a clean pixel from the others, variance of its noise, and Bayes' rule.

    Trained in two phases: "mean" by squared error, "joint" by the likelihood of the noisy pixel.
    (The authors' code for color trains the variances alone in between.) Read-outs: "pme", the
    posterior mean, and "mu", the mean without the pixel itself. Neighbor2Neighbor does not say
    which its Table 1 shows. On Kodak, Gaussian noise of 25, it prints 31.64 dB, a decibel above the
    30.62 dB of another blind-spot mean, so that number is a posterior mean and the default here.
    Its other three lie 0.1 to 0.2 dB below such means: a posterior mean that gains nothing where
    the noise varies from image to image or with the signal, or the mean itself.
    """

    Config: ClassVar[type] = DBSNConfig
    config: DBSNConfig
    sees: ClassVar[tuple[str, ...]] = ("noisy",)
    read_outs: ClassVar[tuple[str, ...]] = ("pme", "mu")

    def __init__(self, config: DBSNConfig) -> None:
        super().__init__(config)
        channels = config.channels
        self.network = DilatedBlindSpotNet(
            channels,
            width=config.width,
            blocks=config.blocks,
            global_residual=config.global_residual,
        )
        self.clean_std = PointwiseStack(config.width, channels, width=32, layers=3)
        self.noise_std = PointwiseStack(channels, channels, width=32, layers=5)
        if config.global_residual:
            # He's start is a deviation near 1. Where the noise's is a hundredth of that, a training
            # of minutes does not recover from the first steps.
            self.clean_std.last.weight.data.mul_(0.01)

    @property
    def margin_px(self) -> int | None:
        """As for any denoiser; None where the noise is estimated from the whole image."""
        if self.read_out == "pme" and self.config.noise_model == "gaussian":
            return None
        return self.network.margin_px

    def phases(self) -> list[Phase]:
        (joint,) = super().phases()
        config = self.config
        mean_images = min(max(round(config.mean_share * config.images_seen), 1), config.images_seen)
        betas = (0.9, config.beta2)
        mean = adam_phase(config, self.network.parameters(), betas=betas, fused=True)
        return [
            replace(mean, name="mean", images_seen=mean_images),
            replace(joint, name="joint", images_seen=config.images_seen - mean_images),
        ]

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        noisy = batch["noisy"]
        mean, features = self.network(noisy)
        squared_error = functional.mse_loss(mean, noisy)
        if state.phase == "mean":
            return {"loss": squared_error, "squared_error": squared_error}
        clean, noise = self.variances(noisy, mean, features)
        # The authors floor the determinant at 1e-6, which for three channels ends its gradient
        # where the deviation falls below 0.1, and skip steps with extreme errors: not done here.
        loss = negative_log_likelihood(noisy, mean, diagonal_covariance(clean + noise))
        if self.config.likelihood == "constrained":
            loss = loss + uncertainty_penalty(clean, noise)
        return {"loss": loss.mean(), "squared_error": squared_error}

    def variances(self, noisy: Tensor, mean: Tensor, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return those of the clean pixel given the others, and of the noise, per channel.

        noisy, mean: B x C x H x W. features: B x width x H x W. Both results are B x C x H x W,
        float64; the second is B x C x 1 x 1 for Gaussian noise.
        """
        if self.config.noise_model == "gaussian":
            noise = self.noise_std(noisy).mean((2, 3), keepdim=True)
        else:
            noise = self.noise_std(mean)
        return in_float64(self.clean_std(features)).square(), noise_parameter(noise).square()

    def restore(self, observation: Observation) -> Tensor:
        """Return the posterior mean or the mean, as ``read_out`` says, for an image of any size."""
        noisy = observation.image
        with torch.inference_mode():
            mean, features = self.network(noisy)
            if self.read_out == "mu":
                return mean
            covariances = map(diagonal_covariance, self.variances(noisy, mean, features))
            return posterior_mean(noisy, mean, *covariances)
