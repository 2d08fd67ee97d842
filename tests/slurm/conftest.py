from __future__ import annotations

import importlib.util
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster, why_not
from tests.workflow.conftest import Project, make_copy


@pytest.fixture(scope="session")
def cluster():
    """A running SLURM; skips where it or Snakemake's plugin for it is not installed."""
    reason = why_not()
    if reason is None and importlib.util.find_spec("snakemake_executor_plugin_slurm") is None:
        reason = "the extra 'slurm' is not installed: pip install -e '.[slurm]'"
    if reason:
        pytest.skip(reason)
    # Sockets have short paths, shorter than pytest's folders.
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        cluster = Cluster(Path(folder))
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.stop()


class ClusterProject(Project):
    """A working copy that runs its jobs through a cluster."""

    cluster: Cluster
    profile: str

    @property
    def environment(self) -> dict[str, str]:
        return self.cluster.environment | {"PYTHONPATH": str(self.folder / "src")}

    def command(self, *arguments: str) -> list[str]:
        soon = ["--seconds-between-status-checks", "1", "--latency-wait", "10"]
        if self.profile == "profiles/slurm":
            soon += ["--slurm-init-seconds-before-status-checks", "1"]
        return super().command("--profile", self.profile, *soon, *arguments)


@pytest.fixture(scope="module")
def finished(cluster, tmp_path_factory) -> tuple[ClusterProject, list[dict[str, str]]]:
    """A project with a finished smoke run, and its jobs; tests must not change it."""
    before = {job["JobId"] for job in cluster.jobs()}
    done = make_project(cluster, tmp_path_factory.mktemp("finished") / "project")
    result = done.run(*SMOKE)
    assert result.returncode == 0, result.stdout + result.stderr
    return done, [job for job in cluster.jobs() if job["JobId"] not in before]


@pytest.fixture
def project(cluster, finished, tmp_path) -> ClusterProject:
    """A fresh copy of the project whose data sets are packed already."""
    packed = make_project(cluster, tmp_path / "project")
    for name in ("results/packs", "results/data_sets", ".snakemake"):
        shutil.copytree(finished[0].folder / name, packed.folder / name)
    return packed


def make_project(cluster: Cluster, folder: Path, profile: str = "profiles/slurm") -> ClusterProject:
    project = ClusterProject(make_copy(folder))
    project.cluster, project.profile = cluster, profile
    return project


TABLE = "results/table1.part.csv"
SMOKE = [
    *("--configfile", "config/smoke.yaml"),
    *("--config", "methods=[neighbor2neighbor]", "device=cpu"),
    # The cluster's GPUs are no GPUs, so what asks for them computes on the CPU all the same.
    *("--set-resources", "train:gpu=1"),
    *("--", TABLE),
]
