rule noise_statistics:
    input:
        unpack(noise_statistics_input),
    output:
        table="results/noise_statistics{part}.csv",
        figure=report(
            "results/figures/noise_statistics{part}.png",
            caption="../report/noise_statistics.rst",
            category="Table 6",
            labels={"holds": "learned noise against real noise"},
        ),
    log:
        "results/logs/noise_statistics{part}.log",
    benchmark:
        "results/benchmarks/noise_statistics{part}.tsv"
    conda:
        "../../environment.yml"
    threads: SETTINGS.training.threads
    resources:
        device=SETTINGS.device,
        gpu=GPU,
        mem_mb=need("evaluate", "mem_mb"),
        disk_mb=need("evaluate", "disk_mb"),
        runtime=need("evaluate", "runtime"),
    params:
        code=lambda wildcards: [
            fingerprint("unpaired.stages.noise_statistics", module)
            for module in sorted({model.module for model in degradations()})
        ],
    message:
        "Compare learned noise with real noise"
    shell:
        "python -m unpaired.stages.noise_statistics --models {input.models:q} --test {input.test:q}"
        " --train {input.train:q} --table {output.table:q} --figure {output.figure:q}"
        " --threads {threads} --device {resources.device:q} > {log:q} 2>&1"
