"""Rules in environments that conda makes; a stand-in takes the place of conda itself."""

from __future__ import annotations

import os
import sys
import tomllib

import pytest
import yaml

from tests.conftest import REPOSITORY
from tests.workflow.conftest import SMOKE

ENVIRONMENT = REPOSITORY / "environment.yml"
# conda has a name of its own for PyTorch, and torchvision must be made for that one.
OF_CONDA = {"torch": "pytorch-cpu", "torchvision": "torchvision"}

# Answers what Snakemake asks, and makes an environment whose Python notes that it was called. A
# relative path in the file of an environment would not lead anywhere: it lies in .snakemake.
CONDA = """#!{python}
import pathlib, sys, yaml
words = sys.argv[1:]
if words[:1] == ["info"]:
    print('{{"conda_prefix": "{base}", "platform": "linux-64"}}')
elif words == ["--version"]:
    print("conda 25.1.0")
elif words[:1] == ["config"]:
    print('{{"get": {{"channel_priority": "strict"}}}}')
elif words[:2] == ["env", "create"]:
    file, prefix = (pathlib.Path(words[words.index(key) + 1]) for key in ("--file", "--prefix"))
    *_, last = yaml.safe_load(file.read_text())["dependencies"]
    if any(word.startswith((".", "-", "/")) for word in last["pip"]):
        sys.exit("Directory '.' is not installable.")
    (prefix / "bin").mkdir(parents=True)
    python = prefix / "bin/python"
    python.write_text('#!/bin/sh\\necho "$PYTHONPATH" >> "{base}/used"\\nexec "{python}" "$@"\\n')
    python.chmod(0o755)
"""
ACTIVATE = 'export PATH="$1/bin:$PATH"\n'


def test_the_environment_holds_what_the_project_needs_and_nothing_of_a_place():
    needed = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["dependencies"]
    *of_conda, last = yaml.safe_load(ENVIRONMENT.read_text())["dependencies"]
    for name, its_name in OF_CONDA.items():
        (requirement,) = [one for one in needed if one.partition(">")[0] == name]
        assert requirement.replace(name, its_name) in of_conda
        needed.remove(requirement)
    assert last["pip"] == needed


@pytest.mark.workflow
@pytest.mark.long
def test_jobs_run_in_the_environment_that_conda_made(project, tmp_path, monkeypatch):
    base = tmp_path / "conda"
    (base / "bin").mkdir(parents=True)
    for name, text in (("conda", CONDA), ("activate", ACTIVATE)):
        (base / "bin" / name).write_text(text.format(python=sys.executable, base=base))
        (base / "bin" / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{base / 'bin'}:{os.environ['PATH']}")
    pack = "results/packs/embedded_train.h5"
    done = project.run("--software-deployment-method", "conda", *SMOKE, "--", pack)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project.folder / pack).is_file()
    assert (base / "used").read_text().splitlines() == [str(project.folder / "src")]
