"""LPIPS against the authors' package, closed forms and properties."""

from __future__ import annotations

import lpips as authors
import numpy as np
import pytest
import timm
import torch
from torchvision import models

import unpaired
from unpaired.core.errors import UnpairedError
from unpaired.metrics.perceptual import LPIPS, installed_linear_weights, load_published, to_tensor
from unpaired.networks.feature_networks import NETWORKS, build
from unpaired.systems.perceptual.metric import _metric_of, load_metric, lpips

# The authors' package builds torchvision's networks in a deprecated way.
pytestmark = [
    pytest.mark.filterwarnings("ignore:The parameter 'pretrained' is deprecated"),
    pytest.mark.filterwarnings("ignore:Arguments other than a weight enum"),
]


def authors_metric(net, ours, **options):
    """Return the authors' metric with our backbone and, where it has any, their own weights."""
    theirs = authors.LPIPS(
        net=net, pnet_rand=True, pnet_tune=True, verbose=False, pretrained=False, **options
    )
    slices = [getattr(theirs.net, f"slice{k + 1}") for k in range(theirs.net.N_slices)]
    for part in slices:
        for name, module in part.named_children():
            module.load_state_dict(ours.network.features[int(name)].state_dict())
    if options.get("lpips", True):
        with torch.no_grad():
            for lin, weight in zip(theirs.lins, ours.weights.values(), strict=True):
                lin.model[1].weight.copy_(weight.view(1, -1, 1, 1))
    return theirs.eval()


@pytest.fixture(scope="module", params=NETWORKS)
def pair_of_metrics(request):
    """Our metric and the authors', with one random backbone and the published weights."""
    torch.set_num_threads(1)
    torch.manual_seed(3)
    ours = LPIPS(build(request.param)).eval()
    ours.load_linear(installed_linear_weights(request.param))
    return request.param, ours, authors_metric(request.param, ours)


def patches(count=3, height=64, width=64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    first = torch.rand(count, 3, height, width, generator=generator)
    noise = 0.2 * torch.randn(first.shape, generator=generator)
    return first, (first + noise).clamp(0, 1)


def test_distances_and_maps_equal_the_authors(pair_of_metrics):
    _, ours, theirs = pair_of_metrics
    for size in ((64, 64), (50, 71)):
        first, second = patches(3, *size)
        with torch.inference_mode():
            theirs.spatial = False
            expected = theirs(first, second, normalize=True).flatten()
            torch.testing.assert_close(ours(first, second), expected, rtol=1e-5, atol=0)
            theirs.spatial = True
            expected = theirs(first, second, normalize=True)[:, 0]
            torch.testing.assert_close(ours.spatial(first, second), expected, rtol=1e-5, atol=1e-9)
    theirs.spatial = False


def test_gradients_equal_the_authors(pair_of_metrics):
    _, ours, theirs = pair_of_metrics
    first, second = patches(1)
    for dtype, rtol, atol in ((torch.float32, 1e-4, 1e-5), (torch.float64, 1e-6, 1e-6)):
        gradients = []
        for metric, options in ((ours, {}), (theirs, {"normalize": True})):
            picture = first.to(dtype, copy=True).requires_grad_()
            metric.to(dtype)(picture, second.to(dtype), **options).sum().backward()
            gradients.append(picture.grad)
            metric.float()
        scale = gradients[1].abs().max().item()
        torch.testing.assert_close(*gradients, rtol=rtol, atol=atol * scale)


@pytest.mark.parametrize(("options", "ours"), [
    ({"version": "0.0"}, {"version": "0.0"}),
    ({"lpips": False}, {"learned": False}),
])  # fmt: skip
def test_other_forms_equal_the_authors(options, ours):
    torch.manual_seed(5)
    metric = LPIPS(build("alex"), **ours).eval()
    theirs = authors_metric("alex", metric, **options)
    first, second = patches()
    with torch.inference_mode():
        expected = theirs(first, second, normalize=True).flatten()
        torch.testing.assert_close(metric(first, second), expected, rtol=1e-5, atol=0)


def test_without_weights_a_layer_is_twice_one_minus_the_cosine():
    torch.manual_seed(1)
    metric = LPIPS(build("alex", 0.25), learned=False)
    first, second = patches(1)
    prepared = [metric.standardized(picture) for picture in (first, second)]
    features = zip(*map(metric.network, prepared), strict=True)
    expected = [2 * (1 - torch.cosine_similarity(a, b, dim=1)).mean() for a, b in features]
    found = metric.by_layer(first, second)
    assert list(found) == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    torch.testing.assert_close(torch.cat(list(found.values())), torch.stack(expected))
    torch.testing.assert_close(metric(first, second), sum(expected)[None])


def test_weights_are_not_squared():
    torch.manual_seed(1)
    metric = LPIPS(build("alex", 0.25)).eval()
    first, second = patches()
    before = metric(first, second)
    with torch.no_grad():
        for weight in metric.weights.values():
            weight *= 3
    torch.testing.assert_close(metric(first, second), 3 * before)


def test_properties_of_a_distance():
    torch.manual_seed(2)
    metric = LPIPS(build("alex", 0.25)).eval()
    first, second = patches(4)
    distances = metric(first, second)
    assert (distances > 0).all()
    torch.testing.assert_close(metric(second, first), distances)
    torch.testing.assert_close(metric(first.flip(0), second.flip(0)).flip(0), distances)
    assert metric(first, first).abs().max() == 0
    one_by_one = torch.cat([metric(first[k : k + 1], second[k : k + 1]) for k in range(4)])
    torch.testing.assert_close(one_by_one, distances)


def test_a_shared_reference_changes_nothing():
    torch.manual_seed(2)
    metric = LPIPS(build("alex", 0.25)).eval()
    first, second = patches()
    third = first.flip(-1)
    found = metric.distances(first, second, third)
    torch.testing.assert_close(found[0], metric(first, second))
    torch.testing.assert_close(found[1], metric(first, third))


def test_distance_grows_with_noise_on_average(photographs):
    torch.manual_seed(2)
    metric = LPIPS(build("alex"), learned=False).eval()
    picture = to_tensor(photographs[1][:128, :128])
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
    noisy = torch.cat([(picture + level * noise).clamp(0, 1) for level in (0.02, 0.06, 0.2)])
    with torch.inference_mode():
        distances = metric(picture.expand(3, -1, -1, -1), noisy)
    assert (distances.diff() > 0).all()


@pytest.mark.parametrize("net", NETWORKS)
def test_gradients_are_finite_at_identical_pictures_and_zero_features(net):
    torch.manual_seed(0)
    metric = LPIPS(build(net)).eval()
    with torch.no_grad():
        before_relu = metric.network.features[metric.network.layers[0].index - 1]
        before_relu.bias.fill_(-0.5)
    flat = torch.full((1, 3, 64, 64), 0.45)
    flat[..., :16, :16] = torch.rand(3, 16, 16)
    features = metric.network(metric.standardized(flat))[0]
    assert (features.sum(dim=1) == 0).any()
    assert (features.sum(dim=1) > 0).any()
    for other in (flat, torch.rand(1, 3, 64, 64)):
        picture = flat.clone().requires_grad_()
        metric(picture, other).sum().backward()
        assert picture.grad.isfinite().all()
        if other is flat:
            assert picture.grad.abs().max() == 0


def test_dropout_only_in_training_and_its_draws_differ():
    torch.manual_seed(0)
    metric = LPIPS(build("alex", 0.25))
    first, second = patches()
    kept = metric.eval()(first, second)
    torch.testing.assert_close(metric(first, second), kept)
    metric.train()
    drawn = metric.distances(first, second, second)
    assert not torch.equal(*drawn)
    means = torch.stack([metric(first, second) for _ in range(60)]).mean(0)
    torch.testing.assert_close(means, kept, rtol=0.05, atol=0)


def test_new_weights_are_not_negative_and_projection_leaves_the_network_alone():
    torch.manual_seed(0)
    metric = LPIPS(build("squeeze"))
    network = {key: value.clone() for key, value in metric.network.state_dict().items()}
    for weight in metric.weights.values():
        assert (weight >= 0).all()
        assert (weight > 0).any()
        with torch.no_grad():
            weight -= weight.mean()
    metric.project()
    assert all((weight >= 0).all() for weight in metric.weights.values())
    assert all(torch.equal(value, network[k]) for k, value in metric.network.state_dict().items())


def test_other_precisions():
    torch.manual_seed(0)
    metric = LPIPS(build("alex", 0.25)).eval()
    first, second = patches()
    expected = metric(first, second)
    torch.testing.assert_close(metric(first.double(), second.double()), expected)
    with torch.autocast("cpu", torch.bfloat16):
        found = metric(first, second)
        assert metric.network(first)[0].dtype == torch.bfloat16
        assert metric(first, first).abs().max() == 0
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0.03, atol=0)


def test_gray_pictures_are_repeated():
    torch.manual_seed(0)
    metric = LPIPS(build("alex", 0.25)).eval()
    first, second = (picture[:, :1] for picture in patches())
    tripled = [picture.repeat(1, 3, 1, 1) for picture in (first, second)]
    torch.testing.assert_close(metric(first, second), metric(*tripled))


@pytest.mark.parametrize(("change", "told"), [
    (lambda x: x * 255, r"if they are in \[0, 255\], divide by 255"),
    (lambda x: 2 * x - 1, r"if they are in \[-1, 1\], take \(x \+ 1\) / 2"),
    (lambda x: x + 0.1, r"values from .* not 0 to 1; clip"),
    (lambda x: x * float("nan"), "not numbers"),
    (lambda x: (x * 255).to(torch.uint8), "divide by 255"),
    (lambda x: x[:, :2], "1 or 3 channels"),
    (lambda x: x[0], "1 or 3 channels"),
])  # fmt: skip
def test_other_ranges_and_shapes_are_refused(change, told):
    metric = LPIPS(build("alex", 0.25))
    first, _ = patches()
    with pytest.raises(UnpairedError, match=told) as error:
        metric(change(first), change(first))
    assert "\n" not in str(error.value)
    with pytest.raises(UnpairedError, match="different shapes"):
        metric(first, first[..., :-1])


def test_linear_weights_are_read_strictly(tmp_path):
    metric = LPIPS(build("alex"))
    with pytest.raises(UnpairedError, match=r"lin1.model.1.weight: .* lin5.*not expected"):
        metric.load_linear(installed_linear_weights("squeeze"))
    path = tmp_path / "negative.pth"
    tensors = torch.load(installed_linear_weights("alex"), map_location="cpu", weights_only=True)
    tensors["lin2.model.1.weight"][0, 3] = -1
    torch.save(tensors, path)
    with pytest.raises(UnpairedError, match="negative weights"):
        metric.load_linear(path)


def test_the_function_is_exported_and_takes_arrays_and_tensors(tmp_path, monkeypatch):
    """With a random backbone in the place of torchvision's file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    _metric_of.cache_clear()
    assert unpaired.lpips is lpips
    first, second = patches(2)
    with pytest.raises(UnpairedError, match=r"'alex' are not in weights/lpips; type: pip install"):
        lpips(first, second)
    torch.manual_seed(0)
    (tmp_path / "checkpoints").mkdir()
    whole = models.alexnet()
    torch.save(whole.state_dict(), tmp_path / "checkpoints" / "alexnet-owt-7be5be79.pth")
    distances = lpips(first, second)
    reference = load_published("alex")
    torch.testing.assert_close(distances, reference(first, second))
    arrays = [np.moveaxis(picture[0].numpy(), 0, -1) for picture in (first, second)]
    assert lpips(*arrays) == pytest.approx(distances[0].item(), rel=1e-5)
    eight_bits = [np.round(255 * array).astype(np.uint8) for array in arrays]
    assert lpips(*eight_bits) == pytest.approx(distances[0].item(), rel=0.02)
    assert lpips(arrays[0][..., 0], arrays[1][..., 0]) > 0
    with pytest.raises(UnpairedError, match="must be uint8 or floating"):
        lpips(arrays[0].astype(int), arrays[1])
    _metric_of.cache_clear()


def test_unknown_names_are_refused():
    with pytest.raises(
        UnpairedError, match=r"near it: resnet18, .*alex, vgg, squeeze and those of"
    ):
        load_metric("resnt18")
    with pytest.raises(UnpairedError, match=r"no version '0\.2'"):
        LPIPS(build("alex", 0.25), version="0.2")


@pytest.fixture
def timm_file(tmp_path):
    """A file of random weights of the tiny network of timm's that the tests use."""
    torch.manual_seed(0)
    whole = timm.create_model("test_vit3")
    torch.save(whole.state_dict(), tmp_path / "weights.pth")
    return whole.eval(), tmp_path / "weights.pth"


def test_a_network_of_timm_without_weights_is_a_closed_form(timm_file):
    """Mean over positions of the squared difference of unit vectors, summed over its layers."""
    whole, path = timm_file
    mean, std = (torch.tensor(whole.pretrained_cfg[key]).view(3, 1, 1) for key in ("mean", "std"))
    first, second = patches(2, 160, 160)
    expected = torch.zeros(2)
    with torch.inference_mode():
        features = [
            whole.forward_intermediates((picture - mean) / std, 3, intermediates_only=True)
            for picture in (first, second)
        ]
        for a, b in zip(*features, strict=True):
            difference = a / a.norm(dim=1, keepdim=True) - b / b.norm(dim=1, keepdim=True)
            expected += difference.square().sum(dim=1).mean(dim=(1, 2))
        metric = load_metric("test_vit3", path)
        torch.testing.assert_close(metric(first, second), expected)
        torch.testing.assert_close(lpips(first, second, net="test_vit3", weights=path), expected)
        assert metric(first, first).abs().max() == 0
    assert list(metric.weights) == []


def test_the_input_of_a_network_of_timm_is_standardized_by_its_own_numbers():
    for name in ("test_resnet", "test_vit3"):
        metric = LPIPS(build(name), learned=False)
        config = metric.network.features.pretrained_cfg
        picture = torch.rand(1, 3, 40, 40)
        mean, std = (torch.tensor(config[key]).view(3, 1, 1) for key in ("mean", "std"))
        torch.testing.assert_close(metric.standardized(picture), (picture - mean) / std)


def test_gradients_flow_through_a_network_of_timm(timm_file):
    metric = load_metric("test_vit3", timm_file[1])
    first, second = patches(1, 50, 71)
    first.requires_grad_()
    metric(first, second).sum().backward()
    assert first.grad.isfinite().all()
    assert first.grad.abs().amin(dim=(0, 1)).max() > 0


def test_weights_of_channels_are_of_the_published_networks_alone(timm_file, tmp_path):
    with pytest.raises(UnpairedError, match="LPIPS has no network 'test_vit3'"):
        load_published("test_vit3", backbone=timm_file[1])
    with pytest.raises(UnpairedError, match="a model has its weights"):
        load_metric(tmp_path / "model.safetensors", timm_file[1])
