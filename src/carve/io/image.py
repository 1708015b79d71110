"""Pictures in and out. Whatever the file holds, a Photo is upright 8-bit sRGB without alpha.

Only `FORMATS` are tried: Pillow knows many more, some of which start other programs. A picture is decoded once by its library and then
turned, converted and composited strip by strip, so that no second copy of it is held.

Notation: f focal length in pixels, f35 its 35 mm equivalent, d the picture's diagonal in pixels.
    f = f35 d / 43.27 mm
"""

from __future__ import annotations

import io
import mmap
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, UnidentifiedImageError

from carve.files.fence import fence
from carve.files.text import check_file, readable
from carve.files.whole import whole
from carve.geometry.camera import focal_from_equivalent
from carve.native_output import quiet
from carve.records import CarveError, Photo

FORMATS = ("JPEG", "PNG", "WEBP", "TIFF", "BMP", "GIF", "AVIF")
"""What is read, in Pillow's names; HEIF too where pi-heif is installed."""
MAX_BYTES = 1 << 30
"""A larger file is refused before it is read."""
MAX_PIXELS = 100_000_000
"""A larger picture is refused before it is decoded."""
MIN_SIDE = 32
"""No person can be made out in a smaller picture, pixels."""
NEUTRAL = 128
"""Grey that a transparent background becomes, sRGB."""

_STRIP_PIXELS = 1 << 21
_LEAST_BYTES = 1 / 400
"""Bytes a pixel below which a large file holds no photo: the best codecs take ten times as many, a single colour takes fewer."""
_LARGE_PIXELS = 12_000_000
_MAX_SCANS = 100
"""Of a progressive JPEG; a full pass over the picture each, and encoders make about ten."""
_MAX_SCANNED = 2_000_000_000
"""Pixels of all scans together: some 20 s of decoding."""
_MAX_SEGMENTS = 100_000
_MAX_RUNS = 4_000_000
"""Pixels of a BMP compressed by runs, which Pillow decodes in Python: a few seconds."""
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")
"""What begins a segment of a JPEG, or ends it; within a scan no other marker with a length stands."""
_MAX_PROFILE = 8 << 20
_HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1")


def read_photo(path: Path) -> Photo:
    """Decode a picture file: first frame, EXIF orientation applied, colours to sRGB, a transparent background to grey."""
    with _opened(path, "photo") as picture:
        width, height = picture.upright_size
        if min(width, height) < MIN_SIDE:
            raise CarveError(f"The photo {path} is only {width} x {height} pixels; {MIN_SIDE} a side is the least.")
        focal = exif_focal(picture.image)
        colour, alpha = _decoded(picture)
    if alpha is not None and not alpha.any():
        raise CarveError(f"The photo {path} is fully transparent; there is nothing to see in it.")
    return Photo(colour, alpha, focal, readable(path.stem))


def read_mask(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Decode a mask of a photo of `size` (width, height): (H, W) float32 0..1, from alpha if the file has some, else from brightness."""
    with _opened(path, "mask", size) as picture:
        if picture.upright_size != size:
            raise CarveError(_unequal(path, picture.upright_size, size))
        coverage = _coverage(picture)
    if coverage.max() < 128:
        raise CarveError(f"The mask {path} is empty; the person must be white in it.")
    coverage /= 255
    return coverage


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write (H, W) or (H, W, 3) uint8 as PNG, whole or not at all."""
    with whole(path) as pending:
        Image.fromarray(np.ascontiguousarray(pixels)).save(pending, "PNG", compress_level=3)


def over_grey(colour: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """Composite straight colour (H, W, 3) uint8 with coverage (H, W) uint8 over neutral grey.

    What a file holds under alpha 0 may be anything, often the background that somebody took care to remove.
    """
    if alpha is None:
        return colour
    share = alpha[..., None].astype(np.float32) / 255
    return np.round(colour * share + NEUTRAL * (1 - share)).astype(np.uint8)


def exif_focal(image: Image.Image) -> float | None:
    """Focal length in pixels of the picture as it is stored, if its EXIF gives one that can be right. Damaged EXIF gives none."""
    try:
        return _focal(image.getexif().get_ifd(ExifTags.IFD.Exif), image)
    except Exception:  # what the camera wrote beside the picture may be anything, and the picture is as good without it
        return None


def _focal(exif: dict[int, object], image: Image.Image) -> float | None:
    tag = ExifTags.Base
    full_width, full_height = _number(exif, tag.ExifImageWidth), _number(exif, tag.ExifImageHeight)
    diagonal = float(np.hypot(*image.size))
    if full_width and full_height and not _same_shape((full_width, full_height), image.size):
        return None  # cropped since it was taken, by an unknown part
    film, millimetres = _number(exif, tag.FocalLengthIn35mmFilm), _number(exif, tag.FocalLength)
    resolution = _number(exif, tag.FocalPlaneXResolution)
    if film:
        focal = focal_from_equivalent(image.size, film)
    elif millimetres and resolution:
        unit = {3: 10.0, 4: 1.0, 5: 1e-3}.get(int(_number(exif, tag.FocalPlaneResolutionUnit) or 2), 25.4)
        focal = millimetres * resolution / unit * (image.width / full_width if full_width else 1.0)
    else:
        return None
    return focal if 0.3 * diagonal < focal < 30 * diagonal else None


def _number(exif: dict[int, object], tag: int) -> float | None:
    """A positive EXIF number, or None; cameras write 0 for unknown."""
    try:
        value = float(exif[tag])  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None
    return value if np.isfinite(value) and value > 0 else None


def _same_shape(a: tuple[float, float], b: tuple[float, float]) -> bool:
    """Whether two sizes have the same proportions, be it after a quarter turn."""
    return abs(max(a) / min(a) - max(b) / min(b)) < 0.02 * max(b) / min(b)


_STORED_FROM_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.swapaxes(0, 1),
    6: np.rot90,
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}
"""EXIF orientation -> the view of an upright array (H, W, ...) that lies as the file stores it."""


@dataclass(frozen=True)
class _Picture:
    """A decoded picture as its file stores it."""

    image: Image.Image
    orientation: int
    """EXIF's, 1 to 8."""

    @property
    def upright_size(self) -> tuple[int, int]:
        """(width, height) after the orientation is applied."""
        width, height = self.image.size
        return (height, width) if self.orientation >= 5 else (width, height)

    def strips(self) -> Iterator[tuple[slice, Image.Image]]:
        """Rows as the file stores them, and the strip of the picture that they are."""
        width, height = self.image.size
        step = max(1, _STRIP_PIXELS // width)
        for top in range(0, height, step):
            bottom = min(top + step, height)
            yield slice(top, bottom), self.image.crop((0, top, width, bottom))


@contextmanager
def _opened(path: Path, what: str, size: tuple[int, int] | None = None) -> Iterator[_Picture]:
    """The first frame of a picture file, inside the fence until the block ends; the size is checked from the header before.

    With `size` (width, height) pictures of another, whichever side is up, are refused before they are decoded.
    """
    with fence(f"The {what} {path}"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow warns of large pictures and odd EXIF; both are dealt with here
        if path.is_dir():
            raise CarveError(f"The {what} {path} is a folder; give a picture file.")
        if check_file(path, MAX_BYTES) == 0:
            raise CarveError(f"The {what} {path} is empty; get it again or save it anew.")
        with path.open("rb") as file:
            head = file.read(32)
        try:
            image = Image.open(path, formats=_formats(head))
        except Image.DecompressionBombError as error:
            raise CarveError(_too_large(path, what)) from error
        except UnidentifiedImageError as error:
            raise CarveError(_unknown(path, what, head)) from error
        with image:
            if image.width * image.height > MAX_PIXELS:
                raise CarveError(_too_large(path, what))
            if size is not None and sorted(image.size) != sorted(size):
                raise CarveError(_unequal(path, image.size, size))
            if image.width * image.height > _MAX_RUNS and any(tile.codec_name == "bmp_rle" for tile in image.tile):
                raise CarveError(f"The {what} {path} is a large BMP compressed by runs, which takes minutes to read; save it as PNG.")
            most = min(_MAX_SCANS, _MAX_SCANNED // max(image.width * image.height, 1))
            if image.format in ("JPEG", "MPO") and _scans(path) > most:
                raise CarveError(f"The {what} {path} has over {most} scans, which no camera writes; save it anew as a plain JPEG.")
            if what == "photo":
                _check_filled(image, path)
            with quiet() if image.format == "TIFF" else nullcontext():  # libtiff tells of damage on its own
                image.load()
            yield _Picture(image, _orientation(image))  # some decoders turn the picture themselves, so this is asked last


def _formats(head: bytes) -> tuple[str, ...]:
    """What Pillow may try for a file that begins with `head`."""
    if head[4:8] != b"ftyp" or head[8:12] not in _HEIF_BRANDS:
        return FORMATS
    try:
        from pi_heif import register_heif_opener
    except ImportError:
        return FORMATS
    register_heif_opener(thumbnails=False)
    return (*FORMATS, "HEIF")


def _unknown(path: Path, what: str, head: bytes) -> str:
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS and len(_formats(head)) == len(FORMATS):
        return f"The {what} {path} is a HEIC picture; install what reads it with: pip install 'carve[heic]', or convert it to JPEG."
    return f"The {what} {path} is not a picture that can be read; convert it to JPEG or PNG."


def _unequal(path: Path, mask: tuple[int, int], photo: tuple[int, int]) -> str:
    return f"The mask {path} is {mask[0]} x {mask[1]} pixels but the photo is {photo[0]} x {photo[1]}; they must be equal."


def _too_large(path: Path, what: str) -> str:
    return f"The {what} {path} has more than {MAX_PIXELS // 10**6} megapixels; make it smaller first."


def _check_filled(image: Image.Image, path: Path) -> None:
    """Raise CarveError for a large photo whose file is far too small for one: it would only take memory."""
    pixels, size = image.width * image.height, path.stat().st_size
    if pixels > _LARGE_PIXELS and size < pixels * _LEAST_BYTES:
        raise CarveError(
            f"The photo {path} declares {pixels / 1e6:.0f} megapixels and holds only {size // 1024} KiB; it is damaged or no photo, "
            "get it again."
        )


def _scans(path: Path) -> int:
    """How many scans a JPEG's first picture has: previews inside its segments and the film that phones put behind it do not count."""
    at, scans = 2, 0
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for _ in range(_MAX_SEGMENTS):
            marker = _MARKER.search(data, at)
            if marker is None or marker[0] == b"\xff\xd9":
                return scans
            scans += marker[0] == b"\xff\xda"
            at = marker.end() + max(int.from_bytes(data[marker.end() : marker.end() + 2], "big"), 2)
    return _MAX_SCANS + 1


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 where there is none or it is damaged."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
        return value if value in _STORED_FROM_UPRIGHT else 1
    except Exception:  # as for the focal length: the picture is as good without
        return 1


def _decoded(picture: _Picture) -> tuple[np.ndarray, np.ndarray | None]:
    """Colour over grey (H, W, 3) uint8 sRGB and coverage (H, W) uint8, None if opaque everywhere."""
    width, height = picture.upright_size
    colour = np.empty((height, width, 3), np.uint8)
    alpha = np.empty((height, width), np.uint8) if _has_alpha(picture.image) else None
    stored = _STORED_FROM_UPRIGHT[picture.orientation]
    stored_colour, stored_alpha = stored(colour), None if alpha is None else stored(alpha)
    for rows, part, cover in _converted(picture):
        stored_colour[rows] = over_grey(part, cover)
        if stored_alpha is not None:
            stored_alpha[rows] = 255 if cover is None else cover
    return colour, None if alpha is None or (alpha == 255).all() else alpha


def _coverage(picture: _Picture) -> np.ndarray:
    """(H, W) float32 0..255: alpha if the picture is not opaque everywhere, else its brightness."""
    width, height = picture.upright_size
    brightness = np.empty((height, width), np.float32)
    alpha = np.empty((height, width), np.uint8) if _has_alpha(picture.image) else None
    stored = _STORED_FROM_UPRIGHT[picture.orientation]
    stored_brightness, stored_alpha = stored(brightness), None if alpha is None else stored(alpha)
    for rows, part, cover in _converted(picture):
        stored_brightness[rows] = part.mean(-1)
        if stored_alpha is not None:
            stored_alpha[rows] = 255 if cover is None else cover
    return brightness if alpha is None or (alpha == 255).all() else alpha.astype(np.float32)


def _has_alpha(image: Image.Image) -> bool:
    return image.mode in ("LA", "PA", "La", "RGBa", "RGBA") or "transparency" in image.info


def _converted(picture: _Picture) -> Iterator[tuple[slice, np.ndarray, np.ndarray | None]]:
    """Rows, straight colour (h, W, 3) uint8 sRGB and coverage (h, W) uint8 or None, strip by strip, as the file stores them."""
    image = picture.image
    if image.mode.startswith("I") or image.mode == "F":
        top = _white(picture)
        for rows, strip in picture.strips():
            grey = np.round(np.clip(np.asarray(strip).astype(np.float64) / top, 0, 1) * 255).astype(np.uint8)
            yield rows, np.repeat(grey[..., None], 3, axis=2), None
        return
    to_rgba = image.mode in ("P", "PA", "La", "RGBa") or "transparency" in image.info
    to_srgb: Callable[[Image.Image], Image.Image] | None = None
    for rows, strip in picture.strips():
        if to_rgba:
            strip.info = image.info
            strip = strip.convert("RGBA")
        alpha = np.array(strip.getchannel("A")) if strip.mode in ("LA", "RGBA") else None
        opaque = strip.convert({"LA": "L", "RGBA": "RGB"}[strip.mode]) if alpha is not None else strip
        to_srgb = to_srgb or _to_srgb(opaque, image.info.get("icc_profile") or b"")
        yield rows, np.asarray(to_srgb(opaque)), alpha


def _white(picture: _Picture) -> float:
    """What is white in a picture of more than 8 bits: of 16-bit whole numbers the end of their range, of floats 1 where none is larger."""
    largest = -np.inf
    for _, strip in picture.strips():
        values = np.asarray(strip)
        if not np.isfinite(values).all():
            raise ValueError("pixels that are not finite numbers")
        largest = max(largest, float(values.max()))
    mode = picture.image.mode
    return 1.0 if mode == "F" and largest <= 1 else 255.0 if mode in ("F", "I") and largest <= 255 else 65535.0


def _to_srgb(sample: Image.Image, embedded: bytes) -> Callable[[Image.Image], Image.Image]:
    """What turns pictures of the sample's mode into sRGB, through the ICC profile `embedded` if it works."""
    plain: Callable[[Image.Image], Image.Image] = lambda image: image.convert("RGB")  # noqa: E731
    if sample.mode != "LAB" and not 0 < len(embedded) <= _MAX_PROFILE:
        return plain
    try:
        source = ImageCms.createProfile("LAB") if sample.mode == "LAB" else ImageCms.ImageCmsProfile(io.BytesIO(embedded))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), sample.mode, "RGB")
        ImageCms.applyTransform(sample.crop((0, 0, 1, 1)), transform)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return plain  # profiles are often broken or not of the pixels' colour space; the plain conversion is close

    def through_profile(image: Image.Image) -> Image.Image:
        converted = ImageCms.applyTransform(image, transform)
        assert converted is not None
        return converted

    return through_profile
