"""Curves and examples, and the stages that draw them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import t as student

from tests.systems.few_shot.portraits import portrait_pack
from tests.systems.transmission import tiny
from unpaired.core.files import rows_as_csv
from unpaired.core.sealed_csv import write_sealed
from unpaired.learning.weights import save_model
from unpaired.systems.transmission.figures import Point, draw_curves
from unpaired.systems.transmission.stages import curves, examples


def test_intervals_are_students():
    values = (1.0, 2.0, 4.0, 7.0)
    point = Point("row", 1.0, values)
    low, high = student.interval(0.95, 3, np.mean(values), np.std(values, ddof=1) / 2)
    assert point.mean == 3.5
    assert (point.mean - point.half_interval, point.mean + point.half_interval) == pytest.approx(
        (low, high)
    )
    assert Point("row", 1.0, (2.0,)).half_interval == 0


def test_rows_without_a_value_have_no_line(tmp_path):
    points = [Point("commin", snr, (snr, snr + 1)) for snr in (5.0, -5.0)]
    draw_curves(tmp_path / "curves.png", [*points, Point("jpeg2000", 5.0, ())], "PSNR (dB)")
    with Image.open(tmp_path / "curves.png") as picture:
        assert min(picture.size) > 300


@pytest.mark.parametrize("metric", ["lpips", "feature_distance"])
def test_curves_are_drawn_of_score_files_with_lpips_or_without(tmp_path, metric, capsys):
    scores = []
    for row in ("deepjscc", "jpeg2000"):
        own = {"psnr_db": 17.0, metric: 0.3} if row == "deepjscc" else {}
        rows = [{"image": name, "repeat": 0, **own, "seconds_per_mpix": 1.0} for name in "ab"]
        path = tmp_path / f"{row}.csv"
        seals = write_sealed({path: rows_as_csv(rows)})
        path.with_suffix(".json").write_text(json.dumps(seals))
        scores.append(str(path))
    command = ["--scores", *scores, "--rows", "deepjscc", "jpeg2000"]
    command += ["--conditions", "snr_5", "snr_5"]
    command += ["--psnr", str(tmp_path / "p.png"), "--lpips", str(tmp_path / "l.png")]
    curves.main(curves.parser().parse_args(command))
    assert (tmp_path / "p.png").is_file()
    assert (tmp_path / "l.png").is_file()
    told = "LPIPS" if metric == "lpips" else "portrait_features"
    assert told in capsys.readouterr().out


def test_examples_are_drawn_of_models_with_what_they_need(tmp_path):
    pack = portrait_pack(tmp_path / "pack.h5", range(3), "portraits")
    files = {"codec": ("deepjscc", tiny.codec()), "prior": ("ddpm", tiny.prior(patch_px=16))}
    for role, (name, model) in files.items():
        save_model(tmp_path / f"{role}.safetensors", name, model)
    needs = {role: str(tmp_path / f"{role}.safetensors") for role in files}
    chain = {"start": 0.5, "steps": 2}
    products = {
        "deepjscc": {"file": needs["codec"], "spec": {"method": "deepjscc"}, "needs": {}},
        "unguided": {
            "file": None,
            "spec": {"method": "unguided", "overrides": chain},
            "needs": needs,
        },
        "jpeg2000": {
            "file": None,
            "spec": {"method": "separate_coding", "overrides": {}},
            "needs": {"codec": needs["codec"]},
        },
    }
    command = ["--products", json.dumps(products), "--test", str(pack.path), "--device", "cpu"]
    command += ["--condition", "snr_1", "--output", str(tmp_path / "examples.png")]
    threads = torch.get_num_threads()
    examples.main(examples.parser().parse_args(command))
    assert torch.get_num_threads() == threads
    with Image.open(tmp_path / "examples.png") as picture:
        assert picture.size[1] > 300
