"""What people are told of pictures that were denoised."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from unpaired.imaging.pictures import Picture

if TYPE_CHECKING:
    from unpaired.systems.denoising.denoiser import Denoiser, Estimate


def kind_of(picture: Picture) -> str:
    """Return the type of the samples, the colors and the format: "8-bit gray PNG"."""
    bits = 8 * picture.dtype.itemsize
    number = "floating-point" if picture.dtype.kind == "f" else f"{bits}-bit"
    return f"{number} {'gray' if picture.is_gray else 'color'} {picture.format}"


def result_lines(denoiser: Denoiser, kinds: Counter) -> list[str]:
    """Say what was given, how it was restored and what that is worth; kinds: of the pictures."""
    from unpaired.systems.denoising.measuring import in_words

    counted = ", ".join(
        f"{count} {kind} picture{'s'[: count > 1]}" for kind, count in kinds.items()
    )
    estimate = denoiser.estimate
    lines = [f"{counted}. {_noise_text(estimate, denoiser.stride)}"]
    lines.append(f"Restored by {denoiser.method}: {estimate.reason}.")
    if np.isfinite(estimate.before_db):
        lines.append(
            f"Estimated PSNR, without clean pictures: {in_words(estimate.before_db)} before, "
            f"{in_words(estimate.after_db)} after."
        )
    return lines


def _noise_text(estimate: Estimate, stride: int) -> str:
    noise = estimate.noise
    if noise is None:
        return "How strong the noise is cannot be told: no part is flat enough."
    text = f"Noise: {100 * noise.noise_std:.1f} % of the range that they use; "
    if estimate.colors_differ:
        text = f"{text}it is not the same in all directions of color; "
    if not noise.is_correlated:
        return f"{text}neighboring pixels do not share it."
    text += f"neighboring pixels share it (correlation {noise.strongest:+.2f})"
    if stride > 1:
        return f"{text}, so pixels {stride} apart were restored together (--stride {stride})."
    return f"{text}, so part of it stays, and an estimate is too kind."
