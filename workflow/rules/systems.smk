# What systems declare: files made of one pack, and rules that only one system has.
from functools import partial

for artifact in catalog.artifacts().values():

    rule:
        name:
            artifact.name
        input:
            "results/packs/{dataset}.h5",
        output:
            artifact.path,
        log:
            f"results/logs/{artifact.name}/{{dataset}}.log",
        benchmark:
            f"results/benchmarks/{artifact.name}/{{dataset}}.tsv"
        conda:
            "../../environment.yml"
        threads: SETTINGS.training.threads
        resources:
            mem_mb=need("artifact", "mem_mb"),
            disk_mb=need("artifact", "disk_mb"),
            runtime=need("artifact", "runtime"),
        params:
            module=artifact.stage,
            code=fingerprint(artifact.stage),
        message:
            artifact.message.replace("{dataset}", "{wildcards.dataset}")
        shell:
            "python -m {params.module} --pack {input:q} --output {output:q} --threads {threads}"
            " > {log:q} 2>&1"


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
            "../../environment.yml"
        threads: SETTINGS.training.threads
        resources:
            device=SETTINGS.device,
            gpu=GPU if stage.uses_gpu else 0,
            mem_mb=need(stage.like, "mem_mb"),
            disk_mb=need(stage.like, "disk_mb"),
            runtime=need(stage.like, "runtime"),
        params:
            module=stage.module,
            arguments=partial(stage_arguments, stage),
            code=partial(stage_code, stage),
        message:
            stage.message
        shell:
            "python -m {params.module} {params.arguments:q} --threads {threads}"
            " --device {resources.device:q} > {log:q} 2>&1"
