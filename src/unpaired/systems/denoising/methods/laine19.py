"""Laine et al., NeurIPS 2019: a blind-spot prior, a noise model, and the posterior mean of both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from unpaired.core.errors import UnpairedError, check_choice
from unpaired.learning.denoiser import Denoiser, DenoiserConfig
from unpaired.learning.method import Observation, Phase, TrainingState
from unpaired.networks.blind_spot_unet import BlindSpotUNet
from unpaired.networks.neighbors import mean_of_neighbors
from unpaired.networks.unet import UNet
from unpaired.systems.denoising.methods.posterior import (
    covariance_from_factor,
    diagonal_covariance,
    factor_entries,
    in_float64,
    negative_log_likelihood,
    noise_parameter,
    posterior_mean,
    raw_of,
)

NOISE_MODELS = ("gaussian", "poisson")
NOISE_PARAMETERS = ("known", "global", "per_image")

NOISE_STD_MIN = 1e-3
INTENSITY_MIN = 1e-3  # Photons have a variance even where the network expects none or fewer.
# Weight of the noise's standard deviation, subtracted from the loss where it is learned: the
# likelihood alone cannot tell the noise from the uncertainty of the prior (section 3). Beyond a
# deviation of about 30 times the image's range the loss falls for ever, so no start may overshoot.
NOISE_REWARD = 0.1

# Start of a training of minutes (global_residual): noise above what images have, and a prior that
# is nearly certain. Started the other way round, as in the paper, the prior takes all the variance
# first, and a few hundred steps do not move it to the noise.
START_NOISE_PARAMETER = 0.2
START_PRIOR_STD = 0.03


@dataclass(frozen=True, kw_only=True)
class Laine19Config(DenoiserConfig):
    """Settings of section 4; the common ones have the paper's values already.

    noise_model: "gaussian", or "poisson" as a Gaussian whose variance is the mean over the photon
        count at 1.0.
    noise_parameter: "known" is told the level of every image, "global" learns one for all,
        "per_image" estimates it from every image. Laine et al. report 32.45 dB on Kodak for
        Gaussian noise of 25 where the level is known. Neighbor2Neighbor prints 32.40 dB and blames
        errors of an estimated level where it varies, so its numbers are taken to be those of
        unknown levels: "global" where the level is fixed, "per_image" where it varies.
    diagonal: whether the prior's channels are independent (an ablation of the paper).
    global_residual: besides what it means for the network, the prior starts nearly certain, and the
        noise at 0.2 ("global") or at what the difference to the mean of the neighbors suggests,
        from where the estimator predicts a correction ("per_image"). Not in the paper.
    noise_learning_rate_factor: of the global parameter's learning rate over the network's. Adam
        moves a parameter by about its learning rate per step, so a training of a few hundred steps
        needs about 10 instead of the paper's 1.
    """

    noise_model: str = "gaussian"
    noise_parameter: str = "global"
    diagonal: bool = False
    noise_learning_rate_factor: float = 1.0

    def __post_init__(self) -> None:
        check_choice("laine19", "noise_model", self.noise_model, NOISE_MODELS)
        check_choice("laine19", "noise_parameter", self.noise_parameter, NOISE_PARAMETERS)


@dataclass(frozen=True)
class Prediction:
    """What the networks say about a noisy image: the prior of the clean one, and the noise.

    mean: B x C x H x W. clean_covariance: B x C x C x H x W, float64. noise_variance: of every
    channel, float64, B x C x H x W, or B x C x 1 x 1 where it does not depend on the intensity;
    B is 1 there if it is one for all images.
    """

    mean: Tensor
    clean_covariance: Tensor
    noise_variance: Tensor

    @property
    def noise_covariance(self) -> Tensor:
        return diagonal_covariance(self.noise_variance)


class Laine19(Denoiser):
    """Blind-spot network trained by the likelihood of the noisy pixel, which it cannot see.

    Read-outs: "pme", the posterior mean given that pixel too, and "mu", the mean of the prior. (The
    paper's ablation "mu only" is another training, by squared error. Neighbor2Neighbor does not say
    which of the two it means, but on raw images its "mu" depends on the noise model, which only the
    likelihood knows.)

    Where a large image is restored in tiles, a noise parameter "per_image" is estimated for every
    tile by itself. The margin covers the receptive fields of both networks.
    """

    Config: ClassVar[type] = Laine19Config
    config: Laine19Config
    sees: tuple[str, ...] = ("noisy",)
    knows: tuple[str, ...] = ()
    read_outs: ClassVar[tuple[str, ...]] = ("pme", "mu")

    def __init__(self, config: Laine19Config) -> None:
        super().__init__(config)
        channels = config.channels
        self.network = BlindSpotUNet(
            channels,
            channels + (channels if config.diagonal else factor_entries(channels)),
            width=config.width,
            global_residual=config.global_residual,
        )
        if config.noise_parameter == "known":
            self.sees, self.knows = ("noisy", "level"), ("level",)
        elif config.noise_parameter == "global":
            self.noise_parameter = nn.Parameter(torch.zeros(()))
        else:
            self.estimator = UNet.of_laine19(channels, 1, width=config.width)
            nn.init.zeros_(self.estimator.last.weight)
        if config.global_residual:
            self._start_from_noise()

    def _start_from_noise(self) -> None:
        channels, bias = self.config.channels, self.network.last.bias.data
        rows, columns = torch.triu_indices(channels, channels)
        on_diagonal = slice(None) if self.config.diagonal else rows == columns
        bias[channels:][on_diagonal] = START_PRIOR_STD
        if self.config.noise_parameter == "global":
            start = torch.tensor(START_NOISE_PARAMETER, dtype=torch.float64)
            self.noise_parameter.data.fill_(raw_of(start))

    def phases(self) -> list[Phase]:
        phases = super().phases()
        if self.config.noise_parameter == "global":
            optimizer, rate = phases[0].optimizer, self.config.learning_rate
            group = optimizer.param_groups[0]
            group["params"] = [p for p in group["params"] if p is not self.noise_parameter]
            rate = rate * self.config.noise_learning_rate_factor
            optimizer.add_param_group({"params": [self.noise_parameter], "lr": rate})
        return phases

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        noisy = batch["noisy"]
        predicted = self.predict(noisy, batch.get("level"))
        covariance = predicted.clean_covariance + predicted.noise_covariance
        likelihood = negative_log_likelihood(noisy, predicted.mean, covariance).mean()
        noise_std = predicted.noise_variance.sqrt().mean()
        reward = 0.0 if self.config.noise_parameter == "known" else NOISE_REWARD
        return {
            "loss": likelihood - reward * noise_std,
            "negative_log_likelihood": likelihood,
            "noise_std": noise_std,
        }

    def predict(self, noisy: Tensor, level: Tensor | None = None) -> Prediction:
        """Predict prior and noise of ``noisy``, B x C x H x W, sides multiples of ``multiple_px``.

        level: B levels as in ``Observation``; not read unless the noise parameter is "known".
        """
        channels = self.config.channels
        mean, entries = self.network(noisy).tensor_split((channels,), dim=1)
        if self.config.diagonal:
            clean_covariance = diagonal_covariance(in_float64(entries).square())
        else:
            clean_covariance = covariance_from_factor(entries, channels)
        if self.config.noise_model == "gaussian":
            noise_std = self._noise_parameter(noisy, level)
            noise_variance = noise_std.square().expand(-1, channels, -1, -1)
        else:
            intensity = in_float64(mean).clamp_min(INTENSITY_MIN)
            noise_variance = intensity * self._noise_parameter(noisy, level)
        return Prediction(mean, clean_covariance, noise_variance)

    def _noise_parameter(self, noisy: Tensor, level: Tensor | None) -> Tensor:
        """Return the standard deviation, or 1 / photon count; B x 1 x 1 x 1 or one for all."""
        if self.config.noise_parameter == "known":
            known = in_float64(level).view(-1, 1, 1, 1)
            if self.config.noise_model == "gaussian":
                return known.clamp_min(NOISE_STD_MIN)
            return 1 / known
        if self.config.noise_parameter == "global":
            raw = self.noise_parameter.view(1, 1, 1, 1)
        else:
            raw = self.estimator(noisy).mean((2, 3), keepdim=True)
            if self.config.global_residual:
                raw = raw + raw_of(self._suggested_parameter(noisy))
        return noise_parameter(raw)

    def _suggested_parameter(self, noisy: Tensor) -> Tensor:
        """Return the noise parameter if the mean of the neighbors were right but for its noise."""
        difference = in_float64(noisy - mean_of_neighbors(noisy))
        # The mean of eight adds an eighth of the noise's variance.
        variance = 8 / 9 * difference.square().mean((1, 2, 3), keepdim=True)
        if self.config.noise_model == "gaussian":
            return variance.sqrt()
        intensity = in_float64(noisy).mean((1, 2, 3), keepdim=True).clamp_min(INTENSITY_MIN)
        return variance / intensity

    def restore(self, observation: Observation) -> Tensor:
        """Return the posterior mean or the prior's mean, as ``read_out`` says; float32.

        Raises UnpairedError if the noise parameter is "known" and the observation has no level.
        """
        noisy, level = observation.image, observation.level
        if "level" in self.knows:
            if level is None or not level > 0:
                raise UnpairedError(
                    f"this laine19 was trained with noise_parameter 'known' and needs a positive "
                    f"noise level; got {level}; train one with 'global' or 'per_image' instead"
                )
            level = torch.tensor([level], device=noisy.device)
        with torch.inference_mode():
            predicted = self.predict(noisy, level)
            if self.read_out == "mu":
                return predicted.mean
            return posterior_mean(
                noisy, predicted.mean, predicted.clean_covariance, predicted.noise_covariance
            )
