"""Learning curves as drawings that stand in the page and take its colours."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from xml.etree import ElementTree

from matplotlib import rc_context
from matplotlib.figure import Figure

from unpaired.errors import UnpairedError
from unpaired.plan import Model, TablePlan
from unpaired.tables import read_scores

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
SIZE_INCHES = (4.2, 2.9)
DASHES = ("solid", "dashed", "dashdot", "dotted")
# Stand-ins that the page's own colours replace, so that a drawing follows light and dark.
INK = "#010203"
LINE_COLOURS = ("#010211", "#010212", "#010213", "#010214")
PAGE_COLOURS = {INK: "currentColor"} | {
    stand_in: f"var(--line-{number})" for number, stand_in in enumerate(LINE_COLOURS, 1)
}
STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "unpaired",
    "font.size": 9,
    **dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), INK
    ),
}


@dataclass(frozen=True)
class Trace:
    """The loss of one model in one phase of its training."""

    label: str
    images_seen: list[float]
    losses: list[float]


@dataclass(frozen=True)
class Curve:
    """A drawing of the lines that can be compared: one row, one phase, all noises and seeds."""

    title: str
    description: str
    svg: str


def learning_curves(plan: TablePlan, root: Path) -> list[Curve]:
    """Draw each trained row of a table; rows that share their models share a drawing."""
    rows_of: dict[tuple[str, ...], list[str]] = {}
    by_id = {model.id: model for model in plan.models}
    for row in dict.fromkeys(cell.row.name for cell in plan.cells):
        models = tuple(
            dict.fromkeys(
                score.model.id
                for cell in plan.cells
                for score in cell.scores
                if cell.row.name == row and score.model.is_trained
            )
        )
        rows_of.setdefault(models, []).append(row)
    curves = []
    for models, rows in rows_of.items():
        phases: dict[str, list[Trace]] = {}
        for identity in models:
            for phase, trace in _traces(by_id[identity], root, len(plan.settings.seeds) > 1):
                phases.setdefault(phase, []).append(trace)
        for phase, traces in phases.items():
            named = ", ".join(rows) + (f", phase {phase}" if len(phases) > 1 else "")
            curves.append(draw(named, traces, f"t{plan.table.number}-curve{len(curves)}"))
    return curves


def _traces(model: Model, root: Path, tell_seed: bool) -> list[tuple[str, Trace]]:
    """Return (phase, line) of each phase of a training."""
    seed = f", seed {model.spec['seed']}" if tell_seed else ""
    history = read_scores(root / f"results/models/{model.id}/history.csv")
    return [
        (
            phase,
            Trace(
                f"{model.spec['noise']}{seed}",
                [float(row["images_seen"]) for row in rows],
                [float(row["loss"]) for row in rows],
            ),
        )
        for phase, rows in (
            (phase, list(group)) for phase, group in groupby(history, lambda row: row["phase"])
        )
    ]


def draw(title: str, traces: Sequence[Trace], identity: str) -> Curve:
    """Draw traces in one pair of axes; ``identity`` keeps the ids of a page's drawings apart."""
    with rc_context(STYLE):
        figure = Figure(SIZE_INCHES, layout="constrained")
        axes = figure.subplots()
        for number, trace in enumerate(traces):
            colour, dash = LINE_COLOURS[number % len(LINE_COLOURS)], DASHES[number % len(DASHES)]
            style = {"ls": dash, "lw": 1.4, "color": colour}
            axes.plot(trace.images_seen, trace.losses, label=trace.label, **style)
        if min(loss for trace in traces for loss in trace.losses) > 0:
            axes.set_yscale("log")
        axes.set(xlabel="images seen", ylabel="loss")
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(loc="outside upper center", ncols=2, frameon=False, fontsize=8)
        drawing = io.BytesIO()
        figure.savefig(drawing, format="svg", transparent=True)
    description = "; ".join(
        f"{trace.label}: loss {trace.losses[0]:.3g} at first, {trace.losses[-1]:.3g} after "
        f"{trace.images_seen[-1]:g} images"
        for trace in traces
    )
    return Curve(title, description, _inline(drawing.getvalue(), title, description, identity))


def _inline(drawing: bytes, title: str, description: str, identity: str) -> str:
    """Make a drawing fit to stand in a page: named, described, in the page's colours."""
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(drawing)
    if root.tag != f"{{{SVG}}}svg":
        raise UnpairedError("matplotlib drew no SVG; install the version of constraints.txt")
    metadata = root.find(f"{{{SVG}}}metadata")
    if metadata is not None:
        root.remove(metadata)
    _make_ids_unique(root, identity)
    for name, text in (("desc", description), ("title", title)):
        element = ElementTree.Element(f"{{{SVG}}}{name}", id=f"{identity}-{name}")
        element.text = text
        root.insert(0, element)
    for size in ("width", "height"):
        root.attrib.pop(size)
    root.set("role", "img")
    root.set("aria-labelledby", f"{identity}-title {identity}-desc")
    text = ElementTree.tostring(root, encoding="unicode")
    return re.sub("|".join(PAGE_COLOURS), lambda found: PAGE_COLOURS[found.group()], text)


def _make_ids_unique(root: ElementTree.Element, identity: str) -> None:
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, f"{identity}-{value}")
            elif key == f"{{{XLINK}}}href":
                element.set(key, value.replace("#", f"#{identity}-"))
            else:
                element.set(key, value.replace("url(#", f"url(#{identity}-"))
