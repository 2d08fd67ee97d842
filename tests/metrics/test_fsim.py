from __future__ import annotations

import numpy as np
import piq
import pytest
import torch
from scipy.ndimage import gaussian_filter

from unpaired.core.errors import UnpairedError
from unpaired.imaging.pixels import to_uint8
from unpaired.metrics.fsim import fsim, phase_congruency


def noisy(picture, deviation):
    noise = np.random.default_rng(0).normal(0, deviation, picture.shape)
    return np.clip(np.round(picture + noise), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), [(64, 64), (101, 150), (256, 201), (391, 400)])
def test_equals_piq(photographs, height, width):
    """FSIM to 1e-4: piq has another epsilon. FSIMc to 5e-4: it rounds YIQ otherwise, and takes the
    size of a negative similarity where the authors' program takes the real part of its power."""
    clean = to_uint8(photographs[2][:height, :width])
    pair = clean, noisy(clean, 20)
    tensors = [torch.from_numpy(image).permute(2, 0, 1)[None].double() for image in pair]
    reference = piq.fsim(*tensors, data_range=255.0, chromatic=False).item()
    assert fsim(*pair, chromatic=False) == pytest.approx(reference, abs=1e-4)
    reference = piq.fsim(*tensors, data_range=255.0).item()
    assert fsim(*pair) == pytest.approx(reference, abs=5e-4)


def test_properties(photographs):
    clean = to_uint8(photographs[1][:128, :160])
    assert fsim(clean, clean) == pytest.approx(1)
    scores = [fsim(clean, noisy(clean, deviation)) for deviation in (5, 15, 45)]
    assert 1 > scores[0] > scores[1] > scores[2] > 0
    assert fsim(clean, noisy(clean, 15)) == pytest.approx(fsim(noisy(clean, 15), clean))
    # Rolling the colors changes the chroma and hardly the luminance's structure.
    rolled = np.roll(clean, 1, axis=-1)
    assert fsim(clean, rolled) < fsim(clean, rolled, chromatic=False)
    gray = clean[..., :1]
    assert fsim(gray, noisy(gray, 15)) == fsim(gray, noisy(gray, 15), chromatic=False)


def test_phase_congruency_finds_edges_whatever_their_contrast():
    picture = np.full((64, 64), 100.0)
    picture[:, 20:44] = 110.0
    weak, strong = phase_congruency(picture), phase_congruency(100 + 8 * (picture - 100))
    assert weak.min() >= 0
    assert strong.max() <= 1
    np.testing.assert_allclose(weak, strong, atol=0.02)
    edges = np.sort(strong[32].argsort()[-4:])
    np.testing.assert_array_equal(edges, [19, 20, 43, 44])
    assert strong[32, 10] < 0.2 * strong[32, 20]


def test_phase_congruency_of_noise_is_mostly_below_the_threshold():
    noise = np.random.default_rng(0).normal(128, 10, (128, 128))
    assert phase_congruency(noise).mean() < 0.2
    assert phase_congruency(gaussian_filter(noise, 2)).mean() < 0.6
    assert phase_congruency(np.full((32, 32), 7.0)).max() == 0


def test_flat_pictures_have_a_value():
    flat = np.full((32, 32, 3), 90, np.uint8)
    assert fsim(flat, flat) == 1
    assert 0 < fsim(flat, flat + 60) <= 1


def test_bad_input_is_refused():
    small = np.zeros((15, 40, 3), np.uint8)
    with pytest.raises(UnpairedError, match="at least 16 pixels"):
        fsim(small, small)
    with pytest.raises(UnpairedError, match="must be uint8"):
        fsim(small / 255, small)
