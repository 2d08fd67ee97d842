from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from unpaired.core.errors import UnpairedError
from unpaired.learning.method import Observation, TrainingState
from unpaired.learning.steps import take_step
from unpaired.systems.denoising.methods.laine19 import Laine19, Laine19Config

STATE = TrainingState(seed=1, step=0, images_seen=0, fraction=0.0)
LEVEL = {"gaussian": 0.1, "poisson": 30.0}


def make(**overrides) -> Laine19:
    torch.manual_seed(0)
    return Laine19(Laine19Config(width=overrides.pop("width", 4), **overrides))


def noisy_batch(side: int = 32, channels: int = 3, count: int = 2) -> torch.Tensor:
    return torch.rand(count, channels, side, side, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("overrides", "count"),
    [
        ({"noise_parameter": "known"}, 1_269_129),
        ({"noise_parameter": "global"}, 1_269_130),
        # A second U-Net: 1,102,371 with three outputs, 97 weights less for each one missing.
        ({"noise_parameter": "per_image"}, 1_269_129 + 1_102_371 - 2 * 97),
        ({"noise_parameter": "known", "diagonal": True}, 1_269_129 - 3 * 97),
    ],
)
def test_parameters(overrides, count):
    assert sum(p.numel() for p in make(width=48, **overrides).parameters()) == count


@pytest.mark.parametrize(("channels", "outputs"), [(1, 2), (3, 9), (4, 14)])
def test_outputs(channels, outputs):
    assert make(channels=channels).network.last.out_channels == outputs


def written_out(method: Laine19, noisy: torch.Tensor, level: float) -> torch.Tensor:
    """The loss of the paper, with matrices."""
    config = method.config
    output = method.network(noisy).double().permute(0, 2, 3, 1)
    mean, entries = output[..., :3], output[..., 3:]
    gaussian = config.noise_model == "gaussian"
    if config.noise_parameter == "known":
        parameter = torch.tensor(level if gaussian else 1 / level, dtype=torch.float64)
    elif config.noise_parameter == "global":
        parameter = functional.softplus(method.noise_parameter.double() - 4) + 1e-3
    else:
        raw = method.estimator(noisy).mean((1, 2, 3)).double()
        parameter = (functional.softplus(raw - 4) + 1e-3).view(-1, 1, 1, 1)
    variance = (
        parameter**2 * torch.ones_like(mean) if gaussian else mean.clamp_min(1e-3) * parameter
    )
    if config.diagonal:
        factor = torch.diag_embed(entries)
    else:
        factor = torch.zeros(*mean.shape, 3, dtype=torch.float64)
        for position, (row, column) in enumerate([(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]):
            factor[..., row, column] = entries[..., position]
    total = factor @ factor.mT + torch.diag_embed(variance)
    difference = noisy.double().permute(0, 2, 3, 1) - mean
    quadratic = (difference * torch.linalg.solve(total, difference)).sum(-1)
    likelihood = (0.5 * torch.logdet(total) + 0.5 * quadratic).mean()
    if config.noise_parameter == "known":
        return likelihood
    return likelihood - 0.1 * variance.sqrt().mean()


@pytest.mark.parametrize("diagonal", [False, True])
@pytest.mark.parametrize("noise_model", ["gaussian", "poisson"])
@pytest.mark.parametrize("noise_parameter", ["known", "global", "per_image"])
def test_loss_and_its_gradient_are_the_formulas(noise_model, noise_parameter, diagonal):
    method = make(noise_model=noise_model, noise_parameter=noise_parameter, diagonal=diagonal)
    if noise_parameter == "per_image":
        torch.nn.init.normal_(method.estimator.last.weight)
    noisy, level = noisy_batch(), LEVEL[noise_model]
    batch = {"noisy": noisy, "level": torch.tensor([level, level])}
    loss = method.losses(batch, STATE)["loss"]
    expected = written_out(method, noisy, level)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    parameters = list(method.parameters())
    for ours, theirs in zip(
        torch.autograd.grad(loss, parameters),
        torch.autograd.grad(expected, parameters),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3 * theirs.abs().max().item())


@pytest.mark.parametrize("noise_model", ["gaussian", "poisson"])
@pytest.mark.parametrize("noise_parameter", ["global", "per_image"])
def test_unknown_noise_starts_at_the_papers_value_and_can_learn(noise_model, noise_parameter):
    method = make(noise_model=noise_model, noise_parameter=noise_parameter)
    noisy = noisy_batch()
    start = method._noise_parameter(noisy, None)
    assert start.flatten().tolist() == pytest.approx([0.01915] * start.numel(), rel=1e-3)
    method.losses({"noisy": noisy}, STATE)["loss"].backward()
    learned = (
        method.noise_parameter if noise_parameter == "global" else method.estimator.last.weight
    )
    assert learned.grad.abs().max() > 0


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("diagonal", [False, True])
def test_short_training_starts_with_much_noise_and_a_certain_prior(channels, diagonal):
    method = make(global_residual=True, channels=channels, diagonal=diagonal)
    predicted = method.predict(noisy_batch(channels=channels))
    identity = torch.eye(channels, dtype=torch.float64)[..., None, None]
    expected = (0.03**2 * identity).expand_as(predicted.clean_covariance)
    torch.testing.assert_close(predicted.clean_covariance, expected)
    assert predicted.noise_variance.sqrt().max().item() == pytest.approx(0.2)


@pytest.mark.parametrize(("noise_model", "parameter"), [("gaussian", 0.1), ("poisson", 1 / 30)])
def test_short_training_starts_at_the_noise_of_a_flat_image(noise_model, parameter):
    method = make(global_residual=True, noise_parameter="per_image", noise_model=noise_model)
    variance = parameter**2 if noise_model == "gaussian" else 0.4 * parameter
    torch.manual_seed(0)
    noisy = 0.4 + variance**0.5 * torch.randn(2, 3, 96, 96)
    start = method._noise_parameter(noisy, None).flatten().tolist()
    assert start == pytest.approx([parameter] * 2, rel=0.03)


def test_known_levels_belong_to_their_images():
    method = make(noise_parameter="known")
    variance = method.predict(noisy_batch(), torch.tensor([0.1, 0.0])).noise_variance
    assert variance[:, 0, 0, 0].tolist() == pytest.approx([0.01, 1e-6])
    assert method.sees == ("noisy", "level")
    assert method.knows == ("level",)
    assert (make().sees, make().knows) == (("noisy",), ())


@pytest.mark.parametrize("level", [None, 0.0])
def test_a_known_level_must_be_given(level):
    method = make(noise_parameter="known")
    with pytest.raises(UnpairedError, match="needs a positive noise level"):
        method.restore(Observation(noisy_batch(count=1), level))
    assert method.restore(Observation(noisy_batch(count=1), 0.1)).dtype == torch.float32


def test_unknown_settings_suggest_the_nearest():
    with pytest.raises(UnpairedError, match="did you mean 'poisson'"):
        make(noise_model="poison")
    with pytest.raises(UnpairedError, match="did you mean 'per_image'"):
        make(noise_parameter="per-image")


@pytest.mark.long
def test_mean_is_blind_and_posterior_mean_is_not():
    method = make(global_residual=True, noise_parameter="per_image")
    torch.nn.init.normal_(method.network.last.weight, std=0.1)
    image = noisy_batch(count=1)
    for read_out in ("mu", "pme"):
        method.choose_read_out(read_out)
        for indices in torch.arange(32 * 32).split(64):
            planes = image.repeat(len(indices) + 1, 1, 1, 1).flatten(2)
            here = torch.arange(len(indices))
            planes[here, :, indices] += 1.0
            restored = method.restore(Observation(planes.unflatten(2, (32, 32)))).flatten(2)
            own = (restored[here, :, indices] - restored[-1][:, indices].T).abs().amax(1)
            assert own.max() == 0 if read_out == "mu" else own.min() > 0.01


def test_learning_rate_of_the_global_parameter_is_its_own():
    method = make(noise_learning_rate_factor=10.0)
    (phase,) = method.phases()
    network, noise = phase.optimizer.param_groups
    assert noise["lr"] == pytest.approx(10 * network["lr"])
    assert noise["betas"] == network["betas"] == (0.9, 0.99)
    assert noise["params"] == [method.noise_parameter]
    assert len(network["params"]) + 1 == len(list(method.parameters()))


def train_on_flat_images(noise_std: float, **overrides) -> tuple[Laine19, torch.Tensor]:
    """Train for seconds on images of one color; return the method and a clean batch."""
    steps = 50
    method = make(width=8, global_residual=True, learning_rate=3e-3, **overrides)
    (phase,) = method.phases()
    generator = torch.Generator().manual_seed(5)
    for step in range(steps):
        clean = torch.rand(4, 3, 1, 1, generator=generator).expand(-1, -1, 32, 32)
        noisy = clean + noise_std * torch.randn(clean.shape, generator=generator)
        take_step(
            lambda noisy=noisy: method.losses({"noisy": noisy}, STATE),
            phase.optimizer,
            factor=1 - step / steps,
            device=torch.device("cpu"),
            precision="fp32",
        )
    return method, clean


@pytest.mark.parametrize("noise_std", [0.05, 0.1])
def test_finds_the_noise_level_of_flat_images_and_uses_it(noise_std):
    method, clean = train_on_flat_images(noise_std, noise_learning_rate_factor=20.0)
    found = method._noise_parameter(clean, None).item()
    assert found == pytest.approx(noise_std, rel=0.12)


def test_posterior_mean_beats_the_mean_where_pixels_are_their_own():
    """Independent pixels cannot be predicted from their neighbors: only the noisy one tells."""
    method = make(noise_parameter="known", global_residual=True, width=8, learning_rate=3e-3)
    (phase,) = method.phases()
    generator = torch.Generator().manual_seed(6)
    noise_std = 0.05

    def draw() -> tuple[torch.Tensor, torch.Tensor]:
        clean = 0.5 + 0.15 * torch.randn(2, 3, 32, 32, generator=generator)
        return clean, clean + noise_std * torch.randn(clean.shape, generator=generator)

    for step in range(30):
        batch = {"noisy": draw()[1], "level": torch.full((2,), noise_std)}
        take_step(
            lambda batch=batch: method.losses(batch, STATE),
            phase.optimizer,
            factor=1 - step / 30,
            device=torch.device("cpu"),
            precision="fp32",
        )
    clean, noisy = draw()
    errors = {}
    for read_out in ("pme", "mu"):
        method.choose_read_out(read_out)
        restored = method.restore(Observation(noisy, noise_std))
        errors[read_out] = (restored - clean).square().mean().item()
    ideal = 1 / (1 / 0.15**2 + 1 / noise_std**2)
    assert errors["pme"] < 1.15 * ideal < 0.2 * errors["mu"]
