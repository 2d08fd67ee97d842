"""Training samples of two sets that share no scene: a noisy image, and a clean one of another."""

from __future__ import annotations

from torch import Tensor
from torch.utils.data import Dataset

from unpaired.core.randomness import seed_for
from unpaired.data.disjoint import check_disjoint
from unpaired.data.noise import Noise
from unpaired.data.packs import Pack
from unpaired.data.samples import CropSamples, NoiseDraw


class UnpairedSamples(Dataset):
    """``self[k]`` -> {"noisy": C x P x P, "unpaired_clean": C x P x P, "sample": k}.

    Both images are crops of their own set, in an order and at a place of their own; sample k is a
    pure function of (seed, k), as in ``CropSamples``. An epoch of each set is as long as the set.

    noise, noise_draw: as for ``CropSamples``, of the noisy set; None if its pictures are noisy
    already.
    Raises UnpairedError if the sets share a scene or a picture, or hold one below the patch's size.
    """

    def __init__(
        self,
        noisy: Pack,
        clean: Pack,
        *,
        patch_px: int,
        seed: int,
        noise: Noise | None,
        noise_draw: NoiseDraw = "fresh",
    ) -> None:
        check_disjoint(noisy, clean, ("noisy set", "clean set"))
        self.noisy = CropSamples(
            noisy,
            sees=("noisy",),
            patch_px=patch_px,
            seed=seed,
            noise=noise,
            noise_draw=noise_draw,
        )
        # Pictures as the pack holds them, which are clean ones here.
        self.clean = CropSamples(
            clean,
            sees=("noisy",),
            patch_px=patch_px,
            seed=seed_for(seed, "unpaired_clean"),
            noise=None,
        )

    def __getitem__(self, sample: int) -> dict[str, Tensor | int]:
        return self.noisy[sample] | {"unpaired_clean": self.clean[sample]["noisy"]}
