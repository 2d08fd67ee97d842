"""Weights in the authors' layout: what they compute here, and what is refused."""

from __future__ import annotations

import math

import pytest
import torch
from PIL import Image
from torch.nn import functional

from unpaired.core.errors import UnpairedError
from unpaired.learning.authors_weights import import_weights
from unpaired.learning.weights import load_model, read_about
from unpaired.networks.bicyclegan import TO_ALL, TO_INPUT
from unpaired.systems.translation.translate import Options, translate

# Narrow networks of 64 px in the layout of the published ones, whose widths are eight times these.
WIDTH, LEVELS, CODE = 4, 6, 5
WIDTHS = [4, 8, 16, 32, 32, 32]


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape) * (2 / math.prod(shape[1:])) ** 0.5


def layer(state: dict, name: str, *shape: int, outputs: int | None = None) -> None:
    state[f"{name}.weight"] = random(*shape)
    state[f"{name}.bias"] = 0.1 * torch.randn(shape[0] if outputs is None else outputs)


def place_of(injection: str, level: int) -> tuple[str, str, str]:
    """Return the start of a level's names, and its convolutions' down and up."""
    outer, inner = level == 0, level == LEVELS - 1
    if injection == TO_ALL:
        return "model." + level * "submodule.", "down.0" if outer else "down.1", "up.1"
    start = "model.model." + ("" if outer else "1.model." + (level - 1) * "3.model.")
    return start, "0" if outer else "1", "3" if outer or inner else "5"


def generator_file(injection: str, channels: int) -> dict:
    state: dict = {}
    for level, width in enumerate(WIDTHS):
        start, down, up = place_of(injection, level)
        code = CODE if injection == TO_ALL or not level else 0
        given = (WIDTHS[level - 1] if level else channels) + code
        layer(state, start + down, width, given, 4, 4)
        wanted = WIDTHS[level - 1] if level else 3
        inside = width * (1 if level == LEVELS - 1 else 2)
        layer(state, start + up, inside, wanted, 4, 4, outputs=wanted)
    return state


def encoder_file(kind: str) -> dict:
    state: dict = {}
    layer(state, "conv.0", WIDTH, 3, 4, 4)
    if kind == "cnn":
        for place, (given, wanted) in {2: (4, 8), 5: (8, 16)}.items():
            layer(state, f"conv.{place}", wanted, given, 4, 4)
        last = 16
    else:
        for block, (given, wanted) in {1: (4, 8), 2: (8, 12)}.items():
            layer(state, f"conv.{block}.conv.2", given, given, 3, 3)
            layer(state, f"conv.{block}.conv.5.0", wanted, given, 3, 3)
            layer(state, f"conv.{block}.shortcut.1", wanted, given, 1, 1)
        last = 12
    for head in ("fc.0", "fcVar.0"):
        layer(state, head, CODE, last)
    return state


def their_output(state: dict, injection: str, picture: torch.Tensor, code: torch.Tensor):
    """The nested U-Net written out: every level calls the next one."""
    spread = code[:, :, None, None]

    def level(number: int, x: torch.Tensor) -> torch.Tensor:
        start, down, up = (place_of(injection, number)[k] for k in range(3))
        given = x
        if injection == TO_ALL or not number:
            given = torch.cat([x, spread.expand(-1, -1, *x.shape[2:])], 1)
        if number:
            given = functional.leaky_relu(given, 0.2)
        weights = state[f"{start}{down}.weight"], state[f"{start}{down}.bias"]
        y = functional.conv2d(given, *weights, stride=2, padding=1)
        if 0 < number < LEVELS - 1:
            y = functional.instance_norm(y)
        if number < LEVELS - 1:
            y = level(number + 1, y)
        weights = state[f"{start}{up}.weight"], state[f"{start}{up}.bias"]
        y = functional.conv_transpose2d(functional.relu(y), *weights, stride=2, padding=1)
        return torch.cat([functional.instance_norm(y), x], 1) if number else torch.tanh(y)

    return level(0, picture)


def their_code(state: dict, kind: str, picture: torch.Tensor) -> torch.Tensor:
    def conv(name: str, x: torch.Tensor, **about) -> torch.Tensor:
        return functional.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], **about)

    def active(x: torch.Tensor) -> torch.Tensor:
        return functional.leaky_relu(x, 0.2)

    x = conv("conv.0", picture, stride=2, padding=1)
    if kind == "cnn":
        x = active(x)
        for place in (2, 5):
            x = active(functional.instance_norm(conv(f"conv.{place}", x, stride=2, padding=1)))
    else:
        for block in ("conv.1", "conv.2"):
            y = conv(f"{block}.conv.2", active(functional.instance_norm(x)), padding=1)
            y = conv(f"{block}.conv.5.0", active(functional.instance_norm(y)), padding=1)
            shortcut = conv(f"{block}.shortcut.1", functional.avg_pool2d(x, 2))
            x = functional.avg_pool2d(y, 2) + shortcut
        x = active(x)
    pooled = functional.avg_pool2d(x, x.shape[-1]).flatten(1)
    return functional.linear(pooled, state["fc.0.weight"], state["fc.0.bias"])


@pytest.fixture
def files(tmp_path):
    torch.manual_seed(3)

    def write(injection=TO_ALL, kind="resnet", channels=3, start="edges2shoes"):
        generator, encoder = generator_file(injection, channels), encoder_file(kind)
        path = tmp_path / f"{start}_net_G.pth"
        torch.save(generator, path)
        torch.save(encoder, tmp_path / f"{start}_net_E.pth")
        return path, generator, encoder

    return write


@pytest.mark.parametrize(
    ("injection", "kind", "channels"), [(TO_ALL, "resnet", 1), (TO_INPUT, "cnn", 3)]
)
def test_imported_weights_compute_what_the_authors_networks_do(
    files, tmp_path, injection, kind, channels
):
    path, generator, encoder = files(injection, kind, channels)
    target, option = import_weights("bicyclegan", path, output=tmp_path / "m.safetensors")
    assert option == "--model"
    product = load_model(target)[1]
    picture, code = torch.rand(2, 3, 64, 64), torch.randn(2, CODE)
    given = 2 * picture - 1
    if channels == 1:
        given = 0.299 * given[:, :1] + 0.587 * given[:, 1:2] + 0.114 * given[:, 2:]
    with torch.no_grad():
        made = 2 * product.translate(picture, code) - 1
        expected = their_output(generator, injection, given, code)
        torch.testing.assert_close(made, expected, atol=1e-5, rtol=0)
        found = product.encode(picture)
        torch.testing.assert_close(
            found, their_code(encoder, kind, 2 * picture - 1), atol=1e-5, rtol=1e-5
        )
    assert expected.std() > 0.05
    assert not torch.allclose(expected, their_output(generator, injection, given, -code), atol=1e-3)


def test_the_names_of_files_say_where_they_go(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for start, name in (("edges2shoes", "edges2shoes"), ("latest", tmp_path.name)):
        path, *_ = files(start=start)
        target, _ = import_weights("bicyclegan", path)
        assert target.parent.as_posix() == "weights/bicyclegan"
        assert target.stem.replace("_", "") == name.replace("_", "").replace("-", "").lower()
    assert read_about(target)["config"]["patch_px"] == 64


def test_an_imported_model_translates_and_takes_styles(files, tmp_path):
    target, _ = import_weights("bicyclegan", files()[0], output=tmp_path / "m.safetensors")
    Image.effect_noise((40, 40), 50).convert("RGB").save(tmp_path / "a.png")
    options = Options(target, samples=2)
    assert len(translate([tmp_path / "a.png"], tmp_path / "made", options).written) == 3
    options = Options(target, like=tmp_path / "a.png")
    assert len(translate([tmp_path / "a.png"], tmp_path / "like", options).written) == 2


def test_a_second_import_writes_the_same_bytes(files, tmp_path):
    path, *_ = files()
    targets = [
        import_weights("bicyclegan", path, output=tmp_path / f"{name}.safetensors")[0]
        for name in "ab"
    ]
    assert targets[0].read_bytes() == targets[1].read_bytes()


def test_statistics_of_old_normalizations_are_left_out_and_of_others_refused(files, tmp_path):
    path, generator, _ = files()
    torch.save(generator | {"model.submodule.down.2.running_mean": torch.zeros(8)}, path)
    import_weights("bicyclegan", path, output=tmp_path / "m.safetensors")
    torch.save(generator | {"model.down.0.running_mean": torch.zeros(4)}, path)
    with pytest.raises(UnpairedError, match=r"model\.down\.0\.running_mean: not expected"):
        import_weights("bicyclegan", path, output=tmp_path / "n.safetensors")


def without(state: dict, name: str) -> dict:
    return {key: value for key, value in state.items() if key != name}


INNERMOST = "model." + (LEVELS - 1) * "submodule." + "up.1.bias"


@pytest.mark.parametrize(
    ("generator", "encoder", "message"),
    [
        (lambda s: without(s, INNERMOST), None, f"{INNERMOST}: missing"),
        (lambda s: s | {INNERMOST: torch.zeros(3)}, None, r"up.1.bias: \(3,\) instead of \(32,\)"),
        (lambda s: s | {"extra": torch.zeros(1)}, None, "extra: not expected"),
        (lambda s: s | {INNERMOST: torch.full((32,), torch.nan)}, None, "not finite"),
        (lambda s: without(s, "model.down.0.weight"), None, "not a generator of BicycleGAN"),
        (None, lambda s: without(s, "fcVar.0.bias"), r"fcVar\.0\.bias: missing"),
        (None, lambda s: without(s, "fc.0.weight"), "not an encoder of BicycleGAN"),
        (
            None,
            lambda s: s | {"fc.0.weight": torch.zeros(CODE + 1, 12)},
            "codes have other lengths",
        ),
    ],
)
def test_other_layouts_are_refused_by_name(files, tmp_path, generator, encoder, message):
    path, its_generator, its_encoder = files()
    if generator:
        torch.save(generator(its_generator), path)
    if encoder:
        torch.save(encoder(its_encoder), tmp_path / "edges2shoes_net_E.pth")
    with pytest.raises(UnpairedError, match=message):
        import_weights("bicyclegan", path, output=tmp_path / "m.safetensors")
    assert not (tmp_path / "m.safetensors").exists()


def test_wrong_files_are_told(files, tmp_path):
    path, *_ = files()
    beside = tmp_path / "edges2shoes_net_E.pth"
    with pytest.raises(UnpairedError, match="name the generator's file"):
        import_weights("bicyclegan", beside)
    with pytest.raises(UnpairedError, match="--noise has no meaning"):
        import_weights("bicyclegan", path, "gauss25")
    beside.unlink()
    with pytest.raises(UnpairedError, match=r"edges2shoes_net_E\.pth: no such file"):
        import_weights("bicyclegan", path, output=tmp_path / "m.safetensors")
