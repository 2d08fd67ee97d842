from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import numpy_generator
from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack
from unpaired.systems.perceptual.sources.bapps import (
    TRAIN_SETS,
    VAL_SETS,
    Judged,
    jnd_pairs,
    triplets,
    write_judged,
)

SHARES = (0.0, 0.4, 1.0)


def patch(*key: object, side: int = 64) -> np.ndarray:
    return numpy_generator(*key).integers(0, 256, (side, side, 3), np.uint8)


def share(value: float) -> np.ndarray:
    return np.full((1, 1, 1), value, np.float32)


def write_triplets(folder: Path) -> None:
    for number, value in enumerate(SHARES):
        pictures = {field: patch(field, number) for field in ("reference", "first", "second")}
        write_judged(folder, f"{number:06d}", pictures | {"judge": share(value)})


@pytest.fixture
def place(tmp_path) -> Path:
    """Three triplets of 2afc/val/cnn."""
    folder = tmp_path / "2afc" / "val" / "cnn"
    write_triplets(folder)
    return folder


def test_the_official_layout_and_what_is_read_from_it(tmp_path, place):
    files = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("000001.*"))
    assert files == [
        "2afc/val/cnn/judge/000001.npy",
        "2afc/val/cnn/p0/000001.png",
        "2afc/val/cnn/p1/000001.png",
        "2afc/val/cnn/ref/000001.png",
    ]
    source = triplets(tmp_path, "val", "cnn")
    records = list(source)
    assert source.count() == len(records) == 3
    for number, record in enumerate(records):
        assert record.name == f"{number:06d}"
        assert record.scene == f"bapps:2afc/val/cnn/{number:06d}"
        for field in ("reference", "first", "second"):
            assert np.array_equal(record.arrays[field], patch(field, number))
        assert record.arrays["judge"].shape == (1, 1, 1)
        assert record.arrays["judge"].dtype == np.float32
        assert record.arrays["judge"].item() == np.float32(SHARES[number])
    assert len({record.sha256_file for record in records}) == 3


def test_jnd_pairs_and_a_pack_of_them(tmp_path):
    pictures = {field: patch(field) for field in ("first", "second")}
    write_judged(tmp_path / "jnd/val/traditional", "7", pictures | {"same": share(2 / 3)})
    about = {"source": "jnd", "value_range": (0, 255), "color_space": "sRGB", "settings": {}}
    write_pack(tmp_path / "jnd.h5", jnd_pairs(tmp_path, "traditional"), **about)
    pack = Pack(tmp_path / "jnd.h5")
    assert sorted(pack.fields) == ["first", "same", "second"]
    assert np.array_equal(pack.read(0, "second"), patch("second"))
    assert pack.read(0, "same").item() == np.float32(2 / 3)


def test_other_sizes_are_resized_bilinearly(tmp_path, place):
    large = np.zeros((256, 256, 3), np.uint8)
    large[:, 128:] = 255
    Image.fromarray(large).save(place / "ref" / "000000.png")
    resized = next(iter(triplets(tmp_path, "val", "cnn"))).arrays["reference"]
    assert resized.shape == (64, 64, 3)
    assert np.all(resized[:, :31] == 0)
    assert np.all(resized[:, 33:] == 255)
    # A triangle of four pixels to each side of a center that is two pixels from the edge.
    assert resized[9, 31, 0] == pytest.approx(255 / 8, abs=1)


def test_official_numbers_of_either_type_are_read(tmp_path, place):
    np.save(place / "judge" / "000000.npy", np.array([0.6]))
    np.save(place / "judge" / "000001.npy", np.array(1))
    records = list(triplets(tmp_path, "val", "cnn"))
    assert records[0].arrays["judge"].item() == np.float32(0.6)
    assert records[1].arrays["judge"].item() == 1


def test_all_gaps_are_listed_at_once(tmp_path, place):
    (place / "p0" / "000000.png").unlink()
    (place / "judge" / "000002.npy").unlink()
    (place / "ref" / "notes.txt").write_text("?")
    (place / "ref" / ".hidden").write_text("?")
    source = triplets(tmp_path, "val", "cnn")
    for read in (source.count, lambda: list(source)):
        with pytest.raises(UnpairedError) as caught:
            read()
        message = str(caught.value)
        assert f"{place / 'p0' / '000000.png'}: missing" in message
        assert f"{place / 'judge' / '000002.npy'}: missing" in message
        assert f"{place / 'ref' / 'notes.txt'}: not a .png file" in message
        assert "hidden" not in message
        assert "\n" not in message


def test_all_bad_files_are_listed_at_once(tmp_path, place):
    cut = place / "p1" / "000000.png"
    cut.write_bytes(cut.read_bytes()[:200])
    Image.fromarray(patch("wide")[:32]).save(place / "ref" / "000000.png")
    np.save(place / "judge" / "000001.npy", np.array([1.2]))
    np.save(place / "judge" / "000002.npy", np.array([0.1, 0.2]))
    yielded = []
    with pytest.raises(UnpairedError) as caught:
        yielded.extend(triplets(tmp_path, "val", "cnn"))
    message = str(caught.value)
    assert str(cut) in message
    assert "64 x 32 pixels, not a square" in message
    assert "000001.npy: a share of 1.2, not in [0, 1]" in message
    assert "000002.npy: float64 of the shape (2,), not one number" in message


@pytest.mark.parametrize("content", ["pickle", "nan", "text", "empty"])
def test_judgments_are_never_unpickled_and_are_numbers(tmp_path, place, content):
    path = place / "judge" / "000000.npy"
    if content == "pickle":
        np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    elif content == "nan":
        np.save(path, np.array([np.nan]))
    else:
        path.write_bytes(b"0.5" if content == "text" else b"")
    with pytest.raises(UnpairedError, match=r"000000\.npy: "):
        list(triplets(tmp_path, "val", "cnn"))


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(UnpairedError, match="no such file or folder") as caught:
        triplets(tmp_path, "train", "mix").count()
    assert str(caught.value).count("cannot read") == 4
    for name in ("ref", "p0", "p1", "judge"):
        (tmp_path / "2afc/train/mix" / name).mkdir(parents=True)
    with pytest.raises(UnpairedError, match="mix: bad files: no files"):
        list(triplets(tmp_path, "train", "mix"))


def test_a_missing_folder_is_told_once(tmp_path, place):
    shutil.rmtree(place / "judge")
    with pytest.raises(UnpairedError, match="no such file or folder") as caught:
        list(triplets(tmp_path, "val", "cnn"))
    assert str(caught.value).count("judge") == 1


def test_sets_that_bapps_does_not_have(tmp_path):
    assert len(TRAIN_SETS) == 3
    assert len(VAL_SETS) == 6
    with pytest.raises(UnpairedError, match="no set 'superres' in 2afc/train"):
        triplets(tmp_path, "train", "superres")
    with pytest.raises(UnpairedError, match="no set 'mix' in jnd/val"):
        jnd_pairs(tmp_path, "mix")


def test_a_scene_may_be_told_by_the_name(tmp_path, place):
    source = Judged(place, "2afc", lambda stem: f"photograph {stem[-1]}")
    assert [record.scene for record in source] == ["photograph 0", "photograph 1", "photograph 2"]
