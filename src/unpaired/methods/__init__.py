"""The list of methods. A new method is one new file and one line here."""

from __future__ import annotations

import dataclasses
import importlib
from typing import Any

from unpaired.errors import UnpairedError, suggest

# Methods that learn from a training set, one model each.
TRAINED = {
    "dbsn": "unpaired.methods.dbsn:DBSN",
    "dncnn": "unpaired.methods.dncnn:SupervisedDnCNN",
    "laine19": "unpaired.methods.laine19:Laine19",
    "n2c": "unpaired.methods.n2c:Noise2Clean",
    "n2n": "unpaired.methods.n2n:Noise2Noise",
    "n2v": "unpaired.methods.n2v:Noise2Void",
    "neighbor2neighbor": "unpaired.methods.neighbor2neighbor:Neighbor2Neighbor",
    "neighbor2neighbor_rrg": "unpaired.methods.neighbor2neighbor_rrg:Neighbor2NeighborRRG",
    "noise2self": "unpaired.methods.noise2self:Noise2Self",
    "noisier2noise": "unpaired.methods.noisier2noise:Noisier2Noise",
}

# Methods that restore every image by itself, without a training set.
PER_IMAGE = {
    "anscombe": "unpaired.methods.anscombe:Anscombe",
    "cbm3d": "unpaired.methods.cbm3d:CBM3D",
    "dip": "unpaired.methods.dip:DeepImagePrior",
    "self2self": "unpaired.methods.self2self:Self2Self",
}

# Methods that learn a degradation from two sets, and make pairs for others to train on.
DEGRADATIONS = {
    "lud_vae": "unpaired.methods.lud_vae:LUDVAE",
    "lud_vae_public": "unpaired.methods.lud_vae_public:PublicLUDVAE",
}

# Methods that give gray pictures colours.
COLORIZERS = {
    "colorization": "unpaired.methods.colorization:Colorization",
}

# Methods that give gray pictures colours without having learned to: what colorizers are compared
# with. `random_colours` takes them from the pictures of its training set.
UNTRAINED_COLORIZERS = {
    "gray": "unpaired.methods.untrained_colours:Gray",
    "random_colours": "unpaired.methods.untrained_colours:RandomColours",
}
WITH_PICTURES = ("random_colours",)

# Methods that learn a distance between pictures from judgments.
METRICS = {
    "lpips": "unpaired.methods.lpips_training:LPIPSTraining",
}

# Distances by formula, and the voters that all distances are held to: nothing to learn.
UNTRAINED_METRICS = {
    "picture_distance": "unpaired.methods.picture_distance:PictureDistance",
    "voters": "unpaired.methods.picture_distance:Voters",
}

# Methods that restore nothing: what they learn to leave are artifacts.
DISTORTERS = {
    "distorting_autoencoder": (
        "unpaired.methods.distorting_autoencoder:DistortingAutoencoderMethod"
    ),
}

UNTRAINED = PER_IMAGE | UNTRAINED_COLORIZERS | UNTRAINED_METRICS

METHODS = TRAINED | UNTRAINED | DEGRADATIONS | COLORIZERS | METRICS | DISTORTERS

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
    "dip": "fits a network to every single picture; slow",
    "self2self": "fits a network to every single picture; very slow",
}


def module_of(name: str) -> str:
    """Return the module that defines the method ``name``; raises UnpairedError if unknown."""
    if name not in METHODS:
        raise UnpairedError(f"unknown method '{name}'{suggest(name, METHODS)}")
    return METHODS[name].partition(":")[0]


def create(name: str, **overrides: Any):
    """Build a method by name; defaults are the paper's, ``overrides`` are fields of its ``Config``.

    Raises UnpairedError for an unknown method or setting.
    """
    module = importlib.import_module(module_of(name))
    cls = getattr(module, METHODS[name].partition(":")[2])
    known = {field.name for field in dataclasses.fields(cls.Config)}
    for key in overrides:
        if key not in known:
            raise UnpairedError(f"method '{name}' has no setting '{key}'{suggest(key, known)}")
    return cls(cls.Config(**overrides))
