"""From a row of a table to the model behind it: what the name of its folder is the hash of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from unpaired import catalog
from unpaired.catalog.method_settings import settings_of
from unpaired.core.errors import UnpairedError, suggest
from unpaired.core.files import sha256_of
from unpaired.data.noise import CAMERA
from unpaired.pipeline.datasets import get_dataset
from unpaired.pipeline.models import Model, Pairs, TablePlan
from unpaired.pipeline.settings import Settings
from unpaired.pipeline.table import PairsFrom, Row, Table, TrainSets

# What denoisers of added noise learn from, where the settings name nothing else.
PAPERS_SET, EMBEDDED_SET = "imagenet_val", "embedded_train"


def train_sets_of(settings: Settings, table: Table, row: Row) -> TrainSets:
    """Return the training sets of a row at the scale of the settings."""
    own = row.train_sets or table.train_sets
    if own is None or (table.takes_train_set and settings.train_set):
        usual = PAPERS_SET if settings.scale == "paper" else EMBEDDED_SET
        return TrainSets(pairs=settings.train_set or usual)
    return own.at(settings.scale)


def plan_model(settings: Settings, table: Table, noise: str, row: Row, seed: int) -> Model:
    """Return the model behind a row, or behind a model that has no row.

    Raises UnpairedError for rows that need each other in a circle, or one that is not there.
    """
    return _plan(settings, table, noise, row, seed, ())


def scoring_models(
    settings: Settings, table: Table, noise: str, seed: int
) -> tuple[tuple[str, Model], ...]:
    """Return the models that a table's scoring works with, by name.

    Those that are optional are left out where their weights are not there. Raises UnpairedError
    unless the table names one for each that its scorer wants, and no other.
    """
    scorer = catalog.scorer(table.task)
    giver, taker = f"table {table.number}: scored_with", f"task {table.task}"
    optional = [name for name in scorer.optional_inputs if name in table.scored_with]
    _require_all(table.scored_with, [*scorer.inputs, *optional], giver, taker, " which model")
    rows = {
        name: _row_of(table, table.scored_with[name], noise) for name in [*scorer.inputs, *optional]
    }
    planned = {name: plan_model(settings, table, noise, row, seed) for name, row in rows.items()}
    _require_files(table, table.scored_with, {name: planned[name] for name in scorer.inputs})
    absent = [name for name in optional if not Path(planned[name].file or "").is_file()]
    return tuple((name, model) for name, model in planned.items() if name not in absent)


def _require_all(
    given: Mapping[str, str], wanted: Sequence[str], giver: str, taker: str, which: str
) -> None:
    """A table gives what is wanted by name, and nothing else; the other words tell of it."""
    for name in given:
        if name not in wanted:
            raise UnpairedError(
                f"{giver} gives {taker} a '{name}', which it does not know{suggest(name, wanted)}"
            )
    if missing := [name for name in wanted if name not in given]:
        raise UnpairedError(f"{giver} must say{which} is its {', '.join(missing)}")


def _require_files(table: Table, names: Mapping[str, str], models: Mapping[str, Model]) -> None:
    """What others work with has weights: trained here, or imported and there."""
    for role, model in models.items():
        if model.file is None:
            raise UnpairedError(
                f"table {table.number}: '{names[role]}' learns nothing: it cannot be a {role}"
            )
        if not model.is_trained and not Path(model.file).is_file():
            raise UnpairedError(
                f"table {table.number}: no file {model.file} for '{names[role]}'; make it from "
                f"what the authors published by: {catalog.how_to_import(model.method, model.file)}"
            )


def data_models(settings: Settings) -> dict[str, list[Model]]:
    """Return the models whose outputs are data sets, by the folder that these are made in."""
    found = {}
    for system in catalog.systems().values():
        if system.data_models is not None:
            folders = {one.made_in for one in system.datasets if one.made_in}
            models = system.data_models(partial(_trained, settings))
            found |= dict.fromkeys(sorted(folders), models)
    return found


def data_models_of(plan: TablePlan) -> list[Model]:
    """Return the models whose outputs are data sets of a table, each once."""
    if not plan.made_in:
        return []
    by_folder = data_models(plan.settings)
    made = [model for folder in sorted(plan.made_in) for model in by_folder[folder]]
    return list({model.id: model for model in made}.values())


def artifact_of(settings: Settings, name: str, data_set: str) -> str:
    """Say which artifact is used: that of ``data_set``, or of the settings, by its digest.

    Raises UnpairedError if the settings name a file that is not there.
    """
    if name not in settings.files:
        return data_set
    path = Path(settings.files[name])
    if not path.is_file():
        raise UnpairedError(f"config: files.{name}: {path}: no such file")
    return f"sha256:{sha256_of(path)}"


def _plan(
    settings: Settings, table: Table, noise: str, row: Row, seed: int, asked: tuple[str, ...]
) -> Model:
    """asked: names of the rows that need this one, so that a circle is noticed."""
    if row.name in asked:
        circle = " needs ".join([*asked[asked.index(row.name) :], row.name])
        raise UnpairedError(f"table {table.number}: {circle}: a circle")
    needs = _needs_of(settings, table, noise, row, seed, (*asked, row.name))
    given = {"needs": {role: model.id for role, model in needs.items()}} if needs else {}
    model = _plan_alone(settings, table, noise, row, seed, given)
    return replace(model, needs=tuple(needs.items()))


def _plan_alone(
    settings: Settings, table: Table, noise: str, row: Row, seed: int, given: dict[str, Any]
) -> Model:
    """given: what its spec says of the other models that it needs."""
    if row.weights is not None:
        return Model(row.method, {"weights": row.weights.format(noise=noise)} | given)
    entry = catalog.method(row.method)
    if not entry.is_trained:
        return _untrained(settings, table, row, seed, given)
    defaults, sets = table.defaults | row.defaults, train_sets_of(settings, table, row)
    start = _start_of(settings, table, noise, row, seed)
    begun = {"start": start.id} if start else {}
    if row.pairs_from is not None:
        made = _trained_on_pairs(settings, row, defaults, noise, sets, seed, given | begun)
        return replace(made, start=start)
    kinds = entry.packs or (row.train_on,)
    trained_on = {
        "noise": row.train_noise or noise,
        "noise_draw": row.noise_draw,
        **_sets_by_key(sets, kinds),
        **given,
    }
    for name in entry.artifacts:
        key = catalog.artifacts()[name].key
        trained_on[key] = artifact_of(settings, name, trained_on["train_set"])
    trained_on |= begun
    model = _trained(settings, row.method, defaults, row.options, seed, trained_on, sets[kinds[0]])
    return replace(model, start=start)


def _untrained(
    settings: Settings, table: Table, row: Row, seed: int, given: dict[str, Any]
) -> Model:
    overrides = settings.overrides.get(row.method, {}) | row.options
    precision = settings.training.precision
    if precision != "auto" and "precision" in settings_of(row.method):
        overrides = {"precision": precision} | overrides  # Fitted to a picture, as by a training.
    spec = {"method": row.method, "overrides": overrides, **given}
    if catalog.method(row.method).with_pictures:
        spec |= {"train_set": train_sets_of(settings, table, row)[row.train_on], "seed": seed}
    return Model(row.method, spec)


def _sets_by_key(sets: TrainSets, kinds: tuple[str, ...]) -> dict[str, str]:
    """Return the training sets as a spec holds them: the first one, and others by their kind."""
    first, *others = kinds
    return {"train_set": sets[first], **{f"{kind}_set": sets[kind] for kind in others}}


def _row_of(table: Table, name: str, noise: str) -> Row:
    """Return a row, for a noise where it stands twice, or a model without a row."""
    named = [row for row in [*table.rows, *table.models] if row.name == name]
    if not named:
        known = [row.name for row in [*table.rows, *table.models]]
        raise UnpairedError(
            f"table {table.number}: no row or model is called '{name}'{suggest(name, known)}"
        )
    fitting = [row for row in named if table.has(row, noise)]
    return (fitting or named)[0]


def _needs_of(
    settings: Settings, table: Table, noise: str, row: Row, seed: int, chain: tuple[str, ...]
) -> dict[str, Model]:
    """Return the trained models that a row's method is given, by role."""
    roles = catalog.method(row.method).roles
    giver = f"table {table.number}: row '{row.name}'"
    _require_all(row.needs, roles, giver, row.method, ", by needs, which row or model")
    planned = {
        role: _plan(settings, table, noise, _row_of(table, row.needs[role], noise), seed, chain)
        for role in roles
    }
    _require_files(table, row.needs, planned)
    return planned


def _start_of(settings: Settings, table: Table, noise: str, row: Row, seed: int) -> Model | None:
    if row.starts_from is None:
        return None
    first = next((other for other in table.rows if other.name == row.starts_from), None)
    if first is None or first.starts_from:
        raise UnpairedError(
            f"table {table.number}: row '{row.name}' starts from '{row.starts_from}', which is no "
            "row that starts from nothing itself"
        )
    return plan_model(settings, table, noise, first, seed)


def _trained_on_pairs(
    settings: Settings,
    row: Row,
    defaults: Mapping[str, Any],
    noise: str,
    sets: TrainSets,
    seed: int,
    given: dict[str, Any],
) -> Model:
    pairs = _plan_pairs(settings, row.pairs_from, noise, sets, seed)
    trained_on = {"noise": CAMERA, "noise_draw": "fresh", "train_set": pairs.id, **given}
    model = _trained(settings, row.method, defaults, row.options, seed, trained_on, sets.clean)
    return replace(model, pairs=pairs)


def _plan_pairs(
    settings: Settings, how: PairsFrom, noise: str, sets: TrainSets, seed: int
) -> Pairs:
    kinds = catalog.method(how.method).packs
    trained_on = {"noise": noise, "noise_draw": "fresh", **_sets_by_key(sets, kinds)}
    model = _trained(settings, how.method, how.defaults, how.options, seed, trained_on, sets.noisy)
    return Pairs(model, {"model": model.id, "source": sets[how.source], **how.how, "seed": seed})


def _trained(
    settings: Settings,
    method: str,
    defaults: Mapping[str, Any],
    options: Mapping[str, Any],
    seed: int,
    trained_on: Mapping[str, Any],
    data_set: str,
) -> Model:
    """Return a model of which ``options`` are fixed, and ``defaults`` give way to the settings.

    data_set: that the pictures are like those of.
    """
    set_by_config = {}
    if catalog.method(method).follows_settings:
        training, network = settings.training, settings.network
        set_by_config = {
            "images_seen": training.images_seen,
            "batch_size": training.batch_size,
            "patch_px": training.patch_px,
            "learning_rate": training.learning_rate,
            "schedule": training.schedule,
            "beta2": training.beta2,
            "width": network.width,
            "global_residual": network.global_residual,
        }
    overrides = {**defaults, **{k: v for k, v in set_by_config.items() if v is not None}}
    overrides |= settings.overrides.get(method, {})
    overrides |= settings.overrides_on.get(trained_on["train_set"], {}).get(method, {})
    channels = get_dataset(data_set, settings).channels
    fixed = ({} if channels == 3 else {"channels": channels}) | dict(options)
    spec = {
        "method": method,
        "overrides": overrides | fixed,
        **trained_on,
        "seed": seed,
        "scale": settings.scale,
        "precision": settings.training.precision,
        "threads": settings.training.threads,
    }
    return Model(method, spec, papers_options={**defaults, **fixed})
