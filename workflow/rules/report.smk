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
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=need("report", "mem_mb"),
        disk_mb=need("report", "disk_mb"),
        runtime=need("report", "runtime"),
    params:
        settings=table_settings,
        shown=what_tables_show,
        declared=canonical_json({name: vars(metric) for name, metric in catalog.metrics().items()}),
        # The content of the files: a comment in a table reruns nothing, an edited template does.
        tables=lambda wildcards: canonical_json([table.model_dump() for table in TABLES]),
        templates=[sha256_of(path) for path in sorted(TEMPLATES_FOLDER.iterdir())],
        code=fingerprint("unpaired.stages.report"),
    message:
        "Write {output}"
    shell:
        "python -m unpaired.stages.report --tables {input.table_files:q}"
        " --settings {params.settings:q} --output {output:q} > {log:q} 2>&1"
