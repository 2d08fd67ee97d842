"""LUD-VAE on degradations whose answer is known: of which strength and correlation its noise is."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from unpaired.learning.create import create
from unpaired.learning.training import train
from unpaired.systems.degradation.latent_texture import texture_of_a_picture
from unpaired.systems.degradation.synthesis import synthesize

STD = 25 / 255
# Smooth scenes, so that what is above their low-passed versions is noise; and a blur that is wide
# beside the noise's own correlation: what passes through it is content to the model.
SETTINGS = {
    "width": 16,
    "residual_width": 8,
    "residual_blocks": 1,
    "code_dim": 48,
    "codes": 64,
    "blur_kernel_px": 17,
    "blur_std_px": 5.0,
    "patch_px": 32,
    "batch_size": 8,
    "kl_weight": 1e-3,
    "images_seen": 2800,
    "learning_rate": 2e-3,
    "schedule": "warmup_cosine",
    "global_residual": True,
}


def white(scene, rng):
    return STD * rng.standard_normal(scene.shape)


def signal_dependent(scene, rng):
    return np.sqrt(0.02 * scene + 0.001) * rng.standard_normal(scene.shape)


def correlated(scene, rng):
    noise = gaussian_filter(rng.standard_normal(scene.shape), (0.8, 0.8, 0), mode="wrap")
    return STD * noise / noise.std()


def two_scenes(side_px=160):
    rows, columns = np.mgrid[:side_px, :side_px] / (side_px - 1)
    channels = [(rows, columns, 1 - rows), (columns, rows * columns, rows)]
    return [0.1 + 0.8 * np.stack(own, -1) for own in channels]


def to_uint8(scene):
    return np.clip(np.round(255 * scene), 0, 255).astype(np.uint8)


def neighbor_correlation(noise):
    """Mean over both directions, H x W x C."""
    noise = noise - noise.mean((0, 1))
    across, down = (noise[:, 1:] * noise[:, :-1]).mean(), (noise[1:] * noise[:-1]).mean()
    return (across + down) / 2 / (noise**2).mean()


@pytest.mark.long
@pytest.mark.parametrize("degradation", [white, signal_dependent, correlated])
def test_noise_has_the_strength_and_the_correlation_that_it_was_made_with(make_pack, degradation):
    """By the posterior. What does not hold: noise that grows with brightness is as strong in dark
    places as in bright ones, because one texture serves a whole picture.
    """
    first, second = two_scenes()
    rng = np.random.default_rng(1)
    pictures = {f"n{i}": to_uint8(first + degradation(first, rng)) for i in range(3)}
    noisy, clean = make_pack(pictures, "noisy"), make_pack({"c": to_uint8(second)}, "clean")
    torch.manual_seed(1)
    method = create("lud_vae", **SETTINGS)
    samples = method.samples([noisy, clean], seed=1, noise=None, noise_draw="fresh")
    train(method, samples, seed=1, device="cpu", precision="fp32")
    method.eval()

    image = torch.from_numpy(clean.read_unit(0)).permute(2, 0, 1)[None]
    made = []
    for key in range(4):
        texture = texture_of_a_picture(method, noisy, (key,), image.device)
        pair = synthesize(method, image, key=(key,), t=1.0, texture=texture)
        made.append((pair.noisy - image)[0].permute(1, 2, 0).numpy())
    truth = degradation(second, np.random.default_rng(2))
    assert np.mean([one.std() for one in made]) == pytest.approx(truth.std(), rel=0.15)
    found = np.mean([neighbor_correlation(one) for one in made])
    assert found == pytest.approx(neighbor_correlation(truth), abs=0.1)
    if degradation is correlated:  # N(0, I) loses it.
        prior = synthesize(method, image, key=(1,), t=1.0).noisy - image
        prior = prior[0].permute(1, 2, 0).numpy()
        assert neighbor_correlation(prior) < neighbor_correlation(truth) - 0.15
