"""Unpaired: image restoration and synthesis learned without paired data.

``import unpaired as up`` gives what `unpaired.api` holds: `denoise`, `Denoiser`, `load`, `compare`,
`colorize`, `psnr`, `ssim` and `lpips`, loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from unpaired.api import Denoiser, colorize, compare, denoise, load, lpips, psnr, ssim
    from unpaired.errors import UnpairedError

__version__ = "0.1.0"
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


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module("unpaired.api"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
