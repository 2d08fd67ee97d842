"""Weights of others: tensors alone, of the names and shapes expected. See also authors_weights."""

from __future__ import annotations

import zipfile

import pytest
import torch
from safetensors.torch import save_file

from unpaired.core.errors import UnpairedError
from unpaired.networks.foreign_weights import check_layout, read_tensors

TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(4)}


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_tensors_are_read_from_either_format(tmp_path, suffix):
    path = tmp_path / f"weights{suffix}"
    (torch.save if suffix == ".pth" else save_file)(TENSORS, path)
    found = read_tensors(path)
    assert found.keys() == TENSORS.keys()
    assert all(torch.equal(found[name], value) for name, value in TENSORS.items())


def test_the_content_tells_the_format_whatever_the_suffix(tmp_path):
    save_file(TENSORS, tmp_path / "weights.pth")
    assert read_tensors(tmp_path / "weights.pth").keys() == TENSORS.keys()


@pytest.mark.parametrize(
    ("wrap", "told"),
    [
        (lambda t: {"state_dict": t, "epoch": 3}, "the wrapping 'state_dict'"),
        (lambda t: {"model": t, "optimizer": {"lr": 0.1}}, "the wrapping 'model'"),
        (lambda t: {"params": t}, "the wrapping 'params'"),
        (lambda t: {"params": {}, "params_ema": t}, "the wrapping 'params_ema'"),
        (lambda t: {"model": {"state_dict": t}}, "the wrapping 'model.state_dict'"),
        (lambda t: {f"module.{k}": v for k, v in t.items()}, "the prefix 'module.'"),
        (lambda t: {f"_orig_mod.{k}": v for k, v in t.items()}, "the prefix '_orig_mod.'"),
        (
            lambda t: {"state_dict": {f"module._orig_mod.{k}": v for k, v in t.items()}},
            "the wrapping 'state_dict' and the prefix 'module._orig_mod.'",
        ),
    ],
)
def test_wrappings_and_prefixes_are_taken_off_and_told(tmp_path, capsys, wrap, told):
    torch.save(wrap(TENSORS), tmp_path / "weights.pth")
    found = read_tensors(tmp_path / "weights.pth")
    assert {name: value.tolist() for name, value in found.items()} == {
        name: value.tolist() for name, value in TENSORS.items()
    }
    assert capsys.readouterr().out == f"weights.pth: {told} taken off\n"


def test_a_prefix_that_not_all_names_have_stays(tmp_path, capsys):
    torch.save({"module.a": torch.ones(1), "b": torch.ones(1)}, tmp_path / "weights.pth")
    assert read_tensors(tmp_path / "weights.pth").keys() == {"module.a", "b"}
    assert capsys.readouterr().out == ""


def _cut(path, save):
    save({"a": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:-600])


def _zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "no checkpoint")


@pytest.mark.parametrize(
    ("name", "write", "told"),
    [
        ("gone.pth", None, "no such file"),
        ("cut.safetensors", lambda p: p.write_bytes(b"\x80\x00"), "not a safetensors file"),
        (
            "words.pth",
            lambda p: p.write_text("hello, text"),
            "alone: damaged, or of another kind; dow",
        ),
        ("cut.pth", lambda p: p.write_bytes(b"PK\x03\x04"), "not a PyTorch file of tensors"),
        (
            "code.pth",
            lambda p: torch.save({"a": pytest.fail}, p),
            r"it holds _pytest[\w.]+, which would have",
        ),
        (
            "whole.pth",
            lambda p: torch.save(torch.nn.ReLU(), p),
            "nn.modules.activation.ReLU, which",
        ),
        ("list.pth", lambda p: torch.save([torch.ones(1)], p), "other than named tensors"),
        ("none.pth", lambda p: torch.save({}, p), "other than named tensors"),
        ("epoch.pth", lambda p: torch.save({"epoch": 3}, p), "other than named tensors"),
        ("wrapped.pth", lambda p: torch.save({"model": {"a": 3}}, p), "other than named tensors"),
        ("empty.pth", lambda p: p.touch(), "the file is empty"),
        ("empty.safetensors", lambda p: p.touch(), "the file is empty"),
        ("folder.pth", lambda p: p.mkdir(), "a folder; name the file"),
        ("half.pth", lambda p: _cut(p, torch.save), "not a PyTorch file of tensors"),
        ("half.safetensors", lambda p: _cut(p, save_file), "not a safetensors file"),
        ("zip.pth", lambda p: _zip(p), "not a PyTorch file of tensors"),
        ("text.pth", lambda p: p.write_text("<html>not found</html>"), "not a PyTorch file"),
        ("text.safetensors", lambda p: p.write_text("not found"), "not a safetensors file"),
        ("old.pth", lambda p: p.write_bytes(b"\x80\x02}q\x00."), "not a PyTorch file"),
        ("script.pth", lambda p: torch.jit.script(torch.nn.ReLU()).save(p), "not a PyTorch file"),
        ("closed.pth", lambda p: p.symlink_to(p), "cannot read|no such file"),
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
    expected = {"a": torch.zeros(2, 2), "c": torch.zeros(1)}
    with pytest.raises(UnpairedError) as error:
        check_layout(tmp_path, TENSORS, expected)
    for told in ("a: (2, 3) instead of (2, 2)", "b: not expected", "c: missing instead of (1,)"):
        assert told in str(error.value)
    check_layout(tmp_path, TENSORS, TENSORS)
    halves = {name: value.half() for name, value in TENSORS.items()}
    with pytest.raises(UnpairedError, match=r"b: \(4,\) of float16 instead of \(4,\)"):
        check_layout(tmp_path, halves, TENSORS)
    many = {str(number): torch.ones(1) for number in range(99)}
    with pytest.raises(UnpairedError, match="and 91 more"):
        check_layout(tmp_path, many, TENSORS)
    broken = TENSORS | {"b": torch.full((4,), float("nan"))}
    with pytest.raises(UnpairedError, match="not finite in b"):
        check_layout(tmp_path, broken, broken)
