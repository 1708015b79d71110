"""Every stage's output, in the order of the data. Shapes, units and frames (see `geometry.frames`) stand with each field.

    Photo -> Observation -> BodyFit -> NormalMaps -> CanonicalSurface -> PosedSurface -> TexturedSurface -> Avatar

A `BackView` goes from a second photo to the texture.

Letters in shapes: H, W rows and columns of the full photo; V vertices, F triangles, B bones of the skeleton; T texels along a side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from carve.geometry.camera import Camera
from carve.geometry.skinning import forward_kinematics


class CarveError(Exception):
    """The input or an argument is unusable; the message is one sentence that says what is wrong and what to do."""


class StageError(RuntimeError):
    """A stage could not finish (a NaN from an optimiser, say); the message names the stage."""


@dataclass(frozen=True)
class Photo:
    """A decoded picture, upright (EXIF orientation applied)."""

    pixels: np.ndarray
    """(H, W, 3) uint8 sRGB."""
    alpha: np.ndarray | None
    """(H, W) uint8 coverage if the file has an alpha channel that is not fully opaque."""
    focal: float | None
    """Focal length in pixels from EXIF, if the file gives one."""
    name: str
    """The file's name without its folder and ending."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.pixels.shape[1], self.pixels.shape[0]


@dataclass(frozen=True)
class Landmarks:
    """Named 2D points of one person in pixels of the full photo."""

    names: tuple[str, ...]
    """N names, mediapipe's own in lower case (`left_shoulder`, ...; hands as `left_hand_0`..`left_hand_20`; face as `face_0`..)."""
    pixels: np.ndarray
    """(N, 2) u, v."""
    confidence: np.ndarray
    """(N,) 0 (not seen) to 1."""
    world: np.ndarray
    """(N, 3) metres relative to the hips' midpoint, axes of the camera frame; NaN where the detector gives none."""
    spread: np.ndarray
    """(N, 3) standard deviation between detector runs: u and v in pixels, depth in metres."""


@dataclass(frozen=True)
class PersonBox:
    """One person that was found in the photo."""

    left: float
    top: float
    right: float
    bottom: float
    score: float


@dataclass(frozen=True)
class Observation:
    """One person of the photo."""

    photo: Photo
    person: int
    """Index of the chosen person in `people`."""
    people: tuple[PersonBox, ...]
    """All that were found, largest first; pixels of the full photo."""
    mask: np.ndarray
    """(H, W) float32 soft coverage 0..1 of the person in the full photo."""
    mask_source: str
    """Where the mask came from: `file`, `alpha` or `detector`."""
    landmarks: Landmarks
    camera: Camera
    """First guess of the camera of the full photo."""
    focal_source: str
    """`argument`, `exif` or `default`."""
    visible_share: float
    """Share of the body's main joints that lie inside the picture and were seen, 0..1."""
    notes: tuple[str, ...]
    """Warnings for the user, one sentence each."""
    pose_models: tuple[str, ...] = ()
    """Pose networks that marked the body: `full`, `heavy`."""
    contested: float = 0.0
    """Share of the person that the masks of neighbours claimed too."""


@dataclass(frozen=True)
class Skeleton:
    """Bones in the canonical pose; every bone's own axes are those of the body frame there."""

    names: tuple[str, ...]
    """B names: the body model's own."""
    parents: np.ndarray
    """(B,) int64 index of the parent, always smaller than the bone's own; -1 for the root."""
    heads: np.ndarray
    """(B, 3) metres, body frame, canonical pose."""
    humanoid: dict[str, str]
    """VRM 1.0 humanoid bone name -> name in `names`."""


@dataclass(frozen=True)
class Pose:
    """The photo's pose, against the canonical pose."""

    rotations: np.ndarray
    """(B, 3, 3) rotation of each bone relative to its parent; the root's takes the body frame to the camera frame."""
    root_position: np.ndarray
    """(3,) metres, head of the root bone in the camera frame."""

    def bones(self, skeleton: Skeleton) -> tuple[np.ndarray, np.ndarray]:
        """(B, 3, 3) global rotations and (B, 3) heads of a skeleton's bones in this pose, camera frame."""
        return forward_kinematics(self.rotations, skeleton.heads, skeleton.parents, self.root_position)


@dataclass(frozen=True)
class BodyFit:
    """The parametric body as fitted to the photo; the same mesh in both spaces."""

    model: str
    """Name of the body model."""
    shape: dict[str, float]
    """Shape parameters by name."""
    camera: Camera
    """Camera of the full photo."""
    up: np.ndarray
    """(3,) unit vector against gravity in the camera frame, as estimated."""
    skeleton: Skeleton
    pose: Pose
    canonical: np.ndarray
    """(V, 3) canonical vertices, metres, body frame."""
    posed: np.ndarray
    """(V, 3) posed vertices, metres, camera frame."""
    faces: np.ndarray
    """(F, 3) int64."""
    bones: np.ndarray
    """(V, K) int64 bone indices of the skinning weights."""
    weights: np.ndarray
    """(V, K) skinning weights, rows sum to 1."""
    region: np.ndarray
    """(V,) uint8 index into `body.model.REGIONS`: which part of the body a vertex belongs to."""
    joint_confidence: np.ndarray
    """(B,) 0 (a guess from the prior) to 1 (well seen)."""
    height: float
    """Standing height in metres."""
    height_source: str
    """`argument` or `prior`."""
    residuals: dict[str, float]
    """What the fit left over: `landmarks` (share of the person's height), `silhouette_iou`, `loss`; `face` (metres, if one was found)."""
    notes: tuple[str, ...]
    expression: np.ndarray | None = None
    """(V, 3) metres, canonical pose: what the photo's facial expression adds to `canonical`, which is neutral; it is in `posed`."""
    depth_source: str | None = None
    """Where the relative depth that it was fitted to came from (`NormalMaps.depth_source`); None if it was fitted to none."""


LABELS = ("background", "skin", "hair", "top", "outer", "bottom", "dress", "shoes", "headwear", "bag", "glasses", "other")
"""Parts of a dressed person. `outer`: jackets and coats; `dress`: one piece over trunk and legs."""


@dataclass(frozen=True)
class NormalMaps:
    """Normals of the clothed person as the camera's pixels cut it, camera frame."""

    front: np.ndarray
    """(H, W, 3) float16 unit normals of the nearest surface, zero outside."""
    back: np.ndarray
    """(H, W, 3) float16 unit normals of the farthest surface, zero outside."""
    log_variance: np.ndarray
    """(H, W) float16 log-variance of the front normals (radians squared)."""
    mask: np.ndarray
    """(H, W) bool: pixels that hold normals."""
    log_variance_back: np.ndarray | None = None
    """(H, W) float16 log-variance of the back normals (radians squared)."""
    coverage: np.ndarray | None = None
    """(H, W) float32 soft coverage 0..1 of the person, refined."""
    depth: np.ndarray | None = None
    """(H, W) float32 relative depth towards the viewer, up to one constant, in pixels of the photo at the person's distance (times distance
    over focal length: metres); zero outside the mask."""
    depth_log_variance: np.ndarray | None = None
    """(H, W) float32 log of the depth's expected squared error in pixels."""
    source: str = "surface"
    """Where the normals came from: `network`, `file` or `model` (a user's own), `surface` (rendered from a mesh)."""
    label: np.ndarray | None = None
    """(H, W) uint8 index into LABELS of the nearest surface, 0 outside; None from a network that tells none."""
    label_back: np.ndarray | None = None
    """(H, W) uint8 of the farthest surface."""
    detailed: bool = False
    """Whether the front's detail was corrected from the photo at its own resolution."""
    depth_source: str | None = None
    """Where the depth came from: `network`, `model` (a user's own); None without depth."""
    notes: tuple[str, ...] = ()
    """What the user should know of the maps."""


@dataclass(frozen=True)
class CanonicalSurface:
    """The clothed person's watertight surface in the canonical pose."""

    vertices: np.ndarray
    """(V, 3) metres, body frame."""
    faces: np.ndarray
    """(F, 3) int64, wound outward."""
    skeleton: Skeleton
    bones: np.ndarray
    """(V, 4) int64 bone indices."""
    weights: np.ndarray
    """(V, 4) skinning weights, rows sum to 1, strongest first."""
    region: np.ndarray
    """(V,) uint8 index into `body.model.REGIONS`, from the nearest body point."""
    sigma: np.ndarray
    """(V,) metres, expected error of the position along the normal."""
    dropped_weight: float
    """Largest share of a vertex's skinning weight that the limit of four bones cut off."""
    skinning_error: float
    """Mean distance in metres, in the photo's pose, between skinning with all weights and with four."""


@dataclass(frozen=True)
class PosedSurface:
    """The clothed surface in the photo's pose and the canonical surface that goes with it, vertex by vertex."""

    canonical: CanonicalSurface
    pose: Pose
    camera: Camera
    vertices: np.ndarray
    """(V, 3) metres, camera frame."""
    notes: tuple[str, ...] = ()
    """Warnings for the user, one sentence each."""
    expression: np.ndarray | None = None
    """(V, 3) metres, canonical pose: what the photo's facial expression adds to `canonical`, which is neutral; it is in `vertices`."""


@dataclass(frozen=True)
class BackView:
    """A second photo of the person, from behind, and where the surface lies in it."""

    observation: Observation
    """Of the back photo."""
    pose: Pose
    """The back photo's pose, of the surface's own skeleton."""
    camera: Camera
    """The back photo's."""
    vertices: np.ndarray
    """(V, 3) metres, the surface's vertices in that camera's frame."""
    labels: np.ndarray | None
    """(V,) uint8 index into LABELS as the back photo tells them, or None."""
    overlap: float
    """Intersection over union of the surface's outline and the person's in the back photo."""
    notes: tuple[str, ...] = ()
    """Warnings for the user, one sentence each."""


@dataclass(frozen=True)
class TexturedSurface:
    """A surface with a texture. Vertices are split where charts meet: N >= V corners."""

    surface: PosedSurface
    corner: np.ndarray
    """(N,) int64 index of the surface vertex at each split vertex."""
    faces: np.ndarray
    """(F, 3) int64 into the split vertices; the same triangles as the surface's."""
    uv: np.ndarray
    """(N, 2) texture coordinates in 0..1, origin at the top left of the image (glTF)."""
    albedo: np.ndarray
    """(T, T, 3) uint8 sRGB."""
    seen: np.ndarray
    """(T, T) uint8: 255 where the photo gave the colour, down to 0 where it was filled in."""
    light: np.ndarray | None = None
    """(9, 3) the photo's light, which is not in `albedo` any more: log-shading over second-order spherical harmonics of the normal, camera
    frame, and in the last row what is taken away from it (`stages.texturing.light`); None if the photo was kept as it is."""
    seen_behind: np.ndarray | None = None
    """(T, T) uint8: 255 where the back photo gave the colour; None without one. `seen` is the first photo's alone."""
    share_behind: float | None = None
    """Share of the texels that the back photo gave; None without one."""


@dataclass(frozen=True)
class Avatar:
    """The finished avatar: everything that the output folder is written from."""

    observation: Observation
    body: BodyFit
    normals: NormalMaps
    textured: TexturedSurface
    confidence: np.ndarray
    """(V,) 0..1 per surface vertex."""
    report: dict[str, Any]
    """What report.json holds: settings, versions, seconds, memory, warnings, licences."""

    @property
    def surface(self) -> PosedSurface:
        """The clothed surface in both poses."""
        return self.textured.surface
