"""A figure of capsules whose colours are known everywhere, photographed by our own rasteriser."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from skimage.measure import marching_cubes

from carve.body.model import REGIONS
from carve.geometry.camera import Camera
from carve.geometry.mesh import vertex_normals
from carve.geometry.raster import rasterise
from carve.geometry.unwrapping.atlas import Atlas, texels
from carve.records import CanonicalSurface, Landmarks, Observation, Photo, Pose, PosedSurface, Skeleton, TexturedSurface
from carve.stages.texture import Params, bake_texture

PARAMS = Params(size=512)
BACKGROUND = np.array([255, 0, 255], np.uint8)
Colour = Callable[[np.ndarray], np.ndarray]

LIMBS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float], float]] = {
    "torso": ((0, 0.95, 0), (0, 1.35, 0), 0.16),
    "head": ((0, 1.55, 0), (0, 1.68, 0), 0.11),
    "left_upper_arm": ((0.18, 1.4, 0), (0.45, 1.4, 0), 0.06),
    "left_lower_arm": ((0.45, 1.4, 0), (0.7, 1.4, 0), 0.055),
    "left_hand": ((0.7, 1.4, 0), (0.82, 1.4, 0), 0.05),
    "left_upper_leg": ((0.12, 0.9, 0), (0.25, 0.5, 0), 0.09),
    "left_lower_leg": ((0.25, 0.5, 0), (0.38, 0.1, 0), 0.07),
    "left_foot": ((0.38, 0.08, 0), (0.38, 0.08, 0.14), 0.06),
}
"""Ends and radius of the capsule of each region of the trunk and the left side; metres, body frame."""

BONES = {
    "Eye": (0.032, 1.64, 0.085),
    "UpperArm": (0.18, 1.4, 0.0),
    "LowerArm": (0.45, 1.4, 0.0),
    "Hand": (0.7, 1.4, 0.0),
    "UpperLeg": (0.12, 0.9, 0.0),
    "Foot": (0.38, 0.1, 0.0),
}


def capsules() -> list[tuple[int, np.ndarray, np.ndarray, float]]:
    found = []
    for name, (a, b, radius) in LIMBS.items():
        found.append((REGIONS.index(name), np.array(a, float), np.array(b, float), radius))
        if name.startswith("left"):
            mirror = np.array([-1.0, 1.0, 1.0])
            found.append((REGIONS.index(name.replace("left", "right")), a * mirror, b * mirror, radius))
    return found


def distances(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distance (N,) to the figure and the nearest region (N,)."""
    best, region = np.full(len(points), np.inf), np.zeros(len(points), np.uint8)
    for index, a, b, radius in capsules():
        t = np.clip((points - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
        distance = np.linalg.norm(points - a - t[:, None] * (b - a), axis=1) - radius
        region[distance < best] = index
        best = np.minimum(best, distance)
    return best, region


def capsule_surface() -> CanonicalSurface:
    """The figure, 2 cm between vertices."""
    step, low = 0.02, np.array([-1.0, -0.1, -0.3])
    shape = (101, 98, 31)
    grid = low + step * np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1).reshape(-1, 3)
    vertices, faces, _, _ = marching_cubes(distances(grid)[0].reshape(shape), 0.0)
    vertices = vertices * step + low
    names = {f"{side}{bone}": np.array(at) * [sign, 1, 1] for side, sign in (("left", 1), ("right", -1)) for bone, at in BONES.items()}
    skeleton = Skeleton(tuple(names), np.full(len(names), -1), np.array(list(names.values())), {name: name for name in names})
    n = len(vertices)
    bones, weights = np.zeros((n, 4), np.int64), np.tile([1.0, 0, 0, 0], (n, 1))
    return CanonicalSurface(vertices, faces.astype(np.int64), skeleton, bones, weights, distances(vertices)[1], np.zeros(n), 0.0, 0.0)


@dataclass(frozen=True)
class Scene:
    observation: Observation
    posed: PosedSurface
    params: Params
    baked: TexturedSurface

    def texels(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Of every texel: canonical point, posed point, posed normal, colour, photo weight 0..255."""
        surface, baked = self.posed.canonical, self.baked
        grid = texels(Atlas(baked.corner, baked.faces, baked.uv, np.zeros(len(baked.faces), int)), self.params.size)
        normals = vertex_normals(self.posed.vertices, surface.faces)
        values = np.concatenate([surface.vertices, self.posed.vertices, normals], axis=1)
        mixed = grid.interpolate(values, surface.faces)
        return (
            mixed[:, :3],
            mixed[:, 3:6],
            mixed[:, 6:],
            baked.albedo.reshape(-1, 3)[grid.index].astype(float),
            baked.seen.ravel()[grid.index],
        )


def shot(
    canonical: CanonicalSurface,
    colour: Colour,
    yaw: float = 0.0,
    size: tuple[int, int] = (900, 900),
    focal: float = 1100.0,
    landmarks: dict[str, tuple[float, float, float]] | None = None,
) -> tuple[Observation, PosedSurface]:
    """The canonical figure itself, turned by `yaw` degrees, three metres from the camera.

    `colour` gives sRGB at canonical points; `landmarks` are found at such points.
    """
    c, s = np.cos(np.radians(yaw)), np.sin(np.radians(yaw))
    turn, shift = np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]).T, np.array([0.0, -0.9, -3.0])
    posed = canonical.vertices @ turn + shift
    camera = Camera.centred(*size, focal)
    raster = rasterise(posed, canonical.faces, camera)
    points = raster.interpolate(canonical.vertices, canonical.faces)
    pixels = np.where(raster.mask[..., None], np.round(colour(points.reshape(-1, 3))).reshape(points.shape), BACKGROUND).astype(np.uint8)
    found, n = landmarks or {}, len(landmarks or {})
    at = camera.project(np.array(list(found.values())).reshape(-1, 3) @ turn + shift)
    marks = Landmarks(tuple(found), at, np.ones(n), np.full((n, 3), np.nan), np.zeros((n, 3)))
    observation = Observation(
        Photo(pixels, None, None, "figure"), 0, (), raster.mask.astype(np.float32), "file", marks, camera, "default", 1.0, ()
    )
    surface = PosedSurface(canonical, Pose(np.zeros((0, 3, 3)), np.zeros(3)), camera, posed)
    return observation, surface


def photograph(
    canonical: CanonicalSurface,
    colour: Colour,
    yaw: float = 0.0,
    size: tuple[int, int] = (900, 900),
    focal: float = 1100.0,
    landmarks: dict[str, tuple[float, float, float]] | None = None,
) -> Scene:
    """The figure as `shot` has it, with its texture."""
    observation, surface = shot(canonical, colour, yaw, size, focal, landmarks)
    return Scene(observation, surface, PARAMS, bake_texture(observation, surface, PARAMS))
