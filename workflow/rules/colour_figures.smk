ruleorder: colour_figures > figure


rule colour_figures:
    input:
        unpack(colour_figures_input),
    output:
        **{
            name: report(
                f"results/figures/table10{{part}}_{name}.png",
                caption="../report/colour_figures.rst",
                category="Table 10",
                labels={"holds": f"pictures, {name}"},
            )
            for name in COLOUR_FIGURES
        },
    log:
        "results/logs/colour_figures{part}.log",
    benchmark:
        "results/benchmarks/colour_figures{part}.tsv"
    conda:
        "../../environment.yml"
    threads: SETTINGS.training.threads
    resources:
        mem_mb=need("figure", "mem_mb"),
        disk_mb=need("figure", "disk_mb"),
        runtime=need("figure", "runtime"),
    params:
        rows=lambda wildcards: list(colorizers()),
        prior=lambda wildcards, input: prior_options(input),
        prior_digest=COLOUR_PRIOR,
        code=lambda wildcards: [
            fingerprint("unpaired.stages.colour_figures", module)
            for module in sorted({model.module for model in colorizers().values()})
        ],
    message:
        "Draw what colorizers predict"
    shell:
        "python -m unpaired.stages.colour_figures --rows {params.rows:q} --models {input.models:q}"
        " --of full --packs {input.packs:q} {params.prior:q} --methods {output.methods:q}"
        " --temperatures {output.temperatures:q} --histograms {output.histograms:q}"
        " --distributions {output.distributions:q} --threads {threads} > {log:q} 2>&1"
