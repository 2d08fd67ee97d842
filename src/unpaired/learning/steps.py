"""One optimizer step: the same for a training of days and for fitting a network to one image."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def take_step(
    losses: Callable[[], dict[str, Tensor]],
    optimizer: torch.optim.Optimizer,
    *,
    factor: float,
    device: torch.device,
    precision: str,
    backward: Callable[[Tensor], None] = Tensor.backward,
) -> dict[str, Tensor]:
    """Compute ``losses``, go one step down the gradient of their ``loss`` and return them all.

    factor: on the learning rate that the optimizer was made with. precision: "bf16" computes the
    losses under autocast, "fp32" as they are. backward: what computes the gradients.
    """
    for group in optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"])
        group["lr"] = group["initial_lr"] * factor
    with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16"):
        computed = losses()
    optimizer.zero_grad(set_to_none=True)
    backward(computed["loss"])
    optimizer.step()
    return computed
