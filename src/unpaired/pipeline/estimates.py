"""What a training or a scoring would take, from what earlier ones took. Neither torch nor pandas.

Seconds are those of one job alone, on the device and with the threads of the record, without the
start of its process.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from unpaired import catalog
from unpaired.core.files import reading
from unpaired.core.sealed_csv import read_record
from unpaired.pipeline.models import Model, Protocol, Score

# The time of a training is proportional to the images seen and to the area of a patch.
LENGTH = ("images_seen", "patch_px")
# Settings that leave the time per image as it is; the batch size only deals images to steps.
TIMELESS = frozenset({"batch_size", "learning_rate", "schedule", "beta2", "global_residual"})
# A budget "per image" is for one of 768 x 512 (costs.IMAGE_PX, which cannot be had without torch).
BUDGET_MEGAPIXELS = 768 * 512 / 1e6
# Of whole tables with the shipped configuration, and of methods at their papers' settings: what was
# measured on the machine of the developers, for a clone that has recorded nothing yet.
REFERENCES = Path(__file__).parent / "reference_costs.csv"


@dataclass(frozen=True)
class Estimate:
    """Seconds, and the record they come from, in words."""

    seconds: float
    source: str


@dataclass(frozen=True)
class Reference:
    """A measured time. of: tables that were made together, by number, or a method.

    kind: "table" from nothing, "training", or "image" for a method fitted to every image.
    """

    kind: str
    of: tuple[str, ...]
    hours: float
    cores: int


@cache
def references() -> tuple[Reference, ...]:
    """Return the measured times that this package comes with."""
    with open(REFERENCES, newline="", encoding="utf-8") as file:
        return tuple(
            Reference(row["kind"], tuple(row["of"].split()), float(row["hours"]), int(row["cores"]))
            for row in csv.DictReader(file)
        )


def reference_of_table(number: int) -> Reference | None:
    """Return what a table took from nothing, alone or together with others; None if unknown."""
    fitting = (r for r in references() if r.kind == "table" and str(number) in r.of)
    return next(fitting, None)


class Records:
    """What earlier runs left in ``results/`` below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def training(self, model: Model) -> Estimate | None:
        """Estimate a training from the nearest one of its method, else from the paper's budget.

        A record with another network width is not used: time does not follow the width simply.
        """
        recorded = _nearest(
            (len(others), self._scaled(record, factor, others))
            for record in self._trainings
            if record["spec"]["method"] == model.method
            and "width" not in (others := other_options(model, record))
            and (factor := _length_factor(model, record)) is not None
        )
        return recorded or self._budget_of_training(model)

    def scoring(self, score: Score) -> Estimate | None:
        """Estimate a scoring from the nearest one of its method, else from the paper's budget."""
        megapixels = megapixels_of(score.protocol)
        pace = self._seconds_per_megapixel(score)
        if megapixels is None or pace is None:
            return None
        return Estimate(pace.seconds * megapixels * score.protocol.repeats, pace.source)

    def _scaled(self, record: dict[str, Any], factor: float, others: dict[str, Any]) -> Estimate:
        source = f"results/models/{record['id']}/model.json"
        return Estimate(record["seconds"] * factor, f"{source}, {_conditions(record, others)}")

    @cached_property
    def _trainings(self) -> list[dict[str, Any]]:
        return [
            read_record(path) | {"id": path.parent.name}
            for path in sorted(self.root.glob("results/models/*/model.json"))
        ]

    def _budget_of_training(self, model: Model) -> Estimate | None:
        if not model.is_trained or model.spec["overrides"] != model.papers_options:
            return None
        budget = self._budget(model, "training")
        return budget and Estimate(3600 * budget["hours"], budget["source"])

    def _budget(self, model: Model, per: str) -> dict[str, Any] | None:
        path = self.root / model.budget.file if model.budget else None
        if path is None or not path.is_file():
            return _reference_budget(model, per)
        budget = read_record(path)
        if budget["hours"] is None or budget["hours_per"] != per:
            return None
        return budget | {"source": f"results/budgets/{path.name}, {budget['device']}"}

    def _seconds_per_megapixel(self, score: Score) -> Estimate | None:
        model, read_out = score.model, score.read_out
        of_itself = ((0, pace) for pace in self._paces(model.id, read_out, ""))
        of_others = (
            (1 + len(others), pace)
            for record in self._trainings
            if model.is_trained
            and record["spec"]["method"] == model.method
            and "width" not in (others := other_options(model, record))
            for pace in self._paces(record["id"], read_out, _conditions(record, others))
        )
        measured = _nearest(of_itself) or _nearest(of_others)
        if measured or model.is_trained or model.spec.get("overrides") != {}:
            return measured
        budget = self._budget(model, "image")
        return budget and Estimate(3600 * budget["hours"] / BUDGET_MEGAPIXELS, budget["source"])

    def _paces(self, identity: str, read_out: str | None, conditions: str) -> Iterator[Estimate]:
        """Yield the seconds per megapixel of every score file of a model."""
        suffix = f".{read_out}.csv" if read_out else ".csv"
        for path in sorted(self.root.glob(f"results/scores/{identity}/*{suffix}")):
            with reading(path), open(path, newline="", encoding="utf-8") as file:
                seconds = [float(row["seconds_per_mpix"]) for row in csv.DictReader(file)]
            if seconds:
                source = path.relative_to(self.root).as_posix()
                told = f"{source}, {conditions}" if conditions else source
                yield Estimate(sum(seconds) / len(seconds), told)


def _reference_budget(model: Model, per: str) -> dict[str, Any] | None:
    if {*LENGTH, "channels"} & set(model.papers_options):
        return None  # Measured on patches, and pictures, of the method's own.
    for reference in references():
        if (reference.kind, reference.of) == (per, (model.method,)):
            return {"hours": reference.hours, "source": "reference, one processor core"}
    return None


def other_options(model: Model, record: dict[str, Any]) -> dict[str, Any]:
    """Return what a recorded training had otherwise than ``model``, length and TIMELESS aside."""
    wanted, given, config = model.spec["overrides"], record["spec"]["overrides"], record["config"]
    return {
        key: config[key]
        for key in sorted({*wanted, *given} & set(config))
        if key not in (*LENGTH, *TIMELESS) and wanted.get(key) != config[key]
    }


def _length_factor(model: Model, record: dict[str, Any]) -> float | None:
    """Return how much longer ``model`` trains than the record; None if its length is not known.

    A length that is left to the method is known only where the record leaves it to the method too.
    """
    wanted, given, config = model.spec["overrides"], record["spec"]["overrides"], record["config"]
    if any(key in given and key not in wanted for key in LENGTH):
        return None
    images, side = (wanted.get(key, config[key]) / config[key] for key in LENGTH)
    return images * side**2


def _conditions(record: dict[str, Any], others: dict[str, Any]) -> str:
    listed = ", ".join(f"{key} = {value}" for key, value in others.items())
    return f"{record['device']}" + (f", there {listed}" if others else "")


def _nearest(candidates: Iterable[tuple[int, Estimate]]) -> Estimate | None:
    """Return the (lower) median of the estimates that are equally near; None without any."""
    candidates = list(candidates)
    least = min((distance for distance, _ in candidates), default=0)
    near = sorted((e for distance, e in candidates if distance == least), key=lambda e: e.seconds)
    return near[(len(near) - 1) // 2] if near else None


def megapixels_of(protocol: Protocol) -> float | None:
    """Return the size of all images that a protocol scores once; None for a folder of one's own."""
    dataset = catalog.datasets().get(protocol.testset)
    if dataset is None or dataset.megapixels is None:
        return None
    if protocol.crop_px is None:
        return dataset.megapixels
    return min(dataset.megapixels, dataset.pictures * protocol.crop_px**2 / 1e6)
