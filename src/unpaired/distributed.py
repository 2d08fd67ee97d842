"""Training by several processes: one per GPU, on one machine or several."""

from __future__ import annotations

import os
from dataclasses import dataclass

from unpaired.errors import UnpairedError


@dataclass(frozen=True)
class Processes:
    """How many processes train one model: ``devices`` on each of ``nodes`` machines."""

    devices: int = 1
    nodes: int = 1

    @property
    def count(self) -> int:
        return self.devices * self.nodes

    def check(self, batch_size: int) -> None:
        """Raise UnpairedError unless a batch can be shared equally."""
        if batch_size % self.count:
            raise UnpairedError(
                f"{self.count} processes cannot share batches of {batch_size} images equally; set "
                "training.batch_size to a multiple, or other training.devices and training.nodes"
            )


ONE_PROCESS = Processes()


def first_of_all() -> bool:
    """Say whether this process is the first, or the only one, of a training.

    Fabric starts the others of a machine as this same command with LOCAL_RANK set; on several
    machines the command is started once on each, with NODE_RANK, or by srun with SLURM_NODEID.
    """
    return not any(int(rank) for rank in (os.environ.get("LOCAL_RANK", "0"), _node_rank()))


def _node_rank() -> str:
    # A single-node job of SLURM has SLURM_NODEID 0.
    return os.environ.get("NODE_RANK", os.environ.get("SLURM_NODEID", "0"))


def node_environment(processes: Processes):
    """Return what tells Fabric which machine this is and where the first one listens.

    Of SLURM only the list of machines is used: one process per machine is started by srun, and
    starts the others there, as it does without SLURM.
    """
    from lightning_fabric.plugins.environments import LightningEnvironment, SLURMEnvironment

    if processes.nodes > 1:
        os.environ["NODE_RANK"] = _node_rank()
        if "MASTER_ADDR" not in os.environ and "SLURM_JOB_NODELIST" in os.environ:
            first = SLURMEnvironment.resolve_root_node_address(os.environ["SLURM_JOB_NODELIST"])
            os.environ["MASTER_ADDR"] = first
            os.environ.setdefault("MASTER_PORT", _port_of_job())
        if "MASTER_ADDR" not in os.environ:
            raise UnpairedError(
                "training on several machines needs MASTER_ADDR, MASTER_PORT and NODE_RANK in the "
                "environment, or SLURM"
            )
    return LightningEnvironment()


def _port_of_job() -> str:
    """Return a port that all machines of a SLURM job know and other jobs there hardly use."""
    return str(15_000 + int(os.environ["SLURM_JOB_ID"]) % 10_000)
