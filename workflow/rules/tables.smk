def table_input(wildcards):
    plan = get_plan(wildcards)
    return {
        "scores": [f"{score.stem}.csv" for score in plan.scores],
        "models": [f"results/models/{model.id}/model.json" for model in plan.models if model.is_trained],
        "paper_numbers": REPOSITORY / "config" / "paper_numbers" / plan.table.paper_numbers,
    }


def table_settings(wildcards):
    """What a table depends on: not the device, nor where checkpoints are kept."""
    return canonical_json(SETTINGS.model_dump(exclude={"device", "work_root"}))


rule table:
    input:
        unpack(table_input),
    output:
        csv="results/table{number}{part}.csv",
        markdown="results/table{number}{part}.md",
        costs="results/table{number}{part}_costs.csv",
    log:
        "results/logs/table/table{number}{part}.log",
    benchmark:
        "results/benchmarks/table/table{number}{part}.tsv"
    params:
        table=lambda wildcards: canonical_json(get_plan(wildcards).table.model_dump()),
        settings=table_settings,
        code=fingerprint("unpaired.stages.table"),
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    message:
        "Assemble {output.csv}"
    conda:
        "../../environment.yml"
    shell:
        "{PYTHON:q} -m unpaired.stages.table --table {params.table:q} --settings {params.settings:q}"
        " --paper-numbers {input.paper_numbers:q} --output {output.csv:q}"
        " --markdown {output.markdown:q} --costs {output.costs:q} > {log:q} 2>&1"


rule figure:
    input:
        scores=lambda wildcards: [
            f"{score.stem}.{suffix}"
            for score in get_plan(wildcards).scores
            if score.noise == wildcards.noise
            for suffix in ("csv", "png")
        ],
    output:
        "results/figures/table{number}{part}_{noise}.png",
    log:
        "results/logs/figure/table{number}{part}_{noise}.log",
    benchmark:
        "results/benchmarks/figure/table{number}{part}_{noise}.tsv"
    params:
        table=lambda wildcards: canonical_json(get_plan(wildcards).table.model_dump()),
        settings=table_settings,
        code=fingerprint("unpaired.stages.figure"),
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    message:
        "Draw {output}"
    conda:
        "../../environment.yml"
    shell:
        "{PYTHON:q} -m unpaired.stages.figure --table {params.table:q}"
        " --settings {params.settings:q} --noise {wildcards.noise} --output {output:q}"
        " > {log:q} 2>&1"
