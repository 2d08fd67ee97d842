"""A pack, its receipt, and a pack that was deleted."""

from __future__ import annotations

import argparse
import json

import numpy as np
import pytest

from unpaired.core.errors import UnpairedError
from unpaired.data.pack_format import Identity
from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack
from unpaired.data.records import Record
from unpaired.pipeline.packing import add_pack_options, make_pack

STAMP = {"dataset": "a", "pictures": "0123"}


class Maker:
    """Packs one gray picture, and counts how often."""

    def __init__(self, folder, gray: int = 7) -> None:
        self.folder, self.gray, self.times = folder, gray, 0
        self.pack, self.receipt = folder / "packs/a.h5", folder / "data_sets/a.json"

    def write(self) -> Identity:
        self.times += 1
        image = np.full((8, 8, 3), self.gray, np.uint8)
        about = {"source": "a", "value_range": (0, 255), "color_space": "sRGB", "settings": {}}
        return write_pack(self.pack, [Record("a", {"image": image}, "a")], **about)

    def run(self, *options: str) -> None:
        parser = argparse.ArgumentParser()
        add_pack_options(parser)
        places = [f"--output={self.pack}", f"--receipt={self.receipt}"]
        work = f"--work={self.folder / 'work/a'}"
        make_pack(parser.parse_args([*places, work, "--code=x", *options]), STAMP, self.write)


@pytest.fixture
def maker(tmp_path):
    maker = Maker(tmp_path)
    maker.run()
    return maker


def test_the_receipt_says_what_the_pack_holds(maker):
    receipt = {"source": "a", "pictures": 1, "sha256": Pack(maker.pack).digest}
    assert json.loads(maker.receipt.read_text()) == receipt


def test_a_pack_that_was_deleted_is_made_again_once_and_its_receipt_stays(maker):
    before, digest = maker.receipt.stat(), Pack(maker.pack).digest
    maker.pack.unlink()
    maker.run("--again")
    maker.run("--again")
    assert maker.times == 2
    assert Pack(maker.pack).digest == digest
    assert maker.receipt.stat() == before


def test_a_pack_of_other_content_does_not_take_the_place_of_a_deleted_one(maker):
    maker.pack.unlink()
    other = Maker(maker.folder, gray=8)
    with pytest.raises(
        UnpairedError, match=r"what it was made of is not what it was; delete .*a\.json"
    ):
        other.run("--again")
    assert not maker.pack.exists()
    other.run()
    assert json.loads(maker.receipt.read_text())["sha256"] == Pack(maker.pack).digest


def test_a_pack_that_an_orphan_finished_is_taken_over(maker):
    maker.pack.unlink()
    maker.receipt.unlink()
    maker.run()
    assert maker.times == 1
    assert json.loads(maker.receipt.read_text())["sha256"] == Pack(maker.pack).digest
