from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from unpaired import catalog
from unpaired.core.errors import UnpairedError
from unpaired.data.noise import get_noise
from unpaired.data.samples import CropSamples
from unpaired.learning.create import create


@pytest.fixture
def pack(make_pack):
    """Two flat pictures of known intensities: whatever differs from them is noise."""
    return make_pack({f"flat{v}": np.full((80, 96, 3), v, np.uint8) for v in (64, 128)})


def samples(pack, sees=("noisy",), noise="gauss25", **options):
    defaults = {"patch_px": 64, "seed": 1}
    return CropSamples(pack, sees=sees, noise=noise and get_noise(noise), **(defaults | options))


CROPS = [n for n, e in catalog.systems()["denoising"].methods.items() if e.is_trained]


@pytest.mark.parametrize("name", CROPS)
def test_a_batch_holds_what_its_method_sees_and_nothing_else(pack, name):
    sees = create(name).sees
    assert set(samples(pack, sees)[0]) == {*sees, "sample"}


def test_a_noisy_only_batch_carries_no_clean_values(train_pack):
    noisy = samples(train_pack)[0]["noisy"]
    assert ((noisy * 255 - (noisy * 255).round()).abs() > 0.01).float().mean() > 0.9


def test_samples_are_pure_functions_of_seed_and_number(pack):
    first, again, other = samples(pack), samples(pack), samples(pack, seed=2)
    forwards = [first[k]["noisy"] for k in range(6)]
    backwards = [again[k]["noisy"] for k in reversed(range(6))][::-1]
    assert all(torch.equal(a, b) for a, b in zip(forwards, backwards, strict=True))
    assert not torch.equal(first[0]["noisy"], other[0]["noisy"])


def test_workers_change_nothing(train_pack):
    data = samples(train_pack)
    batches = [
        list(DataLoader(data, 4, sampler=range(8), num_workers=workers)) for workers in (0, 2)
    ]
    for alone, workers in zip(*batches, strict=True):
        assert torch.equal(alone["noisy"], workers["noisy"])


def test_every_epoch_shows_every_image_once_in_a_new_order(make_pack):
    pack = make_pack({str(n): np.full((64, 64, 3), n, np.uint8) for n in range(8)})
    data = samples(pack)
    orders = [tuple(data.image_of(epoch * 8 + k) for k in range(8)) for epoch in range(4)]
    assert all(sorted(order) == list(range(8)) for order in orders)
    assert len(set(orders)) > 1


def test_fresh_noise_differs_between_epochs_and_fixed_noise_does_not(make_pack):
    # One picture of exactly the patch's size: every sample is the same crop.
    pack = make_pack({"a": np.full((64, 64, 3), 100, np.uint8)})
    fresh, fixed = samples(pack), samples(pack, noise_draw="fixed")
    assert not torch.equal(fresh[0]["noisy"], fresh[1]["noisy"])
    assert torch.equal(fixed[0]["noisy"], fixed[1]["noisy"])
    assert (fixed[0]["noisy"] - 100 / 255).std().item() == pytest.approx(25 / 255, rel=0.05)


def test_noise2noise_gets_two_independent_draws_with_independent_levels(make_pack):
    pack = make_pack({"a": np.full((128, 128, 3), 100, np.uint8)})
    data = samples(pack, ("noisy", "noisy_again"), "gauss5_50", patch_px=128)
    noise = [
        [(data[k][key] - 100 / 255).ravel() for key in ("noisy", "noisy_again")] for k in range(40)
    ]
    correlation = torch.corrcoef(torch.stack(noise[0]))[0, 1]
    levels = torch.tensor([[n.std().item() * 255 for n in pair] for pair in noise])
    assert abs(correlation) < 0.02
    assert levels.min() > 4
    assert levels.max() < 51
    assert abs(torch.corrcoef(levels.T)[0, 1]) < 0.4


def test_the_last_row_and_column_are_used(make_pack):
    ramp = np.arange(66, dtype=np.uint8)[:, None, None] + np.zeros((66, 66, 3), np.uint8)
    data = samples(make_pack({"a": ramp}), ("noisy", "clean"))
    lasts = {round(data[k]["clean"][0, -1, 0].item() * 255) for k in range(30)}
    assert lasts == {63, 64, 65}


def test_images_smaller_than_the_patch_are_all_named(make_pack):
    pack = make_pack({n: np.zeros((32, 96, 3), np.uint8) for n in ("tiny1", "tiny2")})
    with pytest.raises(UnpairedError, match=r"tiny1 \(96x32\); tiny2 \(96x32\)"):
        samples(pack)


def test_a_noisy_pack_cannot_serve_supervision(pack):
    with pytest.raises(UnpairedError, match="noisy pictures only"):
        samples(pack, ("noisy", "clean"), None)
    assert set(samples(pack, noise=None)[0]) == {"noisy", "sample"}


@pytest.mark.parametrize("noise_draw", ["fresh", "fixed"])
def test_the_level_is_what_the_noise_of_the_sample_was_drawn_with(make_pack, noise_draw):
    pack = make_pack({str(n): np.full((128, 128, 3), 100, np.uint8) for n in range(6)})
    data = samples(pack, ("noisy", "level"), "gauss5_50", noise_draw=noise_draw, patch_px=128)
    batch = next(iter(DataLoader(data, 6, sampler=range(6))))
    assert batch["level"].dtype == torch.float32
    measured = batch["noisy"].flatten(1).std(1)
    assert torch.allclose(measured, batch["level"], rtol=0.02)
    assert batch["level"].max() > 1.5 * batch["level"].min()


@pytest.fixture
def frames(make_pairs):
    """Two instances of two frames; every picture is flat, so a value says which one it is."""
    flat = {
        f"{instance}/{frame}": tuple(
            np.full((80, 96, 3), 10 * i + 2 * f + role, np.uint8) for role in (1, 0)
        )
        for i, instance in enumerate(("a", "b"), 1)
        for f, frame in enumerate(("010", "011"))
    }
    return make_pairs(flat)


def test_pairs_are_shown_as_the_pack_holds_them(frames):
    data = samples(frames, ("noisy", "clean", "noisy_again"), noise=None)
    for k in range(8):
        shown = {key: round(float(data[k][key][0, 0, 0]) * 255) for key in data.sees}
        instance, place = divmod(shown["clean"], 10)
        assert shown["noisy"] == shown["clean"] + 1
        assert shown["noisy_again"] == 10 * instance + {0: 2, 2: 0}[place] + 1


def test_noise_can_be_added_to_the_clean_pictures_of_pairs(frames):
    sample = samples(frames, ("noisy", "clean"), noise="gauss25")[0]
    noise = sample["noisy"] - sample["clean"]
    assert noise.mean().abs() < 0.01
    assert noise.std().item() == pytest.approx(25 / 255, rel=0.05)


def test_a_second_frame_must_be_there(make_pairs):
    flat = np.zeros((64, 64, 3), np.uint8)
    alone = make_pairs({"a/010": (flat, flat), "b": (flat + 1, flat), "c": (flat + 2, flat)})
    with pytest.raises(UnpairedError, match="no second noisy frame of a/010; b; c:"):
        samples(alone, ("noisy", "noisy_again"), noise=None)


def test_a_level_cannot_be_told_of_real_noise(frames):
    with pytest.raises(UnpairedError, match="this method needs noisy, level"):
        samples(frames, ("noisy", "level"), noise=None)
