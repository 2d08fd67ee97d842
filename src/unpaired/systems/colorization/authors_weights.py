"""The weights that the authors of Colorful Image Colorization published."""

from __future__ import annotations

from unpaired.learning.authors_weights import Layout, Scaled
from unpaired.networks.colorization import BLOCKS, LIGHTNESS_SCALE
from unpaired.systems.colorization.methods.colorization import AB_SCALE

NORMALIZATION_BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
# The authors divide L - 50 by 100, the network here by 50.
AUTHORS_LIGHTNESS_SCALE = 100.0


def _parameters() -> dict[str, str]:
    """Source: the layout of the authors' PyTorch port, ``eccv16``.

    Its blocks are sequences of convolution and ReLU, with a normalization at the end; so are ours.
    The last block has the head as well. Their last layer, which turns the distribution into ab, has
    fixed weights: the ab of the bins.
    """
    names = {}
    for number, (convolutions, _, _) in enumerate(BLOCKS):
        layers = {2 * index: ("weight", "bias") for index in range(len(convolutions))}
        layers[2 * len(convolutions)] = ("weight", "bias", *NORMALIZATION_BUFFERS)
        names |= {
            f"model{number + 1}.{layer}.{kind}": f"network.body.{number}.{layer}.{kind}"
            for layer, kinds in layers.items()
            for kind in kinds
        }
    last = len(BLOCKS)
    modules = {f"model{last + 1}.{layer}": f"network.body.{last}.{layer}" for layer in (0, 2, 4)}
    modules[f"model{last + 1}.6"] = "network.head"
    names |= {
        f"{theirs}.{kind}": f"{ours}.{kind}"
        for theirs, ours in modules.items()
        for kind in ("weight", "bias")
    }
    return names | {"model_out.weight": "bins"}


PUBLISHED = Layout(
    "colorization",
    _parameters,
    name="eccv16",
    # Their forward takes the mean of the distribution as it is, without 1 / 0.38.
    overrides={"affine": True, "own_bins": True, "temperature": 1.0},
    scaled={
        "model1.0.weight": Scaled(
            (64, 1, 3, 3), lambda theirs: theirs * (LIGHTNESS_SCALE / AUTHORS_LIGHTNESS_SCALE)
        ),
        "model_out.weight": Scaled((2, 313, 1, 1), lambda theirs: AB_SCALE * theirs[:, :, 0, 0].T),
    },
    notes={"train_set": "imagenet_train", "origin": "the authors' PyTorch port, eccv16"},
)
