# Functions and names that the rules share; no rule stands here.
import os
import shlex
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from filelock import Timeout

from unpaired.datasets import (
    RENDERED,
    folder_of,
    get_dataset,
    how_to_get,
    is_present,
    require_typed_paths,
)
from unpaired.datasets.contents import contents_of
from unpaired.errors import UnpairedError, exit_with
from unpaired.files import lock_file, sha256_of
from unpaired.fingerprint import ROOT, fingerprint
from unpaired.methods import module_of
from unpaired.plan import Model, Pairs, Score, TablePlan, plan_tables, uses_gpu
from unpaired.tasks import module_of_task
from unpaired.settings import canonical_json, load_table, parse_settings

# The interpreter that runs Snakemake has this package; an activated environment is not needed.
shell.prefix(f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")

# Relative, as all paths here: a clone in another place must not look like other input.
TABLES_FOLDER = Path("config", "tables")
PAPER_NUMBERS_FOLDER = Path("config", "paper_numbers")
TEMPLATES_FOLDER = ROOT / "templates"

# By number, which is not by name.
TABLE_FILES = sorted(
    TABLES_FOLDER.glob("table*.yaml"), key=lambda path: (len(path.name), path.name)
)

try:
    SETTINGS = parse_settings(config)
    require_typed_paths(SETTINGS)
    # Identity of the colour prior that the settings name, wherever its file lies.
    COLOUR_PRIOR = sha256_of(SETTINGS.colour_prior) if SETTINGS.colour_prior else None
    TABLES = sorted(map(load_table, TABLE_FILES), key=lambda table: table.number)
    PLANS, REFUSALS = plan_tables(TABLES, SETTINGS)
except UnpairedError as error:
    exit_with(error)
if not PLANS:
    exit_with(next(iter(REFUSALS.values())))

MODELS = {model.id: model for plan in PLANS.values() for model in [*plan.models, *plan.trainings]}
RENDERERS = list({m.id: m for plan in PLANS.values() for m in plan.renderers}.values())
MODELS |= {model.id: model for model in RENDERERS}
PAIRS = {model.pairs.id: model.pairs for model in MODELS.values() if model.pairs}
SCORES = {score.stem: score for plan in PLANS.values() for score in plan.scores}

IS_PART = bool(REFUSALS) or any(plan.is_part for plan in PLANS.values())
REPORT = f"results/report{'.part' if IS_PART else ''}.html"

NOISE_STATISTICS = f"noise_statistics{'.part' if 6 in PLANS and PLANS[6].is_part else ''}"

# GPUs of a job that computes, and of a training on each machine.
GPU = int(uses_gpu(SETTINGS))
TRAINING = SETTINGS.training
TRAINING_GPUS = GPU * TRAINING.devices

# What a job may need: megabytes of memory and of disk, and minutes; for each rule, at paper scale,
# where data sets are whole and trainings take days, and at the others. Another attempt may need
# more of it: a cluster ends jobs that go beyond.
NEEDS = {
    "pack": {"paper": (4_000, 300_000, 1_440), "other": (1_000, 1_000, 60)},
    "check_split": {"paper": (4_000, 1_000, 120), "other": (1_000, 1_000, 10)},
    "ab_quantization": {"paper": (2_000, 1_000, 1_440), "other": (1_000, 1_000, 10)},
    "synthesize": {"paper": (16_000, 100_000, 1_440), "other": (2_000, 1_000, 60)},
    "submission": {"paper": (16_000, 4_000, 480), "other": (4_000, 4_000, 240)},
    "train": {"paper": (16_000, 4_000, 2_880), "other": (4_000, 1_000, 60)},
    "evaluate": {"paper": (16_000, 1_000, 2_880), "other": (4_000, 1_000, 60)},
    "budget": {"paper": (16_000, 1_000, 60), "other": (4_000, 1_000, 30)},
    "table": {"paper": (1_000, 1_000, 10), "other": (1_000, 1_000, 10)},
    "figure": {"paper": (1_000, 1_000, 10), "other": (1_000, 1_000, 10)},
    "report": {"paper": (4_000, 1_000, 30), "other": (1_000, 1_000, 10)},
}


def need(rule_name, resource):
    """Return the function of the attempt that Snakemake asks for a rule's resource."""
    scale = "paper" if SETTINGS.scale == "paper" else "other"
    of_first_attempt = dict(
        zip(("mem_mb", "disk_mb", "runtime"), NEEDS[rule_name][scale], strict=True)
    )
    return lambda wildcards, attempt: of_first_attempt[resource] * attempt


# On several machines of a SLURM cluster srun starts one command on each, which starts the others.
LAUNCHER = "srun --ntasks-per-node=1" if TRAINING.nodes > 1 else ""
BY_SRUN = {"mpi": LAUNCHER, "tasks": TRAINING.nodes} if LAUNCHER else {}


wildcard_constraints:
    number=r"\d+",
    part=r"(\.part)?",
    dataset=r"(?!pairs_)[a-z0-9_]+",
    space=r"Raw|Srgb",
    pairs=r"pairs_[0-9a-f]{10}",
    train_set=r"[a-z0-9_]+",
    model=r"[a-z0-9_]+-[0-9a-f]{10}",
    protocol=r"[a-z0-9_]+_(whole|crop\d+)_r\d+",
    noise=r"[a-z0-9_]+",
    read_out=r"(\.[a-z0-9_]+)?",
    method=r"[a-z0-9_]+",


def get_model(wildcards) -> Model:
    if wildcards.model not in MODELS:
        exit_with(
            f"no table of these settings uses model {wildcards.model}; see results/models for others"
        )
    return MODELS[wildcards.model]


def get_pairs(wildcards) -> Pairs:
    if wildcards.pairs not in PAIRS:
        exit_with(f"no table of these settings uses pairs {wildcards.pairs}")
    return PAIRS[wildcards.pairs]


def get_score(wildcards) -> Score:
    stem = (
        f"results/scores/{wildcards.model}/{wildcards.protocol}-{wildcards.noise}"
        f"{wildcards.read_out}"
    )
    if stem not in SCORES:
        exit_with(f"no table of these settings uses {stem}.csv")
    return SCORES[stem]


def get_plan(wildcards) -> TablePlan:
    """Return the plan of a table, refusing to give a part of a table the name of the whole."""
    number = int(wildcards.number)
    if number in REFUSALS:
        exit_with(REFUSALS[number])
    if number not in PLANS:
        exit_with(f"there is no table {number}; there are: {', '.join(map(str, sorted(PLANS)))}")
    plan = PLANS[number]
    if plan.is_part and not wildcards.part:
        exit_with(
            f"the settings narrow table {wildcards.number}: ask for results/{plan.name}.csv, "
            "so that the whole table is not overwritten"
        )
    if wildcards.part and not plan.is_part:
        exit_with(f"the settings give all of table {wildcards.number}: no part to write")
    return plan


def figures_of(plan: TablePlan) -> list[str]:
    if not plan.table.pictures:
        return []
    scored = {cell.noise for cell in plan.cells if cell.scores}
    return [f"results/figures/{plan.name}_{noise}.png" for noise in plan.noises if noise in scored]


def report_input(wildcards):
    """All that the report shows, refusing to give a part of the tables the name of the whole."""
    if REPORT != f"results/report{wildcards.part}.html":
        exit_with(f"these settings make {REPORT}; ask for that")
    return {
        "tables": [
            f"results/{plan.name}{suffix}"
            for plan in PLANS.values()
            for suffix in (".csv", "_costs.csv", ".json")
        ],
        "scores": [f"{stem}.{suffix}" for stem in SCORES for suffix in ("csv", "png", "json")],
        "models": [
            f"results/models/{model.id}/{name}"
            for model in MODELS.values()
            if model.is_trained
            for name in ("model.json", "history.csv")
        ],
        # Their content stands in the params, as that of the paper's numbers does.
        "table_files": ancient(TABLE_FILES),
    }


# Text of a person's settings may hold anything: it enters a command through ":q", a list of
# arguments as "--key=value", so that a leading dash is no option. What says where things lie and
# not what they are stands in functions that take ``input``: Snakemake compares their values with
# those of the last run as little as it does resources.


def pack_options(wildcards, input):
    """The data set, and where its pictures lie."""
    dataset = get_dataset(wildcards.dataset, SETTINGS)
    own = ["--own"] if dataset.name in SETTINGS.folders else []
    folder = folder_of(dataset, SETTINGS)
    at = [] if folder is None else [f"--folder={folder}"]
    return [f"--dataset={dataset.name}", *own, *at]


def rendered_folder(wildcards):
    """The folder of a data set that a rule makes; those of a person are known by `pictures_of`."""
    return [str(RENDERED)] if get_dataset(wildcards.dataset, SETTINGS).rendered else []


@cache
def pictures_of(name):
    """The digest of what a data set's folder holds; None where there is no folder to look at.

    The main process alone looks; jobs on other nodes take what it found.
    """
    dataset = get_dataset(name, SETTINGS)
    folder = folder_of(dataset, SETTINGS)
    if dataset.rendered or folder is None:
        return None
    memory = Path(".snakemake", "pictures", f"{name}.json")
    try:
        return contents_of(dataset, folder, memory, look=workflow.is_main_process)
    except UnpairedError as error:
        exit_with(error)


def training_input(wildcards):
    model = get_model(wildcards)
    files = {"packs": [f"results/packs/{name}.h5" for name in model.packs]}
    if model.prior:
        files |= prior_input(model.spec["train_set"])
    return files | ({"start": model.start.file} if model.start else {})


def training_options(wildcards, input):
    """The model that a training starts from, and the colour prior, where it has them."""
    start = [f"--start={input.start}"] if "start" in input.keys() else []
    return [*start, *(prior_options(input) if get_model(wildcards).prior else [])]


def work_folder(wildcards, input):
    return str(Path(SETTINGS.work_root, wildcards.model))


def prior_input(data_set):
    """The colour prior of a data set's pictures, as input of a rule.

    None where the settings name another: that is known by its digest, not by its place and time.
    """
    return {} if COLOUR_PRIOR else {"prior": f"results/priors/{data_set}.npy"}


def prior_options(input):
    return [f"--prior={SETTINGS.colour_prior if COLOUR_PRIOR else input.prior}"]


def evaluation_input(wildcards):
    score = get_score(wildcards)
    files = {"pack": f"results/packs/{score.protocol.testset}.h5"}
    if score.model.file:
        files["model"] = score.model.file
    elif score.model.packs:
        (pictures,) = score.model.packs
        files["pictures"] = f"results/packs/{pictures}.h5"
    if score.task == "colorize":
        files |= prior_input(score.protocol.testset)
    files["splits"] = [
        f"results/packs/disjoint/{data_set}-{score.protocol.testset}.txt"
        for data_set in score.model.data_sets
    ]
    return files


def evaluation_options(wildcards, input):
    score = get_score(wildcards)
    files = [f"--{key}={input[key]}" for key in ("model", "pictures") if key in input.keys()]
    prior = prior_options(input) if score.task == "colorize" else []
    crop = [f"--crop-px={score.protocol.crop_px}"] if score.protocol.crop_px else []
    read_out = [f"--read-out={score.read_out}"] if score.read_out else []
    protocol = [f"--noise={score.noise}", f"--repeats={score.protocol.repeats}"]
    return [f"--task={score.task}", *files, *prior, *protocol, *crop, *read_out]


def degradations():
    """The degradation models of the table of real noise in sRGB, if these settings have it."""
    plan = PLANS.get(6)
    return [m.pairs.model for m in plan.models if m.pairs] if plan else []


def noise_statistics_input(wildcards):
    if NOISE_STATISTICS != f"noise_statistics{wildcards.part}" or not degradations():
        exit_with("the learned noise is that of table 6, which these settings narrow or leave out")
    plan = PLANS[6]
    test_set = next(cell.testset for cell in plan.cells if cell.is_present)
    train_set = plan.table.train_sets.at(SETTINGS.scale).pairs
    return {
        "models": [model.file for model in degradations()],
        "test": f"results/packs/{test_set}.h5",
        "train": f"results/packs/{train_set}.h5",
        "split": f"results/packs/disjoint/{train_set}-{test_set}.txt",
    }


COLOUR_FIGURES = ("methods", "temperatures", "histograms", "distributions")


def colorizers():
    """The trained models of the table of colorization by row, of the first seed each.

    None where these settings leave out the row whose distributions are drawn.
    """
    cells = PLANS[10].cells if 10 in PLANS else ()
    models = {cell.row.name: cell.scores[0].model for cell in cells if cell.scores}
    trained = {row: model for row, model in models.items() if model.is_trained}
    return trained if "full" in trained else {}


def colour_figures():
    part = ".part" if 10 in PLANS and PLANS[10].is_part else ""
    names = COLOUR_FIGURES if colorizers() else ()
    return [f"results/figures/table10{part}_{name}.png" for name in names]


def colour_figures_input(wildcards):
    if f"results/figures/table10{wildcards.part}_methods.png" not in colour_figures():
        exit_with("the colours are those of table 10, which these settings narrow or leave out")
    plan = PLANS[10]
    present = dict.fromkeys(cell.testset for cell in plan.cells if cell.is_present)
    return {
        "models": [model.file for model in colorizers().values()],
        "packs": [f"results/packs/{testset}.h5" for testset in present],
    } | prior_input(plan.table.train_sets.at(SETTINGS.scale).pairs)


# The row whose distances stand beside SSIM's, and whose weights are shown.
JUDGED_LEARNED = "kmeans_lin"


def has_judgments() -> bool:
    """Whether these settings have Tables 19 and 20 as a whole."""
    return all(number in PLANS and not PLANS[number].is_part for number in (19, 20))


def judgments_input(wildcards):
    if not has_judgments():
        exit_with("these figures show Tables 19 and 20, which these settings narrow or leave out")
    cells = [cell for cell in PLANS[19].cells if cell.scores]
    testset = cells[0].testset
    of_row = {cell.row.name: cell.scores[0] for cell in cells if cell.testset == testset}
    return {
        "tables": ["results/table19.csv", "results/table20.csv"],
        "records": [
            "results/table19.json",
            "results/table20.json",
            *(f"{of_row[row].stem}.json" for row in ("ssim", JUDGED_LEARNED)),
        ],
        "model": of_row[JUDGED_LEARNED].model.file,
        "ssim": f"{of_row['ssim'].stem}.csv",
        "learned": f"{of_row[JUDGED_LEARNED].stem}.csv",
        "pack": f"results/packs/{testset}.h5",
    }


def judgment_figures() -> list[str]:
    names = ("two_afc", "lpips_weights", "disagreements", "two_afc_jnd") if has_judgments() else ()
    sheet = ["distortions"] if RENDERERS else []
    return [f"results/figures/{name}.png" for name in (*names, *sheet)]


def submission_input(wildcards):
    model = get_model(wildcards)
    dataset = get_dataset(f"sidd_benchmark_{wildcards.space.lower()}", SETTINGS)
    if not is_present(dataset, SETTINGS):
        exit_with(how_to_get(dataset, SETTINGS))
    files = {"pack": f"results/packs/{dataset.name}.h5"}
    return files | ({"model": model.file} if model.file else {})


def submission_options(wildcards, input):
    model = [f"--model={input.model}"] if get_model(wildcards).file else []
    read_out = [f"--read-out={wildcards.read_out[1:]}"] if wildcards.read_out else []
    return [*model, *read_out]


def paper_numbers_of(plan: TablePlan) -> Path:
    return PAPER_NUMBERS_FOLDER / plan.table.paper_numbers


def table_input(wildcards):
    plan = get_plan(wildcards)
    return {
        "scores": [f"{score.stem}.{suffix}" for score in plan.scores for suffix in ("csv", "json")],
        "models": [f"results/models/{model.id}/model.json" for model in plan.trainings],
        "budgets": [f"results/budgets/{method}.json" for method in plan.measured_budgets],
        # Its digest stands in the params: a clone's newer file time says nothing.
        "paper_numbers": local(ancient(paper_numbers_of(plan))),
    }


def table_settings(wildcards, input):
    """All settings, for the stage."""
    return canonical_json(SETTINGS.model_dump())


def what_tables_show(wildcards):
    """What a table depends on: not where and how its models are trained, nor where pictures lie."""
    how = {"devices", "nodes", "workers", "checkpoint_seconds"}
    places = {"data_root", "folders", "colour_prior", "work_root"}
    shown = SETTINGS.model_dump(
        exclude={"device": True, "training": how} | dict.fromkeys(places, True)
    )
    return canonical_json(
        shown | {"folders": sorted(SETTINGS.folders), "colour_prior": COLOUR_PRIOR}
    )


def bring_back_from_the_future():
    """Give results that carry a time to come, since a clock was set back, the present one.

    Snakemake would make everything again that comes from them, and refuse it as older than they.
    """
    now = time.time()
    for path in Path("results").rglob("*"):
        with suppress(OSError):
            if path.stat().st_mtime > now:
                os.utime(path, (now, now))


if workflow.is_main_process:
    bring_back_from_the_future()

RUN_LOCK = []


def hold_run_lock():
    """Let one run at a time work in this folder.

    The kernel frees this lock when the process ends, however it ends; Snakemake's own lock stays
    behind after kill -9 and is therefore switched off in profiles/default.
    """
    lock = lock_file(Path(".snakemake", "run.lock"))
    try:
        lock.acquire(blocking=False)
    except Timeout:
        exit_with(f"another run is working in {Path.cwd()}; wait for it to end or stop it")
    RUN_LOCK.append(lock)
