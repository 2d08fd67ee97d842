"""Real super-resolution: networks that enlarge, trained on pairs of a learned degradation."""

from __future__ import annotations

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

HERE = "unpaired.systems.super_resolution"
TABLE = 5
STAND_IN_TEST = "simulated_low_resolution"
TRUE_PAIRS = f"{STAND_IN_TEST}_pairs"
STAND_IN = "photographs inside installed packages, through a simulated camera"
# Name -> the challenge, its folder, where its archives are, and the folders that they become.
CHALLENGES = {
    "aim19": (
        "AIM 2019",
        "AIM-RWSR",
        "the AIM 2019 challenge on real-world super-resolution, track 2 (competitions.codalab.org)",
        "{train-noisy-images,train-clean-images,valid-input-noisy,valid-gt-clean}",
    ),
    "ntire20": (
        "NTIRE 2020",
        "NTIRE-RWSR",
        "the NTIRE 2020 challenge on real-world super-resolution, track 1 "
        "(competitions.codalab.org)",
        "{Corrupted-tr-x,Corrupted-tr-y,Corrupted-va-x,track1-valid-gt}",
    ),
}
HOLDS = {
    "noisy": "noisy photographs",
    "clean": "clean photographs and the same four times smaller",
    "validation": "100 validation pairs",
}


def _of_challenges() -> list[DataSet]:
    return [
        DataSet(
            f"{name}_{reader}",
            f"{title}, {holds}",
            f"{HERE}.sources.real_world:{name}_{reader}",
            folder=folder,
            pictures=100 if reader == "validation" else None,
            where=f"from {home}",
            layout=f"{folder}/{places}/**.png, as unpacked, or in a folder 1x of each",
        )
        for name, (title, folder, home, places) in CHALLENGES.items()
        for reader, holds in HOLDS.items()
    ]


def _stand_in(name: str, holds: str, reader: str, pictures: int, megapixels: float) -> DataSet:
    return DataSet(
        name,
        f"simulated camera, {holds}",
        f"{HERE}.sources.simulated:{reader}",
        pictures=pictures,
        megapixels=megapixels,
        where=STAND_IN,
    )


def _method(target: str, **details: Any) -> MethodEntry:
    return MethodEntry(f"{HERE}.methods.{target}", follows_settings=False, **details)


def _scored(run: Run) -> list[Cell]:
    """Return the scored cells of the first setting and test set that has any."""
    plan = run.plans.get(TABLE)
    cells = [cell for cell in plan.cells if cell.scores] if plan else []
    first = [(cell.noise, cell.testset) for cell in cells][:1]
    return [cell for cell in cells if (cell.noise, cell.testset) in first]


def _learned(run: Run) -> list[Cell]:
    """Return the rows whose pairs a learned degradation made."""
    return [cell for cell in _scored(run) if cell.scores[0].model.pairs]


def _degradation_files(run: Run) -> Files | None:
    cells = _learned(run)
    if not cells:
        return None
    is_stand_in = cells[0].testset == STAND_IN_TEST
    return {
        "made": [run.pack(cell.scores[0].model.pairs.id) for cell in cells],
        "real": run.pack(TRUE_PAIRS if is_stand_in else cells[0].testset),
    }


def _rows(cells: list[Cell]) -> dict[str, Any]:
    return {"rows": [cell.row.name for cell in cells]}


def _crop_cells(run: Run) -> list[Cell]:
    """Return the rows with a trained model."""
    return [cell for cell in _scored(run) if cell.scores[0].model.is_trained]


def _crop_files(run: Run) -> Files | None:
    cells = _crop_cells(run)
    if not cells:
        return None
    return {
        "models": [cell.scores[0].model.file for cell in cells],
        "test": run.pack(cells[0].testset),
    }


def _figure(name: str, holds: str) -> Output:
    return Output(f"results/figures/table{TABLE}{{part}}_{name}.png", f"Table {TABLE}", holds)


SYSTEM = System(
    title="Real super-resolution",
    methods={
        "rrdb_l1": _method(
            "rrdb_l1:RRDBL1",
            packs=("clean",),
            deviations=(
                "It starts from nothing and learns from the clean set of AIM 2019, for the rows of "
                "NTIRE 2020 too; the authors' rows start from published weights, learned from "
                "DIV2K and Flickr2K.",
            ),
        ),
        "esrgan": _method(
            "esrgan:ESRGAN",
            deviations=(
                "The last network of a training is scored; LUD-VAE's authors keep the best LPIPS "
                "on the validation set that they report.",
            ),
        ),
        "bicubic_enlarged": MethodEntry(f"{HERE}.methods.enlarged:Enlarged", is_trained=False),
    },
    scorers={
        "upscale": Scorer(
            f"{HERE}.scoring:score",
            metrics={
                "psnr_db": PSNR,
                "ssim": SSIM,
                "lpips": Metric("LPIPS (AlexNet, v0.1)", 3, 0.01, 0.03),
                "lpips_random": Metric("LPIPS' form, random AlexNet", 3, 0.01, 0.03),
            },
            crops=False,
            ends=("bicubic", "truth"),
            notes=f"{HERE}.notes:notes",
            deviations=(
                "On AIM 2019 noisy pictures are learned as they are; the authors give them the "
                "mean and deviation of the clean ones, channel by channel, and take that back.",
            ),
        )
    },
    conditions={
        name: Condition(f"degradation of {title}") for name, (title, *_) in CHALLENGES.items()
    },
    datasets=(
        *_of_challenges(),
        _stand_in(STAND_IN_TEST, "small noisy photographs, and large ones", "validation", 3, 0.67),
        _stand_in(f"{STAND_IN_TEST}_noisy", "noisy photographs", "noisy", 24, 2.46),
        _stand_in(f"{STAND_IN_TEST}_clean", HOLDS["clean"], "clean", 24, 2.46),
        _stand_in(
            TRUE_PAIRS, "clean photographs, small noisy ones of them", "true_pairs", 24, 2.46
        ),
    ),
    stages=(
        Stage(
            "learned_degradations",
            f"{HERE}.stages.degradations",
            tables=(TABLE,),
            inputs=_degradation_files,
            outputs={
                "table": Output(
                    f"results/table{TABLE}{{part}}_degradations.csv",
                    f"Table {TABLE}",
                    "what is added to small pictures: made and real",
                ),
                "figure": _figure("degradations", "what degradations look like"),
            },
            arguments=lambda run: _rows(_learned(run)),
            caption="learned_degradations.rst",
            message="Compare learned degradations with the real one",
        ),
        Stage(
            "enlarged_crops",
            f"{HERE}.stages.crops",
            tables=(TABLE,),
            inputs=_crop_files,
            outputs={"figure": _figure("crops", "crops of enlarged pictures")},
            arguments=lambda run: _rows(_crop_cells(run)),
            code=lambda run: sorted({cell.scores[0].model.module for cell in _crop_cells(run)}),
            caption="enlarged_crops.rst",
            message="Draw crops of enlarged pictures",
            like="evaluate",
            uses_gpu=True,
        ),
    ),
    commands=f"{HERE}.commands",
    place=5,
)
