"""What is exported: a skinned, textured mesh in its rest pose, free of any file format.

Letters in shapes: V vertices, F triangles, N split vertices, B bones, T texels along a side. Frame: body (+Y up, facing +Z, soles at 0).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np


@dataclass(frozen=True)
class Bones:
    """A skeleton as a file holds it: names of its program, axes along the bones."""

    names: tuple[str, ...]
    """B node names, parents before children."""
    sources: tuple[str, ...]
    """B names of the body model's bones that they come from."""
    parents: np.ndarray
    """(B,) int64, -1 for the root bone."""
    heads: np.ndarray
    """(B, 3) metres, rest pose."""
    axes: np.ndarray
    """(B, 3, 3) each bone's own axes as columns, rest pose: +Y runs along the bone."""
    humanoid: dict[str, str]
    """VRM 1.0 humanoid bone name -> node name."""
    twists: dict[str, str]
    """Leaf bone that takes half of a twist -> the bone whose twist it takes."""
    root: str
    """Name of the node on the ground that carries the root bone."""

    def index(self, humanoid: str) -> int:
        """Place of a humanoid bone in `names`."""
        return self.names.index(self.humanoid[humanoid])


@dataclass(frozen=True)
class FaceShape:
    """One way in which the face moves: offsets of a few vertices."""

    name: str
    vertices: np.ndarray
    """(n,) int64 rising indices of the vertices that move."""
    offsets: np.ndarray
    """(n, 3) metres, rest pose."""


Hanging = Literal["skirt", "hair"]
"""What may hang: cloth below the hips, or hair."""


@dataclass(frozen=True)
class Chain:
    """Bones that hang one below the other."""

    kind: Hanging
    bones: tuple[str, ...]
    """Their names, from the fixed end."""


@dataclass(frozen=True)
class Asset:
    """Everything that the formats are written from."""

    name: str
    vertices: np.ndarray
    """(V, 3) metres, rest pose."""
    normals: np.ndarray
    """(V, 3) unit."""
    faces: np.ndarray
    """(F, 3) int64, wound outward."""
    corner: np.ndarray
    """(N,) int64 vertex at each split vertex."""
    split_faces: np.ndarray
    """(F, 3) int64 into the split vertices, the same triangles."""
    uv: np.ndarray
    """(N, 2) origin at the top left."""
    bones: np.ndarray
    """(V, 4) int64 into the skeleton's bones."""
    weights: np.ndarray
    """(V, 4) rows sum to 1, strongest first."""
    confidence: np.ndarray
    """(V,) 0..1."""
    region: np.ndarray
    """(V,) uint8 index into `body.model.REGIONS`."""
    skeleton: Bones
    albedo: np.ndarray
    """(T, T, 3) uint8 sRGB."""
    seen: np.ndarray
    """(T, T) uint8: 255 where the photo gave the colour."""
    height: float
    """Metres from the soles to the crown, shoes and hair counted."""
    body_height: float
    """Metres, the person without shoes."""
    body_model: str
    shapes: tuple[FaceShape, ...] = ()
    inner: np.ndarray | None = None
    """(V,) bool: tongue and teeth, which are small in the texture; None if there are none."""
    normal_map: np.ndarray | None = None
    """(T, T, 3) uint8 tangent-space normals, +Y up (glTF)."""
    tangents: np.ndarray | None = None
    """(N, 4) unit tangent and handedness at the split vertices."""
    chains: tuple[Chain, ...] = ()
    licences: list[dict[str, str]] | dict[str, str] = field(default_factory=list)
    copyright: str = ""
