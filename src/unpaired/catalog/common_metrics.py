"""Metrics that the scorers of several systems share."""

from __future__ import annotations

from unpaired.catalog.system import Metric

PSNR = Metric("PSNR (dB)", 2, 0.1, 0.5)
SSIM = Metric("SSIM", 3, 0.005, 0.02)
