"""Automatic colorization: Zhang 2018, chapter 2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from unpaired.catalog.common_metrics import PSNR
from unpaired.catalog.system import (
    Artifact,
    Files,
    MethodEntry,
    Metric,
    Output,
    Scorer,
    Stage,
    System,
)
from unpaired.data.sources import DRAWN_BY_RULE, DataSet
from unpaired.networks import efficientnet_lite

if TYPE_CHECKING:
    from unpaired.pipeline.models import Model
    from unpaired.pipeline.run import Run

HERE = "unpaired.systems.colorization"
PRIOR = "color_prior"
TABLE = 10
PHOTOGRAPHS = "embedded_test"
DRAWN = "full"  # The row whose distributions are drawn.
# In percent; a test set's prior or the averaging order move them by tenths.
AREAS = {
    "auc": "AuC",
    "auc_rebalanced": "rebalanced AuC",
    "auc_per_image": "AuC per image",
    "auc_rebalanced_per_image": "rebalanced AuC per image",
}


def _models(run: Run) -> dict[str, Model]:
    """Return the trained models by row, of the first seed each; none without the row drawn."""
    cells = run.plans[TABLE].cells if TABLE in run.plans else ()
    models = {cell.row.name: cell.scores[0].model for cell in cells if cell.scores}
    trained = {row: model for row, model in models.items() if model.is_trained}
    return trained if DRAWN in trained else {}


def _train_set(models: Mapping[str, Model]) -> str:
    """Return what all rows of a run are trained on."""
    return next(iter(models.values())).spec["train_set"]


def _figure_files(run: Run) -> Files | None:
    models = _models(run)
    if not models:
        return None
    plan = run.plans[TABLE]
    present = dict.fromkeys(cell.testset for cell in plan.cells if cell.is_present)
    return {
        "models": [model.file for model in models.values()],
        "packs": [run.pack(name) for name in present],
        "prior": run.artifact(PRIOR, _train_set(models)),
    }


def _recognition_files(run: Run) -> Files | None:
    """Return what is classified; none without the photographs, or the package of the classifier."""
    models = _models(run)
    plan = run.plans.get(TABLE)
    shown = {cell.testset for cell in plan.cells if cell.is_present} if plan else set()
    if not models or PHOTOGRAPHS not in shown or efficientnet_lite.installed_weights() is None:
        return None
    return {
        "models": [model.file for model in models.values()],
        "test": run.pack(PHOTOGRAPHS),
        "train": run.pack(_train_set(models)),
        "numbers": f"config/paper_numbers/{plan.table.paper_numbers}",
    }


def _recognition_arguments(run: Run) -> dict[str, Any]:
    rows = {row.name: row.printed_as or row.name for row in run.plans[TABLE].table.rows}
    models = _models(run)
    return {
        "rows": list(models),
        "printed-as": [rows[name] for name in models],
        "seed": str(run.settings.seeds[0]),
    }


SYSTEM = System(
    title="Automatic colorization",
    methods={
        "colorization": MethodEntry(
            f"{HERE}.methods.colorization:Colorization",
            follows_settings=False,
            artifacts=(PRIOR,),
            gives_colors_by=(),
            imports_weights=f"{HERE}.authors_weights:PUBLISHED",
            deviations=(
                "The network takes (L - 50) / 50, the authors' Caffe network L - 50.",
                "The color prior is counted in the training set, for scores in the test set; the "
                "authors' file of it takes its place by files.color_prior.",
                "The annealed mean is taken at T = 0.38, as the thesis says; the authors' Caffe "
                "file multiplies by 2.606, which is T = 0.3837.",
                "The loss is a mean over all pixels of a batch; how the authors normalize theirs "
                "is not published.",
                "k-means starts the convolutions of the body alone, without the normalization "
                "between layers; the transposed convolution and the head start at random.",
                "Running statistics of batch normalization have PyTorch's momentum of 0.1.",
            ),
        ),
        "gray": MethodEntry(f"{HERE}.methods.untrained:Gray", is_trained=False),
        "random_colors": MethodEntry(
            f"{HERE}.methods.untrained:RandomColors", is_trained=False, with_pictures=True
        ),
    },
    scorers={
        "colorize": Scorer(
            f"{HERE}.scoring:score",
            metrics={name: Metric(f"{title} (%)", 1, 0.3, 1.0) for name, title in AREAS.items()}
            | {"psnr_db": PSNR},
            artifacts=(PRIOR,),
            ends=("gray", "truth"),
            deviations=(
                "AuC takes steps of 1 from 0 to 150 and pools the pixels of all pictures; the "
                "thesis tells neither, so the areas per picture stand beside it.",
            ),
        )
    },
    datasets=(
        DataSet(
            "color_scenes_train",
            "drawn scenes of known colors (train)",
            "unpaired.data.sources.color_scenes:train_records",
            pictures=2000,
            where=DRAWN_BY_RULE,
        ),
        DataSet(
            "color_scenes_test",
            "drawn scenes of known colors (test)",
            "unpaired.data.sources.color_scenes:test_records",
            pictures=60,
            megapixels=0.25,
            where=DRAWN_BY_RULE,
        ),
    ),
    artifacts=(
        Artifact(
            PRIOR,
            "results/priors/{dataset}.npy",
            f"{HERE}.stages.ab_quantization",
            key="prior",
            message="Count the colors of {dataset}",
        ),
    ),
    stages=(
        Stage(
            "color_figures",
            f"{HERE}.stages.figures",
            tables=(TABLE,),
            inputs=_figure_files,
            outputs={
                name: Output(
                    f"results/figures/table10{{part}}_{name}.png", "Table 10", f"pictures, {name}"
                )
                for name in ("methods", "temperatures", "histograms", "distributions")
            },
            arguments=lambda run: {"rows": list(_models(run)), "of": DRAWN},
            code=lambda run: sorted({model.module for model in _models(run).values()}),
            caption="color_figures.rst",
            message="Draw what colorizers predict",
        ),
        Stage(
            "recognition",
            f"{HERE}.stages.recognition",
            tables=(TABLE,),
            inputs=_recognition_files,
            outputs={
                "table": Output(
                    "results/table10{part}_recognition.csv",
                    "Table 10",
                    "how often a classifier sees the same",
                )
            },
            arguments=_recognition_arguments,
            code=lambda run: sorted({model.module for model in _models(run).values()}),
            caption="recognition.rst",
            message="Ask a classifier what it sees in recolored photographs",
            like="evaluate",
            uses_gpu=True,
        ),
    ),
    commands=f"{HERE}.commands",
    place=2,
    exports={"colorize": f"{HERE}.from_python:colorize"},
)
