# The stand-in for BAPPS, the sheet of its distortions, and the figures of Tables 19 and 20.
rule simulated_bapps:
    input:
        [model.file for model in RENDERERS],
    output:
        directory(str(RENDERED)),
    log:
        "results/logs/simulated_bapps.log",
    benchmark:
        "results/benchmarks/simulated_bapps.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=need("synthesize", "mem_mb"),
        disk_mb=need("synthesize", "disk_mb"),
        runtime=need("synthesize", "runtime"),
    params:
        code=lambda wildcards: fingerprint("unpaired.stages.render"),
    message:
        "Render patches for the simulated observer, and let it judge them"
    shell:
        "python -m unpaired.stages.render --networks {input:q} --output {output:q} > {log:q} 2>&1"


rule distortions:
    input:
        [model.file for model in RENDERERS],
    output:
        figure=report(
            "results/figures/distortions.png",
            caption="../report/distortions.rst",
            category="Table 19",
            labels={"holds": "all distortions"},
        ),
        growth="results/distortions.csv",
    log:
        "results/logs/distortions.log",
    benchmark:
        "results/benchmarks/distortions.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=need("figure", "mem_mb"),
        disk_mb=need("figure", "disk_mb"),
        runtime=need("figure", "runtime"),
    params:
        code=lambda wildcards: fingerprint("unpaired.stages.distortions"),
    message:
        "Draw all distortions, and measure how they grow"
    shell:
        "python -m unpaired.stages.distortions --networks {input:q} --figure {output.figure:q}"
        " --growth {output.growth:q} > {log:q} 2>&1"


rule judgments:
    input:
        unpack(judgments_input),
    output:
        scores=report(
            "results/figures/two_afc.png",
            caption="../report/judgments.rst",
            category="Table 19",
            labels={"holds": "agreement with judgments"},
        ),
        weights=report(
            "results/figures/lpips_weights.png",
            caption="../report/judgments.rst",
            category="Table 19",
            labels={"holds": "learned weights of channels"},
        ),
        disagreements=report(
            "results/figures/disagreements.png",
            caption="../report/judgments.rst",
            category="Table 19",
            labels={"holds": "where SSIM and LPIPS disagree most"},
        ),
        tests=report(
            "results/figures/two_afc_jnd.png",
            caption="../report/judgments.rst",
            category="Table 20",
            labels={"holds": "the two tests against each other"},
        ),
    log:
        "results/logs/judgments.log",
    benchmark:
        "results/benchmarks/judgments.tsv"
    conda:
        "../../environment.yml"
    threads: 1
    resources:
        mem_mb=need("figure", "mem_mb"),
        disk_mb=need("figure", "disk_mb"),
        runtime=need("figure", "runtime"),
    params:
        code=lambda wildcards: fingerprint("unpaired.stages.judgments"),
        learned=JUDGED_LEARNED,
    message:
        "Draw the figures of Tables 19 and 20"
    shell:
        "python -m unpaired.stages.judgments --tables {input.tables:q} --model {input.model:q}"
        " --ssim {input.ssim:q} --learned {input.learned:q} --name {params.learned:q}"
        " --pack {input.pack:q} --scores {output.scores:q} --weights {output.weights:q}"
        " --disagreements {output.disagreements:q} --tests {output.tests:q} > {log:q} 2>&1"
