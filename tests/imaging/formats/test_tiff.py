from __future__ import annotations

import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from PIL import Image

from tests.imaging.files import (
    PHOTO,
    assert_same_exif,
    copy,
    exif_of,
    photo,
    refusal,
    tiff_options,
)
from unpaired.imaging.formats import decoded
from unpaired.imaging.pictures import in_rgb, read_picture, write_picture

DTYPES = [np.uint8, np.uint16, np.float16, np.float32, np.float64]


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


def test_three_channels_without_color_meaning(tmp_path):
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
            "SEPARATED colors",
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
    monkeypatch.setattr(decoded, "MAX_PIXELS", 1700)
    assert "30 x 20 pixels on 3 pages, more than" in refusal(path)


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
