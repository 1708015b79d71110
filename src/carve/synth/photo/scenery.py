"""What stands around the person in a photograph: panoramas that light them and pictures of places behind them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from carve.files.fence import fence
from carve.records import CarveError
from carve.synth.photo.lighting import Environment, load_environments


@dataclass(frozen=True)
class Scenery:
    """What stands around the person."""

    environments: tuple[Environment, ...]
    backgrounds: tuple[np.ndarray, ...]
    """(h, w, 3) uint8 sRGB pictures."""
    places: tuple[str, ...]
    """The name of each background's file without its ending; it begins with that of the panorama it was cut from, if any."""


def load_scenery(assets: Path) -> Scenery:
    """Panoramas of `assets`/hdri and pictures of `assets`/backgrounds (*.jpg)."""
    files = sorted((assets / "backgrounds").glob("*.jpg"))
    if not files:
        raise CarveError(f"There are no backgrounds (*.jpg) in {assets / 'backgrounds'}; point --assets at the asset pack.")
    return Scenery(load_environments(assets / "hdri"), tuple(_load_background(file) for file in files), tuple(file.stem for file in files))


def _load_background(file: Path) -> np.ndarray:
    with fence(f"The background {file}", "replace it"):
        picture = cv2.imread(str(file), cv2.IMREAD_COLOR_RGB)
    if picture is None:
        raise CarveError(f"The background {file} cannot be decoded; replace it.")
    return np.asarray(picture)
