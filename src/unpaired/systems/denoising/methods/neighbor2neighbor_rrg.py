"""Neighbor2Neighbor with the network of CycleISP, for raw images (Table 2, "RRGs")."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unpaired.networks.rrg import RRGNet
from unpaired.systems.denoising.methods.neighbor2neighbor import (
    Neighbor2Neighbor,
    Neighbor2NeighborConfig,
)


@dataclass(frozen=True, kw_only=True)
class Neighbor2NeighborRRGConfig(Neighbor2NeighborConfig):
    """width: feature channels, 64 in CycleISP."""

    width: int = 64


class Neighbor2NeighborRRG(Neighbor2Neighbor):
    """The same learning; the network is not told the noise, as CycleISP's own is."""

    Config: ClassVar[type] = Neighbor2NeighborRRGConfig

    @staticmethod
    def build_network(config: Neighbor2NeighborRRGConfig) -> RRGNet:
        return RRGNet(config.channels, width=config.width, global_residual=config.global_residual)
