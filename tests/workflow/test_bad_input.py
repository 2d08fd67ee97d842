"""What Snakemake says to wrong settings and wrong data: one clear line, nothing half-written."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from tests.workflow.conftest import SMOKE, TABLE

pytestmark = pytest.mark.workflow
PACK = "results/packs/mine.h5"


def refused(project, message, *arguments):
    """Assert that a run fails, says ``message`` in one line, shows no traceback, makes nothing."""
    done = project.run(*SMOKE, *arguments)
    text = done.stdout + done.stderr
    assert done.returncode != 0
    assert any(message in line for line in text.splitlines()), text
    assert "Traceback" not in text
    assert not (project.folder / TABLE).exists()
    return text


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("sede=[1]", "unknown key 'sede'; did you mean 'seeds'"),
        ("training.precision=fp32", "in braces: 'training={precision: fp32}'"),
        pytest.param(
            "methods=[]",
            "methods: Value error, holds nothing; name one at least, or leave it out",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "overrides={n2n: {images_sen: 3}}",
            "config: overrides: method 'n2n' has no setting 'images_sen'; did you mean",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "methods=[n2nn]",
            "methods: the table has no 'n2nn'; did you mean 'n2n'",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "noises=[gauss26]",
            "noises: the table has no 'gauss26'; did you mean 'gauss25'",
            marks=pytest.mark.long,
        ),
        ("testsets=[kodax]", "testsets: the table has no 'kodax'; did you mean 'kodak'"),
        pytest.param(
            "training={images_sen: 3}",
            "unknown key 'training.images_sen'; did you mean",
            marks=pytest.mark.long,
        ),
        ("train_set=imagenet_val", "data set 'imagenet_val': data_root is not set; get ILSVRC2012"),
    ],
)
def test_wrong_settings(project, setting, message):
    refused(project, message, setting, "--", TABLE)
    assert not (project.folder / "results").exists()


@pytest.mark.long
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            ["data_root=/typo", "testsets=[kodak]"],
            "error: config: data_root: /typo does not exist; check its name",
        ),
        (
            ["data_root=src", "testsets=[kodak]"],
            "error: data set 'kodak': src/kodak does not exist; get Kodak",
        ),
        (
            ["folders={mine: /typo}", "files={color_prior: ~/typo.npy}"],
            "folders.mine: /typo does not exist; check its name; files.color_prior: /",
        ),
    ],
)
def test_a_mistyped_path_replaces_nothing(project, settings, message):
    table = project.folder / TABLE
    table.parent.mkdir()
    table.write_text("numbers of an earlier run")
    done = project.run(*SMOKE, *settings, "--", TABLE)
    assert done.returncode == 1
    assert any(message in line for line in done.stderr.splitlines()), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert [path for path in table.parent.rglob("*") if path.is_file()] == [table]
    assert table.read_text() == "numbers of an earlier run"


def test_false_as_text_is_false(project):
    done = project.run(*SMOKE, "network={global_residual: false}", "-n", "-p", "--", TABLE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"global_residual":false' in done.stdout + done.stderr


def test_a_part_never_takes_the_name_of_the_whole(project):
    refused(project, "ask for results/table1.part.csv", "--", "results/table1.csv")


def test_an_unknown_table(project):
    refused(project, "there is no table 99; there are: 1", "--", "results/table99.csv")


def test_bad_pictures_are_all_named(project):
    folder = project.folder / "my pictures ü"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (80, 80, 3), np.uint8)
    Image.fromarray(noise).save(folder / "good.png")
    (folder / "text.png").write_text("not a picture")
    whole = (folder / "good.png").read_bytes()
    (folder / "short.png").write_bytes(whole[: len(whole) // 2])
    text = refused(
        project, "text.png", f"folders={{mine: '{folder}'}}", "train_set=mine", "--", PACK
    )
    assert "short.png" in text
    assert not list((project.folder / "results/packs").glob("mine*"))


@pytest.mark.long
def test_a_test_picture_among_the_training_pictures(project):
    from unpaired.data.sources.embedded import test_records as embedded_test_records

    folder = project.folder / "photos"
    folder.mkdir()
    record = list(embedded_test_records(None))[1]
    Image.fromarray(record.arrays["image"]).save(folder / "renamed.png")
    refused(
        project,
        "hold the same pixels: chelsea = renamed; remove them",
        f"folders={{mine: '{folder}'}}",
        "train_set=mine",
        "--",
        TABLE,
    )


@pytest.mark.long
def test_pictures_smaller_than_the_patch(project):
    folder = project.folder / "photos"
    folder.mkdir()
    Image.fromarray(np.zeros((40, 90, 3), np.uint8)).save(folder / "tiny.png")
    refused(
        project,
        "smaller than the 64-pixel training patch: tiny (90x40)",
        f"folders={{mine: '{folder}'}}",
        "train_set=mine",
        "--",
        TABLE,
    )
