"""Pictures in and out. Whatever the file holds, a Photo is upright 8-bit sRGB without alpha.

Notation: f focal length in pixels, f35 its 35 mm equivalent, d the picture's diagonal in pixels.
    f = f35 d / 43.27 mm
"""

from __future__ import annotations

import io
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image, ImageCms, ImageOps, UnidentifiedImageError

from carve.geometry.camera import focal_from_equivalent
from carve.records import CarveError, Photo

MAX_PIXELS = 100_000_000
"""A larger picture is refused before it is decoded."""
MIN_SIDE = 32
"""No person can be made out in a smaller picture, pixels."""
NEUTRAL = 128
"""Grey that a transparent background becomes, sRGB."""

_DECODER_ERRORS = (OSError, SyntaxError, ValueError, EOFError, IndexError, OverflowError, struct.error, zlib.error)
"""What Pillow's decoders raise on damaged files."""


def read_photo(path: Path) -> Photo:
    """Decode a picture file: first frame, EXIF orientation applied, colours to sRGB, a transparent background to grey."""
    image = _open(path, "photo")
    focal = exif_focal(image)
    upright = _upright(image, path)
    if min(upright.size) < MIN_SIDE:
        raise CarveError(f"The photo {path} is only {upright.width} x {upright.height} pixels; {MIN_SIDE} a side is the least.")
    colour, alpha = _colour_and_alpha(upright, path)
    if alpha is not None and not alpha.any():
        raise CarveError(f"The photo {path} is fully transparent; there is nothing to see in it.")
    return Photo(over_grey(colour, alpha), alpha, focal, path.stem)


def read_mask(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Decode a mask of a photo of `size` (width, height): (H, W) float32 0..1, from alpha if the file has some, else from brightness."""
    upright = _upright(_open(path, "mask"), path)
    if upright.size != size:
        raise CarveError(
            f"The mask {path} is {upright.width} x {upright.height} pixels but the photo is {size[0]} x {size[1]}; they must be equal."
        )
    colour, alpha = _colour_and_alpha(upright, path)
    coverage = alpha if alpha is not None else colour.mean(-1)
    if coverage.max() < 128:
        raise CarveError(f"The mask {path} is empty; the person must be white in it.")
    return (coverage / 255).astype(np.float32)


def write_png(path: Path, pixels: np.ndarray) -> None:
    """Write (H, W) or (H, W, 3) uint8 as PNG."""
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, "PNG", compress_level=3)


def over_grey(colour: np.ndarray, alpha: np.ndarray | None) -> np.ndarray:
    """Composite straight colour (H, W, 3) uint8 with coverage (H, W) uint8 over neutral grey.

    What a file holds under alpha 0 may be anything, often the background that somebody took care to remove.
    """
    if alpha is None:
        return colour
    share = alpha[..., None].astype(np.float32) / 255
    return np.round(colour * share + NEUTRAL * (1 - share)).astype(np.uint8)


def exif_focal(image: Image.Image) -> float | None:
    """Focal length in pixels of the picture as it is stored, if its EXIF gives one that can be right."""
    try:
        exif = image.getexif().get_ifd(ExifTags.IFD.Exif)
    except _DECODER_ERRORS:
        return None
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
        unit = {3: 10.0, 4: 1.0, 5: 1e-3}.get(int(exif.get(tag.FocalPlaneResolutionUnit, 2)), 25.4)
        focal = millimetres * resolution / unit * (image.width / full_width if full_width else 1.0)
    else:
        return None
    return focal if 0.3 * diagonal < focal < 30 * diagonal else None


def _number(exif: dict[int, object], tag: int) -> float | None:
    """A positive EXIF number, or None; cameras write 0 for unknown."""
    try:
        value = float(exif[tag])  # type: ignore[arg-type]
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    return value if np.isfinite(value) and value > 0 else None


def _same_shape(a: tuple[float, float], b: tuple[float, float]) -> bool:
    """Whether two sizes have the same proportions, be it after a quarter turn."""
    return abs(max(a) / min(a) - max(b) / min(b)) < 0.02 * max(b) / min(b)


@contextmanager
def _decoding(path: Path, what: str) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large pictures and odd EXIF; both are dealt with here
            yield
    except FileNotFoundError as error:
        raise CarveError(f"The {what} {path} does not exist.") from error
    except PermissionError as error:
        raise CarveError(f"The {what} {path} may not be read; change its permissions.") from error
    except Image.DecompressionBombError as error:
        raise CarveError(_too_large(path, what)) from error
    except UnidentifiedImageError as error:
        raise CarveError(f"The {what} {path} is not a picture that can be read; convert it to JPEG or PNG.") from error
    except _DECODER_ERRORS as error:
        raise CarveError(f"The {what} {path} is damaged or cut off ({error}); get it again or save it anew.") from error


def _too_large(path: Path, what: str) -> str:
    return f"The {what} {path} has more than {MAX_PIXELS // 10**6} megapixels; make it smaller first."


def _open(path: Path, what: str) -> Image.Image:
    """Decode the first frame; the size is checked from the header before."""
    if path.is_dir():
        raise CarveError(f"The {what} {path} is a folder; give a picture file.")
    with _decoding(path, what):
        if path.stat().st_size == 0:
            raise CarveError(f"The {what} {path} is empty; get it again or save it anew.")
        image = Image.open(path)
        if image.width * image.height > MAX_PIXELS:
            raise CarveError(_too_large(path, what))
        image.load()
        return image


def _upright(image: Image.Image, path: Path) -> Image.Image:
    with _decoding(path, "picture"):
        return ImageOps.exif_transpose(image)


def _colour_and_alpha(image: Image.Image, path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Straight colour (H, W, 3) uint8 sRGB and coverage (H, W) uint8, None if opaque everywhere."""
    with _decoding(path, "picture"):
        if image.mode.startswith("I") or image.mode == "F":
            grey = _deep_grey(image)
            return np.repeat(grey[..., None], 3, axis=2), None
        if image.mode in ("P", "PA", "La", "RGBa") or "transparency" in image.info:
            image = image.convert("RGBA")
        alpha = np.array(image.getchannel("A")) if image.mode in ("LA", "RGBA") else None
        opaque = image.convert({"LA": "L", "RGBA": "RGB"}[image.mode]) if alpha is not None else image
        colour = np.array(_to_srgb(opaque))
    return colour, None if alpha is None or (alpha == 255).all() else alpha


def _deep_grey(image: Image.Image) -> np.ndarray:
    """Pixels of more than 8 bits, (H, W), to uint8: 16-bit whole numbers by their range, floats as 0..1."""
    values = np.asarray(image).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError("pixels that are not finite numbers")
    top = 1.0 if image.mode == "F" and values.max() <= 1 else 255.0 if image.mode in ("F", "I") and values.max() <= 255 else 65535.0
    return np.round(np.clip(values / top, 0, 1) * 255).astype(np.uint8)


def _to_srgb(image: Image.Image) -> Image.Image:
    """The picture in sRGB, through its ICC profile if it has one that works."""
    embedded: bytes = image.info.get("icc_profile") or b""
    if embedded or image.mode == "LAB":
        try:
            source = ImageCms.createProfile("LAB") if image.mode == "LAB" else ImageCms.ImageCmsProfile(io.BytesIO(embedded))
            converted = ImageCms.profileToProfile(image, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
            converted = None  # profiles are often broken or not of the pixels' colour space; the plain conversion is close
        if converted is not None:
            return converted
    return image.convert("RGB")
