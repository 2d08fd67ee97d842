"""For a person with a picture: send it through a simulated channel, and write what arrives.

Arguments, models and outputs are checked before PyTorch is loaded.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from unpaired.core.devices import check_names, choose_device
from unpaired.core.errors import Stopped, UnpairedError, list_some, shown
from unpaired.core.files import atomic_path, write_rows
from unpaired.core.progress import Progress
from unpaired.core.templating import write_html
from unpaired.imaging.outputs import (
    Notes,
    Outcome,
    Outputs,
    naming,
    plan_outputs,
    refuse_clashes,
    refuse_existing,
    told,
)
from unpaired.imaging.pixels import center_crop, to_uint8
from unpaired.imaging.upright import read_upright
from unpaired.learning.seen_pictures import drawn_pictures
from unpaired.learning.weights import load_model, read_about
from unpaired.metrics.psnr import psnr_db
from unpaired.metrics.ssim import WINDOW_PX, ssim

if TYPE_CHECKING:
    import torch

    from unpaired.systems.transmission.sending import Product

TABLE, PAGE = "transmission.csv", "index.html"
CODEC, INN, PRIOR = "deepjscc", "invertible", "ddpm"
SHOWN_PX = 256  # Small pictures are enlarged to it on the page.


@dataclass(frozen=True)
class Options:
    """What to send with.

    snr_db: of each channel. inn: networks, each for the channel that it was learned for. crop_px:
    the middle of every picture alone. start, steps: of the chains, see `methods.receivers`.
    """

    codec: Path
    snr_db: Sequence[float]
    prior: Path | None = None
    inn: Sequence[Path] = ()
    crop_px: int | None = None
    start: float = 0.5
    steps: int = 30
    guidance: float = 1.0
    device: str = "auto"
    overwrite: bool = False
    command: str = ""


@dataclass
class _Models:
    """Loaded models. inns: by the SNR that each was learned for."""

    codec: Any
    prior: Any = None
    inns: dict[float, Any] = field(default_factory=dict)

    @property
    def side_px(self) -> int | None:
        """The side of pictures that the diffusion model knows; None without one."""
        return self.prior.config.patch_px if self.prior is not None else None


def transmit(inputs: Sequence[Path], output: Path, options: Options) -> Outcome:
    """Send pictures, and write what arrives of them into the folder ``output``.

    For every channel and row a PNG, ``<picture>_<row>_<SNR>dB.png``; a table of symbols, scores and
    seconds; and a page with a slider over the channels. Alpha is left out, which is said. Pictures
    that cannot be read or sent are refused one by one. Raises UnpairedError, before anything is
    written, for bad options or models, and if no picture at all can be sent; Stopped after Ctrl-C,
    when table and page show what was sent until then.
    """
    _check(options)
    outputs = plan_outputs(inputs, output, overwrite=True)
    if outputs.is_file:
        raise UnpairedError(f"{shown(output)}: many files are written; name a folder")
    for line in told(outputs.left_out):
        print(line, flush=True)
    pictures, refused = _read_all(outputs.targets, options.crop_px)
    device = choose_device(options.device)
    models = _load(options, device)
    pictures = _refuse_other_sizes(pictures, models, refused)
    if not pictures:
        raise UnpairedError(list_some(refused))
    for line in _told_of(models, pictures, options):
        print(line, flush=True)
    rows = {snr: _rows(models, snr, options) for snr in sorted(options.snr_db)}
    marked = _plan_files(outputs, pictures, rows, options)
    run = _Run(outputs, marked, rows, options, device)
    total = len(pictures) * sum(len(own) for own in rows.values())
    try:
        with Progress("transmit", total, "pictures") as progress:
            for path, picture in pictures.items():
                try:
                    with naming(path):
                        run.send(path, picture, progress)
                except UnpairedError as error:
                    refused.append(str(error))
    except KeyboardInterrupt:
        run.finish()
        raise Stopped(
            f"stopped; {len(run.sections)} of {len(pictures)} pictures were sent; what arrived is "
            f"in {shown(output)}"
        ) from None
    if not run.sections:
        raise UnpairedError(list_some(refused))
    run.finish()
    return Outcome(run.written, refused, outputs.left_out)


@dataclass
class _Run:
    """Pictures that are sent one by one; what was written of them. marked: lists all files."""

    outputs: Outputs
    marked: Outputs
    rows: dict[float, dict[str, Product]]
    options: Options
    device: torch.device
    written: list[Path] = field(default_factory=list)
    sections: list[dict[str, Any]] = field(default_factory=list)
    table: list[dict[str, object]] = field(default_factory=list)

    def send(self, path: Path, picture: np.ndarray, progress: Progress) -> None:
        """Send a picture in every way, and write what arrives once all has."""
        found = []
        for snr, own in self.rows.items():
            for row, product in own.items():
                found.append((snr, row, _send(product, picture, path.name, snr, self.device)))
                progress.advance()
        if not self.written:
            self.marked.mark("transmit")
        for snr, row, sent in found:
            file = _file(self.outputs.targets[path], row, snr)
            if sent["came"]:
                _write(file, sent["picture"])
                self.written.append(file)
            else:
                file.unlink(missing_ok=True)
            self.table.append(_table_row(path, row, snr, sent, file))
        self.sections.append(_section(path.name, picture, found))

    def finish(self) -> None:
        """Write the table and the page of all that was sent, if anything was."""
        if self.sections:
            write_rows(self.outputs.folder / TABLE, self.table)
            _write_page(self.outputs.folder / PAGE, self.sections, sorted(self.rows), self.options)


# ---- Checks


def _check(options: Options) -> None:
    """Check what a person typed, without PyTorch."""
    check_names(options.device, "auto")
    bad = [snr for snr in options.snr_db if not math.isfinite(snr)]
    if bad or not options.snr_db:
        raise UnpairedError(f"--snr: {bad[0] if bad else 'none'}: a number of dB is needed")
    if len(set(options.snr_db)) < len(options.snr_db):
        raise UnpairedError("--snr: the same channel twice")
    if options.crop_px is not None and options.crop_px < 1:
        raise UnpairedError(f"--crop: {options.crop_px} px: a positive number is needed")
    if options.inn and options.prior is None:
        raise UnpairedError("--inn guides a diffusion model: name one by --prior")
    wanted = [(options.codec, CODEC), *((path, INN) for path in options.inn)]
    wanted += [(options.prior, PRIOR)] if options.prior else []
    for path, method in wanted:
        own = read_about(path)["method"]
        if own != method:
            raise UnpairedError(f"{path}: a model of '{own}', where one of '{method}' is needed")


def _read_all(
    paths: Sequence[Path], crop_px: int | None
) -> tuple[dict[Path, np.ndarray], list[str]]:
    """Return pictures, H x W x 3, uint8, and refusals; tell what is left out."""
    pictures, refused, notes = {}, [], Notes()
    for path in paths:
        try:
            picture, has_alpha = read_upright(path)
            if has_alpha:
                notes.add(path, "its alpha is left out")
            if crop_px and min(picture.shape[:2]) < crop_px:
                height, width = picture.shape[:2]
                raise UnpairedError(f"{path}: {width}x{height}, smaller than --crop {crop_px}")
            pictures[path] = np.ascontiguousarray(center_crop(picture, crop_px))
        except UnpairedError as error:
            refused.append(str(error))
    for line in notes.lines():
        print(line, flush=True)
    return pictures, refused


def _load(options: Options, device: torch.device) -> _Models:
    from unpaired.systems.transmission.matching import require_one_size

    models = _Models(load_model(options.codec, device)[1])
    if options.prior:
        models.prior = load_model(options.prior, device)[1]
    for path in options.inn:
        inn = load_model(path, device)[1]
        snr_db = round(float(inn.snr_db), 4)
        if snr_db in models.inns:
            raise UnpairedError(f"{path}: a second invertible network for {snr_db:g} dB; name one")
        models.inns[snr_db] = inn
    if models.prior is not None:
        loaded = {"codec": models.codec, "prior": models.prior}
        for inn in [*models.inns.values(), None]:
            require_one_size(loaded | ({"inn": inn} if inn is not None else {}))
    other = sorted(models.inns.keys() - {round(snr, 4) for snr in options.snr_db})
    if other:
        raise UnpairedError(
            f"an invertible network was learned for {other[0]:g} dB, and no --snr is that; ask "
            "for that channel, or leave the network out"
        )
    return models


def _refuse_other_sizes(
    pictures: dict[Path, np.ndarray], models: _Models, refused: list[str]
) -> dict[Path, np.ndarray]:
    """Return the pictures that the diffusion model knows the size of, or all without one."""
    side = models.side_px
    for path, picture in pictures.items():
        height, width = picture.shape[:2]
        if side is not None and (height, width) != (side, side):
            refused.append(
                f"{path}: {width}x{height}, and the diffusion model knows {side}x{side} px alone; "
                f"give --crop {side}, or leave --prior out"
            )
    return {
        path: picture
        for path, picture in pictures.items()
        if side is None or picture.shape[:2] == (side, side)
    }


def _told_of(models: _Models, pictures: dict[Path, np.ndarray], options: Options) -> list[str]:
    """Return what a person should know before anything is sent."""
    lines, config = [], models.codec.config
    for path in filter(None, (options.codec, options.prior)):
        if seen := drawn_pictures(path, read_about(path)):
            lines.append(f"warning: {path} has seen {seen} only, and makes others like them")
    outside = [f"{s:g}" for s in options.snr_db if not config.snr_min_db <= s <= config.snr_max_db]
    if outside:
        lines.append(
            f"warning: {', '.join(outside)} dB: the codec has learned channels from "
            f"{config.snr_min_db:g} to {config.snr_max_db:g} dB"
        )
    multiple = models.codec.multiple_px
    odd = [
        f"{path.name} ({picture.shape[1]}x{picture.shape[0]})"
        for path, picture in pictures.items()
        if picture.shape[0] % multiple or picture.shape[1] % multiple
    ]
    if odd:
        lines.append(
            f"{list_some(odd, 3)}: extended to multiples of {multiple} px, which are sent as well"
        )
    if models.inns:
        lacking = [f"{s:g}" for s in options.snr_db if round(s, 4) not in models.inns]
        if lacking:
            lines.append(f"no --inn for {', '.join(lacking)} dB: no row commin there")
    return lines


def _rows(models: _Models, snr_db: float, options: Options) -> dict[str, Product]:
    """Return the products for one channel, by the names of their rows."""
    from unpaired.learning.create import create

    chain = {"start": options.start, "steps": options.steps}
    made: dict[str, Any] = {CODEC: models.codec}
    inn = models.inns.get(round(snr_db, 4))
    if models.prior is not None:
        made["noised_and_denoised"] = create("noised_and_denoised", **chain)
    if inn is not None:
        made["commin"] = create("commin", guidance=options.guidance, **chain)
    made |= {name: create("separate_coding", format=name) for name in ("jpeg2000", "avif")}
    roles = {"codec": models.codec, "prior": models.prior, "inn": inn}
    wanted = {"noised_and_denoised": ("codec", "prior"), "commin": ("codec", "inn", "prior")}
    for name, product in made.items():
        for role in () if name == CODEC else wanted.get(name, ("codec",)):
            product.receive(role, roles[role])
    return made


def _plan_files(
    outputs: Outputs,
    pictures: dict[Path, np.ndarray],
    rows: dict[float, dict[str, Product]],
    options: Options,
) -> Outputs:
    """Return what lists all pictures that may be written.

    Raises UnpairedError for some that are there, that are inputs, or that would meet.
    """
    for snr, own in rows.items():
        for row in own:
            refuse_clashes({path: _file(to, row, snr) for path, to in outputs.targets.items()})
    files = [
        _file(outputs.targets[path], row, snr)
        for path in pictures
        for snr in rows
        for row in rows[snr]
    ]
    others = [outputs.folder / TABLE, outputs.folder / PAGE]
    refuse_existing([*files, *others], options.overwrite)
    return Outputs({file: file for file in files}, outputs.folder, False, ())


def _file(target: Path, row: str, snr_db: float) -> Path:
    return target.with_name(f"{target.stem}_{row}_{snr_db:g}dB.png")


# ---- Sending


def _send(
    product: Product, picture: np.ndarray, name: str, snr_db: float, device: torch.device
) -> dict[str, Any]:
    import time

    import torch

    from unpaired.systems.transmission.sending import Channel, send_padded

    given = torch.tensor(picture).permute(2, 0, 1)[None].float().to(device) / 255
    start = time.perf_counter()
    with torch.inference_mode():
        arrived = send_padded(product, given, Channel(snr_db, "own", [name]))
    seconds = time.perf_counter() - start
    made = to_uint8(arrived.pictures[0].permute(1, 2, 0).cpu().numpy())
    came = bool(arrived.came[0])
    return {
        "picture": made,
        "came": came,
        "symbols": arrived.symbols,
        "ratio": arrived.symbols / picture.size,
        "psnr_db": psnr_db(picture, made) if came else None,
        # Smaller pictures than its window have none.
        "ssim": ssim(picture, made) if came and min(picture.shape[:2]) >= WINDOW_PX else None,
        "seconds": seconds,
    }


def _write(file: Path, picture: np.ndarray) -> None:
    with atomic_path(file) as aside:
        Image.fromarray(picture).save(aside)


def _table_row(
    path: Path, row: str, snr_db: float, sent: dict[str, Any], file: Path
) -> dict[str, object]:
    def number(key: str, digits: int) -> str:
        return "" if sent[key] is None else f"{sent[key]:.{digits}f}"

    return {
        "picture": shown(path),
        "row": row,
        "snr_db": f"{snr_db:g}",
        "symbols": sent["symbols"],
        "symbols_per_number": f"{sent['ratio']:.5f}",
        "psnr_db": number("psnr_db", 2),
        "ssim": number("ssim", 4),
        "seconds": f"{sent['seconds']:.3f}",
        "file": file.name if sent["came"] else "no picture",
    }


# ---- The page


def _section(
    name: str, picture: np.ndarray, found: list[tuple[float, str, dict[str, Any]]]
) -> dict[str, Any]:
    versions = []
    for snr, row, sent in found:
        scores = f"{sent['symbols']} symbols, {sent['seconds']:.2f} s"
        if sent["came"]:
            scores = f"{sent['psnr_db']:.2f} dB, {scores}"
        source = _as_data(sent["picture"]) if sent["came"] else ""
        versions.append({"snr": f"{snr:g}", "row": row, "scores": scores, "source": source})
    factor = max(1, SHOWN_PX // max(picture.shape[:2]))
    return {
        "name": name,
        "sent": _as_data(picture),
        "width": picture.shape[1] * factor,
        "height": picture.shape[0] * factor,
        "versions": versions,
    }


def _as_data(picture: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "WEBP", lossless=True)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _write_page(
    path: Path, sections: list[dict[str, Any]], snrs: list[float], options: Options
) -> None:
    write_html(
        path,
        "transmission.html.j2",
        title="Pictures through a noisy channel",
        snrs=[f"{snr:g}" for snr in snrs],
        sections=sections,
        command=options.command,
    )
