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
    conda:
        "../../environment.yml"
    threads: lambda wildcards: get_model(wildcards).spec["threads"] * TRAINING.devices
    resources:
        **BY_SRUN,
        # Where and how to run, not what to compute: a change here reruns nothing.
        device=SETTINGS.device,
        work_root=SETTINGS.work_root,
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
        code=lambda wildcards: fingerprint("unpaired.stages.train", get_model(wildcards).module),
        start=lambda wildcards, input: f" --start {input.start}" if "start" in input.keys() else "",
        prior=lambda wildcards, input: f" --prior {input.prior}" if "prior" in input.keys() else "",
        method=lambda wildcards: get_model(wildcards).method,
        noise=lambda wildcards: get_model(wildcards).spec["noise"],
        seed=lambda wildcards: get_model(wildcards).spec["seed"],
    message:
        "Train {params.method} on {params.noise}, seed {params.seed} ({wildcards.model})"
    shell:
        "{resources.launcher}python -m unpaired.stages.train --spec {params.spec:q} --code {params.code}"
        "{params.start}{params.prior} --pack {input.packs:q} --model {output.model:q} --about {output.about:q}"
        " --history {output.history:q} --work {resources.work_root:q}/{wildcards.model}"
        " --checkpoint-seconds {resources.checkpoint_seconds} --workers {resources.workers}"
        " --device {resources.device} --devices {resources.devices} --nodes {resources.nodes}"
        " > {log:q} 2>&1"
