from __future__ import annotations

import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as numpy_strategies
from PIL import Image, ImageCms, PngImagePlugin

from tests.imaging.files import (
    PHOTO,
    copy,
    photo,
    refusal,
    write_png,
)
from unpaired.imaging.pictures import read_picture, write_picture


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
