"""The command ``unpaired distance``, with a metric trained here in the place of ImageNet's."""

from __future__ import annotations

import csv

import numpy as np
import pytest
import timm
import torch
from PIL import Image
from typer.testing import CliRunner

from tests.imaging.files import write_turned
from unpaired.cli import app
from unpaired.core.errors import UnpairedError
from unpaired.learning.create import create
from unpaired.learning.weights import load_model, save_model
from unpaired.systems.perceptual.distance import Options, distance, match


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("model") / "metric.safetensors"
    save_model(path, "lpips", create("lpips", width=0.25))
    return path


@pytest.fixture
def folders(tmp_path, photographs):
    """Two folders: the second has noise that grows from picture to picture."""
    rng = np.random.default_rng(0)
    for number, level in enumerate((0.0, 0.05, 0.2)):
        crop = photographs[1][: 60 + number, :72]
        noisy = (crop + level * rng.standard_normal(crop.shape)).clip(0, 1)
        for folder, picture in (("a", crop), ("b", noisy)):
            path = tmp_path / folder / "below" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.round(255 * picture).astype(np.uint8)).save(path)
    return tmp_path / "a", tmp_path / "b"


def test_folders_are_matched_and_told_as_a_table_and_csv(folders, model, tmp_path):
    output = tmp_path / "distances.csv"
    text = distance(*folders, Options(str(model), output=output))
    with open(output, newline="") as file:
        rows = list(csv.DictReader(file))
    distances = [float(row["distance"]) for row in rows]
    assert distances[0] == 0 < distances[1] < distances[2]
    assert [row["second"] for row in rows] == [str(folders[1] / f"below/{k}.png") for k in range(3)]
    first, second = (
        torch.from_numpy(np.array(Image.open(rows[2][key]))).movedim(-1, 0)[None] / 255
        for key in ("first", "second")
    )
    expected = load_model(model)[1].distance(first, second).item()
    assert distances[2] == pytest.approx(expected, rel=1e-5)
    lines = text.splitlines()
    assert lines[0].split() == ["picture", "distance"]
    assert lines[3].split() == ["below/2", f"{distances[2]:.4f}"]
    assert lines[4].endswith(f"{np.mean(distances):.4f}")
    assert lines[5] == f"written to {output}"


def test_the_command_writes_a_map(folders, model, tmp_path):
    out = tmp_path / "map.png"
    paths = [str(folder / "below" / "2.png") for folder in folders]
    result = CliRunner().invoke(app, ["distance", *paths, "--net", str(model), "--map", str(out)])
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[1].startswith("2.png")
    assert "viridis from 0 to 0." in result.output
    assert np.asarray(Image.open(out)).shape == (62, 72, 3)


def test_nothing_is_overwritten_unless_asked_for_and_pictures_never(folders, model, tmp_path):
    first, second = (folder / "below" / "2.png" for folder in folders)
    before = first.read_bytes()
    command = ["distance", str(first), str(second), "--net", str(model)]

    def refused(*more: str) -> str:
        result = CliRunner().invoke(app, [*command, *more])
        assert result.exit_code == 1
        return str(result.exception)

    table, map_path = tmp_path / "d.csv", tmp_path / "m.png"
    assert "d.png: a .csv file is written" in refused("-o", str(tmp_path / "d.png"))
    assert "is an input; choose another --map" in refused("--map", str(first), "--overwrite")
    assert not table.exists()
    writing = [*command, "-o", str(table), "--map", str(map_path)]
    assert CliRunner().invoke(app, writing).exit_code == 0
    assert "m.png: there already; choose another --map" in refused("--map", str(map_path))
    assert "d.csv: there already; choose another --output" in refused("-o", str(table))
    table.write_text("old")
    assert CliRunner().invoke(app, [*writing, "--overwrite"]).exit_code == 0
    assert table.read_text() != "old"
    assert first.read_bytes() == before


def test_pictures_are_compared_as_they_are_looked_at(folders, model, tmp_path):
    first, second = (folder / "below" / "1.png" for folder in folders)
    write_turned(tmp_path / "turned.png", np.asarray(Image.open(second)))
    found = [
        distance(first, other, Options(str(model))) for other in (second, tmp_path / "turned.png")
    ]
    assert found[0].split()[-1] == found[1].split()[-1] != "0.0000"


def test_pictures_of_formats_that_are_not_read_are_told(folders, model, capsys):
    (folders[0] / "phone.heic").write_bytes(b"...")
    distance(*folders, Options(str(model)))
    assert "phone.heic: a format that is not read; convert it to PNG" in capsys.readouterr().out


def test_a_jpeg_is_held_against_a_png_and_gray_against_color(folders, model):
    path = folders[1] / "below" / "1.png"
    Image.open(path).convert("L").save(path.with_suffix(".jpg"))
    path.unlink()
    pairs = match(*folders)
    assert [b.name for _, b in pairs.values()] == ["0.png", "1.jpg", "2.png"]
    assert "below/1" in distance(*folders, Options(str(model)))


def test_pictures_without_a_partner_are_all_listed(folders):
    (folders[0] / "below" / "0.png").rename(folders[0] / "0.png")
    (folders[1] / "below" / "2.png").unlink()
    with pytest.raises(UnpairedError) as error:
        match(*folders)
    told = str(error.value)
    assert "\n" not in told
    for path in (folders[0] / "0.png", folders[0] / "below/2.png", folders[1] / "below/0.png"):
        assert f"{path} (no partner in" in told
    assert "below/1.png" not in told


def test_bad_input_is_told_with_its_file(folders, model, tmp_path):
    options = Options(str(model))
    pairs = [folder / "below" / "1.png" for folder in folders]
    with pytest.raises(UnpairedError, match=r"two pictures or two folders"):
        distance(folders[0], pairs[1], options)
    with pytest.raises(UnpairedError, match=r"one pair of pictures, not 3"):
        distance(*folders, Options(str(model), map_path=tmp_path / "map.png"))
    with pytest.raises(UnpairedError, match=r"--map \S*map\.jpg: a \.png file is written"):
        distance(*pairs, Options(str(model), map_path=tmp_path / "map.jpg"))
    other = folders[1] / "below" / "2.png"
    with pytest.raises(UnpairedError, match=r"1\.png and .*2\.png: pictures of different shapes"):
        distance(pairs[0], other, options)
    Image.open(other).convert("RGBA").save(other)
    with pytest.raises(UnpairedError, match=r"2\.png: it has transparency"):
        distance(pairs[0], other, options)
    Image.open(pairs[0]).save(pairs[0].with_suffix(".webp"))
    with pytest.raises(UnpairedError, match=r"1\.webp .*have one name|1\.png .*have one name"):
        match(*folders)


def test_missing_network_weights_are_one_line(folders, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "nowhere"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnpairedError) as error:
        distance(*folders, Options("squeeze"))
    assert str(error.value) == (
        "the weights of 'squeeze' are not in weights/lpips; type: curl -LO "
        "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth && pip install --no-deps "
        "lpips && unpaired import-weights lpips squeezenet1_1-b8a52dc0.pth"
    )


def test_a_network_of_timm_by_name_with_weights_of_a_file(folders, tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "weights.pth"
    torch.save(timm.create_model("test_resnet").state_dict(), path)
    command = ["distance", *map(str, folders), "--net", "test_resnet", "--weights", str(path)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    distances = [float(line.split()[1]) for line in result.output.splitlines()[1:4]]
    assert distances[0] == 0 < distances[1] < distances[2]
    with pytest.raises(UnpairedError, match="unknown feature network 'test_resnett'; near it"):
        distance(*folders, Options("test_resnett"))
