rule pack:
    input:
        rendered_folder,
    output:
        pack="results/packs/{dataset}.h5",
        receipt="results/data_sets/{dataset}.json",
    log:
        "results/logs/pack/{dataset}.log",
    benchmark:
        "results/benchmarks/pack/{dataset}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=need("pack", "mem_mb"),
        disk_mb=need("pack", "disk_mb"),
        runtime=need("pack", "runtime"),
    params:
        options=pack_options,
        pictures=lambda wildcards: pictures_of(wildcards.dataset),
        declared=declared_of_pack,
        code=lambda wildcards: code_of_pack(wildcards.dataset),
    message:
        "Pack data set {wildcards.dataset}"
    shell:
        "python -m unpaired.stages.pack {params.options:q} --code {params.code:q}"
        " --output {output.pack:q} --receipt {output.receipt:q} > {log:q} 2>&1"


rule check_split:
    input:
        train="results/data_sets/{train_set}.json",
        test="results/data_sets/{dataset}.json",
    output:
        "results/data_sets/disjoint/{train_set}-{dataset}.txt",
    log:
        "results/logs/check_split/{train_set}-{dataset}.log",
    benchmark:
        "results/benchmarks/check_split/{train_set}-{dataset}.tsv"
    priority: 100  # before hours of training are spent on a set that holds the answers
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=need("check_split", "mem_mb"),
        disk_mb=need("check_split", "disk_mb"),
        runtime=need("check_split", "runtime"),
    params:
        again=packs_again(lambda w: w.train_set, lambda w: w.dataset),
        train=lambda wildcards, input: RUN.pack(wildcards.train_set),
        test=lambda wildcards, input: RUN.pack(wildcards.dataset),
        code=fingerprint("unpaired.stages.check_split"),
    message:
        "Check that {wildcards.train_set} and {wildcards.dataset} share no picture"
    shell:
        "{{ {params.again}python -m unpaired.stages.check_split --train {params.train:q}"
        " --test {params.test:q} --output {output:q}; }} > {log:q} 2>&1"
