# Functions and names that the rules share; no rule stands here.
import os
import shlex
import sys
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from filelock import Timeout

from unpaired import catalog
from unpaired.core.errors import UnpairedError, exit_with
from unpaired.core.files import lock_file, sha256_of
from unpaired.core.fingerprint import ROOT, fingerprint
from unpaired.data.contents import contents_of
from unpaired.pipeline.datasets import (
    folder_of,
    get_dataset,
    how_to_get,
    is_present,
    require_typed_paths,
)
from unpaired.pipeline.models import Model, Pairs, Score, TablePlan, short_hash, uses_gpu
from unpaired.pipeline.plan import plan_tables
from unpaired.pipeline.run import Run, as_arguments
from unpaired.pipeline.settings import canonical_json, parse_settings
from unpaired.pipeline.table import load_table

# The interpreter that runs Snakemake has this package; an activated environment is not needed.
shell.prefix(f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH; ")

# Relative, as all paths here: a clone in another place must not look like other input.
TABLES_FOLDER = Path("config", "tables")
PAPER_NUMBERS_FOLDER = Path("config", "paper_numbers")
TEMPLATES_FOLDER = ROOT / "core" / "templates"

# By number, which is not by name.
TABLE_FILES = sorted(
    TABLES_FOLDER.glob("table*.yaml"), key=lambda path: (len(path.name), path.name)
)

try:
    SETTINGS = parse_settings(config)
    require_typed_paths(SETTINGS)
    TABLES = sorted(map(load_table, TABLE_FILES), key=lambda table: table.number)
    RUN = Run(SETTINGS, *plan_tables(TABLES, SETTINGS))
    STAGE_TARGETS = RUN.stage_targets()
except UnpairedError as error:
    exit_with(error)
if not RUN.plans:
    exit_with(next(iter(RUN.refusals.values())))

REPORT = f"results/report{'.part' if RUN.is_part else ''}.html"

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
    "artifact": {"paper": (2_000, 1_000, 1_440), "other": (1_000, 1_000, 10)},
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
    noise="|".join(sorted({noise for table in TABLES for noise in table.all_noises})),
    read_out=r"(\.[a-z0-9_]+)?",
    method=r"[a-z0-9_]+",


def get_model(wildcards) -> Model:
    if wildcards.model not in RUN.models:
        exit_with(
            f"no table of these settings uses model {wildcards.model}; see results/models for others"
        )
    return RUN.models[wildcards.model]


def get_pairs(wildcards) -> Pairs:
    if wildcards.pairs not in RUN.pairs:
        exit_with(f"no table of these settings uses pairs {wildcards.pairs}")
    return RUN.pairs[wildcards.pairs]


def get_score(wildcards) -> Score:
    stem = (
        f"results/scores/{wildcards.model}/{wildcards.protocol}-{wildcards.noise}"
        f"{wildcards.read_out}"
    )
    if stem not in RUN.scores:
        exit_with(f"no table of these settings uses {stem}.csv")
    return RUN.scores[stem]


def get_plan(wildcards) -> TablePlan:
    """Return the plan of a table, refusing to give a part of a table the name of the whole."""
    number = int(wildcards.number)
    if number in RUN.refusals:
        exit_with(RUN.refusals[number])
    if number not in RUN.plans:
        exit_with(
            f"there is no table {number}; there are: {', '.join(map(str, sorted(RUN.plans)))}"
        )
    plan = RUN.plans[number]
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
            for plan in RUN.plans.values()
            for suffix in (".csv", "_costs.csv", ".json")
        ],
        "scores": [f"{stem}.{suffix}" for stem in RUN.scores for suffix in ("csv", "png", "json")],
        "models": [
            f"results/models/{model.id}/{name}"
            for model in RUN.models.values()
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
    return get_dataset(wildcards.dataset, SETTINGS).made_in or []


@cache
def pictures_of(name):
    """The digest of what a data set's folder holds; None where there is no folder to look at.

    The main process alone looks; jobs on other nodes take what it found.
    """
    dataset = get_dataset(name, SETTINGS)
    folder = folder_of(dataset, SETTINGS)
    if dataset.made_in or folder is None:
        return None
    memory = Path(".snakemake", "pictures", f"{name}.json")
    try:
        return contents_of(dataset, folder, memory, look=workflow.is_main_process)
    except UnpairedError as error:
        exit_with(error)


def code_of(noise, models, *modules):
    """The code of modules and of models, and a condition's values, which stand in none of them."""
    code = fingerprint(*modules, *(model.module for model in models))
    condition = catalog.conditions().get(noise)
    return f"{code}-{short_hash(dict(condition.values))}" if condition else code


def training_code(wildcards):
    model = get_model(wildcards)
    others = [other for _, other in model.needs]
    return code_of(model.spec["noise"], [model, *others], "unpaired.stages.train")


def training_input(wildcards):
    model = get_model(wildcards)
    files = {"packs": [RUN.pack(name) for name in model.packs]} | RUN.artifacts(model.artifacts)
    if model.start:
        files["start"] = model.start.file
    return files | {f"needs_{role}": other.file for role, other in model.needs}


def training_options(wildcards, input):
    """What a training is given besides packs: where it starts, artifacts, and other models."""
    model = get_model(wildcards)
    start = [f"--start={model.start.file}"] if model.start else []
    needs = [f"--need={role}={other.file}" for role, other in model.needs]
    return [*start, *RUN.artifact_options(model.artifacts), *needs]


def work_folder(wildcards, input):
    return str(Path(SETTINGS.work_root, wildcards.model))


def scored_with(score):
    """The artifacts that a score is made with, name -> data set."""
    return dict.fromkeys(catalog.scorer(score.task).artifacts, score.protocol.testset)


def evaluation_code(wildcards):
    score = get_score(wildcards)
    models = [score.model, *(other for _, other in [*score.model.needs, *score.inputs])]
    scorer = catalog.scorer(score.task).module
    return code_of(score.noise, models, "unpaired.stages.evaluate", scorer)


def evaluation_input(wildcards):
    score = get_score(wildcards)
    files = {"pack": RUN.pack(score.protocol.testset)} | RUN.artifacts(scored_with(score))
    if score.model.file:
        files["model"] = score.model.file
    elif score.model.packs:
        (pictures,) = score.model.packs
        files["pictures"] = RUN.pack(pictures)
    files |= {f"needs_{role}": other.file for role, other in score.model.needs}
    files |= {f"with_{name}": other.file for name, other in score.inputs}
    files["splits"] = [
        RUN.split(data_set, score.protocol.testset) for data_set in score.model.data_sets
    ]
    return files


def evaluation_options(wildcards, input):
    score = get_score(wildcards)
    files = [f"--{key}={input[key]}" for key in ("model", "pictures") if key in input.keys()]
    files += RUN.artifact_options(scored_with(score))
    files += [f"--need={role}={other.file}" for role, other in score.model.needs]
    files += [f"--with={name}={other.file}" for name, other in score.inputs]
    crop = [f"--crop-px={score.protocol.crop_px}"] if score.protocol.crop_px else []
    read_out = [f"--read-out={score.read_out}"] if score.read_out else []
    protocol = [f"--noise={score.noise}", f"--repeats={score.protocol.repeats}"]
    return [f"--task={score.task}", *files, *protocol, *crop, *read_out]


def own_files(names):
    """The digests of the settings' own files that stand in place of artifacts."""
    return {name: RUN.digests[name] for name in names if name in RUN.digests}


def stage_input(stage, wildcards):
    """The files of a system's own rule, or one line where these settings have none."""
    files = RUN.files_of(stage)
    if files is None or getattr(wildcards, "part", "") != RUN.part_of(stage):
        exit_with(
            f"{stage.name}: these settings narrow or leave out what it shows; ask for it with the "
            "settings of whole tables"
        )
    return files


def stage_output(stage):
    made = {}
    for key, output in stage.outputs.items():
        path = directory(output.path) if output.is_folder else output.path
        if output.category:
            caption = f"../report/{stage.caption}"
            labels = {"holds": output.holds}
            path = report(path, caption=caption, category=output.category, labels=labels)
        made[key] = path
    return made


def stage_arguments(stage, wildcards, input, output):
    files = as_arguments({key: input[key] for key in input.keys()})
    made = as_arguments({key: output[key] for key in output.keys()})
    return [*files, *made, *as_arguments(stage.arguments(RUN))]


def stage_code(stage, wildcards):
    return fingerprint(stage.module, *stage.code(RUN))


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


def declared(wildcards):
    """What a table takes of its scorer's declaration: no code that is fingerprinted holds it."""
    scorer = catalog.scorer(get_plan(wildcards).table.task)
    metrics = {name: vars(metric) for name, metric in scorer.metrics.items()}
    code = fingerprint(scorer.notes.partition(":")[0]) if scorer.notes else None
    return canonical_json({"metrics": metrics, "ends": scorer.ends, "notes": code})


def table_settings(wildcards, input):
    """All settings, for the stage."""
    return canonical_json(SETTINGS.model_dump())


def what_tables_show(wildcards):
    """What a table depends on: not where and how its models are trained, nor where pictures lie."""
    how = {"devices", "nodes", "workers", "checkpoint_seconds"}
    places = {"data_root", "folders", "files", "work_root"}
    shown = SETTINGS.model_dump(
        exclude={"device": True, "training": how} | dict.fromkeys(places, True)
    )
    return canonical_json(shown | {"folders": sorted(SETTINGS.folders), "files": RUN.digests})


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
