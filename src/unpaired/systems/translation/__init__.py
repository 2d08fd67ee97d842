"""BicycleGAN: one input, many plausible outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unpaired.catalog.system import (
    Files,
    MethodEntry,
    Metric,
    Output,
    Scorer,
    Stage,
    System,
)
from unpaired.data.sources import DRAWN_BY_RULE, DataSet

if TYPE_CHECKING:
    from unpaired.pipeline.models import Cell
    from unpaired.pipeline.run import Run

HERE = "unpaired.systems.translation"
VARIANTS, ENCODERS = 13, 14  # tables
DRAWN = "drawn_facades"
DRAWN_TEST = f"{DRAWN}_test"
DRAWN_IN = f"results/{DRAWN}"
SHORT, LONG = "code_2", "code_256"  # rows of Table 14, for the figure of lengths
PIX2PIX = "the sets of pix2pix, from efrosgans.eecs.berkeley.edu/pix2pix/datasets"
# Folder below data_root -> training pictures where the count is known, what it translates.
OFFICIAL = {
    "facades": (400, "labels to facades"),
    "maps": (1096, "maps to satellite pictures"),
    "edges2shoes": (None, "edges to shoes"),
    "edges2handbags": (None, "edges to handbags"),
    "night2day": (None, "night to day"),
}


def _sets() -> list[DataSet]:
    """Return the official sets, and drawn facades."""
    found = [
        DataSet(
            f"{name}_{part}",
            f"{title}, {'training' if part == 'train' else 'validation'}",
            f"{HERE}.sources.official:{name}_{part}",
            folder=name,
            pictures=count if part == "train" else None,
            where=PIX2PIX,
            layout=f"{name}/{part}/*.jpg, two halves side by side",
        )
        for name, (count, title) in OFFICIAL.items()
        for part in ("train", "val")
    ]
    return found + [
        DataSet(
            f"{DRAWN}_{part}",
            f"drawn facades, {holds}",
            f"{HERE}.sources.drawn_facades:{part}",
            folder=DRAWN_IN,
            pictures=count,
            megapixels=count * 32**2 / 1e6,
            where=DRAWN_BY_RULE,
            made_in=DRAWN_IN,
        )
        for part, holds, count in (("train", "training", 2000), ("test", "test", 100))
    ]


def _models(cells: list[Cell]) -> list[Cell]:
    return [cell for cell in cells if cell.scores[0].model.is_trained]


def _variant_files(run: Run) -> Files | None:
    cells = _models(run.first_cells(VARIANTS))
    if not cells:
        return None
    return {
        "models": [cell.scores[0].model.file for cell in cells],
        "pack": run.pack(cells[0].testset),
        "scores": [f"{cell.scores[0].stem}.csv" for cell in cells],
        "records": [f"{cell.scores[0].stem}.json" for cell in cells],
    }


def _variant_arguments(run: Run) -> dict[str, Any]:
    return {"rows": [cell.row.name for cell in _models(run.first_cells(VARIANTS))]}


def _length_cells(run: Run) -> list[Cell]:
    """Return the rows whose codes differ in length alone; none unless all are there."""
    of_row = {cell.row.name: cell for cell in _models(run.first_cells(ENCODERS))}
    wanted = (SHORT, "resnet_add_to_all", LONG)
    return [of_row[name] for name in wanted] if of_row.keys() >= set(wanted) else []


def _length_files(run: Run) -> Files | None:
    cells = _length_cells(run)
    if not cells:
        return None
    return {
        "models": [cell.scores[0].model.file for cell in cells],
        "pack": run.pack(cells[0].testset),
    }


def _figure(name: str, table: int, holds: str) -> Output:
    return Output(f"results/figures/table{table}{{part}}_{name}.png", f"Table {table}", holds)


# ---- What stands in cells

_METRICS = {
    "style_rmse": Metric("RMSE to the nearest style", 3, 0.005, 0.02),
    "possible_pct": Metric("samples within 0.1 of a style (%)", 1, 2.0, 5.0),
    "style_tv": Metric("styles: distance to their chances", 2, 0.05, 0.1),
    "styles_of_five": Metric("styles in 5 samples", 2, 0.2, 0.5),
    "diversity": Metric("diversity (random AlexNet)", 3, 0.02, 0.1),
    "alike_pct": Metric("inputs whose samples are alike (%)", 0, 2.0, 5.0),
    "fd_random": Metric("Fréchet distance (random AlexNet)", 2, 0.1, 0.5),
    "lpips_diversity": Metric("diversity (LPIPS AlexNet, v0.0)", 3, 0.005, 0.02),
    "lpips_v01_diversity": Metric("diversity (LPIPS AlexNet, v0.1)", 3, 0.01, 0.04),
    "l1_recon": Metric("L1 of G(A, E(B))", 3, 0.01, 0.03),
    "amt_fooled_pct": Metric("people fooled (%)", 1, 2.0, 5.0),
}

SYSTEM = System(
    title="Many outputs of one input",
    methods={
        "bicyclegan": MethodEntry(
            f"{HERE}.methods.bicyclegan:BicycleGAN",
            follows_settings=False,
            study_pictures=f"{HERE}.study:write_samples",
            imports_weights=f"{HERE}.authors_weights:PUBLISHED",
            deviations=(
                "Learning rates fall with every step, those of the authors' code with every epoch.",
                "The L1 loss of pix2pix_noise has the weight 10 of all rows, as in the authors' "
                "code; pix2pix_noise_l1_100 has that of pix2pix.",
                "In clr_gan the encoder learns by the latent loss, as Equation 4.8 says; the "
                "authors' code holds it there, and has no such variant.",
            ),
        ),
        "real_pictures": MethodEntry(
            f"{HERE}.methods.controls:RealPictures", is_trained=False, with_pictures=True
        ),
        "true_styles": MethodEntry(f"{HERE}.methods.controls:TrueStyles", is_trained=False),
    },
    scorers={
        "translate": Scorer(
            f"{HERE}.scoring:score",
            metrics=_METRICS,
            crops=False,
            samples=20,
            ends=("input", "truth"),
            notes=f"{HERE}.notes:notes",
            deviations=(
                "Scores are of the first 100 inputs of a set; the thesis does not say which 100 it "
                "samples, and scores the encoders on all.",
                "Maps are scored at 256 px, the size of all trainings; the authors' script samples "
                "them at 512.",
                "Diversity is of all inputs. The thesis leaves out the 15 % of the outputs of "
                "clr_gan that are one picture, whatever the input.",
            ),
        )
    },
    datasets=tuple(_sets()),
    data_models=lambda trained: [],
    stages=(
        Stage(
            "draw_facades",
            f"{HERE}.stages.draw",
            inputs=lambda run: {},
            outputs={"output": Output(DRAWN_IN, is_folder=True)},
            message="Draw facades",
            like="synthesize",
            is_target=False,
        ),
        Stage(
            "translation_figures",
            f"{HERE}.stages.figures",
            tables=(VARIANTS,),
            inputs=_variant_files,
            outputs={
                "samples": _figure("samples", VARIANTS, "samples of every variant"),
                "scatter": _figure("realism", VARIANTS, "realism against diversity"),
            },
            arguments=_variant_arguments,
            code=lambda run: [f"{HERE}.methods.bicyclegan"],
            caption="translation_figures.rst",
            message="Draw what variants make of facades",
        ),
        Stage(
            "code_lengths",
            f"{HERE}.stages.lengths",
            tables=(ENCODERS,),
            inputs=_length_files,
            outputs={"output": _figure("lengths", ENCODERS, "samples by codes of three lengths")},
            code=lambda run: [f"{HERE}.methods.bicyclegan"],
            caption="code_lengths.rst",
            message="Draw samples by codes of three lengths",
        ),
    ),
    commands=f"{HERE}.commands",
    place=5,
)
