# What systems declare: files made of one pack, and rules that only one system has.
from functools import partial

for artifact in catalog.artifacts().values():

    rule:
        name:
            artifact.name
        input:
            "results/data_sets/{dataset}.json",
        output:
            artifact.path,
        log:
            f"results/logs/{artifact.name}/{{dataset}}.log",
        benchmark:
            f"results/benchmarks/{artifact.name}/{{dataset}}.tsv"
        conda:
            ENVIRONMENT
        threads: SETTINGS.training.threads
        resources:
            mem_mb=need("artifact", "mem_mb"),
            disk_mb=need("artifact", "disk_mb"),
            runtime=need("artifact", "runtime"),
        params:
            module=artifact.stage,
            again=packs_again(lambda w: w.dataset),
            pack=lambda wildcards, input: RUN.pack(wildcards.dataset),
            code=fingerprint(artifact.stage),
        message:
            artifact.message.replace("{dataset}", "{wildcards.dataset}")
        shell:
            "{{ {params.again}python -m unpaired.core.start {params.module} --pack {params.pack:q} --output {output:q}"
            " --threads {threads}; }} > {log:q} 2>&1"


for stage in catalog.stages().values():

    rule:
        name:
            stage.name
        input:
            unpack(partial(stage_input, stage)),
        output:
            **stage_output(stage),
        log:
            f"results/logs/{stage.name}{'{part}' if stage.has_parts else ''}.log",
        benchmark:
            f"results/benchmarks/{stage.name}{'{part}' if stage.has_parts else ''}.tsv"
        conda:
            ENVIRONMENT
        threads: SETTINGS.training.threads
        resources:
            device=SETTINGS.device,
            gpu=GPU if stage.uses_gpu else 0,
            mem_mb=need(stage.like, "mem_mb"),
            disk_mb=need(stage.like, "disk_mb"),
            runtime=need(stage.like, "runtime"),
        params:
            module=stage.module,
            again=partial(stage_packs_again, stage),
            arguments=partial(stage_arguments, stage),
            declared=partial(stage_declared, stage),
            code=partial(stage_code, stage),
        message:
            stage.message
        shell:
            "{{ {params.again}python -m unpaired.core.start {params.module} {params.arguments:q} --threads {threads}"
            " --device {resources.device:q}; }} > {log:q} 2>&1"
