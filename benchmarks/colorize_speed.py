r"""How fast pictures are colorized from file to file, and what colors cost in a training step.

    python benchmarks/colorize_speed.py [--width 64] [--threads 2]

Gray PNGs of 256 x 256 and the network of the thesis (--width 64; its weights are random, which
costs the same time). Prints

* images per second of `unpaired colorize`, end to end, in bf16 with channels_last (what it uses
  where the processor has it) and in plain fp32, and where the time goes;
* the network alone in four ways: fp32 and bf16, each with and without channels_last;
* a training step of --batch pictures of 176 px, and the share of it that goes into Lab, the soft
  targets and the loss on them.

Times are the best of --repeats. With --threads 1 they are processor time, in which other work on
the machine does not count, else seconds by the clock.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from unpaired.data.sources.embedded import test_records
from unpaired.imaging.color.ab_bins import decode, soft_cross_entropy, soft_encode
from unpaired.imaging.color.lab import into_gamut, lab_to_rgb, rgb_to_lab
from unpaired.imaging.pictures import in_rgb, read_picture, write_picture
from unpaired.learning.create import create
from unpaired.learning.method import TrainingState
from unpaired.learning.steps import take_step
from unpaired.learning.weights import save_model
from unpaired.systems.colorization.colorize import Options, colorize, colorize_picture
from unpaired.systems.colorization.methods.colorization import Colorization
from unpaired.systems.colorization.scoring import shrunk

SIDE_PX = 256
PATCH_PX = 176
CPU = torch.device("cpu")


def gray_pictures(folder: Path, count: int) -> list[Path]:
    photographs = [record.arrays["image"] for record in test_records(None)]
    folder.mkdir()
    for number in range(count):
        photograph = Image.fromarray(photographs[number % len(photographs)])
        square = photograph.convert("L").resize((SIDE_PX, SIDE_PX), Image.Resampling.BICUBIC)
        square.save(folder / f"{number:02d}.png")
    return sorted(folder.iterdir())


def now() -> float:
    return time.process_time() if torch.get_num_threads() == 1 else time.perf_counter()


def best(work: Callable[[], object], repeats: int) -> float:
    work()
    times = []
    for _ in range(repeats):
        start = now()
        work()
        times.append(now() - start)
    return min(times)


def in_precision(precision: str) -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16")


def profile(method: Colorization, path: Path, output: Path, precision: str, repeats: int):
    """Return what the parts of colorizing one file take, in seconds."""
    picture = read_picture(path)
    rgb = torch.from_numpy(in_rgb(picture).pixels[0]).permute(2, 0, 1)[None].contiguous()
    colored = colorize_picture(picture, method, Options(device="cpu", precision=precision))
    with torch.inference_mode():
        lightness = rgb_to_lab(shrunk(rgb, method.picture_px))[:, :1]
        with in_precision(precision):
            logits = method.network(lightness)

        def network() -> Tensor:
            with in_precision(precision):
                return method.network(lightness)

        def annealed() -> Tensor:
            return functional.interpolate(decode(logits), scale_factor=4, mode="bilinear")

        ab = annealed()

        def join() -> Tensor:
            lab = torch.cat([rgb_to_lab(rgb)[:, :1], ab], dim=1)
            return lab_to_rgb(into_gamut(lab))

        return {
            "decode the file": best(lambda: read_picture(path), repeats),
            "resize, Lab": best(lambda: rgb_to_lab(shrunk(rgb, method.picture_px)), repeats),
            "network": best(network, repeats),
            "annealed mean, enlarge": best(annealed, repeats),
            "join with lightness, into gamut, RGB": best(join, repeats),
            "write the file": best(lambda: write_picture(colored, output), repeats),
        }


def end_to_end(model: Path, paths: list[Path], folder: Path, precision: str) -> float:
    """Return images per second, loading of the model left out: of all files less those of one."""
    seconds = []
    for number, given in enumerate((paths[:1], paths)):
        start = now()
        options = Options(model, device="cpu", precision=precision)
        colorize(given, folder / f"{precision}{number}", options)
        seconds.append(now() - start)
    return (len(paths) - 1) / (seconds[1] - seconds[0])


def network_times(width: int, repeats: int) -> dict[str, float]:
    lightness = 100 * torch.rand(1, 1, SIDE_PX, SIDE_PX)
    times = {}
    for layout in (torch.contiguous_format, torch.channels_last):
        network = create("colorization", width=width, uniform_share=1.0).network.eval()
        network.to(memory_format=layout)
        given = lightness.contiguous(memory_format=layout)
        for precision in ("fp32", "bf16"):
            with torch.inference_mode(), in_precision(precision):
                times[f"{precision}, {str(layout).partition('.')[2]}"] = best(
                    lambda network=network, given=given: network(given), repeats
                )
    return times


def step_times(width: int, batch: int, precision: str, layout: torch.memory_format, repeats: int):
    """Return the seconds of a training step and of what colors take in it."""
    method = create("colorization", width=width, uniform_share=1.0).to(memory_format=layout)
    (phase,) = method.phases()
    images = torch.rand(batch, 3, PATCH_PX, PATCH_PX)
    given = {"image": images.contiguous(memory_format=layout), "sample": torch.arange(batch)}
    state = TrainingState(0, 0, 0, 0.0)

    def step() -> None:
        take_step(
            lambda: method.losses(given, state),
            phase.optimizer,
            factor=1.0,
            device=CPU,
            precision=precision,
        )

    logits = method.network(100 * torch.rand(batch, 1, PATCH_PX, PATCH_PX)).detach()

    def colors() -> None:
        lab = rgb_to_lab(given["image"])
        code = soft_encode(lab[:, 1:, ::4, ::4])
        own = logits.requires_grad_()
        soft_cross_entropy(own, code).mean().backward()

    return best(step, repeats), best(colors, repeats)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--pictures", type=int, default=12)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    print(f"width {arguments.width}, {arguments.threads} threads")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = gray_pictures(folder / "gray", arguments.pictures)
        method = create("colorization", width=arguments.width, uniform_share=1.0).eval()
        parameters = sum(parameter.numel() for parameter in method.parameters())
        print(f"{parameters:,} parameters, {4 * parameters / 1e6:.0f} MB")
        save_model(folder / "m.safetensors", "colorization", method)
        method.to(memory_format=torch.channels_last)
        for precision in ("bf16", "fp32"):
            pace = end_to_end(folder / "m.safetensors", paths, folder, precision)
            parts = profile(method, paths[0], folder / "out.png", precision, arguments.repeats)
            print(f"\nend to end, {precision}, channels_last: {pace:.2f} images/s")
            for what, seconds in parts.items():
                share = seconds / sum(parts.values())
                print(f"  {what}: {1000 * seconds:.1f} ms, {100 * share:.1f} %")
    times = network_times(arguments.width, arguments.repeats)
    plain = times["fp32, contiguous_format"]
    print("\nnetwork alone, one picture:")
    for what, seconds in times.items():
        print(f"  {what}: {1000 * seconds:.0f} ms, {plain / seconds:.2f} times plain fp32")
    print(f"\ntraining step, {arguments.batch} pictures of {PATCH_PX} px:")
    plain_step = None
    for precision, layout in (("fp32", torch.contiguous_format), ("bf16", torch.channels_last)):
        step, colors = step_times(
            arguments.width, arguments.batch, precision, layout, arguments.repeats
        )
        plain_step = plain_step or step
        print(
            f"  {precision}, {str(layout).partition('.')[2]}: {step:.2f} s, "
            f"{plain_step / step:.2f} times plain fp32; colors {1000 * colors:.0f} ms, "
            f"{100 * colors / step:.1f} %"
        )
    print(f"  (numpy {np.__version__}, torch {torch.__version__})")


if __name__ == "__main__":
    main()
