"""The discriminator of ESRGAN, as of SRGAN (Ledig et al. 2017, Figure 4): VGG's shape, one number.

Five pairs of convolutions, 3x3 and 4x4 of stride 2, the channels doubled up to eight times the
first; batch normalization behind all but the very first; two linear layers.
"""

from __future__ import annotations

from torch import Tensor, nn

from unpaired.core.errors import UnpairedError

SLOPE = 0.2
HALVINGS = 5
HIDDEN = 100
MOST_TIMES_WIDER = 8


class VGGDiscriminator(nn.Module):
    """B x C x side x side -> B x 1, how real pictures are: not between bounds.

    side_px: a multiple of 32; 128 in the paper. Raises UnpairedError for another.
    """

    def __init__(self, channels: int = 3, *, width: int = 64, side_px: int = 128) -> None:
        super().__init__()
        if side_px < 2**HALVINGS or side_px % 2**HALVINGS:
            raise UnpairedError(
                f"esrgan: patch_px must be a multiple of {2**HALVINGS} for the discriminator, not "
                f"{side_px}"
            )
        layers: list[nn.Module] = []
        inputs = channels
        for index in range(HALVINGS):
            outputs = width * min(2**index, MOST_TIMES_WIDER)
            layers += _layer(inputs, outputs, kernel=3, normalized=index > 0)
            layers += _layer(outputs, outputs, kernel=4, normalized=True)
            inputs = outputs
        self.features = nn.Sequential(*layers)
        places = (side_px // 2**HALVINGS) ** 2
        self.judge = nn.Sequential(
            nn.Flatten(),
            nn.Linear(inputs * places, HIDDEN),
            nn.LeakyReLU(SLOPE),
            nn.Linear(HIDDEN, 1),
        )

    def forward(self, picture: Tensor) -> Tensor:
        return self.judge(self.features(picture))


def _layer(inputs: int, outputs: int, *, kernel: int, normalized: bool) -> list[nn.Module]:
    """Return a convolution, halving if its kernel is even, and what follows it."""
    stride = 2 if kernel % 2 == 0 else 1
    convolution = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=1, bias=not normalized)
    normalization = [nn.BatchNorm2d(outputs)] if normalized else []
    return [convolution, *normalization, nn.LeakyReLU(SLOPE)]
