"""The weights that the authors of Neighbor2Neighbor published."""

from __future__ import annotations

from unpaired.learning.authors_weights import Layout


def _parameters() -> dict[str, str]:
    """Source: the four ``model_*_b4e100r02.pth`` of the authors' repository (BSD-3-Clause)."""
    modules = {"enc_conv0": "encoders.0.0.0", "enc_conv1": "encoders.0.1.0"}
    modules |= {f"enc_conv{level + 1}": f"encoders.{level}.0" for level in range(1, 5)}
    modules["enc_conv6"] = "bottleneck.0"
    for ours, theirs in enumerate((5, 4, 3, 2, 1)):
        modules[f"up{theirs}.deconv"] = f"ups.{ours}"
        modules[f"dec_conv{theirs}a"] = f"decoders.{ours}.0.0"
        modules[f"dec_conv{theirs}b"] = f"decoders.{ours}.1.0"
    modules |= {"nin_a": "head.0", "nin_b": "head.2", "nin_c": "last"}
    return {
        f"{theirs}.{kind}": f"network.{ours}.{kind}"
        for theirs, ours in modules.items()
        for kind in ("weight", "bias")
    }


PUBLISHED = Layout(
    "neighbor2neighbor",
    _parameters,
    noises={
        "model_gauss25_b4e100r02": "gauss25",
        "model_gauss5-50_b4e100r02": "gauss5_50",
        "model_poisson30_b4e100r02": "poisson30",
        "model_poisson5-50_b4e100r02": "poisson5_50",
    },
)
