"""The colorization network of Zhang 2018 (chapter 2): eight blocks from lightness to colors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

# Of the authors' network: multiples of the width that each convolution of blocks 1 to 7 gives,
# the stride of the block's last one, and the dilation of all.
BLOCKS = (
    ((1, 1), 2, 1),
    ((2, 2), 2, 1),
    ((4, 4, 4), 2, 1),
    ((8, 8, 8), 1, 1),
    ((8, 8, 8), 1, 2),
    ((8, 8, 8), 1, 2),
    ((8, 8, 8), 1, 1),
)
LIGHTNESS_CENTER = 50.0
LIGHTNESS_SCALE = 50.0


class ColorizationNet(nn.Module):
    """3x3 convolutions, each with a ReLU; batch normalization after the last ReLU of blocks 1-7.

    Input: lightness, B x 1 x H x W in [0, 100], H and W multiples of 8. Output: B x ``outputs`` x
    H/4 x W/4, float32: logits of 313 bins, or 2 for regression.
    width: channels of the first block, 64 in the thesis; the others have multiples of it. affine:
    whether the normalization has a learned scale and shift, as in the authors' PyTorch files; in
    their Caffe files it has none.

    Two things differ from the Caffe files. Their input is L - 50; here it is divided by 50 as well,
    which a first layer of unit gain needs. Their start is k-means (section 2.3), here He's rule for
    what a ReLU follows and Xavier's for the head; running statistics use PyTorch's momentum of 0.1.
    """

    multiple_px = 8
    output_stride_px = 4

    def __init__(self, outputs: int, *, width: int = 64, affine: bool = False) -> None:
        super().__init__()
        channels = 1
        blocks: list[nn.Module] = []
        for multiples, stride, dilation in BLOCKS:
            layers: list[nn.Module] = []
            for number, multiple in enumerate(multiples, 1):
                last = number == len(multiples)
                layers += _convolution(channels, multiple * width, stride if last else 1, dilation)
                channels = multiple * width
            blocks.append(nn.Sequential(*layers, nn.BatchNorm2d(channels, affine=affine)))
        inner = 4 * width
        up = nn.ConvTranspose2d(channels, inner, 4, stride=2, padding=1)
        blocks.append(
            nn.Sequential(
                up,
                nn.ReLU(inplace=True),
                *_convolution(inner, inner, 1, 1),
                *_convolution(inner, inner, 1, 1),
            )
        )
        self.body = nn.Sequential(*blocks)
        self.head = nn.Conv2d(inner, outputs, 1)
        self._initialize()

    def _initialize(self) -> None:
        for module in self.body.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
            elif isinstance(module, nn.ConvTranspose2d):
                # Of the 16 taps, 4 meet a pixel; the others fall between them.
                inputs = module.in_channels * 4
                nn.init.normal_(module.weight, std=(2 / inputs) ** 0.5)
                nn.init.zeros_(module.bias)
        nn.init.xavier_uniform_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, lightness: Tensor) -> Tensor:
        features = self.body((lightness - LIGHTNESS_CENTER) / LIGHTNESS_SCALE)
        # bf16 logits of 313 bins would make a distribution of steps.
        with torch.autocast(features.device.type, enabled=False):
            return self.head(features.to(self.head.weight.dtype))


def _convolution(inputs: int, outputs: int, stride: int, dilation: int) -> list[nn.Module]:
    layer = nn.Conv2d(inputs, outputs, 3, stride=stride, padding=dilation, dilation=dilation)
    return [layer, nn.ReLU(inplace=True)]
