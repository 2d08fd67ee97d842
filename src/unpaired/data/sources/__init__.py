"""Where pictures come from: the form of a data set, and the sets that several systems share."""

from __future__ import annotations

from dataclasses import dataclass

DRAWN_BY_RULE = "drawn by rule"  # Where a data set comes from that holds no photographs.


@dataclass(frozen=True)
class DataSet:
    """A source of pictures.

    reader: "module:function", called with the folder (None when embedded), gives records.
    folder: below ``data_root``; None when the pictures ship inside an installed package.
    pictures: how many the paper's protocol has, None if it does not fix it. megapixels: of all of
        them together.
    paper_repeats: noise draws per image in the paper's protocol.
    value_range, color_space, channels: of the pixels that the reader gives.
    made_in: folder below the working folder that a rule of the workflow makes ``folder`` in; such a
        set is always at hand.
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
    color_space: str = "sRGB"
    channels: int = 3
    made_in: str | None = None

    @property
    def module(self) -> str:
        return self.reader.partition(":")[0]

    @property
    def is_raw(self) -> bool:
        """Whether its pixels are a sensor's, before a camera made colors of them."""
        return self.color_space == RAW["color_space"]


# Red, green of the red rows, green of the blue rows, blue; black is 0, white 1.
RAW = {
    "value_range": (0, 1),
    "color_space": "linear sensor values, packed Bayer planes",
    "channels": 4,
}
SIDD_HOME = "from the SIDD page of York University, abdokamel.github.io/sidd"
SIMULATED = "photographs inside installed packages, through a simulated camera"

SHARED_SETS = (
    DataSet(
        "embedded_train",
        "embedded photographs (train)",
        "unpaired.data.sources.embedded:train_records",
        pictures=4,
    ),
    DataSet(
        "embedded_test",
        "embedded photographs (test)",
        "unpaired.data.sources.embedded:test_records",
        pictures=3,
        megapixels=0.67,
    ),
    DataSet(
        "imagenet_val",
        "ImageNet validation, both sides 256..512 px",
        "unpaired.data.sources.imagenet:records",
        folder="imagenet/val",
        where="ILSVRC2012 validation images, from image-net.org (free account)",
        layout="imagenet/val/**/ILSVRC2012_val_*.JPEG, flat or in class folders",
    ),
    DataSet(
        "imagenet_train",
        "ImageNet training, squeezed to 256 x 256",
        "unpaired.data.sources.imagenet:square_records",
        folder="imagenet/train",
        pictures=1_281_167,
        where="ILSVRC2012 training images, from image-net.org (free account)",
        layout="imagenet/train/n*/*.JPEG, in class folders",
    ),
    DataSet(
        "imagenet_val_10k",
        "ImageNet validation, 10,000 squeezed to 256 x 256",
        "unpaired.data.sources.imagenet:colorization_test_records",
        folder="imagenet/val",
        pictures=10_000,
        megapixels=655.36,
        where="ILSVRC2012 validation images, from image-net.org (free account), and the list "
        "resources/ilsvrclin12_val_inds.npy of github.com/richzhang/colorization-pytorch",
        layout="imagenet/val/**/ILSVRC2012_val_*.JPEG, flat or in class folders, and "
        "imagenet/ilsvrclin12_val_inds.npy",
    ),
    DataSet(
        "kodak",
        "Kodak",
        "unpaired.data.sources.folder:records",
        folder="kodak",
        pictures=24,
        megapixels=9.44,
        paper_repeats=10,
        where="Kodak lossless true color suite, r0k.us/graphics/kodak",
        layout="kodak/kodim01.png .. kodim24.png, 768x512 or 512x768",
    ),
    DataSet(
        "bsd300",
        "BSD300 test",
        "unpaired.data.sources.folder:records",
        folder="bsd300",
        pictures=100,
        megapixels=15.44,
        paper_repeats=3,
        where="Berkeley Segmentation Dataset BSDS300, images/test",
        layout="bsd300/101085.jpg .. (the 100 test images, JPEG or PNG)",
    ),
    DataSet(
        "set14",
        "Set14, its 12 color images",
        "unpaired.data.sources.folder:color_records",
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
        "unpaired.data.sources.sidd:medium_raw",
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
        "unpaired.data.sources.sidd:small_srgb",
        folder="sidd/SIDD_Small_sRGB_Only/Data",
        pictures=160,
        where=f"SIDD-Small Dataset, sRGB images only, {SIDD_HOME}",
        layout="sidd/SIDD_Small_sRGB_Only/Data/0001_001_S6_00100_00060_3200_L/"
        "0001_{NOISY,GT}_SRGB_010.PNG ..",
    ),
    DataSet(
        "sidd_noisy_srgb",
        "SIDD Small, sRGB, noisy pictures of odd scenes",
        "unpaired.data.sources.sidd:noisy_srgb",
        folder="sidd/SIDD_Small_sRGB_Only/Data",
        where=f"SIDD-Small Dataset, sRGB images only, {SIDD_HOME}",
        layout="as sidd_small_srgb",
    ),
    DataSet(
        "sidd_clean_srgb",
        "SIDD Small, sRGB, clean pictures of even scenes",
        "unpaired.data.sources.sidd:clean_srgb",
        folder="sidd/SIDD_Small_sRGB_Only/Data",
        where=f"SIDD-Small Dataset, sRGB images only, {SIDD_HOME}",
        layout="as sidd_small_srgb",
    ),
    DataSet(
        "sidd_validation_raw",
        "SIDD validation, raw",
        "unpaired.data.sources.sidd:validation_raw",
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
        "unpaired.data.sources.sidd:validation_srgb",
        folder="sidd/validation",
        pictures=1280,
        megapixels=83.89,
        where=f"SIDD Validation Data, {SIDD_HOME}",
        layout="sidd/validation/Validation{Noisy,Gt}BlocksSrgb.mat",
    ),
    DataSet(
        "sidd_benchmark_raw",
        "SIDD benchmark, raw (no ground truth)",
        "unpaired.data.sources.sidd:benchmark_raw",
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
        "unpaired.data.sources.sidd:benchmark_srgb",
        folder="sidd/benchmark",
        pictures=1280,
        megapixels=83.89,
        where=f"SIDD Benchmark Data, {SIDD_HOME}",
        layout="sidd/benchmark/BenchmarkNoisyBlocksSrgb.mat",
    ),
    DataSet(
        "simulated_camera_train_raw",
        "simulated camera (train), raw",
        "unpaired.data.sources.simulated_camera:train_raw",
        pictures=40,
        where=SIMULATED,
        **RAW,
    ),
    DataSet(
        "simulated_camera_train_srgb",
        "simulated camera (train), sRGB",
        "unpaired.data.sources.simulated_camera:train_srgb",
        pictures=20,
        where=SIMULATED,
    ),
    DataSet(
        "simulated_camera_noisy_srgb",
        "simulated camera (train), sRGB, noisy pictures of odd scenes",
        "unpaired.data.sources.simulated_camera:noisy_srgb",
        pictures=10,
        where=SIMULATED,
    ),
    DataSet(
        "simulated_camera_clean_srgb",
        "simulated camera (train), sRGB, clean pictures of even scenes",
        "unpaired.data.sources.simulated_camera:clean_srgb",
        pictures=10,
        where=SIMULATED,
    ),
    DataSet(
        "simulated_camera_validation_raw",
        "simulated camera (validation), raw",
        "unpaired.data.sources.simulated_camera:validation_raw",
        pictures=30,
        megapixels=1.97,
        where=SIMULATED,
        **RAW,
    ),
    DataSet(
        "simulated_camera_validation_srgb",
        "simulated camera (validation), sRGB",
        "unpaired.data.sources.simulated_camera:validation_srgb",
        pictures=30,
        megapixels=1.97,
        where=SIMULATED,
    ),
)
