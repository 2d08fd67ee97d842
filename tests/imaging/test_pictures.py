from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin

from tests.imaging.files import (
    PHOTO,
    assert_same_exif,
    copy,
    exif_of,
    jpeg_bytes,
    message_of,
    photo,
    refusal,
    segment,
    tiff_options,
    write_png,
)
from unpaired.imaging.finding import survey
from unpaired.imaging.pictures import in_rgb, read_picture, read_rgb8, write_picture, written_path

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


def test_a_foreign_name_is_read_written_and_refused(tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    write_png(tmp_path / name, PHOTO)
    assert survey([tmp_path]).pictures == [tmp_path / name]
    write_picture(read_picture(tmp_path / name), tmp_path / "copy" / name)
    assert os.listdir(os.fsencode(tmp_path / "copy")) == [b"caf\xe9.png"]
    (tmp_path / name).write_bytes(b"?")
    message = message_of(read_picture, tmp_path / name)
    assert f"{tmp_path}/caf\\xe9.png: not a PNG" in message.encode().decode()


# ---- Values -------------------------------------------------------------------------------------


def picture_of(folder, array):
    path = folder / "a.tif"
    tifffile.imwrite(path, array, photometric="minisblack")
    return read_picture(path)


def conditioned(picture):
    return (picture.pixels - np.float32(picture.offset)) / np.float32(picture.scale)


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
def test_conditioned_floats_lie_near_0_to_1(tmp_path, low, high, scale, offset_is_zero):
    array = np.random.default_rng(0).uniform(low, high, (50, 60)).astype(np.float32)
    picture = picture_of(tmp_path, array)
    assert picture.scale == scale
    assert (picture.offset == 0) == offset_is_zero
    normalized = conditioned(picture)
    assert normalized.min() > -0.2
    assert 0.6 < normalized.max() < 1.5 or high < 1e-38


def test_twelve_bits_in_sixteen_are_scaled_exactly(tmp_path):
    array = np.random.default_rng(0).integers(0, 4096, (50, 60)).astype(np.uint16)
    picture = picture_of(tmp_path, array)
    assert picture.scale == 1 / 16
    assert picture.offset == 0


def test_eight_bits_are_never_scaled(tmp_path):
    picture = picture_of(tmp_path, np.full((5, 6), 7, np.uint8))
    assert (picture.scale, picture.offset) == (1, 0)


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


# ---- Training pictures --------------------------------------------------------------------------


def test_rgb8_of_color_gray_and_palette(tmp_path):
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


# ---- Gray pictures written as RGB ---------------------------------------------------------------


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
    np.testing.assert_allclose(conditioned(again), conditioned(before), rtol=1e-6)


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


def test_an_imagej_picture_in_colors_is_no_imagej_picture_in_floats(tmp_path):
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


@pytest.mark.parametrize("kind", ["png", "jpg", "webp"])
def test_a_tiff_is_written_where_one_is_named(tmp_path, kind):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    source, target = tmp_path / f"a.{kind}", tmp_path / "b.TIFF"
    Image.fromarray(PHOTO).save(source, icc_profile=profile, exif=exif_of())
    picture = read_picture(source)
    assert write_picture(picture, target) == ()
    again = read_picture(target)
    assert (again.format, again.dtype) == ("TIFF", np.uint8)
    np.testing.assert_array_equal(again.pixels, picture.pixels)
    assert_same_exif(target)
    with tifffile.TiffFile(target) as tiff:
        assert tiff.pages[0].tags[34675].value == profile


@pytest.mark.parametrize("channels", [1, 3])
def test_a_tiff_of_a_picture_of_16_bits_with_alpha_keeps_both(tmp_path, channels):
    samples = photo(np.uint16, channels + 1)
    write_png(tmp_path / "a.png", samples)
    write_picture(read_picture(tmp_path / "a.png"), tmp_path / "b.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "b.tif"), samples)


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
