"""LUD-VAE: a degradation learned from unpaired sets, and the pairs that it makes for others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from unpaired.catalog.system import Files, MethodEntry, Output, Stage, System

if TYPE_CHECKING:
    from unpaired.pipeline.models import Model
    from unpaired.pipeline.run import Run

HERE = "unpaired.systems.degradation"
TABLE = 6


def _degradation(target: str, *deviations: str, **details: Any) -> MethodEntry:
    return MethodEntry(
        f"{HERE}.methods.{target}",
        packs=("noisy", "clean"),
        makes_pairs=f"{HERE}.synthesis:pairs_of_pack",
        deviations=deviations,
        **details,
    )


def _models(run: Run) -> list[Model]:
    """Return the degradation models of the table of real noise in sRGB."""
    plan = run.plans.get(TABLE)
    return [model.pairs.model for model in plan.models if model.pairs] if plan else []


def _statistics_files(run: Run) -> Files | None:
    models = _models(run)
    if not models:
        return None
    plan = run.plans[TABLE]
    test_set = next(cell.testset for cell in plan.cells if cell.is_present)
    train_set = plan.table.train_sets.at(run.settings.scale).pairs
    return {
        "models": [model.file for model in models],
        "test": run.pack(test_set),
        "train": run.pack(train_set),
        "split": run.split(train_set, test_set),
    }


SYSTEM = System(
    title="Learned degradations",
    methods={
        "lud_vae": _degradation(
            "lud_vae:LUDVAE",
            "Noisy and clean pictures are of different scenes; the authors shuffle both sides of "
            "all pairs.",
        ),
        "lud_vae_public": _degradation(
            "lud_vae_public:PublicLUDVAE",
            "It is trained as long as the paper's model; the authors' script trains until it is "
            "stopped.",
        ),
        "deflow": _degradation(
            "deflow:DeFlow",
            "It has 59.11 million parameters, the printed model 62.94: the layers are those that "
            "the papers of Glow and SRFlow describe.",
            "The factor of the shift's covariance starts at 0.01; at 0, as is described, the "
            "likelihood has no gradient towards it.",
            "Couplings and injectors scale by exp(-1) to exp(1), so that the inverse is exact.",
            follows_settings=False,
        ),
    },
    stages=(
        Stage(
            "noise_statistics",
            f"{HERE}.stages.noise_statistics",
            tables=(TABLE,),
            inputs=_statistics_files,
            outputs={
                "table": Output("results/noise_statistics{part}.csv"),
                "figure": Output(
                    "results/figures/noise_statistics{part}.png",
                    "Table 6",
                    "learned noise against real noise",
                ),
            },
            code=lambda run: sorted({model.module for model in _models(run)}),
            caption="noise_statistics.rst",
            message="Compare learned noise with real noise",
            like="evaluate",
            uses_gpu=True,
        ),
    ),
    commands=f"{HERE}.commands",
    place=6,
)
