"""Diffusion models of others: folders of diffusers, older names, Ho's, and damaged ones."""

from __future__ import annotations

import json
import re

import pytest
import torch
from safetensors.torch import load_file, save_file

from unpaired.core.errors import UnpairedError
from unpaired.learning.authors_weights import import_weights
from unpaired.learning.weights import load_model
from unpaired.systems.few_shot.authors_weights import OLD_ATTENTION, PUBLISHED

diffusers = pytest.importorskip("diffusers", reason="needs diffusers (extra 'test')")

LEVELS = ("DownBlock2D",) * 4 + ("AttnDownBlock2D", "DownBlock2D")
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def theirs():
    """The network of google/ddpm-celebahq-256, narrow and for small pictures."""
    torch.manual_seed(0)
    return diffusers.UNet2DModel(
        sample_size=64,
        block_out_channels=(8, 8, 16, 16, 32, 32),
        down_block_types=LEVELS,
        up_block_types=tuple(kind.replace("Down", "Up") for kind in reversed(LEVELS)),
        layers_per_block=2,
        attention_head_dim=None,
        downsample_padding=0,
        flip_sin_to_cos=False,
        freq_shift=1,
        norm_eps=1e-6,
        norm_num_groups=2,
    ).eval()


@pytest.fixture
def folder(theirs, tmp_path):
    """A folder as a pipeline of diffusers saves it."""
    theirs.save_pretrained(tmp_path / "faces/unet")
    diffusers.DDPMScheduler(variance_type="fixed_small").save_pretrained(
        tmp_path / "faces/scheduler"
    )
    return tmp_path / "faces"


def noise_of(theirs):
    picture, times = torch.randn(1, 3, 64, 64), torch.tensor([321])
    with torch.no_grad():
        return picture, times, theirs(picture, times).sample


def test_a_folder_of_diffusers_becomes_a_model_that_computes_the_same(theirs, folder, tmp_path):
    written, option = import_weights("ddpm", folder, output=tmp_path / "ddpm.safetensors")
    name, model = load_model(written)
    assert name == "ddpm"
    assert model.config.patch_px == 64
    assert model.config.timesteps == 1000
    assert "weights" in option
    picture, times, expected = noise_of(theirs)
    with torch.no_grad():
        found = model.network(picture, times)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_folders_without_subfolders_are_read_too(theirs, tmp_path):
    theirs.save_pretrained(tmp_path)
    diffusers.DDPMScheduler().save_pretrained(tmp_path)
    assert PUBLISHED.read(tmp_path).config.heads == 1


def test_older_names_of_attention_are_known(theirs, folder):
    path = folder / "unet" / WEIGHTS
    new = {ours: old for old, ours in OLD_ATTENTION.items()}
    pattern = re.compile(rf"(?<=\.)({'|'.join(map(re.escape, new))})(?=\.(weight|bias)$)")
    tensors = {pattern.sub(lambda m: new[m[1]], k): v for k, v in load_file(path).items()}
    assert any(".query." in name for name in tensors)
    path.unlink()
    torch.save(tensors, path.with_suffix(".bin"))
    picture, times, expected = noise_of(theirs)
    with torch.no_grad():
        found = PUBLISHED.read(folder).network(picture, times)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def ho_name(name: str) -> str:
    """The name of a weight in celeba_hq.ckpt, written down from the published file's list."""
    levels = 6
    simple = {
        "time_embedding.linear_1": "temb.dense.0",
        "time_embedding.linear_2": "temb.dense.1",
        "conv_norm_out": "norm_out",
        "mid_block.resnets.0": "mid.block_1",
        "mid_block.resnets.1": "mid.block_2",
        "mid_block.attentions.0": "mid.attn_1",
        "time_emb_proj": "temb_proj",
        "conv_shortcut": "nin_shortcut",
        "group_norm": "norm",
        "to_out.0": "proj_out",
        "to_q": "q",
        "to_k": "k",
        "to_v": "v",
        "downsamplers.0": "downsample",
        "upsamplers.0": "upsample",
        "resnets": "block",
        "attentions": "attn",
    }
    for ours, other in simple.items():
        name = name.replace(ours, other)
    name = re.sub(r"down_blocks\.", "down.", name)
    return re.sub(r"up_blocks\.(\d)", lambda m: f"up.{levels - 1 - int(m[1])}", name)


def test_the_names_of_ho_are_known(theirs, tmp_path):
    tensors = {}
    for name, value in theirs.state_dict().items():
        is_matrix = "attentions" in name and value.ndim == 2
        tensors[ho_name(name)] = value[..., None, None] if is_matrix else value
    assert "up.5.block.0.norm1.weight" in tensors
    torch.save(tensors, tmp_path / "celeba_hq.ckpt")
    built = PUBLISHED.read(tmp_path / "celeba_hq.ckpt")
    assert built.config.patch_px == 256
    picture, times, expected = noise_of(theirs)
    with torch.no_grad():
        found = built.network(picture, times)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert PUBLISHED.name_of(tmp_path / "celeba_hq.ckpt", None) == "celeba_hq"


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "unet/config.json").unlink(), "no finished folder"),
        (lambda f: (f / "unet" / WEIGHTS).unlink(), "none of diffusion_pytorch_model"),
        (lambda f: (f / "scheduler/scheduler_config.json").unlink(), "scheduler_config.json: miss"),
        (lambda f: (f / "unet/config.json").write_text("{"), "not a configuration in JSON"),
        (lambda f: change(f / "unet/config.json", _class_name="UNet2DConditionModel"), "Condition"),
        (lambda f: change(f / "unet/config.json", flip_sin_to_cos=True), "flip_sin_to_cos is True"),
        (lambda f: change(f / "unet/config.json", layers_per_block=1), "not the authors' layout"),
        (lambda f: change(f / "unet/config.json", sample_size=None), "no 'sample_size'"),
        (lambda f: change(f / "unet/config.json", down_block_types=["Skip"] * 6), "has not"),
        (
            lambda f: change(f / "scheduler/scheduler_config.json", beta_schedule="scaled_linear"),
            "beta_schedule is 'scaled_linear'",
        ),
        (
            lambda f: change(f / "scheduler/scheduler_config.json", prediction_type="v_prediction"),
            "prediction_type is 'v_prediction'",
        ),
    ],
)
def test_unfinished_and_foreign_folders_are_one_line(folder, spoil, message):
    spoil(folder)
    with pytest.raises(UnpairedError, match=message) as told:
        PUBLISHED.read(folder)
    assert "\n" not in str(told.value)


def test_files_of_other_networks_are_one_line(tmp_path):
    save_file({"layer.weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(UnpairedError, match="not a diffusion model as Ho names them"):
        PUBLISHED.read(tmp_path / "other.safetensors")
    with pytest.raises(UnpairedError, match="no such file"):
        PUBLISHED.read(tmp_path / "missing.ckpt")
