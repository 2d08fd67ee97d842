"""What the layers of a distorting network may be; without PyTorch, since plans draw from it."""

UPSAMPLINGS = ("transposed", "nearest", "bilinear")
NORMALIZATIONS = ("none", "batch", "instance")
