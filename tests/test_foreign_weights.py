"""Weights of others: tensors alone, of the names and shapes expected. See also authors_weights."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from unpaired.errors import UnpairedError
from unpaired.foreign_weights import check_layout, read_tensors

TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(4)}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_tensors_are_read_from_either_format(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    (torch.save if suffix == ".pth" else save_file)(TENSORS, path)
    found = read_tensors(path)
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[name], value) for name, value in TENSORS.items())


@pytest.mark.parametrize(
    ("name", "write", "told"),
    [
        ("gone.pth", None, "no such file"),
        ("cut.safetensors", lambda p: p.write_bytes(b"\x80\x00"), "not a safetensors file"),
        ("cut.pth", lambda p: p.write_bytes(b"PK\x03\x04"), "not a PyTorch file of tensors"),
        ("code.pth", lambda p: torch.save({"a": pytest.fail}, p), "not a PyTorch file of tensors"),
        ("list.pth", lambda p: torch.save([torch.ones(1)], p), "other than named tensors"),
    ],
)
def test_anything_else_is_refused_in_one_line(tmp_path, name, write, told):
    path = tmp_path / name
    if write:
        write(path)
    with pytest.raises(UnpairedError, match=told) as error:
        read_tensors(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)


def test_every_difference_of_the_layout_is_listed(tmp_path):
    expected = {"a": torch.Size((2, 2)), "c": torch.Size((1,))}
    with pytest.raises(UnpairedError) as error:
        check_layout(tmp_path, TENSORS, expected)
    for told in ("a: (2, 3) instead of (2, 2)", "b: not expected", "c: missing instead of (1,)"):
        assert told in str(error.value)
    check_layout(tmp_path, TENSORS, {name: value.shape for name, value in TENSORS.items()})
    broken = TENSORS | {"b": torch.full((4,), float("nan"))}
    with pytest.raises(UnpairedError, match="not finite in b"):
        check_layout(tmp_path, broken, {name: value.shape for name, value in broken.items()})
