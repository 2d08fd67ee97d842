from __future__ import annotations

import numpy as np
import pytest
import torch

from unpaired import catalog
from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import numpy_generator
from unpaired.learning.create import create
from unpaired.metrics.fsim import fsim
from unpaired.metrics.lab_ssim import lab_ssim
from unpaired.metrics.psnr import psnr_db
from unpaired.systems.denoising.short_training import methods_for_noisy
from unpaired.systems.perceptual.methods.formulas import FORMULAS

LEARNED = {"width": 0.25, "form": "unweighted"}


@pytest.fixture(scope="module")
def patches(photographs) -> torch.Tensor:
    cut = [picture[y : y + 64, 30:94] for picture in photographs for y in (0, 90)]
    return torch.from_numpy(np.stack(cut)).movedim(-1, 1).contiguous()


def noisy(patches, std, key=0):
    noise = numpy_generator("noise", key).standard_normal(patches.shape).astype(np.float32)
    return (patches + std * torch.from_numpy(noise)).clamp(0, 1)


def judge(name):
    torch.manual_seed(0)
    return (
        create("lpips", **LEARNED).eval()
        if name == "lpips"
        else create("picture_distance", formula=name)
    )


def distances(name, *pictures):
    with torch.inference_mode():
        return judge(name).distances(*pictures)


@pytest.mark.parametrize("name", [*FORMULAS, "lpips"])
def test_properties_of_every_distance(name, patches):
    other = noisy(patches, 0.1)
    (there,), (back,) = distances(name, patches, other), distances(name, other, patches)
    assert there == pytest.approx(back, rel=1e-5)
    shuffled = torch.tensor([3, 0, 5, 1, 4, 2])
    (moved,) = distances(name, patches[shuffled], other[shuffled])
    assert moved == pytest.approx(there[shuffled], rel=1e-4)
    (none,) = distances(name, patches, patches)
    assert torch.all(none < there)
    if name != "psnr":
        assert none.abs().max() < 1e-6
    means = [distances(name, patches, noisy(patches, std))[0].mean() for std in (0.02, 0.06, 0.2)]
    assert means[0] < means[1] < means[2]
    assert distances(name, patches, other, patches)[0] == pytest.approx(there, rel=1e-5)


def test_they_are_the_formulas_of_8_bit_pictures(patches):
    other = noisy(patches, 0.1)
    a, b = ((255 * x[2]).round().byte().movedim(0, -1).numpy() for x in (patches, other))
    expected = {"psnr": -psnr_db(a, b), "fsimc": 1 - fsim(a, b)}
    expected["ssim"] = (1 - lab_ssim(*(x[2:3] for x in (patches, other))).item()) / 2
    for name, value in expected.items():
        assert distances(name, patches, other)[0][2].item() == pytest.approx(value, rel=1e-9)


def test_they_are_neither_trained_nor_restorers():
    assert not any(catalog.method(name).is_trained for name in ("picture_distance", "voters"))
    assert not {"picture_distance", "voters"} & set(methods_for_noisy())
    with pytest.raises(UnpairedError, match="no formula 'sim'; did you mean 'ssim'"):
        create("picture_distance", formula="sim")
