"""Figure 3.6 of score files."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image
from scipy.stats import t as student

from unpaired.core.files import rows_as_csv
from unpaired.core.sealed_csv import write_sealed
from unpaired.systems.guided_colorization import curves
from unpaired.systems.guided_colorization.stages import curves as stage


def frame(decibels, points):
    rows = zip("abcdefgh", decibels, points, strict=False)
    return pd.DataFrame([(i, str(d), str(p)) for i, d, p in rows], columns=list(COLUMNS))


COLUMNS = ("image", "psnr_db", "points")


def test_seeds_are_averaged_first_and_the_interval_is_students_over_pictures():
    first, second = frame((20, 22, 27), (5, 5, 2)), frame((22, 24, 29), (5, 5, 2))
    found = curves.level("local", "max_error", [first, second])
    values = (21.0, 23.0, 28.0)
    ends = student.interval(0.95, 2, np.mean(values), np.std(values, ddof=1) / 3**0.5)
    assert (found.mean_db, found.points) == (24.0, 4.0)
    assert (found.low_db, found.high_db) == pytest.approx(ends)


def test_lines_begin_without_points_and_infinite_levels_are_left_out(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr(curves, "save_figure", lambda figure, *rest: figures.append(figure))
    levels = [
        curves.Level("local", "max_error", 2, 24, 23, 25),
        curves.Level("local", "random", 10, 23, 22, 24),
        curves.Level("local", "random", 1, 21, 20, 22),
        curves.Level("local", "nothing", 0, 20, 19, 21),
        curves.Level("local", "all", 0, 30, 29, 31),
        curves.Level("edit_propagation", "all", 0, np.inf, np.nan, np.nan),
        curves.Level("gray", "nothing", 0, 14, 13, 15),
    ]
    curves.draw_curves(tmp_path / "c.png", levels)
    axis = figures[0].axes[0]
    assert isinstance(figures[0], Figure)
    drawn = {
        line.get_label(): line.lines[0].get_xydata().tolist()
        for line in axis.containers
        if not line.get_label().startswith("_")
    }
    assert drawn == {
        "local, random points": [[0, 20], [1, 21], [10, 23]],
        "local, points of largest error": [[0, 20], [2, 24]],
    }
    _, labels = axis.get_legend_handles_labels()
    assert "gray, automatic" in labels
    marks = [line.get_xydata().tolist() for line in axis.get_lines()]
    assert [[curves.ALL_AT, 30]] in marks


def test_the_stage_draws_score_files(tmp_path, capsys):
    told = {"automatic": 0, "random_2": 2, "max_error_2": 2, "gt_colors": 0}
    scores = []
    for condition, points in told.items():
        path = tmp_path / f"{condition}.csv"
        rows = [
            {"image": name, "repeat": 0, "psnr_db": 20.0 + points + number, "points": points}
            for number, name in enumerate("ab")
        ]
        path.with_suffix(".json").write_text(json.dumps(write_sealed({path: rows_as_csv(rows)})))
        scores.append(str(path))
    command = ["--scores", *scores, "--rows", *["local"] * 4, "--conditions", *told]
    output = tmp_path / "curves.png"
    stage.main(stage.parser().parse_args([*command, "--output", str(output)]))
    assert "local, random, 2 points: 22.50 dB" in capsys.readouterr().out
    with Image.open(output) as picture:
        assert min(picture.size) > 400
