"""Pictures of every kind become upright 8-bit sRGB, and what is no picture is refused in one sentence."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms, ImageFile

from carve.geometry.camera import FILM_DIAGONAL
from carve.io.image import NEUTRAL, over_grey, read_mask, read_photo, write_png
from carve.records import CarveError

WIDTH, HEIGHT = 48, 64


@pytest.fixture
def pixels() -> np.ndarray:
    """(H, W, 3) uint8: four quarters of different colours, so that every turn and flip shows."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[: HEIGHT // 2, : WIDTH // 2] = (200, 40, 40)
    image[: HEIGHT // 2, WIDTH // 2 :] = (40, 200, 40)
    image[HEIGHT // 2 :, : WIDTH // 2] = (40, 40, 200)
    image[HEIGHT // 2 :, WIDTH // 2 :] = (220, 220, 90)
    return image


def grey_of(pixels: np.ndarray) -> np.ndarray:
    return np.array(Image.fromarray(pixels).convert("L"))


def header_only_png(path: Path, width: int, height: int) -> None:
    """A PNG that says its size and holds no pixels: decoding it fails, reading its header does not."""
    chunks = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(b"")
    body = b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def test_a_plain_photo_keeps_its_pixels_and_name(tmp_path: Path, pixels: np.ndarray) -> None:
    write_png(tmp_path / "someone.png", pixels)
    photo = read_photo(tmp_path / "someone.png")
    assert np.array_equal(photo.pixels, pixels)
    assert photo.alpha is None
    assert photo.focal is None
    assert photo.name == "someone"
    assert photo.size == (WIDTH, HEIGHT)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(tmp_path: Path, pixels: np.ndarray, orientation: int) -> None:
    stored_from_upright = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.swapaxes(0, 1),
        6: np.rot90,
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(np.ascontiguousarray(stored_from_upright[orientation](pixels))).save(tmp_path / "turned.png", exif=exif)
    assert np.array_equal(read_photo(tmp_path / "turned.png").pixels, pixels)


@pytest.mark.parametrize("orientation", [1, 6])
def test_focal_length_from_the_film_equivalent(tmp_path: Path, pixels: np.ndarray, orientation: int) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = 28
    Image.fromarray(pixels).save(tmp_path / "phone.jpg", exif=exif)
    assert read_photo(tmp_path / "phone.jpg").focal == pytest.approx(28 * np.hypot(WIDTH, HEIGHT) / FILM_DIAGONAL)


def test_focal_length_from_the_sensor(tmp_path: Path, pixels: np.ndarray) -> None:
    exif = Image.Exif()
    tags = exif.get_ifd(ExifTags.IFD.Exif)
    tags[ExifTags.Base.FocalLength] = 50.0
    tags[ExifTags.Base.FocalPlaneXResolution] = 2 * WIDTH / 36 * 10  # pixels a centimetre of a picture of twice the size, 36 mm wide
    tags[ExifTags.Base.FocalPlaneResolutionUnit] = 3
    tags[ExifTags.Base.ExifImageWidth] = 2 * WIDTH
    tags[ExifTags.Base.ExifImageHeight] = 2 * HEIGHT
    Image.fromarray(pixels).save(tmp_path / "reflex.jpg", exif=exif)
    assert read_photo(tmp_path / "reflex.jpg").focal == pytest.approx(50 * WIDTH / 36, rel=1e-3)


@pytest.mark.parametrize(("film", "full_size"), [(0, None), (3000, None), (28, (WIDTH, WIDTH))])
def test_a_focal_length_that_cannot_be_right_is_not_believed(
    tmp_path: Path, pixels: np.ndarray, film: int, full_size: tuple[int, int] | None
) -> None:
    exif = Image.Exif()
    tags = exif.get_ifd(ExifTags.IFD.Exif)
    tags[ExifTags.Base.FocalLengthIn35mmFilm] = film
    if full_size:
        tags[ExifTags.Base.ExifImageWidth], tags[ExifTags.Base.ExifImageHeight] = full_size
    Image.fromarray(pixels).save(tmp_path / "odd.jpg", exif=exif)
    assert read_photo(tmp_path / "odd.jpg").focal is None


@pytest.mark.parametrize("ending", ["png", "tif"])
def test_sixteen_bit_grey_keeps_its_whole_range(tmp_path: Path, ending: str) -> None:
    ramp = np.linspace(0, 65535, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH)
    Image.fromarray(ramp.astype(np.uint16)).save(tmp_path / f"deep.{ending}")
    photo = read_photo(tmp_path / f"deep.{ending}")
    assert np.abs(photo.pixels[..., 1].astype(float) - ramp / 257).max() <= 0.51


def test_float_grey_from_zero_to_one(tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, WIDTH * HEIGHT, dtype=np.float32).reshape(HEIGHT, WIDTH)
    Image.fromarray(ramp).save(tmp_path / "float.tif")
    assert np.abs(read_photo(tmp_path / "float.tif").pixels[..., 0] - ramp * 255).max() <= 0.51


@pytest.mark.parametrize("mode", ["L", "1", "LA", "P", "RGBA", "CMYK"])
def test_other_colour_modes(tmp_path: Path, pixels: np.ndarray, mode: str) -> None:
    ending = "tif" if mode == "CMYK" else "png"
    colour = Image.fromarray(pixels)
    converted = colour.quantize(8) if mode == "P" else colour.convert("L" if mode == "LA" else "RGB").convert(mode)
    converted.save(tmp_path / f"photo.{ending}")
    photo = read_photo(tmp_path / f"photo.{ending}")
    assert photo.pixels.shape == pixels.shape
    assert photo.pixels.dtype == np.uint8
    assert photo.alpha is None
    expected = grey_of(pixels)[..., None] if mode in ("L", "LA") else pixels
    if mode != "1":
        assert np.abs(photo.pixels.astype(int) - expected).max() <= 3


def test_a_cmyk_jpeg_is_not_negative(tmp_path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).convert("CMYK").save(tmp_path / "print.jpg", quality=98)
    middle = read_photo(tmp_path / "print.jpg").pixels[8:24, 8:16].reshape(-1, 3).mean(0)
    assert np.abs(middle - (200, 40, 40)).max() < 12


def test_lab_pixels(tmp_path: Path, pixels: np.ndarray) -> None:
    lab = ImageCms.profileToProfile(
        Image.fromarray(pixels), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
    )
    lab.save(tmp_path / "lab.tif")
    assert np.abs(read_photo(tmp_path / "lab.tif").pixels.astype(int) - pixels).max() <= 6


def test_an_icc_profile_is_honoured(tmp_path: Path, pixels: np.ndarray) -> None:
    identity = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    red, green = identity.index(b"rXYZ"), identity.index(b"gXYZ")
    swapped = bytearray(identity)
    swapped[red : red + 4], swapped[green : green + 4] = b"gXYZ", b"rXYZ"
    Image.fromarray(pixels).save(tmp_path / "swapped.png", icc_profile=bytes(swapped))
    assert np.abs(read_photo(tmp_path / "swapped.png").pixels.astype(int) - pixels[..., [1, 0, 2]]).max() <= 3


def test_a_broken_icc_profile_does_no_harm(tmp_path: Path, pixels: np.ndarray) -> None:
    Image.fromarray(pixels).save(tmp_path / "odd.png", icc_profile=b"no profile at all")
    assert np.array_equal(read_photo(tmp_path / "odd.png").pixels, pixels)


def test_only_the_first_frame_of_an_animation(tmp_path: Path, pixels: np.ndarray) -> None:
    frames = [Image.fromarray(pixels), Image.fromarray(255 - pixels)]
    frames[0].save(tmp_path / "film.webp", save_all=True, append_images=frames[1:], lossless=True)
    assert np.array_equal(read_photo(tmp_path / "film.webp").pixels, pixels)
    frames[0].save(tmp_path / "film.gif", save_all=True, append_images=frames[1:])
    assert np.abs(read_photo(tmp_path / "film.gif").pixels.astype(int) - pixels).max() < 30


def test_what_lies_under_a_transparent_background_is_not_seen(tmp_path: Path, pixels: np.ndarray) -> None:
    alpha = np.zeros((HEIGHT, WIDTH), np.uint8)
    alpha[16:48, 12:36] = 255
    write_png(tmp_path / "cut.png", np.dstack([pixels, alpha]))
    photo = read_photo(tmp_path / "cut.png")
    assert photo.alpha is not None
    assert np.array_equal(photo.alpha, alpha)
    assert (photo.pixels[alpha == 0] == NEUTRAL).all()
    assert np.array_equal(photo.pixels[alpha == 255], pixels[alpha == 255])


def test_palette_transparency(tmp_path: Path, pixels: np.ndarray) -> None:
    paletted = Image.fromarray(pixels).quantize(4)
    clear = int(np.array(paletted)[0, 0])
    paletted.save(tmp_path / "cut.gif", transparency=clear)
    photo = read_photo(tmp_path / "cut.gif")
    assert photo.alpha is not None
    assert photo.alpha[0, 0] == 0
    assert (photo.pixels[0, 0] == NEUTRAL).all()


def test_half_coverage_is_halfway_to_grey() -> None:
    colour, alpha = np.full((1, 1, 3), 28, np.uint8), np.full((1, 1), 51, np.uint8)
    assert over_grey(colour, alpha)[0, 0, 0] == round(28 * 0.2 + NEUTRAL * 0.8)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "empty"), (b"Dear diary,", "not a picture"), (b"\x89PNG\r\n\x1a\nbut then", "not a picture|damaged"), (None, "does not exist")],
)
def test_what_is_no_picture(tmp_path: Path, content: bytes | None, says: str) -> None:
    if content is not None:
        (tmp_path / "photo.jpg").write_bytes(content)
    with pytest.raises(CarveError, match=says) as error:
        read_photo(tmp_path / "photo.jpg")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif", "gif"])
def test_truncated_pictures(tmp_path: Path, ending: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    path = tmp_path / f"photo.{ending}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(CarveError, match=r"damaged or cut off|not a picture"):
        read_photo(path)


@pytest.mark.parametrize("side", [(20_000, 10_000), (12_000, 9_000)])
def test_a_huge_picture_is_refused_before_it_is_decoded(tmp_path: Path, side: tuple[int, int]) -> None:
    header_only_png(tmp_path / "huge.png", *side)
    with pytest.raises(CarveError, match="more than 100 megapixels"):
        read_photo(tmp_path / "huge.png")


def test_a_tiny_picture_a_folder_and_nothing_visible(tmp_path: Path) -> None:
    write_png(tmp_path / "dot.png", np.zeros((8, 8, 3), np.uint8))
    write_png(tmp_path / "clear.png", np.zeros((64, 64, 4), np.uint8))
    with pytest.raises(CarveError, match="only 8 x 8 pixels"):
        read_photo(tmp_path / "dot.png")
    with pytest.raises(CarveError, match="fully transparent"):
        read_photo(tmp_path / "clear.png")
    with pytest.raises(CarveError, match="is a folder"):
        read_photo(tmp_path)


def test_a_mask_comes_back_as_it_was_written(tmp_path: Path) -> None:
    soft = np.tile(np.linspace(0, 255, WIDTH).astype(np.uint8), (HEIGHT, 1))
    write_png(tmp_path / "mask.png", soft)
    mask = read_mask(tmp_path / "mask.png", (WIDTH, HEIGHT))
    assert mask.dtype == np.float32
    assert np.array_equal(np.round(mask * 255), soft)


def test_a_mask_of_another_size_names_both_sizes(tmp_path: Path) -> None:
    write_png(tmp_path / "mask.png", np.full((HEIGHT, WIDTH), 255, np.uint8))
    with pytest.raises(CarveError, match="48 x 64 pixels but the photo is 96 x 128"):
        read_mask(tmp_path / "mask.png", (96, 128))


def test_a_black_mask_is_refused(tmp_path: Path) -> None:
    write_png(tmp_path / "mask.png", np.zeros((HEIGHT, WIDTH), np.uint8))
    with pytest.raises(CarveError, match="is empty"):
        read_mask(tmp_path / "mask.png", (WIDTH, HEIGHT))


@pytest.mark.parametrize("kind", ["EPS", "PCX", "ICO", "TGA", "PPM", "DDS"])
def test_formats_that_are_not_listed_are_never_opened(tmp_path: Path, pixels: np.ndarray, kind: str) -> None:
    path = tmp_path / "photo.jpg"
    Image.fromarray(pixels).save(path, kind)
    with pytest.raises(CarveError, match="not a picture that can be read"):
        read_photo(path)


def test_avif_is_read_upright(tmp_path: Path, pixels: np.ndarray) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    Image.fromarray(np.rot90(pixels).copy()).save(tmp_path / "a.avif", exif=exif, quality=95)
    assert np.median(np.abs(read_photo(tmp_path / "a.avif").pixels.astype(int) - pixels)) < 12


def test_heic_is_read(pixels: np.ndarray) -> None:
    pytest.importorskip("pi_heif")
    found = read_photo(Path(__file__).parents[1] / "cases" / "quarters.heic").pixels.astype(int)
    assert np.median(np.abs(found - pixels)) < 12


def test_heic_without_its_reader_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pi_heif", None)
    (tmp_path / "a.heic").write_bytes(b"\x00\x00\x00\x18ftypheic" + bytes(200))
    with pytest.raises(CarveError, match=r"pip install 'carve\[heic\]'"):
        read_photo(tmp_path / "a.heic")


def test_a_large_picture_of_nothing_is_refused_from_its_header(tmp_path: Path) -> None:
    header_only_png(tmp_path / "bomb.png", 9999, 9999)
    with pytest.raises(CarveError, match="declares 100 megapixels and holds only 0 KiB"):
        read_photo(tmp_path / "bomb.png")


def test_films_behind_a_jpeg_and_previews_inside_it_are_no_scans(tmp_path: Path, pixels: np.ndarray) -> None:
    path = tmp_path / "moving.jpg"
    Image.fromarray(pixels).save(path, comment=b"\xff\xda" * 300)
    path.write_bytes(path.read_bytes() + b"ftypmp42" + b"\xff\xda\x00\x08" * 300)
    assert read_photo(path).size == pixels.shape[1::-1]


def runs(width: int, height: int) -> bytes:
    """A BMP compressed by runs (BI_RLE8) of so many pixels, a run a row."""
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 8, 1, 2, 2835, 2835, 2, 0)
    palette, data = bytes(4) + b"\0\0\xff\0", (bytes([width % 256, 1]) + b"\0\0") * height + b"\0\1"
    start = 14 + len(info) + len(palette)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + info + palette + data


def test_large_bmps_compressed_by_runs_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "small.bmp").write_bytes(runs(40, 40))
    assert read_photo(tmp_path / "small.bmp").size == (40, 40)
    monkeypatch.setattr(Image.Image, "load", None)  # which decodes
    monkeypatch.setattr(ImageFile.ImageFile, "load", None)
    (tmp_path / "large.bmp").write_bytes(runs(3000, 3000))
    with pytest.raises(CarveError, match=r"large\.bmp is a large BMP"):
        read_photo(tmp_path / "large.bmp")
    (tmp_path / "mask.bmp").write_bytes(runs(1500, 1500))
    with pytest.raises(CarveError, match="1500 x 1500 pixels but the photo is 40 x 60"):
        read_mask(tmp_path / "mask.bmp", (40, 60))


def test_a_jpeg_of_very_many_scans_is_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    path = tmp_path / "scans.jpg"
    Image.fromarray(pixels).save(path, progressive=True)
    data = path.read_bytes()
    start = data.rindex(b"\xff\xda")
    path.write_bytes(data[:start] + data[start:-2] * 200 + data[-2:])
    with pytest.raises(CarveError, match="over 100 scans"):
        read_photo(path)


@pytest.mark.parametrize("orientation", [1, 6, 4])
@pytest.mark.parametrize("mode", ["RGBA", "LA", "CMYK", "I;16", "L"])
def test_strips_give_what_the_whole_gives(
    tmp_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch, mode: str, orientation: int
) -> None:
    path = tmp_path / "a.tif"
    grey = grey_of(pixels)
    image = Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(pixels).convert(mode)
    if mode.endswith("A"):
        image.putalpha(Image.fromarray(grey))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image.save(path, exif=exif)
    whole = read_photo(path)
    monkeypatch.setattr("carve.io.image._STRIP_PIXELS", 5 * WIDTH)
    strips = read_photo(path)
    assert np.array_equal(whole.pixels, strips.pixels)
    assert whole.alpha is None if not mode.endswith("A") else np.array_equal(whole.alpha, strips.alpha)  # type: ignore[arg-type]
    size = strips.size
    np.testing.assert_array_equal(read_mask(path, size), read_mask(path, size))


def test_a_name_that_is_no_text_becomes_text(tmp_path: Path, pixels: np.ndarray) -> None:
    path = tmp_path / os.fsdecode(b"a\xff\n.png")
    write_png(path, pixels)
    assert read_photo(path).name == "a\\xff\\n"
