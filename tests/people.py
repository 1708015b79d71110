"""A person made of capsules: a small, exact `Avatar` record for tests of what comes after the fit."""

from __future__ import annotations

import numpy as np

from carve.body.model import LEG_SPREAD, REGION_OF_HUMANOID, REGIONS
from carve.geometry.camera import Camera
from carve.geometry.mesh import vertex_normals
from carve.geometry.raster import rasterise
from carve.geometry.rotations import axis_rotation
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin
from carve.records import (
    Avatar,
    BodyFit,
    CanonicalSurface,
    Landmarks,
    NormalMaps,
    Observation,
    PersonBox,
    Photo,
    Pose,
    PosedSurface,
    Skeleton,
    TexturedSurface,
)

AROUND, ALONG = 8, 6
"""Vertices around a capsule and rings along it."""
TEXELS = 128
CELLS = 5
"""The atlas has CELLS x CELLS charts."""


def _bones() -> list[tuple[str, str, str | None, tuple[float, float, float], tuple[float, float, float], float]]:
    """(own name, VRM name or "", parent, head, tail, radius) of each bone in the canonical pose, parents first."""
    rows: list[tuple[str, str, str | None, tuple[float, float, float], tuple[float, float, float], float]] = [
        ("root", "hips", None, (0, 0.95, 0), (0, 1.05, 0), 0.13),
        ("spine05", "spine", "root", (0, 1.05, 0), (0, 1.2, 0), 0.12),
        ("spine03", "chest", "spine05", (0, 1.2, 0), (0, 1.42, 0), 0.13),
        ("neck01", "neck", "spine03", (0, 1.45, 0), (0, 1.53, 0.01), 0.05),
        ("head", "head", "neck01", (0, 1.53, 0.01), (0, 1.72, 0.02), 0.09),
    ]
    along = np.array([np.sin(LEG_SPREAD), -np.cos(LEG_SPREAD), 0.0])
    forward = np.array([0.0, -0.08, 0.2])
    for side, s in (("L", 1.0), ("R", -1.0)):
        vrm = "left" if s > 0 else "right"
        mirror = np.array([s, 1.0, 1.0])
        hip = np.array([0.09, 0.92, 0.0])
        knee, ankle = hip + 0.43 * along, hip + 0.84 * along
        toes = ankle + axis_rotation(2, LEG_SPREAD) @ forward * 0.7
        tip = ankle + axis_rotation(2, LEG_SPREAD) @ forward
        chain = [
            ("clavicle", "Shoulder", "spine03", (0.03, 1.4, 0), (0.15, 1.4, 0), 0.05),
            ("upperarm01", "UpperArm", f"clavicle.{side}", (0.17, 1.4, 0), (0.3, 1.4, 0), 0.05),
            ("upperarm02", "", f"upperarm01.{side}", (0.3, 1.4, 0), (0.45, 1.4, 0), 0.045),
            ("lowerarm01", "LowerArm", f"upperarm02.{side}", (0.45, 1.4, 0), (0.7, 1.4, 0), 0.04),
            ("wrist", "Hand", f"lowerarm01.{side}", (0.7, 1.4, 0), (0.85, 1.39, 0.01), 0.035),
            ("upperleg01", "UpperLeg", "root", hip, knee, 0.075),
            ("lowerleg01", "LowerLeg", f"upperleg01.{side}", knee, ankle, 0.055),
            ("foot", "Foot", f"lowerleg01.{side}", ankle, toes, 0.04),
            ("toe1-1", "Toes", f"foot.{side}", toes, tip, 0.035),
        ]
        for name, bone, parent, head, tail, radius in chain:
            ends = [tuple(float(x) for x in np.array(p) * mirror) for p in (head, tail)]
            rows.append((f"{name}.{side}", f"{vrm}{bone}" if bone else "", parent, ends[0], ends[1], radius))  # type: ignore[arg-type]
    return rows


def _capsule(head: np.ndarray, tail: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices (ALONG * AROUND + 2, 3), outward faces, and how far along the bone (0..1) each vertex lies."""
    axis = (tail - head) / np.linalg.norm(tail - head)
    side = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
    side /= np.linalg.norm(side)
    up = np.cross(axis, side)
    t = np.linspace(0, 1, ALONG)
    width = radius * np.sqrt(np.clip(1 - (2 * t - 1) ** 6, 0.3, 1))
    turn = np.arange(AROUND) * 2 * np.pi / AROUND
    circle = np.cos(turn)[:, None] * side + np.sin(turn)[:, None] * up
    rings = (head + t[:, None] * (tail - head))[:, None] + width[:, None, None] * circle
    points = np.concatenate([rings.reshape(-1, 3), [head - 0.5 * radius * axis, tail + 0.5 * radius * axis]])
    faces = []
    for i in range(ALONG - 1):
        for j in range(AROUND):
            a, b = i * AROUND + j, i * AROUND + (j + 1) % AROUND
            faces += [(a, b, b + AROUND), (a, b + AROUND, a + AROUND)]
    first, last = ALONG * AROUND, ALONG * AROUND + 1
    for j in range(AROUND):
        k = (j + 1) % AROUND
        faces += [(first, k, j), (last, (ALONG - 1) * AROUND + j, (ALONG - 1) * AROUND + k)]
    return points, np.array(faces), np.concatenate([np.repeat(t, AROUND), [0.0, 1.0]])


def capsule_skeleton() -> Skeleton:
    """23 bones, among them one that VRM does not name on each upper arm."""
    rows = _bones()
    names = tuple(row[0] for row in rows)
    parents = np.array([-1 if row[2] is None else names.index(row[2]) for row in rows])
    return Skeleton(names, parents, np.array([row[3] for row in rows], float), {row[1]: row[0] for row in rows if row[1]})


def capsule_avatar() -> Avatar:
    """A whole avatar: the canonical capsules, standing with the arms down two and a half metres before the camera."""
    skeleton, rows = capsule_skeleton(), _bones()
    points, faces, bones, weights, region, corner, split_faces, uv = [], [], [], [], [], [], [], []
    albedo = np.zeros((TEXELS, TEXELS, 3), np.uint8)
    count = corners = 0
    cell = TEXELS // CELLS
    for bone, row in enumerate(rows):
        vertices, triangles, t = _capsule(np.array(row[3], float), np.array(row[4], float), row[5])
        parent = max(int(skeleton.parents[bone]), 0)
        of_parent = np.clip(0.5 - 2 * t, 0, 0.5) * (bone != parent)
        bones.append(np.tile([bone, parent, 0, 0], (len(t), 1)))
        weights.append(np.column_stack([1 - of_parent, of_parent, 0 * t, 0 * t]))
        humanoid = row[1] or "leftUpperArm"
        region.append(np.full(len(t), REGIONS.index(REGION_OF_HUMANOID.get(humanoid, "torso")), np.uint8))
        left, top = cell * (bone % CELLS), cell * (bone // CELLS)
        albedo[top : top + cell, left : left + cell] = 60 + (np.array([37, 91, 151]) * (bone + 1)) % 180
        # One more column of corners than of vertices: the chart is cut open along the first column.
        grid = np.array([[i * AROUND + j % AROUND for j in range(AROUND + 1)] for i in range(ALONG)]).ravel()
        index = np.concatenate([grid, [ALONG * AROUND, ALONG * AROUND + 1]])
        cut = []
        for triangle in triangles:
            columns = [v % AROUND for v in triangle if v < ALONG * AROUND]
            wraps = max(columns) - min(columns) > 1
            cut.append(
                [
                    (v // AROUND) * (AROUND + 1) + (AROUND if wraps and v % AROUND == 0 else v % AROUND)
                    if v < ALONG * AROUND
                    else ALONG * (AROUND + 1) + v - ALONG * AROUND
                    for v in triangle
                ]
            )
        u = np.concatenate([np.tile(np.linspace(0.1, 0.9, AROUND + 1), ALONG), [0.5, 0.5]])
        v = np.concatenate([np.repeat(np.linspace(0.15, 0.85, ALONG), AROUND + 1), [0.1, 0.9]])
        uv.append((np.column_stack([u, v]) * cell + [left, top]) / TEXELS)
        corner.append(index + count)
        split_faces.append(np.array(cut) + corners)
        points.append(vertices)
        faces.append(triangles + count)
        count += len(vertices)
        corners += len(index)
    canonical_points, all_faces = np.concatenate(points), np.concatenate(faces)
    bone_index, bone_weight = np.concatenate(bones), np.concatenate(weights)
    canonical = CanonicalSurface(
        canonical_points,
        all_faces,
        skeleton,
        bone_index,
        bone_weight,
        np.concatenate(region),
        np.full(count, 0.01),
        dropped_weight=0.0,
        skinning_error=0.0,
    )
    pose = _standing(skeleton)
    rotations, heads = forward_kinematics(pose.rotations, skeleton.heads, skeleton.parents, pose.root_position)
    posed = skin(canonical_points, bone_transforms(rotations, heads, skeleton.heads), bone_index, bone_weight)
    camera = Camera.centred(160, 240, 260.0)
    raster = rasterise(posed, all_faces, camera)
    colours = albedo[(np.concatenate(uv)[:, 1] * TEXELS).astype(int), (np.concatenate(uv)[:, 0] * TEXELS).astype(int)]
    pixels = np.where(raster.mask[..., None], raster.interpolate(colours.astype(float), np.concatenate(split_faces)), 200).astype(np.uint8)
    front = raster.interpolate(vertex_normals(posed, all_faces), all_faces)
    front /= np.maximum(np.linalg.norm(front, axis=-1, keepdims=True), 1e-9)
    maps = NormalMaps(front.astype(np.float16), (-front).astype(np.float16), np.zeros(front.shape[:2], np.float16), raster.mask)
    landmarks = Landmarks((), np.zeros((0, 2)), np.zeros(0), np.zeros((0, 3)), np.zeros((0, 3)))
    observation = Observation(
        Photo(pixels, None, None, "capsules"),
        0,
        (PersonBox(0.0, 0.0, 160.0, 240.0, 1.0),),
        raster.mask.astype(np.float32),
        "file",
        landmarks,
        camera,
        "argument",
        1.0,
        (),
    )
    body = BodyFit(
        "capsules",
        {},
        camera,
        np.array([0.0, 1.0, 0.0]),
        skeleton,
        pose,
        canonical_points,
        posed,
        all_faces,
        bone_index,
        bone_weight,
        canonical.region,
        np.ones(len(skeleton.names)),
        1.75,
        "argument",
        {},
        (),
    )
    textured = TexturedSurface(
        PosedSurface(canonical, pose, camera, posed),
        np.concatenate(corner),
        np.concatenate(split_faces),
        np.concatenate(uv),
        albedo,
        np.full((TEXELS, TEXELS), 255, np.uint8),
    )
    return Avatar(observation, body, maps, textured, np.linspace(0, 1, count), {"licences": {"capsules": "CC0-1.0"}})


def _standing(skeleton: Skeleton) -> Pose:
    """Facing the camera, turned a little, the arms lowered, the legs together."""
    local = np.tile(np.eye(3), (len(skeleton.names), 1, 1))
    index = {vrm: skeleton.names.index(name) for vrm, name in skeleton.humanoid.items()}
    local[index["hips"]] = axis_rotation(1, 0.3)
    for side, sign in (("left", 1.0), ("right", -1.0)):
        local[index[f"{side}UpperArm"]] = axis_rotation(2, -sign * 1.1)
        local[index[f"{side}LowerArm"]] = axis_rotation(1, -sign * 0.4)
        local[index[f"{side}UpperLeg"]] = axis_rotation(2, -sign * (LEG_SPREAD - 0.1))
    return Pose(local, np.array([0.0, 0.05, -2.5]))
