from __future__ import annotations

import pytest
import torch
from torch.nn.functional import softplus

from tests.systems.super_resolution.sets import TINY, clean_pack, pairs_pack
from unpaired.core.errors import UnpairedError
from unpaired.learning.create import create
from unpaired.learning.method import TrainingState
from unpaired.learning.schedules import SCHEDULES
from unpaired.learning.training import train
from unpaired.learning.weights import load_model, save_model
from unpaired.systems.super_resolution import features as feature_networks
from unpaired.systems.super_resolution.features import feature_network, vgg19_path
from unpaired.systems.super_resolution.methods.esrgan import relativistic_loss

GAN = TINY | {"feature_network": "random_alex", "discriminator_width": 4}
L1_ALONE = TINY | {"pixel_weight": 1.0, "feature_weight": 0.0, "adversarial_weight": 0.0}


def state(turn=""):
    return TrainingState(1, 0, 0, 0.0, turn=turn)


def batch():
    generator = torch.Generator().manual_seed(0)
    return {
        "small": torch.rand(4, 3, 8, 8, generator=generator),
        "large": torch.rand(4, 3, 32, 32, generator=generator),
        "sample": torch.arange(4),
    }


def test_the_relativistic_loss_is_the_formula():
    winning, losing = torch.randn(5, 1).double(), torch.randn(5, 1).double()
    expected = (
        softplus(-(winning - losing.mean())).mean() + softplus(losing - winning.mean()).mean()
    ) / 2
    assert torch.isclose(relativistic_loss(winning, losing), expected)
    assert relativistic_loss(winning + 9, losing) < relativistic_loss(winning, losing)
    alike = torch.zeros(3, 1)
    assert relativistic_loss(alike, alike).item() == pytest.approx(0.6931, abs=1e-4)


def test_the_generators_loss_is_the_weighted_sum_and_the_turns_oppose_each_other():
    torch.manual_seed(0)
    method = create("esrgan", **GAN, images_seen=8)
    turns = method.phases()[0].turns
    assert list(turns) == ["generator", "discriminator"]
    found = method.losses(batch(), state("generator"))
    weighted = 0.01 * found["pixel"] + 1.0 * found["feature"] + 0.005 * found["adversarial"]
    assert torch.isclose(found["loss"], weighted)
    judged = method.losses(batch(), state("discriminator"))["loss"]
    real = method.discriminator(batch()["large"])
    made = method.discriminator(method.network(batch()["small"]))
    assert torch.isclose(judged, relativistic_loss(real, made), atol=1e-5)


def test_each_turn_moves_its_own_network_alone():
    torch.manual_seed(0)
    method = create("esrgan", **GAN, images_seen=8)
    turns = method.phases()[0].turns
    owned = {
        turn: {id(p) for group in one.param_groups for p in group["params"]}
        for turn, one in turns.items()
    }
    assert owned["generator"] == {id(p) for p in method.network.parameters()}
    assert owned["discriminator"] == {id(p) for p in method.discriminator.parameters()}
    method.losses(batch(), state("generator"))
    method.losses(batch(), state("discriminator"))["loss"].backward()
    assert all(p.grad is None for p in method.network.parameters())


def test_features_are_no_part_of_the_weights_and_do_not_learn():
    method = create("esrgan", **GAN, images_seen=8)
    method.phases()
    assert not any("features.network" in name for name in method.state_dict())
    assert not any(p.requires_grad for p in method.others["features"].parameters())
    method.finish()
    assert "features" not in method.others


def test_a_gan_trains_and_comes_back_from_its_file(tmp_path):
    torch.manual_seed(0)
    pack = pairs_pack(tmp_path / "p.h5")
    start = create("rrdb_l1", **TINY, images_seen=16)
    method = create("esrgan", **GAN, images_seen=24)
    method.start_from(start)
    before = [p.clone() for p in method.parameters()]
    samples = method.samples([pack], seed=1, noise=None, noise_draw="fresh")
    result = train(method, samples, seed=1, device="cpu", precision="fp32")
    assert any(not torch.equal(a, b) for a, b in zip(before, method.parameters(), strict=True))
    last = result.history[-1]
    for key in ("pixel", "feature", "adversarial"):
        assert any(name.endswith(key) for name in last), last
    save_model(tmp_path / "m.safetensors", "esrgan", method)
    small = torch.rand(1, 3, 6, 5)
    assert torch.equal(
        load_model(tmp_path / "m.safetensors")[1].upscale(small), method.eval().upscale(small)
    )


def test_without_the_weights_there_is_neither_discriminator_nor_feature_network():
    method = create("esrgan", **L1_ALONE, images_seen=8)
    assert list(method.phases()[0].turns) == ["generator"]
    assert method.others == {}
    assert method.discriminator is None
    found = method.losses(batch(), state("generator"))
    made = method.network(batch()["small"])
    assert torch.isclose(found["loss"], (made - batch()["large"]).abs().mean())


@pytest.mark.long
def test_pairs_of_the_degradation_teach_more_than_bicubic_ones(tmp_path):
    """White noise on small pictures: who has seen it removes it."""
    noisy, clean = pairs_pack(tmp_path / "p.h5"), clean_pack(tmp_path / "c.h5")
    errors = []
    for pack in (noisy, clean):
        torch.manual_seed(0)
        method = create("esrgan", **L1_ALONE, images_seen=400)
        samples = method.samples([pack], seed=1, noise=None, noise_draw="fresh")
        train(method, samples, seed=1, device="cpu", precision="fp32", on_step=lambda: None)
        small, large = (
            torch.from_numpy(noisy.read_unit(0, key)).permute(2, 0, 1)[None]
            for key in ("noisy", "large")
        )
        errors.append((method.eval().upscale(small) - large).square().mean().item())
    assert errors[0] < 0.9 * errors[1]


def test_it_starts_from_a_network_of_the_same_size_alone():
    other = create("rrdb_l1", **TINY | {"width": 12})
    with pytest.raises(UnpairedError, match="same width, blocks, growth and head"):
        create("esrgan", **GAN).start_from(other)
    same = create("rrdb_l1", **TINY)
    method = create("esrgan", **GAN)
    method.start_from(same)
    small = torch.rand(1, 3, 4, 4)
    assert torch.equal(method.upscale(small), same.upscale(small))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"patch_px": 30}, "multiple of 4"),
        ({"patch_px": 36}, "multiple of 32 for the discriminator"),
        ({"pixel_weight": -1.0}, "pixel_weight of method .* must be 0 at least"),
        ({"feature_network": "vgg91"}, "vgg19"),
    ],
)
def test_wrong_settings_are_one_line(settings, told):
    with pytest.raises(UnpairedError, match=told):
        create("esrgan", **GAN | settings)


def test_missing_feature_weights_say_where_they_belong(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    with pytest.raises(UnpairedError, match=r"vgg19-\w+\.pth.*feature_network: vgg16"):
        feature_network("vgg19")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnpairedError, match="unpaired import-weights lpips"):
        feature_network("alex")


def test_vgg19_is_cut_before_the_last_relu_and_standardized(tmp_path, monkeypatch):
    """A narrow stand-in of VGG-19 in torchvision's layout, saved as its file would be."""
    torch.manual_seed(0)
    narrow = {"E": [2, 2, "M", 2, 2, "M", 2, 2, 2, 2, "M", 2, 2, 2, 2, "M", 2, 2, 2, 2, "M"]}

    def small_vgg19():
        from torchvision.models import vgg

        layers = vgg.make_layers(narrow["E"])
        whole = torch.nn.Module()
        whole.features = layers
        return whole

    monkeypatch.setattr(feature_networks.models, "vgg19", small_vgg19)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    whole = small_vgg19()
    vgg19_path().parent.mkdir(parents=True)
    torch.save(whole.state_dict(), vgg19_path())
    pictures = torch.rand(1, 3, 32, 32)
    found = feature_network("vgg19")(pictures)
    mean = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    expected = whole.features[:35]((pictures - mean) / std)
    assert isinstance(whole.features[34], torch.nn.Conv2d)
    assert isinstance(whole.features[35], torch.nn.ReLU)
    assert torch.allclose(found, expected, atol=1e-2 * float(expected.detach().abs().max()))


def test_learning_rates_fall_as_in_the_papers():
    falls = SCHEDULES["esrgan_halvings"]
    steps = (0, 4_999, 5_000, 10_000, 20_000, 30_000, 59_999)
    assert [falls(16 * n / 960_000) for n in steps] == [1, 1, 0.5, 0.25, 0.125, 0.0625, 0.0625]
    slow = SCHEDULES["halve_every_200_of_1000"]
    assert [slow(n / 10) for n in (0, 2, 4, 6, 8)] == [1, 0.5, 0.25, 0.125, 0.0625]


def test_a_batch_to_measure_a_step_with_has_both_sizes():
    method = create("esrgan", **GAN | {"patch_px": 64})
    given = method.timing_batch(torch.device("cpu"))
    assert given["small"].shape == (1, 3, 16, 16)
    assert given["large"].shape == (1, 3, 64, 64)
    method.phases()
    assert method.losses(given, state("generator"))["loss"].isfinite()
