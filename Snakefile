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
include: "workflow/rules/noise_statistics.smk"
include: "workflow/rules/colour_figures.smk"
include: "workflow/rules/judgments.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        [f"results/{plan.name}.csv" for plan in PLANS.values()],
        [path for plan in PLANS.values() for path in figures_of(plan)],
        [f"results/figures/{NOISE_STATISTICS}.png"] if degradations() else [],
        colour_figures(),
        judgment_figures(),
        REPORT,


onstart:
    hold_run_lock()
