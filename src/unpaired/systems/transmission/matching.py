"""Whether models fit each other: codec, invertible network and diffusion model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from unpaired.core.errors import UnpairedError

SNR_TOLERANCE_DB = 1e-4


def of_role(others: Mapping[str, Any], role: str, capability: str) -> Any:
    """Return the model in a role; raises UnpairedError if it is none that can do what is asked."""
    found = others.get(role)
    if found is None:
        raise UnpairedError(f"a {role} is needed, and none is given")
    if not hasattr(found, capability):
        raise UnpairedError(f"a {type(found).__name__} cannot be a {role}: it has no {capability}")
    return found


def codec_of(others: Mapping[str, Any]) -> Any:
    """Return the codec of other models in roles."""
    return of_role(others, "codec", "transmit")


def require_channel(model: Any, snr_db: float, role: str) -> None:
    """Raise UnpairedError unless a model was learned for a channel of this SNR."""
    own = float(model.snr_db)
    if abs(own - snr_db) > SNR_TOLERANCE_DB:
        raise UnpairedError(
            f"the {role} was learned for a channel of {own:g} dB, and this one has {snr_db:g} dB; "
            "give the one of this channel"
        )


def require_one_size(others: Mapping[str, Any]) -> None:
    """Raise UnpairedError unless all models were learned from pictures of one size."""
    sizes = {role: model.config.patch_px for role, model in others.items()}
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{role} {side} px" for role, side in sizes.items())
        raise UnpairedError(f"models of pictures of several sizes: {told}; give models of one size")
