from __future__ import annotations

import pickle

import pytest
import torch
from torch.nn import functional

from unpaired.authors_weights import import_weights
from unpaired.errors import UnpairedError
from unpaired.methods import create
from unpaired.networks.feature_networks import build
from unpaired.weights import load_model

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
    target = import_weights("neighbor2neighbor", source, output=tmp_path / "n.safetensors")
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
        path = import_weights("neighbor2neighbor", tmp_path / f"{stem}.pth", noise)
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
    with pytest.raises(UnpairedError, match="not a PyTorch file"):
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
        import_weights("neighbour2neighbor", path)


def test_torchvisions_file_becomes_a_distance_of_its_network(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = build("squeeze")
    path = tmp_path / "squeezenet1_1-b8a52dc0.pth"
    torch.save(network.state_dict(), path)
    written = import_weights("lpips", path)
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
