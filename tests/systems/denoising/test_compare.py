"""`unpaired compare`: what is held out, how methods are ranked, and what is written."""

from __future__ import annotations

import base64
import contextlib
import csv
import errno
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace

import numpy as np
import psutil
import pytest
import tifffile
import torch
from PIL import Image
from typer.testing import CliRunner

from tests.imaging.files import write_turned
from tests.waiting import PATIENCE_SECONDS, wait_for
from unpaired import catalog
from unpaired.catalog.system import MethodEntry
from unpaired.cli import app
from unpaired.core.errors import UnpairedError
from unpaired.core.own_process import OutOfTime, attempt
from unpaired.data.packs import Pack
from unpaired.imaging.upright import as_stored, upright
from unpaired.learning.method import Observation
from unpaired.learning.weights import load_model, read_notes
from unpaired.systems.denoising import SYSTEM, comparison_screen, short_training
from unpaired.systems.denoising.compare import Options, compare
from unpaired.systems.denoising.conditioning import condition
from unpaired.systems.denoising.held_out import held_out_rows, split
from unpaired.systems.denoising.methods.neighbor2neighbor import Neighbor2Neighbor
from unpaired.systems.denoising.own_pages import PicturePages
from unpaired.systems.denoising.ranking import WIDTH, as_text, columns_within, hardly_trained, rank
from unpaired.systems.denoising.trials import Outcome, noisy_crops, peak_memory_mib

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


class Stopped(Filter):
    """Somebody presses Ctrl-C meanwhile."""

    def restore(self, observation):
        raise KeyboardInterrupt


class Late(Filter):
    """The deadline comes meanwhile."""

    def restore(self, observation):
        raise OutOfTime("late")


def here(function, *arguments, deadline):
    """Stand for `in_own_process`, in this process."""
    failure, result = attempt(function, arguments)
    if failure:
        raise OutOfTime if failure.startswith("late") else UnpairedError(failure)
    return result


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Methods of this file, trainings of seconds, all in this process."""
    for cls in (Filter, Identity, Failing, Crashing, Stopped, Late):
        target = f"{__name__}:{cls.__name__}"
        entry = MethodEntry(target, is_trained=False)
        for methods in (catalog.methods(), SYSTEM.methods):
            monkeypatch.setitem(methods, cls.__name__.lower(), entry)
    monkeypatch.setattr(short_training, "WIDTH", {"cpu": 8})
    monkeypatch.setattr(short_training, "IMAGES_MIN", 20)
    monkeypatch.setattr("unpaired.systems.denoising.candidates.in_own_process", here)


@pytest.fixture
def noisy(tmp_path, photographs):
    """Two noisy color pictures in a folder."""
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
    found = compare([noisy], output, Options(("identity", "failing", "filter", "crashing")))
    rows = rows_of(output)
    assert [row["method"] for row in rows] == ["filter", "identity", "failing", "crashing"]
    assert [row["place"] for row in rows] == ["1", "2", "", ""]
    assert rows[2]["failure"] == "failed: the loss is not finite"
    assert rows[3]["failure"] == "failed: ZeroDivisionError: oh"
    assert rows[1]["like_first"] == "False"
    # The identity keeps the noise, which is 4.4 % stronger than that of the pictures.
    noise_db = -20 * np.log10(1.044 * STD)
    assert float(rows[1]["psnr_db"]) == pytest.approx(noise_db, abs=0.3)
    assert float(rows[1]["low_db"]) < float(rows[1]["psnr_db"]) < float(rows[1]["high_db"])
    assert not found.is_stopped
    assert found.text.splitlines()[-1] == (
        f"next: unpaired denoise {noisy} --output restored --method filter"
    )
    assert not list(output.glob("*.safetensors"))


def range_of(page):
    """Return the range that a page uses, which estimates are in units of."""
    (extent,) = {scale.extent for scale in condition(page).scales}
    return extent


def test_the_estimate_is_the_true_error_of_what_is_held_out(tmp_path, photographs):
    clean = photographs[0][:400, :400]
    noise = STD * RNG.standard_normal(clean.shape, dtype=np.float32)
    tifffile.imwrite(tmp_path / "a.tif", clean + noise, photometric="rgb")
    compare([tmp_path / "a.tif"], tmp_path / "out", Options(("filter",)))
    held_out = slice(-held_out_rows(400), None)
    stronger = torch.from_numpy((clean + 1.044 * noise)[held_out]).permute(2, 0, 1)[None]
    restored = Filter(None).restore(Observation(stronger))
    error = np.mean((restored[0].permute(1, 2, 0).numpy() - clean[held_out]) ** 2)
    error /= range_of(clean + noise) ** 2
    (row,) = rows_of(tmp_path / "out")
    assert float(row["psnr_db"]) == pytest.approx(-10 * np.log10(error), abs=0.6)


def test_the_page_stands_alone_and_shows_the_same_place(noisy, tmp_path):
    compare([noisy], tmp_path / "out", Options(("identity", "filter", "failing")))
    page = (tmp_path / "out/comparison.html").read_text()
    assert not re.search(r"https?://|<script src|<link", page)
    sources = re.findall(r'<img src="([^"]*)"', page)
    assert len(sources) == 2 * (1 + 2 * 2)  # Two places; noisy, and two of each method.
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    assert re.findall(r"<h2 [^>]*>(.*)</h2>", page) == ["0.tif", "1.tif"]
    options = re.findall(r"<option [^>]*>(\w+)", page)
    assert options == ["filter", "identity"] * 2  # The best one first.
    assert sources[0] == sources[3] != sources[1]  # The identity restores the noisy crop.
    assert "failing failed: the loss is not finite" in page


def images_of(page):
    found = re.findall(r'<img src="data:image/png;base64,([^"]*)"', page.read_text())
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(one)))) for one in found]


def test_the_page_shows_pictures_as_they_are_looked_at(tmp_path, photographs):
    page = np.uint8(255 * photographs[0][:200, :330])
    (tmp_path / "in").mkdir()
    write_turned(tmp_path / "in/turned.png", page, 6)
    Image.fromarray(as_stored(page, 6)).save(tmp_path / "lying.png")
    for name in ("in", "lying.png"):
        compare([tmp_path / name], tmp_path / f"{name}.out", Options(("identity", "filter")))
    turned = images_of(tmp_path / "in.out/comparison.html")
    lying = images_of(tmp_path / "lying.png.out/comparison.html")
    assert len(turned) == len(lying) == 5
    assert turned[0].shape[:2] == lying[0].shape[1::-1]
    assert turned[0].shape[0] != turned[0].shape[1]
    for one, other in zip(turned, lying, strict=True):
        assert np.array_equal(one, upright(other, 6))


def test_pictures_in_formats_that_are_not_read_are_told(noisy, tmp_path, capsys):
    (noisy / "c.heic").touch()
    compare([noisy], tmp_path / "out", Options(("identity",)))
    told = "skipped " + str(noisy / "c.heic")
    assert told in capsys.readouterr().out
    assert told in (tmp_path / "out/comparison.html").read_text()


@pytest.mark.long
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
    assert read_notes(model) == {"stride": 1, "conditioned": True}
    command = result.output.splitlines()[-1].removeprefix("next: unpaired ").split()
    command[command.index("restored")] = str(tmp_path / "restored")
    assert command[-4:] == ["--model", str(model), "--read-out", "plain"]
    assert CliRunner().invoke(app, command).exit_code == 0
    assert len(list((tmp_path / "restored").glob("*.tif"))) == 2


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
    pages = PicturePages(shapes)
    told = split(pages, 1, training, judging)
    learned, judged = Pack(training), Pack(judging)
    for index, height in enumerate(heights):
        picture = pages.read(index).values
        rows = held_out_rows(height)
        assert np.isin(learned.read(index), picture[:-rows]).all()
        assert np.isin(judged.read(index), picture[-rows:]).all()
    assert [held_out_rows(height) for height in heights] == [120, 64, 50, 35]
    assert "(half of pictures lower than 128 rows)" in told
    assert told.startswith(f"{64 * (480 + 256 + 50 + 35):,} pixels to learn from; ")


def test_correlated_noise_is_judged_on_phases(tmp_path, photographs):
    white = STD * RNG.standard_normal((513, 257, 3), dtype=np.float32)
    blurred = sum(white[i : i + 512, j : j + 256] for i in (0, 1) for j in (0, 1)) / 2
    clean = photographs[0][:512, :256]
    tifffile.imwrite(tmp_path / "a.tif", clean + blurred, photometric="rgb")
    compare([tmp_path / "a.tif"], tmp_path / "out", Options(("identity",)))
    page = (tmp_path / "out/comparison.html").read_text()
    assert "the noise of neighboring pixels is correlated" in page
    assert "judged on pixels 2 apart" in page
    (row,) = rows_of(tmp_path / "out")
    expected_db = -20 * np.log10(1.044 * STD / range_of(clean + blurred))
    assert float(row["psnr_db"]) == pytest.approx(expected_db, abs=0.7)


def outcome(method, errors):
    return Outcome(method, None, errors, 20.0, [], 1.0, 1.0, 1, None, None)


def test_ranks_and_who_cannot_be_told_apart():
    rng = np.random.default_rng(0)  # Its own: what is drawn must not depend on the tests before.
    shared = [rng.normal(0.01, 0.003, (64, 64)) for _ in range(8)]
    good, alike, bad = (
        [page + extra + 1e-3 * rng.standard_normal() for page in shared]
        for extra in (0.0, 1e-5, 5e-3)
    )
    places = rank([outcome("bad", bad), outcome("alike", alike), outcome("good", good)])
    assert [place.like_first for place in places] == [True, True, False]
    assert {place.outcome.name for place in places[:2]} == {"good", "alike"}
    assert [place.number for place in places] == [1, 2, 3]
    assert all(place.low_db < place.psnr_db < place.high_db for place in places)


def test_where_the_estimate_cannot_be_trusted_no_method_comes_first():
    outcomes = [
        outcome(name, [np.full((64, 64), error)] * 8) for name, error in (("a", 1), ("b", 2))
    ]
    assert [place.like_first for place in rank(outcomes)] == [True, False]
    assert [place.like_first for place in rank(outcomes, is_unsure=True)] == [True, True]


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
    refused("of 3 pictures these are gray: .*gray.png", noisy, tmp_path / "gray.png")
    refused("no picture has 64 rows", tmp_path / "small.png", methods=("identity",))
    refused("'n2c' needs more than noisy pictures", noisy, methods=("n2c",))
    refused("did you mean 'n2", noisy, methods=("n2k",))
    for minutes in (0, -1, float("nan"), float("inf")):
        refused("must be a positive number", noisy, methods=("identity",), minutes=minutes)
    refused("unknown method ''", noisy, methods=("identity", ""))
    refused("unknown device", noisy, methods=("identity",), device="tpu")
    refused("failing failed: the loss", noisy, methods=("failing",))
    assert not (tmp_path / "out").exists()


def test_the_liveliest_part_is_shown(make_pack):
    page = np.zeros((200, 500, 1), np.float32)
    page[:, 330:460] = RNG.random((200, 13, 1)).repeat(10, axis=1)
    (crop,) = noisy_crops(make_pack({"a": page}, value_range=(0, 1)))
    assert crop.shape == (160, 160, 1)
    assert crop.any(axis=(0, 2)).mean() > 0.75


def test_a_picture_of_one_row_is_learned_from_and_not_judged(tmp_path):
    shapes = {}
    for number, height in enumerate((1, 200)):
        path = tmp_path / f"{number}.tif"
        tifffile.imwrite(path, RNG.random((height, 64), dtype=np.float32))
        shapes[path] = (1, height, 64, 1)
    split(PicturePages(shapes), 1, tmp_path / "training.h5", tmp_path / "judging.h5")
    assert len(Pack(tmp_path / "training.h5")) == 2
    assert len(Pack(tmp_path / "judging.h5")) == 1


def test_few_pixels_are_judged_on_few_pages(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RNG.random((30, 400, 200), dtype=np.float32), photometric="minisblack")
    packs = tmp_path / "training.h5", tmp_path / "judging.h5"
    split(PicturePages({path: (30, 400, 200, 1)}), 1, *packs, judged_px=40_000)
    judged = Pack(packs[1])
    assert len(judged) == 5
    assert sum(np.prod(judged.shape(index)) for index in judged) == pytest.approx(40_000, rel=0.1)


def test_names_that_are_not_utf8(noisy, tmp_path):
    strange = os.fsdecode(b"a<b>\xff.tif")
    (noisy / "0.tif").rename(noisy / strange)
    found = compare([noisy / strange], tmp_path / "out", Options(("filter",)))
    assert strange in found.command
    assert "a&lt;b&gt;\\xff.tif" in (tmp_path / "out/comparison.html").read_text()


# ---- Deadlines and stopping ---------------------------------------------------------------------


def test_what_does_not_fit_is_listed_with_the_minutes_that_would_do(noisy, tmp_path):
    """Half a minute is the least for the second method, and less is left for it."""
    options = Options(("filter", "identity", "crashing"), minutes=0.5)
    found = compare([noisy], tmp_path / "out", options)
    assert "not tried, no time left: identity, crashing" in found.text
    minutes = int(re.search(r"about --minutes (\d+) would do", found.text)[1])
    assert minutes == 2
    failures = [row["failure"] for row in rows_of(tmp_path / "out")]
    assert failures == ["", "not tried, no time left", "not tried, no time left"]
    page = (tmp_path / "out/comparison.html").read_text()
    assert "not tried, no time left: identity, crashing" in page


def test_a_method_that_is_late_leaves_the_ranking_of_the_others(noisy, tmp_path):
    found = compare([noisy], tmp_path / "out", Options(("filter", "late")))
    assert "not finished, no time left: late" in found.text
    with pytest.raises(UnpairedError, match="not finished, no time left: late; for all of them"):
        compare([noisy], tmp_path / "other", Options(("late",)))


def test_all_of_it_counts_for_the_deadline(noisy, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "unpaired.systems.denoising.compare.measure_noise", lambda paths: time.sleep(2)
    )
    deadlines = []

    def noted(function, job, deadline):
        deadlines.append((deadline - time.monotonic(), job.until - time.monotonic()))
        return here(function, job, deadline=deadline)

    monkeypatch.setattr("unpaired.systems.denoising.candidates.in_own_process", noted)
    compare([noisy], tmp_path / "out", Options(("filter", "identity"), minutes=2))
    (first, share), (second, rest) = deadlines
    assert first < 120 - 2 - 5  # After 2 s of measuring, with 5 s left to write.
    assert share == pytest.approx(first / 2, abs=1)
    assert second < first
    assert rest == pytest.approx(second, abs=1)  # What the first one did not need.


def test_stopped_in_the_middle(noisy, tmp_path):
    """As by Ctrl-C: what is done is kept, what is missing is named, and the exit code says so."""
    output = tmp_path / "out"
    arguments = ["--methods", "identity, filter,stopped,failing", "-o", str(output)]
    result = CliRunner().invoke(app, ["compare", str(noisy), *arguments])
    assert result.exit_code == 130
    lines = result.output.splitlines()
    assert "stopped: 2 of 4 methods are done" in lines
    assert "not finished, stopped: stopped" in lines
    assert "not tried, stopped before: failing" in lines
    assert lines[-1].startswith("next: unpaired denoise")
    assert [row["place"] for row in rows_of(output)] == ["1", "2", "", ""]
    assert "not tried, stopped before: failing" in (output / "comparison.html").read_text()


def test_stopped_before_anything_is_done(noisy, tmp_path):
    output = tmp_path / "out"
    arguments = ["--methods", "stopped,filter", "-o", str(output)]
    result = CliRunner().invoke(app, ["compare", str(noisy), *arguments])
    assert result.exit_code == 130
    assert "stopped: no method was finished" in result.output
    assert not output.exists()


def test_stopped_again_while_writing_leaves_nothing_half_written(noisy, tmp_path, monkeypatch):
    output = tmp_path / "out"
    calls = []

    def interrupted(path, **page):
        calls.append(path)
        if len(calls) > 1:
            raise KeyboardInterrupt

    monkeypatch.setattr("unpaired.systems.denoising.compare.write_comparison", interrupted)
    arguments = ["--methods", "filter,stopped", "-o", str(output)]
    result = CliRunner().invoke(app, ["compare", str(noisy), *arguments])
    assert result.exit_code == 130
    assert [path.name for path in output.iterdir()] == ["comparison.csv"]


def test_the_first_ones_weights_and_no_others_are_kept(noisy, tmp_path, monkeypatch):
    """After every method: whoever kills the comparison finds the model that the page names."""
    output = tmp_path / "out"
    kept = []

    def noted(path, *, command, **page):
        kept.append([model.name for model in output.glob("*.safetensors")])
        assert kept[-1] or "--model" not in command

    monkeypatch.setattr("unpaired.systems.denoising.compare.write_comparison", noted)
    monkeypatch.setattr("unpaired.systems.denoising.candidates.SECONDS_LEAST", 0.1)
    compare([noisy], output, Options(("neighbor2neighbor", "filter"), minutes=0.15))
    assert kept[0] == ["neighbor2neighbor_rgb.safetensors"]
    first = rows_of(output)[0]["method"]
    left = [model.name for model in output.glob("*.safetensors")]
    assert left == ([] if first == "filter" else kept[0])


def alive_in_group(group):
    """Return the command lines of the processes of a group that have not ended."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.NoSuchProcess, ProcessLookupError):
            if os.getpgid(process.pid) == group and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.cmdline())
    return found


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_real_comparison_is_stopped(tmp_path, number):
    tifffile.imwrite(tmp_path / "a.tif", RNG.random((130, 130), dtype=np.float32))
    output = tmp_path / "out"
    command = [sys.executable, "-c", "from unpaired.cli import main; main()", "compare"]
    command += [str(tmp_path / "a.tif"), "-o", str(output), "--minutes", "9"]
    command += ["--methods", "cbm3d,neighbor2neighbor,n2v", "--device", "cpu"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    before = ""
    while "trying neighbor2neighbor" not in before:
        line = process.stdout.readline()
        assert line, before
        before += line
    time.sleep(8)  # In the middle of its training.
    os.killpg(process.pid, number)  # The whole group, as a terminal does.
    after, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130, before + after
    assert "Traceback" not in before + after
    assert "stopped: 1 of 3 methods are done" in after
    assert "not finished, stopped: neighbor2neighbor" in after
    assert "not tried, stopped before: n2v" in after
    assert after.splitlines()[-1] == (
        f"next: unpaired denoise {tmp_path / 'a.tif'} --output restored --method cbm3d"
    )
    assert sorted(path.name for path in output.iterdir()) == ["comparison.csv", "comparison.html"]
    wait_for(lambda: not alive_in_group(process.pid))


# ---- The output folder, before anything is computed ---------------------------------------------


def test_output_folders_that_cannot_be_used(noisy, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "unpaired.systems.denoising.compare.found_and_skipped",
        lambda inputs: pytest.fail("too late"),
    )

    def refused(message, output, **options):
        with pytest.raises(UnpairedError, match=message) as caught:
            compare([noisy], output, Options(("filter",), **options))
        assert "\n" not in str(caught.value)

    refused("0.tif is a file, not a folder", noisy / "0.tif")
    refused("0.tif is a file, not a folder", noisy / "0.tif/below")
    refused("holds the noisy pictures", noisy)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    refused("dangling is a file", tmp_path / "dangling")
    for name in ("comparison.csv", "comparison.html", "n2v_gray.safetensors"):
        folder = tmp_path / f"with {name}"
        folder.mkdir()
        (folder / name).touch()
        refused(f"{name}: there already; .*--overwrite", folder)
    locked = tmp_path / "locked"
    locked.mkdir()

    def refuse(dir, **options):  # As for anyone but root.
        raise PermissionError(errno.EACCES, "Permission denied", dir)

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", refuse)
    refused(r"locked/new: cannot be written \(permission denied\)", locked / "new")


def test_an_earlier_comparison_is_replaced_when_asked(noisy, tmp_path):
    for overwrite in (False, True):
        compare([noisy], tmp_path / "out", Options(("filter",), overwrite=overwrite))
    assert len(rows_of(tmp_path / "out")) == 1


# ---- Telling ------------------------------------------------------------------------------------


def test_the_ranking_so_far_is_shown_with_the_time_left(noisy, tmp_path, capsys):
    compare([noisy], tmp_path / "out", Options(("identity", "filter"), minutes=3))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "reading 2 pictures; about 3 min left"
    begun = [lines.index(next(line for line in lines if name in line)) for name in METHODS_SHOWN]
    assert lines[begun[0]] == "trying identity (1 of 2); about 3 min left"
    assert lines[begun[0] + 1] == "so far:"
    assert lines[begun[0] + 3].startswith("1      identity")
    assert lines[begun[1]].startswith("trying filter (2 of 2); ")


METHODS_SHOWN = ("trying identity", "trying filter")


def test_on_a_terminal_there_is_one_live_table(monkeypatch, capsys):
    ranking = rank([outcome("good", [np.full((64, 64), 0.01) for _ in range(6)])])
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with comparison_screen.Screen(time.monotonic() + 600) as screen:
        screen.begin("trying good (1 of 1)")
        screen.show(ranking, 18.9)
        console = comparison_screen.Console(width=120, force_terminal=True)
        console.print(screen._drawn())
    shown = capsys.readouterr().out
    assert "good" in shown
    assert "noisy, as they are" in shown
    assert "about 10 min left" in shown


def test_a_narrow_screen_gets_whole_words():
    ranking = rank([outcome("neighbor2neighbor", [np.full((64, 64), 0.01)] * 6)])
    text = as_text(ranking, 18.9, columns_within(80))
    assert max(map(len, text.splitlines())) <= 80
    assert "neighbor2neighbor" in text
    assert "memory" not in text
    whole = as_text(ranking, 18.9, columns_within(200)).splitlines()
    assert "memory" in whole[0]
    assert max(map(len, whole)) <= WIDTH
    assert whole[-1].split() == ["noisy,", "as", "they", "are", "18.90"]


def test_methods_with_too_little_time_are_named():
    errors = [np.full((64, 64), 0.01)] * 6
    few = replace(outcome("few", errors), learned_crops=34)
    enough = replace(outcome("enough", errors), learned_crops=600)
    (line,) = hardly_trained(rank([few, enough, outcome("cbm3d", errors)]))
    assert "few (34)" in line
    assert "enough" not in line
    assert hardly_trained(rank([enough])) == []


def test_the_noisy_pictures_stand_in_the_table_with_their_own_error(tmp_path):
    """By the estimated variance of the noise: 20 dB here, more on the wider range in use."""
    clean = np.kron(RNG.random((8, 8)), np.ones((32, 32)))
    picture = (clean + 0.1 * RNG.standard_normal(clean.shape)).astype(np.float32)
    tifffile.imwrite(tmp_path / "a.tif", picture)
    found = compare([tmp_path / "a.tif"], tmp_path / "out", Options(("identity",)))
    (line,) = (line for line in found.text.splitlines() if "noisy, as they are" in line)
    psnr_db = float(line.split()[4])
    assert 20 < psnr_db < 24
    assert "noisy, as they are" in (tmp_path / "out" / "comparison.html").read_text()


def test_the_command_to_run_next_names_a_folder_that_is_free(noisy, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("restored", "restored_2"):
        (tmp_path / folder).mkdir()
    found = compare([noisy], tmp_path / "out", Options(("identity",)))
    assert "--output restored_3 " in found.command


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "less than 1 min left"), (59, "less than 1 min left"), (370, "about 6 min left")],
)
def test_time_left_in_words(seconds, text):
    assert comparison_screen.left_text(seconds) == text


def test_peak_memory_is_in_mebibytes():
    assert 100 < peak_memory_mib(torch.device("cpu")) < 100_000
