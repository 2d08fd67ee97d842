from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from tests.systems.perceptual.judged import triplet, write_judged_pack
from unpaired.core.errors import UnpairedError
from unpaired.learning.create import create
from unpaired.pipeline.tables.lines import Line
from unpaired.systems.perceptual.figures import (
    disagreements,
    draw_disagreements,
    draw_scores,
    draw_tests,
    draw_weights,
    points_of_tests,
    weights_by_layer,
)

SETS = ("simulated_bapps_traditional", "simulated_bapps_cnn")
JND = ("simulated_bapps_jnd_traditional", "simulated_bapps_jnd_cnn")


def line(method, dataset, value, metric="two_afc", spread=2.0):
    ends = {} if value is None else {"ci_low": value - spread, "ci_high": value + spread}
    return Line(19, "", method, dataset, metric, value=value, **ends)


def pixels(path):
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        return np.asarray(picture.convert("RGB")).astype(int)


def test_bars_are_as_long_as_the_scores(tmp_path):
    lines = [line(m, s, v) for s in SETS for m, v in (("observer", 80), ("l2", 60), ("ssim", 70))]
    draw_scores(tmp_path / "few.png", [*lines, line("human", "bapps_cnn", None)])
    longer = [line(m, s, v) for s in SETS for m, v in (("observer", 80), ("l2", 60), ("ssim", 78))]
    draw_scores(tmp_path / "more.png", longer)
    blue = [
        np.sum((p[..., 2] - p[..., 0]) > 80)
        for p in (pixels(tmp_path / name) for name in ("few.png", "more.png"))
    ]
    assert blue[1] > 1.1 * blue[0] > 0
    with pytest.raises(UnpairedError, match="holds none"):
        draw_scores(tmp_path / "none.png", [line("l2", SETS[0], None)])


def test_points_are_means_over_the_distortions(tmp_path):
    lines = [line("l2", name, value) for name, value in zip(SETS, (60, 70), strict=True)]
    lines += [line("l2", name, value, "jnd_map") for name, value in zip(JND, (40, 50), strict=True)]
    lines += [line("ssim", name, 66.0) for name in SETS]
    assert points_of_tests(lines, "simulated_bapps") == {"l2": (65, 45)}
    assert points_of_tests(lines, "bapps") == {}
    draw_tests(tmp_path / "tests.png", lines)
    assert pixels(tmp_path / "tests.png").min() < 100
    with pytest.raises(UnpairedError, match="holds none"):
        draw_tests(tmp_path / "none.png", [])


def test_weights_by_layer(tmp_path):
    torch.manual_seed(0)
    metric = create("lpips", width=0.25).metric
    with torch.no_grad():
        metric.weights["conv2"].copy_(torch.tensor([0.0, 2.0, 1.0, 0.0] * 12))
    found = {name: (share, weights) for name, share, weights in weights_by_layer(metric)}
    assert list(found) == ["conv1", "conv2", "conv3", "conv4", "conv5"]
    share, weights = found["conv2"]
    assert share == 0.5
    assert weights[:13].tolist() == [2.0] * 12 + [1.0]
    draw_weights(tmp_path / "weights.png", metric, "lin")
    assert pixels(tmp_path / "weights.png").min() < 100


def rows(differences, judge=0.2):
    return pd.DataFrame(
        {"image": f"r{k}", "first_distance": str(d), "second_distance": "0", "judge": str(judge)}
        for k, d in enumerate(differences)
    )


def test_disagreements_are_opposite_choices_the_surest_first(tmp_path):
    own, other = [1.0, -2.0, 3.0, -0.5, 1.0], [2.0, 20.0, -10.0, 40.0, 0.0]
    found = disagreements(rows(own), rows(other))
    assert [entry.record for entry in found] == [1, 2, 3]
    assert [entry.ssim_takes for entry in found] == ["first", "second", "first"]
    sizes = np.minimum(np.abs(own) / np.std(own), np.abs(other) / np.std(other))
    assert [entry.size for entry in found] == pytest.approx(sizes[[1, 2, 3]])
    pack = write_judged_pack(tmp_path / "t.h5", [triplet(k, 3, 9, 0.2) for k in range(5)])
    draw_disagreements(tmp_path / "found.png", pack, found, "lin")
    assert pixels(tmp_path / "found.png").min() < 100
    with pytest.raises(UnpairedError, match="of two packs"):
        disagreements(rows(own), rows(other[:-1]))
    with pytest.raises(UnpairedError, match="agree on every triplet"):
        draw_disagreements(tmp_path / "none.png", pack, [], "lin")
