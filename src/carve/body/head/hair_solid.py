"""Hair as a solid: slits between locks, neck and shoulders are closed, and no ring is left that one can see through.

What the implicit network makes of long hair is often a sheet that leaves the neck, or locks that meet again below. On a grid of voxels
around the head the solid is closed (dilated by r, then eroded by r) where hair is near, with a growing r until it has no tunnel.

Notation: O voxels inside the solid, B inside the body, A where something may be added; chi = b0 - b1 + b2 Euler number, components minus
tunnels plus cavities.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import manifold3d
import numpy as np
from scipy import ndimage
from skimage.measure import euler_number, label, marching_cubes

from carve.body.finishing import skin_faces, solid, solid_mesh
from carve.geometry.mesh import smooth
from carve.geometry.meshing.voxel_distance import distance_to
from carve.records import BodyFit

VOXEL = 0.005
"""Metres."""
_RADII = (0.01, 0.016, 0.024, 0.034)
"""Of the closing, metres; the first is always used."""
_HAIR = 0.012
"""What is farther than this from the body is hair, or what else a head wears, metres."""
_BESIDE = 0.03
"""Something is added only so near to hair, metres."""
_FACE = 0.055
"""Half the width of the strip before the face where nothing is added, metres."""

_SEAM = 0.01
"""Surface within this distance of what was added is smoothed, half as much at one and a half times it, metres."""
_ROUNDS = 30


@dataclass(frozen=True)
class _Box:
    """A grid of voxels, indexed (y, z, x)."""

    low: np.ndarray
    """(3,) canonical x, y, z of the corner."""
    shape: tuple[int, int, int]

    def inside(self, made: manifold3d.Manifold) -> np.ndarray:
        """Which voxels' middles lie in a solid: its horizontal slices, drawn."""
        grid = np.zeros(self.shape, np.uint8)
        # Slices are taken at constant z: x stays, z becomes -y, y becomes z.
        upright = made.rotate((90.0, 0.0, 0.0))
        for row in range(len(grid)):
            loops = upright.slice(float(self.low[1] + (row + 0.5) * VOXEL)).to_polygons()
            # In sixteenths of a voxel, from the first one's middle.
            at = [16 * ((loop * [1, -1] - self.low[[0, 2]]) / VOXEL - 0.5) for loop in loops]
            if at:
                cv2.fillPoly(grid[row], [np.round(loop).astype(np.int32) for loop in at], 1, shift=4)
        return grid.astype(bool)

    def places(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """x (1, 1, nx), y (ny, 1, 1) and z (1, nz, 1) of the voxels' middles."""
        ny, nz, nx = self.shape
        along = [self.low[k] + (np.arange(n) + 0.5) * VOXEL for k, n in ((0, nx), (1, ny), (2, nz))]
        return along[0][None, None], along[1][:, None, None], along[2][None, :, None]


def with_solid_hair(whole: manifold3d.Manifold, body: BodyFit, chin: float) -> manifold3d.Manifold:
    """The solid with its hair closed; unchanged where nothing stands off the head. `chin` is the height of the face's lower end, metres."""
    box = _head_box(body)
    o, b = box.inside(whole), box.inside(solid(body.canonical, skin_faces(body)))
    hair = o & (distance_to(b) * VOXEL > _HAIR)
    if hair.sum() < 50:
        return whole
    x, y, z = box.places()
    heads, names, humanoid = body.skeleton.heads, body.skeleton.names, body.skeleton.humanoid
    head = heads[names.index(humanoid["head"])]
    # Before the face, and out on the arms, nothing is hair.
    face = (np.abs(x - head[0]) < _FACE) & (z > head[2]) & (y > chin - 0.05)
    allowed = (distance_to(hair) * VOXEL < _BESIDE) & ~face
    added = _closing(o, allowed)
    if not added.any():
        return whole
    made = _united(whole, o, added, box)
    # What is finer than a voxel may leave a new ring where old hair and new meet.
    return made if _handles(made) <= _handles(whole) else whole


def _handles(made: manifold3d.Manifold) -> int:
    """Of the largest piece; others are cavities."""
    return int(max(made.decompose(), key=lambda part: part.num_vert()).genus())


def _head_box(body: BodyFit) -> _Box:
    """From the chest up."""
    heads, names, humanoid = body.skeleton.heads, body.skeleton.names, body.skeleton.humanoid
    chest, head = (heads[names.index(humanoid[name])] for name in ("upperChest", "head"))
    top = float(body.canonical[:, 1].max())
    low = np.array([head[0] - 0.22, chest[1] - 0.02, head[2] - 0.24])
    high = np.array([head[0] + 0.22, top + 0.12, head[2] + 0.22])
    nx, ny, nz = np.ceil((high - low) / VOXEL).astype(int)
    return _Box(low, (int(ny), int(nz), int(nx)))


def _closing(o: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Voxels to add to O, with the smallest closing that leaves no tunnel, or the largest tried."""
    outside = distance_to(np.pad(o, 8, mode="edge")) * VOXEL
    core = (slice(8, -8),) * 3
    added = np.zeros_like(o)
    for radius in _RADII:
        closed = distance_to(outside > radius) * VOXEL > radius
        added = closed[core] & allowed & ~o
        if tunnels(o | added) == 0:
            break
    return added


def tunnels(o: np.ndarray) -> int:
    """b1 of a set of voxels that touch by corners; what lies around the grid is empty."""
    padded = np.pad(o, 1)
    pieces = int(label(padded, connectivity=3).max())
    cavities = int(label(~padded, connectivity=1).max()) - 1
    return pieces + cavities - int(euler_number(padded, connectivity=3))


def _united(whole: manifold3d.Manifold, o: np.ndarray, added: np.ndarray, box: _Box) -> manifold3d.Manifold:
    """The solid united with the added voxels, which reach two voxels into it."""
    rooted = added | (ndimage.binary_dilation(added, iterations=2) & o)
    density = ndimage.gaussian_filter(np.pad(rooted, 3).astype(np.float32), 1.0)
    points, faces, _, _ = marching_cubes(density, 0.5)
    y, z, x = ((points[:, k] - 3 + 0.5) * VOXEL for k in range(3))
    vertices = np.column_stack([x, y, z]) + box.low
    # Of the axes' order (y, z, x), an even permutation of (x, y, z), the triangles keep their sense.
    plug = manifold3d.Manifold(manifold3d.Mesh(vert_properties=vertices.astype(np.float32), tri_verts=faces[:, ::-1].astype(np.uint32)))
    if plug.volume() < 0:
        plug = manifold3d.Manifold(manifold3d.Mesh(vert_properties=vertices.astype(np.float32), tri_verts=faces.astype(np.uint32)))
    return _smoothed(whole + plug, added, box)


def _smoothed(made: manifold3d.Manifold, added: np.ndarray, box: _Box) -> manifold3d.Manifold:
    """The solid with the seams of what was added evened out."""
    vertices, faces = solid_mesh(made)
    away = distance_to(added) * VOXEL
    at = ((vertices - box.low) / VOXEL - 0.5)[:, [1, 2, 0]].T
    near = np.clip(2 - ndimage.map_coordinates(away, at, order=1, mode="nearest") / _SEAM, 0, 1)
    near *= ((at > -1) & (at < np.array(box.shape)[:, None])).all(0)
    even = smooth(vertices, faces, _ROUNDS, 0.5, -0.51)
    return solid(vertices + near[:, None] * (even - vertices), faces)
