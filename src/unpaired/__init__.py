"""Unpaired: image restoration and synthesis learned without paired data.

``import unpaired as up`` gives what systems offer to Python: `denoise`, `Denoiser`, `load`,
`compare`, `colorize` and `lpips`, and the metrics `psnr` and `ssim`, loaded when first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unpaired.core.version import __version__

if TYPE_CHECKING:
    from unpaired.core.errors import UnpairedError
    from unpaired.metrics.from_python import psnr, ssim
    from unpaired.systems.colorization.from_python import colorize
    from unpaired.systems.denoising.from_python import Denoiser, compare, denoise, load
    from unpaired.systems.perceptual.metric import lpips

__all__ = [
    "Denoiser",
    "UnpairedError",
    "__version__",
    "colorize",
    "compare",
    "denoise",
    "load",
    "lpips",
    "psnr",
    "ssim",
]
SHARED = {
    "UnpairedError": "unpaired.core.errors:UnpairedError",
    "psnr": "unpaired.metrics.from_python:psnr",
    "ssim": "unpaired.metrics.from_python:ssim",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from unpaired import catalog

    return catalog.load((SHARED | catalog.exports())[name])


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
