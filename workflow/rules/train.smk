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
    conda:
        "../../environment.yml"
    threads: lambda wildcards: get_model(wildcards).spec["threads"]
    resources:
        # Where and how to run, not what to compute: a change here reruns nothing.
        device=SETTINGS.device,
        work_root=SETTINGS.work_root,
        workers=SETTINGS.training.workers,
        checkpoint_seconds=str(SETTINGS.training.checkpoint_seconds),
        gpu=GPU,
        mem_mb=4000,
        runtime=60 if SETTINGS.scale != "paper" else 2880,
    params:
        spec=lambda wildcards: canonical_json(get_model(wildcards).spec),
        code=lambda wildcards: fingerprint("unpaired.stages.train", get_model(wildcards).module),
        method=lambda wildcards: get_model(wildcards).method,
        noise=lambda wildcards: get_model(wildcards).spec["noise"],
        seed=lambda wildcards: get_model(wildcards).spec["seed"],
    message:
        "Train {params.method} on {params.noise}, seed {params.seed} ({wildcards.model})"
    shell:
        "python -m unpaired.stages.train --spec {params.spec:q} --code {params.code}"
        " --pack {input.pack:q} --model {output.model:q} --about {output.about:q}"
        " --history {output.history:q} --work {resources.work_root:q}/{wildcards.model}"
        " --checkpoint-seconds {resources.checkpoint_seconds} --workers {resources.workers}"
        " --device {resources.device} > {log:q} 2>&1"
