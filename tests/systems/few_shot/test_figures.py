"""Figures of the system, and the numbers that stand in them."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from PIL import Image

from tests.systems.few_shot.portraits import portrait_pack
from unpaired import catalog
from unpaired.systems.few_shot.figures import (
    draw_drift,
    draw_examples,
    draw_prior,
    draw_sheet,
    label_psnr_db,
    prior_psnr_db,
    truths_of,
)
from unpaired.systems.few_shot.methods.ddpm import DDPM, DDPMConfig
from unpaired.systems.few_shot.methods.reconstruction import ReconstructionConfig
from unpaired.systems.few_shot.methods.supervised import Supervised
from unpaired.systems.few_shot.samples import Measurements

NETWORK = {"widths": "8 16", "blocks": 1, "groups": 4, "squeeze_px": 2, "patch_px": 32}


@pytest.fixture(scope="module")
def views(tmp_path_factory):
    pack = portrait_pack(tmp_path_factory.mktemp("packs") / "pack.h5", range(20), "portraits")
    return Measurements(pack, catalog.conditions()["face_zero"])


def test_a_prior_that_knows_nothing_is_as_good_as_its_input(views):
    prior = DDPM(DDPMConfig(images_seen=4, attention_px=None, **NETWORK)).eval()
    rows = prior_psnr_db(prior, truths_of(views))
    assert [row["time"] for row in rows] == [25, 50, 100, 150, 200, 300, 400, 500, 700, 900]
    # Its x_0 is clipped, which is all that it gains.
    assert all(row["psnr_db"] > row["noisy_psnr_db"] for row in rows)
    early = rows[0]
    assert early["psnr_db"] == pytest.approx(early["noisy_psnr_db"], abs=0.5)
    # In [-1, 1] the error is the noise: kept / (1 - kept), a quarter of it in [0, 1].
    kept = float(prior.noise_schedule.kept[100])
    expected = 10 * math.log10(4 * kept / (1 - kept))
    assert rows[2]["noisy_psnr_db"] == pytest.approx(expected, abs=0.1)


def test_labels_of_a_prior_that_knows_the_truth_are_worth_more_than_outputs(views):
    """A prior that leads to gray is judged by gray; whatever it says, outputs score the same."""

    class Gray(DDPM):
        def predict(self, noisy, times):
            return torch.zeros_like(noisy)

    config = ReconstructionConfig(images_seen=20, validate_every_images=10, **NETWORK)
    product = Supervised(config).eval()
    held_out = [views[index] for index in range(8)]
    prior = Gray(DDPMConfig(images_seen=4, attention_px=None, **NETWORK)).eval()
    rows = label_psnr_db(product, prior, held_out, steps=3)
    # At first an output is the measurement, whose hole is black.
    truths = [one.truth[one.hole] for one in held_out]
    black = np.mean([-10 * np.log10(np.square(one).mean()) for one in truths])
    gray = np.mean([-10 * np.log10(np.square(one - 0.5).mean()) for one in truths])
    for row in rows:
        assert row["output_hole_psnr_db"] == pytest.approx(black, abs=1e-3)
        assert row["label_hole_psnr_db"] == pytest.approx(gray, abs=1e-3)
    assert rows[0]["time"] == 20


def test_figures_are_drawn(views, tmp_path):
    config = ReconstructionConfig(images_seen=20, validate_every_images=10, **NETWORK)
    model = Supervised(config).eval()
    model.curve[:3] = torch.tensor([[0, 10, 5, 0.3, 1], [10, 12, 6, 0.4, 0.8], [20, 11, 6, 0.6, 0]])
    model.validations.fill_(3)
    draw_examples(tmp_path / "examples.png", {"supervised": model}, views)
    draw_sheet(tmp_path / "sheet.png", views)
    draw_drift(tmp_path / "drift.png", {"sud": model, "sud2": Supervised(config)})
    prior = DDPM(DDPMConfig(images_seen=4, attention_px=None, **NETWORK)).eval()
    pictures = truths_of(views)
    draw_prior(tmp_path / "prior.png", prior, pictures, prior_psnr_db(prior, pictures))
    for name in ("examples", "sheet", "drift", "prior"):
        with Image.open(tmp_path / f"{name}.png") as picture:
            assert min(picture.size) > 150
