"""Short films of rendered frames."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
from PIL import Image

from carve.files.whole import check_place, whole
from carve.records import CarveError


def check_ending(path: Path) -> None:
    """Raise a CarveError if `write_video` cannot write a film of this name."""
    if path.suffix.lower() not in (".gif", ".mp4"):
        raise CarveError(f"cannot write a film to {path}: its name must end in .gif or .mp4")
    check_place(path)


def write_video(path: Path, frames: list[np.ndarray], fps: float) -> None:
    """Write frames (h, w, 3) uint8 sRGB, all of one size, as an endless GIF or as an MP4, by the file's ending; whole or not at all."""
    check_ending(path)
    with whole(path) as pending:
        if path.suffix.lower() == ".mp4":
            _write_mp4(pending, frames, fps)
            return
        # One palette for all frames, so that still parts do not flicker.
        middle = Image.fromarray(np.concatenate(frames[:: max(1, len(frames) // 8)]))
        palette = middle.quantize(255, method=Image.Quantize.MEDIANCUT)
        pictures = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
        pictures[0].save(pending, "GIF", save_all=True, append_images=pictures[1:], duration=round(1000 / fps), loop=0, optimize=False)


def _write_mp4(path: Path, frames: list[np.ndarray], fps: float) -> None:
    """MPEG-4 by OpenCV; odd rows and columns are cut off, which the codec does not take.

    OpenCV says nothing of a disk that is full, so the film is opened again and its frames are counted.
    """
    import cv2

    height, width = (side // 2 * 2 for side in frames[0].shape[:2])
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
    if not writer.isOpened():
        raise CarveError(f"cannot write {path.parent}: no encoder for MP4 is installed; try a name that ends in .gif")
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[:height, :width, ::-1]))
    writer.release()
    written = cv2.VideoCapture(str(path))
    count = int(written.get(cv2.CAP_PROP_FRAME_COUNT)) if written.isOpened() else 0
    written.release()
    if count < len(frames):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
