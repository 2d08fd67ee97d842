from __future__ import annotations

import pytest
import torch

from unpaired import catalog
from unpaired.core.errors import UnpairedError
from unpaired.learning.create import create
from unpaired.learning.method import TrainingState

RESTORERS = catalog.systems()["denoising"].methods
STATE = TrainingState(seed=1, step=0, images_seen=0, fraction=0.0)


def test_parameters_and_protocol_of_the_reference():
    method = create("n2c")
    assert sum(parameter.numel() for parameter in method.parameters()) == 1_102_371
    phase = method.phases()[0]
    assert phase.images_seen == 2_000_000
    assert phase.optimizer.defaults["betas"] == (0.9, 0.99)


@pytest.mark.parametrize(("name", "target"), [("n2c", "clean"), ("n2n", "noisy_again")])
def test_loss_is_the_mean_squared_error_to_its_target(name, target):
    method = create(name, width=8)
    noisy, other = torch.rand(2, 3, 32, 32), torch.rand(2, 3, 32, 32)
    loss = method.losses({"noisy": noisy, target: other}, STATE)["loss"]
    assert loss.item() == pytest.approx((method.network(noisy) - other).square().mean().item())
    assert method.sees == ("noisy", target)


@pytest.mark.parametrize("clip", [None, 1e-3, 1e3])
def test_longer_gradients_are_shortened_before_the_step(clip):
    torch.manual_seed(0)
    method = create("n2c", width=8, gradient_clip=clip)
    batch = {"noisy": torch.rand(2, 3, 32, 32), "clean": torch.rand(2, 3, 32, 32)}
    optimizer = method.phases()[0].optimizer
    method.losses(batch, STATE)["loss"].backward()
    gradients = [parameter.grad for parameter in method.parameters()]
    before = torch.cat([gradient.ravel() for gradient in gradients]).clone()
    optimizer.step()
    after = torch.cat([gradient.ravel() for gradient in gradients])
    expected = before * min(1.0, (clip or 1e9) / before.norm().item())
    torch.testing.assert_close(after, expected, rtol=1e-4, atol=0)


def test_every_method_of_the_list_can_be_made():
    for name in catalog.methods():
        with torch.device("meta"):  # Networks of the papers' sizes, without their numbers.
            method = create(name)
        assert isinstance(method.sees, tuple)
        assert isinstance(method.knows, tuple)
        if name in RESTORERS:
            assert method.multiple_px >= 1


def test_only_supervised_training_sees_clean_images():
    assert [name for name in RESTORERS if "clean" in create(name).sees] == [
        "dncnn",
        "n2c",
    ]


def test_unknown_names_suggest_the_nearest():
    with pytest.raises(UnpairedError, match="did you mean 'neighbor2neighbor'"):
        create("nieghbor2neighbor")
    with pytest.raises(UnpairedError, match="no setting 'gama'; did you mean 'gamma'"):
        create("neighbor2neighbor", gama=1.0)
