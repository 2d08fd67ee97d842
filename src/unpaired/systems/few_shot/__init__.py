"""SUD²: a reconstruction learned from five pairs, supervised by a diffusion model."""

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
from unpaired.data.sources import DRAWN_BY_RULE, DataSet

if TYPE_CHECKING:
    from unpaired.pipeline.models import Cell
    from unpaired.pipeline.run import Run

HERE = "unpaired.systems.few_shot"
TABLE = 8
START = "start"  # The row that others start from.
BASE = "supervised"  # The row that others are compared with, picture by picture.
DRIFTING = ("sud", "sud2")  # The rows whose way through their training is drawn.
DRAWN, PEOPLE = "drawn_portraits", "celebamask_hq"
DRAWN_IN = f"results/{DRAWN}"
PEOPLE_HOME = "CelebAMask-HQ, from github.com/switchablenorms/CelebAMask-HQ (non-commercial terms)"
# Reader -> what a set holds, how many portraits of people, and how many drawn ones.
SETS = {
    "pairs": ("5 pairs to learn from, as the seed draws them, and 64 for validation", 69, 69),
    "measured": ("measurements alone", 1_000, 512),
    "pictures": ("pictures alone", 12_500, 3_000),
    "test": ("test", 768, 256),
}
# What is taken out as "the subject's face"; the paper does not list it.
FACE = ["skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "mouth", "u_lip", "l_lip"]
EARS = ["l_ear", "r_ear"]
OF_DENOISER = (
    "The Gaussian denoiser is the diffusion model, asked once at the time of that noise; the "
    "authors train another network on the same pictures."
)
OF_RAMP = "The weight of labels grows from 0 over the first 30 % of a training (`ramp_share`)."
OF_CHAIN = (
    "Labels are made by DDIM, from outputs brought into [-1, 1]; the paper names DDPM, by "
    "which labels are in the mean those of one step."
)
OF_PENALTY = (
    "The penalty is the mean square of the correlations of latents; the paper prints the "
    "correlation itself, and neither layer nor sign."
)
OF_NETWORK = (
    "The network adds to its measurement; gradients are cut to length 1, weights are averaged, and "
    "pictures mirrored. The paper says U-Net."
)


def _name(prefix: str, reader: str) -> str:
    return prefix if reader == "test" else f"{prefix}_{reader}"


def _portraits() -> list[DataSet]:
    """Return the sets of CelebAMask-HQ, and of drawn portraits, by one reader."""
    found = []
    for reader, (holds, people, drawn) in SETS.items():
        found.append(
            DataSet(
                _name(PEOPLE, reader),
                f"CelebAMask-HQ, {holds}",
                f"{HERE}.sources.celebamask_hq:{reader}",
                folder=PEOPLE,
                pictures=people,
                megapixels=people * 128**2 / 1e6,
                where=PEOPLE_HOME,
                layout="celebamask_hq/CelebA-HQ-img/0.jpg .., "
                "celebamask_hq/CelebAMask-HQ-mask-anno/0/00000_skin.png .., "
                "celebamask_hq/CelebAMask-HQ-attribute-anno.txt",
            )
        )
        found.append(
            DataSet(
                _name(DRAWN, reader),
                f"drawn portraits, {holds}",
                f"{HERE}.sources.drawn_portraits:{reader}",
                folder=DRAWN_IN,
                pictures=drawn,
                megapixels=drawn * 32**2 / 1e6,
                where=DRAWN_BY_RULE,
                made_in=DRAWN_IN,
            )
        )
    return found


def _hole(what: str, parts: list[str], fill: str) -> Condition:
    filled = {"zero": "black", "mean": "the mean of what is visible", "noise": "noise"}[fill]
    return Condition(f"{what} replaced by {filled}", {"parts": parts, "fill": fill})


def _method(target: str, **details: Any) -> MethodEntry:
    return MethodEntry(f"{HERE}.methods.{target}", follows_settings=False, **details)


_BY_PRIOR: dict[str, Any] = {"packs": ("pairs", "noisy"), "roles": ("prior",)}


def _drawn_cells(run: Run) -> list[Cell]:
    """Return the rows with a trained model; none without those that the figures are about."""
    cells = [cell for cell in run.first_cells(TABLE) if cell.scores[0].model.is_trained]
    rows = {cell.row.name for cell in cells}
    return cells if {*DRIFTING, BASE, START} <= rows else []


def _figure_files(run: Run) -> Files | None:
    cells = _drawn_cells(run)
    if not cells:
        return None
    models = {cell.row.name: cell.scores[0].model for cell in cells}
    pairs = models[BASE].packs[0]
    return {
        "models": [model.file for model in models.values()],
        "prior": dict(models[DRIFTING[1]].needs)["prior"].file,
        "test": run.pack(cells[0].testset),
        "pairs": run.pack(pairs),
    }


def _figure_arguments(run: Run) -> dict[str, Any]:
    cells = _drawn_cells(run)
    return {
        "rows": [cell.row.name for cell in cells],
        "read-outs": [cell.row.read_out or "default" for cell in cells],
        "condition": cells[0].noise,
        "drifting": list(DRIFTING),
        "start": START,
        "seed": str(run.settings.seeds[0]),
    }


def _difference_files(run: Run) -> Files | None:
    cells = run.first_cells(TABLE)
    if BASE not in {cell.row.name for cell in cells}:
        return None
    return run.score_files(cells)


def _difference_arguments(run: Run) -> dict[str, Any]:
    cells = run.first_cells(TABLE)
    scores = [(cell.row.name, score) for cell in cells for score in cell.scores]
    return {
        "rows": [row for row, _ in scores],
        "seeds": [str(score.model.spec.get("seed", "")) or "none" for _, score in scores],
        "base": BASE,
    }


def _figure(name: str, holds: str) -> Output:
    return Output(f"results/figures/table{TABLE}{{part}}_{name}.png", f"Table {TABLE}", holds)


# The paper's Figure 3 has one seed and no interval.
_COLLAPSE = {
    "output_correlation": Metric("correlation of outputs", 2, 0.05, 0.15),
    "truth_correlation": Metric("correlation of truths", 2, 0.05, 0.15),
    "variance_ratio": Metric("variance / true", 2, 0.05, 0.15),
    "participation": Metric("participation", 1, 1.0, 5.0),
    "truth_participation": Metric("participation of truths", 1, 1.0, 5.0),
}
_FID = {f"fid_{width}": Metric(f"FID ({width} features)", 2, 0.1, 0.5) for width in (64, 192, 2048)}

SYSTEM = System(
    title="Few pairs and a diffusion model",
    methods={
        "ddpm": _method(
            "ddpm:DDPM", packs=("clean",), imports_weights=f"{HERE}.authors_weights:PUBLISHED"
        ),
        "portrait_features": _method("portrait_features:PortraitFeatures", packs=("clean",)),
        "supervised_start": _method("supervised:Supervised", packs=("pairs",)),
        "supervised": _method("supervised:Supervised", packs=("pairs",), deviations=(OF_NETWORK,)),
        "sud": _method("sud:SUD", **_BY_PRIOR, deviations=(OF_DENOISER, OF_RAMP)),
        "sud_noise": _method("sud_noise:SUDNoise", **_BY_PRIOR, deviations=(OF_DENOISER, OF_RAMP)),
        "sud2": _method("sud2:SUD2", **_BY_PRIOR, deviations=(OF_CHAIN, OF_RAMP, OF_PENALTY)),
        "cyclegan": _method("cyclegan:CycleGAN", packs=("noisy", "clean")),
        "cyclegan_ssl": _method(
            "cyclegan_ssl:CycleGANSSL", packs=("pairs", "noisy"), roles=("labeler",)
        ),
        "unfilled": MethodEntry(f"{HERE}.methods.controls:Unfilled", is_trained=False),
        "mean_portrait": MethodEntry(
            f"{HERE}.methods.controls:MeanPortrait", is_trained=False, with_pictures=True
        ),
    },
    scorers={
        "reconstruct": Scorer(
            f"{HERE}.scoring:score",
            metrics={
                "psnr_db": PSNR,
                "ssim": SSIM,
                "lpips": Metric("LPIPS (AlexNet, v0.1)", 3, 0.01, 0.03),
                "fid": Metric("FID (768 features)", 2, 0.1, 0.5),
                **_FID,
                "feature_distance": Metric("distance in portrait_features", 3, 0.01, 0.03),
                "fd_portrait_features": Metric("Fréchet distance, portrait_features", 2, 0.1, 0.5),
                "hole_psnr_db": Metric("PSNR in the hole (dB)", 2, 0.1, 0.5),
                **_COLLAPSE,
            },
            inputs=("features",),
            crops=False,
            ends=("measurement", "truth"),
            notes=f"{HERE}.notes:notes",
            deviations=(
                "Rows start from the network of `start`, so that they differ in what they add to "
                "the pairs alone; the paper does not say where its methods start.",
                "Which portraits are pairs, measurements, pictures and test, and which parts of a "
                "face are missing, the paper does not say. Sets are told apart by the numbers of "
                "pictures, and may share people.",
            ),
        )
    },
    conditions={
        "face_zero": _hole("the face", FACE, "zero"),
        "face_mean": _hole("the face", FACE, "mean"),
        "face_noise": _hole("the face", FACE, "noise"),
        "face_and_ears_zero": _hole("face and ears", [*FACE, *EARS], "zero"),
    },
    datasets=tuple(_portraits()),
    data_models=lambda trained: [],
    stages=(
        Stage(
            "draw_portraits",
            f"{HERE}.stages.draw",
            inputs=lambda run: {},
            outputs={"output": Output(DRAWN_IN, is_folder=True)},
            message="Draw portraits",
            like="synthesize",
            is_target=False,
        ),
        Stage(
            "portrait_figures",
            f"{HERE}.stages.figures",
            tables=(TABLE,),
            inputs=_figure_files,
            outputs={
                "examples": _figure("examples", "measurements, every row, truths"),
                "portraits": _figure("portraits", "64 portraits"),
                "drift": _figure("drift", "collapse against training"),
                "samples": _figure("prior", "what the diffusion model has learned"),
                "numbers": Output(f"results/table{TABLE}{{part}}_prior.csv"),
                "labels": Output(f"results/table{TABLE}{{part}}_labels.csv"),
            },
            arguments=_figure_arguments,
            code=lambda run: sorted({cell.scores[0].model.module for cell in _drawn_cells(run)}),
            caption="portrait_figures.rst",
            message="Draw what reconstructions make of portraits",
        ),
        Stage(
            "portrait_differences",
            f"{HERE}.stages.differences",
            tables=(TABLE,),
            inputs=_difference_files,
            outputs={
                "output": Output(
                    f"results/table{TABLE}{{part}}_differences.csv",
                    f"Table {TABLE}",
                    "differences to the pairs alone, picture by picture",
                )
            },
            arguments=_difference_arguments,
            caption="portrait_differences.rst",
            message="Compare reconstructions picture by picture",
        ),
    ),
    commands=f"{HERE}.commands",
    place=4,
)
