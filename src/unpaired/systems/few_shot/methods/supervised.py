"""The pairs alone: the baseline of SUD² (Chan et al. 2023), which learns five faces by heart.

The loss is Equation 1, the mean over pairs of |x_p - f(y_p)|^2, and a mean over pixels too, so that
weights beside it mean the same for pictures of any size.
"""

from __future__ import annotations

from typing import ClassVar

from unpaired.systems.few_shot.methods.reconstruction import Reconstruction, ReconstructionConfig


class Supervised(Reconstruction):
    """Learns from pairs, each in turn, mirrored or not."""

    Config: ClassVar[type] = ReconstructionConfig
