"""Learning-rate schedules as factors of the fraction of training done.

A paper gives its schedule in epochs or images; written by fraction, it ends where the paper's ended
whatever the length of the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable


def halve_every_fifth(fraction: float) -> float:
    """Neighbor2Neighbor: 100 epochs, halved every 20 (section 5.1).

    The authors' milestones are 19, 39, 59, 79 finished epochs.
    """
    return 0.5 ** sum(fraction >= epochs_done / 100 for epochs_done in (19, 39, 59, 79))


def tenth_every_sixth(fraction: float) -> float:
    """DBSN: 120 epochs, a tenth every 20 (the default of the authors' code)."""
    return 0.1 ** sum(fraction >= epochs_done / 120 for epochs_done in (20, 40, 60, 80, 100))


def cosine_ramps(fraction: float) -> float:
    """Laine et al. 2019: cosine up over the first 10 %, squared cosine down over the last 30 %."""
    factor = 1.0
    if fraction < 0.1:
        factor *= 0.5 - 0.5 * math.cos(math.pi * fraction / 0.1)
    if fraction > 0.7:
        factor *= (0.5 + 0.5 * math.cos(math.pi * (fraction - 0.7) / 0.3)) ** 2
    return factor


def constant(fraction: float) -> float:
    """LUD-VAE: "fixed" (section 4.2)."""
    return 1.0


def halve_midway(fraction: float) -> float:
    """LUD-VAE's denoiser: 50,000 iterations, halved after 25,000 (section 4.4)."""
    return 1.0 if fraction < 0.5 else 0.5


def tenth_midway(fraction: float) -> float:
    """Zhang 2018, chapter 2: 450,000 iterations, a tenth after 225,000 (the authors' solver)."""
    return 1.0 if fraction < 0.5 else 0.1


def falls_in_second_half(fraction: float) -> float:
    """CycleGAN, BicycleGAN: constant for half of the epochs, then linearly to 0."""
    return min(1.0, 2 * (1 - fraction))


def color_alexnet(fraction: float) -> float:
    """Zhang 2018, chapter 2's AlexNet: 3e-5, and 1e-5, 3e-6, 1e-6 from 240k, 300k, 400k of 450k."""
    past = sum(450 * fraction >= thousands for thousands in (240, 300, 400))
    return (1.0, 1 / 3, 0.1, 1 / 30)[past]


def tenth_after_two_thirds(fraction: float) -> float:
    """Zhang 2018, chapter 3: 10 epochs, then 5 at a tenth (the authors' PyTorch port)."""
    return 1.0 if fraction < 2 / 3 else 0.1


def halve_every_200_of_1000(fraction: float) -> float:
    """ESRGAN's network of the absolute error: a million steps, halved every 200,000 (4.1)."""
    return 0.5 ** sum(fraction >= thousands / 1000 for thousands in (200, 400, 600, 800))


def esrgan_halvings(fraction: float) -> float:
    """ESRGAN as LUD-VAE trains it: 60,000 steps, halved after 5, 10, 20 and 30 thousand."""
    return 0.5 ** sum(fraction >= thousands / 60 for thousands in (5, 10, 20, 30))


def deflow_halvings(fraction: float) -> float:
    """DeFlow: halved after 50, 75, 90 and 95 % of its 100,000 steps."""
    return 0.5 ** sum(fraction >= at for at in (0.5, 0.75, 0.9, 0.95))


def warmup_cosine(fraction: float) -> float:
    """For short runs: linear warm-up over the first 5 %, then cosine to zero."""
    if fraction < 0.05:
        return fraction / 0.05
    return 0.5 + 0.5 * math.cos(math.pi * (fraction - 0.05) / 0.95)


SCHEDULES: dict[str, Callable[[float], float]] = {
    "halve_every_fifth": halve_every_fifth,
    "tenth_every_sixth": tenth_every_sixth,
    "cosine_ramps": cosine_ramps,
    "constant": constant,
    "halve_midway": halve_midway,
    "tenth_midway": tenth_midway,
    "color_alexnet": color_alexnet,
    "tenth_after_two_thirds": tenth_after_two_thirds,
    "halve_every_200_of_1000": halve_every_200_of_1000,
    "esrgan_halvings": esrgan_halvings,
    "deflow_halvings": deflow_halvings,
    "warmup_cosine": warmup_cosine,
}
