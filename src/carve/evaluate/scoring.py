"""All figures of one output against one case."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from carve.evaluate.alignment import Similarity, align, camera_frame, register
from carve.evaluate.cases import Case
from carve.evaluate.metrics import angles, chamfer, colour_errors, joint_errors, normal_errors, overlap
from carve.evaluate.outer import Disks, OuterSurface, outer_surface
from carve.evaluate.views import DEGREES, SIDES, Shape, parallel_view, silhouette, welded_normals
from carve.files.fence import fence
from carve.files.text import MAX_JSON, parse_json, read_text
from carve.geometry.mesh import face_normals
from carve.geometry.queries import MeshQueries
from carve.gltf.reader import read_glb
from carve.records import CarveError

SAMPLES = 100_000
"""Samples of an output's outer surface."""
LEAST_SAMPLES = 1000
HIPS = ("leftUpperLeg", "rightUpperLeg")

Figures = dict[str, Any]


def read_shape(path: Path) -> Shape:
    """The mesh of a GLB file in the file's frame, without triangles that have no area. Raises CarveError if there is nothing to measure."""
    scene = read_glb(path)
    vertices = scene.vertices.astype(float)
    if not np.isfinite(vertices).all():
        raise CarveError(f"{path} has vertices that are no numbers.")
    area = np.linalg.norm(face_normals(vertices, scene.faces), axis=1) / 2
    kept = scene.faces[area > 1e-12 * float(np.ptp(vertices, axis=0).max()) ** 2]
    if len(kept) < 4:
        raise CarveError(f"{path} holds no surface.")
    return Shape(vertices, kept, welded_normals(vertices, kept), scene.uv, scene.texture)


def read_projection(path: Path) -> np.ndarray:
    """The (3, 4) `projection` of an output's camera.json."""
    with fence(str(path), "it needs a `projection`"):
        projection = np.array(parse_json(read_text(path, MAX_JSON))["projection"], float)
    if projection.shape != (3, 4) or not np.isfinite(projection).all():
        raise CarveError(f"{path}: `projection` must be a finite 3 x 4 matrix.")
    return projection


def score(case: Case, shape: Shape, projection: np.ndarray, joints: dict[str, np.ndarray] | None = None, seed: int = 0) -> Figures:
    """Figures of a mesh whose `projection` (3, 4) leads to the photo's pixels; `joints` are in the mesh's frame.

    `registered` figures follow from scale and place alone, `aligned` ones from closest points too (see `alignment`).
    """
    rng = np.random.default_rng(seed)
    own = camera_frame(projection, shape.vertices[np.unique(shape.faces)])
    moved = _moved(shape, own)
    outer = outer_surface(moved.vertices, moved.faces, SAMPLES, rng)
    if len(outer.points) < LEAST_SAMPLES:
        raise CarveError(f"{case.name}: almost nothing of the mesh can be seen from outside.")
    if outer.inward_share > 0.5:
        raise CarveError(f"{case.name}: the mesh is wound inward.")
    homogeneous = np.column_stack([(outer.points - own.shift) @ own.rotation, np.ones(len(outer.points))]) @ projection.T
    start = register(outer.points, homogeneous[:, :2] / homogeneous[:, 2:], case.points, case.projection)
    closest = align(start(outer.points), case.points, case.normals, rng)
    truth = Disks(case.points, case.normals, case.spacing)
    result: Figures = {
        "silhouette_iou": overlap(silhouette(shape.vertices, shape.faces, projection, case.size), case.mask),
        "triangles": len(shape.faces),
        "registered": _geometry(outer, start, case, truth),
        "aligned": _geometry(outer, closest.after(start), case, truth),
        "alignment": {"turn_deg": closest.degrees, "scale": closest.scale},
    }
    if case.views is not None:
        result["registered"] |= _compare_views(_moved(moved, start), case, False)
        result["aligned"] |= _compare_views(_moved(moved, closest.after(start)), case, True)
    if joints is not None:
        result["joints"] = _joints(joints, case, start.after(own))
    return result


def _moved(shape: Shape, by: Similarity) -> Shape:
    return replace(shape, vertices=by(shape.vertices), normals=shape.normals @ by.rotation.T)


def _geometry(outer: OuterSurface, by: Similarity, case: Case, truth: Disks) -> Figures:
    points, normals = by(outer.points), outer.normals @ by.rotation.T
    to_truth, near = truth.distance(points)
    from_truth, _ = Disks(points, normals, outer.spacing * by.scale).distance(case.points)
    return {**chamfer(to_truth, from_truth), "nearest_normal_deg": float(angles(normals, case.normals[near]).mean())}


def _compare_views(shape: Shape, case: Case, coloured: bool) -> Figures:
    """Errors over the four true views, and of the front alone."""
    views = case.views
    assert views is not None
    queries = MeshQueries(shape.vertices, shape.faces)
    normals, overlaps, colours, joined = [], [], {}, []
    for i, (degrees, side) in enumerate(zip(DEGREES, SIDES, strict=True)):
        view = parallel_view(shape, queries, degrees, views.centre, views.side, views.masks.shape[1])
        normals.append(normal_errors(view.normals, view.mask, views.normals[i], views.masks[i]))
        both = view.mask & views.masks[i]
        joined.append(angles(view.normals[both], views.normals[i][both]))
        overlaps.append(overlap(view.mask, views.masks[i]))
        if coloured and view.albedo is not None and views.albedo is not None:
            colours[side] = colour_errors(view.albedo, view.mask, views.albedo[i], views.masks[i])
    together = np.concatenate(joined)
    out: Figures = {
        "normal_icon": float(np.mean([n["icon"] for n in normals])),
        "normal_l2": float(np.mean([n["l2"] for n in normals])),
        "normal_angle_deg": float(together.mean()) if len(together) else float("nan"),
        **{f"front_normal_{name}": value for name, value in normals[0].items()},
        "front_iou": overlaps[0],
        "side_iou": overlaps[1],
    }
    if colours:
        mean = {name: float(np.nanmean([c[name] for c in colours.values()])) for name in ("psnr_db", "psnr_gain_db", "ssim")}
        out["albedo"] = {**mean, "views": colours}
    return out


def _joints(own: dict[str, np.ndarray], case: Case, by: Similarity) -> Figures:
    """Errors of the humanoid joints that both skeletons have; how many they are."""
    shared = [bone for bone in case.joints if bone in own]
    if not set(HIPS) <= set(shared):
        return {"matched": len(shared)}
    placed = by(np.array([own[bone] for bone in shared]))
    root = [shared.index(bone) for bone in HIPS]
    return {"matched": len(shared), **joint_errors(placed, np.array([case.joints[bone] for bone in shared]), root)}


def read_joints(path: Path) -> dict[str, np.ndarray]:
    """Humanoid bone -> (3,) from an output's pose.json."""
    with fence(str(path), "it needs `joints`"):
        joints = parse_json(read_text(path, MAX_JSON))["joints"]
        return {str(bone): np.array(place, float).reshape(3) for bone, place in joints.items()}
