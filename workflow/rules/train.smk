rule train:
    input:
        unpack(training_input),
    output:
        model="results/models/{model}/model.safetensors",
        about="results/models/{model}/model.json",
        history="results/models/{model}/history.csv",
    log:
        "results/logs/train/{model}.log",
    benchmark:
        "results/benchmarks/train/{model}.tsv"
    priority: lambda wildcards: RUN.waiting[wildcards.model]
    conda:
        ENVIRONMENT
    threads: lambda wildcards: get_model(wildcards).spec["threads"] * TRAINING.devices
    resources:
        **BY_SRUN,
        # Where and how to run, not what to compute: a change here reruns nothing.
        device=SETTINGS.device,
        workers=TRAINING.workers,
        checkpoint_seconds=str(TRAINING.checkpoint_seconds),
        devices=TRAINING.devices,
        nodes=TRAINING.nodes,
        launcher=f"{LAUNCHER} " if LAUNCHER else "",
        gpu=TRAINING_GPUS,
        mem_mb=need("train", "mem_mb"),
        disk_mb=need("train", "disk_mb"),
        runtime=need("train", "runtime"),
    params:
        spec=lambda wildcards: canonical_json(get_model(wildcards).spec),
        code=training_code,
        options=training_options,
        again=lambda wildcards, input: again(*get_model(wildcards).packs),
        packs=training_packs,
        work=lambda wildcards, input: work_path(wildcards.model),
        method=lambda wildcards: get_model(wildcards).method,
        noise=lambda wildcards: get_model(wildcards).spec["noise"],
        seed=lambda wildcards: get_model(wildcards).spec["seed"],
    message:
        "Train {params.method} on {params.noise}, seed {params.seed} ({wildcards.model})"
    shell:
        "{{ {params.again}{resources.launcher}python -m unpaired.core.start unpaired.stages.train --spec {params.spec:q}"
        " --code {params.code:q} {params.options:q} --pack {params.packs:q} --model {output.model:q} --about {output.about:q}"
        " --history {output.history:q} --work={params.work:q}"
        " --checkpoint-seconds {resources.checkpoint_seconds} --workers {resources.workers}"
        " --device {resources.device:q} --devices {resources.devices} --nodes {resources.nodes};"
        " }} > {log:q} 2>&1"
