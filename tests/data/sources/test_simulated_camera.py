from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io

from unpaired import catalog
from unpaired.data.disjoint import check_disjoint
from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack
from unpaired.data.records import Record
from unpaired.data.sources import embedded, sidd, simulated_camera
from unpaired.data.sources.sidd import PATTERN_OF_PHONE, Instance, read_metadata
from unpaired.data.sources.simulated_camera import (
    BENCHMARK,
    MEDIUM_RAW,
    SMALL_SRGB,
    VALIDATION,
    blocks,
    clean_mosaic,
    noise_levels_of,
    noisy_mosaic,
    processed,
    render,
    scene_of,
    validation_raw,
)
from unpaired.imaging import bayer, camera

HEIGHT_PX, WIDTH_PX = 300, 400


@pytest.fixture(scope="module")
def rendered(tmp_path_factory) -> Iterator[Path]:
    """The files of a camera that sees, as long as they are there, a part of every photograph."""
    folder = tmp_path_factory.mktemp("sidd")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("train_records", "test_records"):
            patch.setattr(embedded, name, parts(getattr(embedded, name)))
        render(folder)
        yield folder


def parts(read):
    def read_parts(folder):
        for record in read(folder):
            part = record.arrays["image"][:HEIGHT_PX, :WIDTH_PX]
            yield replace(record, arrays={"image": part})

    return read_parts


@pytest.fixture(scope="module")
def raw_pairs(rendered) -> list[Record]:
    return list(sidd.medium_raw(rendered / MEDIUM_RAW))


def instance_of(record: Record) -> Instance:
    return Instance.parse(record.name.partition("/")[0])


def neighbor_correlation(noise: np.ndarray) -> float:
    return float(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1])


def test_files_lie_and_look_as_those_of_sidd(rendered):
    places = sorted((rendered / MEDIUM_RAW).iterdir())
    place = next(path for path in places if "_S6_" in path.name)
    number = place.name[:4]
    assert [path.name for path in sorted(place.iterdir())] == [
        f"{number}_{role}_RAW_{frame}.MAT"
        for role in ("GT", "METADATA", "NOISY")
        for frame in ("010", "011")
    ]
    with h5py.File(place / f"{number}_NOISY_RAW_010.MAT") as file:
        assert file.userblock_size == 512
        assert file["x"].dtype == np.float32
        assert file["x"].shape == (WIDTH_PX, HEIGHT_PX)
        assert file["x"].attrs["MATLAB_class"] == b"single"
    metadata = scipy.io.loadmat(place / f"{number}_METADATA_RAW_010.MAT")["metadata"][0, 0]
    assert metadata["UnknownTags"][0]["ID"].ravel()[0] == 33422
    assert metadata["ISOSpeedRatings"].item() == Instance.parse(place.name).iso
    for folder, key in ((VALIDATION, "Validation"), (BENCHMARK, "Benchmark")):
        stem = f"{key}NoisyBlocksRaw"
        array = scipy.io.loadmat(rendered / folder / f"{stem}.mat")[stem]
        assert array.shape == (15, 2, 256, 256)
        assert array.dtype == np.float32
        stem = f"{key}NoisyBlocksSrgb"
        array = scipy.io.loadmat(rendered / folder / f"{stem}.mat")[stem]
        assert array.shape == (15, 2, 256, 256, 3)
        assert array.dtype == np.uint8
    assert not list((rendered / BENCHMARK).glob("*Gt*"))


def test_five_phones_with_their_patterns(raw_pairs, rendered):
    assert len(raw_pairs) == catalog.datasets()["simulated_camera_train_raw"].pictures
    assert {instance_of(record).phone for record in raw_pairs} == set(PATTERN_OF_PHONE)
    for record in raw_pairs:
        instance, frame = instance_of(record), record.name[-3:]
        path = (
            rendered
            / MEDIUM_RAW
            / instance.name
            / (f"{instance.number:04d}_METADATA_RAW_{frame}.MAT")
        )
        metadata, levels = read_metadata(path), noise_levels_of(instance)
        assert metadata.pattern == PATTERN_OF_PHONE[instance.phone]
        assert metadata.noise_profile == ((levels.shot, levels.read),) * 3


def test_phones_see_one_photograph_alike(raw_pairs):
    """Were a pattern or a color wrong for one phone, its picture would have other colors."""
    of_first_scene = [record for record in raw_pairs if "_001_" in record.name][::2]
    pictures = []
    for record in of_first_scene:
        colors = simulated_camera.colors_of(instance_of(record))
        # Means of 10 x 10 pixels: the red one of two patterns lies at different places.
        planes = record.arrays["clean"][..., [0, 1, 3]].reshape(15, 10, 20, 10, 3).mean((1, 3))
        pictures.append(camera.to_srgb(planes, colors))
    assert len(pictures) == 5
    for picture in pictures[1:]:
        assert np.median(np.abs(picture - pictures[0]), axis=(0, 1)).max() < 0.01


def test_frames_share_the_scene_and_not_the_noise(raw_pairs):
    one, two = raw_pairs[:2]
    assert one.name[:-3] == two.name[:-3]
    assert np.array_equal(one.arrays["clean"], two.arrays["clean"])
    noises = [record.arrays["noisy"] - record.arrays["clean"] for record in (one, two)]
    assert abs(np.corrcoef(noises[0].ravel(), noises[1].ravel())[0, 1]) < 0.02


def test_noise_has_the_variance_that_the_metadata_tell(raw_pairs):
    judged = 0
    for record in raw_pairs[::2]:
        clean, noisy = record.arrays["clean"], record.arrays["noisy"]
        levels = noise_levels_of(instance_of(record))
        variance = levels.shot * clean + levels.read
        # Six standard deviations away from black and white, nothing is clipped.
        margin = 6 * np.sqrt(variance)
        inside = (clean > margin) & (clean < 1 - margin)
        noise = (noisy - clean)[inside] / np.sqrt(variance[inside])
        if noise.size < 2000:
            continue
        judged += 1
        # Rounding to whole numbers adds 1/12 of their spacing squared.
        rounding = 1 / 12 / 959**2 / variance[inside].mean()
        tolerance = 6 * np.sqrt(2.2 / noise.size) + 2 * rounding
        assert noise.var() == pytest.approx(1 + rounding, abs=tolerance)
        assert noise.mean() == pytest.approx(0, abs=6 / np.sqrt(noise.size))
    assert judged > 10


def test_raw_noise_is_white_and_that_of_srgb_is_not():
    instance = Instance.parse("0001_001_S6_00400_00100_4400_H")
    clean = clean_mosaic(np.full((256, 256, 3), 128, np.uint8), instance)
    noisy = noisy_mosaic(clean, instance, "010")
    planes = bayer.pack(noisy, "GRBG")
    assert all(abs(neighbor_correlation(planes[..., c])) < 5 / 128 for c in bayer.PLANES)
    srgb = processed(noisy, instance).astype(float)
    assert all(neighbor_correlation(srgb[..., c]) > 0.2 for c in range(3))


def test_srgb_frames_are_the_raw_frames_processed(rendered, raw_pairs):
    records = list(sidd.small_srgb(rendered / SMALL_SRGB))
    assert len(records) == catalog.datasets()["simulated_camera_train_srgb"].pictures
    raw = {record.name: record for record in raw_pairs}
    for record in records[:3]:
        instance = instance_of(record)
        mosaic = bayer.unpack(raw[record.name].arrays["noisy"], instance.pattern)
        assert np.array_equal(record.arrays["noisy"], processed(mosaic, instance))


def test_the_photograph_comes_back_from_its_clean_frame(photographs):
    instance = Instance.parse("0001_001_G4_00100_00100_5500_N")
    photograph = (255 * photographs[0]).astype(np.uint8)
    again = processed(clean_mosaic(photograph, instance), instance).astype(float)
    error = np.abs(again - photograph)
    # A mosaic loses detail; most of a photograph has little.
    assert np.median(error) <= 2
    assert 10 * np.log10(255**2 / np.mean(error**2)) > 25


def test_blocks_of_validation_and_benchmark(rendered):
    of_validation = blocks(rendered / VALIDATION, "RAW")
    validation = list(of_validation)
    benchmark = list(blocks(rendered / BENCHMARK, "RAW", "Benchmark"))
    assert of_validation.count() == len(validation) == len(benchmark)
    assert len(validation) == catalog.datasets()["simulated_camera_validation_raw"].pictures
    assert validation[0].arrays.keys() == {"noisy", "clean"}
    assert benchmark[0].arrays.keys() == {"noisy"}
    assert not np.array_equal(benchmark[0].arrays["noisy"], validation[0].arrays["noisy"])
    srgb = list(blocks(rendered / VALIDATION, "SRGB"))
    levels = 255 * camera.to_srgb(
        validation[0].arrays["clean"][..., [0, 1, 3]],
        simulated_camera.colors_of(instance_of(validation[0])),
    )
    halved = srgb[0].arrays["clean"].reshape(128, 2, 128, 2, 3).mean((1, 3))
    assert np.median(np.abs(levels - halved)) < 4


def test_train_and_validation_scenes_are_disjoint(rendered, tmp_path):
    about = {"value_range": (0, 1), "color_space": "raw", "settings": {}}
    packs = []
    for name, records in (
        ("train", sidd.pairs(rendered / MEDIUM_RAW, "RAW", scene_of)),
        ("test", blocks(rendered / VALIDATION, "RAW")),
    ):
        write_pack(tmp_path / f"{name}.h5", records, source=name, **about)
        packs.append(Pack(tmp_path / f"{name}.h5"))
    check_disjoint(*packs)
    scenes = [set(pack.columns["scene"]) for pack in packs]
    assert [len(each) for each in scenes] == [4, 3]


def test_the_listed_data_set_renders_the_same_files_by_itself(rendered):
    listed, again = list(validation_raw(None)), list(blocks(rendered / VALIDATION, "RAW"))
    assert [r.sha256_file for r in listed] == [r.sha256_file for r in again]
    assert [r.sha256_pixels for r in listed] == [r.sha256_pixels for r in again]
