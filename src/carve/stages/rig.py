"""The finished avatar: confidence per vertex, and what the rig costs in accuracy.

Notation: s_v expected error of a vertex along its normal (metres), t_v share of its texels that the photo saw, j_v confidence of the
joints that move it. The confidence is c_v = j_v (u + (1 - u) t_v) / (1 + (s_v / s_0)^2): a vertex that the photo did not see keeps u.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from carve.body.model import REGIONS
from carve.bounds import Scale, Share
from carve.geometry.skin_weights import stored_weights
from carve.geometry.skinning import bone_transforms, skin
from carve.records import Avatar, BodyFit, NormalMaps, Observation, PosedSurface, StageError, TexturedSurface
from carve.stages.doubts import doubts


@dataclass(frozen=True)
class Params:
    """Settings of the rig stage."""

    sigma_half: Scale = 0.03
    """Expected error in metres at which a vertex keeps half of its confidence."""
    unseen: Share = 0.35
    """Share of the confidence that a vertex keeps which the photo did not see."""


def rig(
    observation: Observation, body: BodyFit, normals: NormalMaps, textured: TexturedSurface, params: Params, report: dict[str, Any]
) -> Avatar:
    """Assemble the avatar from all that the stages made.

    What the rig costs is written into `report["rig"]`, what speaks against the result into `report["doubts"]`; they lower the confidence.
    """
    surface = textured.surface
    report["rig"] = rig_errors(surface)
    report["height_with_shoes"] = round(height_with_shoes(body, textured), 4)
    found = doubts(observation, body)
    report["doubts"] = [{"warning": doubt.sentence, "trust": round(doubt.trust, 3)} for doubt in found]
    trust = math.prod(doubt.trust for doubt in found)
    confidence = (trust * vertex_confidence(body, textured, params)).astype(np.float32)
    return Avatar(observation, body, normals, textured, confidence, report)


def vertex_confidence(body: BodyFit, textured: TexturedSurface, params: Params) -> np.ndarray:
    """(V,) float32 0..1 per surface vertex; the module's notation says how."""
    surface = textured.surface.canonical
    of_bone = dict(zip(body.skeleton.names, body.joint_confidence, strict=True))
    joints = np.array([of_bone.get(name, 0.0) for name in surface.skeleton.names])
    by_joints = (surface.weights * joints[surface.bones]).sum(1)
    seen = _seen_share(textured, len(surface.vertices))
    confidence = by_joints * (params.unseen + (1 - params.unseen) * seen) / (1 + (surface.sigma / params.sigma_half) ** 2)
    if not np.isfinite(confidence).all():
        raise StageError("rig: the confidence of some vertices is not a number")
    return np.clip(confidence, 0.0, 1.0).astype(np.float32)


def height_with_shoes(body: BodyFit, textured: TexturedSurface) -> float:
    """Metres from the soles of what is worn to the top of the bare head: the fitted height and how far shoes reach below the feet.

    Along each leg of the canonical pose, from thigh to ankle; the mean of both, or the fitted height where a surface has no feet.
    """
    surface, skeleton = textured.surface.canonical, body.skeleton
    index = {bone: i for i, bone in enumerate(skeleton.names)}
    soles = []
    for side in ("left", "right"):
        thigh, ankle = (skeleton.heads[index[skeleton.humanoid[f"{side}{bone}"]]] for bone in ("UpperLeg", "Foot"))
        along = (ankle - thigh) / np.linalg.norm(ankle - thigh)
        region = REGIONS.index(f"{side}_foot")
        bare, shod = (points[of == region] @ along for points, of in ((body.canonical, body.region), (surface.vertices, surface.region)))
        if len(bare) and len(shod):
            soles.append(max(float(shod.max() - bare.max()), 0.0))
    return float(body.height + (np.mean(soles) if soles else 0.0))


def _seen_share(textured: TexturedSurface, count: int) -> np.ndarray:
    """(V,) 0..1: mean over a vertex's corners of the map of seen texels."""
    height, width = textured.seen.shape
    column = np.clip((textured.uv[:, 0] * width).astype(int), 0, width - 1)
    row = np.clip((textured.uv[:, 1] * height).astype(int), 0, height - 1)
    seen = textured.seen[row, column] / 255.0
    corners = np.bincount(textured.corner, minlength=count)
    return np.bincount(textured.corner, seen, minlength=count) / np.maximum(corners, 1)


def rig_errors(surface: PosedSurface) -> dict[str, float]:
    """What avatar.glb loses: millimetres between its skin, with numbers rounded as the file stores them, and the stored surfaces."""
    canonical, pose = surface.canonical, surface.pose
    bones, weights = stored_weights(canonical.bones, canonical.weights)
    skeleton = canonical.skeleton
    rotations, heads = pose.bones(skeleton)
    identity = np.tile(np.eye(3), (len(skeleton.heads), 1, 1))

    def distances(transforms: np.ndarray, target: np.ndarray, added: np.ndarray | None = None) -> np.ndarray:
        stored = (canonical.vertices + (0 if added is None else added)).astype(np.float32).astype(float)
        return 1000 * np.linalg.norm(skin(stored, transforms, bones.astype(np.int64), weights.astype(float)) - target, axis=1)

    bind = distances(bone_transforms(identity, skeleton.heads, skeleton.heads), canonical.vertices)
    posed = distances(bone_transforms(rotations, heads, skeleton.heads), surface.vertices, surface.expression)
    if not np.isfinite(posed).all():
        raise StageError("rig: the posed avatar holds values that are not numbers")
    return {
        "bones": float(len(skeleton.names)),
        "four_weights_mean_mm": 1000 * float(canonical.skinning_error),
        "four_weights_largest_dropped_share": float(canonical.dropped_weight),
        "bind_pose_mean_mm": float(bind.mean()),
        "photo_pose_mean_mm": float(posed.mean()),
        "photo_pose_p99_mm": float(np.percentile(posed, 99)),
    }
