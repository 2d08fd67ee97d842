from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.systems.degradation import small
from unpaired.core.errors import UnpairedError
from unpaired.data.noise import get_noise
from unpaired.data.unpaired_samples import UnpairedSamples
from unpaired.imaging.orientation import orient_at_random
from unpaired.learning.create import create
from unpaired.learning.method import Observation, TrainingState
from unpaired.learning.training import Checkpointing, train
from unpaired.learning.weights import load_model, save_model
from unpaired.systems.degradation.synthesis import synthesize
from unpaired.systems.denoising.short_training import methods_for_noisy, needs_beside_noisy

SMALL = {
    "lud_vae": small.SMALL["lud_vae"] | {"patch_px": 32, "batch_size": 2},
    "lud_vae_public": small.SMALL["lud_vae_public"] | {"patch_px": 16, "batch_size": 2},
}
NAMES = list(SMALL)


def state(fraction: float = 0.5) -> TrainingState:
    return TrainingState(seed=1, step=0, images_seen=0, fraction=fraction)


def make(name: str, **overrides):
    torch.manual_seed(0)
    return create(name, **(SMALL[name] | overrides))


def batch_for(method, samples=(3, 8)) -> dict[str, torch.Tensor]:
    side = method.config.patch_px
    generator = torch.Generator().manual_seed(5)
    pictures = [torch.rand(len(samples), 3, side, side, generator=generator) for _ in range(2)]
    return {
        "noisy": pictures[0],
        "unpaired_clean": pictures[1],
        "sample": torch.tensor(samples),
    }


def turned(method, batch) -> tuple[torch.Tensor, torch.Tensor]:
    """The clean and the noisy images as the losses see them."""
    views = []
    for key in ("unpaired_clean", "noisy"):
        generators = state().generators(batch["sample"], f"orientation of {key}")
        views += orient_at_random(generators, batch[key])
    return views[0], views[1]


def test_parameters():
    for name, count in (("lud_vae", 10_064_115), ("lud_vae_public", 5_709_827)):
        assert sum(parameter.numel() for parameter in create(name).parameters()) == count


def test_they_are_not_offered_for_noisy_pictures_alone():
    assert not set(NAMES) & set(methods_for_noisy())
    assert needs_beside_noisy("lud_vae") == ["unpaired_clean"]


@pytest.mark.parametrize("name", NAMES)
def test_a_saved_model_makes_the_same_pairs(tmp_path, name):
    method = make(name)
    method.losses(batch_for(method), state())
    method.after_step()  # The codes are not where they started.
    save_model(tmp_path / "model.safetensors", name, method)
    found, loaded = load_model(tmp_path / "model.safetensors")
    image = torch.rand(1, 3, 40, 40)
    made = [synthesize(m, image, key=(1,), t=2.0).noisy for m in (method.eval(), loaded)]
    assert found == name
    # The memory layout of a loaded model is another, and with it the rounding.
    assert torch.allclose(*made, atol=1e-4)


@pytest.mark.parametrize(("name", "patch_px"), [("lud_vae", 160), ("lud_vae_public", 64)])
def test_defaults_are_the_papers(name, patch_px):
    method = create(name)
    config = method.config
    assert (config.patch_px, 2 * config.batch_size) == (patch_px, 16)
    (phase,) = method.phases()
    assert phase.images_seen / config.batch_size == 200_000
    assert phase.optimizer.defaults["lr"] == 1e-4
    assert phase.optimizer.defaults["betas"] == (0.9, 0.999)
    assert phase.schedule(0.99) == {"lud_vae": 1.0, "lud_vae_public": 0.5}[name]


@pytest.mark.parametrize("fraction", [0.0, 0.25, 0.9999])
def test_the_papers_loss_written_out(fraction):
    method = make("lud_vae", kl_weight=2.0)
    batch = batch_for(method)
    clean, noisy = turned(method, batch)
    net = method.network
    noise = method.draw_noise(noisy, state().generators(batch["sample"], "noise latents"))
    losses = method.losses(batch, state(fraction))
    with torch.no_grad():
        of_clean, of_noisy = net.encode_image(clean), net.encode_image(noisy)
        posteriors, latents = net.encode_noise(noisy, noise)
        expected = ((net.decode_image(of_clean) - clean) ** 2).mean()
        decoded = net.decode_image(of_noisy) + net.decode_noise(of_noisy, latents)
        expected += ((decoded - noisy) ** 2).mean()
        for codes in (of_clean, of_noisy):  # A half of the divergence of z, once for each kind.
            expected += 0.5 * 0.25 * (codes.top.commitment + codes.bottom.commitment)
        divergence = sum(
            (p.mean**2 + (2 * p.log_std).exp() - 1 - 2 * p.log_std).sum() / 2 for p in posteriors
        )
        expected += 2.0 * fraction * divergence / noisy.numel()
    assert losses["loss"].item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize(("fraction", "weight"), [(0.0, 0), (0.025, 1.5), (0.05, 3), (0.9, 3)])
def test_the_public_loss_written_out(fraction, weight):
    method = make("lud_vae_public", kl_weight=3.0)
    batch = batch_for(method)
    clean, noisy = turned(method, batch)
    drawn = [
        method.draw_noise(images, state().generators(batch["sample"], f"latents of {kind}"))
        for kind, images in (("clean", clean), ("noisy", noisy))
    ]
    error, divergence = 0, 0
    for images, noise, std, label in ((clean, drawn[0], 40, 0.0), (noisy, drawn[1], 20, 1.0)):
        content = images + std / 255 * noise[0]
        label = torch.full((2, 1, 1, 1), label)
        found, own = method.network.reconstruct(content, images, noise[1:], label)
        error = error + ((found - images) ** 2).sum() / (2 * images.numel())
        divergence = divergence + own
    expected = error + weight * divergence / noisy.numel()
    losses = method.losses(batch, state(fraction))
    assert losses["loss"].item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_noise_and_orientation_belong_to_the_sample_not_to_the_batch(name):
    method = make(name)
    together = batch_for(method)
    alone = [{key: value[n : n + 1] for key, value in together.items()} for n in (0, 1)]
    mean = sum(method.losses(batch, state())["loss"] for batch in alone) / 2
    assert method.losses(together, state())["loss"].item() == pytest.approx(mean.item(), rel=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_clean_images_teach_the_noise_branch_nothing(name):
    """A clean image passes through the image branch only."""
    method = make(name)
    batch = batch_for(method)
    key = {"lud_vae": "clean_error", "lud_vae_public": "error"}[name]
    if name == "lud_vae":
        method.losses(batch, state())[key].backward()
        grads = [p.grad for n, p in method.network.named_parameters() if "noise" in n]
        grads += [method.network.top_meeting.weight.grad, method.network.bottom_meeting.weight.grad]
        assert grads == [None] * len(grads)
        return
    net, clean = method.network, batch["unpaired_clean"]
    noise = method.draw_noise(clean, state().generators(batch["sample"], "test"))[1:]
    found, _ = net.reconstruct(clean, clean, noise, torch.zeros(2, 1, 1, 1))
    (found - clean).square().mean().backward()
    assert max(p.grad.abs().max() for p in net.noise_encoder.parameters()) == 0


@pytest.mark.parametrize("name", NAMES)
def test_noise_latents_multiplied_by_nothing_leave_the_clean_image(name):
    method = make(name).eval()
    image = torch.rand(1, 3, 32, 32)
    noise = [torch.randn(1, c, 32 // px, 32 // px) for c, px in method.noise_levels]
    found = method.degrade(image, noise, 0.0)
    if name == "lud_vae":
        assert torch.equal(found, method.restore(Observation(image)))
    else:
        content = image + 40 / 255 * noise[0]
        assert torch.allclose(found, method.network.clean(content), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_restoring_is_deterministic(name):
    method = make(name).eval()
    image = torch.rand(1, 3, 32, 32)
    once, again = (method.restore(Observation(image)) for _ in range(2))
    assert torch.equal(once, again)


def test_blurs_that_cannot_be_are_refused():
    with pytest.raises(UnpairedError, match=r"blur_kernel_px must be odd .* got 8 and 3.0"):
        make("lud_vae", blur_kernel_px=8, blur_std_px=3.0)
    with pytest.raises(UnpairedError, match=r"blur_std_px of method .* must be greater than 0"):
        make("lud_vae", blur_std_px=0.0)
    told = "blur_kernel_px = 41 is larger than an image of 32x32 pixels"
    with pytest.raises(UnpairedError, match=told):
        make("lud_vae", blur_kernel_px=41)
    method = make("lud_vae", blur_kernel_px=21)
    with pytest.raises(UnpairedError, match="larger than an image of 40x16 pixels"):
        method.restore(Observation(torch.rand(1, 3, 16, 40)))
    with pytest.raises(UnpairedError, match="larger than an image of 40x16 pixels"):
        synthesize(method, torch.rand(1, 3, 10, 40), key=(1,), t=1.0)


def samples_for(method, make_pack) -> UnpairedSamples:
    rng = np.random.default_rng(0)
    packs = [
        make_pack({"a": rng.integers(0, 256, (64, 64, 3)).astype(np.uint8)}, f"{kind}{rng}")
        for kind in ("noisy", "clean")
    ]
    return UnpairedSamples(*packs, patch_px=method.config.patch_px, seed=1, noise=None)


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(make_pack, tmp_path, name):
    whole = make(name, images_seen=16)
    samples = samples_for(whole, make_pack)
    expected = train(whole, samples, seed=1, precision="fp32")

    class Killed(RuntimeError):
        pass

    class Killing:
        def __getitem__(self, sample):
            if sample >= 9:
                raise Killed
            return samples[sample]

    options = {"seed": 1, "precision": "fp32"}
    checkpointing = Checkpointing(tmp_path / "work", {"spec": 1}, every_seconds=0.0)
    checkpointing.folder.mkdir()
    with pytest.raises(Killed):
        train(make(name, images_seen=16), Killing(), **options, checkpointing=checkpointing)
    other = create(name, **SMALL[name], images_seen=16)  # Other weights and other codes.
    resumed = train(other, samples, **options, checkpointing=checkpointing)
    states = other.state_dict(), whole.state_dict()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
    assert resumed.history == expected.history
    if name == "lud_vae":
        assert states[0]["network.top_codebook.uses"].sum() > 0


# What a training of seconds needs; the noise itself is what is to be learned.
SHORT = {
    "lud_vae": {
        "width": 16,
        "residual_width": 8,
        "code_dim": 48,
        "codes": 64,
        "patch_px": 32,
        "batch_size": 8,
        "kl_weight": 2e-3,
        "images_seen": 1600,
    },
    "lud_vae_public": {"width": 12, "patch_px": 24, "batch_size": 4, "images_seen": 800},
}


def two_smooth_pictures() -> list[np.ndarray]:
    """Two scenes without texture: what is above their low-passed versions is noise."""
    rows, columns = np.mgrid[:96, :96] / 95
    pictures = [
        np.stack([rows, columns, 1 - rows], -1),
        np.stack([columns, rows * columns, rows], -1),
    ]
    return [(200 * picture + 20).astype(np.uint8) for picture in pictures]


@pytest.mark.long
@pytest.mark.parametrize(("name", "tolerance"), [("lud_vae", 0.25), ("lud_vae_public", 0.5)])
def test_seconds_of_training_learn_the_noise(make_pack, name, tolerance):
    """White noise of 25 / 255 on one scene is put on another, and grows with t."""
    noisy, clean = two_smooth_pictures()
    packs = make_pack({"a": noisy}, "noisy"), make_pack({"b": clean}, "clean")
    method = make(
        name,
        **SHORT[name],
        learning_rate=1e-3,
        schedule="warmup_cosine",
        global_residual=True,
    )
    samples = UnpairedSamples(
        *packs, patch_px=method.config.patch_px, seed=1, noise=get_noise("gauss25")
    )
    train(method, samples, seed=1, precision="fp32")
    method.eval()
    image = torch.from_numpy(clean).permute(2, 0, 1)[None] / 255
    by_t = {t: synthesize(method, image, key=(1,), t=t).noisy for t in (1.0, 2.0, 4.0)}
    stds = [(made - image).std().item() for made in by_t.values()]
    assert stds[0] == pytest.approx(25 / 255, rel=tolerance)
    assert stds[0] < stds[1] < stds[2]
    added = (by_t[1.0] - synthesize(method, image, key=(2,), t=1.0).noisy) / 2**0.5
    assert added.std().item() == pytest.approx(25 / 255, rel=tolerance)
    neighbors = torch.stack([added[..., 1:].ravel(), added[..., :-1].ravel()])
    assert abs(torch.corrcoef(neighbors)[0, 1]) < 0.2
