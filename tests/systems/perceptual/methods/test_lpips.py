"""The learned distance: loss and schedule in closed form, what it may change, what it learns."""

from __future__ import annotations

import math

import numpy as np
import pytest
import timm
import torch

from unpaired.core.errors import UnpairedError
from unpaired.data.sources.embedded import train_records
from unpaired.learning.create import create
from unpaired.learning.method import TrainingState
from unpaired.learning.training import train
from unpaired.learning.weights import load_model, save_model
from unpaired.metrics.two_alternative import agreement
from unpaired.networks.feature_networks import build, load_pretrained
from unpaired.systems.perceptual.methods.lpips import (
    FORMS,
    LPIPSConfig,
    RankNetwork,
    five_flat_five_falling_epochs,
    starting_network,
)
from unpaired.systems.perceptual.metric import load_metric, lpips

STATE = TrainingState(seed=1, step=0, images_seen=0, fraction=0.0)
SIDE_PX = 64


class Triplets:
    """Crops with noise and a shift of color, judged by an observer who sees the noise alone."""

    def __init__(self, photographs, seed):
        self.photographs, self.seed = photographs, seed

    def __getitem__(self, index):
        rng = np.random.default_rng((self.seed, index))
        photograph = self.photographs[rng.integers(len(self.photographs))]
        top, left = (rng.integers(length - SIDE_PX) for length in photograph.shape[:2])
        reference = 0.2 + 0.6 * photograph[top : top + SIDE_PX, left : left + SIDE_PX]
        levels, sides = 0.15 * rng.random(2), []
        for level in levels:
            shift = 0.25 * rng.random() * rng.choice([-1, 1], 3)
            noise = level * rng.standard_normal(reference.shape)
            sides.append((reference + shift + noise).clip(0, 1))
        pictures = (
            torch.from_numpy(picture).movedim(-1, 0).float().contiguous()
            for picture in (reference, *sides)
        )
        keys = ("reference", "first", "second")
        judge = {"judge": np.float32(levels[1] < levels[0]), "sample": index}
        return dict(zip(keys, pictures, strict=True)) | judge

    def batch(self, count):
        return torch.utils.data.default_collate([self[index] for index in range(count)])


@pytest.fixture(scope="module")
def train_photographs():
    return [record.arrays["image"].astype(np.float32) / 255 for record in train_records(None)]


@pytest.fixture(scope="module")
def held_out(photographs):
    return Triplets(photographs, seed=2).batch(200)


def score(method, batch):
    distances = [
        method.distance(batch["reference"], batch[side]).numpy() for side in ("first", "second")
    ]
    return agreement(*distances, batch["judge"].numpy()).mean()


def small(form, **settings):
    torch.manual_seed(1)
    method = create("lpips", width=0.25, form=form, **settings)
    method.start_from(starting_network("random", method.config, seed=1))
    return method


def steps(method, batch, count):
    optimizer = method.phases()[0].optimizer
    for _ in range(count):
        loss = method.losses(batch, STATE)["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.after_step()


def test_protocol_of_the_thesis():
    method = create("lpips", net="alex", width=0.25)
    assert method.sees == ("reference", "first", "second", "judge")
    (phase,) = method.phases()
    assert phase.images_seen == 10 * 151_300
    assert phase.optimizer.defaults["betas"] == (0.5, 0.999)
    assert phase.optimizer.defaults["lr"] == 1e-4
    assert (method.config.batch_size, method.config.dropout) == (50, 0.5)


def test_the_sixth_epoch_still_has_the_whole_rate():
    starts = [five_flat_five_falling_epochs(epoch / 10) for epoch in range(10)]
    np.testing.assert_allclose(starts, [1, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])
    assert five_flat_five_falling_epochs(0.6 - 1e-6) == 1
    assert five_flat_five_falling_epochs(1.0) == pytest.approx(0.2)


def test_the_ranking_network_is_given_the_five_numbers():
    rank = RankNetwork(32)
    assert sum(parameter.numel() for parameter in rank.parameters()) == 5 * 32 + 32 * 34 + 33
    seen = []
    rank.layers[0].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    rank(torch.tensor([0.4]), torch.tensor([0.2]))
    expected = torch.tensor([[0.4, 0.2, 0.2, 0.4 / 0.3, 0.2 / 0.5]])
    torch.testing.assert_close(seen[0], expected)


def test_the_loss_is_the_cross_entropy_to_the_share_of_votes():
    method = small("lin").eval()
    batch = {key: torch.rand(4, 3, 40, 40) for key in ("reference", "first", "second")}
    batch["judge"] = torch.tensor([0.0, 0.2, 0.5, 1.0])
    found = method.losses(batch, STATE)
    first, second = (method.distance(batch["reference"], batch[k]) for k in ("first", "second"))
    p = torch.sigmoid(method.rank(first, second))
    judge = batch["judge"]
    expected = -(judge * p.log() + (1 - judge) * (1 - p).log()).mean()
    torch.testing.assert_close(found["loss"], expected)
    expected = agreement(first.numpy(), second.numpy(), judge.numpy()).mean()
    assert found["agreement"].item() == pytest.approx(expected)


def test_lin_changes_the_weights_of_channels_alone(held_out):
    method = small("lin", learning_rate=0.05)
    before = {key: value.clone() for key, value in method.metric.state_dict().items()}
    steps(method, {key: value[:20] for key, value in held_out.items()}, 2)
    weights = [key for key in before if key.startswith("weights.")]
    assert len(weights) == 5
    for key, value in method.metric.state_dict().items():
        assert torch.equal(value, before[key]) == (key not in weights), key
    assert not method.metric.network.training
    assert method.metric.training


def test_weights_of_channels_are_kept_from_being_negative(held_out):
    batch = {key: value[:20] for key, value in held_out.items()}
    lowest = {}
    for projects in (False, True):
        # One of the two observers pulls all weights down.
        for judge in (batch["judge"], 1 - batch["judge"]):
            method = small("lin", learning_rate=0.05)
            if not projects:
                method.after_step = lambda: None
            steps(method, batch | {"judge": judge}, 2)
            weights = torch.cat([value.detach() for value in method.metric.weights.values()])
            lowest.setdefault(projects, []).append(weights.min().item())
            assert any((parameter < 0).any() for parameter in method.rank.parameters())
    assert min(lowest[False]) < 0
    assert min(lowest[True]) == 0


@pytest.mark.parametrize("form", ["tune", "scratch"])
def test_tune_and_scratch_change_the_network_without_projecting_it(held_out, form):
    method = small(form, learning_rate=1e-3)
    before = {key: value.clone() for key, value in method.metric.network.state_dict().items()}
    steps(method, {key: value[:8] for key, value in held_out.items()}, 1)
    for key, value in method.metric.network.state_dict().items():
        assert not torch.equal(value, before[key]), key
        assert value.min() < 0
    assert all((weight >= 0).all() for weight in method.metric.weights.values())


def test_one_by_one_convolutions_of_a_network_are_not_projected():
    """The released code clamps those of SqueezeNet's trunk as well."""
    torch.manual_seed(0)
    method = create("lpips", net="squeeze", form="lin")
    squeeze = method.metric.network.features[3].squeeze.weight
    before = squeeze.clone()
    method.after_step()
    assert squeeze.shape[-1] == 1
    assert torch.equal(squeeze, before)
    assert squeeze.min() < 0


def test_unweighted_has_nothing_to_train():
    method = small("unweighted")
    assert method.phases() == []
    assert not any(parameter.requires_grad for parameter in method.parameters())
    assert len(method.metric.weights) == 0


@pytest.mark.long
@pytest.mark.parametrize(
    ("form", "rate", "reached"), [("lin", 1e-2, 0.66), ("scratch", 2e-3, 0.74)]
)
def test_learns_what_the_observer_sees(train_photographs, held_out, form, rate, reached):
    """Noise and shifts of color in the pictures, judged by an observer blind to the shifts."""
    method = small(form, learning_rate=rate, images_seen=3000, dropout=0.5)
    before = score(small("unweighted"), held_out)
    result = train(
        method, Triplets(train_photographs, seed=1), seed=1, device="cpu", precision="fp32"
    )
    assert before < 0.6
    assert score(method, held_out) > reached
    assert result.history[-1]["loss"] < math.log(2)


def test_the_product_has_no_dropout_and_leaves_the_mode():
    method = small("lin").train()
    first, second = torch.rand(2, 3, 3, 40, 40)
    assert torch.equal(method.distance(first, second), method.distance(first, second))
    assert method.training
    assert method.distance(first, first).abs().max() == 0


def test_a_saved_model_is_a_metric(tmp_path):
    method = small("lin")
    path = tmp_path / "metric.safetensors"
    save_model(path, "lpips", method)
    first, second = torch.rand(2, 3, 3, 40, 40)
    expected = method.distance(first, second)
    torch.testing.assert_close(load_metric(path)(first, second), expected)
    torch.testing.assert_close(lpips(first, second, net=str(path)), expected)
    other = tmp_path / "denoiser.safetensors"
    save_model(other, "n2c", create("n2c", width=8))
    with pytest.raises(UnpairedError, match="'n2c', which is not a perceptual metric"):
        load_metric(other)
    with pytest.raises(UnpairedError, match="'n2c', which has no feature network"):
        starting_network(other, method.config)


def test_networks_to_start_from(tmp_path, photographs):
    config = LPIPSConfig(width=0.25)
    first, again, other = (starting_network("random", config, seed=s) for s in (1, 1, 2))
    assert torch.equal(first.features[6].weight, again.features[6].weight)
    assert not torch.equal(first.features[6].weight, other.features[6].weight)
    crops = [p[y : y + 64, :64] for p in photographs for y in range(0, 256, 64)]
    pictures = torch.from_numpy(np.stack(crops)).movedim(-1, 1)
    clustered = starting_network("kmeans", config, pictures, seed=1)
    method = small("scratch")
    method.start_from(clustered)
    given = clustered(method.metric.standardized(pictures))
    before_relu = clustered.features[0](method.metric.standardized(pictures))
    assert before_relu.std(dim=(0, 2, 3), correction=0).sub(1).abs().max() < 1e-3
    assert all(feature.isfinite().all() for feature in given)
    path = tmp_path / "trained.safetensors"
    save_model(path, "lpips", method)
    trained = starting_network(path, config)
    assert torch.equal(trained.features[3].weight, clustered.features[3].weight)
    with pytest.raises(UnpairedError, match=r"not 'alex' of width 0\.5"):
        create("lpips", width=0.5).start_from(clustered)
    with pytest.raises(UnpairedError, match="needs pictures"):
        starting_network("kmeans", config)
    with pytest.raises(UnpairedError, match="random, torchvision, kmeans, supervised"):
        starting_network("imagenet", config)


def test_scratch_starts_from_torchvisions_random_weights():
    """As the authors' code does: uniform weights, and biases that are not zero."""
    method = create("lpips", width=0.25, form="scratch", start="torchvision")
    method.prepare([], seed=1)
    for layer in method.metric.network.features:
        if isinstance(layer, torch.nn.Conv2d):
            bound = layer.weight[0].numel() ** -0.5
            for values in (layer.weight, layer.bias):
                assert 0.9 * bound < values.abs().max() <= bound
    with pytest.raises(UnpairedError, match="start 'torchvision' is for alex, vgg, squeeze alone"):
        create("lpips", net="test_resnet", start="torchvision")


def test_supervised_weights_come_from_a_file(tmp_path):
    full = build("alex")
    path = tmp_path / "alexnet.pth"
    torch.save(full.state_dict(), path)
    loaded = starting_network(path, LPIPSConfig())
    assert torch.equal(loaded.features[0].weight, load_pretrained("alex", path).features[0].weight)
    assert torch.equal(loaded.features[10].weight, full.features[10].weight)


def test_bad_settings_are_refused():
    assert FORMS == ("unweighted", "published", "lin", "tune", "scratch")
    with pytest.raises(UnpairedError, match="no form 'line'; did you mean 'lin'"):
        create("lpips", form="line")
    with pytest.raises(UnpairedError, match="from 0 to less than 1"):
        create("lpips", dropout=1.0)
    with pytest.raises(UnpairedError, match="unknown feature network 'alexx'; near it: alex"):
        create("lpips", net="alexx")
    with pytest.raises(UnpairedError, match="start 'kmeans' is for alex, vgg, squeeze alone"):
        create("lpips", net="test_resnet", start="kmeans")


class Samples:
    """References cut from photographs, as a run's samples."""

    def __init__(self, photographs):
        self.crops = [
            p[y : y + 64, x : x + 64] for p in photographs for y in (0, 64) for x in (0, 64)
        ]

    def __len__(self):
        return len(self.crops)

    def __getitem__(self, k):
        return {"reference": torch.from_numpy(self.crops[k].copy()).permute(2, 0, 1)}


@pytest.mark.parametrize("start", ["random", "kmeans"])
def test_preparing_initializes_the_network_by_seed_and_pictures(photographs, start):
    def prepared(seed, samples):
        method = create("lpips", width=0.1, form="unweighted", start=start)
        method.prepare(samples, seed)
        return method.metric.network.features[3].weight

    samples = Samples(photographs)
    first = prepared(1, samples)
    assert torch.equal(first, prepared(1, samples))
    assert not torch.equal(first, prepared(2, samples))
    of_others = prepared(1, Samples([1 - photograph for photograph in photographs[:2]]))
    assert torch.equal(first, of_others) == (start == "random")
    with pytest.raises(UnpairedError, match="no start 'means'; did you mean 'kmeans'"):
        create("lpips", start="means")


def test_an_unweighted_distance_passes_through_the_training_loop(tmp_path, photographs):
    """It has nothing to learn, and is published and loaded like any other model."""
    method = create("lpips", width=0.1, form="unweighted")
    method.prepare(Samples(photographs), 1)
    before = {key: value.clone() for key, value in method.state_dict().items()}
    result = train(method, Samples(photographs), seed=1, device="cpu")
    assert (result.images_seen, result.history) == (0, [])
    assert all(torch.equal(value, before[key]) for key, value in method.state_dict().items())
    lin = create("lpips", width=0.1)
    lin.start_from(method)
    assert torch.equal(
        lin.metric.network.features[0].weight, before["metric.network.features.0.weight"]
    )


@pytest.mark.parametrize("form", ["lin", "tune", "scratch"])
def test_a_network_of_timm_is_trained_saved_and_loaded(tmp_path, held_out, form, monkeypatch):
    def no_hub(*_, **__):
        raise AssertionError("a model needs nothing but its file")

    method = create("lpips", net="test_resnet.r160_in1k", form=form, learning_rate=1e-2)
    method.prepare([], seed=1)
    before = {key: value.clone() for key, value in method.state_dict().items()}
    steps(method, {key: value[:8] for key, value in held_out.items()}, 2)
    moved = {
        key for key, value in method.state_dict().items() if not torch.equal(value, before[key])
    }
    assert {f"metric.weights.layer{k}" for k in (1, 2, 3, 4)} <= moved
    assert ("metric.network.features.layer4.0.conv1.weight" in moved) == (form != "lin")
    assert ("metric.network.features.bn1.running_mean" in moved) == (form != "lin")
    path = tmp_path / "model.safetensors"
    save_model(path, "lpips", method)
    monkeypatch.setattr("timm.models._builder.load_pretrained", no_hub)
    name, loaded = load_model(path)
    assert name == "lpips"
    first, second = torch.rand(2, 2, 3, 40, 50)
    torch.testing.assert_close(loaded.distance(first, second), method.distance(first, second))
    torch.testing.assert_close(load_metric(path)(first, second), method.distance(first, second))


def test_a_network_of_timm_starts_from_its_own_weights(tmp_path, monkeypatch):
    given = timm.create_model("test_resnet").state_dict()
    own = timm.create_model

    def from_cache(name, pretrained=False, **options):
        if pretrained and "pretrained_cfg_overlay" not in options:
            options["pretrained_cfg_overlay"] = {"state_dict": dict(given)}
        return own(name, pretrained=pretrained, **options)

    monkeypatch.setattr(timm, "create_model", from_cache)
    method = create("lpips", net="test_resnet", start="supervised")
    method.prepare([], seed=1)
    found = method.metric.network.features.layer3[0].conv1.weight
    assert torch.equal(found, given["layer3.0.conv1.weight"])
    torch.save(given, tmp_path / "weights.pth")
    from_file = starting_network(tmp_path / "weights.pth", method.config)
    assert torch.equal(from_file.features.layer3[0].conv1.weight, found)
