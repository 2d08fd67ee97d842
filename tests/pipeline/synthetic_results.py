"""Results of runs that never took place: every file that tables and the report read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.conftest import REPOSITORY
from unpaired import catalog
from unpaired.core.sealed_csv import write_sealed
from unpaired.pipeline.models import TablePlan
from unpaired.pipeline.plan import plan_table
from unpaired.pipeline.settings import parse_settings
from unpaired.pipeline.table import Table, load_table
from unpaired.pipeline.tables.costs import costs_as_csv
from unpaired.pipeline.tables.lines import Line, lines_as_csv, read_paper_numbers
from unpaired.pipeline.tables.measuring import build_lines

TABLE = load_table(REPOSITORY / "config/tables/table1.yaml")
PAPER = read_paper_numbers(REPOSITORY / "config/paper_numbers/neighbor2neighbor_table1.csv")
ROWS = ["n2c", "cbm3d", "dbsn", "laine19_mu", "laine19_pme", "neighbor2neighbor_fixed"]
SIDE_PX = 48
NOISY, CLEAN = (200, 30, 30), (30, 30, 200)  # Red and blue tell the pictures apart.
RECORD = {
    "code": "0123456789abcdef",
    "data": [{"source": "pictures", "pictures": 3, "sha256": "f" * 64}],
    "versions": {"unpaired": "0.1.0", "torch": "2.9", "numpy": "2.4", "python": "3.11"},
    "device": "CPU (test)",
    "precision": "fp32",
    "seconds": 1.5,
}


def fill_scores(plan: TablePlan, root: Path, images: int = 3, gain: float = 8.0) -> None:
    """Write score files whose PSNR is 30 + image number, the same for every model."""
    for score in plan.scores:
        path = root / f"{score.stem}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = ["image,repeat,psnr_db,ssim,noisy_psnr_db,noisy_ssim,seconds_per_mpix"]
        for image in range(images):
            lines += [f"i{image},{r},{30 + image},0.9,{30 + image - gain},0.5,1" for r in range(2)]
        path.write_text("\n".join(lines) + "\n")
        write_record(path, {})


def make_lines(
    root: Path, images: int = 3, gain: float = 8.0, **config
) -> tuple[TablePlan, list[Line]]:
    """Return Table 1's plan and lines, whose score files are those of `fill_scores`."""
    plan = plan_table(TABLE, parse_settings(config))
    fill_scores(plan, root, images, gain)
    return plan, build_lines(plan, PAPER, root)


def pick(lines: list[Line], **wanted) -> list[Line]:
    """Return the lines whose fields are as wanted."""
    return [line for line in lines if all(getattr(line, k) == v for k, v in wanted.items())]


def write_record(path: Path, about: dict, to: Path | None = None) -> None:
    """Write the record that a CSV file is checked against, beside it unless told where."""
    seals = write_sealed({path: path.read_text()})
    (to or path.with_suffix(".json")).write_text(json.dumps(about | seals))


def make_results(root: Path, *, images: int = 3, table: Table = TABLE, **config) -> TablePlan:
    """Write the results of a table, with Kodak present, and return its plan.

    Each model's PSNR differs from the others', so that sorting changes the order.
    """
    (root / "data/kodak").mkdir(parents=True, exist_ok=True)
    (root / "data/kodak/kodim01.png").touch()
    settings = {"data_root": str(root / "data"), "methods": ROWS} | config
    plan = plan_table(table, parse_settings(settings))
    fill_scores(plan, root, images)
    for position, score in enumerate(plan.scores):
        path = root / f"{score.stem}.csv"
        path.write_text(path.read_text().replace(",0.9,", f",0.{850 + 7 * position % 97},"))
        _write_triptych(path.with_suffix(".png"), shade=40 + 5 * position % 200)
        weights = None if not catalog.method(score.model.method).is_trained else "e" * 64
        record = RECORD | {"spec": score.model.spec, "weights_sha256": weights}
        write_record(path, record)
    for model in plan.models:
        if model.is_trained:
            _write_training(root / f"results/models/{model.id}", model.spec)
    (root / "results/budgets").mkdir(exist_ok=True)
    for one in plan.measured_budgets:
        budget = {"hours": None if one.method == "cbm3d" else 12.5, "hours_per": "training"}
        (root / one.file).write_text(json.dumps(budget))
    _write_tables(plan, root)
    return plan


def _write_tables(plan: TablePlan, root: Path) -> None:
    printed = read_paper_numbers(REPOSITORY / "config/paper_numbers" / plan.table.paper_numbers)
    text = lines_as_csv(build_lines(plan, printed, root))
    path = root / f"results/{plan.name}.csv"
    path.write_text(text)
    write_record(path, {})
    (root / f"results/{plan.name}_costs.csv").write_text(costs_as_csv(plan, root))


def _write_triptych(path: Path, shade: int) -> None:
    thirds = [np.full((SIDE_PX, SIDE_PX, 3), c, np.uint8) for c in (NOISY, (shade,) * 3, CLEAN)]
    Image.fromarray(np.concatenate(thirds, 1)).save(path)


def _write_training(folder: Path, spec: dict) -> None:
    folder.mkdir(parents=True)
    about = {"spec": spec, "config": spec["overrides"], "parameters": 9, "images_seen": 8}
    rows = [f"{phase},{step},{4 * step},{1 / step}" for phase, step in (("a", 1), ("b", 2))]
    (folder / "history.csv").write_text("\n".join(["phase,step,images_seen,loss", *rows]) + "\n")
    about = RECORD | about | {"peak_memory_mib": 1}
    write_record(folder / "history.csv", about, to=folder / "model.json")
