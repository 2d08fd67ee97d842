"""Learning curves as drawings that stand in the page and take its colors."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from xml.etree import ElementTree

from matplotlib import rc_context
from matplotlib.figure import Figure

from unpaired.pipeline.frames import read_frame
from unpaired.pipeline.models import Model, TablePlan

SVG = "http://www.w3.org/2000/svg"
XLINK = "http://www.w3.org/1999/xlink"
SIZE_INCHES = (4.2, 2.9)
# Stand-ins that the page's own colors replace, so that a drawing follows light and dark.
INK = "#010203"
LINE_COLORS = ("#010211", "#010212", "#010213", "#010214")
# Told apart without color too.
LOOKS = [
    {"color": color, "ls": dashes, "lw": 1.4}
    for color, dashes in zip(LINE_COLORS, ("-", "--", "-.", ":"), strict=True)
]
PAGE_COLORS = {INK: "currentColor"} | {
    stand_in: f"var(--line-{number})" for number, stand_in in enumerate(LINE_COLORS, 1)
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

    noise: str
    seed: int
    images_seen: Sequence[float]
    losses: Sequence[float]

    @property
    def description(self) -> str:
        return (
            f"{self.noise}, seed {self.seed}: loss {self.losses[0]:.3g} at first, "
            f"{self.losses[-1]:.3g} after {self.images_seen[-1]:g} images"
        )


@dataclass(frozen=True)
class Curve:
    """A drawing of the lines that can be compared: one row, one phase, all noises and seeds."""

    title: str
    description: str
    svg: str


def learning_curves(plan: TablePlan, root: Path) -> list[Curve]:
    """Draw each trained row of a table; rows that share their models share a drawing."""
    curves: list[Curve] = []
    models = {model.id: model for model in plan.trainings}
    for identities, rows in _rows_by_models(plan).items():
        phases: dict[str, list[Trace]] = {}
        for identity in identities:
            for phase, trace in _traces(models[identity], root):
                phases.setdefault(phase, []).append(trace)
        for phase, traces in phases.items():
            title = ", ".join(rows) + (f", phase {phase}" if len(phases) > 1 else "")
            curves.append(draw(title, traces, f"table{plan.table.number}-curve{len(curves)}"))
    return curves


def _rows_by_models(plan: TablePlan) -> dict[tuple[str, ...], list[str]]:
    """Return the rows by the trained models that they are read from, which may be none.

    What a row's own model needs is a row of its own, unless another row shows it.
    """
    models: dict[str, dict[str, None]] = {}
    scored = {model.id for model in plan.models}
    for score, row in ((score, cell.row) for cell in plan.cells for score in cell.scores):
        for model in score.model.lineage:
            is_own = model == score.model
            if is_own or model.id not in scored:
                name = row.name if is_own else f"{row.name}: {model.method}"
                models.setdefault(name, {}).update({model.id: None} if model.is_trained else {})
    rows: dict[tuple[str, ...], list[str]] = {}
    for row, identities in models.items():
        rows.setdefault(tuple(identities), []).append(row)
    return rows


def _traces(model: Model, root: Path) -> list[tuple[str, Trace]]:
    """Return (phase, trace) of each phase of a training."""
    history = read_frame(root / f"results/models/{model.id}/history.csv")
    if history.empty:  # Fewer images than one batch: nothing was learned.
        return []
    traces = []
    for phase, rows in history.groupby("phase", sort=False):
        images_seen, losses = (rows[key].astype(float).tolist() for key in ("images_seen", "loss"))
        traces.append((phase, Trace(model.spec["noise"], model.spec["seed"], images_seen, losses)))
    return traces


def draw(title: str, traces: Sequence[Trace], identity: str) -> Curve:
    """Draw traces in one pair of axes; ``identity`` keeps the ids of a page's drawings apart."""
    with rc_context(STYLE):
        figure = Figure(SIZE_INCHES, layout="constrained")
        axes = figure.subplots()
        looks = dict(zip(dict.fromkeys(trace.noise for trace in traces), cycle(LOOKS)))
        lines = {
            trace.noise: axes.plot(trace.images_seen, trace.losses, **looks[trace.noise])[0]
            for trace in traces
        }
        if min(loss for trace in traces for loss in trace.losses) > 0:
            axes.set_yscale("log")
        axes.set(xlabel="images seen", ylabel="loss")
        axes.spines[["top", "right"]].set_visible(False)
        figure.legend(
            lines.values(),
            lines.keys(),
            loc="outside upper center",
            ncols=2,
            frameon=False,
            fontsize=8,
        )
        drawing = io.BytesIO()
        figure.savefig(drawing, format="svg", transparent=True)
    description = "; ".join(trace.description for trace in traces)
    return Curve(title, description, _inline(drawing.getvalue(), title, description, identity))


def _inline(drawing: bytes, title: str, description: str, identity: str) -> str:
    """Make a drawing fit to stand in a page: named, described, in the page's colors."""
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", XLINK)
    root = ElementTree.fromstring(drawing)
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
    return re.sub("|".join(PAGE_COLORS), lambda found: PAGE_COLORS[found.group()], text)


def _make_ids_unique(root: ElementTree.Element, identity: str) -> None:
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, f"{identity}-{value}")
            elif key == f"{{{XLINK}}}href":
                element.set(key, value.replace("#", f"#{identity}-"))
            else:
                element.set(key, value.replace("url(#", f"url(#{identity}-"))
