from __future__ import annotations

import io

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageCms

from tests.imaging.files import (
    PHOTO,
    copy,
    jpeg_bytes,
    message_of,
    photo,
    refusal,
    segment,
)
from unpaired.imaging.pictures import read_picture, read_rgb8, write_picture

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
    assert "CMYK colors; convert it to RGB" in refusal(tmp_path / "a.jpg")


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


# ---- What files say beside their pixels ---------------------------------------------------------


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
        assert "colors; convert it to RGB" in refusal(tmp_path / name)


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
