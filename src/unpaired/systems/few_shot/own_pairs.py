"""For a person with few pairs and many unpaired pictures: a model of their own, by SUD².

Three trainings: what clean pictures look like (a diffusion model), the pairs alone, and from there
the pairs with the diffusion model's opinion of what becomes of unpaired degraded pictures. Each
goes on where it was interrupted, and is kept as long as nothing that it depends on changes.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from unpaired.catalog.method_settings import check_settings
from unpaired.core.devices import check_names
from unpaired.core.errors import UnpairedError, counted, list_some, one_line
from unpaired.core.files import reading
from unpaired.core.randomness import seed_for
from unpaired.learning.weights import load_model
from unpaired.pipeline.own_models import WORK, OwnModel, forgotten_if_refused
from unpaired.pipeline.settings import Typed, TypedPath, validate

PRIOR, START, MODEL = "prior", "start", "model"
METHODS = {PRIOR: "ddpm", START: "supervised_start"}
# For pictures of some 64 px on a processor; a person with a GPU raises lengths and widths.
NETWORK = {"widths": "32 64 96", "blocks": 1, "groups": 8, "squeeze_px": 2}
TRAINED = {"batch_size": 10, "learning_rate": 1e-3, "schedule": "warmup_cosine"}
TRAINED |= {"half_life_images": 690}
DEFAULTS: dict[str, dict[str, Any]] = {
    "ddpm": {
        **NETWORK,
        "attention_px": None,
        "scales": True,
        "images_seen": 55_000,
        "batch_size": 32,
        "learning_rate": 2e-3,
        "beta2": 0.99,
        "schedule": "warmup_cosine",
        "half_life_images": 4_400,
    },
    "supervised_start": {**NETWORK, **TRAINED, "images_seen": 3_000, "validate_every_images": 300},
    "supervised": {**NETWORK, **TRAINED, "images_seen": 1_500, "validate_every_images": 150},
    "sud2": {
        **NETWORK,
        **TRAINED,
        "images_seen": 1_500,
        "validate_every_images": 150,
        "reverse_steps": 3,
    },
}


class Recipe(Typed):
    """What a person writes: where pictures are, and what is made of them.

    pairs: folder with ``degraded`` and ``clean``. degraded, clean: folders of unpaired pictures.
    output: folder to write to. picture_px: side of what is learned from; larger pictures are cut at
    random places. validation: pairs that are not learned from, to keep the best weights by; 0, or
    3 at least. prior: a diffusion model that is there already, in place of a training.
    method: ``sud2``, or ``supervised`` to see what the pairs alone give.
    settings: method -> settings of its own, in place of those for small pictures.
    """

    pairs: TypedPath
    degraded: TypedPath
    clean: TypedPath
    output: TypedPath
    picture_px: int = Field(64, ge=16)
    validation: int = Field(0, ge=0)
    prior: TypedPath | None = None
    method: str = "sud2"
    settings: dict[str, dict[str, Any]] = Field(default_factory=dict)
    seed: int = Field(1, ge=0)
    device: str = "auto"


@dataclass(frozen=True)
class Learned:
    """What `learn` made. best: PSNR of validation portraits at the start, and of what is kept."""

    model: Path
    best: tuple[float, float] | None

    @property
    def summary(self) -> str:
        """Lines for a person."""
        told = ""
        if self.best is not None:
            start, end = self.best
            told = f"validation: {start:.2f} dB by the pairs alone, {end:.2f} dB in the end\n"
        use = f"unpaired restore PICTURES -o DIR --model {self.model}"
        return f"{told}written to {self.model}; use it by: {use}"


def read_recipe(path: Path) -> Recipe:
    """Read a recipe; raises UnpairedError for a file that is none, and for wrong keys."""
    try:
        with reading(path):
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError) as error:
        raise UnpairedError(f"{path}: not a readable recipe: {one_line(error)}") from None
    recipe = validate(Recipe, content, str(path))
    if recipe.method not in ("sud2", "supervised"):
        raise UnpairedError(f"{path}: method must be sud2 or supervised, not {recipe.method}")
    if unknown := [name for name in recipe.settings if name not in DEFAULTS]:
        known = ", ".join(DEFAULTS)
        raise UnpairedError(f"{path}: settings of {unknown[0]}: there are those of {known}")
    for name, own in recipe.settings.items():
        check_settings(name, own)
    if recipe.validation in (1, 2):
        raise UnpairedError(f"{path}: validation must be 0, or 3 pairs at least")
    check_names(recipe.device, "auto")
    return recipe


def learn(recipe: Recipe, *, overwrite: bool = False) -> Learned:
    """Make a model as a recipe says.

    overwrite: whether models of other recipes, and trainings of them, may be replaced.
    Raises UnpairedError, before anything is trained, for folders that do not fit, and for models
    and interrupted trainings of other recipes in the output folder.
    """
    for line in unused_settings(recipe):
        print(line, flush=True)
    work = Path(recipe.output) / WORK
    with forgotten_if_refused(work):
        learned = _learn(recipe, overwrite)
    shutil.rmtree(work, ignore_errors=True)
    return learned


def unused_settings(recipe: Recipe) -> list[str]:
    """Say which settings of a recipe are of methods that it does not train."""
    used = {role: _method_of(recipe, role) for role in _trained_roles(recipe)}
    return [
        f"settings of {name}: not used by this recipe, which trains {', '.join(used.values())}"
        for name in recipe.settings
        if name not in used.values()
    ]


def _trained_roles(recipe: Recipe) -> list[str]:
    """Return the roles of the models that a recipe trains, in order."""
    needs_prior = recipe.method != "supervised" and recipe.prior is None
    return [PRIOR, START, MODEL] if needs_prior else [START, MODEL]


def _method_of(recipe: Recipe, role: str) -> str:
    return METHODS.get(role, recipe.method)


def _learn(recipe: Recipe, overwrite: bool) -> Learned:
    pairs, degraded, clean = _packs(recipe)
    left = len(pairs) - recipe.validation
    if left < 2:
        raise UnpairedError(
            f"{recipe.pairs}: {counted(len(pairs), 'pair')} less {recipe.validation} for "
            "validation: at least 2 are needed to learn from"
        )
    own_packs = {PRIOR: [clean], START: [pairs]}
    own_packs[MODEL] = [pairs] if recipe.method == "supervised" else [pairs, degraded]
    plan = _Plan(recipe, own_packs, left, overwrite)
    plan.check()
    given = {} if recipe.method == "supervised" else {PRIOR: _prior(plan)}
    start = plan.trained(START)
    found = plan.trained(MODEL, start=start, given=given)
    curve = found.curve[: int(found.validations), 1]
    best = (float(curve[0]), float(curve.max())) if len(curve) else None
    return Learned(plan.path(MODEL), best)


def _packs(recipe: Recipe) -> list[Any]:
    """Pack the three folders; none of the others holds a picture of the pairs."""
    from unpaired.data.disjoint import check_disjoint
    from unpaired.data.pack_writing import write_pack
    from unpaired.data.packs import open_verified
    from unpaired.systems.few_shot.sources.own_pairs import pair_records, picture_records

    folders = {
        "pairs": (pair_records, Path(recipe.pairs)),
        "degraded": (picture_records, Path(recipe.degraded)),
        "clean": (picture_records, Path(recipe.clean)),
    }
    packs = []
    for name, (records, folder) in folders.items():
        path = _work(recipe, f"{name}.h5")
        about = {"value_range": (0, 255), "color_space": "sRGB", "settings": {}}
        write_pack(path, records(folder), source=str(folder), **about)
        packs.append(open_verified(path))
    for pack in packs:
        _require_size(pack, recipe.picture_px)
    for other in packs[1:]:
        _require_no_pair(packs[0], other)
    check_disjoint(packs[1], packs[2], ("degraded pictures", "clean pictures"))
    return packs


def _require_size(pack: Any, side_px: int) -> None:
    field = "clean" if pack.is_paired else "image"
    names = pack.columns["name"]
    small = [
        f"{names[index]} ({shape[1]}x{shape[0]})"
        for index in pack
        if min((shape := pack.shape(index, field))[:2]) < side_px
    ]
    if small:
        raise UnpairedError(
            f"{pack.source}: pictures smaller than the {side_px} px that are learned from: "
            f"{list_some(small)}; remove them, or lower picture_px"
        )


def _require_no_pair(pairs: Any, other: Any) -> None:
    """Neither picture of a pair is among the unpaired ones."""
    import numpy as np

    seen = {
        hashlib.sha256(np.ascontiguousarray(pairs.read(index, field))).hexdigest(): name
        for index, name in enumerate(pairs.columns["name"])
        for field in ("noisy", "clean")
    }
    for index, name in enumerate(other.columns["name"]):
        digest = hashlib.sha256(np.ascontiguousarray(other.read(index))).hexdigest()
        if digest in seen:
            raise UnpairedError(
                f"{other.source}: {name} is a picture of the pair {seen[digest]}; take it out"
            )


def _prior(plan: _Plan) -> Any:
    recipe = plan.recipe
    if recipe.prior is None:
        return plan.trained(PRIOR)
    name, prior = load_model(Path(recipe.prior))
    if name != METHODS[PRIOR]:
        raise UnpairedError(f"{recipe.prior}: a model of '{name}', not a diffusion model")
    if prior.config.patch_px != recipe.picture_px:
        raise UnpairedError(
            f"{recipe.prior}: a diffusion model of pictures of {prior.config.patch_px} px; set "
            f"picture_px to that, not to {recipe.picture_px}"
        )
    return prior


@dataclass(frozen=True)
class _Plan:
    """What is trained. packs: of every role. pairs: how many are learned from."""

    recipe: Recipe
    packs: dict[str, list[Any]]
    pairs: int
    overwrite: bool

    def path(self, role: str) -> Path:
        return Path(self.recipe.output) / f"{role}.safetensors"

    def check(self) -> None:
        """Raise UnpairedError where something of another recipe would be replaced.

        What the last model is made of is known once the others are; as long as one of them is
        missing, no last model that is there can be of this recipe.
        """
        first = [self._own(role) for role in _trained_roles(self.recipe) if role != MODEL]
        for own in first:
            own.check(overwrite=self.overwrite)
        if not all(own.is_made for own in first):
            OwnModel(self.path(MODEL), _work(self.recipe, MODEL)).check(overwrite=self.overwrite)

    def trained(self, role: str, *, start: Any = None, given: dict[str, Any] | None = None) -> Any:
        """Return the model of a role, trained unless it is there already."""
        given = given or {}
        own = self._own(role, [other for other in [start, *given.values()] if other is not None])
        own.check(overwrite=self.overwrite)
        if own.is_made:
            print(f"{own.path}: there already", flush=True)
            return load_model(own.path)[1]
        made = _train(self, role, own, start, given)
        own.save(_method_of(self.recipe, role), made)
        return made.eval()

    def settings(self, role: str) -> dict[str, Any]:
        """Return the settings of a role's method."""
        method = _method_of(self.recipe, role)
        about = {"patch_px": self.recipe.picture_px}
        about |= {} if role == PRIOR else {"pairs": self.pairs}
        return DEFAULTS[method] | about | self.recipe.settings.get(method, {})

    def _own(self, role: str, others: Sequence[Any] = ()) -> OwnModel:
        """Return the model of a role, which ``others`` are needed for."""
        stamp = {
            "method": _method_of(self.recipe, role),
            "settings": self.settings(role),
            "seed": self.recipe.seed,
            "packs": [pack.digest for pack in self.packs[role]],
            "before": [_digest(other) for other in others],
        }
        return OwnModel(self.path(role), _work(self.recipe, role), stamp)


def _train(plan: _Plan, role: str, own: OwnModel, start: Any, given: dict[str, Any]) -> Any:
    import torch

    from unpaired.learning.create import create
    from unpaired.learning.own_training import train_own

    recipe = plan.recipe
    torch.manual_seed(seed_for(recipe.seed, role))
    made = create(_method_of(recipe, role), **plan.settings(role))
    if start is not None:
        made.start_from(start)
    for name, other in given.items():
        made.receive(name, other)
    packs = plan.packs[role]
    samples = made.samples(packs, seed=recipe.seed, noise=None, noise_draw="fresh")
    place = {"device": recipe.device, "checkpointing": own.checkpointing}
    train_own(made, samples, seed=recipe.seed, **place)
    _keep_validated(made)
    return made


def _work(recipe: Recipe, name: str) -> Path:
    return Path(recipe.output) / WORK / name


def _keep_validated(made: Any) -> None:
    """Where there was a validation, the best weights are those of the file."""
    if hasattr(made, "validated"):
        made.network.load_state_dict(made.validated.state_dict())


def _digest(model: Any) -> str:
    """Return the digest of a model's weights."""
    digest = hashlib.sha256()
    for name, value in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()
