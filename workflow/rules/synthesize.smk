rule synthesize:
    input:
        model=lambda wildcards: get_pairs(wildcards).model.file,
        pack=lambda wildcards: f"results/packs/{get_pairs(wildcards).spec['source']}.h5",
    output:
        "results/packs/{pairs}.h5",
    log:
        "results/logs/synthesize/{pairs}.log",
    benchmark:
        "results/benchmarks/synthesize/{pairs}.tsv"
    conda:
        "../../environment.yml"
    threads: SETTINGS.training.threads
    resources:
        device=SETTINGS.device,
        gpu=GPU,
        mem_mb=need("synthesize", "mem_mb"),
        disk_mb=need("synthesize", "disk_mb"),
        runtime=need("synthesize", "runtime"),
    params:
        spec=lambda wildcards: canonical_json(get_pairs(wildcards).spec),
        code=lambda wildcards: fingerprint(
            "unpaired.stages.synthesize",
            get_pairs(wildcards).model.module,
            get_pairs(wildcards).model.pairs_module,
        ),
        method=lambda wildcards: get_pairs(wildcards).model.method,
    message:
        "Synthesize {wildcards.pairs} by {params.method}"
    shell:
        "python -m unpaired.stages.synthesize --model {input.model:q} --spec {params.spec:q}"
        " --code {params.code:q} --pack {input.pack:q} --output {output:q} --threads {threads}"
        " --device {resources.device:q} > {log:q} 2>&1"
