from __future__ import annotations

import math

import pytest
import torch
from skimage.color import rgb2lab
from torch.nn import functional

from unpaired.core.errors import UnpairedError
from unpaired.data.sources.color_scenes import CLASSES, draw_scene, true_distribution
from unpaired.imaging.color.ab_bins import (
    BINS,
    bins_to_ab,
    class_weights,
    distribution_of,
    hard_encode,
    smoothed_prior,
    soft_encode,
)
from unpaired.imaging.color.lab import rgb_to_lab
from unpaired.learning.create import create
from unpaired.learning.method import TrainingState
from unpaired.learning.training import train
from unpaired.learning.weights import load_model, save_model
from unpaired.systems.colorization.methods.colorization import (
    is_colored,
    mirror_at_random,
)

STATE = TrainingState(seed=1, step=0, images_seen=0, fraction=0.0)
SIDE_PX = 64
SKY, FRUIT = CLASSES.index("sky"), CLASSES.index("fruit")


class Scenes:
    """Samples of scenes: the pictures that a pack of them would give."""

    def __init__(self, count: int) -> None:
        self.images = [
            torch.from_numpy(draw_scene("train", i, SIDE_PX, SIDE_PX).rgb).permute(2, 0, 1) / 255
            for i in range(count)
        ]

    def __getitem__(self, sample: int) -> dict:
        return {"image": self.images[sample % len(self.images)], "sample": sample}

    def ab(self) -> list[torch.Tensor]:
        return [rgb_to_lab(image[None])[:, 1:] for image in self.images]


def batch(count=3, side=24) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, 3, side, side, generator=generator)
    return {"image": images, "sample": torch.arange(count)}


def lightness_of(height: int, width: int) -> torch.Tensor:
    return 100 * torch.rand(1, 1, height, width, generator=torch.Generator().manual_seed(0))


def test_protocol_is_that_of_the_authors():
    with torch.device("meta"):
        method = create("colorization", uniform_share=1.0)
        (phase,) = method.phases()
    assert phase.images_seen == 450_000 * 40
    defaults = phase.optimizer.defaults
    assert (defaults["lr"], defaults["betas"], defaults["weight_decay"]) == (
        3e-5,
        (0.9, 0.99),
        1e-3,
    )
    assert not isinstance(phase.optimizer, torch.optim.AdamW)  # decay is part of the gradient
    assert (phase.schedule(0.4999), phase.schedule(0.5)) == (1, 0.1)
    config = method.config
    assert (config.batch_size, config.patch_px, config.temperature) == (40, 176, 0.38)


@pytest.mark.parametrize("uniform_share", [0.5, 1.0])
def test_loss_is_the_weighted_cross_entropy_at_every_fourth_pixel(uniform_share):
    torch.manual_seed(0)
    given = batch()
    given["image"][1] = given["image"][1].mean(0, keepdim=True)  # gray: teaches nothing
    method = create("colorization", width=4, uniform_share=uniform_share, neighbors=7, sigma=6.0)
    prior = smoothed_prior([rgb_to_lab(given["image"])[:, 1:]])
    method.set_prior(prior)
    found = method.losses(given, STATE)

    (images,) = mirror_at_random(STATE.generators(given["sample"], "mirror"), given["image"])
    lab = torch.from_numpy(rgb2lab(images.permute(0, 2, 3, 1).numpy())).permute(0, 3, 1, 2).float()
    ab = lab[:, 1:, ::4, ::4]
    target = distribution_of(soft_encode(ab, 7, 6.0))
    logits = method.network(lab[:, :1])
    entropy = functional.cross_entropy(logits, target, reduction="none")
    weights = class_weights(prior, uniform_share).float()[hard_encode(ab)]
    weights[1] = 0
    assert found["loss"].item() == pytest.approx((weights * entropy).mean().item(), rel=1e-4)
    assert found["unweighted"].item() == pytest.approx(entropy.mean().item(), rel=1e-4)


def test_regression_is_half_the_squared_error_in_ab():
    method = create("colorization", width=4, loss="regression").eval()
    given = batch()
    (images,) = mirror_at_random(STATE.generators(given["sample"], "mirror"), given["image"])
    lab = rgb_to_lab(images)
    errors = (110 * method.network(lab[:, :1]) - lab[:, 1:, ::4, ::4]).square().sum(1) / 2
    assert method.losses(given, STATE)["loss"].item() == pytest.approx(
        errors.mean().item(), rel=1e-5
    )


@pytest.mark.parametrize("loss", ["classification", "regression"])
def test_a_batch_without_color_changes_nothing(loss):
    method = create("colorization", width=4, loss=loss, uniform_share=1.0)
    given = {"image": torch.rand(2, 1, 16, 16).expand(-1, 3, -1, -1), "sample": torch.arange(2)}
    found = method.losses(given, STATE)["loss"]
    found.backward()
    assert found == 0
    assert all(p.grad.abs().max() == 0 for p in method.parameters())


def test_the_gray_rule_is_per_picture():
    ab = torch.zeros(4, 2, 5, 5)
    ab[0, 0, 1, 1], ab[1, 1, 2, 2], ab[2] = -5.01, 5.01, 5.0
    assert is_colored(ab).tolist() == [True, True, False, False]


@pytest.mark.parametrize(("height", "width"), [(32, 48), (17, 5), (1, 1), (100, 30)])
def test_any_size_gets_colors(height, width):
    method = create("colorization", width=2).eval()
    lightness = lightness_of(height, width)
    assert method.colorize(lightness).shape == (1, 2, height, width)
    found = method.distribution(lightness)
    assert found.shape == (1, BINS, math.ceil(height / 4), math.ceil(width / 4))
    assert torch.allclose(found.sum(1), torch.ones(()), atol=1e-5)


def test_colors_are_the_annealed_mean_enlarged():
    method = create("colorization", width=2).eval()
    lightness = lightness_of(16, 24)
    powers = method.distribution(lightness) ** (1 / 0.38)
    powers = powers / powers.sum(1, keepdim=True)
    centers = bins_to_ab(torch.arange(BINS).view(1, -1, 1))[0, :, :, 0]
    ab = torch.einsum("cq,bqhw->bchw", centers, powers)
    expected = functional.interpolate(ab, scale_factor=4, mode="bilinear", align_corners=False)
    assert torch.allclose(method.colorize(lightness), expected, atol=1e-3)
    mode = method.colorize(lightness, temperature=0.0)
    assert torch.equal(
        mode[0, :, 0, 0], centers[:, method.distribution(lightness)[0, :, 0, 0].argmax()]
    )


def test_regression_has_no_distribution():
    method = create("colorization", width=2, loss="regression").eval()
    lightness = lightness_of(16, 16)
    expected = functional.interpolate(
        110 * method.network(lightness), scale_factor=4, mode="bilinear"
    )
    assert torch.allclose(method.colorize(lightness), expected, atol=1e-4)
    with pytest.raises(UnpairedError, match="no distribution"):
        method.distribution(lightness)


def test_fine_tuning_starts_from_all_but_the_head():
    torch.manual_seed(0)
    full = create("colorization", width=4)
    full.network.body[0][-1].running_mean.fill_(0.3)
    method = create("colorization", width=4, loss="regression")
    head = method.network.head.weight.clone()
    method.start_from(full)
    assert torch.equal(method.network.head.weight, head)
    ours, theirs = (m.network.body.state_dict() for m in (method, full))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    method.network.body[0][0].weight.data.add_(1)
    assert not torch.equal(full.network.body[0][0].weight, method.network.body[0][0].weight)
    for other in (create("colorization", width=8), create("n2c")):
        with pytest.raises(UnpairedError, match="width 4"):
            method.start_from(other)


def test_what_cannot_be_trained_is_refused():
    with pytest.raises(UnpairedError, match="did you mean 'regression'"):
        create("colorization", loss="regresion")
    with pytest.raises(UnpairedError, match="uniform_share"):
        create("colorization", uniform_share=1.5)
    with pytest.raises(UnpairedError, match="needs the color prior"):
        create("colorization", width=2).phases()
    some_empty = torch.zeros(BINS)
    some_empty[:7] = 1 / 7
    with pytest.raises(UnpairedError, match="306 colors are empty"):
        create("colorization", width=2, uniform_share=0.0).set_prior(some_empty)
    with pytest.raises(UnpairedError, match="another bin set"):
        create("colorization", width=2).set_prior(torch.full((529,), 1 / 529))


def test_class_weights_are_saved_with_the_model(tmp_path):
    method = create("colorization", width=2)
    method.set_prior(smoothed_prior(Scenes(2).ab()))
    save_model(tmp_path / "full.safetensors", "colorization", method)
    _, loaded = load_model(tmp_path / "full.safetensors")
    assert torch.equal(loaded.class_weights, method.class_weights)
    assert method.class_weights.std() > 0


@pytest.mark.long
def test_kmeans_sets_the_body_by_the_first_samples():
    torch.manual_seed(0)
    method = create("colorization", width=4, uniform_share=1.0, initialization="kmeans")
    before = {key: value.clone() for key, value in method.network.state_dict().items()}
    method.prepare(Scenes(32), seed=3)
    changed = {k for k, v in method.network.state_dict().items() if not torch.equal(v, before[k])}
    convolutions = {
        f"body.{name}.weight"
        for name, module in method.network.body.named_modules()
        if isinstance(module, torch.nn.Conv2d)
    }
    assert convolutions <= changed
    assert "head.weight" not in changed
    # Every channel of the first layer gives the pictures of the training set a deviation of 1.
    first, given = (
        method.network.body[0][0],
        torch.stack([Scenes(32)[k]["image"] for k in range(32)]),
    )
    responses = first((rgb_to_lab(given)[:, :1] - 50) / 50)
    assert torch.allclose(responses.std(dim=(0, 2, 3)), torch.ones(4), atol=1e-3)
    again = create("colorization", width=4, uniform_share=1.0, initialization="kmeans")
    again.prepare(Scenes(32), seed=3)
    assert torch.equal(again.network.body[0][0].weight, first.weight)


# ---- Learning


def trained(scenes: Scenes, **overrides):
    torch.manual_seed(0)
    method = create(
        "colorization",
        width=8,
        batch_size=4,
        patch_px=SIDE_PX,
        images_seen=4 * 300,
        learning_rate=5e-3,
        schedule="warmup_cosine",
        weight_decay=0.0,
        **overrides,
    )
    method.set_prior(smoothed_prior(scenes.ab()))
    train(method, scenes, seed=1, precision="fp32")
    return method.eval()


def measure(method) -> dict[str, float]:
    """Return what unseen scenes show: errors and chroma, and the mean distribution on fruit."""
    sky, chroma, truth, predicted = [], [], [], []
    for index in range(20):
        scene = draw_scene("test", index, SIDE_PX, SIDE_PX)
        lab = torch.from_numpy(rgb2lab(scene.rgb)).permute(2, 0, 1)[None].float()
        ab = method.colorize(lab[:, :1])
        errors = (ab - lab[:, 1:]).norm(dim=1)[0]
        labels = torch.from_numpy(scene.labels)
        sky.append(errors[labels == SKY])
        chroma.append(ab.norm(dim=1)[0][labels == FRUIT])
        truth.append(lab[0, 1:].norm(dim=0)[labels == FRUIT])
        if method.config.loss == "classification":
            predicted.append(method.distribution(lab[:, :1])[0, :, labels[::4, ::4] == FRUIT])
    means = {"sky": sky, "chroma": chroma, "truth": truth}
    found = {name: torch.cat(values).mean().item() for name, values in means.items()}
    if predicted:
        mean = torch.cat(predicted, dim=1).mean(1).double()
        true = true_distribution("fruit", 10)
        found["kl"] = torch.xlogy(true, true / mean).nan_to_num().sum().item()
    return found


@pytest.mark.long
def test_classification_learns_the_distribution_and_regression_its_pale_mean():
    scenes = Scenes(200)
    classes = measure(trained(scenes, uniform_share=1.0))
    means = measure(trained(scenes, loss="regression"))
    # Bins are 10 apart. Edges blur over 4 pixels and more, and are counted.
    assert classes["sky"] < 9
    # Nothing learned is 3.1, always the most frequent color 1.4.
    assert classes["kl"] < 0.8
    assert means["chroma"] < 0.75 * classes["chroma"]
    assert means["chroma"] < 0.55 * means["truth"]
