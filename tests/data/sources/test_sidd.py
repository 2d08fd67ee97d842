from __future__ import annotations

import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from tests.conftest import shared_data
from unpaired import catalog
from unpaired.core.errors import UnpairedError
from unpaired.data.matlab import write_v5, write_v73
from unpaired.data.pack_in_parts import write_pack_in_parts
from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack
from unpaired.data.records import Parts
from unpaired.data.sources.sidd import (
    BLOCK_INSTANCES,
    PATTERN_OF_PHONE,
    Blocks,
    Instance,
    Metadata,
    benchmark_raw,
    half_of,
    medium_raw,
    read_metadata,
    small_srgb,
    validation_raw,
)
from unpaired.imaging import bayer
from unpaired.pipeline.datasets import open_reader

NAMES = {
    phone: f"{number:04d}_001_{phone}_00100_00060_3200_L"
    for number, phone in enumerate(PATTERN_OF_PHONE, 1)
}
ABOUT = {"source": "s", "value_range": (0, 1), "color_space": "raw", "settings": {}}


def mosaic_of(pattern: str, height: int = 6, width: int = 8) -> np.ndarray:
    """R 0.1, G beside red 0.2, G beside blue 0.3, B 0.4, and the place in the last digits."""
    mosaic = np.zeros((height, width), np.float32)
    for row, column in np.ndindex(height, width):
        letter = pattern[2 * (row % 2) + column % 2]
        beside = pattern[2 * (row % 2) + 1 - column % 2]
        color = {"R": 0.1, "B": 0.4, "G": 0.2 if beside == "R" else 0.3}[letter]
        mosaic[row, column] = color + 0.001 * row + 0.0001 * column
    return mosaic


def metadata_of(pattern: str, profile=((1e-3, 1e-5),) * 3) -> dict:
    tags = np.empty((2, 1), [("ID", object), ("Value", object)])
    tags[0, 0] = (33422, np.array([["RGB".index(letter) for letter in pattern]], np.uint8))
    tags[1, 0] = (51041, np.array(profile, float).reshape(1, -1))
    return {"UnknownTags": tags}


def write_frame(folder: Path, name: str, frame: str = "010", noise: float = 0.0) -> None:
    """Write one raw frame as MATLAB would."""
    number, phone = name[:4], name[9:11]
    mosaic = mosaic_of(PATTERN_OF_PHONE[phone])
    write_v73(folder / name / f"{number}_NOISY_RAW_{frame}.MAT", {"x": mosaic + np.float32(noise)})
    write_v73(folder / name / f"{number}_GT_RAW_{frame}.MAT", {"x": mosaic})
    metadata = metadata_of(PATTERN_OF_PHONE[phone])
    write_v5(folder / name / f"{number}_METADATA_RAW_{frame}.MAT", {"metadata": metadata})


@pytest.fixture
def medium(tmp_path) -> Path:
    """Two frames of every phone."""
    for name in NAMES.values():
        for frame in ("010", "011"):
            write_frame(tmp_path / "Data", name, frame, noise=0.01 * int(frame[-1]))
    return tmp_path / "Data"


def test_the_real_metadata_file():
    metadata = read_metadata(shared_data("sidd") / "0001_METADATA_RAW_010.MAT")
    assert metadata.pattern == PATTERN_OF_PHONE["S6"] == "GRBG"
    assert len(metadata.noise_profile) == 3
    for shot, read in metadata.noise_profile:
        assert shot == pytest.approx(4.7946e-4, rel=1e-3)
        assert read == 0


def test_names_of_instances():
    instance = Instance.parse("0001_001_S6_00100_00060_3200_L")
    assert instance == Instance("0001_001_S6_00100_00060_3200_L", 1, 1, "S6", 100, 60, 3200, "L")
    assert instance.pattern == "GRBG"
    for bad in ("0001_001_XX_00100_00060_3200_L", "Data", "0001_001_S6_00100_00060_3200_X"):
        with pytest.raises(UnpairedError, match=f"{bad}: not the name of a scene instance"):
            Instance.parse(bad)


def test_forty_instances_of_blocks_eight_of_each_phone():
    instances = [Instance.parse(name) for name in BLOCK_INSTANCES]
    phones = [instance.phone for instance in instances]
    assert {phone: phones.count(phone) for phone in PATTERN_OF_PHONE} == dict.fromkeys(
        PATTERN_OF_PHONE, 8
    )
    assert [i.number for i in instances] == sorted({i.number for i in instances})


def test_a_packed_plane_means_the_same_on_every_phone(medium):
    """The trap of a transposed array: S6 would get its red and blue from the greens."""
    records = list(medium_raw(medium))
    assert len(records) == 10
    for record in records:
        instance = Instance.parse(record.name.partition("/")[0])
        mosaic = mosaic_of(instance.pattern)
        clean = record.arrays["clean"]
        assert clean.shape == (3, 4, 4)
        assert clean.dtype == np.float32
        assert np.array_equal(np.round(10 * clean), np.broadcast_to([1, 2, 3, 4], (3, 4, 4)))
        assert np.array_equal(bayer.unpack(clean, instance.pattern), mosaic)
        noise = 0.01 * int(record.name[-1])
        assert record.arrays["noisy"] == pytest.approx(clean + noise, abs=1e-6)
        assert record.scene == f"sidd:{record.name[:4]}"
    # Three phones share a pattern, and so their files here.
    assert len({record.sha256_file for record in records}) == 3 * 2


def test_metadata_of_two_values_and_of_a_sub_image(tmp_path):
    path = tmp_path / "m.MAT"
    write_v5(path, {"metadata": metadata_of("RGGB", ((2e-3, 3e-5),))})
    assert read_metadata(path) == Metadata("RGGB", ((2e-3, 3e-5),) * 3)
    whole = metadata_of("RGGB")
    cell = np.empty((1, 1), object)
    cell[0, 0] = {"UnknownTags": whole["UnknownTags"][:1]}
    write_v5(path, {"metadata": {"SubIFDs": cell, "UnknownTags": whole["UnknownTags"][1:]}})
    assert read_metadata(path) == Metadata("RGGB", ((1e-3, 1e-5),) * 3)


def test_metadata_without_what_is_needed(tmp_path):
    path = tmp_path / "m.MAT"
    tags = metadata_of("RGGB")["UnknownTags"]
    for kept, lacking in ((tags[1:], "no Bayer pattern"), (tags[:1], "no noise profile")):
        write_v5(path, {"metadata": {"UnknownTags": kept}})
        with pytest.raises(UnpairedError, match=rf"m\.MAT: {lacking}"):
            read_metadata(path)
    write_v5(path, {"metadata": np.zeros((2, 2))})
    with pytest.raises(UnpairedError, match="'metadata' is no struct"):
        read_metadata(path)


def test_everything_bad_is_named_at_once(medium):
    place = {phone: medium / name for phone, name in NAMES.items()}
    (place["GP"] / "0001_GT_RAW_010.MAT").unlink()
    (place["GP"] / "0001_NOISY_RAW_011.MAT").unlink()
    cut = place["IP"] / "0002_NOISY_RAW_010.MAT"
    cut.write_bytes(cut.read_bytes()[:-100])
    write_v73(place["IP"] / "0002_GT_RAW_010.MAT", {"y": mosaic_of("RGGB")})
    write_v5(place["IP"] / "0002_NOISY_RAW_011.MAT", {"x": mosaic_of("RGGB") * 1j})
    not_finite = mosaic_of("GRBG")
    not_finite[2, 3] = np.nan
    write_v73(place["S6"] / "0003_NOISY_RAW_010.MAT", {"x": not_finite})
    write_v73(place["S6"] / "0003_NOISY_RAW_011.MAT", {"x": mosaic_of("GRBG", 6, 10)})
    write_v73(place["N6"] / "0004_NOISY_RAW_010.MAT", {"x": mosaic_of("BGGR", 5, 8)})
    write_v73(place["N6"] / "0004_GT_RAW_010.MAT", {"x": 1023 * mosaic_of("BGGR")})
    write_v5(place["N6"] / "0004_METADATA_RAW_011.MAT", {"metadata": metadata_of("RGGB")})
    cell = np.empty((1, 1), object)
    cell[0, 0] = mosaic_of("BGGR")
    write_v73(place["G4"] / "0005_NOISY_RAW_010.MAT", {"x": cell})
    write_v73(place["G4"] / "0005_GT_RAW_010.MAT", {"x": mosaic_of("BGGR").astype(float)})
    write_v73(place["G4"] / "0005_NOISY_RAW_011.MAT", {"x": np.zeros((6, 8, 3), np.float32)})
    (medium / "notes").mkdir()
    expected = [
        "notes: not the name of a scene instance",
        r"0001_GT_RAW_010\.MAT: missing, but others of frame 010 are there",
        r"0001_NOISY_RAW_011\.MAT: missing",
        r"0002_NOISY_RAW_010\.MAT: damaged or cut short",
        r"0002_GT_RAW_010\.MAT: holds no 'x' \(but y\)",
        r"0002_NOISY_RAW_011\.MAT: 'x' holds complex numbers",
        r"0003_NOISY_RAW_010\.MAT: holds NaN",
        r"0003_NOISY_RAW_011\.MAT and .*0003_GT_RAW_011\.MAT: other sizes",
        r"0004_NOISY_RAW_010\.MAT: a mosaic of 5x8 .* odd",
        r"0004_GT_RAW_010\.MAT: values from 103\.\d+ to .*, not from 0 to 1",
        r"0004_METADATA_RAW_011\.MAT: pattern RGGB, but phone N6 has BGGR",
        r"0005_NOISY_RAW_010\.MAT: 'x' is no array of numbers",
        r"0005_GT_RAW_010\.MAT: values of type float64, not float32",
        r"0005_NOISY_RAW_011\.MAT: 'x' has the shape \(6, 8, 3\), not H x W",
    ]
    output = medium.parent / "p.h5"
    for attempt in (
        lambda: list(medium_raw(medium)),
        lambda: write_pack_in_parts(output, medium_raw(medium), **ABOUT),
    ):
        with pytest.raises(UnpairedError) as caught:
            attempt()
        text = str(caught.value)
        assert "\n" not in text
        for part in expected:
            assert caught.match(part), part
    assert not output.exists()
    with pytest.raises(UnpairedError, match=r"bad files: .*0001_GT_RAW_010.*0001_NOISY.*notes"):
        medium_raw(medium).count()


def test_a_folder_without_instances(tmp_path):
    with pytest.raises(UnpairedError, match=r"no frames \(NNNN_NOISY_RAW_010\.MAT\)"):
        list(medium_raw(tmp_path))
    with pytest.raises(UnpairedError, match=r"cannot read .*absent: no such file"):
        medium_raw(tmp_path / "absent")


def test_packing_goes_on_where_it_was_killed(medium, tmp_path):
    reads = []

    def watched(source):
        """Note what is read."""

        def read(part):
            reads.append(part.name)
            return part.read()

        return replace(source, parts=tuple(replace(p, read=partial(read, p)) for p in source.parts))

    def kill():
        raise KeyboardInterrupt

    parts = list(watched(medium_raw(medium)).parts)
    parts[6] = replace(parts[6], read=kill)
    killed = Parts("killed", tuple(parts))
    output = tmp_path / "packs" / "p.h5"
    with pytest.raises(KeyboardInterrupt):
        write_pack_in_parts(output, killed, **ABOUT)
    assert len(reads) == 6
    assert not output.exists()
    # One file changes meanwhile, and one part is damaged.
    write_frame(medium, NAMES["GP"], "010", noise=0.02)
    part = output.parent / ".p.parts" / f"{NAMES['IP']}_010.h5"
    part.write_bytes(part.read_bytes()[:1000])
    reads.clear()
    assert write_pack_in_parts(output, watched(medium_raw(medium)), **ABOUT).pictures == 10
    assert {f"{NAMES['GP']}_010", f"{NAMES['IP']}_010"} < set(reads)
    assert len(reads) == len(set(reads)) == 6
    assert [path.name for path in output.parent.iterdir()] == ["p.h5"]
    at_once = tmp_path / "at_once.h5"
    write_pack(at_once, medium_raw(medium), **ABOUT)
    assert Pack(output).columns == Pack(at_once).columns
    assert Pack(output).settings == {}
    assert np.array_equal(Pack(output).read(3, "noisy"), Pack(at_once).read(3, "noisy"))


def test_small_srgb(tmp_path):
    name = NAMES["S6"]
    rng = np.random.default_rng(0)
    pictures = {role: rng.integers(0, 256, (7, 9, 3), np.uint8) for role in ("NOISY", "GT")}
    (tmp_path / name).mkdir()
    (tmp_path / "ReadMe_sRGB.txt").write_text("")
    for role, picture in pictures.items():
        Image.fromarray(picture).save(tmp_path / name / f"0003_{role}_SRGB_010.PNG")
    (record,) = small_srgb(tmp_path)
    assert record.name == f"{name}/010"
    assert np.array_equal(record.arrays["noisy"], pictures["NOISY"])
    assert np.array_equal(record.arrays["clean"], pictures["GT"])
    (tmp_path / name / "0003_GT_SRGB_010.PNG").unlink()
    with pytest.raises(UnpairedError, match=r"0003_GT_SRGB_010\.PNG: missing"):
        list(small_srgb(tmp_path))


def small_blocks(folder: Path, what: str, space: str) -> Blocks:
    return Blocks(folder, what, space, tuple(NAMES.values()), 2)


@pytest.mark.parametrize("write", [write_v5, write_v73])
def test_raw_blocks(tmp_path, write):
    rng = np.random.default_rng(0)
    arrays = {key: rng.random((5, 2, 256, 256), np.float32) for key in ("Noisy", "Gt")}
    for key, array in arrays.items():
        stem = f"Validation{key}BlocksRaw"
        write(tmp_path / f"{stem}.mat", {stem: array})
    blocks = small_blocks(tmp_path, "Validation", "RAW")
    records = list(blocks)
    assert blocks.count() == len(records) == 10
    for index, (instance, block) in enumerate(np.ndindex(5, 2)):
        name = list(NAMES.values())[instance]
        record = records[index]
        assert record.name == f"{name}/{block:02d}"
        for key, field in (("Noisy", "noisy"), ("Gt", "clean")):
            mosaic = bayer.unpack(record.arrays[field], PATTERN_OF_PHONE[name[9:11]])
            assert np.array_equal(mosaic, arrays[key][instance, block])


def test_srgb_blocks_of_the_benchmark(tmp_path):
    stem = "BenchmarkNoisyBlocksSrgb"
    array = np.random.default_rng(0).integers(0, 256, (5, 2, 256, 256, 3), np.uint8)
    write_v5(tmp_path / f"{stem}.mat", {stem: array})
    records = list(small_blocks(tmp_path, "Benchmark", "SRGB"))
    assert [record.arrays.keys() for record in records] == [{"noisy"}] * 10
    assert np.array_equal(records[3].arrays["noisy"], array[1, 1])


def test_bad_block_files(tmp_path):
    names = {key: f"Validation{key}BlocksRaw" for key in ("Noisy", "Gt")}
    right = np.zeros((5, 2, 256, 256), np.float32)
    write_v5(tmp_path / f"{names['Noisy']}.mat", {names["Noisy"]: right[:, :1]})
    blocks = small_blocks(tmp_path, "Validation", "RAW")
    wrong = r"bad files: .*Noisy.* has the shape \(5, 1, 256, 256\), not .*Gt.*no such file"
    for judge in (Blocks.count, list):
        with pytest.raises(UnpairedError, match=wrong):
            judge(blocks)
    write_v5(tmp_path / f"{names['Noisy']}.mat", {names["Noisy"]: right * np.float32(np.nan)})
    write_v5(tmp_path / f"{names['Gt']}.mat", {"other": right})
    with pytest.raises(UnpairedError, match=r"Noisy.*holds NaN.*Gt.*holds no '.*' \(but other\)"):
        list(blocks)


def test_official_blocks_are_1280_whatever_a_text_says(tmp_path):
    shape = (40, 32, 256, 256)
    for stem in ("ValidationNoisyBlocksRaw", "ValidationGtBlocksRaw", "BenchmarkNoisyBlocksRaw"):
        with h5py.File(tmp_path / f"{stem}.mat", "w", userblock_size=512) as file:
            file.create_dataset(stem, shape[::-1], "f4", chunks=(256, 256, 1, 1))  # takes no room
    assert validation_raw(tmp_path).count() == benchmark_raw(tmp_path).count() == 1280
    assert catalog.datasets()["sidd_validation_raw"].pictures == 1280


def test_the_listed_data_sets_open(tmp_path, medium):
    home = tmp_path / catalog.datasets()["sidd_medium_raw"].folder
    shutil.copytree(medium, home)
    assert open_reader(catalog.datasets()["sidd_medium_raw"])(home).count() == 10


def test_halves_hold_one_side_each_of_other_scenes(tmp_path):
    names = ["0001_001_GP_00100_00060_3200_L", "0002_002_S6_00100_00060_3200_L"]
    for name in names:
        write_frame(tmp_path, name, noise=0.01)
    every = {record.name: record for record in medium_raw(tmp_path)}
    for role, name in zip(("noisy", "clean"), names, strict=True):
        (record,) = half_of(medium_raw(tmp_path), role)
        assert record.name == f"{name}/010"
        assert list(record.arrays) == ["image"]
        assert np.array_equal(record.arrays["image"], every[record.name].arrays[role])
        assert record.scene == every[record.name].scene
