rule train:
    input:
        pack=lambda wildcards: f"results/packs/{get_model(wildcards).spec['train_set']}.h5",
    output:
        model="results/models/{model}/model.safetensors",
        about="results/models/{model}/model.json",
        history="results/models/{model}/history.csv",
    log:
        "results/logs/train/{model}.log",
    benchmark:
        "results/benchmarks/train/{model}.tsv"
    params:
        spec=lambda wildcards: canonical_json(get_model(wildcards).spec),
        code=lambda wildcards: fingerprint("unpaired.stages.train", get_model(wildcards).module),
        method=lambda wildcards: get_model(wildcards).method,
        noise=lambda wildcards: get_model(wildcards).spec["noise"],
        seed=lambda wildcards: get_model(wildcards).spec["seed"],
    threads: lambda wildcards: get_model(wildcards).spec["threads"]
    resources:
        gpu=GPU,
        mem_mb=4000,
        runtime=60 if SETTINGS.scale != "paper" else 2880,
    message:
        "Train {params.method} on {params.noise}, seed {params.seed} ({wildcards.model})"
    conda:
        "../../environment.yml"
    shell:
        "{PYTHON:q} -m unpaired.stages.train --spec {params.spec:q} --code {params.code}"
        " --pack {input.pack:q} --model {output.model:q} --about {output.about:q}"
        " --history {output.history:q} --work {SETTINGS.work_root:q}/{wildcards.model}"
        " {TRAIN_OPTIONS} {RUN_OPTIONS} > {log:q} 2>&1"
