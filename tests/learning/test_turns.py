"""What a method may ask of the one loop: turns, averaged weights, other models, files."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

from tests.conftest import REPOSITORY
from tests.learning.tiny import AveragedGAN, Follower, TinyGAN, falling, made, samples_of, trained
from unpaired import catalog
from unpaired.catalog.system import Condition, MethodEntry
from unpaired.learning import training
from unpaired.learning.averaging import AveragedWeights
from unpaired.learning.training import Checkpointing, Interrupted
from unpaired.learning.weights import load_model, save_model
from unpaired.stages.train import main, parser


def digest(module: nn.Module) -> str:
    values = (value.numpy().tobytes() for value in module.state_dict().values())
    return hashlib.sha256(b"".join(values)).hexdigest()


# ---- Turns ----


def by_hand(method: TinyGAN, pack) -> None:
    """Train as pix2pix does, in a loop of its own."""
    config, samples = method.config, samples_of(method, pack)
    adam = {"lr": config.learning_rate, "betas": (0.5, 0.999)}
    of_discriminator = torch.optim.Adam(method.discriminator.parameters(), **adam)
    of_generator = torch.optim.Adam(method.generator.parameters(), **adam)
    for seen in range(0, config.images_seen, config.batch_size):
        batch = [samples[seen + k] for k in range(config.batch_size)]
        noisy, clean = (torch.stack([one[key] for one in batch]) for key in ("noisy", "clean"))
        rate = config.learning_rate * falling(seen / config.images_seen)
        for optimizer in (of_discriminator, of_generator):
            optimizer.param_groups[0]["lr"] = rate
        fake = method.generator(noisy)
        real, judged = method.judge(noisy, clean), method.judge(noisy, fake.detach())
        method.discriminator.zero_grad()
        (functional.softplus(-real) + functional.softplus(judged)).mean().backward()
        of_discriminator.step()
        method.generator.zero_grad()
        against = functional.softplus(-method.judge(noisy, fake)).mean()
        (against + 10 * functional.l1_loss(fake, clean)).backward()
        of_generator.step()


def test_optimizers_take_turns_as_in_a_loop_written_by_hand(train_pack):
    expected, before = made(TinyGAN), made(TinyGAN)
    by_hand(expected, train_pack)
    method = trained(made(TinyGAN), train_pack)
    for key, value in method.state_dict().items():
        torch.testing.assert_close(value, expected.state_dict()[key], rtol=0, atol=1e-7)
        assert (value - before.state_dict()[key]).abs().max() > 1e-3


def test_every_turn_logs_its_losses(train_pack):
    method = made(TinyGAN)
    result = training.train(method, samples_of(method, train_pack), seed=1, device="cpu")
    assert {"loss", "generator loss", "l1"} <= result.history[0].keys()


@pytest.mark.long
def test_turns_in_two_processes_equal_those_in_one(train_pack, tmp_path):
    runs = []
    for count in ("1", "2"):
        output = tmp_path / f"{count}.safetensors"
        command = [sys.executable, "-m", "tests.learning.tiny", str(train_pack.path), str(output)]
        done = subprocess.run(
            [*command, count], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        runs.append(load_file(output))
    torch.testing.assert_close(runs[1], runs[0], rtol=0, atol=1e-6)


class Killed(Exception):
    """Stands for a signal that leaves no time for a checkpoint."""


class Killing:
    """Samples of which one kills the training."""

    def __init__(self, samples, at: int) -> None:
        self.samples, self.at = samples, at

    def __getitem__(self, sample):
        if sample == self.at:
            raise Killed
        return self.samples[sample]


def test_killed_and_resumed_it_is_the_same_bit_for_bit(train_pack, tmp_path):
    whole = trained(made(AveragedGAN), train_pack)
    options = {"seed": 1, "device": "cpu", "precision": "fp32"}
    checkpointing = Checkpointing(tmp_path, {}, every_seconds=1e-9)
    first = made(AveragedGAN)
    samples = Killing(samples_of(first, train_pack), at=17)
    with pytest.raises(Killed):
        training.train(first, samples, checkpointing=checkpointing, **options)
    averaged = [key for key in load_file(checkpointing.path) if "/averaged." in key]
    assert "method/averaged.images_seen" in averaged
    resumed = made(AveragedGAN, seed=2)  # Other weights: all must come from the checkpoint.
    trained(resumed, train_pack, checkpointing=checkpointing)
    assert digest(resumed) == digest(whole)


# ---- Averaged weights ----


def test_weights_that_stay_are_their_own_average():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    averaged = AveragedWeights(network, half_life_images=10, batch_size=4)
    for _ in range(5):
        averaged.update(network)
    assert digest(averaged.average) == digest(network)


def average_of(weights: list[float], **settings) -> float:
    network = nn.Linear(1, 1, bias=False, dtype=torch.float64)
    nn.init.constant_(network.weight, weights[0])
    averaged = AveragedWeights(network, **settings)
    for value in weights[1:]:
        nn.init.constant_(network.weight, value)
        averaged.update(network)
    return averaged.average.weight.item()


def test_after_the_half_life_old_and_new_weights_count_alike():
    of_one = average_of([0, *[1] * 25], half_life_images=100, batch_size=4)
    assert of_one == pytest.approx(0.5, abs=1e-6)
    assert average_of([0, 1], half_life_images=4, batch_size=4) == pytest.approx(0.5, abs=1e-6)


def test_a_sequence_is_averaged_as_its_formula_says():
    weights = torch.linspace(-1, 2, 13, dtype=torch.float64) ** 3
    share, steps = 0.5 ** (4 / 10), len(weights) - 1
    powers = share ** torch.arange(steps - 1, -1, -1, dtype=torch.float64)
    expected = share**steps * weights[0] + (1 - share) * (powers * weights[1:]).sum()
    found = average_of(weights.tolist(), half_life_images=10, batch_size=4)
    assert found == pytest.approx(expected.item(), abs=1e-6)


def test_a_warm_up_shortens_the_half_life_to_a_share_of_the_images_seen():
    settings = {"half_life_images": 6, "batch_size": 4}
    # Images seen: 0, 4, 8, 16; half-lives: 0, 2, 4, 6 (not 8).
    expected = 1.0
    for value, half_life in ((5.0, 2), (2.0, 4), (9.0, 6)):
        expected += (1 - 0.5 ** (4 / half_life)) * (value - expected)
    found = average_of([3.0, 1.0, 5.0, 2.0, 9.0], warm_up=0.5, **settings)
    assert found == pytest.approx(expected, abs=1e-6)


def test_running_statistics_are_copied():
    network = nn.BatchNorm2d(3)
    averaged = AveragedWeights(network, half_life_images=1e9, batch_size=4)
    network(torch.rand(4, 3, 8, 8))
    averaged.update(network)
    torch.testing.assert_close(averaged.average.running_mean, network.running_mean, rtol=0, atol=0)
    assert averaged.average.num_batches_tracked == 1


def test_the_averaged_weights_are_published_in_place_of_the_last(train_pack, tmp_path, monkeypatch):
    monkeypatch.setitem(catalog.methods(), "tiny", MethodEntry("tests.learning.tiny:AveragedGAN"))
    seen = []
    update = AveragedWeights.update

    def recording(averaged, network):
        update(averaged, network)
        seen.append(averaged.average[0].weight.clone())

    monkeypatch.setattr(AveragedWeights, "update", recording)
    method, plain = trained(made(AveragedGAN), train_pack), trained(made(TinyGAN), train_pack)
    path = tmp_path / "model.safetensors"
    save_model(path, "tiny", method)
    assert load_file(path).keys() == plain.state_dict().keys()
    published = load_model(path)[1].generator[0].weight
    torch.testing.assert_close(published, seen[-1], rtol=0, atol=0)
    assert not torch.equal(published, plain.generator[0].weight)
    assert digest(method.discriminator) == digest(plain.discriminator)


# ---- Other models and files ----


def test_a_model_in_a_role_is_no_part_of_what_is_trained(train_pack):
    teacher = made(Follower, seed=3)
    before = digest(teacher)
    method = made(Follower)
    alone = set(method.state_dict())
    method.receive("teacher", teacher)
    optimizer = method.phases()[0].optimizer
    trained(method, train_pack)
    assert set(method.state_dict()) == alone
    listed = [id(one) for group in optimizer.param_groups for one in group["params"]]
    assert not {id(one) for one in teacher.parameters()} & set(listed)
    assert digest(teacher) == before
    assert not any(one.requires_grad for one in teacher.parameters())
    assert digest(method) != digest(trained(made(Follower), train_pack))


def test_a_model_in_a_role_moves_with_the_method():
    method, teacher = made(Follower), made(Follower, seed=3)
    method.receive("teacher", teacher)
    assert method.to(torch.float64) is method
    assert {one.dtype for one in teacher.parameters()} == {torch.float64}


def test_a_condition_adds_nothing_to_crops(train_pack):
    condition = Condition("a hole", {"side_px": 8})
    given = {"seed": 1, "noise_draw": "fresh"}
    method = made(Follower)
    plain = method.samples([train_pack], noise=None, **given)
    under = method.samples([train_pack], noise=condition, **given)
    torch.testing.assert_close(under[3]["noisy"], plain[3]["noisy"], rtol=0, atol=0)


@pytest.fixture
def stage(train_pack, tmp_path, monkeypatch, capsys):
    """Return a function that runs the training stage, and says what it printed."""
    monkeypatch.setitem(catalog.methods(), "tiny", MethodEntry("tests.learning.tiny:Follower"))
    spec = (
        '{"method": "tiny", "overrides": {"width": 4}, "noise": "gauss25", "noise_draw": "fresh",'
        ' "seed": 1, "precision": "fp32", "threads": 1}'
    )

    def run(*options: str, steps: int | None = None) -> str:
        asked = iter(range(10**6))
        with monkeypatch.context() as patch:
            if steps is not None:  # As a signal would stop it, after so many.
                patch.setattr(
                    training.stop_signals, "__enter__", lambda _: lambda: next(asked) >= steps - 1
                )
                patch.setattr(training.stop_signals, "__exit__", lambda *_: None)
            arguments = ["--spec", spec, "--code", "none", "--pack", str(train_pack.path)]
            arguments += ["--model", str(tmp_path / "model.safetensors"), "--device", "cpu"]
            arguments += ["--about", str(tmp_path / "a.json"), "--work", str(tmp_path / "work")]
            arguments += ["--history", str(tmp_path / "h.csv"), *options]
            main(parser().parse_args(arguments))
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("kind", ["start", "role", "artifact"])
@pytest.mark.parametrize("is_changed", [False, True])
def test_a_checkpoint_belongs_to_the_files_that_were_given(stage, tmp_path, kind, is_changed):
    given = tmp_path / "given"
    options = {
        "start": f"--start={given}",
        "role": f"--need=teacher={given}",
        "artifact": f"--artifact=scale={given}",
    }

    def give(number: int) -> None:
        if kind == "artifact":
            given.write_text(str(number))
        else:
            save_model(given, "tiny", made(Follower, seed=number))

    give(2)
    with pytest.raises(Interrupted):
        stage(options[kind], steps=3)
    give(3 if is_changed else 2)  # Written anew in both cases: only its content counts.
    said = stage(options[kind])
    assert ("start afresh" in said) == is_changed
    assert ("resume after 12 images" in said) != is_changed
    whole = digest(load_model(tmp_path / "model.safetensors")[1])
    stage(options[kind])
    assert digest(load_model(tmp_path / "model.safetensors")[1]) == whole
