"""A person of a data set, and how its published protocol looks at him.

Frame of a scan: metres, +Y up; it faces +Z where the data set says how people stand. Letters in shapes: V vertices, F triangles.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from carve.body.smpl import SmplBody
from carve.files.fence import fence
from carve.files.text import MAX_JSON, read_text
from carve.records import CarveError

SHORTEST, TALLEST = 0.6, 2.6
"""Extents along the vertical between which a person's lies, metres; outstretched arms count."""
UNITS = {"metres": 1.0, "centimetres": 0.01, "millimetres": 0.001}


@dataclass(frozen=True)
class Surface:
    """A mesh with its colour."""

    vertices: np.ndarray
    """(V, 3)."""
    faces: np.ndarray
    """(F, 3) int64, wound outward."""
    uv: np.ndarray | None = None
    """(V, 2) origin top left."""
    texture: np.ndarray | None = None
    """(T, T', 3) uint8 sRGB."""
    colours: np.ndarray | None = None
    """(V, 3) uint8 sRGB, where there is no texture."""

    def moved(self, rotation: np.ndarray, shift: np.ndarray | float = 0.0, scale: float = 1.0) -> Surface:
        """The surface at `scale` (`rotation` x) + `shift`."""
        return replace(self, vertices=scale * self.vertices @ rotation.T + shift)


@dataclass(frozen=True)
class Photograph:
    """A picture that was taken of the person."""

    name: str
    picture: Path
    mask: Path
    """Grey, the person white."""
    intrinsic: np.ndarray
    """(3, 3) of computer vision's camera: +X right, +Y down, +Z forward."""
    extrinsic: np.ndarray
    """(3, 4) the scan's frame to that camera's."""


@dataclass(frozen=True)
class Scan:
    """A person of a data set."""

    name: str
    surface: Surface
    body: Surface | None = None
    """The naked body that the data set fitted into it."""
    joints: dict[str, np.ndarray] | None = None
    """Humanoid bone (VRM 1.0) -> (3,) place of its head, where a body model's file told."""
    photographs: tuple[Photograph, ...] = ()
    """Real ones; else the views of the protocol are rendered."""


@dataclass(frozen=True)
class Protocol:
    """The pictures that a published evaluation makes of a scan: parallel views about the vertical."""

    degrees: tuple[int, ...]
    """Turns about +Y of the side that faces the camera."""
    pixels: int
    """Along a side of the square picture."""
    source: str


@dataclass(frozen=True)
class Dataset:
    """A data set that can be read."""

    title: str
    names: Callable[[Path], Sequence[str]]
    """Of the people in a folder, as published lists name them. Raises CarveError for a folder of another layout."""
    read: Callable[[Path, str, SmplBody | None], Scan]
    """One of them, with the holder's body model if there is one. Raises CarveError that names what is missing."""
    protocol: Protocol


def unit_by_height(vertices: np.ndarray, what: str) -> float:
    """Metres in a unit of vertices (V, 3), +Y up: that in which a person has a person's height."""
    height = float(np.ptp(vertices[:, 1]))
    for metres in UNITS.values():
        if SHORTEST <= metres * height <= TALLEST:
            return metres
    raise CarveError(f"{what} is {height:.3g} units high, which is a person's height in neither {', '.join(UNITS)}.")


def listed(folder: Path, lists: Sequence[str], there: Sequence[str], what: str) -> list[str]:
    """Names of the first list (a text file, one a line, perhaps after `SET/`) that `folder` holds, else all that are `there`.

    Raises CarveError if there is nobody, or if a list names somebody who is not there.
    """
    if not there:
        raise CarveError(f"{folder} holds no {what}.")
    for name in lists:
        path = folder / name
        if path.is_file():
            with fence(f"The list {path}", "write a name a line, in UTF-8"):
                lines = read_text(path, MAX_JSON).splitlines()
            wanted = [line.strip().rpartition("/")[2] for line in lines if line.strip()]
            if not wanted:
                raise CarveError(f"{path} names nobody: write a name a line, or take the file away for all.")
            if missing := [one for one in wanted if one not in there]:
                raise CarveError(f"{path} names {missing[0]} (and {len(missing) - 1} more), which {folder} does not hold.")
            return wanted
    return sorted(there)
