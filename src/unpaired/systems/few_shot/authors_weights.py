"""Diffusion models that others published: folders of diffusers, and Ho's names in one file.

A folder holds ``config.json`` and ``diffusion_pytorch_model.safetensors`` (or ``.bin``), in it or
in ``unet/``, and its schedule in ``scheduler/scheduler_config.json`` or beside it, as
google/ddpm-celebahq-256 does. Old files call attention query, key, value and proj_attn, new ones
to_q, to_k, to_v and to_out.0. `celeba_hq.ckpt` of SDEdit and DDNM is the same network under Ho's
names, a plain state dict, with levels of the way up counted from the finest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from unpaired.core.errors import UnpairedError, list_some
from unpaired.core.files import reading
from unpaired.learning.authors_weights import refuse_noise
from unpaired.learning.create import create
from unpaired.learning.method import Method
from unpaired.networks.diffusion_unet import widths_of
from unpaired.networks.foreign_weights import check_layout, read_tensors
from unpaired.systems.few_shot.methods.ddpm import DDPM

METHOD = "ddpm"
WEIGHTS = ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin")
# What the network here computes; a configuration that says something else is another network.
NETWORK_IS = {
    "act_fn": "silu",
    "center_input_sample": False,
    "downsample_padding": 0,
    "downsample_type": "conv",
    "dropout": 0.0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-6,
    "time_embedding_type": "positional",
    "upsample_type": "conv",
}
SCHEDULE_IS = {"beta_schedule": "linear", "prediction_type": "epsilon", "trained_betas": None}
BLOCKS = {"DownBlock2D": False, "AttnDownBlock2D": True, "UpBlock2D": False, "AttnUpBlock2D": True}
OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
# Of the published file, which does not say it: DDPM on CelebA-HQ (Ho et al., appendix B).
CELEBA_HQ = {
    "widths": "128 128 256 256 512 512",
    "blocks": 2,
    "attention_px": 16,
    "heads": 1,
    "groups": 32,
    "patch_px": 256,
}
HO_ATTENTION = {"norm": "group_norm", "q": "to_q", "k": "to_k", "v": "to_v", "proj_out": "to_out.0"}
HO_BLOCK = {"temb_proj": "time_emb_proj", "nin_shortcut": "conv_shortcut"}


class Diffusion:
    """See `learning.authors_weights.Published`."""

    option: ClassVar[str] = "weights of a table's model:"
    notes: ClassVar[Mapping[str, Any]] = {}

    def name_of(self, path: Path, noise: str | None) -> str:
        """Return the name of the folder, or of the file without suffix."""
        refuse_noise(METHOD, noise)
        return re.sub(r"[^a-z0-9_]+", "_", Path(path).resolve().stem.lower())

    def read(self, path: Path) -> Method:
        """Return our diffusion model with the weights of a folder or file.

        Raises UnpairedError for a folder that is not finished, another network or schedule, and
        names, shapes or types that differ.
        """
        path = Path(path)
        if path.is_dir():
            return _of_folder(path)
        tensors = renamed_ho(path, read_tensors(path))
        return _built(path, _celeba_hq_like(path, tensors), tensors)


PUBLISHED = Diffusion()


def _of_folder(folder: Path) -> DDPM:
    place = folder / "unet" if (folder / "unet").is_dir() else folder
    network = _read_json(place / "config.json")
    schedule = _schedule_of(folder)
    weights = next((place / name for name in WEIGHTS if (place / name).is_file()), None)
    if weights is None:
        raise UnpairedError(f"{place}: none of {', '.join(WEIGHTS)}; download the folder again")
    settings = _network_settings(place / "config.json", network) | schedule
    return _built(weights, settings, _new_attention(read_tensors(weights)))


def _schedule_of(folder: Path) -> dict[str, Any]:
    places = [folder / "scheduler/scheduler_config.json", folder / "scheduler_config.json"]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise UnpairedError(f"{places[0]}: missing; download the folder again")
    found = _read_json(path)
    _require(path, found, SCHEDULE_IS)
    names = {
        "num_train_timesteps": "timesteps",
        "beta_start": "variance_first",
        "beta_end": "variance_last",
    }
    return {ours: _value(path, found, theirs) for theirs, ours in names.items()}


def _network_settings(path: Path, found: Mapping[str, Any]) -> dict[str, Any]:
    if found.get("_class_name") != "UNet2DModel":
        raise UnpairedError(
            f"{path}: a {found.get('_class_name', 'network without a name')}, where a UNet2DModel "
            "is needed"
        )
    _require(path, found, NETWORK_IS)
    down, up = (_value(path, found, key) for key in ("down_block_types", "up_block_types"))
    unknown = [kind for kind in [*down, *up] if kind not in BLOCKS]
    attention = [level for level, kind in enumerate(down) if BLOCKS.get(kind)]
    if unknown or [BLOCKS[kind] for kind in down] != [BLOCKS[kind] for kind in reversed(up)]:
        raise UnpairedError(
            f"{path}: blocks that this network has not: {list_some([*down, *up], 20)}"
        )
    if found.get("add_attention", True) != bool(attention):
        raise UnpairedError(f"{path}: attention in the middle alone, or nowhere but there")
    if len(attention) > 1:
        raise UnpairedError(f"{path}: attention at {len(attention)} sizes, where one is known")
    widths, side = (_value(path, found, key) for key in ("block_out_channels", "sample_size"))
    channels = {_value(path, found, f"{end}_channels") for end in ("in", "out")}
    if len(channels) > 1:
        raise UnpairedError(f"{path}: other channels come out than go in; the noise is needed")
    head_width = found.get("attention_head_dim")
    return {
        "channels": channels.pop(),
        "widths": " ".join(map(str, widths)),
        "blocks": _value(path, found, "layers_per_block"),
        "attention_px": side // 2 ** attention[0] if attention else None,
        "heads": 1 if head_width is None else widths[-1] // head_width,
        "groups": _value(path, found, "norm_num_groups"),
        "scales": found.get("resnet_time_scale_shift") == "scale_shift",
        "patch_px": side,
    }


def _require(path: Path, found: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """What a configuration leaves out is taken for what is wanted; the layout is checked anyway."""
    wrong = [
        f"{key} is {found[key]!r}, not {value!r}"
        for key, value in wanted.items()
        if key in found and found[key] != value
    ]
    if wrong:
        raise UnpairedError(f"{path}: another kind of model: {list_some(wrong)}")


def _value(path: Path, found: Mapping[str, Any], key: str) -> Any:
    if found.get(key) is None:
        raise UnpairedError(f"{path}: no '{key}' in it; download it again")
    return found[key]


def _read_json(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UnpairedError(f"{path}: missing, so this is no finished folder of diffusers")
    with reading(path):
        text = path.read_bytes()
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UnpairedError(f"{path}: not a configuration in JSON; download it again")
    return found


def _new_attention(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    def renamed(name: str) -> str:
        *before, last, kind = name.split(".")
        if "attentions" in before and last in OLD_ATTENTION:
            return ".".join([*before, OLD_ATTENTION[last], kind])
        return name

    return {renamed(name): value for name, value in tensors.items()}


def _built(path: Path, settings: dict[str, Any], tensors: Mapping[str, Tensor]) -> DDPM:
    built = create(METHOD, **settings)
    check_layout(path, tensors, built.network.state_dict())
    built.network.load_state_dict(dict(tensors))
    return built


def renamed_ho(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return Ho's weights under the names here; attention's 1 x 1 convolutions become matrices.

    Raises UnpairedError for a name that Ho has not.
    """
    levels = 1 + max(
        (int(found[1]) for name in tensors if (found := re.match(r"up\.(\d+)\.", name))), default=-1
    )
    named = {name: _of_ho(name, levels) for name in tensors}
    unknown = [name for name, ours in named.items() if ours is None]
    if unknown or not levels:
        raise UnpairedError(
            f"{path}: not a diffusion model as Ho names them: {list_some(unknown or ['no levels'])}"
        )
    return {named[name]: _as_here(named[name], value) for name, value in tensors.items()}


def _as_here(name: str, value: Tensor) -> Tensor:
    return value.flatten(1) if ".attentions." in name and value.ndim == 4 else value


def _of_ho(name: str, levels: int) -> str | None:
    *before, kind = name.split(".")
    stem = ".".join(before)
    whole = {
        "temb.dense.0": "time_embedding.linear_1",
        "temb.dense.1": "time_embedding.linear_2",
        "conv_in": "conv_in",
        "norm_out": "conv_norm_out",
        "conv_out": "conv_out",
    }
    if stem in whole:
        return f"{whole[stem]}.{kind}"
    if found := re.fullmatch(r"mid\.(block|attn)_(\d)\.(\w+)", stem):
        what, number, last = found.groups()
        place = f"mid_block.{_group(what)}.{int(number) - 1}"
        return f"{place}.{_layer(what, last)}.{kind}"
    if found := re.fullmatch(r"(down|up)\.(\d+)\.(block|attn)\.(\d+)\.(\w+)", stem):
        way, level, what, number, last = found.groups()
        place = f"{way}_blocks.{_level(way, level, levels)}.{_group(what)}.{number}"
        return f"{place}.{_layer(what, last)}.{kind}"
    if found := re.fullmatch(r"(down|up)\.(\d+)\.(down|up)sample\.conv", stem):
        way, level, to = found.groups()
        return f"{way}_blocks.{_level(way, level, levels)}.{to}samplers.0.conv.{kind}"
    return None


def _group(what: str) -> str:
    return {"block": "resnets", "attn": "attentions"}[what]


def _layer(what: str, last: str) -> str:
    return (HO_ATTENTION if what == "attn" else HO_BLOCK).get(last, last)


def _level(way: str, level: str, levels: int) -> int:
    return int(level) if way == "down" else levels - 1 - int(level)


def _celeba_hq_like(path: Path, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return the settings of the published file, with the widths that its tensors have."""
    widths = []
    published = widths_of(CELEBA_HQ["widths"])
    for level in range(len(published)):
        name = f"down_blocks.{level}.resnets.0.conv1.weight"
        if name not in tensors:
            raise UnpairedError(f"{path}: no level {level}, where CelebA-HQ's network has six")
        widths.append(len(tensors[name]))
    # Narrower ones, as a test makes them, have groups in proportion.
    groups = max(1, CELEBA_HQ["groups"] * widths[0] // published[0])
    return CELEBA_HQ | {"widths": " ".join(map(str, widths)), "groups": groups}
