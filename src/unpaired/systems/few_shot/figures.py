"""Drawings: examples as in Figure 2 of SUD², the collapse in training, the diffusion model."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from unpaired.core.files import save_figure
from unpaired.core.randomness import generators_for
from unpaired.imaging.pixels import to_uint8
from unpaired.learning.diffusion import draw, from_signed, to_signed
from unpaired.systems.few_shot.methods.ddpm import DDPM
from unpaired.systems.few_shot.methods.reconstruction import CURVE, Reconstruction
from unpaired.systems.few_shot.samples import Measurements, Observed, as_batch
from unpaired.systems.few_shot.scoring import restored

DPI = 150
EXAMPLES, SHEET, SAMPLES = 6, 64, 8
SAMPLING_STEPS = 50
SHARES_OF_TIME = (0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9)
LABEL_SHARES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
PANEL_INCHES = 0.75
CPU = torch.device("cpu")
# Of the validation's curve: column -> what its axis is called.
PANELS = {
    "psnr_db": "PSNR (dB)",
    "hole_psnr_db": "PSNR in the hole (dB)",
    "correlation": "correlation of outputs",
    "variance_ratio": "variance / true",
}


def draw_examples(output: Path, products: Mapping[str, Any], views: Measurements) -> None:
    """Write a PNG: a column for each of the first test portraits, a row for each product."""
    shown = [views[index] for index in range(min(EXAMPLES, len(views)))]
    rows = {"measurement": [to_uint8(one.measured) for one in shown]}
    for name, product in products.items():
        rows[name] = [to_uint8(restored(product, one, CPU)) for one in shown]
    rows["truth"] = [to_uint8(one.truth) for one in shown]
    size = ((len(shown) + 2) * PANEL_INCHES, len(rows) * PANEL_INCHES)
    figure = Figure(size, layout="constrained")
    axes = figure.subplots(len(rows), len(shown), squeeze=False)
    for own, (name, pictures) in zip(axes, rows.items(), strict=True):
        for axis, picture in zip(own, pictures, strict=True):
            _show(axis, picture)
        own[0].set_ylabel(name, rotation=0, ha="right", va="center", fontsize=7)
    save_figure(figure, output, DPI)


def draw_sheet(output: Path, views: Measurements) -> None:
    """Write a PNG of 64 portraits, and below each what is measured of it."""
    shown = [views[index] for index in range(min(SHEET, len(views)))]
    columns = 16
    figure = Figure((columns * 0.5, 2 * -(-len(shown) // columns) * 0.5), layout="constrained")
    axes = figure.subplots(2 * -(-len(shown) // columns), columns, squeeze=False)
    for axis in axes.ravel():
        axis.set_axis_off()
    for number, one in enumerate(shown):
        row, column = divmod(number, columns)
        _show(axes[2 * row, column], to_uint8(one.truth))
        _show(axes[2 * row + 1, column], to_uint8(one.measured))
    save_figure(figure, output, DPI)


def draw_drift(output: Path, models: Mapping[str, Reconstruction]) -> None:
    """Write a PNG: how validation portraits fare while methods train; rings mark the best weights.

    A model without a validation has no line.
    """
    figure = Figure((2.6 * len(PANELS), 2.4), layout="constrained")
    axes = figure.subplots(1, len(PANELS))
    for name, model in models.items():
        curve = model.curve[: int(model.validations)].cpu().numpy()
        if not len(curve):
            continue
        best = int(curve[:, CURVE.index("psnr_db")].argmax())
        for axis, column in zip(axes, PANELS, strict=True):
            values = curve[:, CURVE.index(column)]
            (line,) = axis.plot(curve[:, 0], values, label=name)
            axis.plot(curve[best, 0], values[best], "o", mfc="none", color=line.get_color())
    for axis, title in zip(axes, PANELS.values(), strict=True):
        axis.set_ylabel(title, fontsize=7)
        axis.set_xlabel("measurements seen", fontsize=7)
        axis.tick_params(labelsize=6)
    axes[0].legend(fontsize=6)
    save_figure(figure, output, DPI)


def prior_psnr_db(prior: DDPM, pictures: Tensor) -> list[dict[str, float]]:
    """Return how well x_0 is predicted over time: rows of "time", "psnr_db" and "noisy_psnr_db".

    pictures: N x C x P x P in [0, 1], which it has not learned from; noise is the same for all
    priors. noisy_psnr_db: of x_t, rescaled.
    """
    signed, rows = to_signed(pictures), []
    for share in SHARES_OF_TIME:
        time = round(share * prior.config.timesteps)
        times = torch.full((len(pictures),), time)
        noise = draw(generators_for(0, range(len(pictures)), f"time {time}", CPU), signed.shape[1:])
        noisy = prior.noise_schedule.noisy(signed, noise, times)
        with torch.inference_mode():
            found = prior.predict(noisy, times)
        rescaled = noisy / prior.noise_schedule.kept_at(times).sqrt()
        scores = {"psnr_db": _psnr_db(found, signed), "noisy_psnr_db": _psnr_db(rescaled, signed)}
        rows.append({"time": time, **scores})
    return rows


def label_psnr_db(
    product: Reconstruction, prior: DDPM, held_out: list[Observed], steps: int
) -> list[dict[str, float]]:
    """Return what labels of ``prior`` are worth before anything is learned from them.

    Outputs of ``product`` on validation portraits are noised up to a time and brought back in
    ``steps``. Rows of "time" and of the PSNR, whole and in the hole, of outputs and labels: where a
    label's is not above the output's, no training with it can help.
    """
    truths = as_batch([one.truth for one in held_out])
    holes = torch.stack([torch.from_numpy(one.hole) for one in held_out])[:, None]
    rows = []
    with torch.inference_mode():
        outputs, _ = product.reconstruct(to_signed(as_batch([one.measured for one in held_out])))
        for share in LABEL_SHARES:
            start = torch.full((len(outputs),), round(share * prior.config.timesteps))
            drawn = generators_for(0, range(len(outputs)), f"label {share}", CPU)
            label = prior.project(outputs, start, steps, eta=0.0, generators=drawn)
            row = {"time": int(start[0])}
            for name, some in (("output", outputs), ("label", label)):
                found = from_signed(some).clamp(0, 1)
                row |= {
                    f"{name}_psnr_db": _masked_psnr_db(found, truths, torch.ones_like(holes)),
                    f"{name}_hole_psnr_db": _masked_psnr_db(found, truths, holes),
                }
            rows.append(row)
    return rows


def _masked_psnr_db(found: Tensor, truths: Tensor, where: Tensor) -> float:
    """Return the mean PSNR over pictures in [0, 1], of the places N x 1 x H x W alone."""
    squares = ((found - truths).square() * where).flatten(1).sum(dim=1)
    return float((-10 * (squares / (found.shape[1] * where.flatten(1).sum(dim=1))).log10()).mean())


def draw_prior(output: Path, prior: DDPM, pictures: Tensor, rows: list[dict[str, float]]) -> None:
    """Write a PNG: samples of the diffusion model beside real pictures, and `prior_psnr_db`."""
    generators = generators_for(0, range(SAMPLES), "samples", CPU)
    with torch.inference_mode():
        made = from_signed(prior.sample(generators, SAMPLING_STEPS)).clamp(0, 1)
    figure = Figure((2 * SAMPLES * 0.4 + 3, 1.9), layout="constrained")
    grid = figure.subfigures(1, 2, width_ratios=[2, 1])
    axes = grid[0].subplots(2, SAMPLES)
    for title, own, shown in zip(
        ("sampled", "real"), axes, (made, pictures[:SAMPLES]), strict=True
    ):
        for axis, picture in zip(own, shown, strict=False):
            _show(axis, to_uint8(picture.permute(1, 2, 0).numpy()))
        own[0].set_ylabel(title, fontsize=7)
    axis = grid[1].subplots()
    times = [row["time"] for row in rows]
    for key, title in (("psnr_db", "predicted"), ("noisy_psnr_db", "noisy, rescaled")):
        axis.plot(times, [row[key] for row in rows], label=title)
    axis.set_xlabel("t", fontsize=7)
    axis.set_ylabel("PSNR of the picture (dB)", fontsize=7)
    axis.tick_params(labelsize=6)
    axis.legend(fontsize=6)
    save_figure(figure, output, DPI)


def truths_of(views: Measurements) -> Tensor:
    """Return the true pictures of a pack, N x C x H x W in [0, 1]."""
    shown: list[Observed] = [views[index] for index in range(len(views))]
    return as_batch([one.truth for one in shown])


def _psnr_db(first: Tensor, second: Tensor) -> float:
    """Return the mean PSNR of pictures in [-1, 1]."""
    squares = (first - second).square().flatten(1).mean(dim=1) / 4
    return float((-10 * squares.log10()).mean())


def _show(axis: Any, picture: np.ndarray) -> None:
    axis.imshow(picture, interpolation="nearest")
    axis.set(xticks=[], yticks=[], frame_on=False)
