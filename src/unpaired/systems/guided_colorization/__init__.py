"""User-guided colorization: Zhang 2018, chapter 3."""

from __future__ import annotations

from typing import Any

from unpaired.catalog.common_metrics import PSNR
from unpaired.catalog.system import Condition, MethodEntry, Scorer, System
from unpaired.data.sources import DataSet

HERE = "unpaired.systems.guided_colorization"
CURVE = (1, 2, 5, 10, 20, 50, 100, 200, 500)


def _told(title: str, told: str, **values: Any) -> Condition:
    return Condition(title, {"told": told, **values})


def _points(count: int) -> str:
    return f"{count} point{'' if count == 1 else 's'}"


SYSTEM = System(
    title="User-guided colorization",
    methods={
        "local_hints": MethodEntry(
            f"{HERE}.methods.local_hints:LocalHints",
            follows_settings=False,
            gives_colors_by=("points",),
            imports_weights=f"{HERE}.authors_weights:PUBLISHED",
            deviations=(
                "The network takes (L - 50) / 50 and ab / 110, the authors' Caffe network L - 50 "
                "and ab.",
                "Layers without a start in automatic colorization begin by He's rule, and the last "
                "one with a deviation of 0.01; the authors' begin with deviations of 0.01 and "
                "biases of 1.",
                "The thesis prints a stray 1/8 before the covariance of the points; without it, a "
                "quarter of each side is the deviation, as in the authors' port.",
                "The number of points is geometric and begins at 0, as in the authors' port; the "
                "thesis does not tell where it begins.",
                "Learning rate, batch and length are those of the authors' port; the thesis tells "
                "none.",
            ),
        ),
        "global_hints": MethodEntry(
            f"{HERE}.methods.global_hints:GlobalHints",
            follows_settings=False,
            gives_colors_by=("histogram", "saturation"),
            deviations=(
                "The histogram is that of means over 4 x 4 pixels, each in its nearest bin, as in "
                "the authors' code; the thesis resizes to a quarter bilinearly and encodes.",
                "Each statistic is given to every second picture of a training; the thesis does "
                "not tell how often.",
                "Learning rate, batch and length are those of the port of the Local Hints Network.",
            ),
        ),
        "edit_propagation": MethodEntry(
            f"{HERE}.methods.edit_propagation:EditPropagation", is_trained=False
        ),
    },
    scorers={
        "guide": Scorer(
            f"{HERE}.scoring:score",
            metrics={"psnr_db": PSNR},
            ends=("gray", "truth"),
            deviations=(
                "Points are patches of 7 pixels for pictures of 256; for others they are scaled by "
                "the shorter side, 3 pixels at least.",
                "Points of largest error do not overlap. Where no more of them fit, a picture gets "
                "fewer than its column says; the score file tells how many.",
                "Which 1,000 pictures of ImageNet the thesis took is not known; here they are the "
                "first of the list that the authors published for chapter 2.",
            ),
        )
    },
    conditions={
        "automatic": _told("nothing told", "nothing"),
        "global_hist": _told("the histogram of the true colors", "histogram"),
        "global_sat": _told("the mean saturation of the true colors", "saturation"),
        "global_both": _told("histogram and saturation of the true colors", "both"),
        "gt_colors": _told("all true colors", "all"),
        **{
            f"random_{count}": _told(f"{_points(count)} at random", "random", points=count)
            for count in CURVE
        },
        **{
            f"max_error_{count}": _told(
                f"{_points(count)} of largest error", "max_error", points=count
            )
            for count in CURVE
        },
    },
    datasets=(
        DataSet(
            "imagenet_val_1k",
            "ImageNet validation, 1,000 squeezed to 256 x 256",
            f"{HERE}.sources.test_pictures:imagenet_records",
            folder="imagenet/val",
            pictures=1_000,
            megapixels=65.5,
            where="ILSVRC2012 validation images, from image-net.org (free account), and the list "
            "resources/ilsvrclin12_val_inds.npy of github.com/richzhang/colorization-pytorch",
            layout="imagenet/val/**/ILSVRC2012_val_*.JPEG, flat or in class folders, and "
            "imagenet/ilsvrclin12_val_inds.npy",
        ),
        DataSet(
            "sun6",
            "SUN-6, squeezed to 256 x 256",
            "unpaired.data.sources.imagenet:square_records",
            folder="sun6",
            pictures=240,
            megapixels=15.7,
            where="SUN-6 of Deshpande et al. 2015 (Learning Large-Scale Automatic Image "
            "Colorization)",
            layout="sun6/**/*.jpg, the 240 test pictures, in any folders",
        ),
    ),
    commands=f"{HERE}.commands",
    place=3,
)
