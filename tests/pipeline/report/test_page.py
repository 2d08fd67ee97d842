from __future__ import annotations

import csv
import html
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pandas
import pytest

from tests.conftest import REPOSITORY
from tests.pipeline.synthetic_results import PAPER, TABLE, make_results
from unpaired.core.errors import UnpairedError
from unpaired.pipeline.plan import plan_table, plan_tables
from unpaired.pipeline.report import curves
from unpaired.pipeline.report.curves import Trace, draw
from unpaired.pipeline.report.numbers import (
    column_groups,
    describe_noise,
    noise_blocks,
    read_costs,
    size_of,
)
from unpaired.pipeline.report.page import write_report
from unpaired.pipeline.report.pictures import BYTES_MAX, BYTES_PER_PX_MAX, SIDE_PX, choose_side_px
from unpaired.pipeline.report.summary import describe_dates, describe_scale
from unpaired.pipeline.settings import Settings, parse_settings
from unpaired.pipeline.table import load_table, parse_table
from unpaired.pipeline.tables.lines import lines_as_csv, metric_of, read_lines
from unpaired.pipeline.tables.measuring import build_lines

MIB = 2**20


class Page(HTMLParser):
    """The cells of the tables of numbers by (block, method), every tag, and every id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.cells, self.tags, self.ids, self.targets = {}, [], [], []
        self._block = self._row = self._cell = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append((tag, attributes))
        if "id" in attributes:
            self.ids.append(attributes["id"])
        if tag == "a":
            self.targets.append(attributes["href"].removeprefix("#"))
        if tag == "table":
            self._block = self.ids[-1].removesuffix("-caption")
        elif tag == "th" and attributes.get("scope") == "row":
            self._row = self.cells.setdefault((self._block, attributes["data-sort"]), [])
        elif tag == "td":
            self._row.append(["", attributes["data-sort"], attributes["class"]])
            self._cell = self._row[-1]

    def handle_endtag(self, tag):
        if tag == "td":
            self._cell = None

    def handle_data(self, data):
        if self._cell is not None:
            self._cell[0] += data


def render(plan, root, refusals=()):
    path = root / "report.html"
    number = plan.table.number
    write_report(path, {number: plan}, list(refusals), plan.settings, root)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A plan, where its synthetic results are, and the page of them."""
    root = tmp_path_factory.mktemp("results")
    plan = make_results(root)
    return plan, root, render(plan, root)


def blocks_of(plan, lines):
    groups = column_groups(plan, lines)
    return groups, {
        block.noise: dict(block.rows) for block in noise_blocks(plan, lines, groups, {})
    }


def test_cells_hold_the_numbers_of_the_csv(made):
    plan, root, text = made
    with open(root / f"results/{plan.name}.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    groups = column_groups(plan, read_lines(root / f"results/{plan.name}.csv"))
    names = {"ours": "value", "paper": "paper_value", "difference": "delta"}
    cells, compared = Page(text).cells, 0
    for row in rows:
        position = plan.noises.index(row["setting"]) + 1
        of_row = iter(cells[f"table1-noise{position}", row["method"]])
        for column in (column for group in groups for column in group.columns):
            shown, exact, _ = next(of_row)
            if (column.testset, column.metric) != (row["dataset"], row["metric"]):
                continue
            expected = row[names[column.quantity]] if column.quantity else row["status"]
            if not column.quantity:
                assert shown == exact == expected
            elif expected:
                assert float(exact) == float(expected)
                decimals = metric_of(row["metric"]).decimals
                number = re.match(r"[+\N{MINUS SIGN}]?[\d.]+", shown)[0]
                assert number.lstrip("+\N{MINUS SIGN}") == f"{abs(float(expected)):.{decimals}f}"
                compared += 1
            else:
                assert exact == ""
    assert compared == sum(bool(row[name]) for row in rows for name in names.values())


def test_missing_cells_say_why(made, tmp_path):
    plan, root, _ = made
    groups, blocks = blocks_of(plan, read_lines(root / f"results/{plan.name}.csv"))
    columns = [(column.testset, column.quantity) for group in groups for column in group.columns]
    said = [shown.text for shown in blocks["gauss25"]["neighbor2neighbor_fixed"]]
    by_column = dict(zip(columns, said, strict=True))
    assert by_column["kodak", "paper"] == by_column["kodak", "difference"] == "not printed"
    assert by_column["bsd300", ""] == "data absent"
    assert ("bsd300", "ours") not in by_column
    assert all(said)
    cropped = make_results(tmp_path, evaluation={"crop_px": 64}, methods=["n2c"])
    _, blocks = blocks_of(cropped, read_lines(tmp_path / f"results/{cropped.name}.csv"))
    assert "other protocol" in [shown.text for shown in blocks["gauss25"]["n2c"]]


def test_absent_data_says_where_to_get_it(made):
    assert "get Berkeley Segmentation Dataset BSDS300" in made[2]


@pytest.mark.parametrize(
    ("difference", "metric", "size"),
    [
        (0.1, "psnr_db", "match"),
        (-0.11, "psnr_db", "near"),
        (0.5, "psnr_db", "near"),
        (-0.51, "psnr_db", "far"),
        (-0.005, "ssim", "match"),
        (0.02, "ssim", "near"),
        (0.021, "ssim", "far"),
    ],
)
def test_the_word_for_a_difference(difference, metric, size):
    assert size_of(difference, metric) == size


def test_a_difference_has_sign_number_word_and_class(made):
    cell = next(c for c in Page(made[2]).cells["table1-noise1", "n2c"] if "size" in c[2])
    # 31 dB against the 32.43 dB that the paper prints.
    assert (cell[0], cell[2]) == ("\N{MINUS SIGN}1.43far", "size-far")


def test_intervals_are_told_from_ten_images_on(tmp_path):
    plan = make_results(tmp_path, images=10, methods=["n2c"])
    lines = read_lines(tmp_path / f"results/{plan.name}.csv")
    (ours, *_), *_ = blocks_of(plan, lines)[1]["gauss25"].values()
    assert ours.detail == f"{lines[0].ci_low:.2f} to {lines[0].ci_high:.2f}"


def test_hostile_names_are_text(tmp_path):
    evil = "</script><script>alert(1)</script><img src=x onerror='alert(2)'>"
    row = {"name": evil, "method": "n2c", "note": evil}
    table = parse_table(TABLE.model_dump() | {"title": evil, "paper": evil, "rows": [row]})
    plan = make_results(tmp_path, table=table, methods=None, noises=["gauss25"])
    text = render(plan, tmp_path, [(table, UnpairedError(evil))])
    tags = Page(text).tags
    assert [tag for tag, _ in tags].count("script") == 1
    assert not [attributes for _, attributes in tags if "onerror" in attributes]
    assert "<img src=x" not in text
    assert "&lt;img src=x" in text


def test_nothing_comes_from_elsewhere(made):
    text = made[2]
    for tag, attributes in Page(text).tags:
        for key in ("src", "href", "xlink:href", "action", "data", "poster", "srcset"):
            assert attributes.get(key, "#").startswith(("#", "data:image/")), (tag, attributes)
    assert not re.search(r"url\((?!#)", text)
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_ids_are_unique_and_links_lead_somewhere(made):
    page = Page(made[2])
    assert len(page.ids) == len(set(page.ids))
    assert page.targets
    assert set(page.targets) <= set(page.ids)


def test_every_number_of_ours_leads_to_its_provenance(made):
    plan, _, text = made
    scored = [cell for cell in plan.cells if cell.scores]
    origins = [t for t in Page(text).targets if "-origin" in t]
    assert len(origins) == len(TABLE.metrics) * len(scored)
    assert len(set(origins)) == len(scored)
    for fact in ("0123456789abcdef", "f" * 64, "e" * 64, "numpy 2.4", "CPU (test)", "1.5 s"):
        assert text.count(fact) >= len(scored) / 2


def test_a_missing_record_is_one_line(tmp_path):
    plan = make_results(tmp_path, methods=["n2c"], noises=["gauss25"])
    (tmp_path / f"{plan.scores[0].stem}.json").unlink()
    with pytest.raises(UnpairedError, match="no such record; run its rule first"):
        render(plan, tmp_path)
    assert not (tmp_path / "report.html").exists()


def left_out(text):
    """Return what the page says of tables that are not on it."""
    section = text.partition('<h2 id="refused">')[2].partition("</section>")[0]
    return html.unescape(re.sub(r"<[^>]+>", "", section))


def test_tables_left_out_say_why_and_what_makes_them(made, tmp_path):
    plan, root, text = made
    assert "Tables left out" not in text
    table = load_table(REPOSITORY / "config/tables/table3.yaml")
    errors = [UnpairedError("config: methods: no such row"), refusal_without_data(table)]
    settings, data = (left_out(render(plan, root, [(table, error)])) for error in errors)
    name, command = "Table 3 (Neighbor2Neighbor, Table 3)", "snakemake --cores all results/table3"
    for said in (settings, data):
        assert name in said
        assert command in said
    assert "these settings do not fit it: config: methods: no such row" in settings
    assert "its data is not here: data set 'imagenet_val': data_root is not set; get" in data


def refusal_without_data(table):
    """Return why a table cannot be planned at the paper's scale without its pictures."""
    settings = parse_settings({"scale": "paper", "train_set": "imagenet_val"})
    return plan_tables([table], settings)[1][table.number]


def test_a_table_that_is_not_made_is_listed(made):
    plan, root, _ = made
    table = load_table(REPOSITORY / "config/tables/table3.yaml")
    other = plan_table(table, parse_settings({}))
    path = root / "report.html"
    write_report(path, {1: plan, 3: other}, [], plan.settings, root)
    said = left_out(path.read_text())
    assert "it is not made yet. To make it: snakemake --cores all results/table3.csv" in said
    assert 'id="table3"' not in path.read_text()


def test_without_any_table_there_is_no_report(tmp_path):
    plan = plan_table(TABLE, parse_settings({}))
    with pytest.raises(UnpairedError, match="no table is made yet; run: snakemake"):
        render(plan, tmp_path)
    assert not (tmp_path / "report.html").exists()


def header_of(text):
    return html.unescape(text.partition("<header>")[2].partition("</header>")[0])


def test_scale_and_date_stand_at_the_top(tmp_path):
    plan = make_results(tmp_path, methods=["n2c"], noises=["gauss25"])
    os.utime(tmp_path / f"results/{plan.name}.csv", (1_700_000_000, 1_700_000_000))
    text = header_of(render(plan, tmp_path))
    assert "Demo scale: small networks, minutes of training; made on 2023-11-14 22:13 UTC." in text
    # Not the time of the rendering: the same results make the same page, also a day later.
    assert text.count("UTC") == 1


def test_results_of_several_days_say_so(tmp_path):
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path, time in zip(paths, (1_700_000_000, 1_700_100_000, 1_700_050_000), strict=True):
        path.touch()
        os.utime(path, (time, time))
    assert describe_dates(paths) == "made from 2023-11-14 22:13 UTC to 2023-11-16 02:00 UTC"


def test_every_scale_is_told_in_words():
    scales = Settings.model_json_schema()["properties"]["scale"]["enum"]
    assert all(describe_scale(scale).startswith(f"{scale} scale: ") for scale in scales)


def test_matches_are_counted_as_the_cells_are_marked(made):
    plan, root, text = made
    lines = read_lines(root / f"results/{plan.name}.csv")
    kinds = [kind for row in Page(text).cells.values() for _, _, kind in row]
    counts = {size: kinds.count(f"size-{size}") for size in ("match", "near", "far")}
    compared, measured = sum(counts.values()), sum(line.value is not None for line in lines)
    assert counts["near"] + counts["match"] > 0
    assert counts["far"] > 0
    said = (
        f"Of {measured} numbers {compared} can be compared with the paper's: "
        f"{counts['match']} match, {counts['near']} near, {counts['far']} far."
    )
    assert said in header_of(text)
    assert html.unescape(text).count(said) == 2  # Once more at the table itself.
    assert "match: at most 0.1 in PSNR (dB), 0.005 in SSIM" in header_of(text)


def test_numbers_of_another_protocol_are_counted_as_such(tmp_path):
    plan = make_results(tmp_path, evaluation={"crop_px": 64}, methods=["n2c"], noises=["gauss25"])
    lines = read_lines(tmp_path / f"results/{plan.name}.csv")
    measured = sum(line.value is not None for line in lines)
    assert f"None of {measured} numbers can be compared" in header_of(render(plan, tmp_path))


def test_every_table_says_which_table_of_which_paper_it_is(made):
    titles = re.findall(r'<h2 id="table1">([^<]+)', made[2])
    assert titles == [
        "Table 1 (Neighbor2Neighbor, Table 1): Gaussian and Poisson noise in sRGB (a part)"
    ]


def test_the_page_stays_small(made):
    plan, _, text = made
    assert len(text.encode()) < MIB
    assert choose_side_px([plan]) == SIDE_PX
    many = [plan] * 40
    pictures = 40 * sum(
        2 + len({cell.row.name for cell in plan.cells if cell.noise == noise})
        for noise in plan.noises
    )
    assert 32 < choose_side_px(many) < SIDE_PX
    assert pictures * choose_side_px(many) ** 2 * BYTES_PER_PX_MAX <= BYTES_MAX < 25 * MIB


def test_the_same_results_make_the_same_page(made):
    plan, root, text = made
    assert render(plan, root) == text


def test_tables_are_read_back_as_written(made):
    plan, root, _ = made
    path = root / f"results/{plan.name}.csv"
    assert lines_as_csv(read_lines(path)) == path.read_text()
    assert len(read_lines(path)) == len(build_lines(plan, PAPER, root))


@pytest.mark.parametrize("read", [read_lines, read_costs])
def test_files_of_another_version_are_refused(tmp_path, read):
    path = tmp_path / "old.csv"
    path.write_text("table,value\n1,2\n")
    with pytest.raises(UnpairedError, match=r"old\.csv: columns .* are needed"):
        read(path)


def test_costs_say_what_is_missing(made):
    plan, root, _ = made
    costs = read_costs(root / f"results/{plan.name}_costs.csv")
    cbm3d = next(row for row in costs.rows if row[0].text == "cbm3d")
    shown = dict(zip(costs.columns, cbm3d, strict=True))
    assert shown["training (s)"].text == "not trained"
    assert shown["paper's budget here (h)"].text == "not measured"


def test_a_curve_is_named_described_and_takes_the_pages_colors():
    curve = draw("a <b>", [Trace("gauss25", 1, [4, 8], [0.5, 0.25])], "c1")
    assert "<svg" in curve.svg
    assert 'aria-labelledby="c1-title c1-desc"' in curve.svg
    assert '<title id="c1-title">a &lt;b&gt;</title>' in curve.svg
    assert "gauss25, seed 1: loss 0.5 at first, 0.25 after 8 images" in curve.svg
    assert "var(--line-1)" in curve.svg
    assert "currentColor" in curve.svg
    assert "#0102" not in curve.svg


def test_phases_and_shared_models_have_one_drawing_each(made):
    titles = re.findall(r"<figcaption>([^<]*phase [ab])</figcaption>", made[2])
    assert "laine19_mu, laine19_pme, phase a" in titles
    assert "n2c, phase b" in titles
    assert not [title for title in titles if "cbm3d" in title]


def test_seeds_of_a_noise_look_alike():
    traces = [Trace(noise, seed, [4, 8], [1, 2]) for noise in ("a", "b") for seed in (1, 2)]
    svg = draw("title", traces, "c1").svg
    assert [svg.count(f"stroke: var(--line-{number})") for number in (1, 2, 3)] == [3, 3, 0]
    assert svg.count(">a</text>") == svg.count(">b</text>") == 1


@pytest.mark.parametrize("number", [3, 4])
def test_ablations_show_our_names_of_rows(tmp_path, number):
    table = load_table(REPOSITORY / f"config/tables/table{number}.yaml")
    plan = make_results(tmp_path, table=table, methods=None)
    page = Page(render(plan, tmp_path))
    assert {method for block, method in page.cells if block == f"table{number}-noise1"} == {
        row.name for row in table.rows
    }
    blocks = {block for block, _ in page.cells if "noise" in block}
    # What the paper printed on other noises has blocks of its own.
    assert len(blocks) >= len(table.noises)


def test_noises_have_full_names():
    assert describe_noise("gauss5_50") == "Gaussian noise, standard deviation 5 to 50 of 255"
    assert describe_noise("poisson30") == "Poisson noise, 30 photons at full intensity"
    assert describe_noise("sidd_raw") == ""


def test_a_training_of_less_than_a_batch_has_no_curve(monkeypatch):
    monkeypatch.setattr(curves, "read_frame", lambda _path: pandas.DataFrame())
    assert curves._traces(SimpleNamespace(id="n2c-0123456789"), Path()) == []
