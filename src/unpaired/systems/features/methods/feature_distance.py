"""An encoder's features as a distance of pictures, in LPIPS' form (Zhang 2018, section 6.5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor

from unpaired.learning.method import Method
from unpaired.metrics.perceptual import LPIPS
from unpaired.networks.alexnet_caffe import LAYERS
from unpaired.networks.feature_networks import FeatureNetwork, Layer

AS_SIGNED = "0.0"  # LPIPS' version whose networks are given pictures in [-1, 1]


class EncoderNetwork(FeatureNetwork):
    """conv1 .. conv5 of an encoder, of pictures in [-1, 1]."""

    def __init__(self, encoder: Any) -> None:
        config = encoder.config
        layers = tuple(
            Layer(name, number, sum(network.channels[number] for network in encoder.networks))
            for number, name in enumerate(LAYERS)
        )
        super().__init__(encoder, layers, config.first_kernel_px + 8 * config.first_stride)

    def _outputs(self, image: Tensor) -> list[Tensor]:
        found = self.features.features((image + 1) / 2)
        return [found[name] for name in LAYERS]


@dataclass(frozen=True, kw_only=True)
class FeatureDistanceConfig:
    """There is nothing to set."""


class FeatureDistance:
    """Differences of unit-normalized features, every channel with weight 1.

    It is given the encoder in the role "encoder".
    """

    Config: ClassVar[type] = FeatureDistanceConfig
    sees: ClassVar[tuple[str, ...]] = ("reference", "first", "second")
    knows: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: FeatureDistanceConfig) -> None:
        self.config = config
        self.metric: LPIPS | None = None

    def receive(self, role: str, other: Method) -> None:
        """Take the encoder, which does not change any more."""
        network = EncoderNetwork(other.requires_grad_(False))
        self.metric = LPIPS(network, learned=False, version=AS_SIGNED).eval()

    def distances(self, reference: Tensor, *others: Tensor) -> list[Tensor]:
        """Return the distances, N each, of a reference to others, as `LPIPS.distances` does.

        Pictures are N x 3 x H x W in [0, 1]. Raises UnpairedError as `LPIPS` does.
        """
        return self.metric.to(reference.device).distances(reference, *others)
