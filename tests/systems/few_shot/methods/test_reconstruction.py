"""A tiny training with validation, its read-outs, and that a killed one ends as another."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.systems.few_shot.portraits import portrait_pack
from unpaired import catalog
from unpaired.core.errors import UnpairedError
from unpaired.learning.method import Observation
from unpaired.learning.training import Checkpointing, train
from unpaired.learning.weights import load_model, save_model
from unpaired.systems.few_shot.methods.cyclegan import CycleGAN, CycleGANConfig
from unpaired.systems.few_shot.methods.ddpm import DDPM, DDPMConfig
from unpaired.systems.few_shot.methods.reconstruction import CURVE, ReconstructionConfig
from unpaired.systems.few_shot.methods.sud2 import SUD2, SUD2Config
from unpaired.systems.few_shot.methods.supervised import Supervised
from unpaired.systems.few_shot.samples import Measurements, as_batch

HOLE = catalog.conditions()["face_zero"]
NETWORK = {"widths": "16 32", "blocks": 1, "groups": 4, "squeeze_px": 2}
TINY = {
    **NETWORK,
    "batch_size": 10,
    "patch_px": 32,
    "learning_rate": 3e-3,
    "schedule": "warmup_cosine",
    "half_life_images": 100,
    "validate_every_images": 200,
}


@pytest.fixture(scope="module")
def packs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packs")
    pairs = portrait_pack(folder / "pairs.h5", range(15), "pairs")
    return [pairs, portrait_pack(folder / "measured.h5", range(15, 40), "measured")]


def run(method, packs, **options):
    samples = method.samples(packs, seed=1, noise=HOLE, noise_draw="fresh")
    about = {"device": "cpu", "precision": "fp32", "on_step": lambda: None}
    return train(method, samples, seed=1, **about | options)


@pytest.fixture(scope="module")
def supervised(packs):
    torch.manual_seed(0)
    method = Supervised(ReconstructionConfig(images_seen=1000, **TINY))
    run(method, packs[:1])
    return method.eval()


def psnr_db(method, views, indices) -> float:
    pairs = [views[index] for index in indices]
    found = method.restore(Observation(as_batch([one.measured for one in pairs]))).clamp(0, 1)
    truth = as_batch([one.truth for one in pairs])
    return -10 * (found - truth).square().mean().log10().item()


def test_it_learns_its_pairs_and_knows_others_less(supervised, packs):
    views = Measurements(packs[0], HOLE)
    names = [one.name for one in supervised.held_out]
    held = [i for i in range(15) if views[i].name in names]
    learned = [i for i in range(15) if i not in held]
    assert (len(learned), len(held)) == (5, 10)
    before = Supervised(ReconstructionConfig(images_seen=8, **TINY)).eval()
    assert psnr_db(supervised, views, learned) > psnr_db(before, views, learned) + 8
    assert psnr_db(supervised, views, learned) > psnr_db(supervised, views, held) + 1


def test_it_starts_from_the_measurement(packs):
    method = Supervised(ReconstructionConfig(images_seen=8, **TINY)).eval()
    measured = as_batch([Measurements(packs[0], HOLE)[0].measured])
    torch.testing.assert_close(method.restore(Observation(measured)), measured)


def test_the_curve_has_a_row_for_every_validation_and_the_best_is_kept(supervised, packs):
    done = int(supervised.validations)
    curve = supervised.curve[:done]
    assert done == 6  # At the start, and after every 200 images.
    assert curve[:, 0].tolist() == [0, 200, 400, 600, 800, 1000]
    assert CURVE[1] == "psnr_db"
    supervised.choose_read_out("validated")
    try:
        views = Measurements(packs[0], HOLE)
        names = [one.name for one in supervised.held_out]
        each = [psnr_db(supervised, views, [i]) for i in range(15) if views[i].name in names]
        assert np.mean(each) == pytest.approx(curve[:, 1].max().item(), abs=0.01)
    finally:
        supervised.choose_read_out("last")


def test_all_of_it_is_published_and_loaded(supervised, tmp_path):
    save_model(tmp_path / "model.safetensors", "supervised", supervised)
    _, loaded = load_model(tmp_path / "model.safetensors")
    picture = torch.rand(1, 3, 32, 32)
    for read_out in ("validated", "last"):
        for method in (loaded, supervised):
            method.choose_read_out(read_out)
        found, expected = (m.restore(Observation(picture)) for m in (loaded, supervised))
        torch.testing.assert_close(found, expected)
    torch.testing.assert_close(loaded.curve, supervised.curve)


def test_without_pairs_to_spare_the_last_weights_are_those_of_both_read_outs(packs):
    method = Supervised(ReconstructionConfig(images_seen=20, pairs=15, **TINY))
    run(method, packs[:1])
    assert not int(method.validations)
    for last, validated in zip(
        method.network.parameters(), method.validated.parameters(), strict=True
    ):
        torch.testing.assert_close(last, validated)


def prior() -> DDPM:
    torch.manual_seed(2)
    about = {**NETWORK, "attention_px": None, "scales": True, "patch_px": 32}
    return DDPM(DDPMConfig(images_seen=8, **about))


@pytest.mark.long
def test_sud2_goes_on_from_another_and_a_killed_training_ends_the_same(
    supervised, packs, tmp_path, monkeypatch
):
    def made() -> SUD2:
        method = SUD2(SUD2Config(images_seen=120, reverse_steps=3, **TINY))
        method.start_from(supervised)
        method.receive("prior", prior())
        return method

    whole, broken = made(), made()
    run(whole, packs)
    checkpointing = Checkpointing(tmp_path, {"a": 1}, every_seconds=0.0)
    steps = 0

    def stop_after_seven() -> None:
        nonlocal steps
        steps += 1
        if steps == 7:
            raise KeyboardInterrupt

    original = broken.after_step

    def after_step() -> None:
        original()
        stop_after_seven()

    monkeypatch.setattr(broken, "after_step", after_step)
    with pytest.raises(KeyboardInterrupt):
        run(broken, packs, checkpointing=checkpointing)
    again = made()
    result = run(again, packs, checkpointing=checkpointing)
    assert result.images_seen == 120
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=0, atol=0, msg=name)
    assert whole.curve[0, 1] > 10  # The start is that of the other model, not of zeros.


def test_a_killed_cyclegan_ends_the_same(packs, tmp_path):
    config = CycleGANConfig(
        width=4,
        blocks=1,
        critic_width=4,
        critic_layers=2,
        history_images=6,
        patch_px=32,
        batch_size=2,
        images_seen=16,
    )
    other = packs[::-1]

    def made() -> CycleGAN:
        torch.manual_seed(3)
        return CycleGAN(config)

    whole = made()
    run(whole, other)
    broken, steps = made(), []
    original = broken.after_step

    def after_step() -> None:
        original()
        steps.append(1)
        if len(steps) == 5:
            raise KeyboardInterrupt

    broken.after_step = after_step
    checkpointing = Checkpointing(tmp_path, {"a": 1}, every_seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        run(broken, other, checkpointing=checkpointing)
    again = made()
    run(again, other, checkpointing=checkpointing)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value, rtol=0, atol=0, msg=name)


def test_another_size_is_no_start(supervised):
    method = SUD2(SUD2Config(images_seen=20, **TINY | {"widths": "8 16"}))
    with pytest.raises(UnpairedError, match="only from a reconstruction of the same size"):
        method.start_from(supervised)
    with pytest.raises(UnpairedError, match="not from this DDPM"):
        method.start_from(prior())


def test_pairs_that_are_also_measurements_are_refused(packs):
    method = SUD2(SUD2Config(images_seen=20, **TINY))
    with pytest.raises(UnpairedError, match="hold the same"):
        method.samples([packs[0], packs[0]], seed=1, noise=HOLE, noise_draw="fresh")
