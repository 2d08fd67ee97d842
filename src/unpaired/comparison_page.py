"""The page that `unpaired compare` writes: one HTML file that needs nothing else."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from unpaired.files import atomic_path

SHOWN_QUANTILES = (0.002, 0.998)
ENLARGED = 2  # crops are shown so much larger, without smoothing

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 16px/1.45 system-ui, sans-serif; max-width: 75rem; margin: auto; padding: 0 1rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .3rem .7rem; text-align: right; border-bottom: 1px solid #8886; }}
th:nth-child(2), td:nth-child(2) {{ text-align: left; }}
tr.best {{ font-weight: 600; }}
.row {{ display: flex; flex-wrap: wrap; gap: .7rem; margin: 1rem 0; }}
figure {{ margin: 0; }}
img {{ display: block; max-width: 100%; image-rendering: pixelated; }}
figcaption {{ font-size: .85rem; }}
</style>
</head>
<body>
<h1>{title}</h1>
{notes}
<div class="wide"><table>
{table}
</table></div>
{legend}
{rows}
</body>
</html>
"""


def write_page(
    path: Path,
    *,
    title: str,
    notes: Sequence[str],
    columns: Sequence[str],
    table: Sequence[tuple[Sequence[str], bool]],
    legend: Sequence[str],
    crops: Sequence[Mapping[str, np.ndarray]],
) -> None:
    """Write the page, aside and renamed.

    table: per line its cells and whether it is set in bold. crops: per place the pictures of it by
    caption, H x W x C, in the order shown; the first decides what becomes black and white.
    """
    lines = [_line("th", columns, "")]
    lines += [_line("td", cells, ' class="best"' if is_best else "") for cells, is_best in table]
    page = PAGE.format(
        title=escape(title),
        notes=_paragraphs(notes),
        table="\n".join(lines),
        legend=_paragraphs(legend),
        rows="\n".join(map(_row, crops)),
    )
    with atomic_path(path) as aside:
        aside.write_text(page, encoding="utf-8")


def _paragraphs(lines: Sequence[str]) -> str:
    return "\n".join(f"<p>{escape(line)}</p>" for line in lines)


def _line(tag: str, cells: Sequence[str], attributes: str) -> str:
    return f"<tr{attributes}>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"


def _row(pictures: Mapping[str, np.ndarray]) -> str:
    low, high = np.quantile(next(iter(pictures.values())), SHOWN_QUANTILES)
    figures = [
        _figure(caption, (picture - low) / max(high - low, 1e-12))
        for caption, picture in pictures.items()
    ]
    return f'<div class="row">{"".join(figures)}</div>'


def _figure(caption: str, picture: np.ndarray) -> str:
    samples = np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(samples.squeeze(-1) if samples.shape[-1] == 1 else samples).save(buffer, "PNG")
    source = f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"
    height, width = (ENLARGED * side for side in samples.shape[:2])
    return (
        f'<figure><img src="{source}" width="{width}" height="{height}" alt="{escape(caption)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )
