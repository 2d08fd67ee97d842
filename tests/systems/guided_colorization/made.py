"""Models and pictures that several tests of user-guided colorization make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from unpaired.data.sources.color_scenes import draw_scene
from unpaired.learning.create import create
from unpaired.learning.weights import save_model


def make_model(
    path: Path, method: str = "local_hints", train_set="imagenet_train", **config
) -> Path:
    """Write a small model that has learned nothing, but whose colors depend on all it is given."""
    torch.manual_seed(0)
    built = create(method, **({"width": 4, "picture_px": 64} | config))
    torch.nn.init.normal_(built.network.out.weight, std=0.3)
    save_model(path, method, built, {"train_set": train_set})
    return path


def write_scene(path: Path, index: int = 0, height=96, width=128, **options) -> np.ndarray:
    """Write a drawn scene as a picture file; return it, H x W x 3."""
    rgb = draw_scene("test", index, height, width).rgb
    Image.fromarray(rgb).save(path, **options)
    return rgb
