"""Self2Self's U-Net (Quan et al., CVPR 2020): partial convolutions down, dropout on the way up."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

LEVELS = 5
NEGATIVE_SLOPE = 0.1


class PartialConvUNet(nn.Module):
    """Encoder of partial convolutions and max-pooling, decoder with dropout before each layer.

    The authors' layers. All convolutions are 3x3 with the border extended symmetrically, LeakyReLU
    0.1 follows all but the last, a sigmoid keeps the output in [0, 1].

    width: feature channels of the encoder (48); the decoder has 2 ``width``, at full size
        4/3 ``width``, then 2/3 ``width``. dropout: rate at which single values are dropped; active
        in evaluation mode, too, because the method averages over it.
    """

    def __init__(self, channels: int, *, width: int = 48, dropout: float = 0.3) -> None:
        super().__init__()
        self.dropout = dropout
        wide = 2 * width
        self.first = PartialConv(channels, width)
        self.encoders = nn.ModuleList(PartialConv(width, width) for _ in range(LEVELS))
        self.bottleneck = PartialConv(width, width)
        inputs = [2 * width] + [wide + width] * (LEVELS - 2)
        self.decoders = nn.ModuleList(
            nn.ModuleList([_convolution(below, wide), _convolution(wide, wide)]) for below in inputs
        )
        above = [4 * width // 3, 2 * width // 3]
        self.head = nn.ModuleList(
            [_convolution(wide + channels, above[0]), _convolution(above[0], above[1])]
        )
        self.last = _convolution(above[1], channels, gain=1.0)

    def forward(self, image: Tensor, known: Tensor) -> Tensor:
        """Return B x C x H x W, float32, of any size, from an image and what may be seen of it.

        image: B x C x H x W; known: of the same shape, 1 or 0; where it is 0 the image has no
        influence on the output.
        """
        features = image * known
        skips = [features]
        features, known = _activate(self.first(features, known))
        for encoder in self.encoders:
            features, known = _pool(_activate(encoder(features, known)))
            skips.append(features)
        skips.pop()
        features, _ = _activate(self.bottleneck(features, known))
        for layers in [*self.decoders, self.head]:
            features = _join(features, skips.pop())
            for layer in layers:
                features = functional.leaky_relu_(self._drop_and(layer, features), NEGATIVE_SLOPE)
        return self._drop_and(self.last, features).float().sigmoid()

    def _drop_and(self, layer: nn.Module, features: Tensor) -> Tensor:
        return layer(extend_border(drop(features, self.dropout)))


class PartialConv(nn.Module):
    """3x3 convolution over the known inputs only (Liu et al., ECCV 2018, equations 1 and 2).

    Output: W (x * m) * (inputs in the window) / (known inputs in the window) + b, and 0 where no
    input is known. Image x and mask m are both extended symmetrically by one pixel.

    The authors of Self2Self count the known inputs in all channels but the window in one, so their
    outputs are smaller by the number of channels; they add b where nothing is known, too; and they
    pad with unknown zeros a second time, so that each layer adds a frame of a pixel, which the
    decoder crops at the far sides only. Here is the published formula, with their initialization.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        nn.init.xavier_uniform_(self.weight)

    def forward(self, features: Tensor, known: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Return the output, B x out_channels x H x W, and the mask of its known pixels.

        features: B x in_channels x H x W. known: 1 or 0, B x in_channels x H x W, or B x 1 x H x W
        if all channels share it; None stands for all known, in the result as well.
        """
        if known is None:
            return functional.conv2d(extend_border(features), self.weight, self.bias), None
        masked = features * known.to(features.dtype)
        sums = functional.conv2d(extend_border(masked), self.weight)
        share = _mean_of_windows(extend_border(known.mean(1, keepdim=True)))
        reached = share > 0
        scale = torch.where(reached, 1 / share, 0).to(sums.dtype)
        output = torch.addcmul(self.bias.to(sums.dtype)[:, None, None], sums, scale)
        # With color nearly all windows hold a known value, and the work of a mask is saved.
        if reached.all():
            return output, None
        return output * reached, reached.to(known.dtype)


def _mean_of_windows(plane: Tensor) -> Tensor:
    """Return the mean of every 3x3 window: B x 1 x H x W -> B x 1 x H-2 x W-2."""
    rows = plane[..., :-2, :] + plane[..., 1:-1, :] + plane[..., 2:, :]
    return (rows[..., :-2] + rows[..., 1:-1] + rows[..., 2:]) / 9


def _convolution(inputs: int, outputs: int, gain: float = math.sqrt(2)) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, 3)
    nn.init.normal_(layer.weight, std=gain / math.sqrt(9 * inputs))
    nn.init.zeros_(layer.bias)
    return layer


def extend_border(features: Tensor) -> Tensor:
    """Extend by one pixel on every side symmetrically, which repeats the outermost pixels."""
    # Autocast on a CPU would widen the features to fp32 and the convolution narrow them again.
    with torch.autocast(features.device.type, enabled=False):
        return functional.pad(features, (1, 1, 1, 1), mode="replicate")


def drop(features: Tensor, rate: float) -> Tensor:
    """Set each value to 0 with probability ``rate`` and divide the others by 1 - ``rate``."""
    if features.device.type != "cpu":
        return functional.dropout(features, rate)
    # PyTorch's draws each value by itself on a CPU and takes a third of the whole step's time.
    # Here 16 random bits decide about a value.
    batch, channels, height, width = features.shape
    draws = torch.empty(-(-features.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
    bits = draws.view(torch.int16)[: features.numel()].view(batch, height, width, channels)
    kept = bits.permute(0, 3, 1, 2) >= round(rate * 2**16) - 2**15
    return features * kept.to(features.dtype).mul_(1 / (1 - rate))


def _activate(output: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
    features, known = output
    return functional.leaky_relu_(features, NEGATIVE_SLOPE), known


def _pool(output: tuple[Tensor, Tensor | None]) -> tuple[Tensor, Tensor | None]:
    features, known = output
    pooled = functional.max_pool2d(features, 2, ceil_mode=True)
    if known is None:
        return pooled, None
    return pooled, functional.max_pool2d(known, 2, ceil_mode=True)


def _join(features: Tensor, skip: Tensor) -> Tensor:
    """Enlarge by repeating pixels, crop to the skipped features' size and concatenate the two."""
    height, width = skip.shape[-2:]
    enlarged = functional.interpolate(features, scale_factor=2, mode="nearest")
    # The image itself is fp32; concatenated as it is, it would widen all channels.
    return torch.cat([enlarged[..., :height, :width], skip.to(features.dtype)], dim=1)
