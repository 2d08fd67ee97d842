def evaluation_input(wildcards):
    score = get_score(wildcards)
    files = {"pack": f"results/packs/{score.protocol.testset}.h5"}
    if score.model.is_trained:
        train_set = score.model.spec["train_set"]
        files["model"] = f"results/models/{wildcards.model}/model.safetensors"
        files["split"] = f"results/packs/disjoint/{train_set}-{score.protocol.testset}.txt"
    return files


def evaluation_options(wildcards, input):
    score = get_score(wildcards)
    model = f"--model '{input.model}' " if score.model.is_trained else ""
    crop = f" --crop-px {score.protocol.crop_px}" if score.protocol.crop_px else ""
    return f"{model}--noise {score.noise} --repeats {score.protocol.repeats}{crop}"


rule evaluate:
    input:
        unpack(evaluation_input),
    output:
        scores="results/scores/{model}/{protocol}-{noise}.csv",
        example="results/scores/{model}/{protocol}-{noise}.png",
    log:
        "results/logs/evaluate/{model}/{protocol}-{noise}.log",
    benchmark:
        "results/benchmarks/evaluate/{model}/{protocol}-{noise}.tsv"
    params:
        options=evaluation_options,
        spec=lambda wildcards: canonical_json(get_model(wildcards).spec),
        code=lambda wildcards: fingerprint("unpaired.stages.evaluate", get_model(wildcards).module),
    threads: SETTINGS.training.threads
    resources:
        gpu=GPU,
        mem_mb=4000,
        runtime=60 if SETTINGS.scale != "paper" else 2880,
    message:
        "Evaluate {wildcards.model} on {wildcards.protocol}, {wildcards.noise}"
    conda:
        "../../environment.yml"
    shell:
        "{PYTHON:q} -m unpaired.stages.evaluate {params.options} --spec {params.spec:q}"
        " --pack {input.pack:q} --output {output.scores:q} --example {output.example:q}"
        " --threads {threads} {RUN_OPTIONS} > {log:q} 2>&1"
