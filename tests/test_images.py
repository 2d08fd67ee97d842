from __future__ import annotations

import io
import os
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import skimage.data
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies
from PIL import Image, ImageCms, PngImagePlugin

from unpaired import images
from unpaired.errors import UnpairedError
from unpaired.images import (
    find_pictures,
    in_rgb,
    read_all,
    read_picture,
    read_rgb8,
    survey,
    write_picture,
    written_path,
)

PHOTO = skimage.data.chelsea()[60:160:2, 100:220:2]  # 50 x 60 x 3, uint8


def photo(dtype, channels: int) -> np.ndarray:
    """A photo H x W x C of any type that uses all bits of it; further channels are a ramp."""
    height, width, _ = PHOTO.shape
    ramp = np.add.outer(np.arange(height), np.arange(width)) * 2.0
    colors = PHOTO[..., :1] if channels < 3 else PHOTO
    extra = np.repeat(ramp[..., None], max(channels - 3, channels == 2), axis=-1)
    values = np.concatenate([colors, extra], axis=-1)[..., :channels]
    if np.dtype(dtype).kind == "f":
        return (values * 13.7 - 200).astype(dtype)
    return (
        (values.astype(np.int64) * (257 if dtype == np.uint16 else 1) + 3)
        .clip(0, np.iinfo(dtype).max)
        .astype(dtype)
    )


def copy(source, folder):
    """Read and write a picture unprocessed; return the path of the copy."""
    target = folder / "copy" / source.name
    write_picture(read_picture(source), target)
    assert os.listdir(target.parent) == [target.name]
    return target


def message_of(function, *arguments, **options) -> str:
    with pytest.raises(UnpairedError) as caught:
        function(*arguments, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


def refusal(path) -> str:
    message = message_of(read_picture, path)
    assert str(path) in message
    return message


# ---- PNG ----------------------------------------------------------------------------------------


def write_png(path, array):
    path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(array)))


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_comes_back_bit_for_bit(tmp_path, dtype, channels):
    array = photo(dtype, channels)
    array = array[..., 0] if channels == 1 else array
    source = tmp_path / "Größe (1) 1.PNG"
    write_png(source, array)
    picture = read_picture(source)
    assert picture.pixels.shape == (1, *PHOTO.shape[:2], 1 if channels < 3 else 3)
    assert picture.pixels.dtype == np.float32
    assert picture.pixels.max() <= 1
    assert picture.dtype == dtype
    assert picture.is_gray == (channels < 3)
    assert not picture.is_stack
    assert (picture.alpha is not None) == (channels in (2, 4))
    result = imagecodecs.png_decode(copy(source, tmp_path).read_bytes())
    assert result.dtype == dtype
    np.testing.assert_array_equal(result, array)


@settings(deadline=None, max_examples=25)
@given(
    array=numpy_strategies.arrays(
        st.sampled_from([np.uint8, np.uint16]),
        st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([2, 3, 4])),
    )
)
def test_png_of_any_values_comes_back(tmp_path_factory, array):
    folder = tmp_path_factory.mktemp("png")
    write_png(folder / "a.png", array)
    result = imagecodecs.png_decode(copy(folder / "a.png", folder).read_bytes())
    np.testing.assert_array_equal(result, array)


@pytest.mark.parametrize("transparent", [None, 3])
def test_a_palette_becomes_rgb(tmp_path, transparent):
    source = tmp_path / "a.png"
    palette = Image.fromarray(PHOTO).quantize(16)
    palette.save(source, **({} if transparent is None else {"transparency": transparent}))
    expected = np.asarray(Image.open(source).convert("RGB" if transparent is None else "RGBA"))
    result = imagecodecs.png_decode(copy(source, tmp_path).read_bytes())
    np.testing.assert_array_equal(result, expected)


def test_one_bit_png_becomes_gray_of_eight_bits(tmp_path):
    source = tmp_path / "a.png"
    Image.fromarray(PHOTO).convert("1").save(source)
    result = imagecodecs.png_decode(copy(source, tmp_path).read_bytes())
    assert result.shape == PHOTO.shape[:2]
    assert set(np.unique(result)) == {0, 255}


def test_png_keeps_profile_resolution_text_and_exif(tmp_path):
    source = tmp_path / "a.png"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    text = PngImagePlugin.PngInfo()
    text.add_text("Title", "cat")
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(PHOTO).save(
        source, icc_profile=profile, dpi=(300, 300), pnginfo=text, exif=exif
    )
    before, after = Image.open(source), Image.open(copy(source, tmp_path))
    after.load()
    before.load()
    assert after.info == before.info
    assert after.info["icc_profile"] == profile
    assert after.getexif()[274] == 6


def test_interlaced_png(tmp_path):
    # Pillow and imagecodecs cannot write Adam7; a picture of one pixel has only its first pass.
    header = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 1)
    body = zlib.compress(b"\0\x01\x02\x03")
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    result = imagecodecs.png_decode(copy(tmp_path / "a.png", tmp_path).read_bytes())
    assert result.tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize("kept", [0.999, 0.9, 0.5, 0.01])
def test_truncated_png(tmp_path, kept):
    path = tmp_path / "a.png"
    write_png(path, PHOTO)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    assert "damaged PNG file (cut short)" in refusal(path)


def test_png_without_its_last_byte(tmp_path):
    path = tmp_path / "a.png"
    write_png(path, PHOTO)
    path.write_bytes(path.read_bytes()[:-1])
    assert "cut short" in refusal(path)


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_a_flipped_byte_in_png_is_noticed(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("png") / "a.png"
    write_png(path, PHOTO)
    content = bytearray(path.read_bytes())
    position = data.draw(st.integers(8, len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    refusal(path)


def test_png_with_too_few_rows(tmp_path):
    path = tmp_path / "a.png"
    header = struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)
    body = zlib.compress(b"\0abcd" * 2)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    assert "damaged PNG" in refusal(path)


def test_a_bomb_is_refused_before_decoding(tmp_path, monkeypatch):
    header = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    monkeypatch.setattr(imagecodecs, "png_decode", lambda data: pytest.fail("decoded"))
    assert "100000 x 100000 pixels, more than 500 megapixels" in refusal(tmp_path / "a.png")


def test_png_of_no_size(tmp_path):
    header = struct.pack(">IIBBBBB", 0, 7, 8, 2, 0, 0, 0)
    chunks = png_chunk(b"IHDR", header) + png_chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)
    assert "0 x 7" in refusal(tmp_path / "a.png")


def test_animated_png_is_refused(tmp_path):
    frames = [Image.fromarray(PHOTO), Image.fromarray(PHOTO[::-1])]
    frames[0].save(tmp_path / "a.png", save_all=True, append_images=frames[1:])
    assert "animation" in refusal(tmp_path / "a.png")


# ---- JPEG and WebP ------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_jpeg_keeps_size_kind_and_nearly_all_values(tmp_path, mode):
    source = tmp_path / "a.JPG"
    Image.fromarray(PHOTO).convert(mode).save(source, "JPEG")
    before, after = Image.open(source), Image.open(copy(source, tmp_path))
    assert (after.format, after.mode, after.size) == ("JPEG", mode, before.size)
    assert np.abs(np.asarray(before, np.int16) - np.asarray(after, np.int16)).mean() < 1.5


def test_jpeg_keeps_orientation_profile_and_resolution(tmp_path):
    source = tmp_path / "a.jpg"
    exif = Image.Exif()
    exif[274] = 6
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(PHOTO).save(source, exif=exif, icc_profile=profile, dpi=(240, 240))
    after = Image.open(copy(source, tmp_path))
    assert after.size == (PHOTO.shape[1], PHOTO.shape[0])
    assert after.getexif()[274] == 6
    assert after.info["icc_profile"] == profile
    assert after.info["dpi"] == (240, 240)


def test_jpeg_of_several_pictures_keeps_the_first(tmp_path):
    source = tmp_path / "a.jpg"
    Image.fromarray(PHOTO).save(
        source, "MPO", save_all=True, append_images=[Image.fromarray(255 - PHOTO)]
    )
    after = np.asarray(Image.open(copy(source, tmp_path)), np.int16)
    assert np.abs(after - PHOTO).mean() < 10


def test_cmyk_is_refused(tmp_path):
    Image.fromarray(PHOTO).convert("CMYK").save(tmp_path / "a.jpg")
    assert "CMYK colours; convert it to RGB" in refusal(tmp_path / "a.jpg")


@pytest.mark.parametrize("channels", [3, 4])
def test_webp_comes_back_bit_for_bit(tmp_path, channels):
    array = photo(np.uint8, channels)
    source = tmp_path / "a.webp"
    Image.fromarray(array).save(source, lossless=True, exact=True)
    result = Image.open(copy(source, tmp_path))
    assert result.format == "WEBP"
    np.testing.assert_array_equal(np.asarray(result), array)


def test_animated_webp_is_refused(tmp_path):
    frames = [Image.fromarray(PHOTO), Image.fromarray(PHOTO[::-1])]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:])
    assert "animation" in refusal(tmp_path / "a.webp")


@pytest.mark.parametrize("suffix", ["jpg", "webp"])
@pytest.mark.parametrize("kept", [0.9, 0.5, 0.05])
def test_truncated_jpeg_and_webp(tmp_path, suffix, kept):
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(PHOTO).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    assert "damaged" in refusal(path)


def test_the_bomb_guard_of_pillow_is_one_line(tmp_path, monkeypatch):
    Image.fromarray(PHOTO).save(tmp_path / "a.jpg")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    assert "too many pixels" in refusal(tmp_path / "a.jpg")


def test_pictures_that_pillow_only_warns_about_are_read_in_silence(tmp_path, monkeypatch, recwarn):
    Image.fromarray(PHOTO).save(tmp_path / "a.jpg")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    read_picture(tmp_path / "a.jpg")
    assert not recwarn.list


# ---- TIFF ---------------------------------------------------------------------------------------

DTYPES = [np.uint8, np.uint16, np.float16, np.float32, np.float64]


def tiff_options(channels: int) -> dict:
    return {
        1: {"photometric": "minisblack"},
        2: {
            "photometric": "minisblack",
            "planarconfig": "contig",
            "extrasamples": ["unassalpha"],
        },
        3: {"photometric": "rgb"},
        4: {"photometric": "rgb", "extrasamples": ["assocalpha"]},
    }[channels]


@pytest.mark.parametrize("pages", [1, 3])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", DTYPES)
def test_tiff_comes_back_bit_for_bit(tmp_path, dtype, channels, pages):
    array = np.stack([np.roll(photo(np.float16, channels), page, 0) for page in range(pages)])
    array = array.astype(dtype) if np.dtype(dtype).kind == "f" else np.abs(array).astype(dtype)
    array = array[..., 0] if channels == 1 else array
    array = array[0] if pages == 1 else array
    source = tmp_path / "a.TIFF"
    tifffile.imwrite(source, array, **tiff_options(channels))
    picture = read_picture(source)
    assert picture.pixels.shape[0] == pages
    assert picture.is_stack == (pages > 1)
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(copy(source, tmp_path)) as after:
        assert len(before.pages) == len(after.pages) == pages
        for old, new in zip(before.pages, after.pages, strict=True):
            assert new.photometric == old.photometric
            assert new.extrasamples == old.extrasamples
            assert new.dtype == old.dtype
            np.testing.assert_array_equal(new.asarray(), old.asarray())


@pytest.mark.parametrize(
    ("compression", "layout"),
    [
        (compression, layout)
        for compression in ["lzw", "zlib", "packbits", "zstd", "lzma"]
        for layout in [{}, {"tile": (16, 32)}, {"predictor": True}]
        if not (compression == "packbits" and "predictor" in layout)
    ],
)
def test_tiff_keeps_a_lossless_compression(tmp_path, compression, layout):
    source = tmp_path / "a.tif"
    array = photo(np.uint16, 3)
    tifffile.imwrite(source, array, photometric="rgb", compression=compression, **layout)
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(copy(source, tmp_path)) as after:
        assert after.pages[0].compression == before.pages[0].compression
        assert after.pages[0].predictor == before.pages[0].predictor
        np.testing.assert_array_equal(after.asarray(), array)


def test_tiff_with_jpeg_inside_is_written_lossless(tmp_path):
    source = tmp_path / "a.tif"
    tifffile.imwrite(source, PHOTO, photometric="rgb", compression="jpeg")
    result = copy(source, tmp_path)
    np.testing.assert_array_equal(tifffile.imread(result), tifffile.imread(source))
    with tifffile.TiffFile(result) as tiff:
        assert tiff.pages[0].compression == tifffile.COMPRESSION.ADOBE_DEFLATE


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_tiff_keeps_byte_order_and_tags(tmp_path, byteorder, bigtiff):
    source = tmp_path / "a.tif"
    geo = (33550, 12, 3, (0.5, 0.5, 0.0), False)
    orientation = (274, 3, 1, 8, False)
    tifffile.imwrite(
        source,
        photo(np.uint16, 1)[..., 0],
        byteorder=byteorder,
        bigtiff=bigtiff,
        description="cell 7",
        metadata=None,
        resolution=(11811, 3937),
        resolutionunit="centimeter",
        software="microscope",
        extratags=[geo, orientation],
    )
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(copy(source, tmp_path)) as after:
        assert after.byteorder == byteorder
        assert after.is_bigtiff == bigtiff
        old, new = before.pages[0].tags, after.pages[0].tags
        for code in (270, 274, 282, 283, 296, 305, 33550):
            assert new[code].value == old[code].value
        np.testing.assert_array_equal(after.asarray(), before.asarray())


def test_imagej_hyperstack_keeps_axes_and_metadata(tmp_path):
    source = tmp_path / "a.tif"
    array = np.random.default_rng(0).integers(0, 4096, (2, 3, 4, 20, 30), np.uint16)
    metadata = {"axes": "TZCYX", "unit": "um", "spacing": 0.5, "Labels": ["x"] * 24}
    tifffile.imwrite(source, array, imagej=True, resolution=(5, 5), metadata=metadata)
    assert read_picture(source).pixels.shape == (24, 20, 30, 1)
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(copy(source, tmp_path)) as after:
        assert after.imagej_metadata == before.imagej_metadata
        assert after.series[0].axes == "TZCYX"
        np.testing.assert_array_equal(after.asarray(), array)


def test_imagej_stack_with_one_header(tmp_path):
    source = tmp_path / "a.tif"
    array = np.random.default_rng(0).integers(0, 4096, (5, 20, 30), np.uint16)
    tifffile.imwrite(source, array, imagej=True, metadata={"axes": "TYX"}, truncate=True)
    result = copy(source, tmp_path)
    with tifffile.TiffFile(result) as tiff:
        assert tiff.is_imagej
        assert len(tiff.pages) == 5
    np.testing.assert_array_equal(tifffile.imread(result), array)


def test_shaped_stack_with_one_header(tmp_path):
    source = tmp_path / "a.tif"
    array = np.random.default_rng(0).integers(0, 4096, (5, 20, 30), np.uint16)
    tifffile.imwrite(source, array, truncate=True)
    np.testing.assert_array_equal(tifffile.imread(copy(source, tmp_path)), array)


def test_ome_keeps_axes_and_description(tmp_path):
    source = tmp_path / "a.ome.tif"
    array = np.random.default_rng(0).integers(0, 4096, (3, 4, 20, 30), np.uint16)
    metadata = {"axes": "CZYX", "PhysicalSizeX": 0.3, "PhysicalSizeXUnit": "µm"}
    tifffile.imwrite(source, array, ome=True, metadata=metadata)
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(copy(source, tmp_path)) as after:
        assert after.ome_metadata == before.ome_metadata
        assert after.series[0].axes == "CZYX"
        np.testing.assert_array_equal(after.asarray(), array)


@pytest.mark.parametrize("pages", [1, 2])
def test_planar_rgb_stays_planar(tmp_path, pages):
    source = tmp_path / "a.tif"
    array = np.stack([np.moveaxis(photo(np.uint16, 3), -1, 0)] * pages)
    tifffile.imwrite(source, array, photometric="rgb", planarconfig="separate")
    assert read_picture(source).pixels.shape == (pages, *PHOTO.shape)
    with tifffile.TiffFile(copy(source, tmp_path)) as tiff:
        assert tiff.pages[0].planarconfig == tifffile.PLANARCONFIG.SEPARATE
        np.testing.assert_array_equal(tiff.asarray().squeeze(), array.squeeze())


def test_three_channels_without_colour_meaning(tmp_path):
    source = tmp_path / "a.tif"
    tifffile.imwrite(source, PHOTO, photometric="minisblack", planarconfig="contig")
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(copy(source, tmp_path)) as after:
        assert after.pages[0].photometric == before.pages[0].photometric
        assert after.pages[0].extrasamples == before.pages[0].extrasamples
        np.testing.assert_array_equal(after.asarray(), PHOTO)


def test_palette_tiff_becomes_rgb(tmp_path):
    source = tmp_path / "a.tif"
    colors = np.random.default_rng(0).integers(0, 256, (3, 256)).astype(np.uint16)
    indices = PHOTO[..., 0]
    tifffile.imwrite(source, indices, photometric="palette", colormap=colors * 257)
    result = tifffile.imread(copy(source, tmp_path))
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, colors.T[indices])


def test_each_page_has_its_own_palette(tmp_path):
    source = tmp_path / "a.tif"
    colors = np.random.default_rng(0).integers(0, 256, (2, 3, 256)).astype(np.uint16)
    indices = PHOTO[..., 0]
    with tifffile.TiffWriter(source) as writer:
        for colormap in colors * 257:
            writer.write(indices, photometric="palette", colormap=colormap, metadata=None)
    expected = [table.T[indices] for table in colors]
    np.testing.assert_array_equal(tifffile.imread(copy(source, tmp_path)), expected)


def test_previews_inside_are_left_out(tmp_path):
    source = tmp_path / "a.tif"
    with tifffile.TiffWriter(source) as writer:
        writer.write(PHOTO, photometric="rgb", metadata=None)
        writer.write(PHOTO[::2, ::2], photometric="rgb", metadata=None, subfiletype=1)
    with tifffile.TiffFile(copy(source, tmp_path)) as tiff:
        assert len(tiff.pages) == 1
        np.testing.assert_array_equal(tiff.asarray(), PHOTO)


@pytest.mark.parametrize(
    ("array", "options", "words"),
    [
        (np.zeros((20, 30), np.int16), {}, "16-bit samples of type int16"),
        (np.zeros((20, 30), np.uint32), {}, "32-bit samples of type uint32"),
        (np.zeros((20, 30), bool), {}, "1-bit samples"),
        (np.zeros((20, 30), np.complex64), {}, "complex64"),
        (
            np.zeros((20, 30, 4), np.uint8),
            {"photometric": "separated", "planarconfig": "contig"},
            "SEPARATED colours",
        ),
        (
            np.zeros((20, 30, 2), np.uint8),
            {"photometric": "minisblack", "planarconfig": "contig"},
            "2 channels",
        ),
        (
            np.zeros((20, 30, 5), np.uint8),
            {"photometric": "minisblack", "planarconfig": "contig"},
            "5 channels",
        ),
        (
            np.zeros((20, 30, 4), np.uint8),
            {"photometric": "rgb", "extrasamples": ["unspecified"]},
            "4 channels",
        ),
        (
            np.zeros((8, 32, 32), np.uint8),
            {"volumetric": True, "tile": (2, 16, 16)},
            "axes ZYX",
        ),
        (np.zeros((20, 30, 2), np.uint8), {}, "channels saved as columns"),
    ],
)
def test_tiff_of_other_kinds_is_refused(tmp_path, array, options, words):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, array, **options)
    assert words in refusal(path)


def test_twelve_bits_are_not_taken_for_sixteen(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((20, 30), np.uint16), bitspersample=12, compression="jpeg")
    assert "12-bit samples" in refusal(path)


def test_pages_of_different_sizes_are_refused(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(PHOTO, photometric="rgb", metadata=None)
        writer.write(PHOTO[1:], photometric="rgb", metadata=None)
    assert "different sizes" in refusal(path)


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits", "jpeg"])
@pytest.mark.parametrize("kept", [0.97, 0.6, 0.3, 0.001])
def test_truncated_tiff_stack(tmp_path, compression, kept):
    path = tmp_path / "a.tif"
    stack = np.stack([PHOTO, PHOTO[::-1], PHOTO[:, ::-1]])
    tifffile.imwrite(path, stack, photometric="rgb", compression=compression, metadata=None)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept * len(data))])
    assert "damaged TIFF" in refusal(path)


def test_a_chain_of_pages_that_bites_its_tail(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PHOTO, photometric="rgb", metadata=None)
    data = bytearray(path.read_bytes())
    (first,) = struct.unpack_from("<I", data, 4)
    (entries,) = struct.unpack_from("<H", data, first)
    struct.pack_into("<I", data, first + 2 + 12 * entries, first)
    path.write_bytes(data)
    assert "damaged TIFF" in refusal(path)


def test_tiff_beyond_the_cap(tmp_path, monkeypatch):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((3, 20, 30), np.uint8), photometric="minisblack")
    monkeypatch.setattr(images, "MAX_PIXELS", 1700)
    assert "30 x 20 pixels on 3 pages, more than" in refusal(path)


def test_values_beyond_single_precision_are_refused(tmp_path, recwarn):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.full((20, 30), 1e300))
    assert "600 of 600 values are NaN or infinite" in refusal(path)
    assert not recwarn.list


def test_nan_and_infinity_are_counted(tmp_path):
    path = tmp_path / "a.tif"
    array = np.zeros((20, 30), np.float32)
    array[3, 4:6] = np.nan
    array[5, 5] = -np.inf
    tifffile.imwrite(path, array)
    assert "3 of 600 values are NaN or infinite" in refusal(path)


# ---- Any format ---------------------------------------------------------------------------------


@pytest.mark.parametrize("content", [b"", b"not a picture at all\n", b"RIFF\0\0\0\0WAVEfmt "])
def test_files_that_are_no_pictures(tmp_path, content):
    path = tmp_path / "größe 1.png"
    path.write_bytes(content)
    assert ("empty" if not content else "not a PNG, JPEG, TIFF or WebP picture") in refusal(path)


def test_a_missing_file_and_a_folder(tmp_path):
    assert "no such file" in refusal(tmp_path / "absent.png")
    assert "not a regular file" in refusal(tmp_path)


def test_an_unreadable_file(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    write_png(path, PHOTO)
    if os.geteuid() == 0:  # whom no permission stops

        def refuse(name, *_):
            raise PermissionError(13, "Permission denied", str(name))

        monkeypatch.setattr("builtins.open", refuse)
    else:
        path.chmod(0)
    assert "permission denied" in refusal(path)


def test_the_content_decides_not_the_suffix(tmp_path):
    source = tmp_path / "a.png"
    Image.fromarray(PHOTO).save(source, "JPEG")
    assert read_picture(source).format == "JPEG"
    assert Image.open(copy(source, tmp_path)).format == "JPEG"


@settings(deadline=None, max_examples=60)
@given(head=st.sampled_from(["png", "jpg", "tif", "webp"]), garbage=st.binary(max_size=300))
def test_garbage_is_always_one_line(tmp_path_factory, head, garbage):
    path = tmp_path_factory.mktemp("garbage") / f"a.{head}"
    buffer = io.BytesIO()
    Image.fromarray(PHOTO).save(buffer, {"jpg": "JPEG", "tif": "TIFF"}.get(head, head))
    path.write_bytes(buffer.getvalue()[:16] + garbage)
    refusal(path)


def test_restored_pixels_are_clamped_and_rounded_half_up(tmp_path):
    source = tmp_path / "a.png"
    write_png(source, np.zeros((1, 5), np.uint8))
    values = np.array([-0.3, 0.5 / 255, 1.49 / 255, 254.5 / 255, 7], np.float32)
    picture = replace(read_picture(source), pixels=values.reshape(1, 1, 5, 1))
    write_picture(picture, tmp_path / "b.png")
    result = imagecodecs.png_decode((tmp_path / "b.png").read_bytes())
    assert result.tolist() == [[0, 1, 1, 255, 255]]


def test_float_pixels_are_neither_clamped_nor_rounded(tmp_path):
    source = tmp_path / "a.tif"
    tifffile.imwrite(source, np.zeros((2, 3), np.float32))
    values = np.array([-1000.25, 0, 1e-20, 3.3, 70000, 2], np.float32).reshape(1, 2, 3, 1)
    write_picture(replace(read_picture(source), pixels=values), tmp_path / "b.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), values[0, ..., 0])


def test_an_input_is_never_overwritten(tmp_path):
    source, link = tmp_path / "a.png", tmp_path / "link.png"
    write_png(source, PHOTO)
    link.symlink_to(source)
    before = source.read_bytes()
    picture = read_picture(source)
    for path in (source, link, tmp_path / "x" / ".." / "a.png"):
        (tmp_path / "x").mkdir(exist_ok=True)
        assert "overwrite the input" in message_of(write_picture, picture, path)
    assert source.read_bytes() == before


def test_another_suffix_is_refused(tmp_path):
    write_png(tmp_path / "a.png", PHOTO)
    picture = read_picture(tmp_path / "a.png")
    assert "suffix" in message_of(write_picture, picture, tmp_path / "b.jpg")
    assert sorted(os.listdir(tmp_path)) == ["a.png"]


def test_a_result_with_nan_is_not_written(tmp_path):
    write_png(tmp_path / "a.png", PHOTO)
    picture = read_picture(tmp_path / "a.png")
    picture.pixels[0, 3, 3, 0] = np.nan
    assert "1 of 9000 values" in message_of(write_picture, picture, tmp_path / "b.png")
    assert sorted(os.listdir(tmp_path)) == ["a.png"]


# ---- Ranges -------------------------------------------------------------------------------------


def picture_of(folder, array):
    path = folder / "a.tif"
    tifffile.imwrite(path, array, photometric="minisblack")
    return read_picture(path)


@pytest.mark.parametrize(
    ("low", "high", "scale", "offset_is_zero"),
    [
        (0, 1, 1, True),
        (-0.05, 1.05, 1, True),
        (0, 255, 256, True),
        (0, 1e-6, 2**-20, True),
        (0, 1e-41, 2.0**-126, True),
        (-1024, 3000, 4096, False),
        (290, 300, 8, False),
        (0, 1e30, 2.0**100, True),
    ],
)
def test_normalized_floats_lie_near_0_to_1(tmp_path, low, high, scale, offset_is_zero):
    array = np.random.default_rng(0).uniform(low, high, (50, 60)).astype(np.float32)
    picture = picture_of(tmp_path, array)
    assert picture.scale == scale
    assert (picture.offset == 0) == offset_is_zero
    normalized = picture.normalized()
    assert normalized.min() > -0.2
    assert 0.6 < normalized.max() < 1.5 or high < 1e-38
    restored = picture.with_normalized(normalized).pixels
    np.testing.assert_allclose(restored[0, ..., 0], array, rtol=1e-6, atol=2e-7 * (high - low))
    if offset_is_zero:
        np.testing.assert_array_equal(restored[0, ..., 0], array)


@pytest.mark.parametrize("value", [0, 0.7, 300, -5])
def test_normalized_constant(tmp_path, value):
    picture = picture_of(tmp_path, np.full((5, 6), value, np.float32))
    restored = picture.with_normalized(picture.normalized()).pixels
    np.testing.assert_allclose(restored, value, rtol=1e-6)


def test_twelve_bits_in_sixteen_are_scaled_exactly(tmp_path):
    array = np.random.default_rng(0).integers(0, 4096, (50, 60)).astype(np.uint16)
    picture = picture_of(tmp_path, array)
    assert picture.scale == 1 / 16
    assert picture.offset == 0
    write_picture(picture.with_normalized(picture.normalized()), tmp_path / "b.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), array)


def test_eight_bits_are_never_scaled(tmp_path):
    picture = picture_of(tmp_path, np.full((5, 6), 7, np.uint8))
    assert (picture.scale, picture.offset) == (1, 0)


# ---- Training pictures --------------------------------------------------------------------------


def test_rgb8_of_colour_gray_and_palette(tmp_path):
    write_png(tmp_path / "rgb.png", PHOTO)
    write_png(tmp_path / "gray.png", PHOTO[..., 0])
    palette = Image.fromarray(PHOTO).quantize(16)
    palette.save(tmp_path / "palette.png")
    expected = [PHOTO, PHOTO[..., [0, 0, 0]], np.asarray(palette.convert("RGB"))]
    for name, array in zip(["rgb", "gray", "palette"], expected, strict=True):
        result = read_rgb8(tmp_path / f"{name}.png", alpha="refuse")
        assert result.dtype == np.uint8
        assert result.flags.c_contiguous
        np.testing.assert_array_equal(result, array)


def test_rgb8_and_transparency(tmp_path):
    write_png(tmp_path / "a.png", photo(np.uint8, 4))
    message = message_of(read_rgb8, tmp_path / "a.png", alpha="refuse")
    assert "a.png: it has transparency" in message
    result = read_rgb8(tmp_path / "a.png", alpha="drop")
    np.testing.assert_array_equal(result, photo(np.uint8, 4)[..., :3])


def test_rgb8_refuses_more_bits_and_stacks(tmp_path):
    write_png(tmp_path / "a.png", photo(np.uint16, 3))
    message = message_of(read_rgb8, tmp_path / "a.png", alpha="drop")
    assert "a.png: 16-bit samples where 8 are needed; convert it to 8 bits" in message
    tifffile.imwrite(tmp_path / "a.tif", np.stack([PHOTO, PHOTO]), photometric="rgb")
    assert "stack of 2 pages" in message_of(read_rgb8, tmp_path / "a.tif", alpha="drop")


def test_read_all_lists_all_bad_files(tmp_path):
    for index in range(15):
        (tmp_path / f"{index:02}.png").write_text("x")
    write_png(tmp_path / "good.png", PHOTO)
    message = message_of(read_all, sorted(tmp_path.iterdir()), read_picture)
    assert all(f"{index:02}.png" in message for index in range(10))
    assert "and 5 more" in message
    assert "good.png" not in message
    assert len(read_all([tmp_path / "good.png"], read_picture)) == 1


# ---- Folders ------------------------------------------------------------------------------------


def touch(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    return path


def test_folders_are_searched_in_order(tmp_path):
    names = ["b.PNG", "a.jpeg", "sub folder/é.Tiff", "sub folder/deep/x.webp", "Z.jpg", "c.tif"]
    wanted = [touch(tmp_path / name) for name in names]
    for name in ["notes.txt", ".hidden.png", ".cache/a.png", "raw.dng", "png"]:
        touch(tmp_path / name)
    assert find_pictures([tmp_path]) == sorted(wanted)


def test_files_come_in_the_order_given_and_once(tmp_path):
    b, a = touch(tmp_path / "b.png"), touch(tmp_path / "a.png")
    assert find_pictures([str(b), tmp_path, a]) == [b, a]


def test_links_are_followed_but_not_in_circles(tmp_path):
    outside = touch(tmp_path / "outside" / "a.png")
    folder = tmp_path / "folder"
    inside = touch(folder / "sub" / "b.png")
    (folder / "sub" / "up").symlink_to(folder)
    (folder / "link").symlink_to(outside.parent)
    (folder / "name.png").symlink_to(inside)
    assert find_pictures([folder]) == [folder / "link" / "a.png", folder / "name.png"]


def test_what_cannot_be_found_is_listed_at_once(tmp_path):
    touch(tmp_path / "empty" / "notes.txt")
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").symlink_to(tmp_path / "nowhere.png")
    paths = ["absent.png", "empty", "empty/notes.txt", "broken", "absent"]
    message = message_of(find_pictures, [tmp_path / name for name in paths])
    assert f"{tmp_path / 'absent.png'}: no such file" in message
    assert f"{tmp_path / 'empty'}: no picture in this folder" in message
    assert "notes.txt: not a picture's name" in message
    assert "a link that leads nowhere" in message
    assert f"{tmp_path / 'absent'}: " in message


def test_an_unreadable_folder(tmp_path, monkeypatch):
    folder = touch(tmp_path / "folder" / "a.png").parent
    if os.geteuid() == 0:

        def refuse(name):
            raise PermissionError(13, "Permission denied", str(name))

        monkeypatch.setattr(os, "listdir", refuse)
        monkeypatch.setattr(os, "scandir", refuse)
    else:
        folder.chmod(0)
    message = message_of(find_pictures, [folder])
    assert f"cannot read {folder}: permission denied" in message


# ---- Gray pictures written as RGB


def as_rgb(source, folder):
    """Read a picture and write it as RGB; return the path."""
    target = folder / "rgb" / source.name
    write_picture(in_rgb(read_picture(source)), target)
    return target


@pytest.mark.parametrize("kind", ["png", "jpg", "tif", "webp"])
def test_gray_is_repeated_and_rgb_left_alone(tmp_path, kind):
    for channels in (1, 3):
        path = tmp_path / f"{channels}.{kind}"
        Image.fromarray(photo(np.uint8, channels).squeeze()).save(path)
        before, after = read_picture(path), read_picture(as_rgb(path, tmp_path))
        assert after.pixels.shape[-1] == 3
        # JPEG loses a little whenever it is written.
        assert np.abs(after.pixels - before.pixels).max() <= (0.05 if kind == "jpg" else 0)
    assert in_rgb(before) is before


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_gray_with_alpha_keeps_it(tmp_path, dtype):
    array = photo(dtype, 2)
    write_png(tmp_path / "a.png", array)
    tifffile.imwrite(
        tmp_path / "b.tif", array, photometric="minisblack", extrasamples=["unassalpha"]
    )
    planes = np.moveaxis(array, -1, 0)
    options = {"planarconfig": "separate", "extrasamples": ["unassalpha"]}
    tifffile.imwrite(tmp_path / "c.tif", planes, photometric="minisblack", **options)
    for name in ("a.png", "b.tif", "c.tif"):
        after = read_picture(as_rgb(tmp_path / name, tmp_path))
        assert after.dtype == dtype
        assert np.array_equal(after.alpha[0], array[..., 1])
        assert np.array_equal(after.pixels, read_picture(tmp_path / name).pixels.repeat(3, -1))


def test_texts_stay_and_a_gray_profile_goes(tmp_path):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "a cat")
    texts.add_text("Author", "nobody", zip=True)
    options = {"icc_profile": profile, "pnginfo": texts, "dpi": (300, 300)}
    Image.fromarray(photo(np.uint8, 1)[..., 0]).save(tmp_path / "a.png", **options)
    with Image.open(as_rgb(tmp_path / "a.png", tmp_path)) as image:
        assert (image.mode, image.text) == ("RGB", {"Title": "a cat", "Author": "nobody"})
        assert "icc_profile" not in image.info


def test_a_stack_of_inverted_gray_pages(tmp_path):
    pages = np.stack([photo(np.uint16, 1)[..., 0], photo(np.uint16, 1)[::-1, :, 0]])
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, pages, photometric="miniswhite", imagej=False, metadata={"axes": "ZYX"})
    written = as_rgb(path, tmp_path)
    expected = (65535 - pages.astype(int))[..., None].repeat(3, -1)
    assert np.array_equal(tifffile.imread(written), expected)
    with tifffile.TiffFile(written) as tiff:
        assert len(tiff.pages) == 2
        assert tiff.pages[0].photometric == tifffile.PHOTOMETRIC.RGB
        assert not tiff.pages[0].description


def test_an_imagej_stack_is_no_imagej_stack_in_rgb(tmp_path):
    pages = np.stack([photo(np.uint8, 1)[..., 0]] * 3)
    tifffile.imwrite(tmp_path / "a.tif", pages, imagej=True, metadata={"axes": "ZYX"})
    with tifffile.TiffFile(as_rgb(tmp_path / "a.tif", tmp_path)) as tiff:
        assert not tiff.is_imagej
        assert [page.shape for page in tiff.pages] == [(*PHOTO.shape[:2], 3)] * 3


# ---- Integers written as floats -----------------------------------------------------------------


def as_float(source, folder):
    """Read a picture and write it in floats; return the path."""
    picture = read_picture(source).in_float()
    target = written_path(picture, folder / "float" / source.name)
    assert write_picture(picture, target) == ()
    return target


@pytest.mark.parametrize("kind", ["png", "tif", "jpg", "webp"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_counts_stay_counts_in_floats(tmp_path, dtype, channels, kind):
    if kind in ("jpg", "webp") and (dtype == np.uint16 or channels in (2, 4)):
        pytest.skip("no such file")
    array = photo(dtype, channels)
    array = array[..., 0] if channels == 1 else array
    source = tmp_path / f"a.{kind}"
    if kind == "png":
        write_png(source, array)
    elif kind == "tif":
        tifffile.imwrite(
            source, array, predictor=True, compression="zlib", **tiff_options(channels)
        )
    else:
        Image.fromarray(array).save(source)
    result = as_float(source, tmp_path)
    assert result == tmp_path / "float" / "a.tif"
    samples = tifffile.imread(result)
    assert samples.dtype == np.float32
    expected = np.asarray(Image.open(source)) if kind in ("jpg", "webp") else array
    np.testing.assert_array_equal(samples, expected)
    before, after = read_picture(source), read_picture(result)
    assert (after.alpha is None) == (before.alpha is None)
    assert after.pixels.shape == before.pixels.shape
    again = before.in_float()
    np.testing.assert_allclose(again.normalized(), before.normalized(), rtol=1e-6)
    np.testing.assert_array_equal(again.with_normalized(again.normalized()).pixels, again.pixels)


def test_fractions_survive_in_floats(tmp_path):
    source = tmp_path / "counts.tif"
    tifffile.imwrite(source, np.zeros((2, 3), np.uint16))
    values = np.array([0.044, 0, 3.25, 70000.5, 2, -0.5], np.float32).reshape(1, 2, 3, 1)
    picture = replace(read_picture(source).in_float(), pixels=values)
    write_picture(picture, tmp_path / "b.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), values[0, ..., 0])


def test_floats_are_in_float_already(tmp_path):
    for dtype in (np.float16, np.float32, np.float64):
        tifffile.imwrite(tmp_path / "a.tif", photo(dtype, 1)[..., 0])
        picture = read_picture(tmp_path / "a.tif")
        assert picture.in_float() is picture


def test_an_imagej_hyperstack_in_floats(tmp_path):
    source = tmp_path / "a.tif"
    array = np.random.default_rng(0).integers(0, 4096, (2, 3, 20, 30), np.uint16)
    metadata = {"axes": "TCYX", "unit": "um", "spacing": 0.5, "mode": "composite"}
    tifffile.imwrite(source, array, imagej=True, resolution=(5, 5), metadata=metadata)
    with (
        tifffile.TiffFile(source) as before,
        tifffile.TiffFile(as_float(source, tmp_path)) as after,
    ):
        assert after.imagej_metadata == before.imagej_metadata
        assert after.series[0].axes == "TCYX"
        assert after.pages[0].tags[282].value == before.pages[0].tags[282].value
        np.testing.assert_array_equal(after.asarray(), array.astype(np.float32))


def test_an_imagej_picture_in_colours_is_no_imagej_picture_in_floats(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PHOTO, imagej=True)
    with tifffile.TiffFile(as_float(tmp_path / "a.tif", tmp_path)) as tiff:
        assert not tiff.is_imagej
        np.testing.assert_array_equal(tiff.asarray(), PHOTO)


def test_an_ome_description_tells_of_floats(tmp_path):
    source = tmp_path / "a.ome.tif"
    array = np.random.default_rng(0).integers(0, 4096, (3, 4, 20, 30), np.uint16)
    metadata = {"axes": "CZYX", "PhysicalSizeX": 0.3, "SignificantBits": 12}
    tifffile.imwrite(source, array, ome=True, metadata=metadata)
    with tifffile.TiffFile(as_float(source, tmp_path)) as after:
        assert 'Type="float"' in after.ome_metadata
        assert "uint16" not in after.ome_metadata
        assert "SignificantBits" not in after.ome_metadata
        assert 'PhysicalSizeX="0.3"' in after.ome_metadata
        assert after.series[0].axes == "CZYX"
        np.testing.assert_array_equal(after.asarray(), array.astype(np.float32))


@pytest.mark.parametrize("kind", ["png", "jpg", "webp"])
def test_profile_and_resolution_go_into_the_tiff(tmp_path, kind):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source = tmp_path / f"a.{kind}"
    Image.fromarray(PHOTO).save(source, icc_profile=profile, dpi=(300, 300))
    with tifffile.TiffFile(as_float(source, tmp_path)) as tiff:
        tags = tiff.pages[0].tags
        assert tags[34675].value == profile
        assert kind == "webp" or round(tags[282].value[0] / tags[282].value[1]) == 300


def test_a_picture_in_floats_needs_its_own_suffix(tmp_path):
    write_png(tmp_path / "a.png", photo(np.uint16, 1)[..., 0])
    picture = read_picture(tmp_path / "a.png").in_float()
    assert "let it end in .tif" in message_of(write_picture, picture, tmp_path / "b.png")
    assert written_path(picture, tmp_path / "b.c.PNG") == tmp_path / "b.c.tif"
    assert written_path(read_picture(tmp_path / "a.png"), "b.PNG") == Path("b.PNG")


# ---- More planes than headers, and what else TIFF files hold ------------------------------------

PLANES = np.random.default_rng(5).integers(90, 4096, (5, 24, 30)).astype(np.uint16)


def tiff_bytes(tags, before: bytes) -> bytes:
    """Return a TIFF of one header: what stands before it, and tags (code, type, count, value)."""
    packed = [struct.pack("<HHII", code, kind, count, value) for code, kind, count, value in tags]
    header = struct.pack("<H", len(tags)) + b"".join(packed) + bytes(4)
    return b"II*\0" + struct.pack("<I", 8 + len(before)) + before + header


def page_tags_of(planes: np.ndarray) -> list[tuple[int, int, int, int]]:
    height, width = planes.shape[1:]
    values = {254: 0, 256: width, 257: height, 258: 16, 259: 1, 262: 1, 273: 8, 277: 1}
    values |= {278: height, 279: planes[0].nbytes}
    return [(code, 4, 1, value) for code, value in values.items()]


def write_stk(path, planes: np.ndarray) -> None:
    """Write a series of MetaMorph: all planes, then the times of each, under one header."""
    pixels = planes.astype("<u2").tobytes()
    times = b"".join(struct.pack("<6I", n, 1, 2450000, 1000 * n, 0, 0) for n in range(len(planes)))
    place = 8 + len(pixels)
    tags = [(33628, 4, 1, place + len(times)), (33629, 5, len(planes), place)]
    before = pixels + times + struct.pack("<II", 0, 0)
    path.write_bytes(tiff_bytes(page_tags_of(planes) + tags, before))


def test_a_metamorph_series_comes_back_whole(tmp_path, capfd):
    source = tmp_path / "series.tif"
    write_stk(source, PLANES)
    picture = read_picture(source)
    assert picture.pixels.shape == (5, 24, 30, 1)
    assert write_picture(picture, tmp_path / "copy.tif") == ()
    assert (tmp_path / "copy.tif").read_bytes() == source.read_bytes()
    write_picture(replace(picture, pixels=picture.pixels[::-1]), tmp_path / "turned.tif")
    with tifffile.TiffFile(tmp_path / "turned.tif") as tiff:
        assert tiff.is_stk
        assert tiff.stk_metadata["NumberPlanes"] == 5
        assert list(tiff.stk_metadata["TimeCreated"]) == [0, 1000, 2000, 3000, 4000]
        np.testing.assert_array_equal(tiff.asarray(), PLANES[::-1])
    assert capfd.readouterr() == ("", "")


def test_a_metamorph_series_in_floats_says_what_it_loses(tmp_path):
    write_stk(tmp_path / "series.tif", PLANES)
    picture = read_picture(tmp_path / "series.tif")
    for changed in (picture.in_float(), in_rgb(picture)):
        (note,) = write_picture(changed, tmp_path / "copy.tif")
        assert "MetaMorph is left out" in note
        with tifffile.TiffFile(tmp_path / "copy.tif") as tiff:
            assert len(tiff.pages) == 5
            assert not tiff.is_stk
            np.testing.assert_array_equal(tiff.asarray().reshape(5, 24, 30, -1)[..., 0], PLANES)


def test_a_metamorph_series_cut_short_is_refused(tmp_path):
    write_stk(tmp_path / "a.tif", PLANES)
    data = (tmp_path / "a.tif").read_bytes()
    place = data.index(struct.pack("<HHI", 33629, 5, 5))
    for planes in (6, 500):
        changed = data[:place] + struct.pack("<HHI", 33629, 5, planes) + data[place + 8 :]
        (tmp_path / "b.tif").write_bytes(changed)
        assert "damaged TIFF" in refusal(tmp_path / "b.tif")


def test_a_metamorph_series_without_its_first_tag_is_refused(tmp_path):
    write_stk(tmp_path / "a.tif", PLANES)
    data = (tmp_path / "a.tif").read_bytes()
    place = data.index(struct.pack("<HHI", 33628, 4, 1))
    (tmp_path / "a.tif").write_bytes(data[:place] + struct.pack("<H", 33600) + data[place + 2 :])
    assert "5 pages announced, 1 there" in refusal(tmp_path / "a.tif")


def test_a_compressed_metamorph_series_is_refused(tmp_path):
    packed = zlib.compress(PLANES[0].tobytes())
    tags = [tag for tag in page_tags_of(PLANES) if tag[0] not in (259, 279)]
    tags = sorted([*tags, (259, 4, 1, 8), (279, 4, 1, len(packed))])
    tags += [(33628, 4, 1, 8), (33629, 5, 5, 8)]
    (tmp_path / "a.tif").write_bytes(tiff_bytes(tags, packed * 5))
    refusal(tmp_path / "a.tif")


def test_planes_that_no_tag_tells_of_are_told(tmp_path):
    (tmp_path / "a.tif").write_bytes(tiff_bytes(page_tags_of(PLANES), PLANES.tobytes()))
    (note,) = write_picture(read_picture(tmp_path / "a.tif"), tmp_path / "b.tif")
    assert f"{PLANES[1:].nbytes} bytes behind its pixels" in note


@pytest.mark.parametrize("options", [{"imagej": True, "metadata": {"axes": "TYX"}}, {}])
def test_one_header_cut_short_is_refused(tmp_path, options):
    tifffile.imwrite(tmp_path / "a.tif", PLANES, truncate=True, **options)
    data = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(data[: -PLANES[0].nbytes])
    assert "damaged TIFF" in refusal(tmp_path / "a.tif")


def test_two_stacks_of_one_header_each_are_refused(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif", shaped=True) as writer:
        writer.write(PLANES, truncate=True)
        writer.write(PLANES[::-1], truncate=True)
    assert "several stacks of one header" in refusal(tmp_path / "a.tif")


@pytest.mark.parametrize("code", [34412, 34362])
def test_pictures_in_a_makers_file_are_written_into_it(tmp_path, code):
    """A Zeiss or FluoView file holds places in itself, so all but the pixels stays as it is."""
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for plane in PLANES[:3]:
            tag = (code, 1, 600, bytes(600), False)
            writer.write(plane, metadata=None, extratags=[tag])
            writer.write(plane[::2, ::2], metadata=None, subfiletype=1)
    picture = read_picture(tmp_path / "a.tif")
    turned = replace(picture, pixels=picture.pixels[:, ::-1])
    assert write_picture(turned, tmp_path / "b.tif") == ()
    with tifffile.TiffFile(tmp_path / "b.tif") as tiff:
        assert len(tiff.pages) == 6
        assert code in tiff.pages[0].tags
        result = [page.asarray() for page in list(tiff.pages)[::2]]
        np.testing.assert_array_equal(result, PLANES[:3, ::-1])
    (note,) = write_picture(picture.in_float(), tmp_path / "c.tif")
    assert str(code) in note


def test_a_preview_is_not_taken_for_the_picture(tmp_path):
    with tifffile.TiffWriter(tmp_path / "raw.tif") as writer:
        writer.write(PHOTO[::4, ::4], metadata=None, subfiletype=1, subifds=1)
        writer.write(photo(np.uint16, 1)[..., 0], metadata=None)
    assert "behind a preview" in refusal(tmp_path / "raw.tif")


INSTRUMENT_TAGS = [
    (34118, 2, None, "\r\n0\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 5.582 nm\r\n", False),
    (34682, 2, None, "[Scan]\r\nPixelWidth=1.5e-09\r\n", False),
    (33446, 5, 1, (3, 7), False),
    (65027, 12, 3, (0.1, -2.5, 1e300), False),
    (4869, 12, 1, -70.0, False),
    (51023, 7, 4, b"\0\1\2\xff", False),
]


@pytest.mark.parametrize("byteorder", ["<", ">"])
def test_makers_tags_of_every_page_are_kept(tmp_path, byteorder):
    source = tmp_path / "sem.tif"
    with tifffile.TiffWriter(source, byteorder=byteorder) as writer:
        for number in range(3):
            tags = [*INSTRUMENT_TAGS, (60000, 3, 1, number, False)]
            writer.write(PLANES[number], metadata=None, extratags=tags)
    result = copy(source, tmp_path)
    assert read_picture(source).notes == ()
    with tifffile.TiffFile(source) as before, tifffile.TiffFile(result) as after:
        for old, new in zip(before.pages, after.pages, strict=True):
            for code in (*(tag[0] for tag in INSTRUMENT_TAGS), 60000):
                assert new.tags[code].value == old.tags[code].value
                assert new.tags[code].dtype == old.tags[code].dtype


def test_tags_that_point_into_the_file_are_left_out_and_told(tmp_path):
    tags = [(33424, 4, 1, 8, False), (37724, 7, 8, b"8BIMLayr", False), (60001, 13, 1, 8, False)]
    storage = (34019, 3, 1, 2, False)
    options = {"metadata": None, "extratags": [*tags, storage]}
    tifffile.imwrite(tmp_path / "a.tif", PLANES[0], **options)
    (note,) = write_picture(read_picture(tmp_path / "a.tif"), tmp_path / "b.tif")
    assert note.endswith("left out: 33424, 37724, 60001")
    with tifffile.TiffFile(tmp_path / "b.tif") as tiff:
        assert not {33424, 37724, 60001, 34019} & {tag.code for tag in tiff.pages[0].tags}


def exif_of(orientation: int = 6) -> Image.Exif:
    exif = Image.Exif()
    exif[271], exif[274] = "Maker", orientation
    exif.get_ifd(34665).update({33434: 0.25, 36867: "2020:02:03 04:05:06", 37510: b"A" * 3000})
    exif.get_ifd(34853).update({1: "N", 2: (52.0, 31.0, 12.0)})
    return exif


def assert_same_exif(path) -> None:
    with tifffile.TiffFile(path) as tiff:
        tags = tiff.pages[0].tags
        assert tags[271].value == "Maker"
        assert tags[34665].value["UserComment"] == b"A" * 3000
        assert tags[34665].value["DateTimeOriginal"] == "2020:02:03 04:05:06"
        assert "ExposureTime" in tags[34665].value
        assert tags[34853].value["GPSLatitudeRef"] == "N"
        assert len(tags[34853].value["GPSLatitude"]) in (3, 6)


@pytest.mark.parametrize("bigtiff", [False, True])
def test_exif_and_position_are_kept_in_tiff(tmp_path, bigtiff):
    source = tmp_path / "a.tif"
    Image.fromarray(PHOTO).save(source, exif=exif_of().tobytes(), big_tiff=bigtiff)
    assert_same_exif(source)
    result = copy(source, tmp_path)
    assert read_picture(source).notes == ()
    with tifffile.TiffFile(result) as tiff:
        assert tiff.is_bigtiff == bigtiff
        codes = [tag.code for tag in tiff.pages[0].tags]
        assert codes == sorted(codes)
        np.testing.assert_array_equal(tiff.asarray(), PHOTO)
    assert_same_exif(result)
    with Image.open(source) as before, Image.open(result) as after:
        for link in (34665, 34853):
            assert after.getexif().get_ifd(link) == before.getexif().get_ifd(link)


def test_exif_that_leads_astray_is_left_out_and_told(tmp_path):
    source = tmp_path / "a.tif"
    Image.fromarray(PHOTO).save(source, exif=exif_of().tobytes())
    data = source.read_bytes()
    place = data.index(struct.pack("<HHI", 34665, 4, 1)) + 8
    source.write_bytes(data[:place] + struct.pack("<I", 2**31) + data[place + 4 :])
    (note,) = write_picture(read_picture(source), tmp_path / "b.tif")
    assert note.endswith("left out: 34665")


# ---- What JPEG, PNG and other files say beside their pixels -------------------------------------


def jpeg_bytes(segments: bytes = b"", **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PHOTO).save(file, "JPEG", **options)
    data = file.getvalue()
    return data[:2] + segments + data[2:]


def segment(marker: int, body: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(body) + 2) + body


def test_exif_of_two_segments_is_kept_as_it_is(tmp_path):
    exif = Image.Exif()
    exif[271], exif[37510] = "Maker", b"A" * 90_000
    body = exif.tobytes()[6:]
    parts = (body[:65_000], body[65_000:])
    segments = b"".join(segment(0xE1, b"Exif\0\0" + part) for part in parts)
    (tmp_path / "a.jpg").write_bytes(jpeg_bytes(segments))
    result = copy(tmp_path / "a.jpg", tmp_path)
    with Image.open(tmp_path / "a.jpg") as before, Image.open(result) as after:
        assert after.info["exif"] == before.info["exif"]
        assert after.getexif()[37510] == exif[37510]


def test_all_that_a_jpeg_says_is_kept_as_it_is(tmp_path):
    said = {
        0xE1: b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta/>",
        0xE2: b"ICC_PROFILE\0\1\1" + b"P" * 65_000,
        0xED: b"Photoshop 3.0\0" + b"8BIM" * 100,
        0xEC: b"Ducky\0\1",
        0xFE: b"a comment",
    }
    segments = b"".join(segment(marker, body) for marker, body in said.items())
    extended = segment(0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"x" * 60_000) * 2
    (tmp_path / "a.jpg").write_bytes(jpeg_bytes(segments + extended, dpi=(240, 240)))
    assert read_picture(tmp_path / "a.jpg").notes == ()
    result = copy(tmp_path / "a.jpg", tmp_path).read_bytes()
    assert segments + extended in result
    assert result.count(b"JFIF\0") == 1
    with Image.open(io.BytesIO(result)) as image:
        assert image.info["dpi"] == (240, 240)
        assert np.abs(np.asarray(image, int) - PHOTO).mean() < 10


def test_other_pictures_of_a_jpeg_are_told(tmp_path):
    others = [Image.fromarray(255 - PHOTO)]
    Image.fromarray(PHOTO).save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=others)
    picture = read_picture(tmp_path / "a.jpg")
    assert write_picture(picture, tmp_path / "b.jpg") == (
        "it holds 2 pictures; all but the first are left out",
    )
    assert Image.open(tmp_path / "b.jpg").format == "JPEG"


def test_png_parts_that_may_be_copied_are_and_others_are_told(tmp_path):
    write_png(tmp_path / "a.png", PHOTO)
    data = (tmp_path / "a.png").read_bytes()
    safe = png_chunk(b"oFFs", struct.pack(">iiB", 3, 4, 0)) + png_chunk(b"vpAg", b"x" * 100_000)
    unsafe = png_chunk(b"tEXt", b"Title\0cat") + png_chunk(b"abCD", b"?")
    (tmp_path / "a.png").write_bytes(data[:33] + safe + unsafe + data[33:])
    (note,) = write_picture(read_picture(tmp_path / "a.png"), tmp_path / "b.png")
    assert note == "parts of the PNG are left out: abCD"
    result = (tmp_path / "b.png").read_bytes()
    assert safe + png_chunk(b"tEXt", b"Title\0cat") in result


@pytest.mark.parametrize("kind", ["png", "webp"])
def test_large_exif_and_profile_in_png_and_webp(tmp_path, kind):
    exif = Image.Exif()
    exif[271], exif[37510] = "Maker", b"A" * 90_000
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    options = {"lossless": True} if kind == "webp" else {}
    Image.fromarray(PHOTO).save(
        tmp_path / f"a.{kind}", exif=exif, icc_profile=profile + bytes(200_000), **options
    )
    result = copy(tmp_path / f"a.{kind}", tmp_path)
    with Image.open(tmp_path / f"a.{kind}") as before, Image.open(result) as after:
        assert after.getexif()[37510] == before.getexif()[37510]
        assert after.info["icc_profile"] == before.info["icc_profile"]


# ---- CMYK ---------------------------------------------------------------------------------------


def test_inks_become_rgb_for_training(tmp_path):
    inks = Image.fromarray(PHOTO).convert("CMYK")
    inks.save(tmp_path / "plain.jpg", quality=95, subsampling=0)
    inks.save(tmp_path / "plain.tif")
    tifffile.imwrite(tmp_path / "other.tif", np.asarray(inks), photometric="separated")
    for name in ("plain.jpg", "plain.tif", "other.tif"):
        result = read_rgb8(tmp_path / name, alpha="refuse")
        assert (result.shape, result.dtype) == (PHOTO.shape, np.uint8)
        assert np.abs(result.astype(int) - PHOTO).mean() < 3
        assert "colours; convert it to RGB" in refusal(tmp_path / name)


def test_a_damaged_profile_of_inks_does_not_matter(tmp_path):
    Image.fromarray(PHOTO).convert("CMYK").save(tmp_path / "a.jpg", icc_profile=b"no profile")
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(PHOTO).convert("CMYK").save(tmp_path / "b.jpg", icc_profile=srgb)
    for name in ("a.jpg", "b.jpg"):
        result = read_rgb8(tmp_path / name, alpha="refuse")
        assert np.abs(result.astype(int) - PHOTO).mean() < 12


def test_damaged_inks_are_one_line(tmp_path):
    Image.fromarray(PHOTO).convert("CMYK").save(tmp_path / "a.jpg")
    data = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[: len(data) // 2])
    assert "damaged JPEG" in message_of(read_rgb8, tmp_path / "a.jpg", alpha="refuse")


# ---- Files that are passed over -----------------------------------------------------------------


def test_files_that_are_passed_over_are_listed_with_a_remedy(tmp_path):
    picture = touch(tmp_path / "a.png")
    said = {
        "b.BMP": "convert it to PNG",
        "c.heic": "convert it to PNG",
        "sub/d.dng": "develop it to TIFF",
        "sub/e.czi": "export it as TIFF with Bio-Formats or Fiji",
        "f.mp4": "save its frames as a TIFF stack",
        "g.unheard": "an unknown format",
        "DSC0001": "without a suffix",
    }
    for name in [*said, "notes.txt", ".hidden.heic", ".cache/a.nd2", "model.safetensors", "a.csv"]:
        touch(tmp_path / name)
    (tmp_path / "lost.heic").symlink_to(tmp_path / "nowhere")
    pictures, skipped = survey([tmp_path])
    assert pictures == [picture] == find_pictures([tmp_path])
    assert list(skipped) == sorted(tmp_path / name for name in said)
    for name, words in said.items():
        assert words in skipped[tmp_path / name]
    assert survey([picture]).skipped == {}


def test_a_folder_of_other_formats_says_what_to_do(tmp_path):
    touch(tmp_path / "a.heic")
    message = message_of(survey, [tmp_path])
    assert "no picture in this folder" in message
    assert "a.heic: a format that is not read; convert it to PNG" in message
    assert "develop it to TIFF" in message_of(find_pictures, [touch(tmp_path / "a.nef")])


def test_a_foreign_name_is_read_written_and_refused(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    write_png(tmp_path / name, PHOTO)
    assert survey([tmp_path]).pictures == [tmp_path / name]
    write_picture(read_picture(tmp_path / name), tmp_path / "copy" / name)
    assert os.listdir(os.fsencode(tmp_path / "copy")) == [b"caf\xe9.png"]
    (tmp_path / name).write_bytes(b"?")
    message = message_of(read_picture, tmp_path / name)
    assert f"{tmp_path}/caf\\xe9.png: not a PNG" in message.encode().decode()


@pytest.mark.parametrize("kind", ["png", "jpg", "webp"])
def test_exif_goes_into_the_tiff_of_floats(tmp_path, kind):
    Image.fromarray(PHOTO).save(tmp_path / f"a.{kind}", exif=exif_of())
    assert_same_exif(as_float(tmp_path / f"a.{kind}", tmp_path))


def test_texts_that_do_not_go_into_the_tiff_of_floats_are_told(tmp_path):
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Title", "a cat")
    Image.fromarray(PHOTO).save(tmp_path / "a.png", pnginfo=texts)
    (tmp_path / "a.jpg").write_bytes(jpeg_bytes(segment(0xFE, b"a comment")))
    for name in ("a.png", "a.jpg"):
        (note,) = write_picture(read_picture(tmp_path / name).in_float(), tmp_path / "b.tif")
        assert "do not go into the TIFF" in note
