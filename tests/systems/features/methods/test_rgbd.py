"""Encoders and detectors of pictures with depth: what they see, closed forms, tiny runs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch

from tests.systems.features.things import TINY, labeled_pack, things_pack
from unpaired.core.errors import UnpairedError
from unpaired.imaging.color.ab_bins import hard_encode
from unpaired.imaging.color.lab import rgb_to_lab
from unpaired.learning.create import create
from unpaired.learning.method import TrainingState
from unpaired.learning.training import train
from unpaired.learning.weights import load_model, save_model
from unpaired.systems.features.methods.rgbd_detector import RGBDDetector, RGBDDetectorConfig
from unpaired.systems.features.rgbd_scoring import score
from unpaired.systems.features.sources import drawn_rooms

STATE = TrainingState(1, 0, 0, 0.0)
CPU = torch.device("cpu")
DETECTOR = {
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
    "pooled": 3,
    "windows": 16,
}
ENCODERS = {"rgb_detector": "rgb_to_hha", "hha_detector": "hha_to_lab"}
FIELDS = {"rgb_detector": "image", "hha_detector": "hha"}


def encoder(name: str, **options):
    torch.manual_seed(1)
    return create(name, **(TINY | {"images_seen": 32} | options))


def detector(name: str, **options):
    torch.manual_seed(2)
    made = create(name, **(DETECTOR | options))
    made.receive("encoder", encoder(ENCODERS[name]))
    return made


@pytest.fixture(scope="module")
def rooms(tmp_path_factory):
    folder = tmp_path_factory.mktemp("rooms")
    return labeled_pack(
        folder / "rooms.h5", itertools.islice(drawn_rooms.train_rooms(None), 16), "rooms"
    )


def samples_of(made, pack):
    return made.samples([pack], seed=1, noise=None, noise_draw="fresh")


def batch_of(samples, count: int) -> dict[str, torch.Tensor]:
    return torch.utils.data.default_collate([samples[number] for number in range(count)])


@pytest.mark.parametrize("name", ["rgb_to_hha", "hha_to_lab"])
def test_crops_are_of_one_place_of_both(name, rooms):
    samples = samples_of(encoder(name), rooms)
    sample = samples[5]
    assert set(sample) == {"image", "hha", "sample"}
    whole = [(rooms.read_unit(i, "image"), rooms.read_unit(i, "hha")) for i in rooms]
    image, hha = (sample[key].permute(1, 2, 0).numpy() for key in ("image", "hha"))
    places = itertools.product(whole, range(24), range(24))
    assert any(
        np.array_equal(both[0][top : top + 41, left : left + 41], image)
        and np.array_equal(both[1][top : top + 41, left : left + 41], hha)
        for both, top, left in places
    )


@pytest.mark.parametrize(("name", "field"), [("rgb_initial", "image"), ("hha_initial", "hha")])
def test_what_an_untrained_encoder_must_not_see_its_batch_does_not_hold(name, field, rooms):
    made = encoder(name, initialization="kmeans")
    samples = samples_of(made, rooms)
    assert set(samples[0]) == {field, "sample"}
    before = made.networks[0].convolutions[0].weight.clone()
    made.prepare(samples, seed=1)
    assert not torch.equal(made.networks[0].convolutions[0].weight, before)
    assert made.phases() == []


def test_the_loss_of_rgb_to_hha_is_half_the_squared_error(rooms):
    made = encoder("rgb_to_hha")
    network = made.networks[0]
    with torch.no_grad():
        network.head[-1].weight.zero_()
        network.head[-1].bias.copy_(torch.tensor([0.5, -0.25, 0.0]))
    flat = torch.full((2, 3, 41, 41), 0.75)  # 0.5 in [-1, 1]
    batch = {"image": torch.rand(2, 3, 41, 41), "hha": flat, "sample": torch.tensor([0, 1])}
    expected = (0 + 0.75**2 + 0.5**2) / 2
    assert made.losses(batch, STATE)["loss"].item() == pytest.approx(expected)


def test_the_loss_of_hha_to_lab_is_of_ciels_lightness_and_of_bins(rooms):
    made = encoder("hha_to_lab")
    with torch.no_grad():
        made.networks[0].head[-1].weight.zero_()
        made.networks[0].head[-1].bias.zero_()
    picture = torch.tensor([0.2, 0.5, 0.7]).view(1, 3, 1, 1).expand(2, 3, 41, 41)
    batch = {"image": picture, "hha": torch.rand(2, 3, 41, 41), "sample": torch.tensor([0, 1])}
    found = made.losses(batch, STATE)
    lightness = rgb_to_lab(picture)[0, 0, 0, 0].item()
    assert found["lightness"].item() == pytest.approx((lightness - 50) ** 2 / 2, rel=1e-4)
    assert found["color"].item() == pytest.approx(math.log(313), rel=1e-5)
    expected = found["lightness"] + 200 * found["color"]
    assert found["loss"].item() == pytest.approx(expected.item())


def test_branches_have_nothing_in_common_behind_conv5():
    made = encoder("hha_to_lab")
    hha = torch.rand(1, 3, 41, 41)
    lightness, color = made.predicted(hha)
    assert lightness.shape[1] == 1
    assert color.shape[1] == 313
    head = made.networks[0].head
    half = head[0].out_channels // 2
    for output, other in ((lightness, slice(half, None)), (color, slice(0, half))):
        (gradient,) = torch.autograd.grad(output.sum(), head[0].weight, retain_graph=True)
        assert gradient.abs().sum() > 0
        assert (gradient[other] == 0).all()


def test_the_weight_of_color_makes_both_branches_pull_about_equally(rooms):
    made = encoder("hha_to_lab")
    made.phases()
    batch = batch_of(samples_of(made, rooms), 16)
    found = {}
    trunk = made.networks[0].convolutions[-1].weight
    for name in ("lightness", "color"):
        shown = made.mirrored(batch, STATE)
        lightness, color = made.predicted(shown["hha"])
        wanted = rgb_to_lab(shown["image"])[..., ::8, ::8]
        assert wanted.shape[-2:] == lightness.shape[-2:]
        if name == "lightness":
            loss = (50 * lightness + 50 - wanted[:, :1]).square().mean() / 2
        else:
            bins = hard_encode(wanted[:, 1:])
            loss = 200 * torch.nn.functional.cross_entropy(color, bins)
        found[name] = torch.autograd.grad(loss, trunk)[0].norm().item()
    assert 0.1 < found["color"] / found["lightness"] < 10


@pytest.mark.parametrize("name", ["rgb_to_hha", "hha_to_lab"])
def test_an_encoder_is_trained_and_folded_and_saved(name, rooms, tmp_path):
    made = encoder(name)
    samples = samples_of(made, rooms)
    train(made, samples, seed=1, device="cpu", precision="fp32", on_step=lambda: None)
    assert made.networks[0].norms is None
    save_model(tmp_path / "m.safetensors", name, made)
    _, loaded = load_model(tmp_path / "m.safetensors")
    shown = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        one, other = (which.eval().features(shown) for which in (made, loaded))
    assert all(torch.equal(one[layer], other[layer]) for layer in one)


def test_a_step_can_be_timed_without_a_data_set():
    for made in (encoder("rgb_to_hha"), encoder("hha_to_lab"), *map(detector, ENCODERS)):
        made.phases()
        assert torch.isfinite(made.train().losses(made.timing_batch(CPU), STATE)["loss"])


@pytest.mark.parametrize("name", ENCODERS)
def test_a_detector_sees_its_own_field_alone(name, rooms):
    made = detector(name)
    samples = samples_of(made, rooms)
    assert set(samples[0]) == {FIELDS[name], "boxes", "sample"}
    made.prepare(samples, seed=1)
    (own,), (other,) = made.trunks, encoder(ENCODERS[name]).networks
    assert torch.equal(own.convolutions[2].weight, other.convolutions[2].weight)
    shown = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        features = other.features(2 * shown - 1, padded=True)["conv5"]
        torch.testing.assert_close(made.conv5(shown), features)


def test_the_other_encoder_is_one_line():
    made = detector("rgb_detector")
    made.receive("encoder", encoder("hha_to_lab"))
    with pytest.raises(UnpairedError, match="the encoder sees 'hha'; set seen"):
        made.prepare(None, seed=1)
    with pytest.raises(UnpairedError, match="fine-tuning"):
        create("rgb_detector", **(DETECTOR | {"seen": "hha"}))


def test_pictures_without_depth_are_one_line(tmp_path):
    pack = things_pack(tmp_path / "things.h5", range(2))
    with pytest.raises(UnpairedError, match="data set 'things': no hha in its records"):
        samples_of(encoder("rgb_to_hha"), pack)


def fused(first, second) -> RGBDDetector:
    made = RGBDDetector(RGBDDetectorConfig())
    made.receive("rgb", first)
    made.receive("hha", second)
    return made


@pytest.fixture(scope="module")
def detectors(rooms):
    made = {name: detector(name) for name in ENCODERS}
    for one in made.values():
        one.prepare(samples_of(one, rooms), seed=1)
    return {name: one.eval() for name, one in made.items()}


def test_detection_is_that_of_torchvisions_heads(rooms, detectors):
    made = detectors["rgb_detector"]
    picture = rooms.read_unit(0)
    shown = made.shown_picture(picture, CPU)
    with torch.inference_mode():
        ((wanted,), _) = made.heads(made._features(shown), *made._shown(shown))
        found = made.detect(picture, CPU)
    assert len(found.boxes) > 0
    np.testing.assert_allclose(found.boxes, wanted["boxes"].numpy(), atol=1e-4)
    np.testing.assert_allclose(found.scores, wanted["scores"].numpy(), atol=1e-6)
    assert np.array_equal(found.classes, wanted["labels"].numpy() - 1)


def test_fusing_averages_probabilities_and_ways(rooms, detectors):
    pictures = {field: rooms.read_unit(3, field) for field in ("image", "hha")}
    rgb, hha = (detectors[name] for name in ENCODERS)
    with torch.inference_mode():
        both = fused(rgb, hha).find(pictures, CPU)
        one, other = rgb.judged(pictures["image"], CPU), hha.judged(pictures["hha"], CPU)
        halves = [(a + b) / 2 for a, b in zip(one, other, strict=True)]
        by_hand = rgb.chosen(*halves, (64, 64))
        assert torch.allclose(halves[0].sum(dim=1), torch.ones(len(halves[0])))
        alone = rgb.find(pictures, CPU)
    np.testing.assert_allclose(both.boxes, by_hand.boxes, atol=1e-5)
    np.testing.assert_allclose(both.scores, by_hand.scores, atol=1e-6)
    assert len(alone.boxes) != len(both.boxes) or not np.allclose(alone.scores, both.scores)


def test_a_detector_fused_with_itself_is_itself(rooms, detectors):
    pictures = {field: rooms.read_unit(2, field) for field in ("image", "hha")}
    rgb = detectors["rgb_detector"]
    with torch.inference_mode():
        both, alone = fused(rgb, rgb).find(pictures, CPU), rgb.find(pictures, CPU)
    np.testing.assert_allclose(both.boxes, alone.boxes, atol=1e-4)
    np.testing.assert_allclose(both.scores, alone.scores, atol=1e-6)


def test_every_detector_is_scored_on_what_it_sees(rooms, detectors):
    rgb, hha = (detectors[name] for name in ENCODERS)
    for product in (rgb, hha, fused(rgb, hha)):
        scored = score(product, rooms, None, repeats=1, crop_px=None, device=CPU)
        assert set(scored.pooled) == {"map_pct", "map_area_pct"}
        assert all(0 <= value <= 100 for value in scored.pooled.values())
        assert len(scored.rows) == 16
        assert scored.example.shape == (64, 128, 3)


@pytest.mark.long
def test_a_depth_detector_learns_where_things_are(rooms):
    made = detector("hha_detector", images_seen=4800, windows=32, dropout=0.0, top_channels=64)
    samples = samples_of(made, rooms)
    made.prepare(samples, seed=1)
    before = score(made.eval(), rooms, None, repeats=1, crop_px=None, device=CPU).pooled["map_pct"]
    train(made.train(), samples, seed=1, device="cpu", precision="fp32", on_step=lambda: None)
    after = score(made.eval(), rooms, None, repeats=1, crop_px=None, device=CPU).pooled["map_pct"]
    assert before < 10
    assert after > 30
