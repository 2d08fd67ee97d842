"""The weights that the authors of user-guided colorization published, in their PyTorch layout.

Three files have it. In two of them the network was given the mask as it is, in the one that was
trained with the port the mask less 0.5; nothing in a file tells which, but its name. Whether the
bins of ``caffemodel.pth`` hold what was learned is not known: that network came from Caffe, where
the distribution has another form.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from unpaired.core.errors import UnpairedError
from unpaired.learning.authors_weights import Layout, Scaled, refuse_noise
from unpaired.learning.method import Method
from unpaired.networks.colorization import BLOCKS, LIGHTNESS_SCALE
from unpaired.networks.guided_colorization import AB_SCALE

NORMALIZATION = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
# The authors divide L - 50 by 100, the network here by 50.
AUTHORS_LIGHTNESS_SCALE = 100.0
# File name without suffix -> what is taken off the mask.
MASK_CENTERS = {"siggraph17-df00044c": 0.0, "caffemodel": 0.0, "pytorch_trained": 0.5}
NAMES = {"siggraph17-df00044c": "siggraph17"}
# Their modules -> ours, behind block 7.
LATE = {
    "model8up.0": "up8",
    "model3short8.0": "short8",
    "model8.1": "block8.1",
    "model8.3": "block8.3",
    "model9up.0": "up9",
    "model2short9.0": "short9",
    "model9.1": "block9.1",
    "model10up.0": "up10",
    "model1short10.0": "short10",
    "model10.1": "block10.1",
    "model_class.0": "head.last",
    "model_out.0": "out",
}
LATE_NORMALIZATION = {"model8.5": "block8.5", "model9.3": "block9.3"}


def _parameters() -> dict[str, str]:
    """Source: the layout of the authors' PyTorch ports (siggraph17)."""
    convolutions, normalizations = dict(LATE), dict(LATE_NORMALIZATION)
    for number, (multiples, _, _) in enumerate(BLOCKS):
        for index in range(len(multiples)):
            convolutions[f"model{number + 1}.{2 * index}"] = f"blocks.{number}.{2 * index}"
        last = 2 * len(multiples)
        normalizations[f"model{number + 1}.{last}"] = f"blocks.{number}.{last}"
    names = {}
    for modules, kinds in ((convolutions, NORMALIZATION[:2]), (normalizations, NORMALIZATION)):
        for theirs, ours in modules.items():
            names |= {f"{theirs}.{kind}": f"network.{ours}.{kind}" for kind in kinds}
    return names


def _first_weights(theirs: Tensor) -> Tensor:
    ours = theirs.clone()
    ours[:, :1] *= LIGHTNESS_SCALE / AUTHORS_LIGHTNESS_SCALE
    return ours


@dataclass(frozen=True)
class InteractiveLayout(Layout):
    """A layout whose file name tells what the mask was."""

    def name_of(self, path: Path, noise: str | None) -> str:
        """See `learning.authors_weights.Published`; raises UnpairedError for another file name."""
        refuse_noise(self.method, noise)
        if path.stem not in MASK_CENTERS:
            known = ", ".join(f"{name}.pth" for name in MASK_CENTERS)
            raise UnpairedError(
                f"{path}: not a file name of the authors ({known}), and nothing else tells what "
                "its network takes for the mask; give the file back its name"
            )
        return NAMES.get(path.stem, path.stem)

    def read(self, path: Path) -> Method:
        """See `learning.authors_weights.Published`."""
        self.name_of(path, None)
        center = {"mask_center": MASK_CENTERS[path.stem]}
        return Layout.read(replace(self, overrides={**self.overrides, **center}), path)


PUBLISHED = InteractiveLayout(
    "local_hints",
    _parameters,
    overrides={"affine": True, "head": "one_by_one", "output_scale": AB_SCALE},
    scaled={"model1.0.weight": Scaled((64, 4, 3, 3), _first_weights)},
    notes={"train_set": "imagenet_train", "origin": "the authors' PyTorch port, siggraph17"},
)
