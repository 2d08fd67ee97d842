"""What a person with noisy pictures is offered."""

from __future__ import annotations

from unpaired import catalog
from unpaired.systems.denoising import SYSTEM

# What `unpaired denoise` and `unpaired compare` offer, in a few words each: the methods that need
# noisy pictures and nothing else.
FOR_NOISY_PICTURES = {
    "neighbor2neighbor": "learns from neighboring pixels; a good first choice",
    "cbm3d": "no training, averages like patches; Gaussian noise",
    "n2v": "learns to fill in pixels that are hidden from it",
    "noise2self": "learns to fill in a grid of hidden pixels",
    "laine19": "learns picture and noise level; Gaussian-like noise",
    "dbsn": "like laine19, with another network; slow",
    "neighbor2neighbor_rrg": "neighbor2neighbor with a larger network; slow",
    "mcwnnm": "no training; noise that differs between colors; slow",
    "dip": "fits a network to every single picture; slow",
    "self2self": "fits a network to every single picture; very slow",
}


def restorers() -> list[str]:
    """Return the names of all restorers, those that are trained first."""
    return sorted(SYSTEM.methods, key=is_per_image)


def is_per_image(name: str) -> bool:
    """Say whether a method restores every image by itself, without a training set."""
    return not catalog.method(name).is_trained
