"""The Local Hints Network: its loss, its hints, its start, and a training that learns to copy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from unpaired.core.errors import UnpairedError
from unpaired.imaging.color.ab_bins import distribution_of, soft_encode
from unpaired.imaging.color.hints import Patch, revealed
from unpaired.imaging.color.lab import rgb_to_lab
from unpaired.learning.create import create
from unpaired.learning.method import TrainingState
from unpaired.learning.training import train
from unpaired.systems.guided_colorization.methods.guided import huber
from unpaired.systems.guided_colorization.methods.local_hints import nearest_of_grid

STATE = TrainingState(seed=1, step=0, images_seen=0, fraction=0.0)


def batch(count=3, side=16):
    generator = torch.Generator().manual_seed(0)
    return {
        "image": torch.rand(count, 3, side, side, generator=generator),
        "sample": torch.arange(count),
    }


def lightness(height=20, width=27, count=1):
    return 100 * torch.rand(count, 1, height, width, generator=torch.Generator().manual_seed(0))


def colorful(method):
    torch.nn.init.normal_(method.network.out.weight, std=0.3)
    return method.eval()


def test_defaults_are_the_theses_and_the_ports():
    with torch.device("meta"):
        method = create("local_hints")
        (phase,) = method.phases()
    config = method.config
    assert (config.stop_probability, config.patch_px_max, config.full_share) == (1 / 8, 9, 0.01)
    assert (config.head, config.neighbors, config.sigma) == ("hypercolumn", 10, 5.0)
    assert (phase.optimizer.defaults["lr"], phase.schedule(0.66), phase.schedule(0.67)) == (
        1e-5,
        1,
        0.1,
    )
    assert (config.batch_size, phase.images_seen) == (25, 15 * 1_281_171)


def test_huber_is_the_equation():
    difference = torch.tensor([-3.0, -1.0, -0.4, 0.0, 0.9, 1.0, 20.0])
    wanted = torch.where(difference.abs() < 1, difference**2 / 2, difference.abs() - 0.5)
    predicted = torch.stack([difference, 2 * difference])[None, :, None]
    both = wanted + torch.where(
        2 * difference.abs() < 1, 2 * difference**2, 2 * difference.abs() - 0.5
    )
    assert torch.allclose(huber(predicted, torch.zeros_like(predicted)), both.mean())


@pytest.mark.parametrize("head", ["hypercolumn", "one_by_one"])
def test_loss_is_hubers_and_the_cross_entropy_at_every_fourth_pixel(head):
    torch.manual_seed(0)
    method = create("local_hints", width=2, head=head).eval()
    given = batch()
    found = method.losses(given, STATE)
    generators = STATE.generators(given["sample"], "mirror")
    mirrored = [bool(torch.randint(2, (), generator=one)) for one in generators]
    images = [i.flip(-1) if m else i for i, m in zip(given["image"], mirrored, strict=True)]
    lab = rgb_to_lab(torch.stack(images))
    ab = lab[:, 1:]
    hints, mask = method.simulated(ab, given["sample"], seed=1)
    guided = method.network(lab[:, :1], hints, mask, with_logits=True)
    assert torch.allclose(found["colors"], huber(guided.ab, ab))
    thinned = ab[..., ::4, ::4]
    likely = torch.log_softmax(guided.logits, 1)
    if head == "hypercolumn":
        wanted = -(distribution_of(soft_encode(thinned)) * likely).sum(1).mean()
    else:
        grid = method.bins()
        nearest = torch.cdist(thinned.movedim(1, -1).reshape(-1, 2), grid).argmin(1)
        wanted = functional.nll_loss(likely.movedim(1, -1).reshape(-1, 529), nearest)
    assert torch.allclose(found["suggestions"], wanted, atol=1e-5)
    assert torch.allclose(found["loss"], found["colors"] + found["suggestions"])


def test_bins_of_the_port_are_a_major_and_in_their_own_order():
    grid = create("local_hints", width=2, head="one_by_one").bins()
    ab = torch.tensor([50.0, -20.0]).view(1, 2, 1, 1)
    assert grid[nearest_of_grid(ab).item()].tolist() == [50, -20]
    assert nearest_of_grid(ab).item() == 23 * 16 + 9
    assert nearest_of_grid(torch.tensor([300.0, -300.0]).view(1, 2, 1, 1)).item() == 22 * 23


def test_hints_of_a_sample_depend_on_its_number_and_the_seed_alone():
    method = create("local_hints", width=2)
    ab = 30 * torch.randn(4, 2, 16, 16, generator=torch.Generator().manual_seed(0))
    numbers = torch.tensor([5, 6, 7, 8])
    hints, masks = method.simulated(ab, numbers, seed=1)
    again = method.simulated(ab[[2]], numbers[[2]], seed=1)
    assert torch.equal(hints[2], again[0][0])
    assert torch.equal(masks[2], again[1][0])
    assert not torch.equal(masks, method.simulated(ab, numbers, seed=2)[1])


def test_a_batch_holds_pictures_and_hints_are_seen_where_the_mask_is():
    method = colorful(create("local_hints", width=4))
    assert method.sees == ("image",)
    gray = lightness()
    ab, mask = revealed(torch.full((2, 20, 27), 40.0), [Patch(3, 4, 5)])
    plain = method.colorize(gray)
    assert plain.shape == (1, 2, 20, 27)
    assert torch.equal(plain, method.colorize(gray, ab=0 * ab, mask=0 * mask))
    assert not torch.allclose(plain, method.colorize(gray, ab=ab, mask=mask), atol=1e-3)
    # A gray hint is not the same as none.
    assert not torch.allclose(plain, method.colorize(gray, ab=0 * ab, mask=mask), atol=1e-4)
    with pytest.raises(UnpairedError, match="belong together"):
        method.colorize(gray, ab=ab)


def test_hints_outside_the_gamut_give_colors_within_the_tanh():
    method = colorful(create("local_hints", width=4))
    ab, mask = torch.full((2, 20, 27), 127.0), torch.ones(1, 20, 27)
    found = method.colorize(lightness(), ab=ab, mask=mask)
    assert found.isfinite().all()
    assert found.abs().max() <= 100


def test_suggestions_are_softened_logits_at_a_quarter():
    method = colorful(create("local_hints", width=4, suggestion_factor=1.0))
    soft = colorful(create("local_hints", width=4, suggestion_factor=0.2))
    soft.load_state_dict(method.state_dict())
    ab, peaked = method.suggestions(lightness())
    _, flat = soft.suggestions(lightness())
    assert peaked.shape == (1, 313, 5, 7)
    assert torch.equal(ab, method.colorize(lightness()))
    assert torch.allclose(flat, 0.2 * peaked, atol=1e-5)


def test_a_temperature_takes_the_colors_from_the_distribution():
    method = colorful(create("local_hints", width=4, suggestion_factor=1.0))
    gray = lightness(16, 24)
    _, logits = method.suggestions(gray)
    mean = torch.einsum("qc,bqhw->bchw", method.bins(), torch.softmax(logits, dim=1))
    wide = functional.interpolate(mean, scale_factor=4, mode="bilinear")
    assert torch.allclose(method.colorize(gray, temperature=1.0), wide, atol=1e-3)


def test_starts_from_automatic_colorization_and_from_nothing_else():
    method = create("local_hints", width=4)
    start = create("colorization", width=4)
    method.start_from(start)
    ours, theirs = method.network.blocks[3][0].weight, start.network.body[3][0].weight
    assert torch.equal(ours, theirs)
    assert torch.equal(method.network.blocks[0][0].weight[:, :1], start.network.body[0][0].weight)
    for other in (create("colorization", width=2), create("colorization", width=4, affine=True)):
        with pytest.raises(UnpairedError, match="width 4 and affine False"):
            method.start_from(other)
    with pytest.raises(UnpairedError, match="model of 'colorization'"):
        method.start_from(create("lpips"))


class Squares:
    """Gray squares whose color is not to be guessed: only a hint tells it."""

    def __getitem__(self, sample: int) -> dict:
        rng = np.random.default_rng(sample)
        image = torch.from_numpy(rng.uniform(0.2, 0.8, 3)).float()[:, None, None]
        return {"image": image.expand(3, 16, 16).clone(), "sample": sample}


@pytest.mark.long
def test_a_short_training_learns_to_take_a_hint():
    torch.manual_seed(0)
    method = create(
        "local_hints",
        width=4,
        patch_px=16,
        batch_size=8,
        images_seen=8 * 200,
        learning_rate=5e-3,
        beta2=0.99,
        full_share=0.5,
        schedule="warmup_cosine",
    )
    train(method, Squares(), seed=1, device="cpu", precision="fp32", on_step=lambda: None)
    method.eval()
    without, told = [], []
    for sample in range(1000, 1020):
        lab = rgb_to_lab(Squares()[sample]["image"][None])
        gray, ab = lab[:, :1], lab[:, 1:]
        without.append((method.colorize(gray) - ab).norm(dim=1).mean())
        hints, mask = ab[0], torch.ones(1, 16, 16)
        told.append((method.colorize(gray, ab=hints, mask=mask) - ab).norm(dim=1).mean())
    assert sum(told) < 0.5 * sum(without)
