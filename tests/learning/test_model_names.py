"""Readable links to models, on a plan of real tables and folders without weights."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from unpaired.core.errors import UnpairedError
from unpaired.learning.create import create
from unpaired.learning.model_names import BY_NAME, FILE, link_models, resolve_model
from unpaired.learning.weights import load_model, read_notes, save_model
from unpaired.pipeline.plan import plan_table
from unpaired.pipeline.settings import Settings
from unpaired.pipeline.table import load_table

TABLES = REPOSITORY / "config" / "tables"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def plan(number, **settings):
    return plan_table(load_table(TABLES / f"table{number}.yaml"), Settings(**settings))


def make(planned):
    """Make the models' folders, as the trainings do, and their links."""
    for model in planned.trainings:
        file = Path("results/models", model.id, FILE)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    link_models(planned)


def links():
    return {path.name: os.readlink(path) for path in BY_NAME.iterdir()}


def test_every_trained_row_has_a_relative_link():
    planned = plan(10)
    make(planned)
    names = {"table10-l2", "table10-l2_finetuned", "table10-class", "table10-full"}
    assert links().keys() == names
    assert all(target.startswith("../colorization-") for target in links().values())
    assert resolve_model("table10:full").samefile(BY_NAME / "table10-full" / FILE)
    assert resolve_model(BY_NAME / "table10-full") == BY_NAME / "table10-full" / FILE


def test_noises_and_seeds_stand_in_the_names_of_rows_that_have_several():
    make(plan(1, noises=["gauss25", "poisson30"], methods=["n2n", "cbm3d"], seeds=[1, 2]))
    assert links().keys() == {
        f"table1.part-n2n-{noise}-seed{seed}"
        for noise in ("gauss25", "poisson30")
        for seed in (1, 2)
    }
    file = resolve_model("table1.part:n2n:gauss25:seed2")
    assert file == BY_NAME / "table1.part-n2n-gauss25-seed2" / FILE
    for text in ("table1.part:n2n", "table1.part:n2n:gauss25"):
        with pytest.raises(UnpairedError, match=r"several models; name one of table1\.part:n2n:g"):
            resolve_model(text)


def test_one_seed_is_left_out_and_what_is_alone_needs_no_more_words():
    make(plan(1, noises=["gauss25"], methods=["n2n"]))
    assert links().keys() == {"table1.part-n2n-gauss25"}
    assert resolve_model("table1.part:n2n") == BY_NAME / "table1.part-n2n-gauss25" / FILE


def test_stale_links_go_and_those_of_other_tables_stay():
    make(plan(10, seeds=[1, 2]))
    gone = plan(1, methods=["n2n"], noises=["gauss25"])
    make(gone)
    make(plan(10))
    assert "table10-full" in links()
    assert "table10-full-seed1" not in links()
    assert "table1.part-n2n-gauss25" in links()
    (model,) = gone.trainings
    Path("results/models", model.id, FILE).unlink()
    with pytest.raises(UnpairedError, match="is gone; make the table again"):
        resolve_model("table1.part:n2n")
    Path("results/models", model.id).rmdir()
    make(plan(10))
    assert "table1.part-n2n-gauss25" not in links()


def test_where_links_cannot_be_made_a_text_stands_in_their_place(monkeypatch):
    def refuse(*arguments, **options):
        raise OSError("no links here")

    monkeypatch.setattr(Path, "symlink_to", refuse)
    for _ in range(2):
        make(plan(10))
    assert (BY_NAME / "table10-full").is_file()
    assert resolve_model("table10:full").is_file()


def test_what_is_not_there_is_one_line_that_lists_what_is():
    with pytest.raises(UnpairedError, match="no table was made in this folder"):
        resolve_model("table10:full")
    make(plan(10))
    with pytest.raises(UnpairedError, match="there are table10:class; table10:full; ") as caught:
        resolve_model("table10:ful")
    assert "\n" not in str(caught.value)
    with pytest.raises(UnpairedError, match="there are table10:class"):
        resolve_model("table7:n2n")


def test_paths_are_taken_as_they_are():
    Path("table1:n2n").touch()
    for text in ("table1:n2n", "none.safetensors", "alex"):
        assert resolve_model(text) == Path(text)


def test_commands_load_models_by_name():
    file = Path("results/models/n2c-0123456789", FILE)
    file.parent.mkdir(parents=True)
    save_model(file, "n2c", create("n2c", width=4), {"stride": 2})
    BY_NAME.mkdir()
    (BY_NAME / "table1-n2c-gauss25").symlink_to("../n2c-0123456789")
    assert load_model(Path("table1:n2c:gauss25"))[0] == "n2c"
    assert read_notes(Path("table1:n2c")) == {"stride": 2}


def test_a_copy_without_links_is_linked_again():
    planned = plan(10)
    make(planned)
    entry = BY_NAME / "table10-full"
    target = entry.resolve()
    entry.unlink()
    shutil.copytree(target, entry)
    link_models(planned)
    assert entry.is_symlink()
    assert entry.resolve() == target
