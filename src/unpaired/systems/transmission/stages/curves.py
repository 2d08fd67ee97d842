"""Scores of Table 9 -> PSNR and a perceptual distance against the SNR of the channel.

The distance is LPIPS where its weights are there, else that of the named feature network.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from unpaired import catalog
from unpaired.core.command import run, stage_parser
from unpaired.pipeline.frames import read_scores
from unpaired.systems.transmission.channel import snr_of
from unpaired.systems.transmission.figures import Point, draw_curves

DISTANCES = ("lpips", "feature_distance")


def main(arguments: argparse.Namespace) -> None:
    frames = [read_scores(path) for path in arguments.scores]
    metrics = catalog.metrics()
    distance = next(
        (name for name in DISTANCES if any(name in one for one in frames)), DISTANCES[0]
    )
    for output, metric in ((arguments.psnr, "psnr_db"), (arguments.lpips, distance)):
        points: dict[tuple[str, float], list[float]] = {}
        whole = zip(arguments.rows, arguments.conditions, frames, strict=True)
        for row, condition, frame in whole:
            snr_db = snr_of(catalog.conditions()[condition])
            values = frame[metric].astype(float).tolist() if metric in frame else []
            points.setdefault((row, snr_db), []).extend(values)
        found = [Point(row, snr_db, tuple(values)) for (row, snr_db), values in points.items()]
        draw_curves(output, found, metrics[metric].title)
    print(f"{len(frames)} score files; distance: {metrics[distance].title}")


def parser() -> argparse.ArgumentParser:
    parser = stage_parser(__doc__)
    parser.add_argument("--scores", type=Path, nargs="+", required=True, help="CSV of every score")
    parser.add_argument("--records", type=Path, nargs="+", help="waited for, not read")
    parser.add_argument("--rows", nargs="+", required=True, help="row of every score")
    parser.add_argument("--conditions", nargs="+", required=True, help="channel of every score")
    for name in ("psnr", "lpips"):
        parser.add_argument(f"--{name}", type=Path, required=True, help="PNG to write")
    return parser


if __name__ == "__main__":
    run(main, parser())
