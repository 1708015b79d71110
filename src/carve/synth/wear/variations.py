"""Garments beyond the pack: shorter and longer, looser and tighter, wider legs and sleeves, coats that stand open.

All of them work on a pattern as it sits on a reference body at rest (arms out by about 45 degrees, legs straight), so that the result is a
pattern again and fits everybody. Lengths are metres on the reference body.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from carve.body.model import REGIONS, bone_regions
from carve.geometry.mesh import components, face_normals, vertex_normals
from carve.geometry.meshing.refinement import clip
from carve.synth.people.bodies import SKIN_VERTICES, FullBody, ShapedBody
from carve.synth.records import PARTS
from carve.synth.wear.garments import Pattern, apply, fit, kept_faces

ARM = tuple(i for i, name in enumerate(REGIONS) if "arm" in name or "hand" in name)
LEG = tuple(i for i, name in enumerate(REGIONS) if "leg" in name or "foot" in name)


@dataclass(frozen=True)
class Frame:
    """Where a pattern's vertices lie on the reference body."""

    where: np.ndarray
    """(V, 3)"""
    normals: np.ndarray
    """(V, 3)"""
    arm: np.ndarray
    """(V,) share of the skinning weights on arms and hands."""
    leg: np.ndarray
    """(V,) the same for legs and feet."""
    along_arm: np.ndarray
    """(V,) 0 at the shoulder joint, 1 at the wrist; 0 off the arms."""
    arm_axis: np.ndarray
    """(V, 3) nearest point on the arm's axis."""
    leg_axis: np.ndarray
    """(V, 3) nearest point on the axis of the leg of the vertex's own side."""
    ground: float
    """Height of the soles."""
    hip: float
    """Height of the hip joints."""
    ankle: float
    """Height of the ankles."""
    waist: float
    """Height of the waist."""
    chin: float
    """Height of the chin."""


def frame_of(body: FullBody, pattern: Pattern, reference: ShapedBody) -> Frame:
    """Measure a pattern on the reference body."""
    where = fit(pattern, reference)
    heads = {vrm: reference.rest_heads[body.names.index(bone)] for vrm, bone in body.humanoid.items()}
    of_bone = bone_regions(body.names, body.parents, body.humanoid)
    arm = np.asarray(pattern.joints[:, np.isin(of_bone, ARM)].sum(1)).ravel()
    leg = np.asarray(pattern.joints[:, np.isin(of_bone, LEG)].sum(1)).ravel()
    left = where[:, 0] > 0
    along, on_arm, on_leg = np.zeros(len(where)), where.copy(), where.copy()
    for side, mine in (("left", left), ("right", ~left)):
        start, end = heads[f"{side}UpperArm"], heads[f"{side}Hand"]
        axis = end - start
        t = (where[mine] - start) @ axis / (axis @ axis)
        along[mine] = t
        on_arm[mine] = start + np.clip(t, 0, 1)[:, None] * axis
        hip, foot = heads[f"{side}UpperLeg"], heads[f"{side}Foot"]
        down = np.clip((hip[1] - where[mine, 1]) / (hip[1] - foot[1]), 0, 1)
        on_leg[mine] = hip + down[:, None] * (foot - hip)
        on_leg[mine, 1] = where[mine, 1]
    return Frame(
        where=where,
        normals=vertex_normals(where, pattern.faces),
        arm=arm,
        leg=leg,
        along_arm=np.where(arm > 0.3, along, 0.0),
        arm_axis=on_arm,
        leg_axis=on_leg,
        ground=float(reference.rest[:SKIN_VERTICES, 1].min()),
        hip=float(heads["leftUpperLeg"][1]),
        ankle=float(heads["leftFoot"][1]),
        waist=float(heads["spine"][1] + 0.35 * (heads["chest"][1] - heads["spine"][1])),
        chin=float(heads["head"][1]),
    )


def displaced(pattern: Pattern, move: np.ndarray, reference: ShapedBody) -> Pattern:
    """Move the vertices by (V, 3) metres on the reference body, and in proportion on others."""
    mh = reference.rest * 10.0
    a, b = pattern.asset.scale_vertices.T
    axes = np.arange(3)
    scale = np.abs(mh[a, axes] - mh[b, axes]) / pattern.asset.scale_denominators
    return replace(pattern, offsets=pattern.offsets + 10.0 * move / scale)


def cut_hem(pattern: Pattern, frame: Frame, height: float) -> Pattern:
    """Cut everything but the sleeves below a height."""
    field = np.where(frame.arm > 0.5, 1.0, frame.where[:, 1] - height)
    return apply(pattern, clip(pattern.faces, pattern.uv, field))


def cut_sleeves(pattern: Pattern, frame: Frame, along: float) -> Pattern:
    """Cut the sleeves at a place along the arm, 0 at the shoulder joint, 1 at the wrist."""
    field = np.where(frame.arm > 0.3, along - frame.along_arm, 1.0)
    return apply(pattern, clip(pattern.faces, pattern.uv, field))


def open_front(pattern: Pattern, frame: Frame, width: float, top: float) -> Pattern:
    """Cut a wedge out of the front, from nothing at height `top` to `width` at the hem."""
    low = float(frame.where[:, 1].min())
    half = 0.5 * width * np.clip((top - frame.where[:, 1]) / max(top - low, 1e-3), 0.0, 1.0) + 0.004
    front = (frame.normals[:, 2] > 0.0) | (frame.where[:, 2] > frame.leg_axis[:, 2] + 0.03)
    field = np.where(front & (frame.arm < 0.3), np.abs(frame.where[:, 0]) - half, 1.0)
    return apply(pattern, clip(pattern.faces, pattern.uv, field))


def lengthened(pattern: Pattern, frame: Frame, factor: float, reference: ShapedBody) -> Pattern:
    """Stretch what hangs below the hips, sleeves apart, down to 4 cm above the ground at most."""
    below = np.clip(frame.hip - frame.where[:, 1], 0.0, None) * (frame.arm < 0.3)
    limit = (frame.hip - frame.ground - 0.04) / max(float(below.max()), 1e-3)
    move = np.zeros_like(frame.where)
    move[:, 1] = -below * (min(factor, limit) - 1.0)
    return displaced(pattern, move, reference)


def widened_legs(pattern: Pattern, frame: Frame, amount: float, flare: float, reference: ShapedBody) -> Pattern:
    """Move trouser legs away from the leg's axis by `amount`, reached `flare` (0 at the thigh .. 1 at the ankle) of the way down."""
    down = np.clip((frame.hip - 0.05 - frame.where[:, 1]) / (frame.hip - frame.ankle), 0.0, 1.0)
    ramp = np.clip(down / max(flare, 0.1), 0.0, 1.0) * np.clip(2 * frame.leg - 0.6, 0, 1)
    outward = frame.where - frame.leg_axis
    outward[:, 1] = 0.0
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-6)
    return displaced(pattern, amount * (ramp**1.3)[:, None] * outward, reference)


def widened_skirt(pattern: Pattern, frame: Frame, amount: float, reference: ShapedBody) -> Pattern:
    """Move what hangs below the hips away from the body's middle, `amount` at the hem."""
    low = float(frame.where[:, 1].min())
    ramp = np.clip((frame.hip + 0.05 - frame.where[:, 1]) / max(frame.hip + 0.05 - low, 1e-3), 0, 1) * (frame.arm < 0.3)
    outward = frame.where * np.array([1.0, 0.0, 1.0])
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-6)
    return displaced(pattern, amount * ramp[:, None] * outward, reference)


def widened_sleeves(pattern: Pattern, frame: Frame, amount: float, reference: ShapedBody) -> Pattern:
    """Move the sleeves away from the arm's axis, `amount` at the wrist."""
    ramp = np.clip(frame.along_arm + 0.1, 0, 1) * np.clip(2 * frame.arm - 0.6, 0, 1)
    outward = frame.where - frame.arm_axis
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-6)
    return displaced(pattern, amount * ramp[:, None] * outward, reference)


def loosened(pattern: Pattern, frame: Frame, amount: float, reference: ShapedBody) -> Pattern:
    """Move the cloth off the trunk along its normals by `amount` (negative: closer), less towards the garment's top."""
    top = float(np.percentile(frame.where[:, 1], 99))
    ramp = np.clip((top - frame.where[:, 1]) / 0.25, 0.15, 1.0) * (1.0 - 0.6 * np.clip(frame.arm + frame.leg, 0, 1))
    return displaced(pattern, amount * ramp[:, None] * frame.normals, reference)


def split_suit(body: FullBody, pattern: Pattern, reference: ShapedBody) -> dict[str, Pattern]:
    """A suit's connected pieces as `top` and `bottom`; a one-piece suit stays whole, as `suit`."""
    frame = frame_of(body, pattern, reference)
    label = components(pattern.faces, len(frame.where))[pattern.faces[:, 0]]
    # Means over the area, so that the answer does not depend on how finely each part is meshed.
    area = np.linalg.norm(face_normals(frame.where, pattern.faces), axis=1)
    share = lambda values: np.bincount(label, area * values[pattern.faces].mean(1)) / np.maximum(np.bincount(label, area), 1e-12)  # noqa: E731
    below = (share(frame.where[:, 1]) < frame.hip) | (share(frame.leg) > 0.5)
    lower = below[label]
    if lower.all() or not lower.any():
        return {"suit": pattern}
    parts = {"top": kept_faces(pattern, ~lower), "bottom": kept_faces(pattern, lower)}
    return {kind: replace(piece, part=PARTS.index(kind)) for kind, piece in parts.items()}


def is_skirt(pattern: Pattern, frame: Frame) -> bool:
    """It hangs around both legs: its author says that no leg may lift, or cloth closes the middle below the crotch."""
    if pattern.asset.kind == "bottom" and pattern.asset.poses != "any":
        return True
    level = max(frame.hip - 0.35, float(frame.where[:, 1].min()) + 0.03)
    if level > frame.hip - 0.15:
        return False  # too short to tell from shorts
    band = (np.abs(frame.where[:, 1] - level) < 0.04) & (frame.arm < 0.3)
    if not band.any():
        return False
    x, z = frame.where[band, 0], frame.where[band, 2] - frame.leg_axis[band, 2]
    return bool(((np.abs(x) < 0.02) & (np.abs(z) > 0.045)).any())
