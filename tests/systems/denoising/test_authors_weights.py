from __future__ import annotations

import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn import functional
from typer.testing import CliRunner

from unpaired.cli import app
from unpaired.core.errors import UnpairedError
from unpaired.learning.authors_weights import import_weights
from unpaired.learning.create import create
from unpaired.learning.weights import load_model, read_notes, save_model
from unpaired.networks.feature_networks import build

# As listed for the authors' files: weights by name; every one has a bias.
SHAPES = {
    "enc_conv0": (48, 3, 3, 3),
    **{f"enc_conv{n}": (48, 48, 3, 3) for n in range(1, 7)},
    "up5.deconv": (48, 48, 2, 2),
    **{f"dec_conv5{ab}": (96, 96, 3, 3) for ab in "ab"},
    **{f"up{n}.deconv": (96, 96, 2, 2) for n in (4, 3, 2, 1)},
    **{f"dec_conv{n}a": (96, 144, 3, 3) for n in (4, 3, 2)},
    **{f"dec_conv{n}b": (96, 96, 3, 3) for n in (4, 3, 2)},
    "dec_conv1a": (96, 99, 3, 3),
    "dec_conv1b": (96, 96, 3, 3),
    "nin_a": (96, 96, 1, 1),
    "nin_b": (96, 96, 1, 1),
    "nin_c": (3, 96, 1, 1),
}


@pytest.fixture
def official():
    generator = torch.Generator().manual_seed(0)

    def draw(shape, scale):
        return scale * torch.randn(shape, generator=generator)

    state = {}
    for name, shape in SHAPES.items():
        fan_in = shape[1] * shape[2] * shape[3]
        state[f"{name}.weight"] = draw(shape, (2 / fan_in) ** 0.5)
        state[f"{name}.bias"] = draw(shape[1 if "deconv" in name else 0], 0.1)
    return state


def authors_forward(state, image):
    """The authors' network written out by their names, from the layout of their files."""

    def conv(name, x, act=True):
        weight = state[f"{name}.weight"]
        x = functional.conv2d(x, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2)
        return functional.leaky_relu(x, 0.2) if act else x

    pool1 = functional.max_pool2d(conv("enc_conv1", conv("enc_conv0", image)), 2)
    pools = [image, pool1]
    for level in (2, 3, 4, 5):
        pools.append(functional.max_pool2d(conv(f"enc_conv{level}", pools[-1]), 2))
    x = conv("enc_conv6", pools.pop())
    for level in (5, 4, 3, 2, 1):
        name = f"up{level}.deconv"
        x = functional.conv_transpose2d(x, state[f"{name}.weight"], state[f"{name}.bias"], stride=2)
        x = torch.cat((x, pools.pop()), 1)
        x = conv(f"dec_conv{level}b", conv(f"dec_conv{level}a", x))
    return conv("nin_c", conv("nin_b", conv("nin_a", x)), act=False)


def test_imported_weights_compute_what_the_authors_network_computes(tmp_path, official):
    assert len(official) == 50
    assert sum(value.numel() for value in official.values()) == 1_259_475
    source = tmp_path / "model_gauss5-50_b4e100r02.pth"
    torch.save(official, source)
    target, _ = import_weights("neighbor2neighbor", source, output=tmp_path / "n.safetensors")
    name, method = load_model(target)
    assert name == "neighbor2neighbor"
    assert method.config == create("neighbor2neighbor").config
    image = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        ours, theirs = method.network(image), authors_forward(official, image)
    assert torch.allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_authors_file_name_says_where_it_goes(tmp_path, official, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for stem, noise in (("model_gauss5-50_b4e100r02", None), ("mine", "poisson30")):
        torch.save(official, tmp_path / f"{stem}.pth")
        path, _ = import_weights("neighbor2neighbor", tmp_path / f"{stem}.pth", noise)
        assert path.as_posix() == f"weights/neighbor2neighbor/{noise or 'gauss5_50'}.safetensors"
        assert path.is_file()
    with pytest.raises(UnpairedError, match="add --noise"):
        import_weights("neighbor2neighbor", tmp_path / "mine.pth")


def test_every_mismatch_is_listed(tmp_path, official):
    path = tmp_path / "model_gauss25_b4e100r02.pth"
    del official["nin_a.bias"]
    official["nin_c.weight"] = torch.zeros(4, 96, 1, 1)
    official["extra"] = torch.zeros(1)
    torch.save(official, path)
    with pytest.raises(UnpairedError) as caught:
        import_weights("neighbor2neighbor", path, output=tmp_path / "n.safetensors")
    for part in (
        "nin_a.bias: missing instead of (96,)",
        "nin_c.weight: (4, 96, 1, 1) instead of (3, 96, 1, 1)",
        "extra: not expected",
    ):
        assert part in str(caught.value)
    assert not (tmp_path / "n.safetensors").exists()


class Evil:
    def __reduce__(self):
        return (print, ("unpickled",))


def test_nothing_but_tensors_is_ever_loaded(tmp_path, capsys, official):
    path = tmp_path / "model_gauss25_b4e100r02.pth"
    torch.save({"a": Evil()}, path)
    with pytest.raises(UnpairedError, match="not a PyTorch file of tensors alone"):
        import_weights("neighbor2neighbor", path, output=tmp_path / "n.safetensors")
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(UnpairedError, match="not a PyTorch file of tensors alone"):
        import_weights("neighbor2neighbor", path, output=tmp_path / "n.safetensors")
    assert "unpickled" not in capsys.readouterr().out
    path.write_bytes(b"")
    with pytest.raises(UnpairedError, match="the file is empty"):
        import_weights("neighbor2neighbor", path, output=tmp_path / "n.safetensors")
    torch.save([1, 2], path)
    with pytest.raises(UnpairedError, match="other than named tensors"):
        import_weights("neighbor2neighbor", path, output=tmp_path / "n.safetensors")
    official["nin_a.bias"][0] = float("nan")
    torch.save(official, path)
    with pytest.raises(UnpairedError, match="not finite"):
        import_weights("neighbor2neighbor", path, output=tmp_path / "n.safetensors")
    with pytest.raises(UnpairedError, match="no such file"):
        import_weights("neighbor2neighbor", tmp_path / "model_gauss25_b4e100r02")
    with pytest.raises(UnpairedError, match="did you mean 'neighbor2neighbor'"):
        import_weights("nieghbor2neighbor", path)


def test_torchvisions_file_becomes_a_distance_of_its_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = build("squeeze")
    path = tmp_path / "squeezenet1_1-b8a52dc0.pth"
    torch.save(network.state_dict(), path)
    written, option = import_weights("lpips", path)
    assert option == "--net"
    assert written.as_posix() == "weights/lpips/squeeze.safetensors"
    name, method = load_model(written)
    assert (name, method.config.net, method.config.form) == ("lpips", "squeeze", "unweighted")
    found = method.metric.network.state_dict()
    assert all(torch.equal(value, found[key]) for key, value in network.state_dict().items())
    learner = create("lpips", net="squeeze", form="lin")
    learner.start_from(method)
    weight = learner.metric.network.features[0].weight
    assert torch.equal(weight, network.features[0].weight)
    other = path.rename(tmp_path / "network.pth")
    with pytest.raises(UnpairedError, match="not a file name of torchvision's"):
        import_weights("lpips", other)


# ---- The colorizer ------------------------------------------------------------------------------

# As the authors' PyTorch port, eccv16, has them: outputs of every convolution of blocks 1 to 7,
# stride of the last one, dilation.
ECCV16 = [
    ((64, 64), 2, 1),
    ((128, 128), 2, 1),
    ((256, 256, 256), 2, 1),
    ((512, 512, 512), 1, 1),
    ((512, 512, 512), 1, 2),
    ((512, 512, 512), 1, 2),
    ((512, 512, 512), 1, 1),
]


@pytest.fixture(scope="module")
def eccv16():
    """A file's content in that layout: random weights, with statistics that keep features alive."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape):
        return torch.randn(shape, generator=generator)

    state, inputs = {}, 1
    for block, (outputs, _, _) in enumerate(ECCV16, 1):
        for index, count in enumerate(outputs):
            gain = (2 / (9 * inputs)) ** 0.5
            state[f"model{block}.{2 * index}.weight"] = gain * draw(count, inputs, 3, 3)
            state[f"model{block}.{2 * index}.bias"] = 0.1 * draw(count)
            inputs = count
        norm = f"model{block}.{2 * len(outputs)}"
        state[f"{norm}.weight"] = 1 + 0.3 * draw(inputs)
        state[f"{norm}.bias"] = 0.3 * draw(inputs)
        state[f"{norm}.running_mean"] = 0.3 + 0.1 * draw(inputs)
        state[f"{norm}.running_var"] = 0.2 + 0.1 * draw(inputs).abs()
        state[f"{norm}.num_batches_tracked"] = torch.tensor(450_000)
    for layer, shape in ((0, (512, 256, 4, 4)), (2, (256, 256, 3, 3)), (4, (256, 256, 3, 3))):
        state[f"model8.{layer}.weight"] = 0.03 * draw(*shape)
        state[f"model8.{layer}.bias"] = 0.1 * draw(256)
    state["model8.6.weight"] = 0.1 * draw(313, 256, 1, 1)
    state["model8.6.bias"] = draw(313)
    state["model_out.weight"] = draw(2, 313, 1, 1)
    return state


@pytest.fixture(scope="module")
def eccv16_file(eccv16, tmp_path_factory):
    path = tmp_path_factory.mktemp("eccv16") / "colorization_release_v2-9b330a0b.pth"
    torch.save(OrderedDict(eccv16), path)
    return path


@pytest.fixture(scope="module")
def imported(eccv16_file, tmp_path_factory):
    output = tmp_path_factory.mktemp("imported") / "eccv16.safetensors"
    return import_weights("colorization", eccv16_file, output=output)[0]


def eccv16_forward(state, lightness):
    """The authors' network written out by their names: logits, and ab in Lab units."""
    x = (lightness - 50) / 100
    for block, (outputs, stride, dilation) in enumerate(ECCV16, 1):
        for index in range(len(outputs)):
            name = f"model{block}.{2 * index}"
            x = functional.conv2d(
                x,
                state[f"{name}.weight"],
                state[f"{name}.bias"],
                stride=stride if index == len(outputs) - 1 else 1,
                padding=dilation,
                dilation=dilation,
            ).relu()
        norm = [
            state[f"model{block}.{2 * len(outputs)}.{kind}"][:, None, None]
            for kind in ("running_mean", "running_var", "weight", "bias")
        ]
        x = (x - norm[0]) / (norm[1] + 1e-5).sqrt() * norm[2] + norm[3]
    weights = [(state[f"model8.{n}.weight"], state[f"model8.{n}.bias"]) for n in (0, 2, 4, 6)]
    x = functional.conv_transpose2d(x, *weights[0], stride=2, padding=1).relu()
    x = functional.conv2d(x, *weights[1], padding=1).relu()
    x = functional.conv2d(x, *weights[2], padding=1).relu()
    logits = functional.conv2d(x, *weights[3])
    ab = functional.conv2d(logits.softmax(1), state["model_out.weight"])
    return logits, 110 * functional.interpolate(ab, scale_factor=4, mode="bilinear")


def test_the_imported_colorizer_computes_what_the_authors_network_computes(eccv16, imported):
    name, method = load_model(imported)
    assert name == "colorization"
    # In double precision: the softmax of steep logits would show the order of single sums.
    state = {key: value.double() for key, value in eccv16.items()}
    method.double()
    generator = torch.Generator().manual_seed(1)
    lightness = 100 * torch.rand(2, 1, 40, 64, generator=generator, dtype=torch.float64)
    with torch.inference_mode():
        logits, ab = eccv16_forward(state, lightness)
        found = method.network(lightness), method.colorize(lightness)
    for ours, theirs in zip(found, (logits, ab), strict=True):
        assert theirs.std() > 0.1
        assert (ours - theirs).abs().max() < 1e-5 * theirs.abs().max()
    assert logits.softmax(1).amax(1).mean() > 2 / 313  # The colors are no mean of all bins.
    assert read_notes(imported)["train_set"] == "imagenet_train"


def test_a_gray_picture_is_colored_with_the_imported_weights(imported, tmp_path):
    gray = np.tile(np.linspace(40, 200, 50, dtype=np.uint8), (40, 1))
    Image.fromarray(gray).save(tmp_path / "gray.png")
    command = ["colorize", str(tmp_path / "gray.png"), "-o", str(tmp_path / "colored.png")]
    done = CliRunner().invoke(app, [*command, "--model", str(imported), "--device", "cpu"])
    assert done.exit_code == 0, done.output
    assert "warning" not in done.output
    with Image.open(tmp_path / "colored.png") as picture:
        assert (picture.mode, picture.size) == ("RGB", (50, 40))
        assert np.ptp(np.asarray(picture).astype(int), axis=-1).max() > 5


def test_the_colorizers_file_may_be_wrapped_and_lack_what_old_pytorch_did_not_keep(
    eccv16, tmp_path, capsys
):
    kept = {k: v for k, v in constant(eccv16).items() if not k.endswith("num_batches_tracked")}
    torch.save({"state_dict": {f"module.{k}": v for k, v in kept.items()}}, tmp_path / "w.pth")
    output, _ = import_weights(
        "colorization", tmp_path / "w.pth", output=tmp_path / "w.safetensors"
    )
    assert "'state_dict' and the prefix 'module.' taken off" in capsys.readouterr().out
    network = load_model(output)[1].network
    assert (network.head.weight == 0.5).all()
    assert (network.body[0][0].weight == 0.25).all()


def constant(state):
    """Tensors of the same shapes and types that take no room in a file."""
    return {k: torch.tensor(0.5).to(v.dtype).expand(v.shape) for k, v in state.items()}


def _without_bias(state):
    del state["model3.2.bias"]
    return "model3.2.bias: missing instead of (256,)"


def _with_more(state):
    state["model9.0.weight"] = torch.ones(1)
    return "model9.0.weight: not expected"


def _of_other_bins(state):
    state["model8.6.weight"] = torch.zeros(529, 256, 1, 1)
    return "model8.6.weight: (529, 256, 1, 1) instead of (313, 256, 1, 1)"


def _in_half_precision(state):
    state["model1.0.weight"] = state["model1.0.weight"].half()
    return "model1.0.weight: (64, 1, 3, 3) of float16 instead of (64, 1, 3, 3)"


def _of_another_input(state):
    state["model1.0.weight"] = torch.zeros(64, 4, 3, 3)
    return "model1.0.weight: (64, 4, 3, 3) instead of (64, 1, 3, 3)"


@pytest.mark.parametrize(
    "spoil", [_without_bias, _with_more, _of_other_bins, _in_half_precision, _of_another_input]
)
def test_any_other_layout_of_a_colorizer_is_refused_by_name(eccv16, tmp_path, spoil):
    state = constant(eccv16)
    told = spoil(state)
    torch.save(state, tmp_path / "w.pth")
    with pytest.raises(UnpairedError) as caught:
        import_weights("colorization", tmp_path / "w.pth", output=tmp_path / "w.safetensors")
    assert told in str(caught.value)
    assert not (tmp_path / "w.safetensors").exists()


IMPORTABLE = {
    "neighbor2neighbor": "model_gauss25_b4e100r02.pth",
    "colorization": "colorization_release_v2-9b330a0b.pth",
    "local_hints": "siggraph17-df00044c.pth",
    "lpips": "squeezenet1_1-b8a52dc0.pth",
    "stylegan2": "stylegan2-ffhq-config-f.pt",
    "bicyclegan": "edges2shoes_net_G.pth",
}


@pytest.mark.parametrize("method", IMPORTABLE)
@pytest.mark.parametrize(
    ("write", "told"),
    [
        (lambda p: None, "no such file"),
        (lambda p: p.touch(), "the file is empty"),
        (lambda p: p.mkdir(), "a folder"),
        (lambda p: p.write_bytes(b"PK\x03\x04" + bytes(99)), "not a PyTorch file"),
        (lambda p: p.write_bytes(b"\x80\x02garbage"), "not a PyTorch file"),
        (lambda p: save_file({"a": torch.ones(1)}, p), "a: not expected"),
        (lambda p: torch.save({"a": torch.ones(1)}, p), "a: not expected"),
        (lambda p: save_model(p, "n2c", create("n2c", width=4)), "use it with --model"),
    ],
)
def test_bad_files_are_one_line_for_every_importer(method, write, told, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / IMPORTABLE[method]
    write(path)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(UnpairedError, match=told) as caught:
        import_weights(method, path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_was_imported_is_not_overwritten_unless_asked_for(official, tmp_path):
    source, output = tmp_path / "model_gauss25_b4e100r02.pth", tmp_path / "n.safetensors"
    torch.save(official, source)
    output.write_text("precious")
    with pytest.raises(UnpairedError, match=r"n\.safetensors: there already; .*--overwrite"):
        import_weights("neighbor2neighbor", source, output=output)
    assert output.read_text() == "precious"
    import_weights("neighbor2neighbor", source, output=output, overwrite=True)
    assert load_model(output)[0] == "neighbor2neighbor"
    with pytest.raises(UnpairedError, match=r"\.pth: a \.safetensors file is written"):
        import_weights("neighbor2neighbor", source, output=source, overwrite=True)
    below = source / "n.safetensors"
    for place, told in ((tmp_path, "a folder, not a file"), (below, "is a file, not a")):
        with pytest.raises(UnpairedError, match=told):
            import_weights("neighbor2neighbor", source, output=place, overwrite=True)


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ("colorizatoin", "did you mean 'colorization'"),
        (
            "eccv16",
            "valid: bicyclegan, colorization, ddpm, local_hints, lpips, neighbor2neighbor, "
            "stylegan2",
        ),
        ("lpip", "did you mean 'lpips'"),
    ],
)
def test_an_unknown_method_is_told_the_nearest(method, told, tmp_path):
    with pytest.raises(UnpairedError, match=told):
        import_weights(method, tmp_path / "x.pth")


def test_a_noise_is_refused_where_it_has_no_meaning(tmp_path):
    for method in ("colorization", "lpips"):
        with pytest.raises(UnpairedError, match="--noise has no meaning"):
            import_weights(method, tmp_path / IMPORTABLE[method], "gauss25")
