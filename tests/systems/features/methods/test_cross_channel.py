"""Cross-channel encoders: closed forms of the losses, what networks cannot see, a tiny training."""

from __future__ import annotations

import math

import pytest
import torch

from tests.systems.features.things import TINY, things_pack
from unpaired.core.errors import UnpairedError
from unpaired.imaging.color.lab import lab_to_rgb, rgb_to_lab
from unpaired.learning.method import TrainingState
from unpaired.learning.training import train
from unpaired.learning.weights import load_model, save_model
from unpaired.networks.alexnet_caffe import LAYERS
from unpaired.systems.features.methods.cross_channel import (
    CrossChannel,
    CrossChannelConfig,
    at_outputs,
    lightness_bins,
)
from unpaired.systems.features.methods.encoder import scaled_lab

STATE = TrainingState(1, 0, 0, 0.0)


def method(**options) -> CrossChannel:
    torch.manual_seed(0)
    return CrossChannel(CrossChannelConfig(**(TINY | options)))


def without_opinion(made: CrossChannel) -> CrossChannel:
    """Return it with outputs that are zero everywhere."""
    for network in made.networks:
        torch.nn.init.zeros_(network.head[-1].weight)
        torch.nn.init.zeros_(network.head[-1].bias)
    return made


def batch(count: int = 4) -> dict:
    generator = torch.Generator().manual_seed(3)
    image = torch.rand(count, 3, 41, 41, generator=generator)
    return {"image": image, "sample": torch.arange(count)}


def test_one_without_an_opinion_is_wrong_by_the_logarithm_of_the_bins():
    losses = without_opinion(method()).losses(batch(), STATE)
    assert losses["0_l_to_ab"].item() == pytest.approx(math.log(313), rel=1e-5)
    assert losses["1_ab_to_l"].item() == pytest.approx(math.log(50), rel=1e-5)
    assert losses["loss"].item() == pytest.approx(math.log(313) + math.log(50), rel=1e-5)


def test_regression_is_half_the_square_at_every_8th_pixel():
    made = without_opinion(method(tasks="lab_to_lab", losses="regression"))
    given = batch()
    lab = made.mirrored_lab(given, STATE)
    wanted = lab[..., ::8, ::8].square().sum(1).mean() / 2
    assert made.losses(given, STATE)["loss"].item() == pytest.approx(wanted.item(), rel=1e-5)


def test_each_task_may_have_its_own_loss():
    """The ensembled row of Table 5.4: colors by classification, and by regression."""
    given, made = batch(), method(tasks="l_to_ab l_to_ab", losses="classification regression")
    losses = without_opinion(made).losses(given, STATE)
    colors = made.mirrored_lab(given, STATE)[:, 1:, ::8, ::8]
    assert losses["0_l_to_ab"].item() == pytest.approx(math.log(313), rel=1e-5)
    expected = colors.square().sum(1).mean().item() / 2
    assert losses["1_l_to_ab"].item() == pytest.approx(expected, rel=1e-5)


def test_half_of_the_input_is_zeroed_and_the_target_is_whole():
    made = without_opinion(method(tasks="lab_to_lab", losses="regression", dropped=0.5))
    given, shown = batch(), []
    made.networks[0].register_forward_pre_hook(lambda _, inputs: shown.append(inputs[0]))
    loss = made.losses(given, STATE)["loss"].item()
    lab = made.mirrored_lab(given, STATE)
    (seen,) = shown
    is_there = seen != 0
    assert is_there.float().mean().item() == pytest.approx(0.5, abs=0.02)
    torch.testing.assert_close(seen[is_there], 2 * lab[is_there])
    assert loss == pytest.approx(lab[..., ::8, ::8].square().sum(1).mean().item() / 2, rel=1e-5)


def test_a_network_of_several_tasks_has_their_mean():
    """Equation 5.5 with lambda = 1/3."""
    tasks = "l_to_ab ab_to_l lab_to_lab"
    losses = without_opinion(method(tasks=tasks, losses="regression", is_shared=True)).losses(
        batch(), STATE
    )
    own = [losses[f"{number}_{task}"] for number, task in enumerate(tasks.split())]
    assert losses["loss"].item() == pytest.approx(torch.stack(own).mean().item(), rel=1e-5)
    assert own[2].item() == pytest.approx((own[0] + own[1]).item(), rel=1e-5)


@pytest.mark.parametrize("is_shared", [False, True])
def test_a_task_sees_nothing_of_what_it_predicts(is_shared):
    made = method(losses="regression", is_shared=is_shared).eval()
    lab = scaled_lab(batch()["image"])
    other = lab.clone()
    other[:, 1:] += torch.randn(other[:, 1:].shape)
    with torch.inference_mode():
        first, second = (made._predicted("l_to_ab", 0, one)[0] for one in (lab, other))
        torch.testing.assert_close(first, second)
        third, fourth = (made._predicted("ab_to_l", 1, one)[0] for one in (lab, other))
    assert (third - fourth).abs().max() > 1e-3


def test_the_halves_of_a_split_brain_stand_side_by_side():
    """Colors change the second half of every layer's channels and none of the first."""
    made = method().eval()
    lab = rgb_to_lab(batch()["image"].double()) * torch.tensor([0.2, 0.1, 0.1]).view(3, 1, 1)
    lab[:, :1] += 40
    gray = lab.clone()
    gray[:, 1:] = 0
    with torch.inference_mode():
        colored, plain = (made.features(lab_to_rgb(one).float()) for one in (lab, gray))
    for layer in LAYERS:
        half = colored[layer].shape[1] // 2
        torch.testing.assert_close(
            colored[layer][:, :half], plain[layer][:, :half], rtol=1e-3, atol=1e-3
        )
        assert (colored[layer][:, half:] - plain[layer][:, half:]).abs().max() > 1e-2


def test_bins_of_lightness_are_two_wide():
    lightness = torch.tensor([0.0, 1.99, 2.0, 51.0, 99.9, 100.0])
    assert lightness_bins((lightness - 50) / 50).tolist() == [0, 0, 1, 25, 49, 49]


def test_targets_are_single_pixels():
    planes = torch.arange(41 * 41.0).view(1, 1, 41, 41)
    torch.testing.assert_close(at_outputs(planes, (6, 6), 8), planes[..., ::8, ::8])
    assert at_outputs(planes, (7, 6), 8)[0, 0, 6, 0] == planes[0, 0, 40, 0]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"tasks": "l_to_rgb"}, "no tasks 'l_to_rgb'"),
        ({"losses": "hinge"}, "no losses 'hinge'"),
        ({"losses": "regression regression regression"}, "one for each"),
        ({"tasks": "lab_to_lab"}, "set losses to regression"),
        ({"is_shared": True}, "set losses to regression"),
        ({"losses": "regression", "dropped": 1.0}, "dropped must be"),
    ],
)
def test_settings_that_make_no_sense_are_one_line(options, told):
    with pytest.raises(UnpairedError, match=told):
        method(**options)


def test_pictures_that_are_too_small_are_one_line():
    with pytest.raises(UnpairedError, match="needs 23 px at least"):
        method().features(torch.zeros(1, 3, 22, 40))


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    return things_pack(tmp_path_factory.mktemp("packs") / "things.h5", range(160))


def test_it_learns_and_is_published_without_normalization(pack, tmp_path):
    made = method(images_seen=800)
    samples = made.samples([pack], seed=1, noise=None, noise_draw="fresh")
    assert set(samples[0]) == {"image", "sample"}
    train(made, samples, seed=1, device="cpu", precision="fp32", on_step=lambda: None)
    given = {"image": torch.stack([samples[k]["image"] for k in range(64)])}
    loss = made.losses(given | {"sample": torch.arange(64)}, STATE)["loss"].item()
    assert loss < 0.9 * (math.log(313) + math.log(50)), loss
    save_model(tmp_path / "m.safetensors", "cross_channel", made)
    _, loaded = load_model(tmp_path / "m.safetensors")
    with torch.inference_mode():
        expected = made.eval().features(given["image"])["conv5"]
        torch.testing.assert_close(loaded.features(given["image"])["conv5"], expected)


def test_kmeans_sets_the_convolutions_of_both_halves_and_no_head(pack):
    made, plain = method(initialization="kmeans"), method()
    made.prepare(made.samples([pack], seed=1, noise=None, noise_draw="fresh"), seed=1)
    for ours, random in zip(made.networks, plain.networks, strict=True):
        for own, other in zip(ours.convolutions, random.convolutions, strict=True):
            assert not torch.equal(own.weight, other.weight)
        assert torch.equal(ours.head[0].weight, random.head[0].weight)
