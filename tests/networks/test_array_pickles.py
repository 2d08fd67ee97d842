"""Pickles of NumPy's arrays: what is in them is read, and what they would run is not."""

from __future__ import annotations

import os
import pickle
from contextlib import suppress

import numpy as np
import pytest

from unpaired.core.errors import UnpairedError
from unpaired.networks.array_pickles import read_arrays

RNG = np.random.default_rng(0)
ARRAYS = {
    "Net_0": {
        "Conv_0": {"kernel": RNG.normal(size=(3, 2, 1, 4)).astype("f4"), "bias": np.ones(4, "f4")},
        "Conv_1": {"kernel": np.asfortranarray(RNG.normal(size=(5, 3))), "bias": np.ones(0, "f2")},
    }
}
OLD_NAME, NEW_NAME = b"cnumpy.core.multiarray\n", b"cnumpy._core.multiarray\n"


def flat(tree, name=""):
    if isinstance(tree, dict):
        return {k: v for key in tree for k, v in flat(tree[key], f"{name}/{key}").items()}
    return {name[1:]: tree}


@pytest.mark.parametrize("protocol", [3, 4])
@pytest.mark.parametrize("old", [False, True])
def test_arrays_are_read_as_they_were_written(protocol, old):
    content = pickle.dumps(ARRAYS, protocol)
    if old:
        content = content.replace(NEW_NAME, OLD_NAME)
    found, expected = read_arrays("a.ckpt", content), flat(ARRAYS)
    assert list(found) == list(expected)
    for name, array in found.items():
        assert array.dtype == expected[name].dtype
        np.testing.assert_array_equal(array, expected[name])
        assert array.flags.writeable


def test_the_order_of_bytes_is_heeded():
    (found,) = read_arrays("a", pickle.dumps({"a": np.arange(5, dtype=">f4")}, 3)).values()
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.arange(5))


class Runs:
    """What is unpickled calls a function."""

    def __init__(self, function, *arguments):
        self.called = function, arguments

    def __reduce__(self):
        return self.called


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("function", "argument", "told"),
    [
        (os.system, "touch executed", "names posix.system, and nothing of it was run"),
        (eval, "open('executed', 'w')", "names .*builtin.*.eval, and nothing of it was run"),
        (open, "executed", "names _?io.open, and nothing of it was run"),
        (np.load, "executed", "names numpy.load, and nothing of it was run"),
        (np.zeros, 3, "names numpy.* zeros|names numpy.*.zeros, and nothing of it was run"),
    ],
)
def test_code_is_refused_by_its_name_and_not_run(
    protocol, function, argument, told, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for forged in (Runs(function, argument), ARRAYS | {"more": Runs(function, argument)}):
        content = pickle.dumps(forged, protocol)
        with pytest.raises(UnpairedError) as error:
            read_arrays("a.ckpt", content)
        assert str(error.value).startswith("a.ckpt: not a pickle of NumPy arrays alone (")
        assert "\n" not in str(error.value)
        assert not (tmp_path / "executed").exists()
    if protocol in (2, 3, 4):
        with pytest.raises(UnpairedError, match=told):
            read_arrays("a.ckpt", pickle.dumps(Runs(function, argument), protocol))


ARRAY = pickle.dumps({"a": np.ones(2, "f4")}, 3)
MAKE = b"cnumpy.core.multiarray\n_reconstruct\n"


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the file is empty"),
        (b"not a pickle", "at position"),
        (b"(S'touch executed'\nios\nsystem\n.", "instruction STRING"),
        (b"(ios\nsystem\n.", "instruction INST"),
        (b"\x80\x03cos\nsystem\nX\x04\x00\x00\x00true\x85R.", "names os.system"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "names os.system"),
        (b"\x80\x02\x82\x01.", "instruction EXT1"),
        (b"\x80\x03X\x01\x00\x00\x00aQ.", "instruction BINPERSID"),
        (b"\x80\x03cnumpy\nndarray\n)\x81.", "instruction NEWOBJ"),
        (b"\x80\x03cnumpy\nndarray\n)R.", "other than arrays"),
        (b"\x80\x03cnumpy\ndtype\nX\x01\x00\x00\x00O\x85R.", "other than arrays"),
        (b"\x80\x03" + MAKE + b"cnumpy\ndtype\n\x85R.", "other than arrays"),
        (b"\x80\x03" + MAKE + b"}b.", "a state to something other than arrays"),
        (b"\x80\x03cnumpy\ndtype\n.", "other than an array at ''"),
        (b"\x80\x03K\x01.", "other than an array at ''"),
        (b"\x80\x03R.", "its stack is empty"),
        (b"\x80\x03u.", "make no sense"),
        (b"\x80\x03h\x07.", "make no sense"),
        (b"\x80\x03.", "not enough values"),
        (b"\x80\x03}q\x00X\x01\x00\x00\x00ah\x00s.", "other than an array at 'a'"),
        (b"\x80\x03}K\x01K\x01s.", "keys that are no texts"),
        (ARRAY.replace(b"f4", b"f8"), "another size than its numbers"),
        (ARRAY.replace(b"K\x02\x85", b"K\x03\x85"), "another size than its numbers"),
        (ARRAY.replace(b"K\x02\x85", b"J\xff\xff\xff\xff\x85"), "another size than its numbers"),
        (ARRAY.replace(b"<", b"|"), "without an order of bytes"),
    ],
)
def test_anything_else_is_one_line(content, told):
    with pytest.raises(UnpairedError, match=told) as error:
        read_arrays("a.ckpt", content)
    assert str(error.value).startswith("a.ckpt: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "value",
    [
        np.array([1, "a", None], object),
        np.array(["text"]),
        np.arange(3),
        np.ones(2, complex),
        np.zeros(2, [("a", "f4")]),
        np.float32(1),
        [np.ones(2)],
        3,
        None,
    ],
)
def test_dictionaries_hold_arrays_of_floating_point_numbers_alone(value):
    with pytest.raises(UnpairedError, match="not a pickle of NumPy arrays alone"):
        read_arrays("a.ckpt", pickle.dumps({"a": value}, 3))
    with pytest.raises(UnpairedError, match="not a pickle of NumPy arrays alone"):
        read_arrays("a.ckpt", pickle.dumps(np.ones(2, "f4"), 3))


def test_a_small_file_makes_no_large_one():
    inner = {"a": np.ones(1, "f4")}
    for _ in range(40):
        inner = {"left": inner, "right": inner}
    with pytest.raises(UnpairedError, match="other than an array at 'left/left"):
        read_arrays("a.ckpt", pickle.dumps(inner, 3))
    deep = b"\x80\x03" + b"}X\x01\x00\x00\x00a" * 20_000 + b"}" + b"s" * 20_000 + b"."
    with pytest.raises(UnpairedError, match="make no sense"):
        read_arrays("a.ckpt", deep)


def test_a_cut_file_is_noticed_wherever_it_ends():
    content = pickle.dumps(ARRAYS, 3)
    for length in range(len(content)):
        with pytest.raises(UnpairedError, match=r"a\.ckpt: "):
            read_arrays("a.ckpt", content[:length])


def test_changed_bytes_are_read_or_refused_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    content = pickle.dumps({"a": np.ones(2, "f4"), "b": {"c": np.ones((2, 1), "f4")}}, 3)
    rng = np.random.default_rng(1)
    for _ in range(3000):
        changed = bytearray(content)
        for place in rng.integers(len(content), size=rng.integers(1, 4)):
            changed[place] = rng.integers(256)
        with suppress(UnpairedError):
            assert all(isinstance(v, np.ndarray) for v in read_arrays("a", bytes(changed)).values())
    assert not list(tmp_path.iterdir())
