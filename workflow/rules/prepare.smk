rule pack:
    input:
        rendered_folder,
    output:
        "results/packs/{dataset}.h5",
    log:
        "results/logs/pack/{dataset}.log",
    benchmark:
        "results/benchmarks/pack/{dataset}.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=need("pack", "mem_mb"),
        disk_mb=need("pack", "disk_mb"),
        runtime=need("pack", "runtime"),
    params:
        options=pack_options,
        pictures=lambda wildcards: pictures_of(wildcards.dataset),
        code=lambda wildcards: fingerprint(
            "unpaired.stages.pack", get_dataset(wildcards.dataset, SETTINGS).module
        ),
    message:
        "Pack data set {wildcards.dataset}"
    shell:
        "python -m unpaired.stages.pack {params.options:q} --output {output:q} > {log:q} 2>&1"


rule check_split:
    input:
        train="results/packs/{train_set}.h5",
        test="results/packs/{dataset}.h5",
    output:
        "results/packs/disjoint/{train_set}-{dataset}.txt",
    log:
        "results/logs/check_split/{train_set}-{dataset}.log",
    benchmark:
        "results/benchmarks/check_split/{train_set}-{dataset}.tsv"
    priority: 100  # before hours of training are spent on a set that holds the answers
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=need("check_split", "mem_mb"),
        disk_mb=need("check_split", "disk_mb"),
        runtime=need("check_split", "runtime"),
    params:
        code=fingerprint("unpaired.stages.check_split"),
    message:
        "Check that {wildcards.train_set} and {wildcards.dataset} share no picture"
    shell:
        "python -m unpaired.stages.check_split --train {input.train:q} --test {input.test:q}"
        " --output {output:q} > {log:q} 2>&1"
