"""For a person with noisy and with clean pictures that do not match: learn what the noise is like.

A folder holds the model, and beside it how large the latents of noisy pictures are (see
`latent_texture`): noise is made like that of one of them, so that no noisy picture is needed any
more.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unpaired.core.devices import check_names, choose_device
from unpaired.core.errors import UnpairedError, list_some
from unpaired.core.files import atomic_path, sha256_of
from unpaired.data.records import Record
from unpaired.imaging.outputs import check_files, find_and_tell
from unpaired.imaging.pictures import in_rgb, read_picture
from unpaired.imaging.pixels import to_uint8
from unpaired.learning.model_names import FILE
from unpaired.learning.weights import load_model
from unpaired.pipeline.own_models import WORK, OwnModel, forgotten_if_refused

if TYPE_CHECKING:
    import numpy as np
    import torch

    from unpaired.data.packs import Pack
    from unpaired.systems.degradation.latent_texture import LatentSpread

METHOD = "lud_vae"
NOISE_FILE = "noise.safetensors"
SPREADS = 32  # How many noisy pictures' latents are kept.
# A small network on small crops, so that a processor learns it in minutes. The decoded noise is
# added to the picture itself, so that none of its detail is lost.
SETTINGS: dict[str, Any] = {
    "images_seen": 4800,
    "batch_size": 8,
    "patch_px": 48,
    "learning_rate": 1e-3,
    "schedule": "warmup_cosine",
    "kl_weight": 0.004,
    "width": 32,
    "residual_width": 16,
    "residual_blocks": 1,
    "code_dim": 64,
    "codes": 128,
    "blur_kernel_px": 5,
    "blur_std_px": 1.2,
    "start_noise_std": 0.03,
    "global_residual": True,
    "adds_to": "picture",
    "sampling": "spread",
}


@dataclass(frozen=True)
class Folders:
    """What is learned from, and where the model goes. noisy and clean share no scene."""

    noisy: Path
    clean: Path
    output: Path


def learn(
    folders: Folders, *, device: str = "auto", seed: int = 1, overwrite: bool = False
) -> Path:
    """Learn a degradation from two folders of pictures; return the model's file.

    It goes on where it was interrupted, and is kept as long as nothing changes that it depends on.
    overwrite: whether another model, or a training of one, may be replaced.
    Raises UnpairedError, before anything is learned, for folders that do not fit, and for another
    model in the output folder.
    """
    check_names(device, "auto")
    for folder in (folders.noisy, folders.clean):
        if not folder.is_dir():
            raise UnpairedError(f"{folder}: no such folder; name one that holds pictures")
    if folders.output.exists() and not folders.output.is_dir():
        raise UnpairedError(f"{folders.output}: a file; name a folder for the model")
    work, path = folders.output / WORK, folders.output / FILE
    with forgotten_if_refused(work):
        packs = _packs(folders, work)
        stamp = {"settings": SETTINGS, "seed": seed, "packs": [pack.digest for pack in packs]}
        own = OwnModel(path, work / "training", stamp)
        own.check(overwrite=overwrite)
        if not own.is_made:
            noise = path.with_name(NOISE_FILE)
            check_files(noise, suffix=noise.suffix, overwrite=overwrite)
    if own.is_made:
        print(f"{path}: there already", flush=True)
    else:
        own.save(METHOD, _train(packs, own, device, seed))
    _keep_noise(path, packs[0], device, seed)
    shutil.rmtree(work, ignore_errors=True)
    return path


def _packs(folders: Folders, work: Path) -> list[Pack]:
    """Return the noisy and the clean pictures, which hold a training crop and share nothing."""
    from unpaired.data.disjoint import check_disjoint
    from unpaired.data.packs import open_verified

    packs = [
        open_verified(_pack(work / f"{name}.h5", folder))
        for name, folder in (("noisy", folders.noisy), ("clean", folders.clean))
    ]
    for pack in packs:
        _require_size(pack)
    check_disjoint(*packs, ("noisy pictures", "clean pictures"))
    return packs


def _pack(path: Path, folder: Path) -> Path:
    from unpaired.data.pack_writing import write_pack

    about = {"value_range": (0, 255), "color_space": "sRGB", "settings": {}}
    write_pack(path, _records(folder), source=str(folder), **about)
    return path


def _records(folder: Path) -> Iterator[Record]:
    """Yield every page of every picture below a folder, of any depth, in RGB and 8 bits.

    Raises UnpairedError after the last file, naming all bad ones at once.
    """
    bad = []
    for path in find_and_tell([folder]):
        name = path.relative_to(folder).as_posix()
        try:
            pages = _pages(path)
        except UnpairedError as error:
            bad.append(str(error))
            continue
        digest = sha256_of(path)
        for number, page in enumerate(pages):
            own = name if len(pages) == 1 else f"{name} page {number + 1}"
            yield Record(own, {"image": page}, f"file:{digest}", digest)
    if bad:
        raise UnpairedError(list_some(bad))


def _pages(path: Path) -> list[np.ndarray]:
    picture = in_rgb(read_picture(path))
    low, high = float(picture.pixels.min()), float(picture.pixels.max())
    if low < 0 or high > 1:
        raise UnpairedError(
            f"{path}: values from {low:.4g} to {high:.4g}; scale floating-point pictures to 0 .. 1"
        )
    return [to_uint8(page) for page in picture.pixels]


def _require_size(pack: Pack) -> None:
    """Every picture holds a training crop, and there is one."""
    if not len(pack):
        raise UnpairedError(f"{pack.source}: no pictures; name a folder that holds some")
    side, names = SETTINGS["patch_px"], pack.columns["name"]
    small = [
        f"{names[index]} ({shape[1]}x{shape[0]})"
        for index in pack
        if min((shape := pack.shape(index))[:2]) < side
    ]
    if small:
        raise UnpairedError(
            f"{pack.source}: pictures smaller than {side} px a side: {list_some(small)}; take them "
            "out"
        )


def _train(packs: list[Pack], own: OwnModel, device: str, seed: int) -> Any:
    import torch

    from unpaired.core.randomness import seed_for
    from unpaired.learning.create import create
    from unpaired.learning.own_training import train_own

    torch.manual_seed(seed_for(seed, "weights"))
    method = create(METHOD, **SETTINGS)
    samples = method.samples(packs, seed=seed, noise=None, noise_draw="fresh")
    train_own(method, samples, seed=seed, device=device, checkpointing=own.checkpointing)
    return method


def _keep_noise(model: Path, noisy: Pack, device: str, seed: int) -> None:
    """Write the spreads of noisy pictures' latents beside a model, which they belong to."""
    import torch
    from safetensors.torch import save_file

    from unpaired.systems.degradation.latent_texture import texture_of_a_picture

    chosen = choose_device(device)
    method = load_model(model, chosen)[1]
    spreads = [
        texture_of_a_picture(method, noisy, (seed, "noise", number), chosen, SETTINGS["sampling"])
        for number in range(SPREADS)
    ]
    tensors = {
        f"sizes{level}": torch.stack(sizes).cpu()
        for level, sizes in enumerate(zip(*(one.sizes for one in spreads), strict=True))
    }
    with atomic_path(model.with_name(NOISE_FILE)) as aside:
        save_file(tensors, aside, metadata={"model_sha256": sha256_of(model)})


def read_noise(model: Path, method: Any, device: torch.device) -> list[LatentSpread]:
    """Return the spreads of latents beside a model; none where there is no such file.

    Raises UnpairedError for those of another model, and for a damaged file.
    """
    from safetensors import SafetensorError, safe_open

    from unpaired.systems.degradation.latent_texture import LatentSpread

    path = model.with_name(NOISE_FILE)
    if not path.is_file():
        return []
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            sizes = [
                file.get_tensor(f"sizes{number}").to(device)
                for number in range(len(method.noise_levels))
            ]
    except SafetensorError as error:
        raise UnpairedError(f"{path}: damaged ({error}); learn the model again") from error
    if about.get("model_sha256") != sha256_of(model):
        raise UnpairedError(f"{path}: the noise of another model; learn {model} again")
    return [LatentSpread(method.noise_levels, own) for own in zip(*sizes, strict=True)]
