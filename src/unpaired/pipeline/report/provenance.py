"""What each number of a table was made from, out of the records of the runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from unpaired.core.sealed_csv import read_record
from unpaired.pipeline.models import Cell, Score, TablePlan
from unpaired.pipeline.report.numbers import Anchors

Facts = list[tuple[str, str]]


@dataclass(frozen=True)
class Making:
    """How one score file came about: facts in the order to be told, and the method's settings."""

    facts: Facts
    settings: str


@dataclass(frozen=True)
class Entry:
    """The provenance of one cell of a table: one making per seed."""

    anchor: str
    title: str
    makings: list[Making]


def entries(plan: TablePlan, root: Path) -> list[Entry]:
    """Return the provenance of every number of ours in a table."""
    return [
        Entry(
            _anchor(plan, position),
            f"{cell.row.name}, {cell.noise}, {cell.testset}",
            [_making(score, root) for score in cell.scores],
        )
        for position, cell in _scored(plan)
    ]


def anchors(plan: TablePlan) -> Anchors:
    """Return where on the page the provenance of each cell stands."""
    return {
        (cell.setting, cell.method, cell.testset): _anchor(plan, position)
        for position, cell in _scored(plan)
    }


def _scored(plan: TablePlan) -> list[tuple[int, Cell]]:
    return [(position, cell) for position, cell in enumerate(plan.cells) if cell.scores]


def _anchor(plan: TablePlan, position: int) -> str:
    return f"table{plan.table.number}-origin{position}"


def _making(score: Score, root: Path) -> Making:
    record = read_record(root / f"{score.stem}.json")
    facts = [("scores", f"{score.stem}.csv"), *_facts("scored", record)]
    if record["weights_sha256"]:
        facts.append(("weights, SHA-256", record["weights_sha256"]))
    settings: list[dict[str, Any]] = []
    for model in reversed(score.model.lineage):
        if not model.is_trained:
            settings.append(model.spec)
            continue
        training = read_record(root / f"results/models/{model.id}/model.json")
        facts = [("model", model.id), *_facts("trained", training), *facts]
        settings.append({"spec": model.spec, "config": training["config"]})
    shown = settings if len(settings) > 1 else settings[0]
    return Making(facts, json.dumps(shown, indent=2, sort_keys=True))


def _facts(work: str, record: dict[str, Any]) -> Facts:
    versions = record["versions"]
    facts = []
    for data in record["data"]:
        facts.append((f"{work} on", f"{data['source']}, {data['pictures']} pictures"))
        facts.append(("data, SHA-256 of the pack", data["sha256"]))
    return [
        *facts,
        ("code, fingerprint", record["code"]),
        ("libraries", ", ".join(f"{name} {versions[name]}" for name in sorted(versions))),
        ("device", record["device"]),
        ("precision", record["precision"] or "no network"),
        (f"{work} in", f"{record['seconds']} s"),
    ]
