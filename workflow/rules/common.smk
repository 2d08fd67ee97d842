# Functions and names that the rules share; no rule stands here.
import os
import shlex
import sys
import time
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path

from filelock import Timeout
from snakemake.settings.types import DeploymentMethod

from unpaired import catalog
from unpaired.core.errors import UnpairedError, exit_with
from unpaired.core.files import remove_leftovers, sha256_of
from unpaired.core.finished import forget_finished
from unpaired.core.fingerprint import ROOT, fingerprint
from unpaired.core.locks import locked, nobody_at_work
from unpaired.core.start_server import start_server
from unpaired.data.contents import contents_of
from unpaired.pipeline.datasets import (
    folder_in,
    folder_of,
    get_dataset,
    how_to_get,
    is_present,
    require_typed_paths,
)
from unpaired.pipeline.models import Budget, Model, Pairs, Score, TablePlan, short_hash, uses_gpu
from unpaired.pipeline.plan import plan_tables
from unpaired.pipeline.run import Run, as_arguments
from unpaired.pipeline.settings import canonical_json, parse_settings
from unpaired.pipeline.table import load_table
from unpaired.pipeline.tables.deviations import deviations_of_code


def with_braces(text):
    """Return what Snakemake reads as ``text``: braces in a folder's name are no wildcards."""
    return text.replace("{", "{{").replace("}", "}}")


def uses_conda():
    return DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method


def command_prefix():
    """Return what every command begins with, so that it finds a Python that has what it needs.

    That is the one that runs Snakemake, and no environment need be active. With
    ``--software-deployment-method conda`` it is that of the rule's environment, which has all but
    this package itself.
    """
    if uses_conda():
        name, text = "PYTHONPATH", shlex.quote(str(Path(workflow.basedir, "src")))
    else:
        name, text = "PATH", f"{shlex.quote(str(Path(sys.executable).parent))}:$PATH"
    return f"export {name}={text}; "


shell.prefix(with_braces(command_prefix()))

# What the rules' jobs need, if Snakemake is told to make environments.
ENVIRONMENT = with_braces(str(Path(workflow.basedir, "environment.yml")))

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
    "pack": {"paper": (4_000, 520_000, 1_440), "other": (1_000, 1_000, 60)},
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
    budget=r"[a-z0-9_]+(-[0-9a-f]{10})?",


def get_model(wildcards) -> Model:
    if wildcards.model not in RUN.models:
        exit_with(
            f"no table of these settings uses model {wildcards.model}; see results/models for others"
        )
    return RUN.models[wildcards.model]


def get_budget(wildcards) -> Budget:
    if wildcards.budget not in RUN.budgets:
        exit_with(f"no table of these settings has a row with the budget {wildcards.budget}")
    return RUN.budgets[wildcards.budget]


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


def options_of_pack(name):
    """The data set, where its pictures lie, and where work in progress does."""
    dataset, pictures = get_dataset(name, SETTINGS), pictures_of(name)
    own = folder_in(name, SETTINGS.folders)
    whose = [] if own is None else [f"--own={own}"]
    folder = folder_of(dataset, SETTINGS)
    at = [] if folder is None else [f"--folder={folder}"]
    known = [] if pictures is None else [f"--pictures={pictures}"]
    return [f"--dataset={name}", *whose, *at, *known, f"--work={work_path('packs', name)}"]


def pack_options(wildcards, input):
    return options_of_pack(wildcards.dataset)


def code_of_pack(name):
    return fingerprint("unpaired.stages.pack", get_dataset(name, SETTINGS).module)


def code_of_pairs(pairs):
    return fingerprint("unpaired.stages.synthesize", pairs.model.module, pairs.model.pairs_module)


def again(*names):
    """The beginning of a command that reads packs: those that were deleted are made again.

    Snakemake would make anew all that ever came of them. So rules take receipts in place of packs.
    """
    missing = [name for name in dict.fromkeys(names) if not Path(RUN.pack(name)).exists()]
    return "".join(
        f"{{ [ -e {RUN.pack(name)} ] || {{ {command_again(name)}; }}; }} && " for name in missing
    )


def command_again(name):
    """What the pack's own rule runs, by hand of the rule that reads the pack."""
    if name not in RUN.pairs:
        before, module = "", "pack"
        options = [*options_of_pack(name), f"--code={code_of_pack(name)}"]
    else:
        pairs = RUN.pairs[name]
        source = pairs.spec["source"]
        before, module = again(*pairs.model.packs), "synthesize"
        options = [f"--model={pairs.model.file}", f"--spec={canonical_json(pairs.spec)}"]
        options += [f"--code={code_of_pairs(pairs)}", f"--pack={RUN.pack(source)}"]
        options += ["--trained-on", *map(RUN.pack, pairs.model.packs)]
        options += [f"--work={work_path('packs', name)}", f"--device={SETTINGS.device}"]
        options += [f"--threads={SETTINGS.training.threads}"]
    options += [f"--output={RUN.pack(name)}", f"--receipt={RUN.receipt(name)}", "--again"]
    return before + shlex.join(["python", "-m", f"unpaired.stages.{module}", *options])


def packs_again(*names):
    """`again` as a function of a rule's params; a name may be a function of wildcards."""

    def text(wildcards, input):
        return again(*(name(wildcards) if callable(name) else name for name in names))

    return text


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
    files = {"packs": [RUN.receipt(name) for name in model.packs]}
    files |= RUN.artifacts(model.artifacts)
    if model.start:
        files["start"] = model.start.file
    return files | {f"needs_{role}": other.file for role, other in model.needs}


def training_options(wildcards, input):
    """What a training is given besides packs: where it starts, artifacts, and other models."""
    model = get_model(wildcards)
    start = [f"--start={model.start.file}"] if model.start else []
    needs = [f"--need={role}={other.file}" for role, other in model.needs]
    return [*start, *RUN.artifact_options(model.artifacts), *needs]


def work_path(*parts):
    """Where a job keeps work in progress, which belongs to no result."""
    return str(Path(SETTINGS.work_root, *parts))


def training_packs(wildcards, input):
    return [RUN.pack(name) for name in get_model(wildcards).packs]


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
    files = {"pack": RUN.receipt(score.protocol.testset)} | RUN.artifacts(scored_with(score))
    if score.model.file:
        files["model"] = score.model.file
    elif score.model.packs:
        (pictures,) = score.model.packs
        files["pictures"] = RUN.receipt(pictures)
    files |= {f"needs_{role}": other.file for role, other in score.model.needs}
    files |= {f"with_{name}": other.file for name, other in score.inputs}
    testset = score.protocol.testset
    # Whatever changes a set changes the model or the test pack as well.
    files["splits"] = ancient([RUN.split(name, testset) for name in score.model.data_sets])
    return files


def packs_of_score(score):
    """The packs that a scoring reads: the test set, and pictures of a method without weights."""
    pictures = score.model.packs if score.model.file is None else []
    return [score.protocol.testset, *pictures]


def evaluation_options(wildcards, input):
    score = get_score(wildcards)
    pack, *pictures = map(RUN.pack, packs_of_score(score))
    files = [f"--pack={pack}", *(f"--pictures={other}" for other in pictures)]
    files += [f"--model={input.model}"] if score.model.file else []
    files += RUN.artifact_options(scored_with(score))
    files += [f"--need={role}={other.file}" for role, other in score.model.needs]
    files += [f"--with={name}={other.file}" for name, other in score.inputs]
    crop = [f"--crop-px={score.protocol.crop_px}"] if score.protocol.crop_px else []
    read_out = [f"--read-out={score.read_out}"] if score.read_out else []
    protocol = [f"--noise={score.noise}", f"--repeats={score.protocol.repeats}"]
    work = f"--work={work_path('scores', *Path(score.stem).parts[-2:])}"
    return [f"--task={score.task}", work, *files, *protocol, *crop, *read_out]


def own_files(names):
    """The digests of the settings' own files that stand in place of artifacts."""
    return {name: RUN.digests[name] for name in names if name in RUN.digests}


def stage_input(stage, wildcards):
    """The files of a system's own rule, or one line where these settings have none."""
    if absent := RUN.absent_of(stage):
        exit_with(f"{stage.name}: {how_to_get(absent[0], SETTINGS)}")
    files = RUN.files_of(stage)
    if files is None or getattr(wildcards, "part", "") != RUN.part_of(stage):
        exit_with(
            f"{stage.name}: these settings narrow or leave out what it shows; ask for it with the "
            "settings of whole tables"
        )
    return RUN.in_dag(files)


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
    declared = RUN.files_of(stage)
    files = as_arguments(
        {
            key: paths if RUN.packs_among({key: paths}) else input[key]
            for key, paths in declared.items()
        }
    )
    made = as_arguments({key: output[key] for key in output.keys()})
    return [*files, *made, *as_arguments(stage.arguments(RUN))]


def stage_declared(stage, wildcards):
    """What a system's own rule takes of the list of data sets, if it shows tables."""
    return canonical_json(testsets_of(*(RUN.plans[number] for number in stage.tables)))


def stage_packs_again(stage, wildcards, input):
    return again(*RUN.packs_among(RUN.files_of(stage)))


def stage_code(stage, wildcards):
    return fingerprint(stage.module, *stage.code(RUN))


def submission_input(wildcards):
    model = get_model(wildcards)
    dataset = get_dataset(benchmark_set(wildcards), SETTINGS)
    if not is_present(dataset, SETTINGS):
        exit_with(how_to_get(dataset, SETTINGS))
    files = {"pack": RUN.receipt(dataset.name)}
    return files | ({"model": model.file} if model.file else {})


def benchmark_set(wildcards):
    return f"sidd_benchmark_{wildcards.space.lower()}"


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
        "budgets": [budget.file for budget in plan.measured_budgets],
        # Its digest stands in the params: a clone's newer file time says nothing.
        "paper_numbers": local(ancient(paper_numbers_of(plan))),
    }


def declared(wildcards):
    """What a table takes of declarations: no code that is fingerprinted holds it."""
    plan = get_plan(wildcards)
    scorer = catalog.scorer(plan.table.task)
    metrics = {name: vars(metric) for name, metric in scorer.metrics.items()}
    code = fingerprint(scorer.notes.partition(":")[0]) if scorer.notes else None
    said = {"notes": code, "deviations": deviations_of_code(plan), "testsets": testsets_of(plan)}
    return canonical_json({"metrics": metrics, "ends": scorer.ends, **said})


def testsets_of(*plans):
    """What tables call their test sets, and what their protocol is in the paper."""
    sets = [get_dataset(cell.testset, SETTINGS) for plan in plans for cell in plan.cells]
    return {dataset.name: [dataset.title, dataset.paper_repeats] for dataset in sets}


def declared_of_all():
    """What the report takes of declarations: also how to get the pictures that are not there."""
    plans = RUN.plans.values()
    metrics = {name: vars(metric) for name, metric in catalog.metrics().items()}
    absent = {cell.testset for plan in plans for cell in plan.cells if not cell.is_present}
    sets = [get_dataset(name, SETTINGS) for name in absent]
    to_get = {dataset.name: [dataset.where, dataset.layout] for dataset in sets}
    return canonical_json({"metrics": metrics, "testsets": testsets_of(*plans), "to get": to_get})


def declared_of_pack(wildcards):
    """What a pack takes of the list of data sets beside the pictures themselves."""
    dataset = get_dataset(wildcards.dataset, SETTINGS)
    return canonical_json([dataset.reader, dataset.value_range, dataset.color_space])


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
    """Give files that carry a time to come, since a clock was set back, the present one.

    Snakemake would make everything again that comes from them, and refuse it as older than they.
    """
    given = [*TABLE_FILES, *map(paper_numbers_of, RUN.plans.values()), *RUN.imported_weights]
    now = time.time()
    for path in [*Path("results").rglob("*"), *map(Path, given)]:
        with suppress(FileNotFoundError):
            if path.stat().st_mtime > now:
                bring_back(path, now)


def bring_back(path, now):
    try:
        os.utime(path, (now, now))
    except OSError as error:
        exit_with(
            f"{path} is dated in the future, and its time cannot be changed ({error.strerror}); "
            "correct it, or the clock: what comes from it would be refused as older"
        )


if workflow.is_main_process:
    bring_back_from_the_future()

RUN_LOCK = ExitStack()


def hold_run_lock():
    """Let one run at a time work in this folder.

    The kernel frees this lock when the process ends, however it ends; Snakemake's own lock stays
    behind after kill -9 and is therefore switched off in profiles/default.
    """
    try:
        RUN_LOCK.enter_context(locked(Path(".snakemake", "run.lock"), wait=False))
    except Timeout:
        exit_with(f"another run is working in {Path.cwd()}; wait for it to end or stop it")
    except UnpairedError as error:
        exit_with(error)


# What takes seconds to load: PyTorch, what its optimizers load at their first step, and what many
# metrics and networks are made of.
LOADED_AHEAD = [
    "unpaired.stages.train",
    "unpaired.stages.evaluate",
    "torch._dynamo",
    "scipy.io",
    "scipy.ndimage",
    "torchvision.models",
]
JOBS_WORTH_IT = 4
SERVERS = []  # Held: one ends when the pipe to it does.


def load_ahead():
    """Have what most jobs load ready, where they run on this machine and by this Python."""
    is_here = workflow.local_exec and not uses_conda()
    if is_here and sum(1 for _ in workflow.dag.needrun_jobs()) >= JOBS_WORTH_IT:
        SERVERS.append(start_server(LOADED_AHEAD, TRAINING.threads))


def sweep():
    """Remove what killed runs left half-written, unless a worker of theirs is still alive."""
    if nobody_at_work():
        for folder in ("results", SETTINGS.work_root, ".snakemake/pictures"):
            remove_leftovers(Path(folder))


def take_note():
    """What was finished is seen by this run: no copy has to be kept for the next one."""
    forget_finished(Path(SETTINGS.work_root))
