"""What names results: ids, specs, packs, score files and lineages of every table at every scale.

Who changes one on purpose renews the digests by: python -m tests.test_identities
"""

from __future__ import annotations

import hashlib
import json
import sys
from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.conftest import REPOSITORY
from unpaired.pipeline.models import Model, TablePlan
from unpaired.pipeline.plan import plan_table
from unpaired.pipeline.settings import canonical_json, load_settings
from unpaired.pipeline.specs import data_models_of
from unpaired.pipeline.table import load_tables

DIGESTS = REPOSITORY / "tests/identities.json"
SCALES = {"demo": ["config"], "smoke": ["config", "smoke"], "paper": ["config", "paper"]}
SEEDS = [1, 2, 3]


def _model(model: Model) -> list:
    lineage = [one.id for one in model.lineage]
    pairs = model.pairs and [model.pairs.id, model.pairs.spec]
    return [model.id, model.spec, model.packs, model.data_sets, model.file, lineage, pairs]


def _identities(plan: TablePlan) -> dict:
    """Return all that results of a table are named by."""
    models = [*plan.trainings, *plan.models, *data_models_of(plan)]
    return {
        "cells": [
            [c.noise, c.row.name, c.setting, c.method, c.testset, [s.stem for s in c.scores]]
            for c in plan.cells
        ],
        "scored": [[s.stem, s.model.id, *(other.id for _, other in s.inputs)] for s in plan.scores],
        "models": [_model(model) for model in models],
        "budgets": [budget.id for budget in plan.measured_budgets],
    }


def digests(config: Path) -> dict[str, dict[str, str]]:
    """Return a digest per table and scale of a folder of settings, as if all data were there."""
    found: dict[str, dict[str, str]] = {}
    tables = load_tables(config / "tables")
    for scale, names in SCALES.items():
        settings = load_settings([config / f"{name}.yaml" for name in names], None)
        whole = {"seeds": SEEDS, "methods": None, "testsets": None, "noises": None}
        settings = settings.model_copy(update=whole)
        for table in tables:
            with TemporaryDirectory() as empty, chdir(empty):  # No weights were imported there.
                plan = plan_table(table, settings, assume_data=True)
                text = canonical_json(_identities(plan))
            digest = hashlib.sha256(text.encode()).hexdigest()
            found.setdefault(f"table{table.number}", {})[scale] = digest
    return found


@pytest.fixture(scope="module")
def now() -> dict[str, dict[str, str]]:
    return digests(REPOSITORY / "config")


@pytest.mark.parametrize("table", json.loads(DIGESTS.read_text()) if DIGESTS.is_file() else [])
def test_results_keep_their_names(now, table):
    """Another digest means: results that people have count as those of something else."""
    assert now[table] == json.loads(DIGESTS.read_text())[table]


def test_every_table_has_its_digests(now):
    assert now.keys() == json.loads(DIGESTS.read_text()).keys()


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if sys.argv[1:] else REPOSITORY / "config"
    text = json.dumps(digests(folder), indent=2) + "\n"
    if sys.argv[1:]:  # Those of another folder are shown.
        print(text, end="")
    else:
        DIGESTS.write_text(text)
