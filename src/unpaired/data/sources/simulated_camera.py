"""Stand-in for SIDD: the embedded photographs as five simulated phones would have taken them.

`render` writes the very files of SIDD, in its layouts and formats, from nothing but installed
packages; `sidd` reads them. Pixels are made by `camera`. The numbers of the phones (colors, black
and white levels) are chosen, not measured: of the order of what phones of that time have.

Training scenes are the embedded training photographs, validation scenes the test photographs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from unpaired.core.files import atomic_path
from unpaired.core.randomness import numpy_generator
from unpaired.data.matlab import write_v5, write_v73
from unpaired.data.records import Record
from unpaired.data.sources import embedded, sidd
from unpaired.data.sources.sidd import BLOCK_PX, Instance
from unpaired.imaging import camera

Split = Literal["train", "validation"]

TRAIN_FRAMES = ("010", "011")
BLOCKS_PER_INSTANCE = 2  # of the 32 of SIDD: the photographs are small

# Folders below the one that is rendered into, as the archives of SIDD unpack.
MEDIUM_RAW = Path("SIDD_Medium_Raw", "Data")
SMALL_SRGB = Path("SIDD_Small_sRGB_Only", "Data")
VALIDATION, BENCHMARK = Path("validation"), Path("benchmark")

ISOS = (100, 200, 400, 800, 1600, 3200)
SHUTTERS_HZ = (60, 100, 200, 400, 800)
# White balance gains of red and blue under a light of so many kelvin; that of green is 1.
GAINS_OF_ILLUMINANT = {3200: (1.5, 2.4), 4400: (1.8, 2.0), 5500: (2.1, 1.7)}
# White of the scene as a share of the sensor's full scale.
EXPOSURE_OF_BRIGHTNESS = {"L": 0.4, "N": 0.7, "H": 1.0}

# IEC 61966-2-1.
XYZ_TO_LINEAR_SRGB = np.array(
    [[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]]
)


@dataclass(frozen=True)
class Phone:
    """black_level, white_level: numbers of the converter. matrix: see `camera.Colors`."""

    black_level: int
    white_level: int
    matrix: np.ndarray


PHONES = {
    "GP": Phone(
        64, 1023, np.array([[1.70, -0.55, -0.15], [-0.20, 1.45, -0.25], [0.00, -0.55, 1.55]])
    ),
    "IP": Phone(
        528, 4095, np.array([[1.55, -0.40, -0.15], [-0.25, 1.60, -0.35], [0.05, -0.60, 1.55]])
    ),
    "S6": Phone(
        0, 1023, np.array([[1.60, -0.50, -0.10], [-0.15, 1.40, -0.25], [0.05, -0.50, 1.45]])
    ),
    "N6": Phone(
        64, 1023, np.array([[1.80, -0.65, -0.15], [-0.25, 1.50, -0.25], [0.00, -0.65, 1.65]])
    ),
    "G4": Phone(
        64, 1023, np.array([[1.65, -0.45, -0.20], [-0.20, 1.55, -0.35], [0.00, -0.45, 1.45]])
    ),
}


def train_raw(folder: Path | None) -> Iterator[Record]:
    """Yield the training pairs as `sidd.medium_raw` gives them."""
    return _rendered(render_medium_raw, partial(sidd.pairs, space="RAW", scene_of=scene_of))


def train_srgb(folder: Path | None) -> Iterator[Record]:
    """Yield the training pairs as `sidd.small_srgb` gives them."""
    return _rendered(render_small_srgb, partial(sidd.pairs, space="SRGB", scene_of=scene_of))


def noisy_srgb(folder: Path | None) -> Iterator[Record]:
    """Yield pictures as `sidd.noisy_srgb` gives them."""
    return _rendered(render_small_srgb, partial(_half, role="noisy"))


def clean_srgb(folder: Path | None) -> Iterator[Record]:
    """Yield pictures as `sidd.clean_srgb` gives them."""
    return _rendered(render_small_srgb, partial(_half, role="clean"))


def _half(folder: Path, role: Literal["noisy", "clean"]) -> Iterator[Record]:
    return iter(sidd.half_of(sidd.pairs(folder, "SRGB", scene_of), role))


def validation_raw(folder: Path | None) -> Iterator[Record]:
    """Yield the validation blocks as `sidd.validation_raw` gives them."""
    return _rendered(partial(render_blocks, what="Validation"), partial(blocks, space="RAW"))


def validation_srgb(folder: Path | None) -> Iterator[Record]:
    """Yield the validation blocks as `sidd.validation_srgb` gives them."""
    return _rendered(partial(render_blocks, what="Validation"), partial(blocks, space="SRGB"))


def _rendered(render_into: Callable[[Path], None], read: Callable) -> Iterator[Record]:
    with tempfile.TemporaryDirectory() as folder:
        render_into(Path(folder))
        yield from read(Path(folder))


def blocks(
    folder: Path, space: sidd.Space, what: Literal["Validation", "Benchmark"] = "Validation"
) -> sidd.Blocks:
    """Return the blocks that `render_blocks` wrote, through the reader of SIDD."""
    names = tuple(instance.name for instance, _ in _instances("validation"))
    return sidd.Blocks(folder, what, space, names, BLOCKS_PER_INSTANCE, scene_of)


def scene_of(instance: Instance) -> str:
    """Return what must not be split between training and test: the photograph."""
    return f"simulated_camera:{instance.scene:03d}"


def render(folder: Path) -> None:
    """Write all that SIDD consists of, in its layouts, below ``folder``: about 200 MB."""
    render_medium_raw(folder / MEDIUM_RAW)
    render_small_srgb(folder / SMALL_SRGB)
    render_blocks(folder / VALIDATION, "Validation")
    render_blocks(folder / BENCHMARK, "Benchmark")


def render_medium_raw(folder: Path) -> None:
    """Write raw training frames and their metadata into a folder per instance."""
    for instance, photograph in _instances("train"):
        clean = clean_mosaic(photograph, instance)
        for frame in TRAIN_FRAMES:
            noisy = noisy_mosaic(clean, instance, frame)
            for role, mosaic in (("NOISY", noisy), ("GT", clean)):
                write_v73(_frame_file(folder, instance, role, "RAW", frame), {"x": mosaic})
            path = _frame_file(folder, instance, "METADATA", "RAW", frame)
            write_v5(path, {"metadata": _metadata(instance, clean.shape)})


def render_small_srgb(folder: Path) -> None:
    """Write the first training frame of every instance, processed to sRGB, into its folder."""
    frame = TRAIN_FRAMES[0]
    for instance, photograph in _instances("train"):
        clean = clean_mosaic(photograph, instance)
        for role, mosaic in (("NOISY", noisy_mosaic(clean, instance, frame)), ("GT", clean)):
            path = _frame_file(folder, instance, role, "SRGB", frame)
            with atomic_path(path) as aside:
                Image.fromarray(processed(mosaic, instance)).save(aside, compress_level=1)


def render_blocks(folder: Path, what: Literal["Validation", "Benchmark"]) -> None:
    """Write the block files of the validation scenes, raw and sRGB; Benchmark has no clean ones.

    The benchmark has other frames, so other noise, than the validation.
    """
    files: dict[Path, list[list[np.ndarray]]] = {}
    for instance, photograph in _instances("validation"):
        clean = clean_mosaic(photograph, instance)
        mosaics = {"noisy": noisy_mosaic(clean, instance, what), "clean": clean}
        for space in ("RAW", "SRGB"):
            for key, path in blocks(folder, space, what).paths().items():
                mosaic = mosaics[key]
                picture = mosaic if space == "RAW" else processed(mosaic, instance)
                files.setdefault(path, []).append(_cut(picture))
    for path, rows in files.items():
        write_v5(path, {path.stem: np.array(rows)})


def clean_mosaic(photograph: np.ndarray, instance: Instance) -> np.ndarray:
    """Return the noise-free mosaic, float32 in [0, 1], of a photograph uint8 H x W x 3.

    An odd last row or column is left out.
    """
    height, width = (side // 2 * 2 for side in photograph.shape[:2])
    srgb = photograph[:height, :width].astype(np.float32) / 255
    return camera.to_mosaic(camera.to_linear(srgb, colors_of(instance)), instance.pattern)


def noisy_mosaic(clean: np.ndarray, instance: Instance, frame: str) -> np.ndarray:
    """Return a mosaic, float32 in [0, 1], as the sensor gives it; every frame has its own noise."""
    rng = numpy_generator("simulated camera", "noise", instance.name, frame)
    noisy = camera.add_noise(clean, noise_levels_of(instance), rng)
    phone = PHONES[instance.phone]
    return camera.digitize(noisy, phone.black_level, phone.white_level)


def processed(mosaic: np.ndarray, instance: Instance) -> np.ndarray:
    """Return what the phone's processor makes of a mosaic: uint8 H x W x 3."""
    linear = camera.demosaic(mosaic, instance.pattern)
    srgb = camera.to_srgb(linear, colors_of(instance))
    return np.round(255 * srgb).astype(np.uint8)


def noise_levels_of(instance: Instance) -> camera.NoiseLevels:
    """Return the noise levels of an instance: all its frames share them."""
    rng = numpy_generator("simulated camera", "levels", instance.name)
    return camera.draw_noise_levels(instance.iso, rng)


def colors_of(instance: Instance) -> camera.Colors:
    """Return how the phone sees colors under the instance's light, at its exposure."""
    gains = _white_balance(instance) / EXPOSURE_OF_BRIGHTNESS[instance.brightness]
    return camera.Colors(PHONES[instance.phone].matrix, gains)


def _white_balance(instance: Instance) -> np.ndarray:
    red, blue = GAINS_OF_ILLUMINANT[instance.illuminant_k]
    return np.array([red, 1.0, blue])


def _instances(split: Split) -> Iterator[tuple[Instance, np.ndarray]]:
    """Yield every photograph of a split with each phone, at settings that its number decides."""
    read = {"train": embedded.train_records, "validation": embedded.test_records}[split]
    scenes_before = 0 if split == "train" else len(embedded.TRAIN)
    for scene, record in enumerate(read(None), scenes_before + 1):
        for index, phone in enumerate(PHONES):
            number = (scene - 1) * len(PHONES) + index + 1
            yield _instance(number, scene, phone), record.arrays["image"]


def _instance(number: int, scene: int, phone: str) -> Instance:
    rng = numpy_generator("simulated camera", "settings", number)
    choices = (ISOS, SHUTTERS_HZ, tuple(GAINS_OF_ILLUMINANT), tuple(EXPOSURE_OF_BRIGHTNESS))
    iso, shutter_hz, kelvin, brightness = (c[rng.integers(len(c))] for c in choices)
    return Instance.parse(
        f"{number:04d}_{scene:03d}_{phone}_{iso:05d}_{shutter_hz:05d}_{kelvin:04d}_{brightness}"
    )


def _frame_file(folder: Path, instance: Instance, role: str, space: str, frame: str) -> Path:
    suffix = {"RAW": "MAT", "SRGB": "PNG"}[space]
    return folder / instance.name / f"{instance.number:04d}_{role}_{space}_{frame}.{suffix}"


def _cut(picture: np.ndarray) -> list[np.ndarray]:
    """Return two opposite corners; they begin at even pixels and may overlap in small pictures."""
    return [picture[:BLOCK_PX, :BLOCK_PX], picture[-BLOCK_PX:, -BLOCK_PX:]]


def _metadata(instance: Instance, shape: tuple[int, int]) -> dict[str, object]:
    """Return what MATLAB's ``imfinfo`` tells of a DNG file, as far as it bears on pixels."""
    phone, balance = PHONES[instance.phone], _white_balance(instance)
    levels = noise_levels_of(instance)
    to_camera = np.diag(1 / balance) @ np.linalg.inv(phone.matrix) @ XYZ_TO_LINEAR_SRGB
    pattern = np.array([["RGB".index(color) for color in instance.pattern]], np.uint8)
    tags = {
        sidd.CFA_PATTERN_TAG: pattern,
        sidd.NOISE_PROFILE_TAG: np.array([[levels.shot, levels.read] * 3]),
    }
    return {
        "Filename": f"{instance.name}.DNG",
        "Height": shape[0],
        "Width": shape[1],
        "Model": f"simulated camera {instance.phone}",
        "ISOSpeedRatings": instance.iso,
        "ExposureTime": 1 / instance.shutter_hz,
        "BlackLevel": np.full((1, 4), phone.black_level, np.uint16),
        "WhiteLevel": phone.white_level,
        "ColorMatrix1": to_camera.reshape(1, 9),
        "AsShotNeutral": (1 / balance).reshape(1, 3),
        "UnknownTags": _structs(tags),
    }


def _structs(tags: dict[int, np.ndarray]) -> np.ndarray:
    """Return tags as MATLAB's array of structs, n x 1."""
    structs = np.empty((len(tags), 1), [("ID", object), ("Offset", object), ("Value", object)])
    for row, (number, value) in enumerate(tags.items()):
        structs[row, 0] = (np.uint16(number), np.uint8(0), value)
    return structs
