from __future__ import annotations

import numpy as np
import pytest

from tests.conftest import REPOSITORY
from tests.pipeline.synthetic_results import (
    PAPER,
    TABLE,
    fill_scores,
    make_lines,
    pick,
    write_record,
)
from unpaired.core.errors import UnpairedError
from unpaired.core.files import rows_as_csv
from unpaired.pipeline.plan import plan_table
from unpaired.pipeline.settings import parse_settings
from unpaired.pipeline.table import load_table
from unpaired.pipeline.tables.layout import lines_as_markdown
from unpaired.pipeline.tables.lines import read_paper_numbers
from unpaired.pipeline.tables.measuring import build_lines, interval, least_gain_db


def test_every_printed_number_has_a_line_and_its_own_column(tmp_path):
    _, lines = make_lines(tmp_path)
    printed = {(x.setting, x.method, x.dataset, x.metric): x.paper_value for x in lines}
    assert {key: value for key, value in printed.items() if value is not None} == PAPER
    line = pick(lines, setting="gauss25", method="neighbor2neighbor", dataset="kodak")[0]
    assert (line.paper_value, line.value, line.status) == (32.08, None, "data absent")


def test_cells_are_means_over_images_and_filled_by_scores_only(tmp_path):
    _, lines = make_lines(tmp_path)
    for line in lines:
        assert (line.value is not None) == (line.status in ("ok", "undertrained"))
    ours = pick(lines, dataset="embedded_test", metric="psnr_db", method="n2c")
    assert [line.value for line in ours] == [31.0] * 4


def test_missing_or_empty_scores_are_an_error(tmp_path):
    plan, _ = make_lines(tmp_path)
    path = tmp_path / f"{plan.scores[0].stem}.csv"
    path.write_text("image,repeat\n")
    write_record(path, {})
    with pytest.raises(UnpairedError, match="holds no scores"):
        build_lines(plan, PAPER, tmp_path)
    path.unlink()
    with pytest.raises(UnpairedError, match="no such file; run its rule first"):
        build_lines(plan, PAPER, tmp_path)


def test_little_gain_is_called_undertrained(tmp_path):
    # The pictures have 31 dB on average: 29 before a gain of 2, 28 before one of 3.
    for gain, status in ((2.0, "undertrained"), (3.0, "ok")):
        _, lines = make_lines(tmp_path, gain=gain)
        assert {line.status for line in lines if line.value is not None} == {status}


def test_where_there_is_less_to_gain_less_is_asked_for():
    assert least_gain_db(20.0) == least_gain_db(14.0) == 3
    assert least_gain_db(35.0) == pytest.approx(1.5)
    assert least_gain_db(60.0) == 0.5


def test_intervals_from_ten_images_on(tmp_path):
    assert pick(make_lines(tmp_path, images=9)[1], dataset="embedded_test")[0].ci_low is None
    line = pick(make_lines(tmp_path, images=10)[1], dataset="embedded_test")[0]
    assert line.ci_low < line.value < line.ci_high


def test_interval_is_students():
    values = np.arange(10.0)
    low, high = interval(values.mean(), values.std(ddof=1), 10)
    # 2.2622: the 97.5 % point of Student's t with 9 degrees of freedom.
    half = 2.2622 * values.std(ddof=1) / np.sqrt(10)
    assert (low, high) == pytest.approx((4.5 - half, 4.5 + half), rel=1e-4)


def test_repeats_and_seeds_are_averaged_before_the_interval(tmp_path):
    plan = one_cell(seeds=[1, 2])
    draws = np.random.default_rng(0).normal(30, 1, (2, 2, 12))  # seed, repeat, image
    write_draws(plan, tmp_path, draws)
    (line,) = pick(build_lines(plan, PAPER, tmp_path), metric="psnr_db")
    per_image = draws.mean((0, 1))
    assert line.value == pytest.approx(per_image.mean(), rel=1e-14)
    ends = interval(per_image.mean(), per_image.std(ddof=1), 12)
    assert (line.ci_low, line.ci_high) == pytest.approx(ends, rel=1e-14)
    assert (line.n_images, line.seeds) == (12, "1 2")


def test_a_score_that_is_no_number_is_not_passed_over(tmp_path):
    plan, draws = one_cell(), np.full((1, 2, 12), 30.0)
    draws[0, 1, 5] = np.nan
    write_draws(plan, tmp_path, draws)
    (line,) = pick(build_lines(plan, PAPER, tmp_path), metric="psnr_db")
    assert np.isnan([line.value, line.ci_low, line.ci_high]).all()


def one_cell(**config):
    narrow = {"methods": ["n2c"], "noises": ["gauss25"], "testsets": ["embedded_test"]}
    return plan_table(TABLE, parse_settings(narrow | config))


def write_draws(plan, root, draws):
    """Write PSNR draws, seed x repeat x image, as score files of pictures 0000, 0001 ..."""
    fill_scores(plan, root)
    for score, of_seed in zip(plan.scores, draws, strict=True):
        path = root / f"{score.stem}.csv"
        rows = [
            {"image": f"{image:04}", "repeat": repeat, "psnr_db": value}
            | {"ssim": 0.9, "seconds_per_mpix": 1}
            for (repeat, image), value in np.ndenumerate(of_seed)
        ]
        path.write_text(rows_as_csv(rows))
        write_record(path, {})


def test_delta_only_for_the_papers_protocol(tmp_path):
    (tmp_path / "kodak").mkdir()
    cropped = make_lines(
        tmp_path, data_root=str(tmp_path), evaluation={"crop_px": 256, "repeats": 10}
    )
    papers = make_lines(tmp_path, data_root=str(tmp_path))
    key = {"dataset": "kodak", "method": "n2c", "setting": "gauss25", "metric": "psnr_db"}
    assert pick(cropped[1], **key)[0].delta is None
    assert pick(papers[1], **key)[0].delta == pytest.approx(31 - 32.43)
    assert all(line.delta is None for line in papers[1] if line.dataset == "embedded_test")


def test_seeds_and_scale_are_told(tmp_path):
    _, lines = make_lines(tmp_path, seeds=[1, 2])
    assert pick(lines, method="n2c", dataset="embedded_test")[0].seeds == "1 2"
    assert pick(lines, method="cbm3d", dataset="embedded_test")[0].seeds == ""


def test_rows_stand_in_the_papers_order_with_ours_beside(tmp_path):
    _, lines = make_lines(tmp_path)
    order = list(dict.fromkeys(line.method for line in pick(lines, setting="gauss25")))
    assert order[:3] == ["n2c", "n2n", "cbm3d"]
    assert order[-2:] == ["neighbor2neighbor", "neighbor2neighbor_fixed"]
    assert "noisier2noise" in order


def test_a_part_shows_what_was_asked_for(tmp_path):
    _, lines = make_lines(tmp_path, methods=["n2n", "n2c"], noises=["gauss25"])
    assert {line.method for line in lines} == {"n2n", "n2c"}


@pytest.mark.parametrize("number", [3, 4])
def test_ablations_meet_the_papers_names_and_show_ours(tmp_path, number):
    ablation = load_table(REPOSITORY / f"config/tables/table{number}.yaml")
    printed = read_paper_numbers(REPOSITORY / f"config/paper_numbers/{ablation.paper_numbers}")
    plan = plan_table(ablation, parse_settings({}))
    fill_scores(plan, tmp_path)
    lines = build_lines(plan, printed, tmp_path)
    shown = {(x.setting, x.method, x.dataset, x.metric): x.paper_value for x in lines}
    assert {key: value for key, value in shown.items() if value is not None} == printed
    ours = [line for line in lines if line.value is not None]
    embedded = {"embedded_test", "simulated_camera_validation_raw"}
    assert {line.dataset for line in ours} == embedded & set(ablation.all_testsets)
    assert {line.method for line in lines} == {"neighbor2neighbor"}
    real = {(x.dataset, x.status) for x in lines if x.setting.startswith("sidd")}
    expected = {
        ("simulated_camera_validation_raw", "ok"),
        ("sidd_validation_raw", "data absent"),
    }
    assert real == (expected if number == 4 else set())
    markdown = lines_as_markdown(plan, lines)
    for row in ablation.rows:
        assert f"| {row.name} " in markdown


JUDGED = load_table(REPOSITORY / "config/tables/table20.yaml")


def judged(tmp_path, rows, **config):
    """Return Table 20's lines for rows with (2AFC, JND mAP), for both distortions."""
    plan = plan_table(JUDGED, parse_settings({"methods": [*rows]} | config))
    for score in plan.scores:
        cell = next(c for c in plan.cells if score in c.scores)
        first, second = rows[cell.row.name]
        pairs = "jnd" in cell.testset
        path = tmp_path / f"{score.stem}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        column = "distance" if pairs else "two_afc"
        lines = [f"{k},0,{first + (k % 2 - 0.5)},1" for k in range(12)]
        path.write_text("\n".join([f"image,repeat,{column},seconds_per_mpix", *lines]))
        pooled = {"jnd_map": second} if pairs else {}
        write_record(path, {"pooled": pooled})
    printed = read_paper_numbers(REPOSITORY / "config/paper_numbers/zhang2018_table6.4.csv")
    return plan, build_lines(plan, printed, tmp_path)


def all_rows(plan_rows):
    names = [row.name for row in JUDGED.rows if not row.only_at and not row.weights]
    names = [
        name for name in names if not name.startswith(("lpips_alex_", "lpips_vgg", "lpips_sq"))
    ]
    names.append("lpips_alex_scratch")
    return dict(zip(names, plan_rows(len(names)), strict=True))


def test_two_tests_are_correlated_over_the_rows(tmp_path):
    def draw(count):
        first = 60 + 3.0 * np.arange(count)
        return list(zip(first, 40 + 2 * (np.arange(count) % 4) + first / 10, strict=True))

    rows = all_rows(draw)
    plan, lines = judged(tmp_path, rows, methods=None)
    (found,) = pick(lines, metric="correlation", dataset="simulated_bapps")
    networks = {row.name for row in JUDGED.rows if row.method == "lpips"} & set(rows)
    x, y = np.transpose([rows[name] for name in rows if name in networks])
    assert found.value == pytest.approx(np.corrcoef(x, y)[0, 1])
    assert found.n_images == len(networks) == 6
    z = np.arctanh(found.value) + 1.959964 / np.sqrt(len(networks) - 3) * np.array([-1, 1])
    assert [found.ci_low, found.ci_high] == pytest.approx(np.tanh(z), abs=1e-6)
    (printed,) = pick(lines, metric="correlation", dataset="bapps")
    assert (printed.value, printed.paper_value, printed.status) == (None, 0.928, "data absent")
    assert {line.metric for line in pick(lines, dataset="simulated_bapps_cnn")} == {"two_afc"}
    assert {line.metric for line in pick(lines, dataset="simulated_bapps_jnd_cnn")} == {"jnd_map"}
    text = lines_as_markdown(plan, lines)
    assert f"{found.value:.3f}" in text
    assert "0.928" in text
    assert "Cells are JND mAP (%) or 2AFC (%) or correlation." in text
    (row,) = (line for line in text.splitlines() if "| fsimc" in line)
    assert [f"{value:.1f}" for value in rows["fsimc"]] == [
        cell for cell in row.replace(" ", "").split("|") if cell[:1].isdigit()
    ][:3:2]
    assert "No human saw them" in text
    assert "center crops" not in text


def test_a_part_of_a_table_is_not_correlated(tmp_path):
    plan, lines = judged(tmp_path, {"l2": (60, 40), "ssim": (70, 50), "psnr": (60, 41)})
    assert plan.is_part
    assert not pick(lines, metric="correlation")
