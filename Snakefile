# Unpaired: source images -> pack -> train (-> synthesize pairs -> train) -> evaluate -> table, figures -> report.
#
#   snakemake --cores all results/table1.csv                                  demo scale, embedded data
#   snakemake --cores all results/table1.csv --configfile config/paper.yaml   the paper's protocol
from snakemake.utils import min_version

min_version("9.20")


configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/prepare.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/synthesize.smk"
include: "workflow/rules/evaluate.smk"
include: "workflow/rules/submission.smk"
include: "workflow/rules/systems.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        [f"results/{plan.name}.csv" for plan in RUN.plans.values()],
        [path for plan in RUN.plans.values() for path in figures_of(plan)],
        STAGE_TARGETS,
        REPORT,


onstart:
    hold_run_lock()
    sweep()
    load_ahead()


onsuccess:
    take_note()


onerror:
    take_note()
