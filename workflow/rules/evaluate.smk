rule evaluate:
    input:
        unpack(evaluation_input),
    output:
        scores="results/scores/{model}/{protocol}-{noise}{read_out}.csv",
        example="results/scores/{model}/{protocol}-{noise}{read_out}.png",
        record="results/scores/{model}/{protocol}-{noise}{read_out}.json",
    log:
        "results/logs/evaluate/{model}/{protocol}-{noise}{read_out}.log",
    benchmark:
        "results/benchmarks/evaluate/{model}/{protocol}-{noise}{read_out}.tsv"
    conda:
        ENVIRONMENT
    threads: SETTINGS.training.threads
    resources:
        device=SETTINGS.device,
        gpu=GPU,
        mem_mb=need("evaluate", "mem_mb"),
        disk_mb=need("evaluate", "disk_mb"),
        runtime=need("evaluate", "runtime"),
    params:
        again=lambda wildcards, input: again(*packs_of_score(get_score(wildcards))),
        options=evaluation_options,
        own_files=lambda wildcards: own_files(scored_with(get_score(wildcards))),
        spec=lambda wildcards: canonical_json(get_model(wildcards).spec),
        code=evaluation_code,
    message:
        "Evaluate {wildcards.model} on {wildcards.protocol}, {wildcards.noise}"
    shell:
        "{{ {params.again}python -m unpaired.core.start unpaired.stages.evaluate {params.options:q}"
        " --spec {params.spec:q} --code {params.code:q} --record {output.record:q}"
        " --output {output.scores:q} --example {output.example:q}"
        " --threads {threads} --device {resources.device:q}; }} > {log:q} 2>&1"
