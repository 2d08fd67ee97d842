"""Denoising without clean pictures: Neighbor2Neighbor, and what its tables compare it with."""

from __future__ import annotations

from unpaired.catalog.common_metrics import PSNR, SSIM
from unpaired.catalog.system import MethodEntry, Scorer, System

HERE = "unpaired.systems.denoising"


def _trained(target: str, **details: str) -> MethodEntry:
    return MethodEntry(f"{HERE}.methods.{target}", **details)


def _per_image(target: str) -> MethodEntry:
    return MethodEntry(f"{HERE}.methods.{target}", is_trained=False)


SYSTEM = System(
    title="Denoising",
    methods={
        "dbsn": _trained("dbsn:DBSN"),
        "dncnn": _trained("dncnn:SupervisedDnCNN"),
        "laine19": _trained("laine19:Laine19"),
        "n2c": _trained("n2c:Noise2Clean"),
        "n2n": _trained("n2n:Noise2Noise"),
        "n2v": _trained("n2v:Noise2Void"),
        "neighbor2neighbor": _trained(
            "neighbor2neighbor:Neighbor2Neighbor",
            imports_weights=f"{HERE}.authors_weights:PUBLISHED",
        ),
        "neighbor2neighbor_rrg": _trained("neighbor2neighbor_rrg:Neighbor2NeighborRRG"),
        "noise2self": _trained("noise2self:Noise2Self"),
        "noisier2noise": _trained("noisier2noise:Noisier2Noise"),
        "anscombe": _per_image("anscombe:Anscombe"),
        "cbm3d": _per_image("cbm3d:CBM3D"),
        "dip": _per_image("dip:DeepImagePrior"),
        "self2self": _per_image("self2self:Self2Self"),
    },
    scorers={"restore": Scorer(f"{HERE}.scoring:score", metrics={"psnr_db": PSNR, "ssim": SSIM})},
    commands=f"{HERE}.commands",
    place=1,
    exports={
        name: f"{HERE}.from_python:{name}" for name in ("Denoiser", "compare", "denoise", "load")
    },
)
