# Functions and names that the rules share; no rule stands here.
import fcntl
import json
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

from unpaired.datasets import folder_of, get_dataset
from unpaired.errors import UnpairedError, exit_with
from unpaired.fingerprint import fingerprint
from unpaired.plan import Model, Score, TablePlan, plan_table
from unpaired.settings import canonical_json, load_table, parse_settings

# The interpreter that runs Snakemake has this package; an activated environment is not needed.
# Where Snakemake itself deploys software (--sdm conda), that environment's python is meant.
PYTHON = "python" if workflow.deployment_settings.deployment_method else sys.executable

REPOSITORY = Path(workflow.basedir)
TABLES_FOLDER = REPOSITORY / "config" / "tables"


def plan_tables(settings):
    """Plan every table that the settings allow; stop with one line if they allow none."""
    plans, errors = {}, []
    for path in sorted(TABLES_FOLDER.glob("table*.yaml")):
        try:
            table = load_table(path)
            plans[table.number] = plan_table(table, settings)
        except UnpairedError as error:
            errors.append(error)
    if not plans:
        exit_with(errors[0])
    return plans


try:
    SETTINGS = parse_settings(config)
except UnpairedError as error:
    exit_with(error)

PLANS = plan_tables(SETTINGS)
MODELS = {model.id: model for plan in PLANS.values() for model in plan.models}
SCORES = {score.stem: score for plan in PLANS.values() for score in plan.scores}

# Text that says where and how to run, not what to compute: kept out of the rules' params, so that
# another device or another place for checkpoints reruns nothing.
RUN_OPTIONS = f"--device {SETTINGS.device}"
TRAIN_OPTIONS = (
    f"--checkpoint-seconds {SETTINGS.training.checkpoint_seconds}"
    f" --workers {SETTINGS.training.workers}"
)


def has_gpu():
    """Say whether jobs will use a GPU, without loading PyTorch."""
    if SETTINGS.device != "auto":
        return SETTINGS.device != "cpu"
    return Path("/dev/nvidiactl").exists() or sys.platform == "darwin"


GPU = int(has_gpu())


wildcard_constraints:
    number=r"\d+",
    part=r"(\.part)?",
    dataset=r"[a-z0-9_]+",
    train_set=r"[a-z0-9_]+",
    model=r"[a-z0-9_]+-[0-9a-f]{10}",
    protocol=r"[a-z0-9_]+_(whole|crop\d+)_r\d+",
    noise=r"[a-z0-9_]+",


def get_model(wildcards) -> Model:
    if wildcards.model not in MODELS:
        raise WorkflowError(
            f"no table of these settings uses model {wildcards.model}; see results/models for others"
        )
    return MODELS[wildcards.model]


def get_score(wildcards) -> Score:
    stem = f"results/scores/{wildcards.model}/{wildcards.protocol}-{wildcards.noise}"
    if stem not in SCORES:
        raise WorkflowError(f"no table of these settings uses {stem}.csv")
    return SCORES[stem]


def get_plan(wildcards) -> TablePlan:
    """Return the plan of a table, refusing to give a part of a table the name of the whole."""
    plan = PLANS.get(int(wildcards.number))
    if plan is None:
        raise WorkflowError(f"the settings do not fit table {wildcards.number}")
    if plan.is_part and not wildcards.part:
        raise WorkflowError(
            f"the settings narrow table {wildcards.number}: ask for results/{plan.name}.csv, "
            "so that the whole table is not overwritten"
        )
    if wildcards.part and not plan.is_part:
        raise WorkflowError(f"the settings give all of table {wildcards.number}: no part to write")
    return plan


def figures_of(plan: TablePlan) -> list[str]:
    if not plan.table.pictures:
        return []
    scored = {cell.noise for cell in plan.cells if cell.scores}
    return [f"results/figures/{plan.name}_{noise}.png" for noise in plan.noises if noise in scored]


RUN_LOCK = []


def hold_run_lock():
    """Let one run at a time work in this folder.

    The kernel frees this lock when the process ends, however it ends; Snakemake's own lock stays
    behind after kill -9 and is therefore switched off in profiles/default.
    """
    path = Path(".snakemake", "run.lock")
    path.parent.mkdir(exist_ok=True)
    file = open(path, "w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        exit_with(f"another run is working in {Path.cwd()}; wait for it to end or stop it")
    RUN_LOCK.append(file)
