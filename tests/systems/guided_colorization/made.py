"""Models and pictures that several tests of user-guided colorization make."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack
from unpaired.data.records import Record
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


def scenes_pack(path: Path, indices: Iterable[int], side_px: int, *, with_fruit=True) -> Pack:
    """Write test scenes with their labels, or with labels that know no fruit; open them."""
    records = []
    for index in indices:
        scene = draw_scene("test", index, side_px, side_px)
        labels = scene.labels if with_fruit else np.zeros_like(scene.labels)
        arrays = {"image": scene.rgb, "labels": labels[..., None]}
        records.append(Record(f"s{index}", arrays, f"scenes:{index}"))
    about = {"value_range": (0, 255), "color_space": "sRGB", "settings": {}}
    write_pack(path, records, source="scenes", **about)
    return Pack(path)
