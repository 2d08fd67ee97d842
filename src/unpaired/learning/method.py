"""What every method is: a way to learn, and a product that evaluation can use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, Self

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from unpaired.catalog.system import Condition
from unpaired.core.errors import UnpairedError
from unpaired.core.randomness import generators_for
from unpaired.data.noise import Noise
from unpaired.data.packs import Pack
from unpaired.data.samples import CropSamples, NoiseDraw


@dataclass(frozen=True)
class Observation:
    """What a restorer is given: a degraded image, and what its method may know of the noise.

    image: 1 x C x H x W, float32, nominal range [0, 1], neither clipped nor rounded.
    level: standard deviation (Gaussian, in units of the [0, 1] range) or photon count at 1.0
        (Poisson); None unless the method lists ``"level"`` in its ``knows``.
    """

    image: Tensor
    level: float | None = None


class Restorer(Protocol):
    """A product: turns an observation into a restored image of the same shape (not clamped).

    multiple_px: sides of the observation must be multiples of this; 1 for any size.
    margin_px: context beyond which the input cannot change the output, which allows tiles; None if
        the method needs the whole image.
    """

    knows: ClassVar[tuple[str, ...]]
    multiple_px: int
    margin_px: int | None

    def restore(self, observation: Observation) -> Tensor: ...


class PerImageRestorer:
    """Base of every method that restores each image by itself: no training set, the whole image.

    knows: as for ``Method``.
    """

    Config: ClassVar[type]
    sees: ClassVar[tuple[str, ...]] = ()
    knows: ClassVar[tuple[str, ...]] = ()
    multiple_px: ClassVar[int] = 1
    margin_px: ClassVar[int | None] = None

    def __init__(self, config: Any) -> None:
        self.config = config
        self.others: dict[str, Method] = {}

    def receive(self, role: str, other: Method) -> None:
        """Take a trained model that it works with, in a role of the method."""
        self.others[role] = other


@dataclass(frozen=True)
class TrainingState:
    """Where training stands when a loss is asked for.

    seed: of the whole run. step: optimizer steps done. images_seen: samples consumed in the phase.
    fraction: images_seen / total of the phase, in [0, 1). phase: its name. turn: of the optimizer
    whose loss is asked for, where several take turns.
    """

    seed: int
    step: int
    images_seen: int
    fraction: float
    phase: str = "train"
    turn: str = ""

    def generators(self, samples: Tensor, stream: str) -> list[torch.Generator]:
        """One generator per sample of the batch, the same on every rank and after any restart."""
        return generators_for(self.seed, samples.tolist(), stream, samples.device)


@dataclass(frozen=True)
class Phase:
    """A stretch of training: which optimizer, which learning-rate schedule, how long.

    optimizer: several take turns on every batch, by name and in this order. schedule: fraction done
    in [0, 1] -> factor on the learning rate.
    """

    name: str
    images_seen: int
    optimizer: torch.optim.Optimizer | Mapping[str, torch.optim.Optimizer]
    schedule: Callable[[float], float]

    @property
    def turns(self) -> dict[str, torch.optim.Optimizer]:
        """The optimizers by the name of their turn; the only one has no name."""
        own = self.optimizer
        return dict(own) if isinstance(own, Mapping) else {"": own}


class Method(nn.Module):
    """Base of every method that learns.

    sees: the only image keys that a training batch holds. knows: what an observation may carry
    besides the image. read_outs: the ways to restore with one and the same training, if there are
    several; the first is the default.
    """

    Config: ClassVar[type]
    sees: ClassVar[tuple[str, ...]] = ("noisy",)
    knows: ClassVar[tuple[str, ...]] = ()
    read_outs: ClassVar[tuple[str, ...]] = ()

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config
        self.read_out = self.read_outs[0] if self.read_outs else None
        # A plain dictionary: other models are no part of the weights, of an optimizer or of DDP.
        self.others: dict[str, Method] = {}

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move the method as a module, and the other models that it was given with it."""
        for other in self.others.values():
            other.to(*args, **kwargs)
        return super().to(*args, **kwargs)

    def receive(self, role: str, other: Method) -> None:
        """Take another trained model, which does not change any more, in a role of the method."""
        self.others[role] = other.eval().requires_grad_(False)

    def receive_file(self, name: str, path: Path) -> None:
        """Take an artifact that the method's entry names; called before a training."""
        raise TypeError(f"{type(self).__name__} must define receive_file()")

    def samples(
        self,
        packs: Sequence[Pack],
        *,
        seed: int,
        noise: Noise | Condition | None,
        noise_draw: NoiseDraw,
    ) -> Dataset:
        """Return what is trained on: crops of one pack, unless a method says otherwise.

        noise: None if the pack is noisy itself. A condition adds nothing to crops: a method to
        which its values matter has samples of its own.
        """
        about = {"patch_px": self.config.patch_px, "seed": seed}
        (pack,) = packs
        noise = None if isinstance(noise, Condition) else noise
        return CropSamples(pack, sees=self.sees, noise=noise, noise_draw=noise_draw, **about)

    def memory_format(self, device: torch.device) -> torch.memory_format:
        """Return how weights and batches lie in memory in a training on ``device``."""
        return torch.channels_last

    def timing_batch(self, device: torch.device) -> dict[str, Tensor]:
        """Return a batch of one sample that takes as long as any: what it holds does not matter."""
        side, channels = self.config.patch_px, getattr(self.config, "channels", 3)
        batch = dict.fromkeys(self.sees, torch.rand(1, channels, side, side, device=device))
        scalars = {"level": torch.tensor([0.1]), "sample": torch.tensor([0])}
        return batch | {key: value.to(device) for key, value in scalars.items()}

    def choose_read_out(self, name: str) -> None:
        """Restore in the way called ``name`` from now on; raises UnpairedError if there is none."""
        if name not in self.read_outs:
            known = ", ".join(self.read_outs) or "none"
            raise UnpairedError(
                f"{type(self).__name__} has no read-out '{name}'; there are: {known}"
            )
        self.read_out = name

    def prepare(self, samples: Any, seed: int) -> None:
        """Hook before a training that starts from no other model: look at what it will learn from.

        samples: ``samples[k]`` is the k-th sample of the run.
        """

    def start_from(self, other: Method) -> None:
        """Take over what another trained model has learned; raises TypeError if it cannot."""
        raise TypeError(f"{type(self).__name__} must define start_from()")

    def phases(self) -> list[Phase]:
        """Return the stretches of training, in order; called once, after the weights exist."""
        raise TypeError(f"{type(self).__name__} must define phases()")

    def losses(self, batch: dict[str, Tensor], state: TrainingState) -> dict[str, Tensor]:
        """Return ``{"loss": scalar to minimize, ...}``; the other scalars are logged."""
        raise TypeError(f"{type(self).__name__} must define losses()")

    def after_step(self) -> None:
        """Hook after every step, when all optimizers had their turn: projections, averages."""

    def finish(self) -> None:
        """Hook after the last step, before the weights are published."""
