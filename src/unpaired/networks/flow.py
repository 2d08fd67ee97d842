"""Layers of normalizing flows: invertible, with the logarithm of their Jacobian's determinant.

Glow (Kingma & Dhariwal, NeurIPS 2018, Table 1) and, for layers that a condition steers, SRFlow
(Lugmayr et al., ECCV 2020, section 3.3). Every layer turns B x C x H x W into the same shape and
says what it adds to log |det| of each picture, B; ``inverse`` gives the input back.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

LOG_SCALE_MAX = 1.0


class Actnorm(nn.Module):
    """Every channel is shifted and scaled: y = (x + shift) * exp(log_scale) (Glow, 3.1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(1, channels, 1, 1))
        self.log_scale = nn.Parameter(torch.zeros(1, channels, 1, 1))

    @torch.no_grad()
    def start(self, x: Tensor) -> None:
        """Give what comes of ``x`` mean 0 and variance 1 in every channel."""
        std = x.std((0, 2, 3), correction=0, keepdim=True)
        self.shift.copy_(-x.mean((0, 2, 3), keepdim=True))
        self.log_scale.copy_(-std.clamp_min(1e-6).log())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        added = self.log_scale.sum() * x[0, 0].numel()
        return (x + self.shift) * self.log_scale.exp(), added.expand(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        return y * (-self.log_scale).exp() - self.shift


class InvertibleConvolution(nn.Module):
    """A 1x1 convolution with W = P L (U + diag(s)) (Glow, Equation 10), at first a random rotation.

    P is a permutation that stays, as do the signs of s; L has a diagonal of 1, U one of 0.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        rotation = torch.linalg.qr(torch.randn(channels, channels, dtype=torch.float64)).Q
        permutation, lower, upper = torch.linalg.lu(rotation)
        diagonal = upper.diagonal()
        self.register_buffer("permutation", permutation.float())
        self.register_buffer("signs", diagonal.sign().float())
        self.lower = nn.Parameter(lower.tril(-1).float())
        self.upper = nn.Parameter(upper.triu(1).float())
        self.log_diagonal = nn.Parameter(diagonal.abs().log().float())

    def _factors(self) -> tuple[Tensor, Tensor]:
        lower = self.lower.tril(-1) + torch.eye(len(self.signs)).to(self.lower)
        return lower, self.upper.triu(1) + torch.diag(self.signs * self.log_diagonal.exp())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        lower, upper = self._factors()
        weight = self.permutation @ lower @ upper
        added = self.log_diagonal.sum() * x[0, 0].numel()
        return functional.conv2d(x, weight[:, :, None, None]), added.expand(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        # In double precision: the two solutions would add to the rounding of dozens of layers.
        lower, upper = (factor.double() for factor in self._factors())
        solved = torch.linalg.solve_triangular(
            lower, self.permutation.double().T, upper=False, unitriangular=True
        )
        weight = torch.linalg.solve_triangular(upper, solved, upper=True).to(y)
        return functional.conv2d(y, weight[:, :, None, None])


class AffineInjector(nn.Module):
    """All channels are scaled and shifted, as a network says of the condition (SRFlow, 3.3)."""

    def __init__(self, channels: int, condition_channels: int, width: int) -> None:
        super().__init__()
        self.network = coupling_network(condition_channels, 2 * channels, width)

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        shift, log_scale = _shift_and_log_scale(self.network(condition))
        return (x + shift) * log_scale.exp(), log_scale.flatten(1).sum(1)

    def inverse(self, y: Tensor, condition: Tensor) -> Tensor:
        shift, log_scale = _shift_and_log_scale(self.network(condition))
        return y * (-log_scale).exp() - shift


class ConditionalCoupling(nn.Module):
    """A half of the channels, with the condition, says how the other half is scaled and shifted."""

    def __init__(self, channels: int, condition_channels: int, width: int) -> None:
        super().__init__()
        self.kept = channels // 2
        outputs = 2 * (channels - self.kept)
        self.network = coupling_network(self.kept + condition_channels, outputs, width)

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        kept, changed = x[:, : self.kept], x[:, self.kept :]
        shift, log_scale = self._of(kept, condition)
        changed = (changed + shift) * log_scale.exp()
        return torch.cat([kept, changed], dim=1), log_scale.flatten(1).sum(1)

    def inverse(self, y: Tensor, condition: Tensor) -> Tensor:
        kept, changed = y[:, : self.kept], y[:, self.kept :]
        shift, log_scale = self._of(kept, condition)
        return torch.cat([kept, changed * (-log_scale).exp() - shift], dim=1)

    def _of(self, kept: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        return _shift_and_log_scale(self.network(torch.cat([kept, condition], dim=1)))


def coupling_network(inputs: int, outputs: int, width: int) -> nn.Sequential:
    """Return Glow's three convolutions, of 3, 1 and 3 pixels; the last one starts at 0.

    So what it steers starts as the identity (Glow, 3.3 and its appendix).
    """
    last = nn.Conv2d(width, outputs, 3, padding=1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return nn.Sequential(
        nn.Conv2d(inputs, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, width, 1),
        nn.ReLU(),
        last,
    )


def _shift_and_log_scale(output: Tensor) -> tuple[Tensor, Tensor]:
    """Split what a network says; scales stay within exp(-1) and exp(1), so the inverse is exact.

    The hyperbolic tangent is Real NVP's (Dinh, Sohl-Dickstein & Bengio, ICLR 2017, 4.1).
    """
    shift, raw = output.chunk(2, dim=1)
    return shift, LOG_SCALE_MAX * torch.tanh(raw / LOG_SCALE_MAX)
