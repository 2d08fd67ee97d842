"""Encoders trained on for classes, pixels and boxes: what is copied, closed forms, tiny runs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from tests.systems.features.things import TINY, labeled_pack
from unpaired.core.errors import UnpairedError
from unpaired.data.packs import Pack
from unpaired.learning.create import create
from unpaired.learning.method import TrainingState
from unpaired.learning.training import train
from unpaired.learning.weights import load_model, save_model
from unpaired.metrics.voc import Boxes, detection_precisions, overlaps
from unpaired.systems.features.methods.voc_detector import WindowPooling, windows
from unpaired.systems.features.methods.voc_segmenter import enlarged
from unpaired.systems.features.sources import drawn_scenes
from unpaired.systems.features.voc_samples import ABSENT, VOCSamples, present_classes
from unpaired.systems.features.voc_scoring import score

STATE = TrainingState(1, 0, 0, 0.0)
CPU = torch.device("cpu")
SMALL = {
    "seen": "l ab",
    "width": TINY["width"],
    "first_kernel_px": 7,
    "first_stride": 2,
    "top_channels": 32,
    "classes": 10,
    "patch_px": 64,
    "batch_size": 8,
    "images_seen": 16,
    "learning_rate": 0.01,
    "schedule": "warmup_cosine",
}
OWN = {
    "voc_classifier": {},
    "voc_segmenter": {"top_kernel_px": 3},
    "voc_detector": {"pooled": 3, "windows": 16},
}


def method(name: str, **options):
    torch.manual_seed(0)
    made = create(name, **(SMALL | OWN[name] | options))
    made.receive("encoder", encoder())
    return made


def encoder():
    torch.manual_seed(1)
    return create("cross_channel", **TINY)


@pytest.fixture(scope="module")
def packs(tmp_path_factory) -> dict[str, Pack]:
    folder = tmp_path_factory.mktemp("scenes")
    readers = {"boxes": drawn_scenes.train_objects, "labels": drawn_scenes.train_segments}
    return {
        field: labeled_pack(folder / f"{field}.h5", itertools.islice(reader(None), 16), field)
        for field, reader in readers.items()
    }


def pack_of(name: str, packs) -> Pack:
    return packs["labels" if name == "voc_segmenter" else "boxes"]


def samples_of(made, name, packs):
    return made.samples([pack_of(name, packs)], seed=1, noise=None, noise_draw="fresh")


@pytest.mark.parametrize("name", OWN)
def test_every_task_is_trained_saved_and_scored(name, packs, tmp_path):
    made = method(name, rescaled=True)
    samples = samples_of(made, name, packs)
    assert set(samples[0]) == {*made.sees, "sample"}
    made.prepare(samples, seed=1)
    train(made, samples, seed=1, device="cpu", precision="fp32", on_step=lambda: None)
    save_model(tmp_path / "m.safetensors", name, made)
    _, loaded = load_model(tmp_path / "m.safetensors")
    scored = score(loaded, pack_of(name, packs), None, repeats=1, crop_px=None, device=CPU)
    expected = {"miu_pct"} if name == "voc_segmenter" else {"map_pct", "map_area_pct"}
    assert set(scored.pooled) == expected
    assert all(0 <= value <= 100 for value in scored.pooled.values())
    assert len(scored.rows) == 16


def test_convolutions_are_the_encoders_and_frozen_ones_stay_so(packs):
    made = method("voc_classifier", trained="fc6_8")
    samples = samples_of(made, "voc_classifier", packs)
    made.prepare(samples, seed=1)
    train(made, samples, seed=1, device="cpu", precision="fp32", on_step=lambda: None)
    for own, other in zip(made.trunks, encoder().networks, strict=True):
        for mine, theirs in zip(own.convolutions, other.convolutions, strict=True):
            assert torch.equal(mine.weight, theirs.weight)
    picture = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(made.conv5(picture), encoder().features(picture)["conv5"])


def test_other_encoders_are_one_line(packs):
    made = method("voc_classifier", seen="lab")
    with pytest.raises(UnpairedError, match="the encoder sees 'l ab'; set seen"):
        made.prepare(None, seed=1)
    made = method("voc_classifier", width=0.25)
    with pytest.raises(UnpairedError, match="another width"):
        made.prepare(None, seed=1)
    with pytest.raises(UnpairedError, match="no labels, which this task needs"):
        method("voc_segmenter").samples([packs["boxes"]], seed=1)


def test_what_is_difficult_counts_nothing():
    boxes = np.array([[2, 0, 0, 9, 9, 1], [4, 0, 0, 9, 9, 1], [4, 0, 0, 9, 9, 0]], np.float32)
    present = present_classes(boxes, 6)
    assert present.tolist() == [0, 0, ABSENT, 0, 1, 0]
    made = method("voc_classifier", classes=6).eval()
    torch.nn.init.zeros_(made.told_classes.weight)
    torch.nn.init.zeros_(made.told_classes.bias)
    batch = {"image": torch.rand(1, 3, 64, 64), "present": torch.from_numpy(present)[None]}
    assert made.losses(batch, STATE)["loss"].item() == pytest.approx(math.log(2))


def test_a_segmenter_without_an_opinion_is_wrong_by_the_logarithm_of_the_classes():
    made = method("voc_segmenter").eval()
    torch.nn.init.zeros_(made.head[-1].weight)
    torch.nn.init.zeros_(made.head[-1].bias)
    labels = torch.randint(0, 11, (2, 64, 64))
    labels[0] = 255
    loss = made.losses({"image": torch.rand(2, 3, 64, 64), "labels": labels}, STATE)["loss"]
    assert loss.item() == pytest.approx(math.log(11), rel=1e-5)


def test_scores_stand_at_every_8th_pixel():
    scores = torch.randn(1, 2, 9, 9)
    grown = enlarged(scores, 8, 64)
    torch.testing.assert_close(grown[..., ::8, ::8], scores[..., :8, :8])
    assert enlarged(scores, 8, 70).shape == (1, 2, 70, 70)


def test_samples_are_mirrored_with_what_is_told_of_them(packs):
    """Boxes and maps of one mirrored scene still say the same."""
    told = [VOCSamples(packs[field], field, 10, 64, seed=3) for field in ("boxes", "labels")]
    for number in range(8):
        objects, segments = (one[number] for one in told)
        assert torch.equal(objects["image"], segments["image"])
        boxes = objects["boxes"][objects["boxes"][:, 0] != ABSENT]
        for label, left, top, right, bottom in boxes.int().tolist():
            inside = segments["labels"][top:bottom, left:right] == label + 1
            edges = (inside[0], inside[-1], inside[:, 0], inside[:, -1])
            assert all(edge.any() for edge in edges)


def test_windows_cover_every_drawn_thing_by_half():
    boxes = [drawn_scenes.draw_scene("test", index).boxes[:, 1:5] for index in range(20)]
    shared = overlaps(np.concatenate(boxes), windows(64).numpy())
    assert shared.max(axis=1).min() > 0.5
    assert windows(64).min() >= 0
    assert windows(64).max() <= 64


def test_features_of_a_window_are_those_at_its_place():
    """Maps that hold a pixel's place give the middle of a window."""
    place = torch.arange(9.0)[None, None, None] * 8
    maps = place.expand(1, 1, 9, 9)
    pooled = WindowPooling(1, 8)({"conv5": maps}, [torch.tensor([[10.0, 10.0, 31.0, 31.0]])], [])
    assert pooled.item() == pytest.approx((10 + 31) / 2 - 0.5)  # Pixel 0 has its middle at 0.5.


def test_boxes_come_back_in_the_pictures_own_pixels():
    made = method("voc_detector").eval()
    with torch.inference_mode():
        found = made.detect(np.random.default_rng(0).random((40, 80, 3)).astype(np.float32), CPU)
    assert isinstance(found, Boxes)
    assert found.boxes.shape == (len(found.scores), 4)
    assert (found.boxes[:, 2] <= 80 + 1e-3).all()
    assert (found.boxes[:, 3] <= 40 + 1e-3).all()
    assert ((found.classes >= 0) & (found.classes < 10)).all()
    true = Boxes(found.boxes[:1], found.classes[:1], difficult=np.zeros(1, bool))
    if len(found.scores):
        assert detection_precisions([found], [true], 10)[0] > 0
