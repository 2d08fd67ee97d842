"""Convolutions initialized from data: whitened k-means of patches, layer by layer.

Krähenbühl, Doersch, Donahue and Darrell, "Data-dependent initializations of convolutional neural
networks" (ICLR 2016): stacked k-means, then every layer's responses brought to one mean and
deviation (their within-layer normalization). Their between-layer normalization, which evens out how
fast layers learn, is left out: it multiplies whole layers, and the distances that these networks
are used for here scale features to unit length.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import numpy_generator, seed_for

RESPONSE_MEAN = 0.1  # the authors' default bias
PATCHES_PER_FILTER = 50
BATCH_PER_FILTER = 10
VARIANCE_FROM = 1e-6  # of the largest: directions with less are not whitened but dropped


@torch.no_grad()
def initialize_from_patches(network: nn.Module, pictures: Tensor, *key: object) -> None:
    """Set all convolutions of a feed-forward network from what they are given for ``pictures``.

    Their filters are centroids of their whitened input patches; responses over all pictures and
    positions then have deviation 1 in every channel and, where there are biases, mean 0.1. Other
    modules are left as they are. pictures: what the network takes, N x C x H x W, all passed at
    once. key: decides patches and clustering.

    Raises UnpairedError if a layer sees fewer patches than it has filters.
    """
    hooks, count = [], 0
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_pre_hook(_set_filters(*key, count)))
            hooks.append(module.register_forward_hook(_rescale))
            count += 1
    try:
        network(pictures)
    finally:
        for hook in hooks:
            hook.remove()


def _set_filters(*key: object):
    def hook(module: nn.Conv2d, inputs: tuple[Tensor]) -> None:
        (given,) = inputs
        filters = []
        per_group = module.out_channels // module.groups
        for group, channels in enumerate(given.chunk(module.groups, dim=1)):
            patches = _draw_patches(module, channels, per_group, *key, group)
            filters.append(patch_centroids(patches, per_group, *key, group))
        shaped = np.concatenate(filters).reshape(module.weight.shape)
        module.weight.copy_(torch.from_numpy(shaped))
        if module.bias is not None:
            module.bias.zero_()

    return hook


def _rescale(module: nn.Conv2d, inputs: tuple[Tensor], output: Tensor) -> Tensor:
    """Bring every channel's responses to deviation 1 and, if there is a bias, to the mean."""
    std, mean = torch.std_mean(output.double(), dim=(0, 2, 3), correction=0)
    scale = (1 / std.clamp(min=torch.finfo(torch.float32).tiny)).to(output.dtype)
    module.weight.mul_(scale.view(-1, 1, 1, 1))
    output = output * scale.view(-1, 1, 1)
    if module.bias is not None:
        module.bias.copy_(RESPONSE_MEAN - mean.to(output.dtype) * scale)
        output = output + module.bias.view(-1, 1, 1)
    return output


def _draw_patches(module: nn.Conv2d, given: Tensor, filters: int, *key: object) -> np.ndarray:
    """Draw patches, rows, from where the convolution looks, its zero padding included."""
    height, width = module.padding
    windows = functional.pad(given, (width, width, height, height))
    for axis in (0, 1):
        reach = (module.kernel_size[axis] - 1) * module.dilation[axis] + 1
        windows = windows.unfold(2 + axis, reach, module.stride[axis])
    windows = windows[..., :: module.dilation[0], :: module.dilation[1]]
    count, _, rows, columns = windows.shape[:4]
    available = count * rows * columns
    if available < filters:
        raise UnpairedError(
            f"a layer of {filters} filters sees only {available} patches; give more pictures"
        )
    rng = numpy_generator("patches", *key)
    wanted = min(available, PATCHES_PER_FILTER * filters)
    drawn = rng.choice(available, wanted, replace=False)
    picture, row, column = np.unravel_index(drawn, (count, rows, columns))
    return windows[picture, :, row, column].flatten(1).double().cpu().numpy()


def patch_centroids(patches: np.ndarray, count: int, *key: object) -> np.ndarray:
    """Return ``count`` filters, rows: centroids of whitened patches of unit length, unwhitened.

    patches: M x D with M >= count. At most ``count`` principal components are kept. The product of
    a filter with a patch is that of centroid and whitened patch, up to a constant.
    """
    # Here, since it takes a second to load: every job of these networks would pay for it.
    from sklearn.cluster import MiniBatchKMeans

    centered = patches - patches.mean(axis=0)
    variances, directions = np.linalg.eigh(centered.T @ centered / len(centered))
    kept = np.flatnonzero(variances > VARIANCE_FROM * variances[-1])[-count:]
    if len(kept) == 0:
        raise UnpairedError("a layer sees the same patch everywhere; give other pictures")
    whitening = directions[:, kept] / np.sqrt(variances[kept])
    whitened = centered @ whitening
    lengths = np.linalg.norm(whitened, axis=1, keepdims=True)
    whitened /= np.maximum(lengths, np.finfo(np.float64).tiny)
    clustering = MiniBatchKMeans(
        count,
        batch_size=BATCH_PER_FILTER * count,
        n_init=1,
        random_state=seed_for("clusters", *key) % 2**32,
    )
    return clustering.fit(whitened).cluster_centers_ @ whitening.T
