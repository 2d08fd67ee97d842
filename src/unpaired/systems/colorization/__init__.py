"""Automatic colorization: Zhang 2018, chapter 2."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
from unpaired.data.sources import DataSet

if TYPE_CHECKING:
    from unpaired.pipeline.models import Model
    from unpaired.pipeline.run import Run

HERE = "unpaired.systems.colorization"
PRIOR = "color_prior"
TABLE = 10
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


def _figure_files(run: Run) -> Files | None:
    models = _models(run)
    if not models:
        return None
    plan = run.plans[TABLE]
    present = dict.fromkeys(cell.testset for cell in plan.cells if cell.is_present)
    return {
        "models": [model.file for model in models.values()],
        "packs": [run.pack(name) for name in present],
        "prior": run.artifact(PRIOR, plan.table.train_sets.at(run.settings.scale).pairs),
    }


SYSTEM = System(
    title="Automatic colorization",
    methods={
        "colorization": MethodEntry(
            f"{HERE}.methods.colorization:Colorization",
            follows_settings=False,
            artifacts=(PRIOR,),
            imports_weights=f"{HERE}.authors_weights:PUBLISHED",
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
        )
    },
    datasets=(
        DataSet(
            "color_scenes_train",
            "drawn scenes of known colors (train)",
            "unpaired.data.sources.color_scenes:train_records",
            pictures=2000,
            where="drawn by rule",
        ),
        DataSet(
            "color_scenes_test",
            "drawn scenes of known colors (test)",
            "unpaired.data.sources.color_scenes:test_records",
            pictures=60,
            megapixels=0.25,
            where="drawn by rule",
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
    ),
    commands=f"{HERE}.commands",
    place=2,
    exports={"colorize": f"{HERE}.from_python:colorize"},
)
