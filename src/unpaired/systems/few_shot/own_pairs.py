"""For a person with few pairs and many unpaired pictures: a model of their own, by SUD².

Three trainings: what clean pictures look like (a diffusion model), the pairs alone, and from there
the pairs with the diffusion model's opinion of what becomes of unpaired degraded pictures. Each
goes on where it was interrupted, and is kept as long as nothing that it depends on changes.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field

from unpaired.catalog.method_settings import check_settings
from unpaired.core.devices import check_names
from unpaired.core.errors import UnpairedError, list_some, one_line
from unpaired.core.randomness import seed_for
from unpaired.learning.weights import load_model, read_notes, save_model
from unpaired.pipeline.settings import Typed, TypedPath, canonical_json, validate

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
        return f"{told}written to {self.model}; use it by: unpaired restore PICTURES -o DIR --model"


def read_recipe(path: Path) -> Recipe:
    """Read a recipe; raises UnpairedError for a file that is none, and for wrong keys."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
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


def learn(recipe: Recipe) -> Learned:
    """Make a model as a recipe says.

    Raises UnpairedError for folders that do not fit, before anything is trained.
    """
    packs = _packs(recipe)
    pairs, degraded, clean = packs
    left = len(pairs) - recipe.validation
    if left < 2:
        raise UnpairedError(
            f"{recipe.pairs}: {len(pairs)} pairs less {recipe.validation} for validation: at least "
            "2 are needed to learn from"
        )
    given = {} if recipe.method == "supervised" else {PRIOR: _prior(recipe, clean)}
    about = {"pairs": left}
    start = _trained(recipe, START, METHODS[START], [pairs], about)
    own_packs = [pairs, degraded] if given else [pairs]
    found = _trained(recipe, MODEL, recipe.method, own_packs, about, start=start, given=given)
    curve = found.curve[: int(found.validations), 1]
    best = (float(curve[0]), float(curve.max())) if len(curve) else None
    return Learned(Path(recipe.output) / f"{MODEL}.safetensors", best)


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


def _prior(recipe: Recipe, clean: Any) -> Any:
    if recipe.prior is None:
        return _trained(recipe, PRIOR, METHODS[PRIOR], [clean], {})
    name, prior = load_model(Path(recipe.prior))
    if name != METHODS[PRIOR]:
        raise UnpairedError(f"{recipe.prior}: a model of '{name}', not a diffusion model")
    if prior.config.patch_px != recipe.picture_px:
        raise UnpairedError(
            f"{recipe.prior}: a diffusion model of pictures of {prior.config.patch_px} px; set "
            f"picture_px to that, not to {recipe.picture_px}"
        )
    return prior


def _trained(
    recipe: Recipe,
    role: str,
    method: str,
    packs: list[Any],
    about: dict[str, Any],
    *,
    start: Any = None,
    given: dict[str, Any] | None = None,
) -> Any:
    """Return the model of a role, trained unless it is there already; it is kept in the output."""
    settings = DEFAULTS[method] | {"patch_px": recipe.picture_px} | about
    settings |= recipe.settings.get(method, {})
    path = Path(recipe.output) / f"{role}.safetensors"
    before = [_digest(other) for other in [start, *(given or {}).values()] if other is not None]
    stamp = {
        "method": method,
        "settings": settings,
        "seed": recipe.seed,
        "packs": [pack.digest for pack in packs],
        "before": before,
    }
    known = hashlib.sha256(canonical_json(stamp).encode()).hexdigest()
    if path.is_file() and read_notes(path).get("made_of") == known:
        print(f"{path}: there already", flush=True)
        return load_model(path)[1]
    made = _train(recipe, role, method, settings, packs, start, given or {}, stamp)
    save_model(path, method, made, {"made_of": known, "train_set": "own pictures"})
    shutil.rmtree(_work(recipe, role), ignore_errors=True)
    return made.eval()


def _train(
    recipe: Recipe,
    role: str,
    method: str,
    settings: dict[str, Any],
    packs: list[Any],
    start: Any,
    given: dict[str, Any],
    stamp: dict[str, Any],
) -> Any:
    import torch

    from unpaired.learning.create import create
    from unpaired.learning.own_training import train_own
    from unpaired.learning.training import Checkpointing

    torch.manual_seed(seed_for(recipe.seed, role))
    made = create(method, **settings)
    if start is not None:
        made.start_from(start)
    for name, other in given.items():
        made.receive(name, other)
    samples = made.samples(packs, seed=recipe.seed, noise=None, noise_draw="fresh")
    checkpointing = Checkpointing(_work(recipe, role), stamp)
    train_own(made, samples, seed=recipe.seed, device=recipe.device, checkpointing=checkpointing)
    _keep_validated(made)
    return made


def _work(recipe: Recipe, name: str) -> Path:
    return Path(recipe.output) / "work" / name


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
