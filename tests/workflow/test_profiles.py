"""Profiles for clusters, as far as a machine without one can tell."""

from __future__ import annotations

import importlib.util
import os
import subprocess

import pytest

from tests.workflow.conftest import SMOKE, TABLE

pytestmark = [pytest.mark.workflow, pytest.mark.long]

PLUGINS = {
    "slurm": "snakemake_executor_plugin_slurm",
    "slurm-generic": "snakemake_executor_plugin_cluster_generic",
    "kubernetes": "snakemake_executor_plugin_kubernetes",
}


@pytest.mark.parametrize("profile", PLUGINS)
def test_snakemake_takes_the_profile(project, profile):
    if importlib.util.find_spec(PLUGINS[profile]) is None:
        pytest.skip(f"the plugin of profiles/{profile} is not installed")
    done = project.run("--profile", f"profiles/{profile}", *SMOKE[2:], "-n", "--", TABLE)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "train" in done.stdout + done.stderr


def test_the_state_of_a_job_is_told_in_snakemakes_words(project, tmp_path):
    """The script of profiles/slurm-generic, with a scontrol that answers as asked."""
    fake = tmp_path / "bin" / "scontrol"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\n[ -n "$STATE" ] && echo "JobId=7 JobState=$STATE Reason=None"\n')
    fake.chmod(0o755)
    script = project.folder / "profiles/slurm-generic/status"
    expected = {
        "COMPLETED": "success",
        "RUNNING": "running",
        "PENDING": "running",
        "COMPLETING": "running",
        "TIMEOUT": "failed",
        "NODE_FAIL": "failed",
        "OUT_OF_MEMORY": "failed",
        "CANCELLED": "failed",  # codespell:ignore
        "": "failed",
    }
    for state, told in expected.items():
        environment = os.environ | {"STATE": state, "PATH": f"{fake.parent}:{os.environ['PATH']}"}
        answer = subprocess.run(
            ["sh", str(script), "7"], env=environment, capture_output=True, text=True
        )
        assert answer.stdout.strip() == told
