"""A real SLURM of one machine: munged, slurmctld and slurmd as plain processes in one folder."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from tests.waiting import PATIENCE_SECONDS

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "scontrol", "sinfo")

CONFIGURATION = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthInfo=socket={folder}/munge.socket
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=none
MinJobAge=86400
ReturnToService=2
KillWait=10
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} Sockets=1 CoresPerSocket={cpus} ThreadsPerCore=1 \
RealMemory={memory_mb} Gres=gpu:2
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
"""

# Any two files that exist do for GPUs: jobs of the tests compute on the CPU.
GPUS = "Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n"


def why_not() -> str | None:
    """Return what is missing to start a SLURM here; None if nothing is."""
    missing = [program for program in PROGRAMS if shutil.which(program, path=search_path()) is None]
    if missing:
        return f"SLURM is not installed ({', '.join(missing)}); apt-get install slurm-wlm munge"
    return None if os.geteuid() == 0 else "the daemons of SLURM must be started by root"


def search_path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Cluster:
    """One node with two fake GPUs. ``environment`` is what its commands and Snakemake run in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("state", "spool", "munge"):
            (folder / name).mkdir()
        configuration = CONFIGURATION.format(
            folder=folder,
            host=socket.gethostname(),
            cpus=os.cpu_count(),
            memory_mb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20 * 9 // 10,
            controller_port=free_port(),
            node_port=free_port(),
        )
        (folder / "slurm.conf").write_text(configuration)
        (folder / "gres.conf").write_text(GPUS)
        self.environment = os.environ | {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "PATH": f"{folder}/bin:{search_path()}",
        }
        self._lead_srun_here()
        self._daemons: dict[str, subprocess.Popen] = {}

    def _lead_srun_here(self) -> None:
        """Snakemake takes SLURM's variables from its jobs, which look in /etc/slurm elsewhere."""
        (self.folder / "bin").mkdir()
        wrapper = self.folder / "bin" / "srun"
        program = shutil.which("srun", path=search_path())
        wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {program} "$@"\n')
        wrapper.chmod(0o755)

    def start(self) -> None:
        key = self.folder / "munge" / "key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        own = {name: self.folder / "munge" / name for name in ("log", "pid", "seed")}
        self._start(
            "munged",
            *("--foreground", "--force", f"--socket={self.folder}/munge.socket"),
            *(f"--key-file={key}", f"--log-file={own['log']}"),
            *(f"--pid-file={own['pid']}", f"--seed-file={own['seed']}"),
        )
        self._start("slurmctld", "-D", "-c")
        self.start_node()

    def start_node(self) -> None:
        """Start slurmd, and wait until the node takes jobs."""
        self._start("slurmd", "-D")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.run("sinfo", "-h", "-o", "%T") not in ("idle", "mixed", "allocated"):
            if time.monotonic() > deadline:
                logs = [path.read_text()[-2000:] for path in self.folder.glob("slurm*.log")]
                raise RuntimeError("SLURM does not start: " + "\n".join(logs))
            time.sleep(0.1)

    def kill_node(self) -> None:
        """Kill slurmd as a crash would; the jobs that it started go on."""
        daemon = self._daemons.pop("slurmd")
        daemon.kill()
        daemon.wait()

    def stop(self) -> None:
        self.run("scancel", "--full", "--user=root")
        for daemon in reversed(self._daemons.values()):
            daemon.terminate()
        for daemon in self._daemons.values():
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()

    def run(self, *command: str) -> str:
        """Run a command of SLURM and return what it prints; empty if it fails."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else ""

    def jobs(self) -> list[dict[str, str]]:
        """Return what SLURM knows of every job, running or ended."""
        text = self.run("scontrol", "--oneliner", "show", "jobs")
        lines = [line for line in text.splitlines() if line.startswith("JobId=")]
        return [dict(part.split("=", 1) for part in line.split() if "=" in part) for line in lines]

    def _start(self, program: str, *options: str) -> None:
        with open(self.folder / f"{program}.out", "ab") as output:
            self._daemons[program] = subprocess.Popen(
                [program, *options], env=self.environment, stdout=output, stderr=output
            )
