"""Normal maps from pictures, in the encoding in which OUT/normals_front.png and normals_back.png are written.

Notation: c the value of a channel, top its largest (255 or 65535), n the normal.
    n = 2 c / top - 1
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from carve.files.fence import fence
from carve.files.png import check_png
from carve.files.text import read_bytes
from carve.io.image import MAX_BYTES, MAX_PIXELS
from carve.native_output import quiet
from carve.records import CarveError

Facing = Literal["front", "back"]
"""Whether a map holds the nearest surface or the farthest, both as the camera's pixels cut them."""

CONVENTION = "x right (red), y up (green), z towards the camera (blue), each as (n + 1) / 2"
"""How carve writes and reads normals, for people."""

_LENGTH_SLACK = 0.5
"""A colour whose vector is further from length 1 is background: black and white have length 1.73, mid grey 0."""
_TYPICAL_SLACK = 0.1
"""Half of a map's vectors are nearer than this to length 1, or they are no normals; 8 bits alone cost 0.007."""
_FACING_SHARE = 0.75
"""Least share of the normals on the right side of the picture plane; in a true map it is nearly all."""
_OUTWARD = -0.2
"""Mean cosine at the outline below which an axis is the wrong way round; rendered people have 0.8 along x and 0.5 along y."""


def read_normals(path: Path, size: tuple[int, int], facing: Facing = "front") -> tuple[np.ndarray, np.ndarray]:
    """Decode a PNG of 8 or 16 bits, pixel for pixel the upright photo of `size` (width, height).

    Returns (H, W, 3) float32 unit normals in the camera frame, zero where there are none, and (H, W) bool where there are some. Pixels
    that are transparent, or whose vector is far from length 1 (black, white, mid grey), hold none.

    Raises CarveError if the file is not such a picture, is of another size, holds no normals, or follows another convention.
    """
    pixels = _decode(path, size)
    top = np.float32(np.iinfo(pixels.dtype).max)
    normals = pixels[..., 2::-1].astype(np.float32) * (2 / top) - 1  # OpenCV's order is blue, green, red
    length = np.linalg.norm(normals, axis=-1)
    mask = np.abs(length - 1) <= _LENGTH_SLACK
    if pixels.shape[2] == 4:
        mask &= pixels[..., 3] > 0
    if not mask.any():
        raise CarveError(f"The normal map {path} holds no normals; write {CONVENTION}.")
    if np.median(np.abs(length[mask] - 1)) > _TYPICAL_SLACK:
        raise CarveError(f"The colours of {path} are not unit normals; write {CONVENTION}, without gamma or colour management.")
    normals[mask] /= length[mask][:, None]
    normals[~mask] = 0
    check_convention(normals, mask, facing, str(path))
    return normals, mask


def check_convention(normals: np.ndarray, mask: np.ndarray, facing: Facing, source: str) -> None:
    """Raise CarveError if normals (H, W, 3) within `mask` (H, W) bool have an axis the wrong way round; `source` names them to the user.

    z must point to the side that the map shows. At its outline a closed surface is seen edge on, so x and y must point out of the mask
    there; a mask without an outline inside the picture leaves them unchecked.
    """
    z = normals[..., 2][mask]
    wrong = "z (blue)" if z.size and ((z > 0) if facing == "front" else (z < 0)).mean() < _FACING_SHARE else ""
    coverage = mask.astype(np.float32)
    for axis, name, outward in ((0, "x (red)", -np.gradient(coverage, axis=1)), (1, "y (green)", np.gradient(coverage, axis=0))):
        weight = np.abs(outward * mask).sum()
        if not wrong and weight > 0 and (normals[..., axis] * outward * mask).sum() < _OUTWARD * weight:
            wrong = name
    if wrong:
        raise CarveError(f"The {facing} normals of {source} have {wrong} the wrong way round; carve's are {CONVENTION}.")


def _decode(path: Path, size: tuple[int, int]) -> np.ndarray:
    """(H, W, 3 or 4) uint8 or uint16 in the order blue, green, red, alpha."""
    import cv2

    with fence(f"The normal map {path}", "save it anew"):
        data = read_bytes(path, MAX_BYTES)
        try:
            opened = Image.open(io.BytesIO(data), formats=("PNG",))
        except UnidentifiedImageError as error:
            raise CarveError(f"The normal map {path} is not a PNG picture; save it as PNG of 8 or 16 bits.") from error
        with opened as image:
            if image.size != size or image.width * image.height > MAX_PIXELS:
                sizes = f"{image.width} x {image.height} pixels but the photo is {size[0]} x {size[1]}"
                raise CarveError(f"The normal map {path} is {sizes}; they must be equal.")
            check_png(data, size)
            image.load()  # Pillow notices damage that OpenCV passes over
        with quiet():  # libpng tells of damage on its own
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)  # keeps 16 bits of colour where Pillow does not
    if pixels is None or pixels.ndim != 3 or pixels.shape[2] < 3:
        raise CarveError(f"The normal map {path} has no colours; write {CONVENTION}.")
    return pixels
