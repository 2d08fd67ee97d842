"""What both forms of LUD-VAE share: unpaired images in, noise for clean images out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from unpaired.catalog.system import Condition
from unpaired.core.errors import UnpairedError
from unpaired.core.kinds import PositiveNumber, ShareBelowOne
from unpaired.data.noise import Noise
from unpaired.data.packs import Pack
from unpaired.data.samples import NoiseDraw
from unpaired.data.unpaired_samples import UnpairedSamples
from unpaired.imaging.orientation import orient_at_random
from unpaired.learning.denoiser import Denoiser, DenoiserConfig
from unpaired.learning.method import TrainingState
from unpaired.networks.latents import LatentLevel

ITERATIONS = 200_000  # The paper's length (section 4.2).
T_RANGE = (1.0, 4.0)  # Noise levels of the paper (section 4.4).
SAMPLINGS = ("prior", "posterior", "spread")  # Of noise latents, see `synthesis.pairs_of_pack`.


@dataclass(frozen=True, kw_only=True)
class DegradationConfig(DenoiserConfig):
    """Settings of a degradation model. A sample is one image of each set.

    ``images_seen`` and ``batch_size`` count samples: 8 hold the 16 images of the paper's batches,
    which draws from both sets equally often; here it is equally many.
    """

    images_seen: int = ITERATIONS * 8
    batch_size: int = 8
    learning_rate: PositiveNumber = 1e-4
    beta2: ShareBelowOne = 0.999


class DegradationModel(Denoiser):
    """A method that learns what turns clean images into noisy ones, from unpaired sets of both.

    Its product is ``degrade``, the generation method 3 of LUD-VAE (section 3.3). As a restorer it
    gives the clean image of generation method 2.

    t_range: in which the noise level of an image is drawn. content_noise_range: the same of the
    noise that the content path sees, in units of the [0, 1] range; None without one.
    """

    Config: ClassVar[type] = DegradationConfig
    sees: ClassVar[tuple[str, ...]] = ("noisy", "unpaired_clean")
    t_range: ClassVar[tuple[float, float]] = T_RANGE
    content_noise_range: ClassVar[tuple[float, float] | None] = None

    def samples(
        self,
        packs: Sequence[Pack],
        *,
        seed: int,
        noise: Noise | Condition | None,
        noise_draw: NoiseDraw,
    ) -> UnpairedSamples:
        """Return crops of both sets; a condition adds nothing to what is noisy already."""
        noise = None if isinstance(noise, Condition) else noise
        about = {"patch_px": self.config.patch_px, "seed": seed}
        return UnpairedSamples(*packs, noise=noise, noise_draw=noise_draw, **about)

    @property
    def noise_levels(self) -> tuple[LatentLevel, ...]:
        """The grids of standard normal numbers that ``degrade`` takes."""
        return self.network.latents

    @property
    def sampling(self) -> str:
        """How noise latents are drawn where nothing else is asked for, one of SAMPLINGS."""
        return "prior"

    def noise_latents(self, noisy: Tensor, noise: list[Tensor]) -> list[Tensor]:
        """Return a sample of the noise latents of ``noisy``, which ``degrade`` can take as noise.

        noise: standard normal, as for ``degrade``. Raises UnpairedError where the latents depend on
        what is decoded of the image's content.
        """
        raise UnpairedError(
            "pairs_from: sampling: posterior and spread are for lud_vae, whose noise latents "
            "depend on nothing but the noisy picture; leave it out"
        )

    def degrade(
        self, clean: Tensor, noise: list[Tensor], t: float, content_noise: float | None = None
    ) -> Tensor:
        """Return a noisy version of ``clean``, B x C x H x W, neither clamped nor rounded.

        noise: standard normal, B x channels x H / px x W / px for every one of ``noise_levels``.
        t: the noise level, which multiplies the sampled noise latents (section 4.4).
        content_noise: deviation of the noise that the content path sees, where the method has one;
        None for that of its training. Sides are multiples of ``multiple_px``.
        """
        raise TypeError(f"{type(self).__name__} must define degrade()")

    def draw_noise(self, image: Tensor, generators: list[Generator]) -> list[Tensor]:
        """Draw standard normal numbers for every level; one generator per image."""
        height, width = image.shape[-2:]
        shapes = [(c, height // px, width // px) for c, px in self.noise_levels]
        drawn = [
            [torch.randn(shape, generator=g, device=image.device) for shape in shapes]
            for g in generators
        ]
        return [torch.stack(level) for level in zip(*drawn, strict=True)]

    def unpaired_views(
        self, batch: dict[str, Tensor], state: TrainingState
    ) -> tuple[Tensor, Tensor]:
        """Return the clean and the noisy images, each turned and mirrored by its own draw."""
        views = []
        for key in ("unpaired_clean", "noisy"):
            generators = state.generators(batch["sample"], f"orientation of {key}")
            views += orient_at_random(generators, batch[key])
        return views[0], views[1]
