rule report:
    input:
        unpack(report_input),
    output:
        report(
            "results/report{part}.html",
            caption="../report/report.rst",
            category="All tables",
            labels={"holds": "numbers, pictures, curves, provenance"},
        ),
    log:
        "results/logs/report/report{part}.log",
    benchmark:
        "results/benchmarks/report/report{part}.tsv"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=need("report", "mem_mb"),
        disk_mb=need("report", "disk_mb"),
        runtime=need("report", "runtime"),
    params:
        settings=table_settings,
        shown=what_tables_show,
        declared=lambda wildcards: declared_of_all(),
        # The content of the files: a comment in a table reruns nothing, an edited template does.
        tables=lambda wildcards: canonical_json([table.model_dump() for table in TABLES]),
        templates=[sha256_of(path) for path in sorted(TEMPLATES_FOLDER.iterdir())],
        code=fingerprint("unpaired.stages.report"),
    message:
        "Write {output}"
    shell:
        "python -m unpaired.stages.report --tables {input.table_files:q}"
        " --settings {params.settings:q} --output {output:q} > {log:q} 2>&1"
