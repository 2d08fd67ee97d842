"""`unpaired compare`: what is held out, how methods are ranked, and what is written."""

from __future__ import annotations

import csv
import os
import re
from dataclasses import dataclass

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from typer.testing import CliRunner

from unpaired import short_training
from unpaired.cli import app
from unpaired.compare import Options, _split, compare, held_out_rows, rank
from unpaired.comparison_page import write_page
from unpaired.errors import UnpairedError
from unpaired.images import read_picture
from unpaired.judging import Outcome, in_own_process, noisy_crops, peak_memory_mib
from unpaired.methods import METHODS, PER_IMAGE
from unpaired.methods.base import Observation
from unpaired.methods.neighbor2neighbor import Neighbor2Neighbor
from unpaired.packs import Pack
from unpaired.weights import load_model, read_notes

RNG = np.random.default_rng(0)
STD = 25 / 255


class Filter:
    """A per-image method: the mean over a square."""

    @dataclass(frozen=True)
    class Config:
        pass

    sees, knows, multiple_px, margin_px = (), (), 1, None
    side_px = 3

    def __init__(self, config):
        self.config = config

    def restore(self, observation):
        return torch.nn.functional.avg_pool2d(
            observation.image, self.side_px, 1, self.side_px // 2, count_include_pad=False
        )


class Identity(Filter):
    side_px = 1


class Failing(Filter):
    def restore(self, observation):
        raise UnpairedError("the loss is not finite")


class Crashing(Filter):
    def restore(self, observation):
        raise ZeroDivisionError("oh")


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Methods of this file, trainings of seconds, all in this process."""
    for cls in (Filter, Identity, Failing, Crashing):
        target = f"{__name__}:{cls.__name__}"
        monkeypatch.setitem(METHODS, cls.__name__.lower(), target)
        monkeypatch.setitem(PER_IMAGE, cls.__name__.lower(), target)
    monkeypatch.setattr(short_training, "WIDTH", {"cpu": 8})
    monkeypatch.setattr(short_training, "IMAGES_MIN", 20)
    monkeypatch.setattr("unpaired.compare.in_own_process", lambda function, job: function(job))


@pytest.fixture
def noisy(tmp_path, photographs):
    """Two noisy colour pictures in a folder."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number, photograph in enumerate(photographs[:2]):
        clean = photograph[:330, :200]
        noise = STD * RNG.standard_normal(clean.shape, dtype=np.float32)
        tifffile.imwrite(folder / f"{number}.tif", clean + noise, photometric="rgb")
    return folder


def rows_of(output):
    with open(output / "comparison.csv", newline="") as file:
        return list(csv.DictReader(file))


def test_methods_are_ranked_and_failures_listed(noisy, tmp_path):
    output = tmp_path / "out"
    told = compare([noisy], output, Options(("identity", "failing", "filter", "crashing")))
    rows = rows_of(output)
    assert [row["method"] for row in rows] == ["filter", "identity", "failing", "crashing"]
    assert [row["place"] for row in rows] == ["1", "2", "", ""]
    assert rows[2]["failure"] == "the loss is not finite"
    assert rows[3]["failure"] == "ZeroDivisionError: oh"
    assert rows[1]["like_first"] == "False"
    # The identity keeps the noise, which is 4.4 % stronger than that of the pictures.
    noise_db = -20 * np.log10(1.044 * STD)
    assert float(rows[1]["psnr_db"]) == pytest.approx(noise_db, abs=0.3)
    assert float(rows[1]["low_db"]) < float(rows[1]["psnr_db"]) < float(rows[1]["high_db"])
    assert told.splitlines()[-1] == (
        f"next: unpaired denoise {noisy} --output restored --method filter"
    )
    assert not list(output.glob("*.safetensors"))


def test_the_estimate_is_the_true_error_of_what_is_held_out(tmp_path, photographs):
    clean = photographs[0][:400, :400]
    noise = STD * RNG.standard_normal(clean.shape, dtype=np.float32)
    tifffile.imwrite(tmp_path / "a.tif", clean + noise, photometric="rgb")
    compare([tmp_path / "a.tif"], tmp_path / "out", Options(("filter",)))
    held_out = slice(-held_out_rows(400), None)
    stronger = torch.from_numpy((clean + 1.044 * noise)[held_out]).permute(2, 0, 1)[None]
    restored = Filter(None).restore(Observation(stronger))
    error = np.mean((restored[0].permute(1, 2, 0).numpy() - clean[held_out]) ** 2)
    (row,) = rows_of(tmp_path / "out")
    assert float(row["psnr_db"]) == pytest.approx(-10 * np.log10(error), abs=0.6)


def test_the_page_stands_alone_and_shows_the_same_place(noisy, tmp_path):
    compare([noisy], tmp_path / "out", Options(("identity", "filter", "failing")))
    page = (tmp_path / "out/comparison.html").read_text()
    assert not re.search(r"https?://|<script|<link", page)
    sources = re.findall(r'<img src="([^"]{30})', page)
    assert len(sources) == 2 * 3
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    captions = re.findall(r"<figcaption>(\w+)", page)
    assert captions == ["noisy", "filter", "identity"] * 2
    pictures = re.findall(r'src="(data[^"]*)"', page)
    assert pictures[0] == pictures[2] != pictures[1]  # the identity restores the noisy crop
    assert "failing failed: the loss is not finite" in page
    assert "width=device-width" in page


def test_a_trained_winner_is_saved_and_can_be_used(noisy, tmp_path, monkeypatch):
    monkeypatch.setattr(Neighbor2Neighbor, "read_outs", ("plain", "other"))
    output = tmp_path / "out"
    arguments = [str(noisy), "--methods", "neighbor2neighbor", "--minutes", "0.001"]
    result = CliRunner().invoke(app, ["compare", *arguments, "--output", str(output)])
    assert result.exit_code == 0, result.output
    rows = rows_of(output)
    assert [row["method"] for row in rows] == ["neighbor2neighbor:plain", "neighbor2neighbor:other"]
    assert [row["like_first"] for row in rows] == ["True", "True"]
    assert float(rows[0]["seconds_to_train"]) > 0
    model = output / "neighbor2neighbor_rgb.safetensors"
    assert load_model(model)[0] == "neighbor2neighbor"
    assert read_notes(model) == {"stride": 1}
    command = result.output.splitlines()[-1].removeprefix("next: unpaired ").split()
    command[command.index("restored")] = str(tmp_path / "restored")
    assert command[-4:] == ["--model", str(model), "--read-out", "plain"]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert len(list((tmp_path / "restored").iterdir())) == 2


def test_nothing_that_is_judged_is_trained_on(tmp_path):
    """Pictures whose pixels all differ: no value of one pack may be in the other."""
    heights = (600, 320, 100, 70)
    shapes = {}
    for number, height in enumerate(heights):
        path = tmp_path / f"{number}.tif"
        values = np.arange(height * 64, dtype=np.float32).reshape(height, 64) + number * 1e5
        tifffile.imwrite(path, values)
        shapes[path] = (1, height, 64, 1)
    training, judging = tmp_path / "training.h5", tmp_path / "judging.h5"
    told = _split(shapes, 1, training, judging)
    learned, judged = Pack(training), Pack(judging)
    for index, height in enumerate(heights):
        picture = read_picture(tmp_path / f"{index}.tif").normalized()[0]
        rows = held_out_rows(height)
        assert np.isin(learned.read(index), picture[:-rows]).all()
        assert np.isin(judged.read(index), picture[-rows:]).all()
    assert [held_out_rows(height) for height in heights] == [120, 64, 50, 35]
    assert "(half of pictures lower than 128 rows)" in told
    assert told.startswith(f"{64 * (480 + 256 + 50 + 35):,} pixels to learn from, ")


def test_correlated_noise_is_judged_on_phases(tmp_path, photographs):
    white = STD * RNG.standard_normal((513, 257, 3), dtype=np.float32)
    blurred = sum(white[i : i + 512, j : j + 256] for i in (0, 1) for j in (0, 1)) / 2
    clean = photographs[0][:512, :256]
    tifffile.imwrite(tmp_path / "a.tif", clean + blurred, photometric="rgb")
    compare([tmp_path / "a.tif"], tmp_path / "out", Options(("identity",)))
    page = (tmp_path / "out/comparison.html").read_text()
    assert "the noise of neighbouring pixels is correlated" in page
    assert "judged on pixels 2 apart" in page
    (row,) = rows_of(tmp_path / "out")
    assert float(row["psnr_db"]) == pytest.approx(-20 * np.log10(1.044 * STD), abs=0.7)


def outcome(method, errors):
    return Outcome(method, None, errors, 20.0, [], 1.0, 1.0, 1, None)


def test_ranks_and_who_cannot_be_told_apart():
    shared = [RNG.normal(0.01, 0.003, (64, 64)) for _ in range(8)]
    good, alike, bad = (
        [page + extra + 1e-3 * RNG.standard_normal() for page in shared]
        for extra in (0.0, 1e-5, 5e-3)
    )
    places = rank([outcome("bad", bad), outcome("alike", alike), outcome("good", good)])
    assert [place.like_first for place in places] == [True, True, False]
    assert {place.outcome.name for place in places[:2]} == {"good", "alike"}
    assert [place.number for place in places] == [1, 2, 3]
    assert all(place.low_db < place.psnr_db < place.high_db for place in places)


def test_an_error_below_zero_is_told_in_words(tmp_path):
    (place,) = rank([outcome("perfect", [np.full((64, 64), -1e-6) for _ in range(6)])])
    assert place.psnr_db == np.inf


def test_bad_input(tmp_path, noisy):
    def refused(message, *pictures, **options):
        with pytest.raises(UnpairedError, match=message) as caught:
            compare(pictures, tmp_path / "out", Options(**options))
        assert "\n" not in str(caught.value)

    Image.fromarray(np.zeros((200, 200), np.uint8)).save(tmp_path / "gray.png")
    Image.fromarray(np.zeros((40, 40), np.uint8)).save(tmp_path / "small.png")
    refused("gray and colour", noisy, tmp_path / "gray.png", methods=("identity",))
    refused("no picture has 64 rows", tmp_path / "small.png", methods=("identity",))
    refused("'n2c' needs more than noisy pictures", noisy, methods=("n2c",))
    refused("did you mean 'n2", noisy, methods=("n2k",))
    refused("must be positive", noisy, methods=("identity",), minutes=0)
    refused("unknown device", noisy, methods=("identity",), device="gpu")
    refused("failing failed: the loss", noisy, methods=("failing",))
    assert not (tmp_path / "out").exists()


def test_the_liveliest_part_is_shown(make_pack):
    page = np.zeros((200, 500, 1), np.float32)
    page[:, 330:460] = RNG.random((200, 13, 1)).repeat(10, axis=1)
    (crop,) = noisy_crops(make_pack({"a": page}, value_range=(0, 1)))
    assert crop.shape == (160, 160, 1)
    assert crop.any(axis=(0, 2)).mean() > 0.75


def test_gray_pictures_on_the_page(tmp_path):
    crop = RNG.random((4, 6, 1))
    write_page(
        tmp_path / "a.html",
        title="<title>",
        notes=[],
        columns=("a",),
        table=[(("<b>",), True)],
        legend=["x & y"],
        crops=[{"noisy": crop}],
    )
    page = (tmp_path / "a.html").read_text()
    assert "&lt;b&gt;" in page
    assert "x &amp; y" in page
    assert 'width="12" height="8"' in page


def test_a_process_of_its_own():
    assert in_own_process(os.getpid) != os.getpid()
    with pytest.raises(UnpairedError, match="killed"):
        in_own_process(os._exit, 1)


def test_peak_memory_is_in_mebibytes():
    assert 100 < peak_memory_mib(torch.device("cpu")) < 100_000
