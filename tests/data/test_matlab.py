from __future__ import annotations

import h5py
import numpy as np
import pytest
import scipy.io

from unpaired.core.errors import UnpairedError
from unpaired.data.matlab import read_array, read_shape, read_struct, write_v5, write_v73

WRITERS = {"v5": write_v5, "v7.3": write_v73}


def array(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).random(shape, np.float32)


@pytest.mark.parametrize("version", WRITERS)
@pytest.mark.parametrize("shape", [(4, 6), (2, 3, 8, 8), (2, 3, 4, 4, 3)])
def test_arrays_come_back_with_their_axes(tmp_path, version, shape):
    path = tmp_path / "a.mat"
    WRITERS[version](path, {"x": array(*shape)})
    assert np.array_equal(read_array(path, "x"), array(*shape))
    assert read_array(path, "x").dtype == np.float32
    assert read_shape(path, "x") == shape


def test_v73_is_stored_as_matlab_stores_it(tmp_path):
    path = tmp_path / "a.mat"
    write_v73(path, {"x": array(4, 6)})
    head = path.read_bytes()[:520]
    assert head.startswith(b"MATLAB 7.3 MAT-file")
    assert head[124:128] == b"\x00\x02IM"
    assert head[512:] == b"\x89HDF\r\n\x1a\n"
    with h5py.File(path) as file:
        assert file["x"].shape == (6, 4)
        assert np.array_equal(file["x"][()], array(4, 6).T)
        assert file["x"].attrs["MATLAB_class"] == b"single"


STORED = {
    "chunks that reach beyond the edge": {"chunks": (5, 7), "compression": "gzip"},
    "contiguous": {},
    "chunks as they are": {"chunks": (5, 7)},
    "another filter too": {"chunks": (5, 7), "compression": "gzip", "shuffle": True},
    "big-endian": {"chunks": (5, 7), "compression": "gzip", "dtype": ">f4"},
}


@pytest.mark.parametrize("options", STORED.values(), ids=STORED)
def test_v73_however_it_is_stored(tmp_path, options):
    path = tmp_path / "a.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("x", data=array(12, 18).T, **options)
    assert np.array_equal(read_array(path, "x"), array(12, 18))


def test_v73_with_chunks_that_were_never_written_or_not_compressed(tmp_path):
    path = tmp_path / "a.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        sparse = file.create_dataset("sparse", (8, 8), "f4", chunks=(4, 4), compression="gzip")
        sparse[:4, :4] = 1
        plain = file.create_dataset("plain", (4, 4), "f4", chunks=(4, 4), compression="gzip")
        plain.id.write_direct_chunk((0, 0), array(4, 4).tobytes(), filter_mask=1)
    assert read_array(path, "sparse").sum() == 16
    assert np.array_equal(read_array(path, "plain"), array(4, 4).T)


@pytest.mark.parametrize("kind", ["changed", "empty"])
def test_v73_with_a_damaged_chunk(tmp_path, kind):
    path = tmp_path / "a.mat"
    write_v73(path, {"x": array(40, 60)})
    with h5py.File(path, "r+") as file:
        _, data = file["x"].id.read_direct_chunk((0, 0))
        damaged = data[:50] + bytes([data[50] ^ 255]) + data[51:] if kind == "changed" else data[:9]
        file["x"].id.write_direct_chunk((0, 0), damaged)
    with pytest.raises(UnpairedError, match=r"a\.mat: damaged or cut short"):
        read_array(path, "x")


def test_v5_is_what_scipy_reads(tmp_path):
    path = tmp_path / "a.mat"
    write_v5(path, {"x": array(4, 6), "metadata": {"ISO": 100}})
    assert np.array_equal(scipy.io.loadmat(path)["x"], array(4, 6))
    assert read_struct(path, "metadata")["ISO"] == 100


@pytest.mark.parametrize("version", WRITERS)
def test_the_same_content_is_the_same_file(tmp_path, version):
    for name in ("a.mat", "b.mat"):
        WRITERS[version](tmp_path / name, {"x": array(40, 60)})
    assert (tmp_path / "a.mat").read_bytes() == (tmp_path / "b.mat").read_bytes()


@pytest.mark.parametrize("version", WRITERS)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_files_cut_short(tmp_path, version, share):
    path = tmp_path / "a.mat"
    WRITERS[version](path, {"x": array(200, 300)})
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(UnpairedError, match=r"a\.mat: (damaged or cut short|not a MATLAB file)"):
        read_array(path, "x")


@pytest.mark.parametrize("version", WRITERS)
def test_what_is_no_array_of_numbers(tmp_path, version):
    path = tmp_path / "a.mat"
    cell = np.empty((1, 2), object)
    cell[:] = [[array(2, 2), array(3, 3)]]
    WRITERS[version](path, {"y": array(2, 2), "cell": cell, "struct": {"a": array(2, 2)}})
    with pytest.raises(UnpairedError, match=r"holds no 'x' \(but cell, struct, y\)"):
        read_array(path, "x")
    for key in ("cell", "struct"):
        with pytest.raises(UnpairedError, match=f"a.mat: '{key}' is no array of numbers"):
            read_array(path, key)


def test_complex_numbers(tmp_path):
    v5, v73 = tmp_path / "v5.mat", tmp_path / "v73.mat"
    write_v5(v5, {"x": array(2, 2) * 1j})
    with h5py.File(v73, "w", userblock_size=512) as file:
        file["x"] = np.zeros((2, 2), [("real", "f8"), ("imag", "f8")])
    for path in (v5, v73):
        with pytest.raises(UnpairedError, match="'x' holds complex numbers"):
            read_array(path, "x")


def test_files_that_are_none_of_matlab(tmp_path):
    text = tmp_path / "text.mat"
    text.write_text("hello " * 100)
    with pytest.raises(UnpairedError, match=r"text\.mat: not a MATLAB file of version 5 or 7\.3"):
        read_array(text, "x")
    with pytest.raises(UnpairedError, match=r"cannot read .*absent\.mat: no such file"):
        read_array(tmp_path / "absent.mat", "x")
