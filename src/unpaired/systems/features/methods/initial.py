"""Networks that have learned nothing: Gaussian weights, or k-means of patches (Table 5.4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from unpaired.core.errors import check_choice
from unpaired.learning.method import Phase
from unpaired.systems.features.methods.encoder import CHANNELS, EncoderConfig, LabEncoder


@dataclass(frozen=True, kw_only=True)
class InitialConfig(EncoderConfig):
    """shown: the channels that it sees, "lab", "l" or "ab"; an encoder of lightness is compared
    with a network of Gaussian weights that sees lightness alone as well.
    """

    shown: str = "lab"

    def __post_init__(self) -> None:
        check_choice("initial", "shown", self.shown, CHANNELS)


class Initial(LabEncoder):
    """A network as it is before any training."""

    Config: ClassVar[type] = InitialConfig
    config: InitialConfig

    def __init__(self, config: InitialConfig) -> None:
        super().__init__(config, [config.shown], [1], 1.0)

    def phases(self) -> list[Phase]:
        """Return no phase: there is nothing to train."""
        return []
