"""Training by several processes: one per GPU, on one machine or several."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from unpaired.core.errors import UnpairedError

if TYPE_CHECKING:
    from lightning_fabric import Fabric


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


@dataclass(frozen=True)
class Alone:
    """The only process of a training. It answers as Fabric does, which takes seconds to load."""

    device: torch.device
    world_size: int = 1
    global_rank: int = 0
    is_global_zero: bool = True

    def setup_module(self, module: nn.Module) -> nn.Module:
        """Move a module to the device."""
        return module.to(self.device)

    def setup_optimizers(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Return the optimizer as it is."""
        return optimizer

    def backward(self, loss: Tensor) -> None:
        """Compute the gradients of ``loss``."""
        loss.backward()

    def barrier(self) -> None:
        """Wait for the other processes, of which there are none."""


def launch(device: torch.device, processes: Processes) -> Alone | Fabric:
    """Start the other processes of a training; return what this one asks of all of them."""
    if processes.count == 1:
        return Alone(device)
    from lightning_fabric import Fabric
    from lightning_fabric.strategies import DDPStrategy

    threads = torch.get_num_threads()
    # Fabric's own mixed precision would round the input images to bf16, which is coarser than 8
    # bits, and skip methods other than forward() on a single device. See `steps.take_step`.
    fabric = Fabric(
        accelerator={"cuda": "gpu"}.get(device.type, device.type),
        devices=processes.devices,
        num_nodes=processes.nodes,
        precision="32-true",
        plugins=[node_environment(processes)],
        # A phase need not train all that a method has, as DBSN's first does not.
        strategy=DDPStrategy(find_unused_parameters=True),
    )
    fabric.launch()
    torch.set_num_threads(threads)  # Fabric shares the cores out between the processes it starts.
    return fabric


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
