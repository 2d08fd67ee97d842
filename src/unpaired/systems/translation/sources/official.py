"""The official sets of BicycleGAN: which half is translated, and to what size both are brought.

Sizes of trainings are those of the authors' scripts: 256 px are cut out of larger squares. A
validation sees all of a picture, in the size that networks were trained at. (The authors' script
samples maps at 512 px, where their encoder, whose last layer is of one size, cannot run.)
"""

from __future__ import annotations

from functools import partial

from unpaired.systems.translation.sources.paired_pictures import A_TO_B, B_TO_A, Layout, pairs

CROP_PX = 256


def _reader(part: str, direction: str, side_px: int):
    return partial(pairs, layout=Layout(part, direction, side_px))


facades_train = _reader("train", B_TO_A, 286)
facades_val = _reader("val", B_TO_A, CROP_PX)
maps_train = _reader("train", B_TO_A, 600)
maps_val = _reader("val", B_TO_A, CROP_PX)
edges2shoes_train = _reader("train", A_TO_B, CROP_PX)
edges2shoes_val = _reader("val", A_TO_B, CROP_PX)
edges2handbags_train = _reader("train", A_TO_B, CROP_PX)
edges2handbags_val = _reader("val", A_TO_B, CROP_PX)
night2day_train = _reader("train", A_TO_B, 286)
night2day_val = _reader("val", A_TO_B, CROP_PX)
