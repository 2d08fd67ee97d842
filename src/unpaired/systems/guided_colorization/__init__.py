"""User-guided colorization: Zhang 2018, chapter 3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unpaired.catalog.common_metrics import PSNR
from unpaired.catalog.system import (
    Condition,
    Files,
    MethodEntry,
    Output,
    Scorer,
    Stage,
    System,
)
from unpaired.data.sources import DataSet

if TYPE_CHECKING:
    from unpaired.pipeline.models import Cell, Model
    from unpaired.pipeline.run import Run

HERE = "unpaired.systems.guided_colorization"
TABLE = 11
LOCAL = "local"  # The row whose points and suggestions are shown.
GLOBAL = "global"  # The row that is told histograms.
SCENES = "color_scenes_test"  # Of these the possible colors are known.
CURVE = (1, 2, 5, 10, 20, 50, 100, 200, 500)


def _told(title: str, told: str, **values: Any) -> Condition:
    return Condition(title, {"told": told, **values})


def _points(count: int) -> str:
    return f"{count} point{'' if count == 1 else 's'}"


def _cells(run: Run) -> list[Cell]:
    plan = run.plans.get(TABLE)
    return [cell for cell in plan.cells if cell.scores] if plan else []


def _curve_files(run: Run) -> Files | None:
    cells = run.first_cells(TABLE)
    if LOCAL not in {cell.row.name for cell in cells}:
        return None
    return run.score_files(cells)


def _curve_arguments(run: Run) -> dict[str, Any]:
    cells = [cell for cell in run.first_cells(TABLE) for _ in cell.scores]
    return {
        "rows": [cell.row.name for cell in cells],
        "conditions": [cell.noise for cell in cells],
    }


def _suggesting(run: Run) -> list[Model]:
    """Return the models of local hints, one per seed; none without the scenes."""
    for cell in _cells(run):
        if (cell.row.name, cell.testset) == (LOCAL, SCENES):
            return [score.model for score in cell.scores]
    return []


def _coverage_files(run: Run) -> Files | None:
    models = _suggesting(run)
    if not models:
        return None
    return {"models": [model.file for model in models], "test": run.pack(SCENES)}


def _coverage_arguments(run: Run) -> dict[str, Any]:
    return {"row": LOCAL, "seeds": [str(model.spec["seed"]) for model in _suggesting(run)]}


def _drawing(run: Run) -> dict[str, Model]:
    """Return the models of both kinds of hints, of the first seed; none unless both are there."""
    models = {cell.row.name: cell.scores[0].model for cell in run.first_cells(TABLE)}
    both = {row: models[row] for row in (LOCAL, GLOBAL) if row in models}
    return both if len(both) == 2 else {}


def _figure_files(run: Run) -> Files | None:
    models = _drawing(run)
    if not models:
        return None
    return {
        "points": models[LOCAL].file,
        "statistics": models[GLOBAL].file,
        "test": run.pack(run.first_cells(TABLE)[0].testset),
    }


def _figure(name: str, holds: str) -> Output:
    return Output(f"results/figures/table{TABLE}{{part}}_{name}.png", f"Table {TABLE}", holds)


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
            f"{HERE}.methods.edit_propagation:EditPropagation",
            is_trained=False,
            deviations=(
                "Edit propagation works in CIE Lab, as all colorizers here; Levin's code works in "
                "YIQ.",
            ),
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
                "Colors that no screen shows lose chroma until one does; the authors clip red, "
                "green and blue, and cut them off to 8 bits.",
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
    stages=(
        Stage(
            "hint_curves",
            f"{HERE}.stages.curves",
            tables=(TABLE,),
            inputs=_curve_files,
            outputs={"output": _figure("curves", "PSNR against revealed points, as Figure 3.6")},
            arguments=_curve_arguments,
            caption="hint_curves.rst",
            message="Draw PSNR against revealed points",
        ),
        Stage(
            "hint_figures",
            f"{HERE}.stages.figures",
            tables=(TABLE,),
            inputs=_figure_files,
            outputs={
                "suggestions": _figure("suggestions", "suggested colors at a point"),
                "unusual": _figure("unusual", "unusual colors, as Figure 3.7"),
                "area": _figure("one_area", "two colors within one area, as Figure 3.8"),
                "histograms": _figure("histograms", "histogram transfer, as Figure 3.9"),
            },
            code=lambda run: sorted({model.module for model in _drawing(run).values()}),
            caption="hint_figures.rst",
            message="Draw what networks make of hints",
        ),
        Stage(
            "suggestion_coverage",
            f"{HERE}.stages.coverage",
            tables=(TABLE,),
            inputs=_coverage_files,
            outputs={
                "output": Output(
                    f"results/table{TABLE}{{part}}_suggestions.csv",
                    f"Table {TABLE}",
                    "how often every possible color is suggested",
                )
            },
            arguments=_coverage_arguments,
            code=lambda run: sorted({model.module for model in _suggesting(run)}),
            caption="suggestion_coverage.rst",
            message="Look for true colors among the suggested ones",
        ),
    ),
    commands=f"{HERE}.commands",
    place=3,
)
