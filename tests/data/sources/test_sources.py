from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from tests.conftest import REPOSITORY, shared_data
from unpaired import catalog
from unpaired.cli import app
from unpaired.core.errors import UnpairedError
from unpaired.data.disjoint import check_disjoint
from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack
from unpaired.data.sources.embedded import records_with_folder
from unpaired.data.sources.folder import color_records, records
from unpaired.pipeline.data_check import describe
from unpaired.pipeline.datasets import get_dataset, is_present, open_reader
from unpaired.pipeline.settings import load_settings, parse_settings


def save(path, height=70, width=80, gray=False, seed=0):
    shape = (height, width) if gray else (height, width, 3)
    image = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)
    return image


def test_embedded_photographs_are_there_and_disjoint():
    train, test = (
        list(open_reader(catalog.datasets()[n])(None)) for n in ("embedded_train", "embedded_test")
    )
    assert [record.name for record in train] == ["coffee", "rocket", "motorcycle_left", "china"]
    assert [record.name for record in test] == ["astronaut", "chelsea", "flower"]
    for record in train + test:
        assert record.arrays["image"].dtype == np.uint8
        assert record.arrays["image"].shape[2] == 3
        assert min(record.arrays["image"].shape[:2]) >= 256
    assert len({record.sha256_pixels for record in train + test}) == 7


def test_a_folder_tree_of_any_names(tmp_path):
    images = {
        name: save(tmp_path / f"{name}.png", seed=n)
        for n, name in enumerate(["b", "a ü", "deep/er/c"])
    }
    found = {record.name: record.arrays["image"] for record in records(tmp_path)}
    assert found.keys() == images.keys()
    assert all(np.array_equal(found[name], images[name]) for name in images)


def test_embedded_photographs_and_a_folder_together(tmp_path):
    mine = save(tmp_path / "mine.png")
    found = {record.name: record.arrays["image"] for record in records_with_folder(tmp_path)}
    assert len(found) == 5
    assert np.array_equal(found["mine"], mine)
    assert {name for name in found if name.startswith("embedded/")} == found.keys() - {"mine"}
    settings = parse_settings(
        {"folders": {"own": str(tmp_path)}, "train_set": "embedded_train_and_own"}
    )
    told = describe(settings, REPOSITORY / "config/tables")
    assert f"found    embedded_train_and_own: 5 pictures in {tmp_path}" in told


def test_gray_is_tiled_and_left_out_of_set14(tmp_path):
    gray = save(tmp_path / "gray.png", gray=True)
    save(tmp_path / "color.png")
    tiled = {record.name: record.arrays["image"] for record in records(tmp_path)}["gray"]
    assert np.array_equal(tiled, np.repeat(gray[..., None], 3, 2))
    assert [record.name for record in color_records(tmp_path)] == ["color"]


def test_all_bad_files_are_named_at_once(tmp_path):
    save(tmp_path / "good.png")
    (tmp_path / "one.png").write_text("x")
    (tmp_path / "two.jpg").write_bytes(b"")
    with pytest.raises(UnpairedError, match=r"2 bad pictures: .*one\.png.*two\.jpg"):
        list(records(tmp_path))


def test_two_files_that_differ_in_suffix_only(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "a.jpg")
    with pytest.raises(UnpairedError, match="differ only in their suffix"):
        list(records(tmp_path))


def test_imagenet_selection_by_both_sides(tmp_path, capsys):
    sizes = {"kept": (256, 512), "kept2": (300, 400), "small": (255, 300), "large": (300, 513)}
    for name, (height, width) in sizes.items():
        save(tmp_path / f"class/{name}.JPEG", height, width)
    found = [record.name for record in open_reader(catalog.datasets()["imagenet_val"])(tmp_path)]
    assert found == ["class/kept", "class/kept2"]
    assert "kept 2 of 4 pictures" in capsys.readouterr().out


def test_imagenet_squeezed_to_squares(tmp_path):
    picture = save(tmp_path / "imagenet/train/n01/one.JPEG", 300, 500)
    save(tmp_path / "imagenet/train/n02/two.JPEG", 40, 30, gray=True)
    found = list(open_reader(catalog.datasets()["imagenet_train"])(tmp_path / "imagenet/train"))
    assert [record.name for record in found] == ["n01/one", "n02/two"]
    assert all(record.arrays["image"].shape == (256, 256, 3) for record in found)
    # Squeezed, not cut: means of random pixels stay.
    assert np.abs(found[0].arrays["image"].mean() - picture.mean()) < 3


@pytest.mark.parametrize("name", ["imagenet_val", "imagenet_train"])
def test_a_cmyk_picture_among_others_is_packed(tmp_path, name):
    folder = tmp_path / "class"
    for number in range(3):
        save(folder / f"{number}.JPEG", 300, 300, seed=number)
    print_inks = Image.new("CMYK", (300, 280), (0, 255, 255, 0))
    print_inks.save(folder / "1.JPEG", "JPEG")
    found = list(open_reader(catalog.datasets()[name])(tmp_path))
    assert [record.name for record in found] == ["class/0", "class/1", "class/2"]
    red = found[1].arrays["image"].mean((0, 1))
    assert red[0] > 200 > 60 > red[1:].max()


@pytest.mark.parametrize("name", ["imagenet_val", "imagenet_train"])
def test_imagenet_pictures_of_all_kinds_are_turned_into_rgb(tmp_path, name):
    """As by the authors' ``convert("RGB")``: gray, palettes and a PNG under another suffix."""
    folder = tmp_path / "class"
    color = Image.fromarray(save(folder / "0.JPEG", 300, 300))
    for number, mode in enumerate(("L", "P", "RGBA", "LA"), start=1):
        color.convert(mode).save(folder / f"{number}.JPEG", "JPEG" if mode == "L" else "PNG")
    found = {record.name: record for record in open_reader(catalog.datasets()[name])(tmp_path)}
    assert sorted(found) == [f"class/{number}" for number in range(5)]
    assert all(record.arrays["image"].shape[2] == 3 for record in found.values())
    if name == "imagenet_val":
        assert np.array_equal(found["class/3"].arrays["image"], np.asarray(color.convert("RGB")))


@pytest.mark.parametrize("name", ["imagenet_val", "imagenet_train"])
def test_bad_imagenet_pictures_are_all_named_before_any_is_packed(tmp_path, name):
    for number in range(3):
        save(tmp_path / f"class/{number}.JPEG", 300, 300, seed=number)
    (tmp_path / "class/3.JPEG").write_bytes(b"")
    (tmp_path / "class/4.JPEG").write_text("<html>")
    whole = (tmp_path / "class/0.JPEG").read_bytes()
    (tmp_path / "class/5.JPEG").write_bytes(whole[:12])
    with pytest.raises(UnpairedError, match=r"3\.JPEG: .*empty.*4\.JPEG: .*5\.JPEG: damaged"):
        next(iter(open_reader(catalog.datasets()[name])(tmp_path)))


def test_folders_of_one_name_with_files_of_one_name_are_told_apart(tmp_path):
    """train/img/0000.png and test/img/0000.png: other pictures, until they are the same."""
    packs = {}
    for number, side in enumerate(("train", "test")):
        save(tmp_path / side / "img/0000.png", seed=number)
        save(tmp_path / side / "img/0001.png", seed=2 + number)
        packs[side] = pack_of(tmp_path / side / "img", side)
    check_disjoint(packs["train"], packs["test"])
    (tmp_path / "test/img/0001.png").rename(tmp_path / "train/img/other.png")
    with pytest.raises(UnpairedError, match="hold the same pixels: 0001 = other"):
        check_disjoint(pack_of(tmp_path / "train/img", "train"), packs["test"])


def test_one_file_is_one_scene_however_it_is_read(tmp_path):
    """The validation pictures that are trained on whole are not tested on squeezed."""
    save(tmp_path / "val/a.JPEG", 300, 400)
    sets = catalog.datasets()
    whole, squeezed = (
        pack_of(tmp_path / "val", name, open_reader(sets[name]))
        for name in ("imagenet_val", "imagenet_train")
    )
    with pytest.raises(UnpairedError, match="hold the same scene: a = a"):
        check_disjoint(whole, squeezed)


def pack_of(folder, source, reader=records):
    path = folder.parent / f"{source}.h5"
    about = {"value_range": (0, 255), "color_space": "sRGB", "settings": {}}
    write_pack(path, reader(folder), source=source, **about)
    return Pack(path)


def test_the_listed_imagenet_pictures_alone_are_tested_on(tmp_path):
    folder = tmp_path / "imagenet/val"
    for number in range(1, 7):
        save(folder / f"class{number % 2}/ILSVRC2012_val_{number:08d}.JPEG", seed=number)
    read = open_reader(catalog.datasets()["imagenet_val_10k"])
    with pytest.raises(UnpairedError, match=r"ilsvrclin12_val_inds\.npy: no such list"):
        list(read(folder))
    np.save(tmp_path / "imagenet/ilsvrclin12_val_inds.npy", np.array([4, 0, 1]))
    names = [record.name.rpartition("_")[2] for record in read(folder)]
    assert names == ["00000001", "00000002", "00000005"]
    np.save(tmp_path / "imagenet/ilsvrclin12_val_inds.npy", np.array([4, 6]))
    with pytest.raises(UnpairedError, match="1 pictures are missing: ILSVRC2012_val_00000007"):
        list(read(folder))


def test_check_says_what_is_there_and_what_is_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    save(tmp_path / "kodak/kodim01.png")
    result = CliRunner().invoke(app, ["data", "check", "--data-root", str(tmp_path)])
    assert result.exit_code == 0
    lines = {line.split()[1].rstrip(":"): line for line in result.output.splitlines()}
    text = result.output
    assert "found    embedded_train: 4 pictures" in text
    assert "found    kodak: 1 picture" in text
    assert "but the protocol has 24" in text
    assert "missing  data set 'bsd300'" in text
    assert "layout: bsd300/101085.jpg" in text
    assert len(lines) >= 4


@pytest.mark.parametrize(
    ("number", "scale", "needed"),
    [
        (1, "demo", ["embedded_train", "embedded_test", "kodak", "bsd300", "set14"]),
        (1, "paper", ["imagenet_val", "kodak", "bsd300", "set14"]),
        (3, "paper", ["imagenet_val", "kodak"]),
        (10, "paper", ["imagenet_train", "color_scenes_test", "embedded_test"]),
    ],
)
def test_check_of_a_table_names_what_it_needs_and_no_more(tmp_path, number, scale, needed):
    files = [REPOSITORY / "config/config.yaml", REPOSITORY / f"config/{scale}.yaml"]
    settings = load_settings(files[: 1 if scale == "demo" else 2], str(tmp_path))
    named = [
        re.search(r"(?:data set ')?([a-z0-9_]+)(?:'|: )", line[9:])[1]
        for line in describe(settings, REPOSITORY / "config/tables", number).splitlines()
    ]
    assert len(named) == len(set(named))
    assert set(needed) <= set(named)
    assert len(named) - len(needed) <= 1
    assert "sidd_medium_raw" not in named


def test_check_of_a_table_that_is_not_there(tmp_path):
    known = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20"
    with pytest.raises(UnpairedError, match=f"there is no table 99; there are: {known}"):
        describe(parse_settings({}), REPOSITORY / "config/tables", 99)
    with pytest.raises(UnpairedError, match="no tables here; run this in the project's folder"):
        describe(parse_settings({}), tmp_path)


def test_a_file_in_the_place_of_a_folder_is_told(tmp_path):
    (tmp_path / "kodak").write_text("")
    text = describe(parse_settings({"data_root": str(tmp_path)}), REPOSITORY / "config/tables", 3)
    assert f"data set 'kodak': {tmp_path}/kodak is a file, not a folder" in text


def test_a_data_root_that_is_a_file_is_told(tmp_path):
    (tmp_path / "data").write_text("")
    settings = parse_settings({"data_root": str(tmp_path / "data")})
    text = describe(settings, REPOSITORY / "config/tables", 3)
    assert "missing  data set 'kodak'" in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "no such file; run this in the project's folder"),
        ("folder", "a folder; --config takes a file"),
        (b"- 1\n- 2\n", "not a configuration: it should hold lines like"),
        (b"seeds", "not a configuration"),
        (b"a: b: c", "not a readable configuration"),
        (b"\xff\xfe\x00", "not a readable configuration"),
        (b"seeds: !!python/object/apply:os.mkdir [MARK]", "not a readable configuration"),
        (b"<!DOCTYPE html><html></html>", "not a configuration"),
        (b"1: 2", "1: Keys should be strings"),
        (b"sede: [1]", "unknown key 'sede'; did you mean 'seeds'"),
        (b"training: 5", "training: "),
    ],
)
def test_a_bad_configuration_is_one_line(tmp_path, content, said):
    path = tmp_path / "own.yaml"
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UnpairedError, match=re.escape(said)) as error:
        load_settings([path], None)
    assert "\n" not in str(error.value)


def test_a_configuration_may_lie_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "own.yaml").write_text("seeds: [7]")
    assert load_settings([Path("~/own.yaml")], None).seeds == [7]


def test_presence_follows_data_root(tmp_path):
    (tmp_path / "kodak").mkdir()
    here, nowhere = parse_settings({"data_root": str(tmp_path)}), parse_settings({})
    assert is_present(catalog.datasets()["kodak"], here)
    assert not is_present(catalog.datasets()["kodak"], nowhere)
    assert is_present(catalog.datasets()["embedded_test"], nowhere)
    with pytest.raises(UnpairedError, match="unknown data set 'kodac'; did you mean 'kodak'"):
        get_dataset("kodac", here)


@pytest.mark.parametrize(("name", "count"), [("kodak", 24), ("bsd300", 100), ("set14", 12)])
def test_the_real_test_sets(name, count):
    folder = shared_data(name)
    assert (
        len(list(open_reader(catalog.datasets()[name])(folder)))
        == count
        == catalog.datasets()[name].pictures
    )
