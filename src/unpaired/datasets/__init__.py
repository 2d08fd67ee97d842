"""The list of data sets: where each is found, how its folder looks, and which module reads it."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from unpaired.errors import UnpairedError, suggest

if TYPE_CHECKING:
    from unpaired.packs import Record
    from unpaired.settings import Settings


@dataclass(frozen=True)
class DataSet:
    """A source of pictures.

    reader: "module:function", called with the folder (None when embedded), gives records.
    folder: below ``data_root``; None when the pictures ship inside an installed package.
    pictures: how many the paper's protocol has, None if it does not fix it. megapixels: of all of
        them together.
    paper_repeats: noise draws per image in the paper's protocol.
    value_range, colour_space, channels: of the pixels that the reader gives.
    rendered: a rule of the workflow makes ``folder``, below the working folder; always at hand.
    """

    name: str
    title: str
    reader: str
    folder: str | None = None
    pictures: int | None = None
    megapixels: float | None = None
    paper_repeats: int = 1
    where: str = ""
    layout: str = ""
    value_range: tuple[float, float] = (0, 255)
    colour_space: str = "sRGB"
    channels: int = 3
    rendered: bool = False

    @property
    def module(self) -> str:
        return self.reader.partition(":")[0]


# Red, green of the red rows, green of the blue rows, blue; black is 0, white 1.
RAW = {
    "value_range": (0, 1),
    "colour_space": "linear sensor values, packed Bayer planes",
    "channels": 4,
}
SIDD_HOME = "from the SIDD page of York University, abdokamel.github.io/sidd"
SIMULATED = "photographs inside installed packages, through a simulated camera"

BAPPS_HOME = "BAPPS, from github.com/richzhang/PerceptualSimilarity (download_dataset.sh)"
OBSERVED = "patches of embedded photographs, judged by a simulated observer"
# Folder of BAPPS -> name, title, reader.
BAPPS_SETS = {
    "2afc/train": ("train", "training triplets", "training_set"),
    "2afc/val/traditional": ("traditional", "traditional distortions", "validation_set"),
    "2afc/val/cnn": ("cnn", "CNN distortions", "validation_set"),
    "2afc/val/superres": ("superres", "super-resolution", "validation_set"),
    "2afc/val/deblur": ("deblur", "video deblurring", "validation_set"),
    "2afc/val/color": ("color", "colorization", "validation_set"),
    "2afc/val/frameinterp": ("frameinterp", "frame interpolation", "validation_set"),
    "jnd/val/traditional": ("jnd_traditional", "JND, traditional distortions", "jnd_set"),
    "jnd/val/cnn": ("jnd_cnn", "JND, CNN distortions", "jnd_set"),
}
RENDERED = Path("results/simulated_bapps")
RENDERED_SETS = ("train", "traditional", "cnn", "jnd_traditional", "jnd_cnn")


def _judged_sets() -> list[DataSet]:
    """Return BAPPS, and its stand-in."""
    real = [
        DataSet(
            f"bapps_{name}",
            f"BAPPS, {title}",
            f"unpaired.datasets.bapps:{reader}",
            folder=f"bapps/{place}",
            where=BAPPS_HOME,
            layout=f"bapps/{place}, as unpacked: PNG files in folders "
            + (
                "p0, p1, NumPy files in same"
                if place[0] == "j"
                else "ref, p0, p1, NumPy files in judge"
            ),
        )
        for place, (name, title, reader) in BAPPS_SETS.items()
    ]
    simulated = [
        DataSet(
            f"simulated_bapps_{name}",
            f"simulated observer, {title}",
            f"unpaired.datasets.simulated_bapps:{reader}",
            folder=f"{RENDERED}/{place}",
            where=OBSERVED,
            rendered=True,
        )
        for place, (name, title, reader) in BAPPS_SETS.items()
        if name in RENDERED_SETS
    ]
    return [*real, *simulated]


DATASETS = {
    entry.name: entry
    for entry in (
        DataSet(
            "embedded_train",
            "embedded photographs (train)",
            "unpaired.datasets.embedded:train_records",
            pictures=4,
        ),
        DataSet(
            "embedded_test",
            "embedded photographs (test)",
            "unpaired.datasets.embedded:test_records",
            pictures=3,
            megapixels=0.67,
        ),
        DataSet(
            "imagenet_val",
            "ImageNet validation, both sides 256..512 px",
            "unpaired.datasets.imagenet:records",
            folder="imagenet/val",
            where="ILSVRC2012 validation images, from image-net.org (free account)",
            layout="imagenet/val/**/ILSVRC2012_val_*.JPEG, flat or in class folders",
        ),
        DataSet(
            "imagenet_train",
            "ImageNet training, squeezed to 256 x 256",
            "unpaired.datasets.imagenet:square_records",
            folder="imagenet/train",
            pictures=1_281_167,
            where="ILSVRC2012 training images, from image-net.org (free account)",
            layout="imagenet/train/n*/*.JPEG, in class folders",
        ),
        DataSet(
            "imagenet_val_10k",
            "ImageNet validation, 10,000 squeezed to 256 x 256",
            "unpaired.datasets.imagenet:colorization_test_records",
            folder="imagenet/val",
            pictures=10_000,
            megapixels=655.36,
            where="ILSVRC2012 validation images, from image-net.org (free account), and the list "
            "resources/ilsvrclin12_val_inds.npy of github.com/richzhang/colorization-pytorch",
            layout="imagenet/val/**/ILSVRC2012_val_*.JPEG, flat or in class folders, and "
            "imagenet/ilsvrclin12_val_inds.npy",
        ),
        DataSet(
            "colour_scenes_train",
            "drawn scenes of known colours (train)",
            "unpaired.datasets.colour_scenes:train_records",
            pictures=2000,
            where="drawn by rule",
        ),
        DataSet(
            "colour_scenes_test",
            "drawn scenes of known colours (test)",
            "unpaired.datasets.colour_scenes:test_records",
            pictures=60,
            megapixels=0.25,
            where="drawn by rule",
        ),
        DataSet(
            "kodak",
            "Kodak",
            "unpaired.datasets.folder:records",
            folder="kodak",
            pictures=24,
            megapixels=9.44,
            paper_repeats=10,
            where="Kodak lossless true colour suite, r0k.us/graphics/kodak",
            layout="kodak/kodim01.png .. kodim24.png, 768x512 or 512x768",
        ),
        DataSet(
            "bsd300",
            "BSD300 test",
            "unpaired.datasets.folder:records",
            folder="bsd300",
            pictures=100,
            megapixels=15.44,
            paper_repeats=3,
            where="Berkeley Segmentation Dataset BSDS300, images/test",
            layout="bsd300/101085.jpg .. (the 100 test images, JPEG or PNG)",
        ),
        DataSet(
            "set14",
            "Set14, its 12 colour images",
            "unpaired.datasets.folder:colour_records",
            folder="set14",
            pictures=12,
            megapixels=2.70,
            paper_repeats=20,
            where="Set14 of Zeyde et al. 2010, as packed with super-resolution codes",
            layout="set14/baboon.png .. zebra.png; gray images (bridge, man) are left out",
        ),
        DataSet(
            "sidd_medium_raw",
            "SIDD Medium, raw",
            "unpaired.datasets.sidd:medium_raw",
            folder="sidd/SIDD_Medium_Raw/Data",
            pictures=320,
            where=f"SIDD-Medium Dataset, Raw-RGB images only, {SIDD_HOME}",
            layout="sidd/SIDD_Medium_Raw/Data/0001_001_S6_00100_00060_3200_L/"
            "0001_{NOISY,GT,METADATA}_RAW_{010,011}.MAT ..",
            **RAW,
        ),
        DataSet(
            "sidd_small_srgb",
            "SIDD Small, sRGB",
            "unpaired.datasets.sidd:small_srgb",
            folder="sidd/SIDD_Small_sRGB_Only/Data",
            pictures=160,
            where=f"SIDD-Small Dataset, sRGB images only, {SIDD_HOME}",
            layout="sidd/SIDD_Small_sRGB_Only/Data/0001_001_S6_00100_00060_3200_L/"
            "0001_{NOISY,GT}_SRGB_010.PNG ..",
        ),
        DataSet(
            "sidd_noisy_srgb",
            "SIDD Small, sRGB, noisy pictures of odd scenes",
            "unpaired.datasets.sidd:noisy_srgb",
            folder="sidd/SIDD_Small_sRGB_Only/Data",
            where=f"SIDD-Small Dataset, sRGB images only, {SIDD_HOME}",
            layout="as sidd_small_srgb",
        ),
        DataSet(
            "sidd_clean_srgb",
            "SIDD Small, sRGB, clean pictures of even scenes",
            "unpaired.datasets.sidd:clean_srgb",
            folder="sidd/SIDD_Small_sRGB_Only/Data",
            where=f"SIDD-Small Dataset, sRGB images only, {SIDD_HOME}",
            layout="as sidd_small_srgb",
        ),
        DataSet(
            "sidd_validation_raw",
            "SIDD validation, raw",
            "unpaired.datasets.sidd:validation_raw",
            folder="sidd/validation",
            pictures=1280,
            megapixels=83.89,
            where=f"SIDD Validation Data, {SIDD_HOME}",
            layout="sidd/validation/Validation{Noisy,Gt}BlocksRaw.mat",
            **RAW,
        ),
        DataSet(
            "sidd_validation_srgb",
            "SIDD validation, sRGB",
            "unpaired.datasets.sidd:validation_srgb",
            folder="sidd/validation",
            pictures=1280,
            megapixels=83.89,
            where=f"SIDD Validation Data, {SIDD_HOME}",
            layout="sidd/validation/Validation{Noisy,Gt}BlocksSrgb.mat",
        ),
        DataSet(
            "sidd_benchmark_raw",
            "SIDD benchmark, raw (no ground truth)",
            "unpaired.datasets.sidd:benchmark_raw",
            folder="sidd/benchmark",
            pictures=1280,
            megapixels=83.89,
            where=f"SIDD Benchmark Data, {SIDD_HOME}",
            layout="sidd/benchmark/BenchmarkNoisyBlocksRaw.mat",
            **RAW,
        ),
        DataSet(
            "sidd_benchmark_srgb",
            "SIDD benchmark, sRGB (no ground truth)",
            "unpaired.datasets.sidd:benchmark_srgb",
            folder="sidd/benchmark",
            pictures=1280,
            megapixels=83.89,
            where=f"SIDD Benchmark Data, {SIDD_HOME}",
            layout="sidd/benchmark/BenchmarkNoisyBlocksSrgb.mat",
        ),
        DataSet(
            "simulated_camera_train_raw",
            "simulated camera (train), raw",
            "unpaired.datasets.simulated_camera:train_raw",
            pictures=40,
            where=SIMULATED,
            **RAW,
        ),
        DataSet(
            "simulated_camera_train_srgb",
            "simulated camera (train), sRGB",
            "unpaired.datasets.simulated_camera:train_srgb",
            pictures=20,
            where=SIMULATED,
        ),
        DataSet(
            "simulated_camera_noisy_srgb",
            "simulated camera (train), sRGB, noisy pictures of odd scenes",
            "unpaired.datasets.simulated_camera:noisy_srgb",
            pictures=10,
            where=SIMULATED,
        ),
        DataSet(
            "simulated_camera_clean_srgb",
            "simulated camera (train), sRGB, clean pictures of even scenes",
            "unpaired.datasets.simulated_camera:clean_srgb",
            pictures=10,
            where=SIMULATED,
        ),
        DataSet(
            "simulated_camera_validation_raw",
            "simulated camera (validation), raw",
            "unpaired.datasets.simulated_camera:validation_raw",
            pictures=30,
            megapixels=1.97,
            where=SIMULATED,
            **RAW,
        ),
        DataSet(
            "simulated_camera_validation_srgb",
            "simulated camera (validation), sRGB",
            "unpaired.datasets.simulated_camera:validation_srgb",
            pictures=30,
            megapixels=1.97,
            where=SIMULATED,
        ),
        *_judged_sets(),
    )
}


def get_dataset(name: str, settings: Settings) -> DataSet:
    """Return a listed data set or one of the user's ``folders``; raises UnpairedError else."""
    if name in DATASETS:
        if name in settings.folders:
            raise UnpairedError(f"config: folders.{name}: the name of a listed data set; rename it")
        return DATASETS[name]
    if name in settings.folders:
        if not re.fullmatch(r"[a-z0-9_]+", name):
            raise UnpairedError(
                f"config: folders.{name}: a data set's name may hold a-z, 0-9 and _ only"
            )
        return DataSet(
            name,
            f"folder {name}",
            "unpaired.datasets.folder:records",
            folder=settings.folders[name],
            where="your own pictures",
            layout="any tree of PNG, JPEG, TIFF or WebP files",
        )
    raise UnpairedError(f"unknown data set '{name}'{suggest(name, [*DATASETS, *settings.folders])}")


def folder_of(dataset: DataSet, settings: Settings) -> Path | None:
    """Return where a data set's pictures should lie; None if embedded or without ``data_root``."""
    if dataset.rendered:
        return Path(dataset.folder)
    if dataset.folder is None or (settings.data_root is None and dataset.name in DATASETS):
        return None
    return Path(settings.data_root or ".", dataset.folder)


def is_present(dataset: DataSet, settings: Settings) -> bool:
    """Say whether a data set is embedded or rendered, or its folder exists."""
    folder = folder_of(dataset, settings)
    return dataset.folder is None or dataset.rendered or (folder is not None and folder.is_dir())


def how_to_get(dataset: DataSet, settings: Settings) -> str:
    """Return one line: what is missing, where it is to be had and how its folder must look."""
    folder = folder_of(dataset, settings)
    if folder is None:
        place = "data_root is not set"
    elif folder.exists():
        place = f"{folder} is a file, not a folder"
    else:
        place = f"{folder} does not exist"
    return f"data set '{dataset.name}': {place}; get {dataset.where}; layout: {dataset.layout}"


def open_reader(dataset: DataSet) -> Callable[[Path | None], Iterator[Record]]:
    """Import and return the function that reads a data set."""
    module, _, function = dataset.reader.partition(":")
    return getattr(importlib.import_module(module), function)
