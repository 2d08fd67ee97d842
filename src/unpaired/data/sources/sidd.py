"""The Smartphone Image Denoising Dataset (Abdelhamed, Lin, Brown, CVPR 2018) in its own layouts.

Medium Raw and Small sRGB are folders, one per scene instance, of noisy and clean frames; Validation
and Benchmark are MATLAB files of blocks cut from 40 other instances. Raw pixels are packed into
four planes (see `bayer`), so that a plane means the same on all five phones.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from unpaired.core.errors import UnpairedError
from unpaired.core.files import reading, sha256_of, state_of
from unpaired.core.fingerprint import fingerprint
from unpaired.data.matlab import read_array, read_shape, read_struct
from unpaired.data.records import Part, Parts, Record, Source
from unpaired.imaging import bayer
from unpaired.imaging.pictures import read_rgb8

Space = Literal["RAW", "SRGB"]

# Google Pixel, iPhone 7, Samsung Galaxy S6 Edge, Nexus 6, LG G4.
PATTERN_OF_PHONE = {"GP": "BGGR", "IP": "RGGB", "S6": "GRBG", "N6": "BGGR", "G4": "BGGR"}

# Where the blocks of Validation and Benchmark come from, in their order along the first axis: the
# instances that the page of SIDD holds back for the benchmark; the files do not name them. Blocks
# start at even rows and columns, so each has the pattern of its phone.
BLOCK_INSTANCES = (
    "0009_001_S6_00800_00350_3200_L",
    "0021_001_GP_10000_05000_5500_N",
    "0024_001_N6_03200_01500_5500_N",
    "0026_001_G4_00400_00160_5500_L",
    "0031_001_IP_01600_02000_3200_N",
    "0037_002_GP_06400_03200_3200_L",
    "0041_002_IP_01600_04000_5500_L",
    "0046_002_G4_00400_00350_3200_L",
    "0049_002_N6_00800_00800_5500_L",
    "0053_002_S6_03200_02000_5500_N",
    "0056_003_N6_03200_04000_5500_N",
    "0058_003_G4_00400_00500_5500_L",
    "0061_003_S6_00800_00500_4400_L",
    "0067_003_GP_01600_01500_3200_L",
    "0071_003_IP_02000_04000_5500_L",
    "0074_004_N6_00400_00040_3200_L",
    "0079_004_G4_00800_00160_3200_N",
    "0082_004_S6_03200_00500_4400_L",
    "0085_004_GP_06400_02000_4400_N",
    "0093_004_IP_01250_00250_3200_L",
    "0095_005_N6_00400_00200_3200_L",
    "0100_005_G4_00800_00400_3200_N",
    "0103_005_S6_01600_00800_4400_L",
    "0109_005_GP_10000_08000_4400_N",
    "0112_005_IP_01000_07500_5500_L",
    "0119_006_N6_00400_00100_3200_L",
    "0124_006_G4_00800_00350_3200_N",
    "0128_006_S6_03200_01600_4400_L",
    "0131_006_GP_01600_01250_4400_N",
    "0141_006_IP_01600_01620_3200_L",
    "0143_007_N6_00800_00800_4400_N",
    "0148_007_G4_00400_00400_4400_L",
    "0153_007_S6_03200_03200_5500_L",
    "0158_007_GP_03200_03200_5500_N",
    "0162_007_IP_01600_01600_3200_L",
    "0171_008_N6_03200_01600_4400_L",
    "0174_008_G4_00800_00800_4400_N",
    "0176_008_S6_00400_00100_5500_L",
    "0183_008_GP_06400_06400_5500_N",
    "0187_008_IP_01600_01600_3200_L",
)
BLOCKS_PER_INSTANCE = 32
BLOCK_PX = 256

READERS = 2  # Inflating a v7.3 file takes longer than all else.

# Raw values are scaled to [0, 1]. Rescaled ground truth may overshoot by a little; values of
# another scale (10-bit numbers, say) overshoot by far.
RANGE_SLACK = 0.1

NOISE_PROFILE_TAG, CFA_PATTERN_TAG = 51041, 33422  # of the DNG and TIFF/EP standards
_COLORS = "RGB"  # what 0, 1 and 2 mean in the CFA tag


@dataclass(frozen=True)
class Instance:
    """A scene instance: one scene, taken with one phone at one setting.

    name: ``NNNN_SSS_CC_IIIII_SSSSS_TTTT_B``. number: of the instance, scene: of the scene. phone:
    two letters. shutter_hz: 1 / exposure time in seconds. illuminant_k: color temperature.
    brightness: L(ow), N(ormal) or H(igh).
    """

    name: str
    number: int
    scene: int
    phone: str
    iso: int
    shutter_hz: int
    illuminant_k: int
    brightness: str

    @classmethod
    def parse(cls, name: str) -> Instance:
        """Take a folder's name apart; raises UnpairedError if it is not of that form."""
        form = r"(\d{4})_(\d{3})_([A-Z0-9]{2})_(\d{5})_(\d{5})_(\d{4})_([LNH])"
        match = re.fullmatch(form, name)
        if match is None or match[3] not in PATTERN_OF_PHONE:
            phones = ", ".join(PATTERN_OF_PHONE)
            raise UnpairedError(
                f"{name}: not the name of a scene instance, such as 0001_001_S6_00100_00060_3200_L "
                f"(phones: {phones}); rename or remove it"
            )
        number, scene, phone, *setting, brightness = match.groups()
        return cls(name, int(number), int(scene), phone, *map(int, setting), brightness)

    @property
    def pattern(self) -> str:
        """The Bayer pattern of its phone."""
        return PATTERN_OF_PHONE[self.phone]


@dataclass(frozen=True)
class Metadata:
    """What a metadata file says of the sensor.

    pattern: Bayer pattern. noise_profile: for red, green and blue, (S, O): the variance of a pixel
    of value x in [0, 1] is S x + O (DNG 1.4, NoiseProfile).
    """

    pattern: str
    noise_profile: tuple[tuple[float, float], ...]


def read_metadata(path: Path) -> Metadata:
    """Read ``NNNN_METADATA_RAW_010.MAT``; raises UnpairedError if it lacks pattern or profile."""
    tags = _unknown_tags(read_struct(path, "metadata"))
    colors = tags.get(CFA_PATTERN_TAG, ())
    pattern = "".join(_COLORS[int(color)] for color in colors if 0 <= color < len(_COLORS))
    if pattern not in bayer.PATTERNS:
        raise UnpairedError(
            f"{path}: no Bayer pattern in tag {CFA_PATTERN_TAG}; get the file again"
        )
    profile = tags.get(NOISE_PROFILE_TAG, ())
    if len(profile) not in (2, 6):
        raise UnpairedError(
            f"{path}: no noise profile of 2 or 6 values in tag {NOISE_PROFILE_TAG}; "
            "get the file again"
        )
    # Two values stand for all three colors.
    pairs = [(float(shot), float(read)) for shot, read in np.reshape(profile, (-1, 2))]
    return Metadata(pattern, tuple(pairs * (3 // len(pairs))))


def _unknown_tags(metadata: np.void) -> dict[int, np.ndarray]:
    """Return number -> values of the tags that MATLAB has no name for.

    Some phones keep those of the sensor in the first sub-image, of which MATLAB makes a cell.
    """
    names = metadata.dtype.names
    tags = _tags_of(metadata["UnknownTags"]) if "UnknownTags" in names else {}
    if "SubIFDs" in names and metadata["SubIFDs"].size:
        inner = metadata["SubIFDs"].reshape(-1)[0]
        if inner.dtype.names and "UnknownTags" in inner.dtype.names:
            tags = _tags_of(inner["UnknownTags"].reshape(-1)[0]) | tags
    return tags


def _tags_of(structs: np.ndarray) -> dict[int, np.ndarray]:
    if not {"ID", "Value"} <= set(structs.dtype.names or ()):
        return {}
    return {int(tag["ID"].item()): np.ravel(tag["Value"]) for tag in structs.reshape(-1)}


def medium_raw(folder: Path) -> Parts:
    """Return the 320 pairs of Medium Raw below ``folder`` (``SIDD_Medium_Raw/Data``).

    Records: "noisy" and "clean", float32 H/2 x W/2 x 4, planes in the order of `bayer.PLANES`,
    named ``<instance>/<frame>``.
    """
    return pairs(folder, "RAW", scene_of_sidd)


def small_srgb(folder: Path) -> Parts:
    """Return the 160 pairs of Small sRGB below ``folder`` (``SIDD_Small_sRGB_Only/Data``).

    Records: "noisy" and "clean", uint8 H x W x 3, named ``<instance>/<frame>``.
    """
    return pairs(folder, "SRGB", scene_of_sidd)


def noisy_srgb(folder: Path) -> Parts:
    """Return "image": the noisy pictures of Small sRGB, of the scenes of odd number alone."""
    return half_of(small_srgb(folder), "noisy")


def clean_srgb(folder: Path) -> Parts:
    """Return "image": the clean pictures of Small sRGB, of the scenes of even number alone."""
    return half_of(small_srgb(folder), "clean")


def half_of(source: Parts, role: Literal["noisy", "clean"]) -> Parts:
    """Return one picture of every pair of half the scenes, so that nothing of both is ever held.

    LUD-VAE's own sets are the two sides of all pairs, shuffled (section 4.1).
    """
    remainder = {"noisy": 1, "clean": 0}[role]
    chosen = [
        Part(part.name, f"{part.stamp} {role}", partial(_one_of, part, role))
        for part in source.parts
        if Instance.parse(part.name.rpartition("_")[0]).scene % 2 == remainder
    ]
    return Parts(source.source, tuple(chosen), source.bad, source.readers)


def _one_of(part: Part, role: str) -> Record:
    record = part.read()
    return Record(record.name, {"image": record.arrays[role]}, record.scene, record.sha256_file)


def validation_raw(folder: Path) -> Blocks:
    """Return the 1280 raw validation blocks: "noisy" and "clean", float32 128 x 128 x 4."""
    return Blocks(folder, "Validation", "RAW")


def validation_srgb(folder: Path) -> Blocks:
    """Return the 1280 sRGB validation blocks: "noisy" and "clean", uint8 256 x 256 x 3."""
    return Blocks(folder, "Validation", "SRGB")


def benchmark_raw(folder: Path) -> Blocks:
    """Return the 1280 raw blocks of the benchmark: "noisy", float32 128 x 128 x 4."""
    return Blocks(folder, "Benchmark", "RAW")


def benchmark_srgb(folder: Path) -> Blocks:
    """Return the 1280 sRGB blocks of the benchmark: "noisy", uint8 256 x 256 x 3."""
    return Blocks(folder, "Benchmark", "SRGB")


def scene_of_sidd(instance: Instance) -> str:
    """Return what must not be split between training and test: here the scene instance.

    The ten scenes themselves are on both sides of the official split, taken at other settings.
    """
    return f"sidd:{instance.number:04d}"


# Folders of instances.

_SUFFIX = {"RAW": ".MAT", "SRGB": ".PNG"}
_ROLES = {"RAW": ("NOISY", "GT", "METADATA"), "SRGB": ("NOISY", "GT")}


def pairs(folder: Path, space: Space, scene_of: Callable[[Instance], str]) -> Parts:
    """Find the noisy and clean frames in the instance folders of ``folder``, by their names."""
    parts, bad = [], []
    with reading(folder):
        places = sorted(p for p in folder.iterdir() if p.is_dir() and p.name[0] != ".")
    code = fingerprint(__name__)
    for place in places:
        try:
            instance = Instance.parse(place.name)
        except UnpairedError as error:
            bad.append(f"{folder}: {error}")
            continue
        for frame, files in _frames(place, instance, space).items():
            missing = [path for path in files.values() if not path.is_file()]
            bad += [f"{path}: missing, but others of frame {frame} are there" for path in missing]
            if not missing:
                read = partial(_read_pair, instance, frame, files, space, scene_of(instance))
                stamp = f"{code} {state_of(*files.values())}"
                parts.append(Part(f"{instance.name}_{frame}", stamp, read))
    if not parts and not bad:
        bad.append(f"no frames (NNNN_NOISY_{space}_010{_SUFFIX[space]}) in any instance folder")
    return Parts(str(folder), tuple(parts), tuple(bad), READERS)


def _frames(place: Path, instance: Instance, space: Space) -> dict[str, dict[str, Path]]:
    """Return frame -> role -> file, there or not, of every frame that any file is of."""
    roles, suffix = _ROLES[space], _SUFFIX[space]
    form = rf"{instance.number:04d}_({'|'.join(roles)})_{space}_(\d{{3}})\{suffix}"
    with reading(place):
        # Copies on other systems may have lost the case of the suffix.
        found = {path.name.upper(): path for path in sorted(place.iterdir())}
    frames = sorted({match[2] for name in found if (match := re.fullmatch(form, name))})
    expected = {
        frame: {role: f"{instance.number:04d}_{role}_{space}_{frame}{suffix}" for role in roles}
        for frame in frames
    }
    return {
        frame: {role: found.get(name, place / name) for role, name in names.items()}
        for frame, names in expected.items()
    }


def _read_pair(
    instance: Instance, frame: str, files: dict[str, Path], space: Space, scene: str
) -> Record:
    bad, arrays = [], {}
    for key, role in (("noisy", "NOISY"), ("clean", "GT")):
        try:
            arrays[key] = _read_frame(files[role], instance, space)
        except UnpairedError as error:
            bad.append(str(error))
    if "METADATA" in files:
        try:
            _check_pattern(files["METADATA"], instance)
        except UnpairedError as error:
            bad.append(str(error))
    shapes = {array.shape for array in arrays.values()}
    if len(shapes) > 1:
        bad.append(f"{files['NOISY']} and {files['GT']}: other sizes; get both again")
    if bad:
        raise UnpairedError("; ".join(bad))
    name = f"{instance.name}/{frame}"
    return Record(name, arrays, scene, _digest([files["NOISY"], files["GT"]]))


def _read_frame(path: Path, instance: Instance, space: Space) -> np.ndarray:
    if space == "SRGB":
        return read_rgb8(path, alpha="refuse")
    mosaic = read_array(path, "x")
    if mosaic.ndim != 2 or not mosaic.size:
        raise UnpairedError(f"{path}: 'x' has the shape {mosaic.shape}, not H x W; get it again")
    _check_raw(path, mosaic)
    try:
        return bayer.pack(mosaic, instance.pattern)
    except UnpairedError as error:
        raise UnpairedError(f"{path}: {error}") from None


def _check_raw(path: Path, values: np.ndarray) -> None:
    """Raise UnpairedError unless values are float32, finite and of the scale [0, 1]."""
    if values.dtype != np.float32:
        raise UnpairedError(f"{path}: values of type {values.dtype}, not float32; get it again")
    low, high = float(values.min()), float(values.max())  # both are NaN if any value is
    if not np.isfinite([low, high]).all():
        raise UnpairedError(f"{path}: holds NaN or infinite values; get it again")
    if low < -RANGE_SLACK or high > 1 + RANGE_SLACK:
        raise UnpairedError(
            f"{path}: values from {low:g} to {high:g}, not from 0 to 1; scale it or get it again"
        )


def _check_pattern(path: Path, instance: Instance) -> None:
    """Raise UnpairedError if a metadata file tells another pattern than the phone has."""
    found = read_metadata(path).pattern
    if found != instance.pattern:
        raise UnpairedError(
            f"{path}: pattern {found}, but phone {instance.phone} has {instance.pattern}; "
            "the file or its folder's name is of another phone: put it right"
        )


def _digest(paths: list[Path]) -> str:
    """Return one digest for the files that a record came from."""
    return hashlib.sha256("".join(map(sha256_of, paths)).encode()).hexdigest()


# Files of blocks.


@dataclass(frozen=True)
class Blocks(Source):
    """The records of block files: instances x blocks x 256 x 256 (raw) or ... x 3 (sRGB).

    Each is named ``<instance>/<block>`` and holds "noisy" and, for Validation, "clean". Counting
    and reading raise UnpairedError naming all bad files at once; counting looks at shapes only.
    """

    folder: Path
    what: Literal["Validation", "Benchmark"]
    space: Space
    instances: tuple[str, ...] = BLOCK_INSTANCES
    per_instance: int = BLOCKS_PER_INSTANCE
    scene_of: Callable[[Instance], str] = scene_of_sidd

    def paths(self) -> dict[str, Path]:
        """Return field -> file."""
        names = {"noisy": "Noisy", "clean": "Gt"}
        if self.what == "Benchmark":
            del names["clean"]
        end = f"Blocks{self.space.capitalize()}.mat"
        return {key: self.folder / f"{self.what}{name}{end}" for key, name in names.items()}

    def count(self) -> int:
        self._each(lambda path: self._check_shape(path, read_shape(path, path.stem)))
        return len(self.instances) * self.per_instance

    def __iter__(self) -> Iterator[Record]:
        arrays = self._each(self._read)
        digest = _digest(list(self.paths().values()))
        for row, instance in enumerate(map(Instance.parse, self.instances)):
            for block in range(self.per_instance):
                fields = {key: array[row, block] for key, array in arrays.items()}
                if self.space == "RAW":
                    fields = {key: bayer.pack(a, instance.pattern) for key, a in fields.items()}
                name = f"{instance.name}/{block:02d}"
                yield Record(name, fields, self.scene_of(instance), digest)

    def _each(self, read: Callable) -> dict[str, Any]:
        bad, results = [], {}
        for key, path in self.paths().items():
            try:
                results[key] = read(path)
            except UnpairedError as error:
                bad.append(str(error))
        if bad:
            raise UnpairedError(f"{self.folder}: bad files: {'; '.join(bad)}")
        return results

    def _read(self, path: Path) -> np.ndarray:
        array = read_array(path, path.stem)
        self._check_shape(path, array.shape)
        if self.space == "RAW":
            _check_raw(path, array)
        elif array.dtype != np.uint8:
            raise UnpairedError(f"{path}: values of type {array.dtype}, not uint8; get it again")
        return array

    def _check_shape(self, path: Path, shape: tuple[int, ...]) -> None:
        colors = () if self.space == "RAW" else (3,)
        expected = (len(self.instances), self.per_instance, BLOCK_PX, BLOCK_PX, *colors)
        if shape != expected:
            raise UnpairedError(
                f"{path}: '{path.stem}' has the shape {shape}, not {expected}; get it again"
            )
