rule budget:
    output:
        "results/budgets/{budget}.json",
    log:
        "results/logs/budget/{budget}.log",
    benchmark:
        "results/benchmarks/budget/{budget}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        device=SETTINGS.device,
        gpu=GPU,
        mem_mb=need("budget", "mem_mb"),
        disk_mb=need("budget", "disk_mb"),
        runtime=need("budget", "runtime"),
    params:
        method=lambda wildcards: get_budget(wildcards).method,
        options=lambda wildcards: canonical_json(get_budget(wildcards).options),
        code=lambda wildcards: fingerprint(
            "unpaired.stages.budget", catalog.method(get_budget(wildcards).method).module
        ),
    message:
        "Measure what the paper's budget of {params.method} would cost"
    shell:
        "python -m unpaired.core.start unpaired.stages.budget --method {params.method:q}"
        " --options {params.options:q} --device {resources.device:q} --output {output:q}"
        " > {log:q} 2>&1"


rule table:
    input:
        unpack(table_input),
    output:
        csv=report(
            "results/table{number}{part}.csv",
            caption="../report/table.rst",
            category="Table {number}",
            labels={"holds": "numbers"},
        ),
        markdown=report(
            "results/table{number}{part}.md",
            caption="../report/table_markdown.rst",
            category="Table {number}",
            labels={"holds": "numbers in the paper's layout"},
        ),
        costs=report(
            "results/table{number}{part}_costs.csv",
            caption="../report/costs.rst",
            category="Table {number}",
            labels={"holds": "costs"},
        ),
        record="results/table{number}{part}.json",
    log:
        "results/logs/table/table{number}{part}.log",
    benchmark:
        "results/benchmarks/table/table{number}{part}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=need("table", "mem_mb"),
        disk_mb=need("table", "disk_mb"),
        runtime=need("table", "runtime"),
    params:
        table=lambda wildcards: canonical_json(get_plan(wildcards).table.model_dump()),
        settings=table_settings,
        shown=what_tables_show,
        declared=declared,
        paper_numbers=lambda wildcards: sha256_of(paper_numbers_of(get_plan(wildcards))),
        code=fingerprint("unpaired.stages.table"),
    message:
        "Assemble {output.csv}"
    shell:
        "python -m unpaired.stages.table --table {params.table:q} --settings {params.settings:q}"
        " --paper-numbers {input.paper_numbers:q} --output {output.csv:q}"
        " --markdown {output.markdown:q} --costs {output.costs:q}"
        " --record {output.record:q} > {log:q} 2>&1"


rule figure:
    input:
        scores=lambda wildcards: [
            f"{score.stem}.{suffix}"
            for score in get_plan(wildcards).scores
            if score.noise == wildcards.noise
            for suffix in ("csv", "png", "json")
        ],
    output:
        report(
            "results/figures/table{number}{part}_{noise}.png",
            caption="../report/figure.rst",
            category="Table {number}",
            labels={"holds": "pictures, {noise}"},
        ),
    log:
        "results/logs/figure/table{number}{part}_{noise}.log",
    benchmark:
        "results/benchmarks/figure/table{number}{part}_{noise}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=need("figure", "mem_mb"),
        disk_mb=need("figure", "disk_mb"),
        runtime=need("figure", "runtime"),
    params:
        table=lambda wildcards: canonical_json(get_plan(wildcards).table.model_dump()),
        settings=table_settings,
        shown=what_tables_show,
        declared=declared,
        code=fingerprint("unpaired.stages.figure"),
    message:
        "Draw {output}"
    shell:
        "python -m unpaired.stages.figure --table {params.table:q}"
        " --settings {params.settings:q} --noise {wildcards.noise:q} --output {output:q}"
        " > {log:q} 2>&1"
