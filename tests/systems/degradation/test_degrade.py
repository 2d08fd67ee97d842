from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest
import tifffile
import torch
from PIL import Image
from typer.testing import CliRunner

from tests.learning.interrupting import interrupt
from tests.systems.degradation.small import SMALL
from unpaired.cli import app, main
from unpaired.core.errors import Stopped, UnpairedError
from unpaired.core.options import INTERRUPTED
from unpaired.learning import training
from unpaired.learning.create import create
from unpaired.learning.weights import load_model, save_model
from unpaired.pipeline.own_models import WORK
from unpaired.systems.degradation import own_degradation
from unpaired.systems.degradation.degrade import Options, degrade
from unpaired.systems.degradation.own_degradation import Folders, learn

NOISE_STD = 14


def folder_of(path, count, *, noisy, side=64):
    """Write pictures with waves of their own; the noisy ones with white noise."""
    path.mkdir()
    y, x = np.mgrid[:side, :side] / side
    for number in range(count):
        rng = np.random.default_rng([number, noisy])
        wave = np.sin(2 * np.pi * (rng.uniform(0.5, 2) * x + rng.uniform(0.5, 2) * y))
        picture = 128 + 50 * np.stack([wave, wave, -wave], axis=-1)
        if noisy:
            picture = picture + rng.normal(0, NOISE_STD, picture.shape)
        Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(path / f"{number}.png")
    return path


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("learned")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(own_degradation, "SETTINGS", own_degradation.SETTINGS | {"images_seen": 400})
        patch.setattr(own_degradation, "SPREADS", 3)
        made = Folders(
            folder_of(folder / "noisy", 3, noisy=True),
            folder_of(folder / "clean", 3, noisy=False),
            folder / "camera",
        )
        path = learn(made)
        written = path.stat().st_mtime_ns
        assert learn(made) == path
        assert path.stat().st_mtime_ns == written  # there already
    return folder


def files(folder):
    """Return every file below a folder with the time at which it was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_another_model_is_replaced_only_when_asked(learned, tmp_path, monkeypatch):
    output = tmp_path / "camera"
    shutil.copytree(learned / "camera", output)
    before = files(output)
    words = ["degrade", "--learn-from", str(learned / "noisy"), "--clean", str(learned / "clean")]
    words += ["-o", str(output), "--seed", "2"]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, UnpairedError)
    assert "add --overwrite" in str(done.exception)
    assert files(output) == before
    monkeypatch.setattr(own_degradation, "SETTINGS", own_degradation.SETTINGS | {"images_seen": 8})
    monkeypatch.setattr(own_degradation, "SPREADS", 1)
    assert CliRunner().invoke(app, [*words, "--overwrite"]).exit_code == 0
    after = files(output)
    assert after.keys() == before.keys()
    assert all(after[path] != before[path] for path in before)


def test_noise_without_its_model_is_replaced_only_when_asked(learned, tmp_path):
    noise = tmp_path / "camera" / own_degradation.NOISE_FILE
    noise.parent.mkdir()
    noise.write_bytes(b"kept")
    with pytest.raises(UnpairedError, match=r"noise\.safetensors: there already"):
        learn(Folders(learned / "noisy", learned / "clean", noise.parent))
    assert noise.read_bytes() == b"kept"


def test_an_interrupted_training_is_kept_unless_it_may_be_replaced(learned, tmp_path, monkeypatch):
    folders = Folders(learned / "noisy", learned / "clean", tmp_path / "camera")
    interrupt(monkeypatch)
    with pytest.raises(Stopped):
        learn(folders)
    (kept,) = folders.output.rglob("checkpoint.safetensors")
    before = kept.stat().st_mtime_ns
    with pytest.raises(UnpairedError, match="was interrupted there; repeat its command"):
        learn(folders, seed=2)
    assert kept.stat().st_mtime_ns == before
    with pytest.raises(Stopped):
        learn(folders, seed=2, overwrite=True)
    assert kept.stat().st_mtime_ns != before


def test_made_noise_is_like_the_one_that_was_learned(learned):
    output = learned / "made"
    outcome = degrade([learned / "clean"], output, Options(learned / "camera"))
    assert len(outcome.written) == 3
    added = [
        np.asarray(Image.open(output / f"{n}.png")).astype(float)
        - np.asarray(Image.open(learned / "clean" / f"{n}.png"))
        for n in range(3)
    ]
    assert np.std(added) == pytest.approx(NOISE_STD, rel=0.35)
    assert abs(np.mean(added)) < 3
    assert not np.array_equal(added[0], added[1])


def test_a_training_that_is_stopped_ends_like_other_commands_and_goes_on(learned, monkeypatch):
    class Signals(training.stop_signals):
        def __enter__(self):
            super().__enter__()
            return lambda: True

    monkeypatch.setattr(training, "stop_signals", Signals)
    made = Folders(learned / "noisy", learned / "clean", learned / "stopped")
    with pytest.raises(Stopped, match="run the same command again to go on"):
        learn(made)
    assert (learned / "stopped" / WORK / "training").is_dir()
    arguments = ["--learn-from", str(made.noisy), "--clean", str(made.clean)]
    command = ["unpaired", "degrade", *arguments, "--output", str(made.output)]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == INTERRUPTED


def test_the_noise_is_a_function_of_name_and_seed(learned, tmp_path):
    picture, model = learned / "clean/0.png", learned / "camera"
    found = []
    for number, seed in enumerate((1, 1, 2)):
        degrade([picture], tmp_path / f"{number}.png", Options(model, seed=seed))
        found.append(np.asarray(Image.open(tmp_path / f"{number}.png")))
    assert not np.array_equal(found[0], found[2])
    for number in range(2):
        degrade([picture], tmp_path / f"folder{number}", Options(model))
    again = [np.asarray(Image.open(tmp_path / f"folder{n}/0.png")) for n in range(2)]
    assert np.array_equal(*again)


def test_depths_and_odd_sizes_are_kept(learned, tmp_path):
    deep = np.random.default_rng(0).integers(20000, 40000, (37, 53, 3), np.uint16)
    tifffile.imwrite(tmp_path / "deep.tif", deep, photometric="rgb")
    gray = np.full((21, 64), 99, np.uint8)
    Image.fromarray(gray).save(tmp_path / "gray.png")
    inputs = [tmp_path / "deep.tif", tmp_path / "gray.png"]
    degrade(inputs, tmp_path / "out", Options(learned / "camera"))
    made = tifffile.imread(tmp_path / "out/deep.tif")
    assert made.dtype == np.uint16
    assert made.shape == deep.shape
    assert 500 < (made.astype(float) - deep).std() < 10_000
    assert np.asarray(Image.open(tmp_path / "out/gray.png")).shape == (21, 64, 3)


def test_noise_of_another_model_is_refused(learned, tmp_path):
    torch.manual_seed(5)
    other = create("lud_vae", **own_degradation.SETTINGS)
    save_model(tmp_path / "model.safetensors", "lud_vae", other)
    noise = (learned / "camera" / own_degradation.NOISE_FILE).read_bytes()
    (tmp_path / own_degradation.NOISE_FILE).write_bytes(noise)
    with pytest.raises(UnpairedError, match="the noise of another model"):
        degrade([learned / "clean/0.png"], tmp_path / "out", Options(tmp_path))
    assert not (tmp_path / "out").exists()


def test_a_model_of_a_table_samples_as_the_paper_does(tmp_path, capsys):
    for name in SMALL:
        save_model(tmp_path / f"{name}.safetensors", name, create(name, **SMALL[name]))
        Image.fromarray(np.full((32, 40, 3), 90, np.uint8)).save(tmp_path / "a.png")
        output = tmp_path / f"{name}.png"
        degrade([tmp_path / "a.png"], output, Options(tmp_path / f"{name}.safetensors"))
        assert "drawn as in the paper of the method" in capsys.readouterr().out
        assert np.asarray(Image.open(output)).shape == (32, 40, 3)


def test_folders_that_do_not_fit_are_one_line(tmp_path):
    noisy = folder_of(tmp_path / "noisy", 1, noisy=True, side=32)
    clean = folder_of(tmp_path / "clean", 1, noisy=False)
    with pytest.raises(UnpairedError, match=r"smaller than 48 px a side: 0\.png \(32x32\)"):
        learn(Folders(noisy, clean, tmp_path / "m"))
    with pytest.raises(UnpairedError, match="no such folder"):
        learn(Folders(tmp_path / "absent", clean, tmp_path / "m"))
    with pytest.raises(UnpairedError, match="the same"):
        learn(Folders(clean, clean, tmp_path / "m"))
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["-o", "x"], "give --learn-from and --clean"),
        (["a.png", "--learn-from", "n", "--clean", "c", "-o", "x"], "or --model and pictures"),
        (["--model", "m", "-o", "x"], "makes pictures noisy: name them"),
        (["a.png", "--model", "m", "--clean", "c", "-o", "x"], "leave --learn-from out"),
    ],
)
def test_mixed_options_say_which_belong_together(words, told):
    done = CliRunner().invoke(app, ["degrade", *words])
    assert isinstance(done.exception, UnpairedError)
    assert told in str(done.exception)


def test_a_model_that_enlarges_is_no_degradation(tmp_path):
    from tests.systems.super_resolution.sets import TINY

    save_model(tmp_path / "u.safetensors", "rrdb_l1", create("rrdb_l1", **TINY))
    with pytest.raises(UnpairedError, match="makes nothing noisy; name one of lud_vae"):
        degrade([tmp_path / "a.png"], tmp_path / "x", Options(tmp_path / "u.safetensors"))
    assert load_model(tmp_path / "u.safetensors")[0] == "rrdb_l1"
