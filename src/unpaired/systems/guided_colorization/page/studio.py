"""What the page works with: opened pictures, the model, and what it makes of points.

Pictures are turned upright when they are opened; what is downloaded in its own format is turned
back. Everything that a browser sends is a number of a picture, numbers, or a file's bytes: never a
path.
"""

from __future__ import annotations

import io
import threading
import time
from base64 import b64encode
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import tifffile
import torch
from PIL import Image
from torch import Tensor

from unpaired.core.devices import choose_device, choose_precision
from unpaired.core.errors import UnpairedError
from unpaired.imaging.color.hints import (
    Point,
    check_saturation,
    color_histogram,
    hint_maps,
    points_path,
    read_points,
    write_points,
)
from unpaired.imaging.color.lab import in_gamut, lab_to_rgb, rgb_to_lab
from unpaired.imaging.color.recoloring import as_batch, enlarged, recolored, shrunk
from unpaired.imaging.color.temperature import check_temperature
from unpaired.imaging.formats.png import write_png
from unpaired.imaging.pictures import (
    Picture,
    in_rgb,
    read_picture,
    read_rgb8,
    size_of,
    write_picture,
    written_path,
)
from unpaired.imaging.upright import as_stored, orientation_of, upright
from unpaired.learning.weights import load_model
from unpaired.systems.guided_colorization.palette import cell_at, displayed, suggested_at

PREVIEW_PX = 512  # The longer side of what the page shows.
OPEN_AT_ONCE = 3
PIXELS_MAX = 100_000_000
UPLOADS_MAX = 50
GAMUT_STEP, GAMUT_MAX = 2, 110
HISTOGRAM_SIDE_MIN = 4
KINDS = {
    "own": "as the picture, with its metadata",
    "png8": "PNG, 8 bits",
    "png16": "PNG, 16 bits",
    "tiff8": "TIFF, 8 bits",
    "tiff16": "TIFF, 16 bits",
}


class Missing(UnpairedError):
    """There is no such picture, or no such reference."""


@dataclass(frozen=True)
class Entry:
    """A picture in the list. path: of its file. is_own: whether points can be kept beside it."""

    name: str
    path: Path
    is_own: bool


@dataclass
class Opened:
    """A picture in memory, upright.

    stored: as it was read, in RGB. rgb: 1 x 3 x H x W. seen: the lightness that the network gets.
    preview: small RGB.
    """

    stored: Picture
    orientation: int
    rgb: Tensor
    seen: Tensor
    preview: Tensor

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return tuple(self.rgb.shape[-2:])

    def lightness_at(self, place: tuple[float, float]) -> float:
        """Return L at (y, x)."""
        row, column = cell_at(place, self.size, self.size)
        return float(rgb_to_lab(self.rgb[..., row : row + 1, column : column + 1])[0, 0, 0, 0])


@dataclass(frozen=True)
class Wish:
    """What a page wants colored.

    points: in pixels of the upright picture. query: a place (y, x) that colors are suggested for.
    temperature: of the distribution, None for the network's own colors. reference: number of a
    reference picture, whose histogram to take.
    """

    points: Sequence[Point] = ()
    query: tuple[float, float] | None = None
    temperature: float | None = None
    reference: int | None = None
    saturation: float | None = None


@dataclass
class Studio:
    """A model and the pictures of one `unpaired ui`; safe to use from several threads."""

    model: Path
    device: str = "auto"
    precision: str = "auto"
    entries: list[Entry] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._device = choose_device(self.device)
        self._bf16 = choose_precision(self.precision, self._device) == "bf16"
        self.method_name, self.method = load_model(self.model, self._device)
        self._opened: OrderedDict[int, Opened] = OrderedDict()
        self._references: list[Tensor] = []
        self._latest: dict[str, int] = {}
        self._lock = threading.Lock()
        self._of_pictures = threading.Lock()
        self._own = TemporaryDirectory(prefix="unpaired-ui-")

    def close(self) -> None:
        """Remove what was sent to the page."""
        self._own.cleanup()

    @property
    def takes(self) -> tuple[str, ...]:
        """What the model may be told of."""
        return self.method.takes

    # ---- Pictures -------------------------------------------------------------------------------

    def add(self, paths: Sequence[Path]) -> None:
        """Add pictures of this machine to the list."""
        self.entries += [Entry(path.name, path, True) for path in paths]

    def receive(self, name: str, content: bytes) -> int:
        """Take a picture that a browser sent; return its number.

        Raises UnpairedError for what is no picture that can be colored.
        """
        if sum(not entry.is_own for entry in self.entries) >= UPLOADS_MAX:
            raise UnpairedError(f"more than {UPLOADS_MAX} pictures were sent; start the page again")
        shown = _plain_name(name)
        path = self._kept(shown, content)
        self._check(path, shown)
        with self._of_pictures:
            self.entries.append(Entry(shown, path, False))
            return len(self.entries) - 1

    def receive_reference(self, name: str, content: bytes) -> int:
        """Take a color picture whose histogram is wanted; return its number."""
        shown = _plain_name(name)
        path = self._kept(shown, content)
        try:
            self._check(path, shown)
            rgb = as_batch(_named(path, shown, lambda: read_rgb8(path, alpha="drop")))
        finally:
            path.unlink()
        small = shrunk(rgb, self.method.picture_px)
        with self._of_pictures:
            self._references.append(color_histogram(rgb_to_lab(small)[:, 1:])[0])
            return len(self._references) - 1

    def _kept(self, name: str, content: bytes) -> Path:
        with self._of_pictures:
            number = len(list(Path(self._own.name).iterdir()))
            path = Path(self._own.name) / f"{number:04d}{Path(name).suffix}"
            path.write_bytes(content)
        return path

    def _check(self, path: Path, name: str) -> None:
        """Refuse what is no picture, or too large, before its pixels are decoded."""
        try:
            width, height = _named(path, name, lambda: size_of(path))
            if width * height > PIXELS_MAX:
                raise UnpairedError(
                    f"{name}: {width} x {height} pixels, more than {PIXELS_MAX / 1e6:g} "
                    "megapixels; scale it down, or use unpaired colorize"
                )
        except UnpairedError:
            if path.parent == Path(self._own.name):
                path.unlink(missing_ok=True)
            raise

    def entry(self, number: int) -> Entry:
        """Return the picture of a number; raises Missing if there is none."""
        if not 0 <= number < len(self.entries):
            raise Missing("no such picture; load the page again")
        return self.entries[number]

    def open(self, number: int) -> Opened:
        """Return a picture in memory; the last few are kept. Raises UnpairedError as `describe`."""
        entry = self.entry(number)
        with self._of_pictures:
            if number not in self._opened:
                self._check(entry.path, entry.name)
                self._opened[number] = self._read(entry)
                while len(self._opened) > OPEN_AT_ONCE:
                    self._opened.popitem(last=False)
            self._opened.move_to_end(number)
            return self._opened[number]

    def _read(self, entry: Entry) -> Opened:
        picture = _named(entry.path, entry.name, lambda: in_rgb(read_picture(entry.path)))
        if picture.is_stack:
            raise UnpairedError(f"{entry.name}: a stack of pages; use unpaired colorize for it")
        low, high = float(picture.pixels.min()), float(picture.pixels.max())
        if low < 0 or high > 1:
            raise UnpairedError(f"{entry.name}: values from {low:.4g} to {high:.4g}, not 0 .. 1")
        if min(picture.pixels.shape[1:3]) < HISTOGRAM_SIDE_MIN:
            raise UnpairedError(f"{entry.name}: too small to be colored")
        orientation = orientation_of(entry.path)
        page = np.ascontiguousarray(upright(picture.pixels[0], orientation))
        rgb = torch.from_numpy(page).permute(2, 0, 1)[None]
        size = tuple(rgb.shape[-2:])
        shorter = max(1, round(min(size) * PREVIEW_PX / max(size)))
        seen = rgb_to_lab(shrunk(rgb, self.method.picture_px))[:, :1]
        return Opened(picture, orientation, rgb, seen, shrunk(rgb, shorter))

    def describe(self, number: int) -> dict[str, Any]:
        """Return what a page must know of a picture, with the points that are kept beside it.

        Raises Missing, and UnpairedError for a picture that cannot be colored.
        """
        entry, opened = self.entry(number), self.open(number)
        height, width = opened.size
        lab = rgb_to_lab(opened.preview)
        gray = lab_to_rgb(torch.cat([lab[:, :1], torch.zeros_like(lab[:, 1:])], dim=1))
        about = {
            "picture": number,
            "name": entry.name,
            "width": width,
            "height": height,
            "scale": min(height, width) / min(opened.seen.shape[-2:]),
            "gray": data_uri(_png(gray)),
            "own": entry.is_own,
            "points": [],
            "note": "",
        }
        kept = points_path(entry.path)
        if entry.is_own and kept.is_file():
            try:
                points, size = read_points(kept)
                if size != opened.size:
                    raise UnpairedError(f"{kept.name}: points of a picture of another size")
                about |= {"points": [vars(point) for point in points], "note": "points loaded"}
            except UnpairedError as error:
                about["note"] = str(error)
        return about

    def save_points(self, number: int, points: Sequence[Point], *, overwrite: bool) -> str | None:
        """Keep points beside their picture; return the file's name, None if one is there already.

        Raises UnpairedError for a picture that a browser sent, which has no place here.
        """
        entry = self.entry(number)
        if not entry.is_own:
            raise UnpairedError(f"{entry.name} was sent by the browser; download its points")
        path = points_path(entry.path)
        if path.exists() and not overwrite:
            return None
        write_points(path, points, self.open(number).size)
        return path.name

    # ---- Colors ---------------------------------------------------------------------------------

    def color(self, page: str, turn: int, number: int, wish: Wish) -> dict[str, Any] | None:
        """Return the colored preview, and suggestions for a place; None if it was overtaken.

        page, turn: of a browser's tab; only its latest turn is computed.
        """
        opened = self.open(number)
        with self._of_pictures:
            self._latest[page] = max(turn, self._latest.get(page, turn))
        with self._lock:
            if turn < self._latest[page]:
                return None
            start = time.perf_counter()
            ab, logits = self._predicted(opened, wish)
        picture = recolored(opened.preview, enlarged(ab, tuple(opened.preview.shape[-2:])))
        made: dict[str, Any] = {"result": data_uri(_png(picture))}
        if wish.query is not None:
            made |= self._around(opened, wish.query, ab, logits)
        colors = [
            displayed(opened.lightness_at((one.y, one.x)), [(one.a, one.b)])[1][0].tolist()
            for one in wish.points
        ]
        return made | {"colors": colors, "seconds": round(time.perf_counter() - start, 3)}

    def _predicted(self, opened: Opened, wish: Wish) -> tuple[Tensor, Tensor | None]:
        """Return ab at the network's size, on the CPU, and softened logits if wanted."""
        told = self._told(opened, wish)
        seen = opened.seen.to(self._device)
        bf16 = torch.autocast(self._device.type, torch.bfloat16) if self._bf16 else nullcontext()
        logits = None
        with torch.inference_mode(), bf16:
            if "points" in self.takes and wish.query is not None:
                ab, logits = self.method.suggestions(seen, **told)
                if wish.temperature is not None:
                    ab = self.method.colorize(seen, **told, temperature=wish.temperature)
            else:
                ab = self.method.colorize(seen, **told, temperature=wish.temperature)
        return ab.float().cpu(), None if logits is None else logits.float().cpu()

    def _told(self, opened: Opened, wish: Wish) -> dict[str, Any]:
        if "points" in self.takes:
            if wish.temperature is not None:
                check_temperature(wish.temperature)
            size = tuple(opened.seen.shape[-2:])
            hints, mask = hint_maps(wish.points, opened.size, size)
            return {"ab": hints, "mask": mask}
        told: dict[str, Any] = {}
        if wish.reference is not None:
            if not 0 <= wish.reference < len(self._references):
                raise Missing("no such reference; choose it again")
            told["histogram"] = self._references[wish.reference]
        if wish.saturation is not None:
            check_saturation(wish.saturation)
            told["saturation"] = wish.saturation
        return told

    def _around(
        self, opened: Opened, place: tuple[float, float], ab: Tensor, logits: Tensor | None
    ) -> dict[str, Any]:
        """Return lightness, gamut, and suggested colors at a place, the current color first."""
        lightness = opened.lightness_at(place)
        seen = tuple(ab.shape[-2:])
        row, column = cell_at(place, opened.size, seen)
        current = ab[0, :, row, column].numpy()[None]
        colors = [("current", *one) for one in _pairs(lightness, current)]
        if logits is not None:
            found, _ = suggested_at(logits, self.method.bins().numpy(), place, opened.size, seen)
            colors += [("suggested", *one) for one in _pairs(lightness, found)]
        return {
            "lightness": round(lightness, 1),
            "gamut": gamut(round(lightness)),
            "suggestions": [{"kind": kind, "ab": ab, "rgb": rgb} for kind, ab, rgb in colors],
        }

    def result(self, number: int, wish: Wish, kind: str) -> tuple[str, bytes]:
        """Return the name and the bytes of a colored picture at full resolution; kind: of KINDS."""
        if kind not in KINDS:
            raise UnpairedError(f"no such format; there are {', '.join(KINDS)}")
        entry, opened = self.entry(number), self.open(number)
        with self._lock:
            ab, _ = self._predicted(opened, replace(wish, query=None))
        page = recolored(opened.rgb, enlarged(ab, opened.size))[0].permute(1, 2, 0).numpy()
        stem = f"{Path(entry.name).stem}_colored"
        if kind == "own":
            pixels = np.ascontiguousarray(as_stored(page, opened.orientation))[None]
            return _in_own_format(replace(opened.stored, pixels=pixels), stem, entry.name)
        largest, dtype = (255, np.uint8) if kind.endswith("8") else (65535, np.uint16)
        samples = np.floor(page.astype(np.float64) * largest + 0.5).astype(dtype)
        buffer = io.BytesIO()
        if kind.startswith("png"):
            write_png(buffer, samples[None], b"")
            return f"{stem}.png", buffer.getvalue()
        tifffile.imwrite(buffer, samples, photometric="rgb", compression="deflate")
        return f"{stem}.tif", buffer.getvalue()


def _in_own_format(picture: Picture, stem: str, name: str) -> tuple[str, bytes]:
    with TemporaryDirectory(prefix="unpaired-ui-") as folder:
        path = written_path(picture, Path(folder) / f"{stem}{Path(name).suffix}")
        write_picture(picture, path)
        return path.name, path.read_bytes()


def _pairs(lightness: float, ab: np.ndarray) -> list[tuple[list[float], list[int]]]:
    """Return colors as sRGB has them at a lightness: ab, rounded, and RGB of 8 bits."""
    inside, rgb = displayed(lightness, ab)
    return [
        ([round(float(value), 1) for value in one], color.tolist())
        for one, color in zip(inside, rgb, strict=True)
    ]


@lru_cache(maxsize=101)
def gamut(lightness: int) -> str:
    """Return the ab plane at a lightness as a PNG, out of gamut transparent; a right, b up."""
    axis = torch.arange(-GAMUT_MAX, GAMUT_MAX + 1, GAMUT_STEP, dtype=torch.float64)
    b, a = torch.meshgrid(axis.flip(0), axis, indexing="ij")
    lab = torch.stack([torch.full_like(a, float(lightness)), a, b])[None]
    rgb = (255 * lab_to_rgb(lab)).round().to(torch.uint8)[0]
    alpha = 255 * in_gamut(lab).to(torch.uint8)
    return data_uri(_encoded(torch.cat([rgb, alpha]).permute(1, 2, 0).numpy()))


def data_uri(png: bytes) -> str:
    """Return a PNG for the ``src`` of an image."""
    return f"data:image/png;base64,{b64encode(png).decode()}"


def _png(rgb: Tensor) -> bytes:
    samples = (255 * rgb[0]).round().clamp(0, 255).to(torch.uint8)
    return _encoded(samples.permute(1, 2, 0).cpu().numpy())


def _encoded(samples: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(samples).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def _plain_name(name: str) -> str:
    """Return what a browser calls a file, less all that could mean a folder or a command."""
    last = name.replace("\\", "/").rpartition("/")[2]
    kept = "".join(one if one.isalnum() or one in "._- " else "_" for one in last).strip(". ")
    return kept[-80:] or "picture"


def _named(path: Path, name: str, read: Any) -> Any:
    """Call ``read``; errors name the picture as the person does."""
    try:
        return read()
    except UnpairedError as error:
        raise UnpairedError(str(error).replace(str(path), name)) from None
