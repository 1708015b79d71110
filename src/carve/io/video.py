"""Short films of rendered frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from carve.records import CarveError


def write_video(path: Path, frames: list[np.ndarray], fps: float) -> None:
    """Write frames (h, w, 3) uint8 sRGB, all of one size, as an endless GIF or as an MP4, by the file's ending."""
    ending = path.suffix.lower()
    try:
        if ending == ".gif":
            # One palette for all frames, so that still parts do not flicker.
            middle = Image.fromarray(np.concatenate(frames[:: max(1, len(frames) // 8)]))
            palette = middle.quantize(255, method=Image.Quantize.MEDIANCUT)
            pictures = [Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE) for frame in frames]
            pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=round(1000 / fps), loop=0, optimize=False)
        elif ending == ".mp4":
            _write_mp4(path, frames, fps)
        else:
            raise CarveError(f"cannot write a film to {path}: its name must end in .gif or .mp4")
    except OSError as error:
        raise CarveError(f"cannot write {path}: {error}") from error


def _write_mp4(path: Path, frames: list[np.ndarray], fps: float) -> None:
    """MPEG-4 by OpenCV; odd rows and columns are cut off, which the codec does not take."""
    import cv2

    height, width = (side // 2 * 2 for side in frames[0].shape[:2])
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
    if not writer.isOpened():
        raise CarveError(f"cannot write {path}: no encoder for MP4 or no such folder; try a name that ends in .gif")
    for frame in frames:
        writer.write(np.ascontiguousarray(frame[:height, :width, ::-1]))
    writer.release()
