rule synthesize:
    input:
        model=lambda wildcards: get_pairs(wildcards).model.file,
        source=lambda wildcards: RUN.receipt(get_pairs(wildcards).spec["source"]),
        trained_on=lambda wildcards: [RUN.receipt(n) for n in get_pairs(wildcards).model.packs],
    output:
        pack="results/packs/{pairs}.h5",
        receipt="results/data_sets/{pairs}.json",
    log:
        "results/logs/synthesize/{pairs}.log",
    benchmark:
        "results/benchmarks/synthesize/{pairs}.tsv"
    conda:
        ENVIRONMENT
    threads: SETTINGS.training.threads
    resources:
        device=SETTINGS.device,
        gpu=GPU,
        mem_mb=need("synthesize", "mem_mb"),
        disk_mb=need("synthesize", "disk_mb"),
        runtime=need("synthesize", "runtime"),
    params:
        spec=lambda wildcards: canonical_json(get_pairs(wildcards).spec),
        # The source is one of them.
        again=lambda wildcards, input: again(*get_pairs(wildcards).model.packs),
        trained_on=lambda wildcards, input: [RUN.pack(n) for n in get_pairs(wildcards).model.packs],
        source=lambda wildcards, input: RUN.pack(get_pairs(wildcards).spec["source"]),
        work=lambda wildcards, input: work_path("packs", wildcards.pairs),
        code=lambda wildcards: code_of_pairs(get_pairs(wildcards)),
        method=lambda wildcards: get_pairs(wildcards).model.method,
    message:
        "Synthesize {wildcards.pairs} by {params.method}"
    shell:
        "{{ {params.again}python -m unpaired.core.start unpaired.stages.synthesize --model {input.model:q}"
        " --spec {params.spec:q} --code {params.code:q} --pack {params.source:q}"
        " --trained-on {params.trained_on:q}"
        " --output {output.pack:q} --receipt {output.receipt:q} --work={params.work:q}"
        " --threads {threads} --device {resources.device:q}; }} > {log:q} 2>&1"
