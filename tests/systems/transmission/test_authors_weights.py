"""Generators in the layout of StyleGAN2's PyTorch port: read strictly, and the same afterwards."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from tests.systems.transmission import tiny
from unpaired.core.errors import UnpairedError
from unpaired.learning.authors_weights import import_weights
from unpaired.learning.weights import load_model

LATENT, LAYERS, CHANNELS = 8, 2, {4: 8, 8: 8, 16: 6}
KERNEL = torch.outer(*2 * [torch.tensor([1.0, 3.0, 3.0, 1.0])]) / 16


@pytest.fixture
def state():
    """What the port saves of a generator of 16 px, by its names and shapes."""
    drawn = torch.Generator().manual_seed(0)
    found = {}

    def put(name, *shape, mean=0.0):
        found[name] = mean + torch.randn(*shape, generator=drawn)

    def convolution(name, inputs, outputs, kernel_px):
        put(f"{name}.weight", 1, outputs, inputs, kernel_px, kernel_px)
        put(f"{name}.modulation.weight", inputs, LATENT)
        put(f"{name}.modulation.bias", inputs, mean=1.0)

    def layer(name, inputs, outputs):
        convolution(f"{name}.conv", inputs, outputs, 3)
        put(f"{name}.noise.weight", 1)
        put(f"{name}.activate.bias", outputs)

    def colors(name, inputs):
        convolution(f"{name}.conv", inputs, 3, 1)
        put(f"{name}.bias", 1, 3, 1, 1)

    for number in range(LAYERS):
        put(f"style.{number + 1}.weight", LATENT, LATENT)
        found[f"style.{number + 1}.weight"] *= 100
        put(f"style.{number + 1}.bias", LATENT)
    put("input.input", 1, CHANNELS[4], 4, 4)
    layer("conv1", CHANNELS[4], CHANNELS[4])
    colors("to_rgb1", CHANNELS[4])
    for number, (before, after) in enumerate([(4, 8), (8, 16)]):
        layer(f"convs.{2 * number}", CHANNELS[before], CHANNELS[after])
        found[f"convs.{2 * number}.conv.blur.kernel"] = KERNEL.clone()
        layer(f"convs.{2 * number + 1}", CHANNELS[after], CHANNELS[after])
        colors(f"to_rgbs.{number}", CHANNELS[after])
        found[f"to_rgbs.{number}.upsample.kernel"] = KERNEL.clone()
    for number, side in enumerate([4, 8, 8, 16, 16]):
        put(f"noises.noise_{number}", 1, 1, side, side)
    return found


def ports_picture(state, w, noises):
    """What the port computes for one picture, written out by its names; w: rows x D."""

    def linear(name, row):
        return state[f"{name}.weight"] @ row / len(row) ** 0.5 + state[f"{name}.bias"]

    def modulated(name, x, row, demodulate=True, up=False):
        weight = state[f"{name}.weight"][0]
        weight = (
            weight / weight[0].numel() ** 0.5 * linear(f"{name}.modulation", row)[:, None, None]
        )
        if demodulate:
            weight = weight * (weight.square().sum((1, 2, 3), keepdim=True) + 1e-8).rsqrt()
        if not up:
            return functional.conv2d(x, weight, padding=weight.shape[-1] // 2)
        doubled = functional.conv_transpose2d(x, weight.transpose(0, 1), stride=2)
        return blur(functional.pad(doubled, (1, 1, 1, 1)), state[f"{name}.blur.kernel"])

    def blur(x, kernel):
        return functional.conv2d(x.transpose(0, 1), kernel.flip(0, 1)[None, None]).transpose(0, 1)

    def layer(name, x, row, noise, up=False):
        x = modulated(f"{name}.conv", x, row, up=up) + state[f"{name}.noise.weight"] * noise
        bias = state[f"{name}.activate.bias"].view(1, -1, 1, 1)
        return functional.leaky_relu(x + bias, 0.2) * 2**0.5

    def colors(name, x, row):
        return modulated(f"{name}.conv", x, row, demodulate=False) + state[f"{name}.bias"]

    x = layer("conv1", state["input.input"], w[0], noises[0])
    picture = colors("to_rgb1", x, w[1])
    for number in range(2):
        x = layer(f"convs.{2 * number}", x, w[2 * number + 1], noises[2 * number + 1], up=True)
        x = layer(f"convs.{2 * number + 1}", x, w[2 * number + 2], noises[2 * number + 2])
        apart = torch.zeros(1, 3, 2 * picture.shape[2], 2 * picture.shape[3])
        apart[..., ::2, ::2] = picture
        skip = blur(functional.pad(apart, (2, 1, 2, 1)), state[f"to_rgbs.{number}.upsample.kernel"])
        picture = skip + colors(f"to_rgbs.{number}", x, w[2 * number + 3])
    return picture


def imported(tmp_path, content):
    path = tmp_path / "Small-FFHQ.pt"
    torch.save(content, path)
    written, option = import_weights("stylegan2", path, output=tmp_path / "g.safetensors")
    assert option == "weights of a table's model:"
    name, model = load_model(written)
    assert name == "stylegan2"
    return model


def test_imported_weights_make_the_pictures_that_the_port_makes(tmp_path, state, capsys):
    # As the port saves it: averaged weights, and the mean of w beside them.
    model = imported(tmp_path, {"g_ema": state, "latent_avg": torch.zeros(LATENT)})
    assert "'g_ema' taken off" in capsys.readouterr().out
    config = model.config
    assert (config.side_px, config.latent, config.mapping_layers) == (16, LATENT, LAYERS)
    assert (config.width_max, config.width_base) == (8, 96)
    drawn = torch.Generator().manual_seed(1)
    w = torch.randn(2, 6, LATENT, generator=drawn)
    noises = [torch.randn(2, 1, side, side, generator=drawn) for side in model.network.noise_sides]
    with torch.no_grad():
        ours = model.network(w, noises)
    for number in range(2):
        theirs = ports_picture(state, w[number], [one[number : number + 1] for one in noises])
        torch.testing.assert_close(ours[number : number + 1], theirs, atol=1e-4, rtol=1e-4)


def test_latents_have_the_normal_distribution_of_the_mapping_network(tmp_path, state):
    model = imported(tmp_path, state)
    drawn = torch.randn(50_000, LATENT, generator=torch.Generator().manual_seed(3))
    with torch.no_grad():
        true = functional.leaky_relu(model.network.mapping(drawn), 5.0)
        made = functional.leaky_relu(model.to_w(drawn), 5.0)
    torch.testing.assert_close(made.mean(0), true.mean(0), atol=0.05, rtol=0)
    torch.testing.assert_close(made.std(0), true.std(0), atol=0, rtol=0.02)


def test_what_the_tables_look_for_is_what_the_file_of_ffhq_becomes(tmp_path, state, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(state, "stylegan2-ffhq-config-f.pt")
    written, _ = import_weights("stylegan2", tmp_path / "stylegan2-ffhq-config-f.pt")
    assert written.as_posix() == "weights/stylegan2/stylegan2_ffhq_config_f.safetensors"


def test_noises_of_the_file_are_draws_and_may_be_absent(tmp_path, state):
    without = {name: one for name, one in state.items() if not name.startswith("noises.")}
    first, second = imported(tmp_path, state), None
    (tmp_path / "g.safetensors").unlink()
    second = imported(tmp_path, without).state_dict()
    assert all(torch.equal(value, second[name]) for name, value in first.state_dict().items())


def _without_bias(state):
    del state["convs.1.activate.bias"]
    return r"convs\.1\.activate\.bias: missing instead of \(8,\)"


def _with_more(state):
    state["convs.4.noise.weight"] = torch.zeros(1)
    return r"convs\.4\.noise\.weight: not expected"


def _of_another_shape(state):
    state["to_rgb1.bias"] = torch.zeros(3)
    return r"to_rgb1\.bias: \(3,\) instead of \(1, 3, 1, 1\)"


def _with_one_noise_less(state):
    del state["noises.noise_4"]
    return r"noises\.noise_4: missing instead of \(1, 1, 16, 16\)"


def _with_another_blur(state):
    state["to_rgbs.1.upsample.kernel"] = torch.ones(4, 4) / 4
    return r"another blur than 1, 3, 3, 1: to_rgbs\.1\.upsample\.kernel"


def _not_finite(state):
    state["input.input"][0, 0, 0, 0] = torch.nan
    return r"not finite in input\.input"


def _without_channels(state):
    state["convs.3.conv.weight"] = torch.zeros(1, 0, 8, 3, 3)
    return r"w\.pt: width_base of method 'stylegan2' must be 1 at least"


def _of_something_else(state):
    state.clear()
    state["a"] = torch.ones(1)
    return "a: not expected"


@pytest.mark.parametrize(
    "spoil",
    [
        _without_bias,
        _with_more,
        _of_another_shape,
        _with_one_noise_less,
        _with_another_blur,
        _not_finite,
        _without_channels,
        _of_something_else,
    ],
)
def test_any_other_layout_is_refused_by_name(spoil, tmp_path, state):
    told = spoil(state)
    torch.save(state, tmp_path / "w.pt")
    with pytest.raises(UnpairedError, match=told) as caught:
        import_weights("stylegan2", tmp_path / "w.pt", output=tmp_path / "w.safetensors")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "w.safetensors").exists()


def test_there_is_no_training_of_it():
    with pytest.raises(UnpairedError, match="import its weights"):
        tiny.generator().samples([], seed=1, noise=None, noise_draw="fresh")
