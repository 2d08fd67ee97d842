from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from unpaired.core.errors import UnpairedError
from unpaired.networks.feature_networks import build
from unpaired.networks.kmeans_init import initialize_from_patches, patch_centroids


@pytest.fixture
def pictures(photographs):
    crops = [
        photograph[top : top + 48, left : left + 48]
        for photograph in photographs
        for top in range(0, 240, 48)
        for left in range(0, 240, 48)
    ]
    return torch.from_numpy(np.stack(crops)).movedim(-1, 1).contiguous()


def responses(network, pictures):
    """Return the output of every convolution."""
    found, hooks = {}, []
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            # Cloned: the ReLU behind works in place.
            keep = lambda module, given, output, name=name: found.update({name: output.clone()})  # noqa: E731
            hooks.append(module.register_forward_hook(keep))
    with torch.no_grad():
        network(pictures)
    for hook in hooks:
        hook.remove()
    return found


@pytest.mark.parametrize(("net", "width"), [("alex", 0.1), ("squeeze", 1.0)])
def test_every_channel_responds_with_mean_a_tenth_and_deviation_one(pictures, net, width):
    torch.manual_seed(0)
    network = build(net, width)
    if net == "squeeze":  # up to the first fire modules, whose two halves share an input
        network = network.features[:5]
    initialize_from_patches(network, pictures, "seed", 1)
    found = responses(network, pictures)
    assert len(found) == (5 if net == "alex" else 7)
    for output in found.values():
        std, mean = torch.std_mean(output, dim=(0, 2, 3), correction=0)
        torch.testing.assert_close(std, torch.ones_like(std), rtol=1e-3, atol=0)
        torch.testing.assert_close(mean, torch.full_like(mean, 0.1), rtol=0, atol=1e-3)


def test_the_key_decides_and_nothing_else(pictures):
    states = []
    for key, global_seed in ((1, 0), (1, 5), (2, 0)):
        torch.manual_seed(global_seed)
        np.random.seed(global_seed)
        network = build("alex", 0.1)
        initialize_from_patches(network, pictures, key)
        states.append(network.features[3].weight.clone())
    assert torch.equal(states[0], states[1])
    assert not torch.allclose(states[0], states[2])


def test_filters_are_centroids_of_whitened_patches():
    """With patches around few prototypes, k-means has one right answer."""
    rng = np.random.default_rng(0)
    prototypes = 5 * rng.normal(size=(6, 30))
    kind = rng.integers(0, 6, 3000)
    patches = 3 + prototypes[kind] + 0.01 * rng.normal(size=(3000, 30))
    filters = patch_centroids(patches, 6, "key")
    # Independently: whiten with the five directions that matter, then average what is alike.
    left, values, right = np.linalg.svd(patches - patches.mean(0), full_matrices=False)
    size = np.sqrt(len(patches))
    whitened = (left * size)[:, :5]
    centers = np.stack([whitened[kind == k].mean(0) for k in range(6)])
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    expected = centers / (values[:5] / size) @ right[:5]
    cosines = (
        filters
        @ expected.T
        / np.linalg.norm(filters, axis=1)[:, None]
        / np.linalg.norm(expected, axis=1)
    )
    assert sorted(cosines.argmax(axis=1)) == list(range(6))
    assert cosines.max(axis=1).min() > 0.99


def test_only_principal_directions_are_used():
    rng = np.random.default_rng(1)
    patches = rng.normal(size=(500, 12)) * np.linspace(0.1, 3, 12)
    filters = patch_centroids(patches, 4, "key")
    _, _, right = np.linalg.svd(patches - patches.mean(0))
    outside = filters @ right[4:].T
    assert np.abs(outside).max() < 1e-9 * np.abs(filters).max()


def test_groups_and_layers_without_bias(pictures):
    network = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, bias=False), nn.ReLU(), nn.Conv2d(8, 6, 3, groups=2, padding=1)
    )
    initialize_from_patches(network, pictures, 1)
    for output in responses(network, pictures).values():
        std = output.std(dim=(0, 2, 3), correction=0)
        torch.testing.assert_close(std, torch.ones_like(std), rtol=1e-3, atol=0)


def test_too_few_and_flat_pictures_are_refused(pictures):
    network = build("alex", 0.5)
    with pytest.raises(UnpairedError, match=r"filters sees only .* patches; give more pictures"):
        initialize_from_patches(network, pictures[:1, :, :32, :32], 1)
    with pytest.raises(UnpairedError, match="same patch everywhere"):
        initialize_from_patches(nn.Conv2d(3, 4, 3), torch.full((4, 3, 16, 16), 0.5), 1)
    assert not network.features[0]._forward_hooks
