from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from unpaired import catalog
from unpaired.core.errors import UnpairedError
from unpaired.data.noise import get_noise
from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack
from unpaired.data.records import Record
from unpaired.data.unpaired_samples import UnpairedSamples
from unpaired.learning.create import create


def flat(count: int, offset: int) -> dict[str, np.ndarray]:
    """Pictures of one intensity each: the values say which picture a crop is of."""
    return {str(n): np.full((40, 48, 3), offset + n, np.uint8) for n in range(count)}


@pytest.fixture
def packs(make_pack):
    """Five pictures for the noisy set, three for the clean one."""
    return make_pack(flat(5, 10), "noisy"), make_pack(flat(3, 200), "clean")


def samples(packs, noise=None, **options) -> UnpairedSamples:
    defaults = {"patch_px": 32, "seed": 1}
    return UnpairedSamples(*packs, noise=noise and get_noise(noise), **(defaults | options))


@pytest.mark.parametrize("name", catalog.systems()["degradation"].methods)
def test_a_batch_holds_what_its_method_sees_and_nothing_else(packs, name):
    assert set(samples(packs)[0]) == {*create(name).sees, "sample"}


def test_each_image_comes_from_its_own_set_as_it_is(packs):
    data = samples(packs)
    for k in range(15):
        noisy, clean = (data[k][key] * 255 for key in ("noisy", "unpaired_clean"))
        assert noisy.shape == clean.shape == (3, 32, 32)
        assert 10 <= noisy[0, 0, 0].round() < 15
        assert 200 <= clean[0, 0, 0].round() < 203
        assert torch.allclose(clean, clean.round(), atol=1e-3)


def test_every_set_has_epochs_of_its_own_length(packs):
    data = samples(packs)
    values = [(round(s["noisy"][0, 0, 0].item() * 255), s) for s in (data[k] for k in range(15))]
    noisy = [value for value, _ in values]
    clean = [round(s["unpaired_clean"][0, 0, 0].item() * 255) for _, s in values]
    assert all(sorted(noisy[k : k + 5]) == [10, 11, 12, 13, 14] for k in (0, 5, 10))
    assert all(sorted(clean[k : k + 3]) == [200, 201, 202] for k in (0, 3, 6, 9, 12))


def test_places_in_the_two_images_are_independent(make_pack):
    ramp = np.arange(64, dtype=np.uint8)[:, None, None] + np.zeros((64, 64, 3), np.uint8)
    packs = make_pack({"a": ramp}, "noisy"), make_pack({"b": ramp + 100}, "clean")
    data = samples(packs, patch_px=8)
    tops = torch.tensor(
        [[data[k][key][0, 0, 0].item() for key in ("noisy", "unpaired_clean")] for k in range(300)]
    )
    assert abs(torch.corrcoef(tops.T)[0, 1]) < 0.15


def test_samples_are_pure_functions_of_seed_and_number(packs):
    first, again, other = (samples(packs, "gauss25", seed=seed) for seed in (1, 1, 2))
    forwards = [first[k] for k in range(6)]
    backwards = [again[k] for k in reversed(range(6))][::-1]
    for one, two in zip(forwards, backwards, strict=True):
        assert all(torch.equal(one[key], two[key]) for key in ("noisy", "unpaired_clean"))
    assert not torch.equal(first[0]["noisy"], other[0]["noisy"])


def test_workers_change_nothing(packs):
    data = samples(packs, "gauss25")
    batches = [
        list(DataLoader(data, 4, sampler=range(8), num_workers=workers)) for workers in (0, 2)
    ]
    for alone, workers in zip(*batches, strict=True):
        assert all(torch.equal(alone[key], workers[key]) for key in ("noisy", "unpaired_clean"))


def test_noise_falls_on_the_noisy_set_only(packs):
    sample = samples(packs, "gauss25")[0]
    assert sample["noisy"].std().item() == pytest.approx(25 / 255, rel=0.05)
    assert sample["unpaired_clean"].std() < 1e-6


def test_sets_that_share_a_scene_are_refused(tmp_path):
    def pack(name: str, value: int, scene: str) -> Pack:
        picture = np.full((40, 40, 3), value, np.uint8)
        records = [Record(f"{name}1", {"image": picture}, scene)]
        about = {"value_range": (0, 255), "color_space": "sRGB", "settings": {}}
        write_pack(tmp_path / f"{name}.h5", records, source=name, **about)
        return Pack(tmp_path / f"{name}.h5")

    packs = pack("phone", 1, "lamp"), pack("studio", 2, "lamp")
    told = r"^clean set 'studio' and noisy set 'phone' hold the same scene: studio1 = phone1; .*$"
    with pytest.raises(UnpairedError, match=told):
        samples(packs)


def test_sets_that_share_a_picture_are_refused(make_pack):
    packs = make_pack(flat(2, 10), "noisy"), make_pack(flat(1, 11), "clean")
    with pytest.raises(UnpairedError, match="hold the same pixels: 0 = 1;"):
        samples(packs)


def test_small_pictures_of_either_set_are_refused(make_pack):
    large, small = make_pack(flat(1, 10), "large"), make_pack({"tiny": flat(1, 9)["0"][:16]}, "s")
    for packs in ((large, small), (small, large)):
        with pytest.raises(UnpairedError, match=r"tiny \(48x16\)"):
            samples(packs)
