from __future__ import annotations

import numpy as np
import pytest
import torch
from skimage import color

from unpaired.imaging.color.lab import in_gamut, into_gamut, lab_to_rgb, rgb_to_lab

# Every 15th value, from 0 to 255, and the few around the bend of the sRGB curve.
LEVELS = np.array([*range(0, 256, 15), 1, 2, 9, 10, 11, 12, 254])
CUBE = np.stack(np.meshgrid(LEVELS, LEVELS, LEVELS, indexing="ij"), -1).reshape(1, -1, 3) / 255


def planes(pixels: np.ndarray, dtype=torch.float32) -> torch.Tensor:
    return torch.from_numpy(pixels).to(dtype).permute(2, 0, 1)[None]


def pixels_of(planes: torch.Tensor) -> np.ndarray:
    return planes[0].permute(1, 2, 0).detach().double().numpy()


def random_lab(count: int, dtype=torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    unit = torch.rand(1, 3, count, 1, generator=generator, dtype=dtype)
    return (
        unit * torch.tensor([100, 220, 220])[:, None, None]
        - torch.tensor([0, 110, 110])[:, None, None]
    )


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-4), (torch.float64, 1e-9)])
def test_lab_is_that_of_scikit_image(dtype, tolerance):
    expected = color.rgb2lab(CUBE)
    assert np.abs(pixels_of(rgb_to_lab(planes(CUBE, dtype))) - expected).max() < tolerance


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-9)])
def test_rgb_is_that_of_scikit_image(dtype, tolerance):
    lab = color.rgb2lab(CUBE)
    found = pixels_of(lab_to_rgb(planes(lab, dtype)))
    assert np.abs(found - color.lab2rgb(lab)).max() < tolerance
    assert np.abs(found - CUBE).max() < 1e-5


@pytest.mark.filterwarnings("ignore:Conversion from CIE-LAB")
def test_out_of_gamut_rgb_is_that_of_scikit_image():
    lab = random_lab(2000)
    assert np.abs(pixels_of(lab_to_rgb(lab)) - color.lab2rgb(pixels_of(lab))).max() < 1e-9


def test_gradients():
    rgb = torch.rand(1, 3, 3, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(rgb_to_lab, rgb)
    lab = rgb_to_lab(0.1 + 0.8 * rgb.detach()).requires_grad_()
    assert torch.autograd.gradcheck(lab_to_rgb, lab)


@pytest.mark.parametrize("value", [0.0, 0.04045, 1.0])
def test_gradients_are_finite_at_black_at_white_and_at_the_bend(value):
    rgb = torch.full((1, 3, 2, 2), value, requires_grad=True)
    lab_to_rgb(rgb_to_lab(rgb)).sum().backward()
    assert rgb.grad.isfinite().all()
    lab = torch.zeros(1, 3, 1, 1, requires_grad=True)
    lab_to_rgb(into_gamut(lab)).sum().backward()
    assert lab.grad.isfinite().all()


def test_into_gamut_keeps_lightness_and_hue():
    lab = random_lab(3000)
    found = into_gamut(lab)
    assert in_gamut(found).all()
    assert torch.equal(found[:, 0], lab[:, 0])
    across = lab[:, 1] * found[:, 2] - lab[:, 2] * found[:, 1]
    along = lab[:, 1] * found[:, 1] + lab[:, 2] * found[:, 2]
    assert across.abs().max() < 1e-9
    assert along.min() >= 0
    # What is written has that lightness, which clipping per channel would change by many units.
    written = rgb_to_lab(lab_to_rgb(found))
    assert (written[:, 0] - lab[:, 0]).abs().max() < 0.05
    clipped = rgb_to_lab(lab_to_rgb(lab))
    assert (clipped[:, 0] - lab[:, 0]).abs().max() > 5


def test_into_gamut_takes_no_more_chroma_than_it_must():
    lab = random_lab(3000)
    found, outside = into_gamut(lab), ~in_gamut(lab)
    assert 0.2 < outside.double().mean() < 0.95
    assert torch.equal(found.movedim(1, -1)[~outside], lab.movedim(1, -1)[~outside])
    a_little_more = torch.cat([found[:, :1], 1.001 * found[:, 1:] + 1e-6], dim=1)
    more_chroma = found[:, 1:].norm(dim=1) > 1
    assert not in_gamut(a_little_more)[outside & more_chroma].any()


def test_lightness_beyond_its_range_is_black_or_white():
    lab = torch.tensor([[-3.0, 20, 5], [104, -20, 5]]).T[None, :, :, None]
    rgb = lab_to_rgb(into_gamut(lab))[0, :, :, 0]
    assert torch.allclose(rgb, torch.tensor([[0.0, 1], [0, 1], [0, 1]]), atol=1e-3)


def test_every_8_bit_color_is_in_gamut():
    assert in_gamut(rgb_to_lab(planes(CUBE))).all()
