from __future__ import annotations

import base64
import csv

import h5py
import numpy as np
import pytest
import torch

from unpaired.core.errors import UnpairedError
from unpaired.data.pack_writing import write_pack
from unpaired.data.packs import Pack
from unpaired.data.records import Record
from unpaired.data.sources.sidd import BLOCK_INSTANCES, Instance
from unpaired.imaging import bayer
from unpaired.systems.denoising import sidd_submission
from unpaired.systems.denoising.sidd_submission import (
    SHAPES,
    Description,
    restore_blocks,
    write_submission,
)


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    """Blocks of the benchmark with fewer pixels: all of them are 335 MB."""
    assert SHAPES == {"Raw": (40, 32, 256, 256), "Srgb": (40, 32, 256, 256, 3)}
    monkeypatch.setattr(
        sidd_submission, "SHAPES", {"Raw": (40, 32, 8, 8), "Srgb": (40, 32, 8, 8, 3)}
    )


@pytest.fixture
def raw_blocks() -> np.ndarray:
    return np.random.default_rng(0).random((40, 32, 8, 8), np.float32)


def text_of(item: h5py.Dataset) -> str:
    if "MATLAB_empty" in item.attrs:
        return ""
    return bytes(item[()].astype("<u2")).decode("utf-16-le")


def test_the_matlab_file_is_that_of_the_kit(tmp_path, raw_blocks):
    description = Description("blind net", "A. Müller", venue="Test")
    mat, _ = write_submission(tmp_path, raw_blocks, 5.0, description)
    assert mat.name == "SubmitRaw.mat"
    with h5py.File(mat) as file:
        cells = file["DenoisedBlocksRaw"]
        assert cells.shape == (32, 40)  # stored in reverse: MATLAB shows 40 x 32
        assert cells.attrs["MATLAB_class"] == b"cell"
        for image, block in ((0, 0), (7, 31), (39, 2)):
            cell = file[cells[block, image]]
            assert cell.dtype == np.float32
            assert cell.attrs["MATLAB_class"] == b"single"
            assert np.array_equal(cell[()].T, raw_blocks[image, block])
        # 5 s for 1280 blocks of 8 x 8, which are 5 / 64 of 2^20 pixels.
        assert file["TimeMPRaw"][()] == pytest.approx(64.0)
        optional = file["OptionalData"]
        assert optional.attrs["MATLAB_class"] == b"struct"
        texts = {key: text_of(item) for key, item in optional.items()}
        fields = ["".join(map(bytes.decode, f)) for f in optional.attrs["MATLAB_fields"]]
    assert fields == ["MethodName", "Authors", "PaperTitle", "Venue"]
    assert texts == {
        "MethodName": "blind net",
        "Authors": "A. Müller",
        "PaperTitle": "",
        "Venue": "Test",
    }


def test_the_table_holds_every_block(tmp_path, raw_blocks):
    _, table = write_submission(tmp_path, raw_blocks, 1.0, Description("m"))
    with open(table, newline="") as file:
        rows = list(csv.reader(file))
    assert table.name == "SubmitRaw.csv"
    assert rows[0] == ["ID", "BLOCK"]
    assert [int(row[0]) for row in rows[1:]] == list(range(1280))
    block = np.frombuffer(base64.b64decode(rows[1 + 33][1]), "<f4").reshape(8, 8)
    assert np.array_equal(block, raw_blocks[1, 1])


def test_srgb(tmp_path):
    blocks = np.zeros((40, 32, 8, 8, 3), np.uint8)
    blocks[2, 5, 3, 6] = 1, 2, 3
    mat, table = write_submission(tmp_path, blocks, 1.0, Description("m"))
    with h5py.File(mat) as file:
        cell = file[file["DenoisedBlocksSrgb"][5, 2]]
        assert cell.attrs["MATLAB_class"] == b"uint8"
        assert np.array_equal(cell[()].T, blocks[2, 5])
        assert "TimeMPSrgb" in file
    with open(table, newline="") as file:
        line = list(csv.reader(file))[1 + 2 * 32 + 5]
    block = np.frombuffer(base64.b64decode(line[1]), np.uint8).reshape(8, 8, 3)
    assert np.array_equal(block, blocks[2, 5])


def test_what_is_no_submission(tmp_path, raw_blocks):
    description = Description("m")
    with pytest.raises(UnpairedError, match=r"float32 \(40, 31, 8, 8\), not float32 \(40, 32"):
        write_submission(tmp_path, raw_blocks[:, 1:], 1.0, description)
    for value in (np.nan, 1.5, -0.1):
        wrong = raw_blocks.copy()
        wrong[3, 4, 5, 6] = value
        with pytest.raises(UnpairedError, match=r"values outside \[0, 1\]; clamp"):
            write_submission(tmp_path, wrong, 1.0, description)
    assert not list(tmp_path.iterdir())


class Brighter:
    """A restorer of any size that adds a tenth."""

    knows, multiple_px = (), 1

    def restore(self, observation):
        return observation.image + 0.1


def benchmark_pack(tmp_path, arrays, **about) -> Pack:
    names = [f"{instance}/{block:02d}" for instance in BLOCK_INSTANCES for block in range(32)]
    records = (
        Record(name, {"noisy": array}, f"s{n}")
        for n, (name, array) in enumerate(zip(names, arrays, strict=False))
    )
    write_pack(tmp_path / "b.h5", records, source="benchmark", settings={}, **about)
    return Pack(tmp_path / "b.h5")


def test_raw_blocks_are_restored_in_order_and_put_together(tmp_path, raw_blocks):
    patterns = [Instance.parse(name).pattern for name in BLOCK_INSTANCES]
    planes = [
        bayer.pack(block, patterns[n // 32]) for n, block in enumerate(raw_blocks.reshape(-1, 8, 8))
    ]
    pack = benchmark_pack(tmp_path, planes, value_range=(0, 1), color_space="raw")
    blocks, seconds = restore_blocks(Brighter(), pack, torch.device("cpu"))
    assert blocks == pytest.approx(np.clip(raw_blocks + np.float32(0.1), 0, 1), abs=1e-6)
    assert seconds > 0
    write_submission(tmp_path, blocks, seconds, Description("brighter"))


def test_srgb_blocks_are_rounded(tmp_path):
    pictures = np.random.default_rng(1).integers(0, 256, (1280, 8, 8, 3), dtype=np.uint8)
    pack = benchmark_pack(tmp_path, pictures, value_range=(0, 255), color_space="sRGB")
    blocks, _ = restore_blocks(Brighter(), pack, torch.device("cpu"))
    expected = np.clip(pictures.reshape(40, 32, 8, 8, 3) + 26.0, 0, 255)
    assert np.abs(blocks - expected).max() <= 1  # 25.5, rounded up or down
    assert blocks.dtype == np.uint8


def test_a_pack_of_other_blocks_is_refused(tmp_path):
    planes = np.zeros((5, 4, 4, 4), np.float32)
    pack = benchmark_pack(tmp_path, planes, value_range=(0, 1), color_space="raw")
    with pytest.raises(UnpairedError, match="holds 5 pictures, not the benchmark's 1280 blocks"):
        restore_blocks(Brighter(), pack, torch.device("cpu"))
