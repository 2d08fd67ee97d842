from __future__ import annotations

import dataclasses
import json

import pytest
import torch
from safetensors import safe_open

from unpaired.core.errors import UnpairedError
from unpaired.data.noise import get_noise
from unpaired.data.samples import CropSamples
from unpaired.learning import training
from unpaired.learning.create import create
from unpaired.learning.training import Checkpointing, Interrupted, train
from unpaired.systems.denoising.scoring import compare

SMALL = {
    "width": 8,
    "patch_px": 64,
    "batch_size": 2,
    "learning_rate": 3e-3,
    "schedule": "warmup_cosine",
    "global_residual": True,
}


def make(name="neighbor2neighbor", images_seen=24, seed=1, **overrides):
    torch.manual_seed(seed)
    return create(name, **(SMALL | {"images_seen": images_seen} | overrides))


def samples_for(method, pack, noise="gauss25"):
    config = method.config
    return CropSamples(
        pack, sees=method.sees, patch_px=config.patch_px, seed=1, noise=get_noise(noise)
    )


class Stopping:
    """Samples that stop the training as a signal would, after a number of them."""

    def __init__(self, samples, after, monkeypatch):
        self.samples, self.after = samples, after
        self.stop = False
        outer = self

        class Signals(training.stop_signals):
            def __enter__(self):
                super().__enter__()
                return lambda: outer.stop

        monkeypatch.setattr(training, "stop_signals", Signals)

    def __getitem__(self, sample):
        self.stop = sample >= self.after
        return self.samples[sample]


def equal(one, other):
    states = one.state_dict(), other.state_dict()
    return all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(
    train_pack, tmp_path, monkeypatch, precision
):
    whole = make()
    expected = train(whole, samples_for(whole, train_pack), seed=1, precision=precision)

    checkpointing = Checkpointing(tmp_path, {"spec": 1})
    options = {"seed": 1, "precision": precision, "checkpointing": checkpointing}
    first = make()
    with monkeypatch.context() as patch, pytest.raises(Interrupted, match="run the same command"):
        train(first, Stopping(samples_for(first, train_pack), 9, patch), **options)
    assert checkpointing.path.is_file()

    second = make(seed=2)  # other weights: all must come from the checkpoint
    resumed = train(second, samples_for(second, train_pack), **options)
    assert equal(second, whole)
    assert resumed.history == expected.history
    assert resumed.images_seen == expected.images_seen == 24


def test_a_checkpoint_of_other_settings_is_not_used(train_pack, tmp_path, monkeypatch, capsys):
    method = make()
    stopping = Stopping(samples_for(method, train_pack), 9, monkeypatch)
    with pytest.raises(Interrupted):
        train(method, stopping, seed=1, checkpointing=Checkpointing(tmp_path, {"spec": 1}))
    monkeypatch.undo()
    afresh, whole = make(), make()
    train(
        afresh,
        samples_for(afresh, train_pack),
        seed=1,
        checkpointing=Checkpointing(tmp_path, {"spec": 2}),
    )
    train(whole, samples_for(whole, train_pack), seed=1)
    assert equal(afresh, whole)
    assert "belongs to other settings or code" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", b"\x80\x04K\x01."])
def test_a_broken_checkpoint_is_not_used(train_pack, tmp_path, content, capsys):
    checkpointing = Checkpointing(tmp_path, {})
    checkpointing.path.write_bytes(content)
    method, whole = make(images_seen=4), make(images_seen=4)
    train(method, samples_for(method, train_pack), seed=1, checkpointing=checkpointing)
    train(whole, samples_for(whole, train_pack), seed=1)
    assert equal(method, whole)
    assert "start afresh" in capsys.readouterr().out


def test_checkpoints_hold_tensors_and_json_only(train_pack, tmp_path):
    checkpointing = Checkpointing(tmp_path, {}, every_seconds=1e-9)
    method = make(images_seen=8)
    train(method, samples_for(method, train_pack), seed=1, checkpointing=checkpointing)
    with safe_open(checkpointing.path, framework="pt") as file:
        position = json.loads(file.metadata()["position"])
        kinds = {key.split("/")[0] for key in file.keys()}  # noqa: SIM118
    assert position["images_seen"] == 8
    assert kinds == {"method", "optimizer"}


def test_global_random_state_does_not_matter(train_pack):
    results = []
    for disturbance in (0, 123):
        method = make(images_seen=8)
        torch.manual_seed(disturbance)
        train(method, samples_for(method, train_pack), seed=1)
        results.append(method)
    assert equal(*results)


def test_learning_rate_follows_the_schedule(train_pack, monkeypatch):
    method = make(images_seen=20)
    rates = []
    step = torch.optim.Adam.step

    def recording(self, *args, **kwargs):
        rates.append(self.param_groups[0]["lr"])
        return step(self, *args, **kwargs)

    monkeypatch.setattr(torch.optim.Adam, "step", recording)
    train(method, samples_for(method, train_pack), seed=1)
    schedule = method.phases()[0].schedule
    assert rates == pytest.approx([3e-3 * schedule(n / 20) for n in range(0, 20, 2)])


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_features_are_in_the_stated_precision_and_images_in_fp32(
    train_pack, precision, dtype, monkeypatch
):
    monkeypatch.setattr("unpaired.core.devices.has_bf16", lambda device: True)
    method = make(images_seen=2)
    seen = []
    method.network.bottleneck.register_forward_hook(lambda *a: seen.append(a[2].dtype))
    method.network.register_forward_hook(lambda *a: seen.extend((a[1][0].dtype, a[2].dtype)))
    result = train(method, samples_for(method, train_pack), seed=1, precision=precision)
    assert result.precision == precision
    assert set(seen[::3]) == {dtype}
    assert set(seen[1::3] + seen[2::3]) == {torch.float32}


def test_a_loss_that_is_not_finite_stops_with_one_line(train_pack):
    method = make(images_seen=24, learning_rate=1e12)
    with pytest.raises(UnpairedError, match=r"loss is not finite after .* lower"):
        train(method, samples_for(method, train_pack), seed=1)


def test_a_device_that_is_not_there_is_refused(train_pack):
    if torch.cuda.is_available():
        pytest.skip("a GPU is here")
    method = make(images_seen=2)
    with pytest.raises(UnpairedError, match="device 'cuda' is not available"):
        train(method, samples_for(method, train_pack), seed=1, device="cuda")


@pytest.mark.long
@pytest.mark.parametrize("name", ["n2c", "n2n", "neighbor2neighbor"])
def test_a_minute_of_training_denoises(train_pack, make_pack, photographs, name):
    """400 images: at least 5 dB above the noisy input on pictures it has not seen."""
    method = make(name, images_seen=400, patch_px=128, learning_rate=5e-3)
    train(method, samples_for(method, train_pack), seed=1)
    test = make_pack({"chelsea": (photographs[1][:256, :256] * 255).astype("uint8")})
    row = next(
        compare(
            method.eval(),
            test,
            get_noise("gauss25"),
            repeats=1,
            crop_px=None,
            device=torch.device("cpu"),
        )
    ).row()
    assert row["psnr_db"] > row["noisy_psnr_db"] + 5


def test_config_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        create("n2c").config.width = 3
