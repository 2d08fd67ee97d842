"""The twenty traditional distortions of BAPPS, and the 308 ordered pairs of them.

Zhang 2018, section 6.2.1 and Table 6.2 (left), names them; parameter ranges and code were never
published. So the ranges here are chosen, in the constants below, each with its reason. They are
for patches of about 64 pixels: all lengths are in pixels.

Every distortion takes a severity in [0, 1], which scales a magnitude; 0 gives the image back as it
is. What else is random (sign, direction, color, noise pattern) depends on the generator and not on
the severity, so with a generator of the same key the result varies continuously with severity. JPEG
is the exception: its quality is a whole number, and the least compression is still a step.

What a warp brings in from outside of the image is its mirror image, since a patch has no more.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
from PIL import Image
from scipy import fft, ndimage
from skimage.color import lab2rgb, rgb2lab
from skimage.restoration import denoise_bilateral

from unpaired.core.errors import UnpairedError, suggest

Family = Literal["photometric", "noise", "blur", "spatial", "compression"]

# Largest magnitudes, at severity 1.
LIGHTNESS_SHIFT = 40.0  # of 100 units of L*: mid-gray stays short of black and white
COLOR_SHIFT = 40.0  # of a*b*: a strong color cast; saturated colors lie at 80 to 100
CONTRAST_OCTAVES = 1.5  # a factor of 2.8 or 0.35: beyond, most of a patch is clipped or flat
SATURATION_GAIN = 2.0  # colors three times as vivid; the other way ends in gray
NOISE_STD = 0.2  # 51/255: the strongest noise that denoising papers commonly test
CHECKERBOARD_AMPLITUDE = 0.15  # as visible as strong noise, since it is regular
CHECKERBOARD_CELLS_PX = (1, 2, 4)  # what one to three transposed convolutions of stride 2 leave
GAUSSIAN_BLUR_PX = 4.0  # standard deviation: detail below a quarter of the patch is gone
BILATERAL_COLOR_STD = 0.3  # of the [0, 1] range: only the strongest edges are left
BILATERAL_PX, BILATERAL_WINDOW_PX = 3.0, 13  # two standard deviations to each side
DISPLACEMENT_PX = 8.0  # of what a shift, or a corner that a map moves, is displaced: an eighth
WARP_PX = 4.0  # root mean square length of a local warp's displacements: more folds it over
WARP_NODES = 5  # per side: one for every 16 px of a patch
GHOST_WEIGHT = 0.5  # two pictures of equal strength
GHOST_PX = (3.0, 12.0)  # distance of the ghost: nearer ones are a blur
ABERRATION = 0.04  # magnification of red over green, and of green over blue
ABERRATION_CENTER_PX = 64.0  # the optical axis may lie outside: a patch is cut from a photograph
JPEG_QUALITY_MIN = 5  # of 100, from where on nothing changes but flat blocks

# Spectral density ~ frequency ** slope, the names as for sound.
PINK, BLUE = -1.0, 1.0
BROWN, VIOLET = -2.0, 2.0

Change = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


@dataclass(frozen=True)
class Distortion:
    """One of the twenty. change: what it does, before clipping. at_most: its most, in words."""

    name: str
    family: Family
    change: Change
    at_most: str

    def apply(self, image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
        """Return a distorted copy, float32 H x W x 3 in [0, 1], of ``image``, which is the same.

        Raises UnpairedError for a severity outside [0, 1].
        """
        if not 0 <= severity <= 1:
            raise UnpairedError(f"{self.name}: severity {severity} is not in [0, 1]; choose one")
        if severity == 0:
            return image.copy()
        changed = self.change(image, severity, rng)
        return np.clip(changed, 0, 1).astype(np.float32)


# ---- Photometric --------------------------------------------------------------------------------


def _lightness(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    lab = rgb2lab(image)
    lab[..., 0] = np.clip(lab[..., 0] + LIGHTNESS_SHIFT * severity * rng.choice([-1, 1]), 0, 100)
    return _to_rgb(lab)


def _color(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    lab = rgb2lab(image)
    lab[..., 1:] += COLOR_SHIFT * severity * _direction(rng)
    return _to_rgb(lab)


def _contrast(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    gain = 2 ** (CONTRAST_OCTAVES * severity * rng.choice([-1, 1]))
    mean = image.mean((0, 1))
    return mean + gain * (image - mean)


def _saturation(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    lab = rgb2lab(image)
    lab[..., 1:] *= 1 + severity * rng.choice([-1, SATURATION_GAIN])
    return _to_rgb(lab)


def _to_rgb(lab: np.ndarray) -> np.ndarray:
    # Yellower than any light: scikit-image would clip Z to 0 itself, and warn each time.
    lab[..., 2] = np.minimum(lab[..., 2], 199.9 * (lab[..., 0] + 16) / 116)
    return lab2rgb(lab)


# ---- Noise --------------------------------------------------------------------------------------


def _uniform_noise(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    return image + NOISE_STD * severity * np.sqrt(3) * rng.uniform(-1, 1, image.shape)


def _gaussian_noise(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    return image + NOISE_STD * severity * rng.standard_normal(image.shape)


def _sloped_noise(
    image: np.ndarray, severity: float, rng: np.random.Generator, *, slopes: tuple[float, float]
) -> np.ndarray:
    noise = colored_noise(image.shape, rng.uniform(*slopes), rng)
    return image + NOISE_STD * severity * noise


def colored_noise(
    shape: tuple[int, int, int], slope: float, rng: np.random.Generator
) -> np.ndarray:
    """Return Gaussian noise H x W x 3 of spectral density ~ frequency ** slope.

    Mean 0 and mean square 1 in every channel; the channels are independent.
    """
    rows, columns = (fft.fftfreq(side)[:, None] for side in shape[:2])
    frequency = np.hypot(rows, columns.T)
    frequency[0, 0] = 1  # only to be raised to a power: the mean is taken out
    gain = frequency ** (slope / 2)
    gain[0, 0] = 0
    white = fft.fft2(rng.standard_normal(shape), axes=(0, 1))
    noise = fft.ifft2(white * gain[..., None], axes=(0, 1)).real
    return noise / np.sqrt(np.mean(noise**2, (0, 1)))


def _checkerboard(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    cell_px, row, column = rng.choice(CHECKERBOARD_CELLS_PX), *rng.integers(0, 8, 2)
    rows, columns = np.ogrid[row : row + image.shape[0], column : column + image.shape[1]]
    signs = 1 - 2 * ((rows // cell_px + columns // cell_px) % 2)
    return image + CHECKERBOARD_AMPLITUDE * severity * signs[..., None]


# ---- Blur ---------------------------------------------------------------------------------------


def _gaussian_blur(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    std_px = GAUSSIAN_BLUR_PX * severity
    return ndimage.gaussian_filter(image, (std_px, std_px, 0), mode="reflect")


def _bilateral(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    return denoise_bilateral(
        image,
        win_size=BILATERAL_WINDOW_PX,
        sigma_color=BILATERAL_COLOR_STD * severity,
        sigma_spatial=BILATERAL_PX,
        mode="symmetric",
        channel_axis=-1,
    )


# ---- Spatial ------------------------------------------------------------------------------------


def _shift(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    offset = DISPLACEMENT_PX * severity * _direction(rng)
    return _sample(image, _places(image) + offset[:, None, None])


def _affine(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Move the corners by ``DISPLACEMENT_PX`` on average: a rotation, stretch and shear at once."""
    places, center = _centered(image)
    matrix = rng.standard_normal((2, 2))
    corners = np.array([[-1, -1, 1, 1], [-1, 1, -1, 1]]) * center.reshape(2, 1)
    matrix *= DISPLACEMENT_PX * severity / np.linalg.norm(matrix @ corners, axis=0).mean()
    return _sample(image, places + center + np.tensordot(matrix, places, 1))


def _homography(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Move every corner by ``DISPLACEMENT_PX`` in a direction of its own."""
    height, width = np.array(image.shape[:2]) - 1
    corners = np.array([[0, 0], [0, width], [height, 0], [height, width]], float)
    moved = corners + DISPLACEMENT_PX * severity * np.array([_direction(rng) for _ in corners])
    matrix = homography(corners, moved)
    row, column, scale = np.tensordot(matrix, _homogeneous(_places(image)), 1)
    return _sample(image, np.stack([row, column]) / scale)


def homography(sources: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Return the 3 x 3 matrix, last entry 1, that takes four points (4 x 2) to four others."""
    rows, values = [], []
    for (y, x), target in zip(sources, targets, strict=True):
        for axis, value in enumerate(target):
            own = np.zeros(6)
            own[3 * axis : 3 * axis + 3] = y, x, 1
            rows.append([*own, -value * y, -value * x])
            values.append(value)
    return np.append(np.linalg.solve(rows, values), 1).reshape(3, 3)


def _homogeneous(places: np.ndarray) -> np.ndarray:
    return np.concatenate([places, np.ones_like(places[:1])])


def _local_warp(
    image: np.ndarray, severity: float, rng: np.random.Generator, *, order: int
) -> np.ndarray:
    """Move the nodes of a coarse grid at random, and all between them by interpolation."""
    nodes = rng.standard_normal((2, WARP_NODES, WARP_NODES))
    nodes *= WARP_PX / np.sqrt(np.mean(np.sum(nodes**2, 0)))
    places = _places(image)
    ends = np.array(image.shape[:2]).reshape(2, 1, 1) - 1
    at_nodes = places / ends * (WARP_NODES - 1)
    field = [ndimage.map_coordinates(part, at_nodes, order=order, mode="nearest") for part in nodes]
    return _sample(image, places + severity * np.stack(field))


def _ghosting(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    offset = rng.uniform(*GHOST_PX) * _direction(rng)
    ghost = _sample(image, _places(image) + offset[:, None, None])
    weight = GHOST_WEIGHT * severity
    return (1 - weight) * image + weight * ghost


def _aberration(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Magnify red and shrink blue, or the other way round, about an optical axis (lateral)."""
    places, center = _centered(image)
    axis = rng.uniform(-ABERRATION_CENTER_PX, ABERRATION_CENTER_PX, (2, 1, 1))
    outwards = ABERRATION * severity * rng.choice([-1, 1]) * (places - axis)
    places = places + center
    channels = [
        _sample(image[..., [channel]], places + sign * outwards) if sign else image[..., [channel]]
        for channel, sign in enumerate((-1, 0, 1))
    ]
    return np.concatenate(channels, -1)


def _direction(rng: np.random.Generator) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)])


def _places(image: np.ndarray) -> np.ndarray:
    """Return row and column of every pixel, 2 x H x W."""
    return np.indices(image.shape[:2]).astype(float)


def _centered(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the places relative to the center, and the center as 2 x 1 x 1."""
    center = (np.array(image.shape[:2]).reshape(2, 1, 1) - 1) / 2
    return _places(image) - center, center


def _sample(image: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the image at ``places``; cubic, since linear interpolation would blur as well."""
    channels = [
        ndimage.map_coordinates(channel, places, order=3, mode="reflect")
        for channel in np.moveaxis(image, -1, 0)
    ]
    return np.stack(channels, -1)


# ---- Compression --------------------------------------------------------------------------------


def _jpeg(image: np.ndarray, severity: float, rng: np.random.Generator) -> np.ndarray:
    """Encode at quality 100 to ``JPEG_QUALITY_MIN``, in equal ratios; chroma is not subsampled."""
    quality = round(100 * (JPEG_QUALITY_MIN / 100) ** severity)
    with io.BytesIO() as file:
        picture = Image.fromarray(np.round(255 * image).astype(np.uint8))
        picture.save(file, "JPEG", quality=quality, subsampling="4:4:4")
        return np.asarray(Image.open(file), np.float32) / 255


# ---- All of them --------------------------------------------------------------------------------

DISTORTIONS = {
    entry.name: entry
    for entry in (
        Distortion("lightness_shift", "photometric", _lightness, f"{LIGHTNESS_SHIFT:g} of L*"),
        Distortion("color_shift", "photometric", _color, f"{COLOR_SHIFT:g} of a*b*"),
        Distortion("contrast", "photometric", _contrast, f"2^+-{CONTRAST_OCTAVES:g}"),
        Distortion("saturation", "photometric", _saturation, f"x0 or x{1 + SATURATION_GAIN:g}"),
        Distortion("uniform_white_noise", "noise", _uniform_noise, f"std {NOISE_STD:g}"),
        Distortion("gaussian_white_noise", "noise", _gaussian_noise, f"std {NOISE_STD:g}"),
        Distortion(
            "pink_noise", "noise", partial(_sloped_noise, slopes=(PINK, PINK)), f"std {NOISE_STD:g}"
        ),
        Distortion(
            "blue_noise", "noise", partial(_sloped_noise, slopes=(BLUE, BLUE)), f"std {NOISE_STD:g}"
        ),
        Distortion(
            "colored_noise",
            "noise",
            partial(_sloped_noise, slopes=(BROWN, VIOLET)),
            f"std {NOISE_STD:g}",
        ),
        Distortion("checkerboard", "noise", _checkerboard, f"+-{CHECKERBOARD_AMPLITUDE:g}"),
        Distortion("gaussian_blur", "blur", _gaussian_blur, f"std {GAUSSIAN_BLUR_PX:g} px"),
        Distortion("bilateral", "blur", _bilateral, f"color std {BILATERAL_COLOR_STD:g}"),
        Distortion("shift", "spatial", _shift, f"{DISPLACEMENT_PX:g} px"),
        Distortion("affine", "spatial", _affine, f"corners {DISPLACEMENT_PX:g} px"),
        Distortion("homography", "spatial", _homography, f"corners {DISPLACEMENT_PX:g} px"),
        Distortion("linear_warp", "spatial", partial(_local_warp, order=1), f"{WARP_PX:g} px rms"),
        Distortion("cubic_warp", "spatial", partial(_local_warp, order=3), f"{WARP_PX:g} px rms"),
        Distortion("ghosting", "spatial", _ghosting, f"weight {GHOST_WEIGHT:g}"),
        Distortion("chromatic_aberration", "spatial", _aberration, f"+-{100 * ABERRATION:g} %"),
        Distortion("jpeg", "compression", _jpeg, f"quality {JPEG_QUALITY_MIN}"),
    )
}


def get_distortion(name: str) -> Distortion:
    """Return a distortion by name; raises UnpairedError naming the nearest valid one."""
    if name not in DISTORTIONS:
        raise UnpairedError(f"unknown distortion '{name}'{suggest(name, DISTORTIONS)}")
    return DISTORTIONS[name]


def compositions() -> tuple[tuple[Distortion, Distortion], ...]:
    """Return the 308 ordered pairs that are composed: the first is applied first.

    The paper gives their number and not their list. Of the 20 x 19 ordered pairs of different
    distortions, leaving out the 6 x 5 of two noises and the 7 x 6 of two spatial ones leaves just
    308. It is plausible besides, for these would often be one more of their kind: two noises add
    up to a noise, two warps make a warp. That the authors had this rule is inferred from the
    number; no other choice of whole families in Table 6.2 gives it.
    """
    pairs = itertools.permutations(DISTORTIONS.values(), 2)
    return tuple(
        (first, second)
        for first, second in pairs
        if first.family != second.family or first.family not in ("noise", "spatial")
    )


def apply_all(
    image: np.ndarray,
    distortions: tuple[Distortion, ...],
    severities: tuple[float, ...],
    rng: np.random.Generator,
) -> np.ndarray:
    """Return ``image`` after all ``distortions``, one after the other, each at its severity."""
    for distortion, severity in zip(distortions, severities, strict=True):
        image = distortion.apply(image, severity, rng)
    return image
