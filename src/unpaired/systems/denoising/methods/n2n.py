"""Noise2Noise (Lehtinen et al. 2018): the target is a second, independent noisy image.

Where the level varies, it is drawn independently for input and target, as Laine et al. 2019 did.
"""

from __future__ import annotations

from typing import ClassVar

from unpaired.systems.denoising.methods.n2c import Noise2Clean


class Noise2Noise(Noise2Clean):
    """Mean squared error to another noisy draw of the same scene; no clean image is seen."""

    sees: ClassVar[tuple[str, ...]] = ("noisy", "noisy_again")
    target: ClassVar[str] = "noisy_again"
