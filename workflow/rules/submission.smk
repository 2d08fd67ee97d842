# Not part of any table: asked for by file name, for any model of Tables 2 and 6.
rule submission:
    input:
        unpack(submission_input),
    output:
        mat="results/submissions/{model}{read_out}/Submit{space}.mat",
        csv="results/submissions/{model}{read_out}/Submit{space}.csv",
    log:
        "results/logs/submission/{model}{read_out}-{space}.log",
    benchmark:
        "results/benchmarks/submission/{model}{read_out}-{space}.tsv"
    conda:
        ENVIRONMENT
    threads: SETTINGS.training.threads
    resources:
        device=SETTINGS.device,
        gpu=GPU,
        mem_mb=need("submission", "mem_mb"),
        disk_mb=need("submission", "disk_mb"),
        runtime=need("submission", "runtime"),
    params:
        again=packs_again(benchmark_set),
        pack=lambda wildcards, input: RUN.pack(benchmark_set(wildcards)),
        options=submission_options,
        spec=lambda wildcards: canonical_json(get_model(wildcards).spec),
        code=lambda wildcards: fingerprint(
            "unpaired.systems.denoising.stages.submit", get_model(wildcards).module
        ),
    message:
        "Restore the SIDD benchmark's {wildcards.space} blocks by {wildcards.model}"
    shell:
        "{{ {params.again}python -m unpaired.core.start unpaired.systems.denoising.stages.submit {params.options:q}"
        " --spec {params.spec:q} --pack {params.pack:q}"
        " --output results/submissions/{wildcards.model:q}{wildcards.read_out:q}"
        " --threads {threads} --device {resources.device:q}; }} > {log:q} 2>&1"
