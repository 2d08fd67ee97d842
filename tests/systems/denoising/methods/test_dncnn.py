from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tests.systems.denoising.methods.pictures import photograph, psnr_db, with_noise
from unpaired.data.noise import get_noise
from unpaired.data.samples import CropSamples
from unpaired.imaging.orientation import orient_at_random
from unpaired.learning.create import create
from unpaired.learning.method import Observation, TrainingState
from unpaired.learning.training import train

STATE = TrainingState(seed=1, step=0, images_seen=0, fraction=0.0)


def test_parameters_and_protocol():
    method = create("dncnn")
    assert sum(parameter.numel() for parameter in method.parameters()) == 559_363
    (phase,) = method.phases()
    assert phase.images_seen == 3_200_000
    assert phase.optimizer.defaults["betas"] == (0.9, 0.999)
    assert phase.optimizer.defaults["weight_decay"] == 0
    assert (phase.schedule(0.49), phase.schedule(0.5)) == (1, 0.5)


def test_loss_is_the_mean_absolute_error_of_the_turned_pair():
    method = create("dncnn", width=4)
    noisy, clean = torch.rand(2, 3, 12, 12), torch.rand(2, 3, 12, 12)
    batch = {"noisy": noisy, "clean": clean, "sample": torch.tensor([4, 7])}
    turned = orient_at_random(STATE.generators(batch["sample"], "orientation"), noisy, clean)
    expected = (method.network(turned[0]) - turned[1]).abs().mean()
    assert method.losses(batch, STATE)["loss"].item() == pytest.approx(expected.item(), rel=1e-5)


def test_restored_is_the_input_less_what_the_layers_predict():
    method = create("dncnn", width=4).eval()
    image = torch.rand(1, 3, 9, 11)
    predicted = method.network.last(method.network.features(image))
    assert torch.allclose(method.restore(Observation(image)), image - predicted, atol=1e-6)
    assert method.margin_px == 17


def test_global_residual_starts_at_the_identity():
    image = torch.rand(1, 3, 9, 11)
    assert torch.equal(create("dncnn", global_residual=True).network(image), image)


@pytest.mark.long
@pytest.mark.parametrize(("noise", "noise_std"), [("gauss25", 25 / 255), ("awgn", 0.275)])
def test_a_short_training_begins_to_denoise(make_pack, noise, noise_std):
    """Seventeen layers without a way round them need more than seconds for more than this."""
    clean = photograph(0, 100, 256)
    pack = make_pack({"a": (clean[0].permute(1, 2, 0).numpy() * 255).astype(np.uint8)})
    torch.manual_seed(0)
    method = create(
        "dncnn",
        width=16,
        images_seen=2400,
        batch_size=8,
        patch_px=20,
        learning_rate=1e-3,
        schedule="warmup_cosine",
        global_residual=True,
    )
    options = {"sees": method.sees, "patch_px": 20, "seed": 1, "noise": get_noise(noise)}
    train(method, CropSamples(pack, **options), seed=1, precision="fp32")
    noisy = with_noise(clean, noise_std)
    restored = method.eval().restore(Observation(noisy))
    assert psnr_db(restored, clean) > psnr_db(noisy, clean) + 1


def test_normalization_is_saved_with_the_weights():
    names = {name.rpartition(".")[2] for name in create("dncnn", width=4).state_dict()}
    assert {"running_mean", "running_var"} <= names
    kinds = {type(module) for module in create("dncnn", width=4).network.features}
    assert nn.BatchNorm2d in kinds
