"""An iteration of BicycleGAN at 256 px: a plain formulation against ours, from the same weights.

    python benchmarks/bicyclegan_step.py --threads 1

The plain one is what the text and the authors' code say, step by step, in fp32 and contiguous
memory: each path goes through the generator by itself, backward is called for the generator's
losses, for the latent loss with the encoder's weights switched off, and for either critic. Ours
joins both paths in one pass, has one backward for each turn, one fused optimizer for each turn, and
the memory layout of the project's trainings. Both get the same pictures, codes and weights; dropout
is off. Losses of the first iteration must agree, and gradients of every network.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time

import torch
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss

from unpaired.learning.diffusion import draw, to_signed
from unpaired.learning.method import TrainingState
from unpaired.learning.steps import take_step
from unpaired.systems.translation.methods.bicyclegan import (
    CRITICS,
    DRAWN,
    ENCODED,
    BicycleGAN,
    BicycleGANConfig,
    kl_to_normal,
)

ADAM = {"lr": 2e-4, "betas": (0.5, 0.999)}
TOLERANCE = 1e-4
GAIN = 1.0  # With the authors' 0.02 outputs are so small that all losses would agree.


def state(turn: str) -> TrainingState:
    return TrainingState(1, 0, 0, 0.0, "train", turn)


def fooled(critic: torch.nn.Module, picture: Tensor, wanted: float) -> Tensor:
    return sum(mse_loss(one, torch.full_like(one, wanted)) for one in critic(picture))


class Plain:
    """The formulation to compare with."""

    def __init__(self, method: BicycleGAN) -> None:
        self.method = method
        networks = [method.generator, method.encoder, *method.critics.values()]
        self.optimizers = [torch.optim.Adam(one.parameters(), **ADAM) for one in networks]

    def step(self, batch: dict[str, Tensor]) -> dict[str, float]:
        method, config = self.method, self.method.config
        of_generator, of_encoder, *of_critics = self.optimizers
        a, b, other = (to_signed(batch[key]) for key in ("input", "output", "other_output"))
        noise = {
            path: draw(state("").generators(batch["sample"], path), (config.code_dim,))
            for path in (ENCODED, DRAWN)
        }
        mean, log_variance = method.encoder(b)
        made = {
            ENCODED: method.generator(a, mean + noise[ENCODED] * (log_variance / 2).exp()),
            DRAWN: method.generator(a, noise[DRAWN]),
        }
        method.critics.requires_grad_(False)
        of_generator.zero_grad()
        of_encoder.zero_grad()
        kl, l1 = kl_to_normal(mean, log_variance), l1_loss(made[ENCODED], b)
        loss = sum(fooled(method.critics[path], made[path], 1.0) for path in made)
        loss = loss + config.l1_weight * l1 + config.kl_weight * kl
        loss.backward(retain_graph=True)
        method.encoder.requires_grad_(False)
        latent = l1_loss(method.encoder(made[DRAWN])[0], noise[DRAWN])
        (config.latent_weight * latent).backward()
        method.encoder.requires_grad_(True)
        of_encoder.step()
        of_generator.step()
        method.critics.requires_grad_(True)
        judged = 0.0
        for path, real, optimizer in zip(made, (b, other), of_critics, strict=True):
            optimizer.zero_grad()
            own = fooled(method.critics[path], made[path].detach(), 0.0)
            own = own + fooled(method.critics[path], real, 1.0)
            own.backward()
            optimizer.step()
            judged += float(own.detach())
        return {
            "generator": float((loss + config.latent_weight * latent).detach()),
            CRITICS: judged,
        }


class Ours:
    """What the training loop does with a batch."""

    def __init__(self, method: BicycleGAN, precision: str, device: torch.device) -> None:
        self.layout = method.memory_format(device)
        self.method = method.to(memory_format=self.layout)
        self.turns = method.phases()[0].turns
        self.precision = precision

    def step(self, batch: dict[str, Tensor]) -> dict[str, float]:
        # Trainings place their batches in this layout too.
        batch = {
            key: value.to(memory_format=self.layout) if value.ndim == 4 else value
            for key, value in batch.items()
        }
        found = {}
        for turn, optimizer in self.turns.items():
            losses = take_step(
                lambda turn=turn: self.method.losses(batch, state(turn)),
                optimizer,
                factor=1.0,
                device=batch["input"].device,
                precision=self.precision,
            )
            found[turn] = float(losses["loss"].detach())
        return found


def gradients_apart(plain: BicycleGAN, ours: BicycleGAN) -> dict[str, float]:
    """Return how far the gradients of each network are apart, relative to their length."""
    found = {}
    for name, network in plain.named_children():
        pairs = zip(network.parameters(), ours.get_submodule(name).parameters(), strict=True)
        gradients = [(a.grad.flatten(), b.grad.flatten()) for a, b in pairs]
        expected, given = (torch.cat(own) for own in zip(*gradients, strict=True))
        found[name] = float((given - expected).norm() / expected.norm())
    return found


def main(arguments: argparse.Namespace) -> None:
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    first = BicycleGAN(BicycleGANConfig(initialization_gain=GAIN)).eval().to(arguments.device)
    keys = ("input", "output", "other_output")
    batch = {key: torch.rand(1, 3, 256, 256, device=arguments.device) for key in keys}
    batch["sample"] = torch.zeros(1, dtype=torch.long, device=arguments.device)
    ours = Ours(copy.deepcopy(first), arguments.precision, torch.device(arguments.device))
    plain = Plain(first)
    expected, found = plain.step(batch), ours.step(batch)
    worst = max(abs(found[key] / expected[key] - 1) for key in expected)
    told = ", ".join(f"{key} {value:.5f}" for key, value in expected.items())
    print(f"losses of the first iteration ({told}) differ by {worst:.1e} of themselves")
    apart = gradients_apart(plain.method, ours.method)
    worst = max(worst, *apart.values())
    told = ", ".join(f"{name} {value:.1e}" for name, value in apart.items())
    print(f"gradients differ by, of their length: {told}")
    if arguments.precision == "fp32" and worst > TOLERANCE:
        raise SystemExit(f"more than {TOLERANCE}")
    seconds: dict[str, list[float]] = {"plain": [], "ours": []}
    # One thread's processor time does not count what else the machine does.
    is_alone = arguments.device == "cpu" and arguments.threads == 1
    clock = time.process_time if is_alone else time.perf_counter
    for _ in range(arguments.iterations):
        for name, one in (("plain", plain), ("ours", ours)):
            start = clock()
            one.step(batch)
            seconds[name].append(clock() - start)
    middle = {name: statistics.median(own) for name, own in seconds.items()}
    ratios = [a / b for a, b in zip(seconds["plain"], seconds["ours"], strict=True)]
    print(
        f"plain {middle['plain']:.2f} s, ours {middle['ours']:.2f} s ({arguments.precision}): "
        f"{statistics.median(ratios):.2f} times as fast, {min(ratios):.2f} to {max(ratios):.2f}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--iterations", type=int, default=5)
    parser.add_argument("--precision", default="fp32", choices=("fp32", "bf16"))
    parser.add_argument("--device", default="cpu")
    main(parser.parse_args())
