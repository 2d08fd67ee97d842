"""CommIN: pictures through a noisy channel, restored as an inverse problem."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from unpaired.catalog.common_metrics import PSNR, SSIM
from unpaired.catalog.system import (
    Condition,
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
    from unpaired.pipeline.models import Cell
    from unpaired.pipeline.run import Run

HERE = "unpaired.systems.transmission"
TABLE = 9
PAPERS_SNR_DB = (-5, -3, -1, 1, 3, 5)
SHOWN_AT_DB = 1  # Figure 5 of the paper; else the nearest SNR that there is.
PEOPLE = "celebamask_hq"
PEOPLE_HOME = "CelebAMask-HQ, from github.com/switchablenorms/CelebAMask-HQ (non-commercial terms)"
STEP_OF_NORM = (
    "The guidance takes the norm, not its square as Algorithm 1 prints: the printed step sizes are "
    "those that DPS and the same authors' code take with the norm. The square is an option."
)
STEP_RESCALED = (
    "The step size is rescaled for the number of steps, and that of the norm for the size of "
    "pictures; at 256 x 256 and 1,000 steps it is the printed one."
)
POSTERIOR = "Equation 11 prints sqrt(alpha bar_t) before x_t; DDPM's sqrt(alpha_t) is taken."
SIZES_OF_INN = (
    "Split and sizes of the invertible network are not printed: one level of an undecimated Haar "
    "split, whose coarse part has the size of y. Its networks have the widths of the same authors' "
    "later code, but look at blocks of pixels (`squeeze_px`), where that code looks at each pixel, "
    "on two levels, and is told a condition."
)
WEIGHTS_OF_INVERSE = (
    "What InverseJSCC weights squared error and LPIPS by, and its steps, are not known: those of "
    "ILO's authors are taken."
)
ILO_KEEPS_PICTURE = (
    "ILO's code starts every round but the first without the picture that earlier blocks have "
    "made, and cuts the batch in its cross term; here the picture is kept, and latents are cut."
)
LENGTHS = "Learning rates, batches and lengths of training are not printed: ours."


def snr_name(snr_db: int) -> str:
    """Return what a channel of an SNR is called: snr_1, snr_minus5."""
    return f"snr_{snr_db}" if snr_db >= 0 else f"snr_minus{-snr_db}"


def _method(target: str, **details: Any) -> MethodEntry:
    return MethodEntry(f"{HERE}.methods.{target}", follows_settings=False, **details)


def _receiver(target: str, *roles: str, **details: Any) -> MethodEntry:
    return _method(target, is_trained=False, roles=roles, **details)


def _pictures_of(reader: str, pictures: int) -> DataSet:
    return DataSet(
        f"celeba_hq_{reader}",
        f"CelebA-HQ at 256 px, {reader}",
        f"{HERE}.sources.celeba_hq:{reader}",
        folder=PEOPLE,
        pictures=pictures,
        megapixels=pictures * 256**2 / 1e6,
        where=PEOPLE_HOME,
        layout="celebamask_hq/CelebA-HQ-img/0.jpg .., "
        "celebamask_hq/CelebAMask-HQ-attribute-anno.txt",
    )


def _curve_files(run: Run) -> Files | None:
    cells = run.first_cells(TABLE)
    return run.score_files(cells) if cells else None


def _curve_arguments(run: Run) -> dict[str, Any]:
    scores = [(cell, score) for cell in run.first_cells(TABLE) for score in cell.scores]
    return {
        "rows": [cell.row.name for cell, _ in scores],
        "conditions": [cell.noise for cell, _ in scores],
    }


def _snr_of(cell: Cell) -> float:
    return SYSTEM.conditions[cell.noise].values["snr_db"]


def _shown_cells(run: Run) -> list[Cell]:
    """Return one cell of each row, all of the channel that the figure of examples is about."""
    cells = run.first_cells(TABLE)
    if not cells:
        return []
    nearest = min((_snr_of(cell) for cell in cells), key=lambda snr: (abs(snr - SHOWN_AT_DB), snr))
    return [cell for cell in cells if _snr_of(cell) == nearest]


def _example_files(run: Run) -> Files | None:
    cells = _shown_cells(run)
    if not cells:
        return None
    models = [cell.scores[0].model for cell in cells]
    given = [one for model in models for one in [model, *(other for _, other in model.needs)]]
    files = list(dict.fromkeys(one.file for one in given if one.file))
    return {"models": files, "test": run.pack(cells[0].testset)}


def _example_arguments(run: Run) -> dict[str, Any]:
    cells = _shown_cells(run)
    about = {}
    for cell in cells:
        model = cell.scores[0].model
        needs = {role: other.file for role, other in model.needs}
        about[cell.row.name] = {"file": model.file, "spec": model.spec, "needs": needs}
    return {"products": json.dumps(about), "condition": cells[0].noise}


def _example_code(run: Run) -> list[str]:
    models = [cell.scores[0].model for cell in _shown_cells(run)]
    given = [one for model in models for one in [model, *(other for _, other in model.needs)]]
    return sorted({one.module for one in given})


def _figure(name: str, holds: str) -> Output:
    return Output(f"results/figures/table{TABLE}{{part}}_{name}.png", f"Table {TABLE}", holds)


SYSTEM = System(
    title="Pictures through a noisy channel",
    methods={
        "deepjscc": _method("deepjscc:DeepJSCC", packs=("clean",), deviations=(LENGTHS,)),
        "deepjscc_post": _method("deepjscc_post:DeepJSCCPost", packs=("clean",), roles=("codec",)),
        "invertible": _method(
            "invertible:Invertible",
            packs=("clean",),
            roles=("codec",),
            deviations=(SIZES_OF_INN, LENGTHS),
        ),
        "commin": _receiver(
            "receivers:CommIN",
            "codec",
            "inn",
            "prior",
            deviations=(STEP_OF_NORM, STEP_RESCALED, POSTERIOR),
        ),
        "stylegan2": _method(
            "stylegan2:StyleGAN2", imports_weights=f"{HERE}.authors_weights:PUBLISHED"
        ),
        "inverse_jscc": _receiver(
            "inverse_jscc:InverseJSCC",
            "codec",
            "generator",
            "lpips",
            deviations=(WEIGHTS_OF_INVERSE, ILO_KEEPS_PICTURE),
        ),
        "noised_and_denoised": _receiver("receivers:NoisedAndDenoised", "codec", "prior"),
        "unguided": _receiver("receivers:NoisedAndDenoised", "codec", "prior"),
        "separate_coding": _receiver("separate:Separate", "codec"),
    },
    scorers={
        "transmit": Scorer(
            f"{HERE}.scoring:score",
            metrics={
                "psnr_db": PSNR,
                "ssim": SSIM,
                "lpips": Metric("LPIPS (AlexNet, v0.1)", 3, 0.01, 0.03),
                "lpips_vgg": Metric("LPIPS (VGG-16, v0.1)", 3, 0.01, 0.03),
                "feature_distance": Metric("distance in portrait_features", 3, 0.01, 0.03),
                "fd_portrait_features": Metric("Fréchet distance, portrait_features", 2, 0.1, 0.5),
                "kd_portrait_features": Metric(
                    "kernel distance, portrait_features", 4, 0.001, 0.01
                ),
                "symbols": Metric("complex symbols a picture", 0, 0.5, 1),
                "arrived": Metric("pictures that arrive (%)", 0, 0.5, 5),
            },
            inputs=("features",),
            optional_inputs=("lpips_alex", "lpips_vgg"),
            keeps_parts=True,
            crops=False,
            ends=("sent", "error"),
            notes=f"{HERE}.notes:notes",
            deviations=(
                "The paper's 36 points are printed only as a curve, so none of its numbers stands "
                "beside ours.",
                "Which thousand pictures of CelebA-HQ are the test, the paper does not say: here "
                "the last ones.",
            ),
        )
    },
    conditions={
        snr_name(snr_db): Condition(f"a channel of {snr_db} dB", {"snr_db": snr_db})
        for snr_db in PAPERS_SNR_DB
    },
    datasets=(_pictures_of("train", 29_000), _pictures_of("test", 1_000)),
    stages=(
        Stage(
            "transmission_curves",
            f"{HERE}.stages.curves",
            tables=(TABLE,),
            inputs=_curve_files,
            outputs={
                "psnr": _figure("psnr", "PSNR against the channel's quality, as Figure 4 (a)"),
                "lpips": _figure(
                    "lpips", "distance against the channel's quality, as Figure 4 (b)"
                ),
            },
            arguments=_curve_arguments,
            caption="transmission_curves.rst",
            message="Draw scores against the channel's quality",
        ),
        Stage(
            "transmission_examples",
            f"{HERE}.stages.examples",
            tables=(TABLE,),
            inputs=_example_files,
            outputs={"output": _figure("examples", "what arrives, as Figure 5")},
            arguments=_example_arguments,
            code=_example_code,
            caption="transmission_examples.rst",
            message="Draw what arrives of pictures",
        ),
    ),
    commands=f"{HERE}.commands",
    place=5,
)
