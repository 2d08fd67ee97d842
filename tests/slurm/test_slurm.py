"""The smoke table through a real SLURM, undisturbed and disturbed."""

from __future__ import annotations

import csv
import time
from collections import Counter

import psutil
import pytest

from tests.slurm.conftest import SMOKE, TABLE, make_project
from tests.waiting import PATIENCE_SECONDS
from tests.workflow.test_interruptions import ARGUMENTS as LOCAL_ARGUMENTS
from tests.workflow.test_interruptions import trained, undisturbed, wait_for_checkpoint, weights

__all__ = ["trained", "undisturbed"]  # fixtures

pytestmark = [pytest.mark.slurm, pytest.mark.long]

# As for a local run, without its number of cores; what comes after the training is not at stake.
TRAINING = ["--until", "train", *LOCAL_ARGUMENTS[2:]]

STAGES = {"pack": 2, "check_split": 1, "train": 1, "evaluate": 1, "table": 1}


def job_of_training(project) -> dict[str, str]:
    """Return the running job that trains in a project."""
    (job,) = [
        job
        for job in project.cluster.jobs()
        if job["JobState"] == "RUNNING"
        and job["WorkDir"] == str(project.folder)
        and "rule_train" in job["StdOut"]
    ]
    return job


def worker_in(project) -> psutil.Process:
    """Return the process that trains in a project."""
    (worker,) = [
        process
        for process in psutil.process_iter(["cmdline", "name"])
        if "unpaired.stages.train" in (process.info["cmdline"] or ())
        and "python" in process.info["name"]
        and process.cwd() == str(project.folder)
    ]
    return worker


def assert_finished_as(run, project, undisturbed):
    """The run ends well by itself, with the weights of an undisturbed one."""
    output, _ = run.communicate(timeout=PATIENCE_SECONDS)
    assert run.returncode == 0, output
    assert weights(project) == undisturbed
    log = next((project.folder / "results/logs/train").iterdir()).read_text()
    assert "resume after" in log


def test_every_stage_was_a_job_with_the_resources_it_asked_for(finished):
    _, jobs = finished
    rules = Counter(job["StdOut"].split("/rule_")[1].split("/")[0] for job in jobs)
    assert rules == STAGES
    assert {job["JobState"] for job in jobs} == {"COMPLETED"}
    for job in jobs:
        rule = job["StdOut"].split("/rule_")[1].split("/")[0]
        memory, limit = {
            "check_split": ("1000M", "00:10:00"),
            "table": ("1000M", "00:10:00"),
            "pack": ("1000M", "01:00:00"),
        }.get(rule, ("4000M", "01:00:00"))
        assert f"mem={memory}" in job["TRES"]
        assert job["TimeLimit"] == limit
        assert job["NumCPUs"] == "1"
        assert job.get("TresPerJob", "") == ("gres:gpu:1" if rule == "train" else "")


def test_the_table_is_filled_and_a_second_run_has_nothing_to_do(finished):
    project, _ = finished
    with open(project.folder / TABLE, newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["method"] for row in rows} == {"neighbor2neighbor"}
    assert all(float(row["value"]) > 0 for row in rows)
    before = len(project.cluster.jobs())
    again = project.run(*SMOKE)
    assert "Nothing to be done" in again.stdout + again.stderr
    assert len(project.cluster.jobs()) == before


def test_a_canceled_training_is_submitted_again_and_resumes(project, undisturbed):
    run = project.start(*TRAINING)
    wait_for_checkpoint(project, run)
    project.cluster.run("scancel", job_of_training(project)["JobId"])
    assert_finished_as(run, project, undisturbed)


def test_a_training_out_of_time_is_submitted_again_and_resumes(project, undisturbed):
    run = project.start(*TRAINING)
    wait_for_checkpoint(project, run)
    identity = job_of_training(project)["JobId"]
    # SLURM looks for jobs out of time every half a minute; it wakes what it ends.
    worker_in(project).suspend()
    # Limits are whole minutes; the end of a running job can be moved to the second.
    end = time.strftime("%Y-%m-%dT%H:%M:%S", time.localtime(time.time() + 1))
    project.cluster.run("scontrol", "update", f"JobId={identity}", f"EndTime={end}")
    assert_finished_as(run, project, undisturbed)
    states = {job["JobId"]: job["JobState"] for job in project.cluster.jobs()}
    assert states[identity] == "TIMEOUT"


def test_a_killed_slurmd_loses_nothing(project, undisturbed):
    run = project.start(*TRAINING)
    wait_for_checkpoint(project, run)
    project.cluster.kill_node()
    project.cluster.start_node()
    output, _ = run.communicate(timeout=PATIENCE_SECONDS)
    assert run.returncode == 0, output
    assert weights(project) == undisturbed


def test_the_log_of_a_failed_job_is_named_in_one_line(project):
    settings = ["--config", "methods=[neighbor2neighbor]", "device=cpu"]
    settings += ["training={learning_rate: 1e12}", "network={width: 4}"]
    smoke = ["--retries", "0", "--configfile", "config/smoke.yaml"]
    done = project.run(*smoke, *settings, "--", TABLE)
    output = done.stdout + done.stderr
    assert done.returncode != 0
    (log,) = (project.folder / "results/logs/train").iterdir()
    assert "the loss is not finite" in log.read_text()
    assert any(f"log: results/logs/train/{log.name}" in line for line in output.splitlines())


def test_the_commands_of_the_batch_system_do_as_well(cluster, tmp_path):
    """profiles/slurm-generic, as it stands: submission, states, and a job that is ended."""
    project = make_project(cluster, tmp_path / "project", "profiles/slurm-generic")
    (project.folder / "results/logs/cluster").mkdir(parents=True)
    done = project.run(*SMOKE)
    assert done.returncode == 0, done.stdout + done.stderr
    jobs = [job for job in cluster.jobs() if job["WorkDir"] == str(project.folder)]
    assert Counter(job["JobName"] for job in jobs) == STAGES
    assert {job["JobName"] for job in jobs if job.get("TresPerNode") == "gres:gpu:1"} == {"train"}
