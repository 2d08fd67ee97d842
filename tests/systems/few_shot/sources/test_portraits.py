"""Drawn portraits, the layout of CelebAMask-HQ, and what is wrong with a folder of it."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from tests.conftest import REPOSITORY
from unpaired.core.errors import UnpairedError
from unpaired.data.pack_in_parts import write_pack_in_parts
from unpaired.data.packs import open_verified
from unpaired.systems.few_shot.sources import celebamask_hq as hq
from unpaired.systems.few_shot.sources import drawn_portraits as drawn

NUMBERS = range(6)


@pytest.fixture
def folder(tmp_path):
    drawn.render(tmp_path / "portraits", NUMBERS)
    return tmp_path / "portraits"


def test_sets_are_as_large_as_the_papers_and_share_no_picture():
    sizes = {name: len(ids) for name, ids in hq.SPLIT.items()}
    # Five pairs are learned from, 64 are for validation.
    assert sizes == {"pairs": 69, "measured": 1_000, "pictures": 12_500, "test": 768}
    for split in (hq.SPLIT, drawn.SPLIT):
        for first, second in combinations(split.values(), 2):
            assert not set(first) & set(second)
    assert max(n for ids in hq.SPLIT.values() for n in ids) < 30_000


def test_a_portrait_is_a_function_of_its_number():
    first, again, other = drawn.draw(7), drawn.draw(7), drawn.draw(8)
    np.testing.assert_array_equal(first.rgb, again.rgb)
    assert (first.rgb != other.rgb).any()
    assert first.rgb.shape == (32, 32, 3)
    assert len(first.attributes) == len(drawn.NAMES)


def test_portraits_have_faces_that_leave_much_to_see():
    face = ["skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "mouth", "u_lip"]
    shares = []
    for number in range(60):
        labels = drawn.draw(number).labels
        shares.append(np.isin(labels, [1 + hq.PARTS.index(part) for part in face]).mean())
    assert 0.1 < min(shares) < max(shares) < 0.5


def test_the_tone_of_the_neck_tells_that_of_the_face():
    """What stays visible says something about what is hidden, as in photographs."""
    face, neck, smile = [], [], []
    for number in range(80):
        portrait = drawn.draw(number)
        of = {p: portrait.labels == 1 + hq.PARTS.index(p) for p in ("skin", "neck")}
        if all(where.any() for where in of.values()):
            red = portrait.rgb[..., 0].astype(float)
            face.append(red[of["skin"]].mean())
            neck.append(red[of["neck"]].mean())
            smile.append(portrait.factors["smile"])
    assert np.corrcoef(face, neck)[0, 1] > 0.9
    assert abs(np.corrcoef(smile, neck)[0, 1]) < 0.3


def test_what_is_written_is_read_back_but_for_jpeg(folder, tmp_path):
    parts = hq.portraits(folder, NUMBERS, "drawn")
    about = {"value_range": (0, 255), "color_space": "sRGB", "settings": {}}
    write_pack_in_parts(tmp_path / "pack.h5", parts, source="drawn", **about)
    pack = open_verified(tmp_path / "pack.h5")
    assert list(pack.columns["scene"]) == [f"drawn:{n}" for n in NUMBERS]
    for number in NUMBERS:
        portrait = drawn.draw(number)
        np.testing.assert_array_equal(pack.read(number, "labels")[..., 0], portrait.labels)
        assert pack.read(number, "attributes").ravel().tolist() == portrait.attributes
        difference = pack.read(number).astype(int) - portrait.rgb
        assert np.abs(difference).mean() < 1.0


def test_large_portraits_are_reduced_to_means_and_middle_labels(tmp_path):
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (1024, 1024, 3), dtype=np.uint8)
    write_portrait(tmp_path, 3, rgb, {"skin": np.ones((512, 512), bool)})
    (record,) = hq.portraits(tmp_path, [3], "hq")
    assert record.arrays["image"].shape == (128, 128, 3)
    decoded = np.asarray(Image.open(tmp_path / hq.PICTURES / "3.jpg")).astype(float)
    expected = decoded[:8, :8].mean(axis=(0, 1))
    np.testing.assert_allclose(record.arrays["image"][0, 0], expected, atol=0.51)
    assert record.arrays["labels"].shape == (128, 128, 1)


def write_portrait(folder, number, rgb, masks):
    (folder / hq.PICTURES).mkdir(exist_ok=True)
    Image.fromarray(rgb).save(folder / hq.PICTURES / f"{number}.jpg")
    place = folder / hq.MASKS / str(number // hq.PICTURES_PER_FOLDER)
    place.mkdir(parents=True, exist_ok=True)
    for part, mask in masks.items():
        Image.fromarray(mask.astype(np.uint8) * 255).save(place / f"{number:05d}_{part}.png")
    hq.write_attributes(folder / hq.ATTRIBUTES, ["young"], [(f"{number}.jpg", [True])])


def test_masks_cover_each_other_in_a_fixed_order(tmp_path):
    rgb = np.zeros((16, 16, 3), np.uint8)
    skin, nose = np.ones((16, 16), bool), np.zeros((16, 16), bool)
    nose[4:8] = True
    write_portrait(tmp_path, 0, rgb, {"nose": nose, "skin": skin})
    (record,) = hq.portraits(tmp_path, [0], "hq")
    labels = record.arrays["labels"][..., 0]
    assert (labels[4:8] == 1 + hq.PARTS.index("nose")).all()
    assert (labels[:4] == 1 + hq.PARTS.index("skin")).all()


def test_all_that_names_show_to_be_wrong_is_told_at_once(folder):
    masks = folder / hq.MASKS / "0"
    (folder / hq.PICTURES / "1.jpg").unlink()
    (masks / "00002_hat2.png").write_bytes(b"")
    for path in masks.glob("00003_*.png"):
        path.unlink()
    (folder / hq.MASKS / "7").mkdir()
    (masks / "00004_skin.png").rename(folder / hq.MASKS / "7" / "00004_skin.png")
    with pytest.raises(UnpairedError) as told:
        hq.portraits(folder, NUMBERS, "drawn").count()
    for text in ("1.jpg: missing", "hat2", "no mask of picture 3", "belongs into folder 0"):
        assert text in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rgb: rgb[..., 0], "RGB of 8 bits is needed, not L"),
        (lambda rgb: rgb[:, :20], "must be squares"),
    ],
)
def test_portraits_of_another_kind_are_refused(folder, change, message):
    path = folder / hq.PICTURES / "2.jpg"
    Image.fromarray(change(drawn.draw(2).rgb)).save(path)
    with pytest.raises(UnpairedError, match=message):
        list(hq.portraits(folder, NUMBERS, "drawn"))


def test_16_bit_pictures_and_masks_of_another_size_are_refused_together(folder):
    place = folder / hq.MASKS / "0"
    Image.fromarray(np.zeros((32, 32), np.uint16)).save(place / "00000_skin.png")
    Image.fromarray(np.zeros((16, 16), np.uint8)).save(place / "00001_skin.png")
    with pytest.raises(UnpairedError) as told:
        list(hq.portraits(folder, NUMBERS, "drawn"))
    assert "gray of 8 bits is needed" in str(told.value)
    assert "16x16, 32x32" in str(told.value)


def test_empty_masks_are_told(folder):
    for path in (folder / hq.MASKS / "0").glob("00004_*.png"):
        Image.fromarray(np.zeros((32, 32), np.uint8)).save(path)
    with pytest.raises(UnpairedError, match=r"4\.jpg: all of its masks are empty"):
        list(hq.portraits(folder, NUMBERS, "drawn"))


def test_damaged_lists_of_attributes_are_one_line(folder):
    (folder / hq.ATTRIBUTES).write_text("2\nyoung old\n0.jpg 1 0\n1.jpg 1 1\n")
    with pytest.raises(UnpairedError, match=r"not a list of attributes.*0\.jpg"):
        hq.portraits(folder, NUMBERS, "drawn").count()
    (folder / hq.ATTRIBUTES).unlink()
    with pytest.raises(UnpairedError, match="attribute"):
        hq.portraits(folder, NUMBERS, "drawn").count()


def test_what_is_no_such_folder_is_told(tmp_path):
    with pytest.raises(UnpairedError, match="no such folder; unpack"):
        hq.portraits(tmp_path, NUMBERS, "drawn").count()


def test_the_real_portraits_are_read_where_they_are():
    folder = REPOSITORY.parent / "shared/data/celebamask_hq"
    if not folder.is_dir():
        pytest.skip(f"needs CelebAMask-HQ in {folder}")
    record = next(iter(hq.portraits(folder, hq.SPLIT["pairs"][:1], "celebamask_hq")))
    assert record.arrays["image"].shape == (128, 128, 3)
