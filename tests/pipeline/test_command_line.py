"""Words behind ``--config`` that Snakemake would meet with a traceback."""

from __future__ import annotations

import re

import pytest

from unpaired.pipeline.command_line import in_braces, refuse_malformed


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["training.precision=fp32"],
            "write what belongs to another in braces: 'training={precision: fp32}'",
        ),
        (["overrides.n2n.width=8"], "in braces: 'overrides={n2n: {width: 8}}'"),
        (["device=cpu", "seeds"], "seeds: no name=value; put names of files before"),
        (["results/table1.csv"], "results/table1.csv: no name=value; put names"),
        (["1st=2"], "'1st' is no name of a setting; see config/README.md"),
        (["training..x=2"], "'training..x' is no name of a setting"),
        (["=2"], "'' is no name of a setting"),
    ],
)
@pytest.mark.parametrize("option", ["--config", "-C"])
def test_what_is_wrong_is_one_line(capsys, option, words, said):
    with pytest.raises(SystemExit) as left:
        refuse_malformed(["--cores", "all", option, *words, "--", "results/table1.csv"])
    assert left.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert re.match(rf"error: --config .*{re.escape(said)}", line)


def test_the_form_with_an_equals_sign():
    with pytest.raises(SystemExit):
        refuse_malformed(["--config=training.precision=fp32"])


@pytest.mark.parametrize(
    "arguments",
    [
        ["--cores", "all", "results/table1.csv"],
        ["--config", "seeds=[1,2]", "training={precision: fp32}", "data_root=/a.b/c=d", "-n"],
        ["--configfile", "config/paper.yaml", "own.yaml", "--config", "device=cpu"],
        ["--config", "device=cpu", "--", "results/table1.csv"],
        ["-n", "--config", "device=cpu", "--cores", "2", "results/table1.csv"],
    ],
)
def test_what_is_right_passes(arguments):
    refuse_malformed(arguments)


def test_braces():
    assert in_braces("a.b.c", 1) == "a: {b: {c: 1}}"
