from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.systems.super_resolution.sets import smooth
from unpaired import catalog
from unpaired.core.errors import UnpairedError
from unpaired.data.disjoint import check_disjoint
from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack
from unpaired.imaging.reduction import reduced
from unpaired.systems.super_resolution.sources import real_world, simulated


def save(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)


@pytest.mark.parametrize("deeper", ["", "1x"])
def test_archives_are_read_as_they_unpack_and_as_scripts_sort_them(tmp_path, deeper):
    large = smooth(1, 66)
    save(tmp_path / "train-clean-images" / deeper / "0001.png", large)
    save(tmp_path / "train-clean-images" / "4x" / "0001.png", smooth(9, 16))
    (record,) = real_world.aim19_clean(tmp_path)
    assert record.name == "0001"
    assert np.array_equal(record.arrays["large"], large[:64, :64])
    assert np.array_equal(record.arrays["image"], reduced(large[:64, :64], 4))


def test_validation_pairs_go_by_name(tmp_path):
    for name in ("b", "a"):
        save(tmp_path / "Corrupted-va-x" / f"{name}.png", smooth(ord(name), 16))
        save(tmp_path / "track1-valid-gt" / f"{name}.png", smooth(ord(name), 64))
    records = list(real_world.ntire20_validation(tmp_path))
    assert [record.name for record in records] == ["a", "b"]
    assert np.array_equal(records[0].arrays["clean"], smooth(ord("a"), 64))
    assert np.array_equal(records[0].arrays["noisy"], smooth(ord("a"), 16))


def test_missing_halves_sizes_and_folders_are_told_with_their_files(tmp_path):
    save(tmp_path / "valid-input-noisy" / "a.png", smooth(1, 16))
    save(tmp_path / "valid-gt-clean" / "a.png", smooth(1, 32))
    with pytest.raises(UnpairedError, match="16x16 is not a quarter of"):
        list(real_world.aim19_validation(tmp_path))
    save(tmp_path / "valid-input-noisy" / "b.png", smooth(1, 16))
    with pytest.raises(UnpairedError, match=r"b\.png has no picture of that name in"):
        real_world.aim19_validation(tmp_path)
    with pytest.raises(UnpairedError, match="no PNG files; unpack the archive"):
        real_world.aim19_noisy(tmp_path)


def test_every_declared_set_has_a_reader():
    names = [one for one in catalog.datasets() if one.startswith(("aim19", "ntire20"))]
    assert len(names) == 6
    for name in names:
        assert callable(catalog.load(catalog.datasets()[name].reader))


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stand_in")
    packs = {}
    for reader in ("noisy", "clean", "validation", "true_pairs"):
        path = folder / f"{reader}.h5"
        about = {"value_range": (0, 255), "color_space": "sRGB", "settings": {}}
        write_pack(path, getattr(simulated, reader)(None), source=reader, **about)
        packs[reader] = Pack(path)
    return packs


def test_the_stand_in_shares_no_scene_between_noisy_clean_and_test(stand_in):
    noisy, clean, test, pairs = (
        stand_in[k] for k in ("noisy", "clean", "validation", "true_pairs")
    )
    for one, other in ((noisy, clean), (noisy, test), (clean, test), (noisy, pairs)):
        check_disjoint(one, other)
    scenes = {key: sorted(set(pack.columns["scene"])) for key, pack in stand_in.items()}
    assert scenes["noisy"] == ["embedded:china", "embedded:coffee"]
    assert scenes["clean"] == scenes["true_pairs"]
    assert [len(pack) for pack in stand_in.values()] == [24, 24, 3, 24]


def test_the_stand_ins_true_pairs_are_the_clean_set_taken_by_the_camera(stand_in):
    clean, pairs = stand_in["clean"], stand_in["true_pairs"]
    for index in (0, 13):
        assert np.array_equal(pairs.read(index, "clean"), clean.read(index))
        assert np.array_equal(pairs.read(index, "large"), clean.read(index, "large"))
        added = pairs.read(index, "noisy").astype(float) - pairs.read(index, "clean")
        assert 6 < added.std() < 25


def test_the_camera_blurs_and_its_noise_grows_with_the_light():
    dark, bright = (np.full((96, 96, 3), value, np.uint8) for value in (30, 220))
    spread = [
        np.mean([simulated.camera(one, np.random.default_rng(n)).std() for n in range(8)])
        for one in (dark, bright)
    ]
    assert 1.2 * spread[0] < spread[1]
    edge = np.zeros((64, 64, 3), np.uint8)
    edge[:, 32:] = 200
    taken = np.mean(
        [simulated.camera(edge, np.random.default_rng(n)).astype(float) for n in range(12)], axis=0
    )
    profile = taken[:, 28:36].mean(axis=(0, 2))
    assert 8 < profile[3] < 60  # one pixel before the edge is neither dark nor bright
    same = [simulated.camera(edge, np.random.default_rng(0)) for _ in range(2)]
    assert np.array_equal(*same)


def test_the_stand_in_can_be_written_in_the_layout_of_the_challenge(tmp_path, monkeypatch):
    monkeypatch.setattr(simulated, "PIECES", (1, 2))
    simulated.render(tmp_path)
    assert len(list(real_world.aim19_noisy(tmp_path))) == 4
    clean = list(real_world.aim19_clean(tmp_path))
    assert clean[0].arrays["image"].shape == (80, 80, 3)
    written = np.asarray(Image.open(tmp_path / f"train-clean-images/4x/{clean[0].name}.png"))
    assert np.array_equal(written, clean[0].arrays["image"])
    assert len(list(real_world.aim19_validation(tmp_path))) == 3
