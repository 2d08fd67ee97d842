from __future__ import annotations

import pytest
import torch
from scipy.stats import binomtest, chisquare
from torch import nn

from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import generators_for
from unpaired.data.noise import get_noise
from unpaired.data.samples import CropSamples
from unpaired.learning.create import create
from unpaired.learning.method import Observation, TrainingState
from unpaired.learning.training import train
from unpaired.systems.denoising.methods import n2v
from unpaired.systems.denoising.methods.n2v import (
    Noise2Void,
    Noise2VoidConfig,
    RunningStandardization,
    draw_masks,
    replace,
)

STATE = TrainingState(seed=1, step=0, images_seen=0, fraction=0.0)
BOX_PERCENT = {2: 25.0, 3: 11.0, 10: 1.0, 22: 0.198}


def config(box_px=22, **settings):
    made = Noise2VoidConfig(masked_percent=BOX_PERCENT[box_px], **settings)
    assert made.box_px == box_px
    return made


def make(box_px=22, **settings):
    return Noise2Void(config(box_px, width=4, **settings))


def generators(count):
    return generators_for(0, range(count), "test", "cpu")


def window(pixel, shape, radius):
    """Indices of the window around a pixel, clipped at the borders, written out."""
    y, x = divmod(pixel, shape[1])
    return [
        row * shape[1] + column
        for row in range(max(0, y - radius), min(shape[0], y + radius + 1))
        for column in range(max(0, x - radius), min(shape[1], x + radius + 1))
    ]


def test_defaults_are_those_of_the_bsd68_notebook():
    method = Noise2Void(Noise2VoidConfig())
    assert sum(parameter.numel() for parameter in method.parameters()) == 2_993_763
    assert method.config.box_px == 22
    phase = method.phases()[0]
    assert phase.images_seen == 10_240_000
    assert phase.optimizer.defaults["lr"] == 4e-4
    assert (method.multiple_px, method.margin_px) == (4, 23)


@pytest.mark.parametrize("with_center", [True, False])
@pytest.mark.parametrize("radius_px", [1, 2])
def test_replacements_are_uniform_in_the_window_clipped_at_the_borders(radius_px, with_center):
    shape, draws = (6, 4), 6000
    settings = config(2, radius_px=radius_px, with_center=with_center)
    mask, source = draw_masks(torch.zeros(draws, 1, *shape), generators(draws), settings)
    mask, source = mask.flatten(1), source.flatten(1)
    p_values = []
    for pixel in range(24):
        taken = source[mask[:, pixel], pixel]
        expected = window(pixel, shape, radius_px)
        if not with_center:
            expected.remove(pixel)
        counts = torch.bincount(taken, minlength=24)
        assert set(counts.nonzero().ravel().tolist()) == set(expected)
        p_values.append(chisquare(counts[expected]).pvalue)
    assert min(p_values) > 1e-3 / len(p_values)


def test_the_center_comes_back_once_per_window():
    mask, source = draw_masks(torch.zeros(1, 1, 512, 512), generators(1), config(2, radius_px=3))
    inside = torch.zeros_like(mask)
    inside[..., 3:-3, 3:-3] = True
    own = torch.arange(512 * 512).view(512, 512)
    unchanged = (source == own)[mask & inside]
    assert binomtest(int(unchanged.sum()), len(unchanged), 1 / 49).pvalue > 1e-3


@pytest.mark.parametrize("box_px", [3, 10, 22])
def test_every_box_has_one_masked_pixel(box_px):
    mask, _ = draw_masks(torch.zeros(5, 3, 2 * box_px, 3 * box_px), generators(5), config(box_px))
    boxes = mask.view(5, 3, 2, box_px, 3, box_px)
    assert torch.equal(boxes.sum((3, 5)), torch.ones(5, 3, 2, 3, dtype=torch.int64))


def test_every_pixel_is_masked_equally_often_also_where_boxes_reach_over_the_border():
    mask, _ = draw_masks(torch.zeros(9000, 1, 5, 7), generators(9000), config(3))
    counts = mask.sum(0).ravel()
    assert counts.sum() < 9000 * 6  # Some pixels are drawn beyond the border.
    assert chisquare(counts).pvalue > 1e-3
    assert binomtest(int(counts.sum()), 9000 * 35, 1 / 9).pvalue > 1e-3


def test_masks_of_neighboring_boxes_and_of_the_two_draws_are_independent():
    settings = config(2, with_center=False)
    mask, source = draw_masks(torch.zeros(1, 1, 512, 512), generators(1), settings)
    corner = mask[0, 0].view(256, 2, 256, 2).permute(0, 2, 1, 3).flatten(2).double()
    row = corner[..., 2:].sum(-1)
    own = torch.arange(512 * 512).view(512, 512)
    shift = ((source[0, 0] // 512 - own // 512) * mask[0, 0]).view(256, 2, 256, 2).sum((1, 3))
    inner = slice(2, -2)
    pairs = [
        (row[:, 1:], row[:, :-1]),
        (row[1:], row[:-1]),
        (row[inner, inner], shift[inner, inner].double()),
        (shift[:, 1:].double(), shift[:, :-1].double()),
    ]
    for a, b in pairs:
        assert abs(torch.corrcoef(torch.stack((a.ravel(), b.ravel())))[0, 1]) < 0.02


@pytest.mark.parametrize("box_px", [3, 10])
def test_every_channel_is_masked_by_itself_at_the_same_rate(box_px):
    """In every channel 1 / box^2 of the pixels are masked, in two at once the product of both."""
    side = 8 * box_px
    mask, source = draw_masks(torch.zeros(200, 3, side, side), generators(200), config(box_px))
    assert mask.shape == source.shape == (200, 3, side, side)
    assert mask.sum((0, 2, 3)).tolist() == [200 * 64] * 3
    for a, b in ((0, 1), (0, 2), (1, 2)):
        both = int((mask[:, a] & mask[:, b]).sum())
        assert binomtest(both, 200 * 64, 1 / box_px**2).pvalue > 1e-3
        same_source = (source[:, a] == source[:, b])[mask[:, a] & mask[:, b]].sum()
        assert same_source < both / 4  # The windows have 9 pixels at least.


def test_masks_are_those_of_one_network_and_of_one_per_channel_alike():
    image = torch.rand(2, 3, 64, 64)
    one, separate = (
        draw_masks(image, generators(2), config(10, per_channel=per_channel))
        for per_channel in (False, True)
    )
    assert all(map(torch.equal, one, separate))


def test_values_come_from_the_same_channel():
    base = torch.rand(2, 1, 64, 64)
    image = torch.cat((base, base + 1, base + 2), 1)
    mask, source = draw_masks(image, generators(2), config(10))
    replaced = replace(image, source)
    assert torch.equal(replaced.floor(), image.floor())
    assert torch.equal(replaced[~mask], image[~mask])
    assert (replaced != image).sum() > 0.9 * mask.sum()
    for channel in range(3):
        alone = image[:, channel].flatten(1).gather(1, source[:, channel].flatten(1))
        assert torch.equal(replaced[:, channel].flatten(1), alone)


def test_per_channel_networks_do_not_see_other_channels():
    method = make(per_channel=True).eval()
    network = method.network
    image = torch.rand(1, 3, 16, 16, requires_grad=True)
    for channel in range(3):
        (gradient,) = torch.autograd.grad(network(image)[:, channel].sum(), image)
        assert (gradient.abs().sum((0, 2, 3)) > 0).tolist() == [n == channel for n in range(3)]
    single = sum(parameter.numel() for parameter in make(channels=1).parameters())
    assert sum(parameter.numel() for parameter in method.parameters()) == 3 * single


@pytest.mark.parametrize("per_channel", [False, True])
def test_no_masked_prediction_depends_on_its_own_value(per_channel):
    """The gradient vanishes for every masked pixel, in training mode, and for no other."""
    torch.manual_seed(0)
    method = make(22, with_center=False, per_channel=per_channel)
    noisy = torch.rand(1, 3, 64, 64, requires_grad=True)
    mask, source = draw_masks(noisy, generators(1), method.config)
    own = torch.arange(64 * 64).view(64, 64)
    for plane, taken in zip(mask[0], source[0], strict=True):  # None is copied elsewhere.
        assert not (torch.isin(own, taken[taken != own]) & plane).any()
    predicted = method.network(replace(noisy, source))
    masked = mask.nonzero()
    assert len(masked) >= 3 * 4
    for _, channel, y, x in masked.tolist():
        (gradient,) = torch.autograd.grad(predicted[0, channel, y, x], noisy, retain_graph=True)
        assert gradient[0, channel, y, x] == 0
        assert gradient.abs().max() > 0
    (gradient,) = torch.autograd.grad(predicted[0, 0, 1, 1], noisy)
    assert not mask[0, 0, 1, 1]
    assert gradient[0, 0, 1, 1] != 0


def test_with_center_own_values_come_through_as_often_as_drawn():
    method = make(2, radius_px=1)
    noisy = torch.rand(1, 3, 64, 64)
    mask, source = draw_masks(noisy, generators(1), method.config)
    same = replace(noisy, source)[0, 0][mask[0, 0]] == noisy[0, 0][mask[0, 0]]
    assert binomtest(int(same.sum()), len(same), 1 / 9).pvalue > 1e-3


def test_what_the_network_is_given_does_not_change_with_the_masked_pixels(monkeypatch):
    monkeypatch.setattr(RunningStandardization, "update", lambda self, image: None)
    method = make(22, with_center=False)
    given = []
    method.network.register_forward_hook(lambda module, inputs, output: given.append(inputs[0]))
    noisy, sample = torch.rand(2, 3, 64, 64), torch.tensor([4, 5])
    mask, _ = draw_masks(noisy, STATE.generators(sample, "n2v_masks"), method.config)
    for image in (noisy, torch.where(mask, 9.0, noisy)):
        method.losses({"noisy": image, "sample": sample}, STATE)
    assert torch.equal(*given)


@pytest.mark.parametrize("loss", ["mse", "mae"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_loss_is_the_mean_over_the_masked_pixels(loss, per_channel):
    method = make(10, loss=loss, per_channel=per_channel)
    noisy, sample = torch.rand(2, 3, 64, 64), torch.tensor([4, 5])
    computed = method.losses({"noisy": noisy, "sample": sample}, STATE)["loss"]
    mean = noisy.mean((0, 2, 3), keepdim=True)
    std = noisy.std((0, 2, 3), keepdim=True, correction=0)
    target = (noisy - mean) / std
    mask, source = draw_masks(noisy, STATE.generators(sample, "n2v_masks"), method.config)
    difference = (method.network(replace(target, source)) - target)[mask]
    expected = difference.square().mean() if loss == "mse" else difference.abs().mean()
    assert computed.item() == pytest.approx(expected.item(), rel=1e-5)


def test_masks_belong_to_the_sample_not_to_the_batch():
    image = torch.rand(2, 3, 64, 64)
    together = draw_masks(image, STATE.generators(torch.tensor([3, 4]), "n2v_masks"), config())
    for n in (0, 1):
        alone = STATE.generators(torch.tensor([3 + n]), "n2v_masks")
        for one, both in zip(draw_masks(image[n : n + 1], alone, config()), together, strict=True):
            assert torch.equal(one[0], both[n])
    assert not torch.equal(together[0][0], together[0][1])


def test_standardization_is_that_of_all_patches_seen():
    spread, offset = torch.tensor([0.01, 0.1, 2.0]), torch.tensor([0.5, 0.0, -1.0])
    patches = torch.rand(28, 3, 16, 16) * spread.view(3, 1, 1) + offset.view(3, 1, 1)
    standardize = RunningStandardization(3)
    for batch in patches.split(4):
        standardize.update(batch)
    mean = patches.double().mean((0, 2, 3))
    std = patches.double().std((0, 2, 3), correction=0)
    assert torch.allclose(standardize.mean.ravel().double(), mean, rtol=1e-5, atol=1e-6)
    assert torch.allclose(standardize.std.ravel().double(), std, rtol=1e-3)
    standardized = standardize(patches)
    assert torch.allclose(standardized.mean((0, 2, 3)), torch.zeros(3), atol=1e-3)
    assert torch.allclose(standardize.undo(standardized), patches, atol=1e-5)


def test_constant_pictures_do_not_divide_by_zero():
    standardize = RunningStandardization(1)
    standardize.update(torch.full((2, 1, 8, 8), 0.5))
    assert torch.isfinite(standardize(torch.full((1, 1, 8, 8), 0.5))).all()


def test_standardization_is_saved_with_the_model():
    batch = {"noisy": torch.rand(2, 3, 64, 64) * 0.1, "sample": torch.arange(2)}
    method, other = make(10), make(10)
    method.losses(batch, STATE)
    other.load_state_dict(method.state_dict())
    image = torch.rand(1, 3, 16, 24)
    restored = [m.eval().restore(Observation(image)) for m in (method, other)]
    assert torch.equal(*restored)
    again = [m.train().losses(batch, STATE)["loss"] for m in (method, other)]
    assert torch.equal(*again)
    assert torch.equal(method.standardize.mean, other.standardize.mean)


def test_restore_is_one_unmasked_pass_in_the_images_own_units():
    method = make(10)
    method.standardize.update(torch.rand(2, 3, 64, 64) * 7 + 3)
    seen = []

    class Shift(nn.Module):
        def forward(self, image):
            seen.append(image)
            return image + 1

    method.network = Shift()
    image = torch.rand(1, 3, 16, 16)
    restored = method.restore(Observation(image))
    assert torch.allclose(restored, image + method.standardize.std, atol=1e-5)
    assert len(seen) == 1
    assert torch.equal(seen[0], method.standardize(image))


def weight_of_own_pixel(method, noisy):
    """Mean |derivative| of an output by the input at its own place, over 60 places and channels."""
    noisy = noisy.clone().requires_grad_()
    restored = method.standardize.undo(method.network(method.standardize(noisy)))
    places = torch.randint(2**31, (60, 3), generator=torch.Generator().manual_seed(0))
    found = []
    for place in (places % torch.tensor(noisy.shape[1:])).tolist():
        at = (0, *place)
        (gradient,) = torch.autograd.grad(restored[at], noisy, retain_graph=True)
        found.append(gradient[at].abs())
    return torch.stack(found).mean().item()


@pytest.mark.long
def test_training_takes_the_own_pixel_away(train_pack, photographs, monkeypatch):
    """The network starts as the identity; what it learns without masks goes on leaning on it."""
    noise = get_noise("gauss25")
    photograph = torch.from_numpy(photographs[0]).permute(2, 0, 1)[None, :, 100:164, 100:164]
    noisy = photograph + 25 / 255 * torch.randn(photograph.shape, generator=generators(1)[0])

    def trained(images_seen):
        torch.manual_seed(0)
        method = Noise2Void(
            config(
                3,
                width=16,
                images_seen=images_seen,
                batch_size=4,
                patch_px=32,
                learning_rate=0.01,
                schedule="warmup_cosine",
                beta2=0.99,
            )
        )
        samples = CropSamples(train_pack, sees=("noisy",), patch_px=32, seed=1, noise=noise)
        train(method, samples, seed=1, device="cpu", precision="fp32")
        return method.eval()

    assert weight_of_own_pixel(trained(3600), noisy) < 0.2
    monkeypatch.setattr(n2v, "replace", lambda image, source: image)
    assert weight_of_own_pixel(trained(400), noisy) > 0.8


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"loss": "msa"}, "did you mean 'mse'"),
        ({"masked_percent": 0.0}, "masked_percent must lie between"),
        ({"masked_percent": 0.01}, r"one pixel of a patch \(0.024\)"),
        ({"masked_percent": 60.0}, "and 25, got 60.0"),
        ({"radius_px": 0}, "radius_px of method 'n2v' must be 1 at least"),
        ({"kernel_px": 4}, "kernel_px must be odd"),
    ],
)
def test_bad_settings_are_told(settings, message):
    with pytest.raises(UnpairedError, match=message):
        create("n2v", **settings)
