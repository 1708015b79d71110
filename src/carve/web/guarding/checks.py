"""What uploads must be. Runs in the doorman's process, and again in the worker."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

from carve.files.whole import whole
from carve.io.image import FORMATS, read_mask, read_photo
from carve.records import CarveError

SHOWN = 1600
"""Longest side of the photo as the page shows it, pixels."""
QUALITY = 88


@contextmanager
def told_as(path: Path, name: str) -> Iterator[None]:
    """Let errors speak of `name`: where a file lies here is nothing to tell a client."""
    try:
        yield
    except CarveError as error:
        text = str(error)
        for said in (f"{name} {path}", f"{name.lower()} {path}", str(path)):
            text = text.replace(said, name if text.startswith(said) else name.lower())
        raise CarveError(text) from None


def check_photo(path: Path, shown: Path, pixels: int) -> tuple[int, int]:
    """Decode a photo and write it upright and small enough for a page. (width, height) of the photo."""
    with told_as(path, "The photo"):
        _check_pixels(path, "photo", pixels)
        photo = read_photo(path)
    picture = Image.fromarray(photo.pixels)
    picture.thumbnail((SHOWN, SHOWN), Image.Resampling.LANCZOS)
    with whole(shown) as pending:
        picture.save(pending, "WEBP", quality=QUALITY, method=4)
    return photo.size


def sized_mask(path: Path, size: tuple[int, int]) -> np.ndarray:
    """(H, W) float32 0..1: a mask of the photo's size, or of its proportions and then brought to its size."""
    with told_as(path, "The mask"):
        own = _check_pixels(path, "mask", 4 * size[0] * size[1])
        if own == size or own is None or abs(own[0] * size[1] - own[1] * size[0]) > max(size):
            return read_mask(path, size)
        small = read_mask(path, own)
    picture = Image.fromarray(small).resize(size, Image.Resampling.BILINEAR)
    return np.clip(np.asarray(picture, np.float32), 0, 1)


def _check_pixels(path: Path, what: str, pixels: int) -> tuple[int, int] | None:
    """The size in the header, before anything is decoded; None if it is for the real reader to say what is wrong."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            with Image.open(path, formats=FORMATS) as picture:
                size = picture.size
        except Exception:  # the reader inside its fence says what it is
            return None
    if size[0] * size[1] > pixels:
        raise CarveError(f"The {what} has {size[0] * size[1] / 1e6:.0f} megapixels; {pixels / 1e6:.0f} are the most here.")
    return size
