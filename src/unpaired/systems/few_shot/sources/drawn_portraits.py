"""Drawn portraits: small faces with a mask of every part, made by rule, in CelebAMask-HQ's layout.

A portrait is a function of its number. It is painted from back to front, and what is painted last
at a place is the part there. Some of what the face hides can be read from what stays visible, some
cannot:

    neck and ears have the skin's tone, hair the color of brows and beard, the head's turn and size
    show in its outline; eyes, gaze, smile, lips, nose and glasses show nowhere else.

`render` writes the files; `pairs`, `measured`, `pictures` and `test` read them as `celebamask_hq`
reads those of people.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from unpaired.core.randomness import numpy_generator
from unpaired.data.records import Parts
from unpaired.systems.few_shot.sources.celebamask_hq import (
    ATTRIBUTES,
    MASKS,
    PARTS,
    PICTURES,
    PICTURES_PER_FOLDER,
    portraits,
    write_attributes,
)

SIDE_PX = 32
SUPERSAMPLING = 2
JPEG_QUALITY = 100
CLOUDS = 5  # per side, in the background
SPLIT = {
    "pairs": range(69),
    "measured": range(69, 581),
    "pictures": range(581, 3_581),
    "test": range(3_581, 3_837),
}
# RGB in [0, 1]; a tone lies anywhere between two neighbors.
SKIN_TONES = np.array(
    [
        (0.98, 0.85, 0.74),
        (0.93, 0.74, 0.58),
        (0.80, 0.58, 0.42),
        (0.62, 0.42, 0.29),
        (0.40, 0.26, 0.18),
    ]
)
HAIR_COLORS = np.array(
    [
        (0.09, 0.07, 0.07),
        (0.28, 0.17, 0.10),
        (0.52, 0.34, 0.16),
        (0.85, 0.68, 0.36),
        (0.60, 0.23, 0.10),
        (0.70, 0.70, 0.72),
    ]
)
HAIR_ODDS = np.array([4, 4, 3, 3, 1, 1]) / 16
IRIS_COLORS = np.array(
    [(0.22, 0.12, 0.06), (0.20, 0.42, 0.66), (0.22, 0.44, 0.25), (0.36, 0.36, 0.40)]
)
LIP_COLORS = np.array([(0.80, 0.38, 0.38), (0.70, 0.20, 0.25), (0.62, 0.36, 0.30)])
WHITE, BLACK = np.array([0.96, 0.96, 0.96]), np.array([0.04, 0.04, 0.05])
SHORT, LONG, BALD = range(3)  # hair
NO_BEARD, STUBBLE, FULL_BEARD = range(3)
NO_GLASSES, THIN_GLASSES, DARK_GLASSES = range(3)
# Continuous factors and their ranges; lengths are in halves of the picture's side.
RANGES = {
    "roll": (-0.14, 0.14),
    "shift_x": (-0.09, 0.09),
    "shift_y": (-0.04, 0.10),
    "scale": (1.14, 1.34),
    "skin_tone": (0.0, 3.999),
    "head_width": (0.40, 0.50),
    "head_height": (0.56, 0.64),
    "jaw": (0.72, 0.95),
    "light": (-1.0, 1.0),
    "fringe": (0.26, 0.44),
    "parting": (-0.5, 0.5),
    "eye_spacing": (0.17, 0.22),
    "eye_size": (0.07, 0.10),
    "eye_height": (-0.06, 0.02),
    "gaze": (-0.035, 0.035),
    "brow_tilt": (-0.35, 0.35),
    "brow_height": (0.13, 0.18),
    "nose_length": (0.17, 0.25),
    "nose_width": (0.05, 0.09),
    "mouth_width": (0.12, 0.21),
    "smile": (-0.9, 1.6),
    "mouth_open": (-0.05, 0.07),
    "collar": (0.0, 0.12),
    "background_angle": (0.0, 2 * np.pi),
}
# What is written of a portrait as its attributes: these and the continuous factors above middle.
KINDS = {
    "long_hair": lambda f: f["hair"] == LONG,
    "bald": lambda f: f["hair"] == BALD,
    "dark_hair": lambda f: f["hair_color"] <= 1,
    "blond_hair": lambda f: f["hair_color"] == 3,
    "brown_eyes": lambda f: f["iris"] == 0,
    "red_lips": lambda f: f["lips"] == 1,
    "beard": lambda f: f["beard"] == FULL_BEARD,
    "stubble": lambda f: f["beard"] == STUBBLE,
    "eyeglasses": lambda f: f["glasses"] != NO_GLASSES,
    "dark_glasses": lambda f: f["glasses"] == DARK_GLASSES,
    "teeth": lambda f: bool(f["teeth"]),
}
NAMES = (*RANGES, *KINDS)


@dataclass(frozen=True)
class Portrait:
    """rgb: S x S x 3 uint8. labels: S x S uint8, 1 + index into PARTS. factors: by name."""

    rgb: np.ndarray
    labels: np.ndarray
    factors: dict[str, float]

    @property
    def attributes(self) -> list[bool]:
        """Whether each of NAMES holds, or lies above the middle of its range."""
        above = [self.factors[name] > sum(ends) / 2 for name, ends in RANGES.items()]
        return [*above, *(bool(holds(self.factors)) for holds in KINDS.values())]


def pairs(folder: Path) -> Parts:
    """Return the portraits of which measurement and truth are seen together."""
    return portraits(folder, SPLIT["pairs"], "drawn_portraits")


def measured(folder: Path) -> Parts:
    """Return the portraits of which only the measurement is seen."""
    return portraits(folder, SPLIT["measured"], "drawn_portraits")


def pictures(folder: Path) -> Parts:
    """Return the portraits that are seen as they are, without a measurement."""
    return portraits(folder, SPLIT["pictures"], "drawn_portraits")


def test(folder: Path) -> Parts:
    """Return the test portraits."""
    return portraits(folder, SPLIT["test"], "drawn_portraits")


def render(folder: Path, numbers: Iterable[int] | None = None) -> int:
    """Write portraits in the layout of CelebAMask-HQ below ``folder`` and return how many.

    numbers: of the portraits, all of SPLIT if None. JPEG at quality 100 with full color resolution
    changes a pixel by a few levels of 255.
    """
    chosen = list(numbers if numbers is not None else sorted(n for s in SPLIT.values() for n in s))
    (folder / PICTURES).mkdir(parents=True)
    for place in {number // PICTURES_PER_FOLDER for number in chosen}:
        (folder / MASKS / str(place)).mkdir(parents=True)
    rows = []
    for number in chosen:
        portrait = draw(number)
        path = folder / PICTURES / f"{number}.jpg"
        Image.fromarray(portrait.rgb).save(path, quality=JPEG_QUALITY, subsampling=0)
        place = folder / MASKS / str(number // PICTURES_PER_FOLDER)
        for label in np.unique(portrait.labels):
            if label:
                mask = np.where(portrait.labels == label, 255, 0).astype(np.uint8)
                Image.fromarray(mask).save(place / f"{number:05d}_{PARTS[label - 1]}.png")
        rows.append((path.name, portrait.attributes))
    write_attributes(folder / ATTRIBUTES, NAMES, rows)
    return len(chosen)


def draw(number: int, side_px: int = SIDE_PX) -> Portrait:
    """Return portrait ``number``."""
    rng = numpy_generator("drawn portrait", number)
    factors = {name: float(rng.uniform(*ends)) for name, ends in RANGES.items()}
    factors |= {
        "hair_color": int(rng.choice(len(HAIR_COLORS), p=HAIR_ODDS)),
        "hair": int(rng.choice(3, p=[0.5, 0.4, 0.1])),
        "iris": int(rng.choice(4, p=[0.48, 0.28, 0.14, 0.10])),
        "lips": int(rng.choice(3, p=[0.46, 0.23, 0.31])),
        "beard": int(rng.choice(3, p=[0.68, 0.18, 0.14])),
        "glasses": int(rng.choice(3, p=[0.74, 0.17, 0.09])),
        "teeth": int(rng.random() < 0.6),
    }
    canvas = _Canvas(side_px * SUPERSAMPLING, factors)
    canvas.rgb[:] = _background(rng, canvas, factors["background_angle"])
    colors = {
        "skin": _between(SKIN_TONES, factors["skin_tone"]),
        "hair": (HAIR_COLORS[factors["hair_color"]] * rng.normal(1, 0.12)).clip(0.03, 1),
        "cloth": (rng.uniform(0.1, 0.9) + rng.uniform(-0.25, 0.25, 3)).clip(0.03, 0.97),
    }
    _paint_behind(canvas, factors, colors)
    head = _paint_head(canvas, factors, colors)
    _paint_beard(canvas, factors, colors, head)
    _paint_nose(canvas, factors, colors)
    _paint_mouth(canvas, factors, colors)
    _paint_eyes(canvas, factors, colors)
    _paint_hair(canvas, factors, colors)
    _paint_glasses(canvas, factors)
    return Portrait(*canvas.finished(side_px), factors)


class _Canvas:
    """What is painted on. Coordinates are in halves of the side: x, y turn with the head.

    upright_x, upright_y are moved and scaled with it, and not turned.
    """

    def __init__(self, side: int, factors: dict[str, float]) -> None:
        self.pixel = 2 / side
        axis = ((np.arange(side) + 0.5) * self.pixel - 1).astype(np.float32)
        self.upright_x = (axis[None] - factors["shift_x"]) / factors["scale"]
        self.upright_y = (axis[:, None] - factors["shift_y"]) / factors["scale"]
        cosine, sine = math.cos(factors["roll"]), math.sin(factors["roll"])
        self.x = self.upright_x * cosine + self.upright_y * sine
        self.y = self.upright_y * cosine - self.upright_x * sine
        self.plane = axis
        self.rgb = np.zeros((side, side, 3), np.float32)
        self.labels = np.zeros((side, side), np.uint8)
        # Light from one side, and darker where the head turns away.
        self.shade = 1 + 0.36 * self.x * factors["light"] - 0.4 * self.x**2

    def paint(
        self, distance: np.ndarray, color: np.ndarray, part: str | None, opacity: float = 1.0
    ) -> None:
        """Paint where ``distance``, in halves of the side, is below 0; its edge is a pixel wide.

        color: 3, or side x side x 3. part: what this is then, None leaves what was there.
        """
        cover = opacity * (0.5 - distance / self.pixel).clip(0, 1)
        touched = cover.any(axis=1).nonzero()[0]
        if not len(touched):
            return
        rows = slice(touched[0], touched[-1] + 1)  # Most parts are small: this saves half the time.
        cover, below = cover[rows], self.rgb[rows]
        below += cover[..., None] * ((color[rows] if color.ndim == 3 else color) - below)
        if part is not None:
            self.labels[rows][cover > 0.5] = 1 + PARTS.index(part)

    def lit(self, color: np.ndarray) -> np.ndarray:
        return (color * self.shade[..., None]).clip(0, 1)

    def ellipse(self, x: float, y: float, width: float, height: float) -> np.ndarray:
        return _ellipse(self.x - x, self.y - y, width, height)

    def finished(self, side: int) -> tuple[np.ndarray, np.ndarray]:
        factor = len(self.labels) // side
        squares = self.rgb.reshape(side, factor, side, factor, 3).mean(axis=(1, 3))
        labels = self.labels[factor // 2 :: factor, factor // 2 :: factor]
        return np.floor(255 * squares.clip(0, 1) + 0.5).astype(np.uint8), labels.copy()


def _ellipse(x: np.ndarray, y: np.ndarray, width: float, height: float) -> np.ndarray:
    return (np.sqrt((x / width) ** 2 + (y / height) ** 2) - 1) * min(width, height)


def _between(table: np.ndarray, place: float) -> np.ndarray:
    low = int(place)
    return table[low] + (place - low) * (table[low + 1] - table[low])


def _background(rng: np.random.Generator, canvas: _Canvas, angle: float) -> np.ndarray:
    """Return a ramp between two dull colors with slow clouds.

    They are dull on purpose: strong colors behind the head would decide every score.
    """
    first = (rng.uniform(0.12, 0.87) + rng.uniform(-0.12, 0.12, 3)).clip(0.03, 0.97)
    second = (first + rng.uniform(-0.2, 0.2) + rng.uniform(-0.08, 0.08, 3)).clip(0.03, 0.97)
    plane = canvas.plane
    across = math.cos(angle) * plane[None] + math.sin(angle) * plane[:, None]
    ramp = 0.5 + 0.5 * across.clip(-1, 1)
    # Random heights on a grid of CLOUDS x CLOUDS, with smooth hills between them.
    places = np.linspace(-1, 1, CLOUDS)
    near = (CLOUDS - 1) / 2 * np.abs(plane[:, None] - places[None])
    hills = np.where(near < 1, np.cos(np.pi / 2 * near) ** 2, 0)
    clouds = np.einsum("yi,ijc,xj->yxc", hills, rng.standard_normal((CLOUDS, CLOUDS, 3)), hills)
    return (first + ramp[..., None] * (second - first) + 0.05 * clouds).clip(0, 1)


def _strands(canvas: _Canvas, color: np.ndarray) -> np.ndarray:
    return canvas.lit(color * (1 + 0.1 * np.sin(40 * canvas.x))[..., None])


def _paint_behind(canvas: _Canvas, f: dict[str, float], colors: dict[str, np.ndarray]) -> None:
    width, height = f["head_width"], f["head_height"]
    if f["hair"] == LONG:
        around = canvas.ellipse(0, 0.12, width + 0.15, height + 0.25)
        around = np.maximum(around, canvas.y - 0.72)
        canvas.paint(around, _strands(canvas, colors["hair"]), "hair")
    shoulders = _ellipse(canvas.upright_x, canvas.upright_y - 1.2, 0.92, 0.55)
    canvas.paint(shoulders, colors["cloth"], "cloth")
    neck = canvas.lit(0.86 * colors["skin"])
    column = np.maximum(np.abs(canvas.x) - 0.46 * width, np.abs(canvas.y - 0.66) - 0.3)
    canvas.paint(column, neck, "neck")
    canvas.paint(canvas.ellipse(0, 0.92 + f["collar"], 0.55 * width, 0.13), neck, "neck")
    if f["hair"] != LONG:
        for sign, part in ((-1, "l_ear"), (1, "r_ear")):
            ear = canvas.ellipse(sign * (width + 0.015), 0.03, 0.055, 0.12)
            canvas.paint(ear, canvas.lit(0.92 * colors["skin"]), part)


def _paint_head(canvas: _Canvas, f: dict[str, float], colors: dict[str, np.ndarray]) -> np.ndarray:
    """Paint the head without features, and return the distance to its outline."""
    narrower = 1 - (1 - f["jaw"]) * (canvas.y / f["head_height"]).clip(0, 1) ** 1.5
    head = _ellipse(canvas.x / narrower, canvas.y - 0.02, f["head_width"], f["head_height"])
    canvas.paint(head, canvas.lit(colors["skin"]), "skin")
    blush = canvas.lit(colors["skin"] * np.array([1.0, 0.86, 0.86]))
    for sign in (-1, 1):
        canvas.paint(0.4 * canvas.ellipse(sign * 0.24, 0.17, 0.07, 0.07), blush, None, 0.45)
    return head


def _paint_beard(
    canvas: _Canvas, f: dict[str, float], colors: dict[str, np.ndarray], head: np.ndarray
) -> None:
    opacity = {NO_BEARD: 0.0, STUBBLE: 0.38, FULL_BEARD: 0.95}[f["beard"]]
    line = 0.2 - 0.25 * (canvas.x / 0.4) ** 2
    beard = np.maximum(head + 0.01, line - canvas.y)
    canvas.paint(beard, 0.9 * _strands(canvas, colors["hair"]), None, opacity)


def _paint_nose(canvas: _Canvas, f: dict[str, float], colors: dict[str, np.ndarray]) -> None:
    top, tip = f["eye_height"], f["eye_height"] + f["nose_length"]
    width = f["nose_width"] * (0.25 + 0.75 * ((canvas.y - top) / f["nose_length"]).clip(0, 1))
    ends = np.maximum(canvas.y - tip - 0.03, top + 0.05 - canvas.y)
    bridge = np.maximum(np.abs(canvas.x) - width, ends)
    canvas.paint(bridge, canvas.lit(1.1 * colors["skin"]), "nose", 0.55)
    shadow = canvas.ellipse(0, tip + 0.03, 1.05 * f["nose_width"], 0.028)
    canvas.paint(shadow, canvas.lit(0.62 * colors["skin"]), "nose", 0.8)


def _paint_mouth(canvas: _Canvas, f: dict[str, float], colors: dict[str, np.ndarray]) -> None:
    half_width = f["mouth_width"]
    bow = 0.06 * f["smile"] * ((canvas.x / 0.2) ** 2 - 0.25)
    from_middle = canvas.y - (f["eye_height"] + 0.36 - bow)
    thickness = 0.034 + 0.6 * max(f["mouth_open"], 0.0)
    taper = (1 - (canvas.x / half_width) ** 2).clip(0)
    ends = np.abs(canvas.x) - half_width
    color = LIP_COLORS[f["lips"]] * (0.55 + 0.45 * colors["skin"].mean())
    upper = np.maximum(np.abs(from_middle) - thickness * taper - 0.004, ends)
    canvas.paint(np.maximum(upper, from_middle), color, "u_lip")
    canvas.paint(np.maximum(upper, -from_middle), color, "l_lip")
    if f["mouth_open"] > 0:
        inside = np.maximum(np.abs(from_middle) - (thickness - 0.03) * taper, ends)
        canvas.paint(inside, 0.96 * WHITE if f["teeth"] else np.array([0.25, 0.05, 0.06]), "mouth")


def _paint_eyes(canvas: _Canvas, f: dict[str, float], colors: dict[str, np.ndarray]) -> None:
    size, height = f["eye_size"], f["eye_height"]
    for sign, eye, brow in ((-1, "l_eye", "l_brow"), (1, "r_eye", "r_brow")):
        x = sign * f["eye_spacing"]
        white = canvas.ellipse(x, height, 1.15 * size, 0.78 * size)
        canvas.paint(white, WHITE, eye)
        iris = canvas.ellipse(x + f["gaze"], height, 0.62 * size, 0.70 * size)
        canvas.paint(np.maximum(white + 0.004, iris), IRIS_COLORS[f["iris"]], eye)
        pupil = canvas.ellipse(x + f["gaze"], height, 0.025, 0.025)
        canvas.paint(np.maximum(white, pupil), BLACK, eye, 0.9)
        along = canvas.x - x
        arch = height - f["brow_height"] + sign * f["brow_tilt"] * along + 3 * along**2
        stroke = np.maximum(np.abs(canvas.y - arch) - 0.026, np.abs(along) - 0.105)
        opacity = 0.5 if f["hair"] == BALD else 0.95
        canvas.paint(stroke, 0.75 * colors["hair"], brow, opacity)


def _paint_hair(canvas: _Canvas, f: dict[str, float], colors: dict[str, np.ndarray]) -> None:
    if f["hair"] == BALD:
        return
    width = f["head_width"]
    scalp = canvas.ellipse(0, 0, width + 0.07, f["head_height"] + 0.09)
    line = 0.25 * f["parting"] * canvas.x + 0.9 * (canvas.x - 0.3 * f["parting"]) ** 2
    front = np.maximum(scalp, canvas.y - (line - f["fringe"]))
    ends_at = 0.57 if f["hair"] == LONG else 0.02
    sides = np.maximum(0.86 * width - np.abs(canvas.x), canvas.y - ends_at)
    hair = np.minimum(front, np.maximum(scalp, sides))
    canvas.paint(hair, _strands(canvas, colors["hair"]), "hair")


def _paint_glasses(canvas: _Canvas, f: dict[str, float]) -> None:
    if f["glasses"] == NO_GLASSES:
        return
    frame = np.array([0.10, 0.10, 0.12])
    for sign in (-1, 1):
        lens = canvas.ellipse(
            sign * (f["eye_spacing"] + 0.01), f["eye_height"] + 0.01, 0.155, 0.125
        )
        is_dark = f["glasses"] == DARK_GLASSES
        canvas.paint(lens if is_dark else np.abs(lens) - 0.017, frame, "eye_g", 0.88)
    bridge = np.maximum(np.abs(canvas.y - f["eye_height"]) - 0.018, np.abs(canvas.x) - 0.07)
    canvas.paint(bridge, frame, "eye_g")
