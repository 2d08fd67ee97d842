"""Denoising without clean pictures: Neighbor2Neighbor, and what its tables compare it with."""

from __future__ import annotations

from typing import Any

from unpaired.catalog.common_metrics import PSNR, SSIM
from unpaired.catalog.system import MethodEntry, Scorer, System

HERE = "unpaired.systems.denoising"


RAW_LENGTH = (
    "On raw images as many crops are seen as on ImageNet, 4.43 million; 100 epochs of SIDD's "
    "tiles, as the authors cut them, would be about 6 million."
)


def _trained(target: str, **details: Any) -> MethodEntry:
    return MethodEntry(f"{HERE}.methods.{target}", **details)


def _per_image(target: str, **details: Any) -> MethodEntry:
    return MethodEntry(f"{HERE}.methods.{target}", is_trained=False, **details)


SYSTEM = System(
    title="Denoising",
    methods={
        "dbsn": _trained(
            "dbsn:DBSN",
            deviations=(
                "The stack that tells the noise starts by He's rule with biases of 0; the authors' "
                "starts smaller (standard deviation 0.10 instead of 0.24), with biases up to 0.12.",
            ),
        ),
        "dncnn": _trained(
            "dncnn:SupervisedDnCNN",
            deviations=(
                "The last network of a training is scored; the authors keep the best on the "
                "validation set that they report.",
            ),
        ),
        "laine19": _trained(
            "laine19:Laine19",
            deviations=(
                "Noise levels are taken to be unknown, since Neighbor2Neighbor does not say which "
                "form of the method its numbers are of.",
            ),
        ),
        "n2c": _trained("n2c:Noise2Clean"),
        "n2n": _trained("n2n:Noise2Noise"),
        "n2v": _trained(
            "n2v:Noise2Void",
            deviations=(
                "The network is CSBDeep's, not that of the authors' present package, and adds to "
                "its input on colors as well; the last weights are taken, not the best on a "
                "validation set.",
            ),
            deviations_on_raw=("On raw images one network sees all four planes.",),
        ),
        "neighbor2neighbor": _trained(
            "neighbor2neighbor:Neighbor2Neighbor",
            imports_weights=f"{HERE}.authors_weights:PUBLISHED",
            deviations_on_raw=(RAW_LENGTH,),
        ),
        "neighbor2neighbor_rrg": _trained(
            "neighbor2neighbor_rrg:Neighbor2NeighborRRG", deviations_on_raw=(RAW_LENGTH,)
        ),
        "noise2self": _trained("noise2self:Noise2Self"),
        "noisier2noise": _trained("noisier2noise:Noisier2Noise"),
        "anscombe": _per_image("anscombe:Anscombe"),
        "cbm3d": _per_image("cbm3d:CBM3D"),
        "dip": _per_image("dip:DeepImagePrior"),
        "mcwnnm": _per_image(
            "mcwnnm:MCWNNM",
            deviations=(
                "What comes out of a group is the matrix of low rank of the last iteration; groups "
                "also form around the last row and column of patches.",
            ),
        ),
        "self2self": _per_image(
            "self2self:Self2Self",
            deviations=(
                "Partial convolutions follow the published formula (Liu et al. 2018). The authors' "
                "code counts known inputs in all channels but the window in one, so that outputs "
                "are smaller by the number of channels; it adds the bias where nothing is known; "
                "and it pads with unknown zeros a second time and crops at the far sides only.",
            ),
        ),
    },
    scorers={"restore": Scorer(f"{HERE}.scoring:score", metrics={"psnr_db": PSNR, "ssim": SSIM})},
    commands=f"{HERE}.commands",
    place=1,
    exports={
        name: f"{HERE}.from_python:{name}" for name in ("Denoiser", "compare", "denoise", "load")
    },
)
