def pack_options(wildcards):
    dataset = get_dataset(wildcards.dataset, SETTINGS)
    own = " --own" if dataset.name in SETTINGS.folders else ""
    return f"--dataset {dataset.name}{own}"


def source_folder(wildcards):
    """The folder of a data set; adding or removing a file in it packs it again."""
    folder = folder_of(get_dataset(wildcards.dataset, SETTINGS), SETTINGS)
    return {} if folder is None else {"folder": str(folder)}


rule pack:
    input:
        unpack(source_folder),
    output:
        "results/packs/{dataset}.h5",
    log:
        "results/logs/pack/{dataset}.log",
    benchmark:
        "results/benchmarks/pack/{dataset}.tsv"
    params:
        options=pack_options,
        folder=lambda wildcards, input: f"--folder '{input.folder}'" if input else "",
        code=lambda wildcards: fingerprint(
            "unpaired.stages.pack", get_dataset(wildcards.dataset, SETTINGS).module
        ),
    threads: 1
    resources:
        mem_mb=1000,
        runtime=240,
    message:
        "Pack data set {wildcards.dataset}"
    conda:
        "../../environment.yml"
    shell:
        "{PYTHON:q} -m unpaired.stages.pack {params.options} {params.folder}"
        " --output {output:q} > {log:q} 2>&1"


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
    params:
        code=fingerprint("unpaired.stages.check_split"),
    threads: 1
    priority: 100  # before hours of training are spent on a set that holds the answers
    resources:
        mem_mb=1000,
        runtime=10,
    message:
        "Check that {wildcards.train_set} and {wildcards.dataset} share no picture"
    conda:
        "../../environment.yml"
    shell:
        "{PYTHON:q} -m unpaired.stages.check_split --train {input.train:q} --test {input.test:q}"
        " --output {output:q} > {log:q} 2>&1"
