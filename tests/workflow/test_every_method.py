"""Every row of the tables through the real DAG, as small as it goes."""

from __future__ import annotations

import csv
import json

import pytest
import yaml

from tests.conftest import REPOSITORY
from unpaired.pipeline.table import load_table

# What follows --config is added to the demo's settings, whose trainings are of minutes.
DEMO_OVERRIDES = yaml.safe_load((REPOSITORY / "config/config.yaml").read_text())["overrides"]
SIZES = {
    "images_seen": 4,
    "batch_size": 4,
    "width": 4,
    "depth": 3,
    "iterations": 1,
    "passes": 1,
    "blocks": 1,
    "residual_width": 4,
    "code_dim": 4,
    "codes": 8,
}
TINY_OVERRIDES = {
    method: {key: value for key, value in SIZES.items() if key in own}
    for method, own in DEMO_OVERRIDES.items()
} | {"mcwnnm": {"rounds": 1, "iterations": 1, "patches": 4}}
TINY = [
    "--cores",
    "2",
    "--configfile",
    "config/smoke.yaml",
    "--config",
    "methods=null",
    "device=cpu",
    "training={images_seen: 4, patch_px: 64}",
    f"overrides={json.dumps(TINY_OVERRIDES)}",
]
# Constants of a copy of the project: less drawn data, made and scored in the same way.
FEW_SCENES = {
    "src/unpaired/data/sources/color_scenes.py": {
        'SCENES = {"train": 2000, "test": 60}': 'SCENES = {"train": 100, "test": 20}',
    },
}
COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 500)
RANDOM, LARGEST = ([f"{kind}_{count}" for count in COUNTS] for kind in ("random", "max_error"))
# The curves of Table 11 have a score for each number of points; few of them show the same.
FEW_HINTS = {
    "config/tables/table11.yaml": {
        f"[automatic, gt_colors, {', '.join(RANDOM + LARGEST[:7])}]": (
            "[automatic, gt_colors, random_2, max_error_2]"
        ),
        f"[gt_colors, {', '.join(RANDOM + LARGEST[:4])}]": "[gt_colors, random_2, max_error_2]",
    },
}
FEW_FACADES = {
    "src/unpaired/systems/translation/sources/drawn_facades.py": {
        '{"train": 2000, "test": 100}': '{"train": 20, "test": 10}',
    },
}
# Budgets are of the paper's sizes, and tests of their own measure them.
NO_MEASURED_BUDGETS = {
    "src/unpaired/stages/budget.py": {
        "paper_budget(arguments.method, arguments.device, arguments.options)": (
            'dict(device="none", precision="fp32", hours=1.0, hours_per="training")'
        ),
    },
}
FEW_JUDGMENTS = {
    "src/unpaired/systems/perceptual/__init__.py": {
        "DISTORTING_NETWORKS = 24": "DISTORTING_NETWORKS = 3",
    },
    "src/unpaired/systems/perceptual/sources/simulated_bapps.py": {
        '{"traditional": 600, "cnn": 400, "mix": 600}': '{"traditional": 60, "cnn": 40, "mix": 60}',
        '{"traditional": 600, "cnn": 600}': '{"traditional": 60, "cnn": 60}',
        '{"traditional": 400, "cnn": 400}': '{"traditional": 40, "cnn": 40}',
    },
    "src/unpaired/systems/perceptual/distortions/growth.py": {"PATCHES = 24": "PATCHES = 4"},
    "src/unpaired/systems/features/sources/drawn_things.py": {'"train": 4000': '"train": 40'},
}
FEW_PORTRAITS = {
    "src/unpaired/systems/few_shot/sources/drawn_portraits.py": {
        "range(581, 3_581)": "range(581, 645)",
        "range(3_581, 3_837)": "range(3_581, 3_613)",
    },
}


@pytest.fixture
def project(project):
    make_less(project, NO_MEASURED_BUDGETS)
    return project


def make_less(project, changes: dict[str, dict[str, str]]) -> None:
    for name, constants in changes.items():
        path = project.folder / name
        text = path.read_text()
        for before, after in constants.items():
            assert text.count(before) == 1, (name, before)
            text = text.replace(before, after)
        path.write_text(text)


def lines_of(project, number: int, *settings: str) -> list[dict[str, str]]:
    target = f"results/table{number}.part.csv" if not settings else f"results/table{number}.csv"
    done = project.run(*TINY, *settings, "--", target)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(project.folder / target, newline="") as file:
        return [line for line in csv.DictReader(file) if line["scale"]]


@pytest.mark.workflow
@pytest.mark.long
def test_every_row_is_run(project):
    """Rows of Tables 3 and 4 are methods of this table with other settings."""
    lines = lines_of(project, 1)
    assert all(float(line["value"]) > 0 for line in lines)
    table = load_table(REPOSITORY / "config/tables/table1.yaml")
    rows = [
        row for row in table.rows if "gauss25" in (row.noises or table.noises) and not row.weights
    ]
    assert len(lines) == 2 * len(rows)


@pytest.mark.workflow
@pytest.mark.long
def test_every_row_of_colorization_is_run_and_drawn(project):
    make_less(project, FEW_SCENES)
    figures = [
        f"results/figures/table10_{name}.png"
        for name in ("methods", "temperatures", "histograms", "distributions")
    ]
    options = [
        "noises=[none]",
        "testsets=null",
        "overrides={colorization: {images_seen: 4, patch_px: 64, picture_px: 64, width: 2}}",
    ]
    tiny = [option for option in TINY if not option.startswith("overrides")]
    done = project.run(*tiny, *options, "--", "results/table10.csv", *figures)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(project.folder / "results/table10.csv", newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["scale"]]
    table = load_table(REPOSITORY / "config/tables/table10.yaml")
    assert len(lines) == 2 * len(table.rows) * len(table.metrics)
    assert all(0 < float(line["value"]) <= 100 for line in lines)
    for name in figures:
        assert (project.folder / name).stat().st_size > 10_000
    again = project.run(*tiny, *options, "-n", "--", "results/table10.csv", *figures)
    assert "Nothing to be done" in again.stdout + again.stderr


@pytest.mark.workflow
@pytest.mark.long
def test_every_hint_is_told_and_drawn(project):
    make_less(project, FEW_SCENES | FEW_HINTS)
    sizes = {"images_seen": 4, "batch_size": 2, "width": 2, "patch_px": 64, "picture_px": 64}
    own = {name: sizes for name in ("colorization", "local_hints", "global_hints")}
    (project.folder / "tiny.yaml").write_text(yaml.safe_dump({"overrides": own}))
    names = ("curves", "suggestions", "unusual", "one_area", "histograms")
    figures = [f"results/figures/table11_{name}.png" for name in names]
    targets = ["results/table11.csv", "results/table11_suggestions.csv", *figures]
    settings = ["--cores", "2", "--configfile", "tiny.yaml", "--config", "device=cpu"]
    done = project.run(*settings, "--", *targets)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(project.folder / "results/table11.csv", newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["scale"]]
    told = {
        "gray": {"automatic"},
        "full": {"automatic"},
        "class": {"automatic"},
        "global": {"automatic", "global_hist", "global_sat", "global_both"},
        "local": {"automatic", "gt_colors", "random_2", "max_error_2"},
        "edit_propagation": {"gt_colors", "random_2", "max_error_2"},
    }
    rows = load_table(REPOSITORY / "config/tables/table11.yaml").rows
    printed_as = {row.name: row.printed_as or row.name for row in rows}
    found = {
        row: {line["setting"] for line in lines if line["method"] == printed_as[row]}
        for row in told
    }
    assert found == told
    assert all(float(line["value"]) > 0 for line in lines)
    with open(project.folder / "results/table11_suggestions.csv", newline="") as file:
        assert next(line["true_color_ab"] for line in csv.DictReader(file)) == "every"
    for name in figures:
        assert (project.folder / name).stat().st_size > 10_000
    again = project.run(*settings, "-n", "--", *targets)
    assert "Nothing to be done" in again.stdout + again.stderr


@pytest.mark.workflow
@pytest.mark.long
def test_every_distance_is_judged_and_drawn(project):
    make_less(project, FEW_JUDGMENTS)
    own = {
        "lpips": {"images_seen": 100, "width": 0.1},
        "distorting_autoencoder": {"images_seen": 8},
        "cross_channel": {"images_seen": 32, "width": 0.1},
    }
    figures = ["two_afc", "two_afc_jnd", "lpips_weights", "disagreements", "distortions"]
    settings = [*TINY[:-1], f"overrides={json.dumps(own)}", "noises=[none]", "testsets=null"]
    targets = ["results/table20.csv", *(f"results/figures/{name}.png" for name in figures)]
    done = project.run(*settings, "--", *targets)
    assert done.returncode == 0, done.stdout + done.stderr
    for number in (19, 20):
        with open(project.folder / f"results/table{number}.csv", newline="") as file:
            lines = [line for line in csv.DictReader(file) if line["scale"]]
        table = load_table(REPOSITORY / f"config/tables/table{number}.yaml")
        run = {line["method"] for line in lines if line["metric"] != "correlation"}
        needs_weights = {row.name for row in table.rows if row.weights}
        assert run == {
            row.printed_as or row.name
            for row in table.rows
            if not (row.weights or row.only_at == "paper" or row.starts_from in needs_weights)
            and row.name != "human"
        }
        assert all(
            0 <= float(line["value"]) <= 100 for line in lines if line["metric"] != "correlation"
        )
    again = project.run(*settings, "-n", "--", *targets)
    assert "Nothing to be done" in again.stdout + again.stderr


@pytest.mark.workflow
@pytest.mark.long
def test_every_reconstruction_of_few_pairs_is_run_and_drawn(project):
    make_less(project, FEW_PORTRAITS)
    network = {"widths": "8 16", "groups": 4}
    tiny = {
        method: DEMO_OVERRIDES[method] | network | {"images_seen": 20, "validate_every_images": 10}
        for method in ("supervised_start", "supervised", "sud", "sud_noise", "sud2")
    }
    tiny["ddpm"] = DEMO_OVERRIDES["ddpm"] | network | {"images_seen": 32}
    tiny["portrait_features"] = DEMO_OVERRIDES["portrait_features"] | {"images_seen": 64}
    (project.folder / "tiny.yaml").write_text(yaml.safe_dump({"overrides": tiny}))
    targets = ["results/table8.csv", "results/table8_differences.csv"]
    targets += [
        f"results/figures/table8_{name}.png" for name in ("examples", "portraits", "drift", "prior")
    ]
    settings = ["--cores", "2", "--configfile", "tiny.yaml", "--config", "device=cpu"]
    done = project.run(*settings, "--", *targets)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(project.folder / "results/table8.csv", newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["scale"]]
    table = load_table(REPOSITORY / "config/tables/table8.yaml")
    assert {line["dataset"] for line in lines} == {"drawn_portraits"}
    assert {line["method"] for line in lines} == {
        row.printed_as or row.name for row in table.rows if not row.only_at
    }
    assert {line["metric"] for line in lines} == set(table.metrics)
    again = project.run(*settings, "-n", "--", *targets)
    assert "Nothing to be done" in again.stdout + again.stderr


@pytest.mark.workflow
@pytest.mark.long
def test_every_translation_is_run_and_drawn(project):
    tiny = {"bicyclegan": DEMO_OVERRIDES["bicyclegan"] | {"images_seen": 4, "width": 4}}
    (project.folder / "tiny.yaml").write_text(yaml.safe_dump({"overrides": tiny, "scale": "smoke"}))
    make_less(project, FEW_FACADES)
    targets = ["results/table13.csv", "results/table14.csv"]
    targets += [
        f"results/figures/table{name}.png" for name in ("13_samples", "13_realism", "14_lengths")
    ]
    settings = ["--cores", "2", "--configfile", "tiny.yaml", "--config", "device=cpu"]
    done = project.run(*settings, "--", *targets)
    assert done.returncode == 0, done.stdout + done.stderr
    for number in (13, 14):
        with open(project.folder / f"results/table{number}.csv", newline="") as file:
            lines = [line for line in csv.DictReader(file) if line["scale"]]
        table = load_table(REPOSITORY / f"config/tables/table{number}.yaml")
        assert {line["dataset"] for line in lines} == {"drawn_facades_test"}
        assert {(line["setting"], line["method"]) for line in lines} == {
            (row.setting, row.printed_as or row.name) for row in table.rows if not row.only_at
        }
        assert {line["metric"] for line in lines} == set(table.metrics)


@pytest.mark.workflow
@pytest.mark.long
def test_every_picture_is_sent_and_drawn(project):
    make_less(project, FEW_PORTRAITS)
    own = {
        "ddpm": {"widths": "8 16", "groups": 4, "images_seen": 32},
        "portrait_features": {"images_seen": 64},
        "deepjscc": {"widths": "8 8", "images_seen": 48},
        "deepjscc_post": {"width": 8, "blocks": 1, "images_seen": 32},
        "invertible": {"width": 8, "blocks": 1, "images_seen": 32},
        "commin": {"steps": 2},
        "unguided": {"steps": 2},
        "noised_and_denoised": {"steps": 2},
    }
    tiny = {method: DEMO_OVERRIDES[method] | changes for method, changes in own.items()}
    (project.folder / "tiny.yaml").write_text(yaml.safe_dump({"overrides": tiny}))
    targets = ["results/table9.csv"]
    targets += [f"results/figures/table9_{name}.png" for name in ("psnr", "lpips", "examples")]
    settings = ["--cores", "2", "--configfile", "tiny.yaml", "--config", "device=cpu"]
    done = project.run(*settings, "--", *targets)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(project.folder / "results/table9.csv", newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["scale"]]
    table = load_table(REPOSITORY / "config/tables/table9.yaml")
    assert {line["method"] for line in lines} == {row.name for row in table.rows if not row.only_at}
    assert {line["setting"] for line in lines} == set(table.noises)
    assert {line["n_images"] for line in lines} == {"32"}
    arrived = {line["method"]: line["value"] for line in lines if line["metric"] == "arrived"}
    assert float(arrived["commin"]) == 100
    status = {(line["method"], line["metric"]): line["status"] for line in lines}
    assert status["jpeg2000", "psnr_db"] == "no picture"
    assert status["commin", "lpips"] == "no weights"
    assert status["commin", "psnr_db"] == "ok"
    assert not list((project.folder / "results/work/scores").rglob("*.parts"))
    again = project.run(*settings, "-n", "--", *targets)
    assert "Nothing to be done" in again.stdout + again.stderr
