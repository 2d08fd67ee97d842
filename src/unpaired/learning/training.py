"""The one training loop: phases, steps, checkpoints, resume.

Nothing random is carried from step to step (see randomness.py), so a checkpoint is weights,
optimizer state and a position, and a resumed run equals an uninterrupted one bit for bit on CPU.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from unpaired.core.devices import (
    choose_device,
    choose_precision,
    describe,
    keep_freed_memory,
    no_gpu_note,
)
from unpaired.core.errors import UnpairedError
from unpaired.core.files import atomic_path
from unpaired.core.processes import ONE_PROCESS, Alone, Processes, launch
from unpaired.core.progress import Progress
from unpaired.core.randomness import seed_for
from unpaired.learning.batches import batches
from unpaired.learning.method import Method, Phase, TrainingState
from unpaired.learning.steps import take_step

if TYPE_CHECKING:
    from lightning_fabric import Fabric

HISTORY_ROWS = 200
AGREE_EVERY_STEPS = 10  # Between processes; asking each other makes a GPU wait.
CHECKPOINT_NAME = "checkpoint.safetensors"


class Interrupted(UnpairedError):
    """Training was asked to stop; its checkpoint is written."""


@dataclass(frozen=True)
class Checkpointing:
    """Where and how often to save progress.

    stamp: what the progress belongs to (settings, code, versions); another stamp starts afresh.
    """

    folder: Path
    stamp: dict[str, Any]
    every_seconds: float = 60.0

    @property
    def path(self) -> Path:
        return self.folder / CHECKPOINT_NAME


@dataclass
class Result:
    """What a training leaves besides the weights in the method.

    history: rows of phase, step, images_seen and the mean of every scalar since the last row.
    seconds: spent in the training loop, over all restarts.
    """

    history: list[dict[str, Any]] = field(default_factory=list)
    images_seen: int = 0
    seconds: float = 0.0
    precision: str = ""
    device: str = ""


def train(
    method: Method,
    samples: Any,
    *,
    seed: int,
    device: str = "auto",
    precision: str = "auto",
    workers: int = 0,
    checkpointing: Checkpointing | None = None,
    processes: Processes = ONE_PROCESS,
    seconds: float | None = None,
    on_step: Callable[[], None] | None = None,
) -> Result:
    """Train ``method`` in place on ``samples`` (``samples[k]`` is the k-th sample of the run).

    Weights must already be initialized, the same in all ``processes``, which share every batch.
    seconds: end after so many at the latest, over all restarts, with all phases and schedules
    shortened alike. on_step: called after every step, in place of the progress on the screen.
    Raises UnpairedError if the loss stops being finite, the device is not there, or the batch
    cannot be shared; Interrupted after SIGTERM or SIGINT, with a checkpoint written.
    """
    chosen = choose_device(device)
    chosen_precision = choose_precision(precision, chosen)
    processes.check(method.config.batch_size)
    group = launch(chosen, processes)
    result = Result(precision=chosen_precision, device=describe(chosen))
    note = no_gpu_note(device, chosen)
    if on_step is None:
        print(f"train on {result.device} in {result.precision}, seed {seed}{note}", flush=True)
    if chosen.type == "cpu":
        keep_freed_memory()
    method.to(memory_format=method.memory_format(chosen))
    run = _Run(group, method, samples, seed, workers, checkpointing, result, seconds, on_step)
    with stop_signals() as stop:
        run.all_phases(stop)
    method.to("cpu")
    return result


class _Run:
    """One training in progress: the phases, the position in them, and what is saved of both."""

    def __init__(
        self,
        group: Alone | Fabric,
        method: Method,
        samples: Any,
        seed: int,
        workers: int,
        checkpointing: Checkpointing | None,
        result: Result,
        seconds: float | None,
        on_step: Callable[[], None] | None,
    ) -> None:
        self.group, self.method, self.samples = group, method, samples
        self.seed, self.workers = seed, workers
        self.checkpointing, self.result = checkpointing, result
        self.seconds, self.on_step = seconds, on_step
        # The modules move to their device before the optimizers look at the parameters.
        self.wrapped = group.setup_module(method)
        if group.world_size > 1:
            self.wrapped.mark_forward_method("losses")
        self.phases = method.phases()
        self.optimizers = [
            {turn: group.setup_optimizers(one) for turn, one in phase.turns.items()}
            for phase in self.phases
        ]
        self.phase_index, self.phase_images, self.step = 0, 0, 0
        self.history = _History(sum(phase.images_seen for phase in self.phases))
        self._resume()
        group.barrier()  # Before the first process writes the next checkpoint over the one read.

    def all_phases(self, stop: Callable[[], bool]) -> None:
        """Run what is left of every phase."""
        batch_size = self.method.config.batch_size
        self.saved_at = time.perf_counter()
        while self.phase_index < len(self.phases):
            phase = self.phases[self.phase_index]
            total = -(-phase.images_seen // batch_size) * batch_size
            if self.on_step is not None:
                self._phase(phase, total, lambda count, note: self.on_step(), stop)
            else:
                title = f"{phase.name} {type(self.method).__name__}"
                with Progress(title, total, done=self.phase_images) as progress:
                    self._phase(phase, total, progress.advance, stop)
            self.phase_index, self.phase_images = self.phase_index + 1, 0
        self.method.finish()
        self.result.history = self.history.rows

    def _phase(
        self,
        phase: Phase,
        total: int,
        advance: Callable[[int, str], None],
        stop: Callable[[], bool],
    ) -> None:
        start = time.perf_counter()
        for batch in self._batches(self.phase_images, total):
            if self._fraction(phase) >= 1:
                break
            self._one_step(phase, batch)
            count = len(batch["sample"]) * self.group.world_size
            self.phase_images += count
            self.result.images_seen += count
            self.step += 1
            now = time.perf_counter()
            self.result.seconds, start = self.result.seconds + now - start, now
            row = self.history.close_if_due(phase.name, self.step, self.result, self._mean)
            advance(count, f"loss {row['loss']:.5f}" if row else "")
            self._save_if_due(*self._agree(self._is_due(now), stop()))

    def _batches(self, start: int, total: int) -> Iterator[dict[str, Tensor]]:
        # Samples are numbered over all phases, so no phase repeats the noise of another.
        offset = self.result.images_seen - start
        for batch in batches(
            self.samples,
            self._share(offset + start, offset + total),
            batch_size=self.method.config.batch_size // self.group.world_size,
            workers=self.workers,
            pin_memory=self.group.device.type == "cuda",
            sharers=self.group.world_size,
        ):
            yield {key: self._place(value) for key, value in batch.items()}

    def _share(self, start: int, stop: int) -> Sequence[int]:
        """Return the samples of this process: of every batch a stretch, in the batch's order."""
        batch_size, count = self.method.config.batch_size, self.group.world_size
        if count == 1:
            return range(start, stop)
        own = batch_size // count
        first = start + own * self.group.global_rank
        return [k + i for k in range(first, stop, batch_size) for i in range(own)]

    def _place(self, value: Tensor) -> Tensor:
        device = self.group.device
        layout = self.method.memory_format(device) if value.ndim == 4 else torch.preserve_format
        return value.to(device, non_blocking=True, memory_format=layout)

    def _fraction(self, phase: Phase) -> float:
        """Return how much of a phase is done: by images, or by the clock where that is ahead."""
        by_images = self.phase_images / phase.images_seen
        if self.seconds is None:
            return by_images
        lengths = [one.images_seen for one in self.phases]
        before = self.seconds * sum(lengths[: self.phase_index]) / sum(lengths)
        own = self.seconds * phase.images_seen / sum(lengths)
        return max(by_images, (self.result.seconds - before) / own)

    def _one_step(self, phase: Phase, batch: dict[str, Tensor]) -> None:
        fraction = self._fraction(phase)
        # Dropout and the like draw from the global generator: fix it for every step by itself.
        torch.manual_seed(seed_for(self.seed, "step", self.step))
        logged: dict[str, Tensor] = {}
        for turn, optimizer in self.optimizers[self.phase_index].items():
            where = (self.phase_images, fraction, phase.name, turn)
            state = TrainingState(self.seed, self.step, *where)
            losses = take_step(
                partial(self.wrapped.losses, batch, state),
                optimizer,
                factor=phase.schedule(fraction),
                device=self.group.device,
                precision=self.result.precision,
                backward=self.group.backward,
            )
            logged |= {f"{turn} {key}" if key in logged else key: losses[key] for key in losses}
        self.method.after_step()
        self.history.add(logged)

    def _mean(self, values: dict[str, float]) -> dict[str, float]:
        """Return the mean of every value over all processes."""
        if self.group.world_size == 1:
            return values
        means = torch.tensor(list(values.values()), dtype=torch.float32, device=self.group.device)
        means = self.group.all_reduce(means, reduce_op="mean").tolist()
        return dict(zip(values, means, strict=True))

    def _is_due(self, now: float) -> bool:
        return (
            self.checkpointing is not None
            and now - self.saved_at > self.checkpointing.every_seconds
        )

    def _agree(self, save: bool, stop: bool) -> tuple[bool, bool]:
        """Save and stop at the same step in all processes, if one of them wants to."""
        if self.group.world_size == 1:
            return save, stop
        if self.step % AGREE_EVERY_STEPS:
            return False, False
        wishes = torch.tensor([save, stop], dtype=torch.float32, device=self.group.device)
        save, stop = self.group.all_reduce(wishes, reduce_op="max").bool().tolist()
        return save, stop

    def _save_if_due(self, due: bool, stopping: bool) -> None:
        if self.checkpointing is None:
            if stopping:
                raise Interrupted("training was interrupted")
        elif due or stopping:
            self._save()
            self.saved_at = time.perf_counter()
            if stopping:
                raise Interrupted(
                    f"training was interrupted after {self.result.images_seen} images; "
                    "run the same command again to go on from there"
                )

    def _save(self) -> None:
        if not self.group.is_global_zero:
            return
        tensors = {f"method/{key}": value for key, value in self.method.state_dict().items()}
        groups = []
        for index, optimizer in enumerate(_in_order(self.optimizers)):
            state = optimizer.state_dict()
            groups.append(state["param_groups"])
            for parameter, slots in state["state"].items():
                for slot, value in slots.items():
                    tensors[f"optimizer/{index}/{parameter}/{slot}"] = value
        position = {
            "stamp": self.checkpointing.stamp,
            "phase_index": self.phase_index,
            "phase_images": self.phase_images,
            "images_seen": self.result.images_seen,
            "step": self.step,
            "seconds": self.result.seconds,
            "history": self.history.as_dict(),
            "param_groups": groups,
        }
        with atomic_path(self.checkpointing.path) as aside:
            contiguous = {key: value.detach().contiguous() for key, value in tensors.items()}
            save_file(contiguous, aside, metadata={"position": json.dumps(position)})

    def _resume(self) -> None:
        if self.checkpointing is None or not self.checkpointing.path.exists():
            return
        loaded = _read_checkpoint(self.checkpointing)
        if loaded is None:
            return
        position, tensors = loaded
        self.method.load_state_dict(
            {key.partition("/")[2]: value for key, value in tensors.items() if key[0] == "m"}
        )
        for index, optimizer in enumerate(_in_order([phase.turns for phase in self.phases])):
            _load_optimizer(optimizer, index, position["param_groups"][index], tensors)
        self.phase_index, self.phase_images = position["phase_index"], position["phase_images"]
        self.step = position["step"]
        self.result.images_seen, self.result.seconds = position["images_seen"], position["seconds"]
        self.history.load(position["history"])
        print(f"resume after {self.result.images_seen} images", flush=True)


def _in_order(
    of_phases: Sequence[Mapping[str, torch.optim.Optimizer]],
) -> list[torch.optim.Optimizer]:
    """Return the optimizers of all phases, as checkpoints number them."""
    return [optimizer for turns in of_phases for optimizer in turns.values()]


def _read_checkpoint(
    checkpointing: Checkpointing,
) -> tuple[dict[str, Any], dict[str, Tensor]] | None:
    """Return position and tensors of a checkpoint, None if it is another run's or unreadable."""
    try:
        with safe_open(checkpointing.path, framework="pt") as file:
            position = json.loads(file.metadata()["position"])
            if position["stamp"] != checkpointing.stamp:
                print("the checkpoint belongs to other settings or code: start afresh", flush=True)
                return None
            return position, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, json.JSONDecodeError) as error:
        print(f"the checkpoint cannot be read ({error}): start afresh", flush=True)
        return None


def stamp_in(folder: Path) -> dict[str, Any] | None:
    """Return what the progress in a folder belongs to; None where none can be read."""
    try:
        with safe_open(folder / CHECKPOINT_NAME, framework="numpy") as file:
            return json.loads(file.metadata()["position"])["stamp"]
    except (OSError, SafetensorError, KeyError, TypeError, json.JSONDecodeError):
        return None


def _load_optimizer(
    optimizer: torch.optim.Optimizer,
    index: int,
    param_groups: list[dict[str, Any]],
    tensors: dict[str, Tensor],
) -> None:
    """Put saved slots back in the memory layout of their parameter, which fused steps rely on."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    prefix = f"optimizer/{index}/"
    for key, value in tensors.items():
        if not key.startswith(prefix):
            continue
        number, slot = key.removeprefix(prefix).split("/")
        parameter = parameters[int(number)]
        if value.shape == parameter.shape:
            value = torch.empty_like(parameter, dtype=value.dtype).copy_(value)
        state.setdefault(int(number), {})[slot] = value
    groups = [
        group | {"betas": tuple(group["betas"])} if "betas" in group else group
        for group in param_groups
    ]
    optimizer.load_state_dict({"state": state, "param_groups": groups})


class _History:
    """Means of the logged scalars over about HISTORY_ROWS equal stretches of training."""

    def __init__(self, total_images: int) -> None:
        self.rows: list[dict[str, Any]] = []
        self._images_per_row = max(1, total_images // HISTORY_ROWS)
        self._sums: dict[str, float] = {}
        self._pending: list[dict[str, Tensor]] = []
        self._count = 0

    def add(self, losses: dict[str, Tensor]) -> None:
        # Kept as tensors: reading a value would make a GPU wait at every step.
        self._pending.append({key: value.detach() for key, value in losses.items()})

    def close_if_due(
        self,
        phase: str,
        step: int,
        result: Result,
        mean: Callable[[dict[str, float]], dict[str, float]],
    ) -> dict[str, Any] | None:
        """Return the finished row when ``images_seen`` has reached its end; ``mean``: over all."""
        images_seen = result.images_seen
        if images_seen < (len(self.rows) + 1) * self._images_per_row:
            return None
        self._settle()
        means = mean({key: total / self._count for key, total in self._sums.items()})
        row = {"phase": phase, "step": step, "images_seen": images_seen} | means
        if not all(abs(value) < float("inf") for value in means.values()):
            raise UnpairedError(
                f"the loss is not finite after {images_seen} images; "
                "lower the learning rate (learning_rate), or use precision fp32"
            )
        self.rows.append(row)
        self._sums, self._count = {}, 0
        return row

    def _settle(self) -> None:
        for losses in self._pending:
            for key, value in losses.items():
                self._sums[key] = self._sums.get(key, 0.0) + float(value)
        self._count += len(self._pending)
        self._pending = []

    def as_dict(self) -> dict[str, Any]:
        self._settle()
        return {"rows": self.rows, "sums": self._sums, "count": self._count}

    def load(self, saved: dict[str, Any]) -> None:
        self.rows, self._sums, self._count = saved["rows"], saved["sums"], saved["count"]


class stop_signals:
    """Remember SIGTERM and SIGINT instead of dying, so that a checkpoint can be written first."""

    SIGNALS: Sequence[signal.Signals] = (signal.SIGTERM, signal.SIGINT)

    def __enter__(self) -> Callable[[], bool]:
        self._asked = False

        def remember(*_: object) -> None:
            self._asked = True

        try:
            self._before = [signal.signal(number, remember) for number in self.SIGNALS]
        except ValueError:  # Not the main thread: signals are somebody else's business.
            self._before = []
        return lambda: self._asked

    def __exit__(self, *_: object) -> None:
        for number, handler in zip(self.SIGNALS, self._before, strict=False):
            signal.signal(number, handler)
