"""A dressed person as one mesh that cameras look at: what is shown, with normals, free sky and body regions per vertex."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from carve.body.model import bone_regions
from carve.geometry.mesh import vertex_normals
from carve.geometry.queries import MeshQueries
from carve.synth.people.bodies import FullBody
from carve.synth.records import Layer
from carve.synth.views.occluders import Occluders

RAYS = 40
"""Directions that say how much of the sky a point sees."""
SKY_REACH = 1.5
"""Cloth and limbs farther than this do not darken a point, metres."""


@dataclass(frozen=True)
class Scene:
    """The shown triangles of all layers; body frame of the pose, metres."""

    vertices: np.ndarray
    """(V, 3)"""
    normals: np.ndarray
    """(V, 3) unit outward."""
    faces: np.ndarray
    """(F, 3)"""
    layer: np.ndarray
    """(F,) index of the layer."""
    part: np.ndarray
    """(F,) uint8 index into PARTS."""
    region: np.ndarray
    """(V,) uint8 1 + index into REGIONS."""
    free: np.ndarray
    """(V,) share of the cosine-weighted hemisphere that is free."""
    bent: np.ndarray
    """(V, 3) unit mean free direction."""
    place: np.ndarray
    """(V, 3) metres: nearest point of the undressed body, as `carve.body.places` names it."""
    naked: np.ndarray
    """(B, 3) the body without clothes."""
    naked_faces: np.ndarray
    """(G, 3)"""
    occluders: Occluders
    """Of the shown triangles, for shadows."""


def build_scene(body: FullBody, layers: Sequence[Layer], canonical: np.ndarray, posed: np.ndarray, places: np.ndarray) -> Scene:
    """Put the shown triangles of all layers together.

    `canonical` and `posed` (B, 3) are the body without clothes, `places` (B, 3) those of its vertices.
    """
    of_bone = bone_regions(body.names, body.parents, body.humanoid)
    vertices, normals, faces, layer, part, region = [], [], [], [], [], []
    start = 0
    for number, item in enumerate(layers):
        vertices.append(item.posed)
        normals.append(vertex_normals(item.posed, item.faces))
        faces.append(item.faces[item.shown] + start)
        layer.append(np.full(int(item.shown.sum()), number))
        part.append(np.full(int(item.shown.sum()), item.part, np.uint8))
        region.append(1 + of_bone[item.bones[np.arange(len(item.bones)), item.weights.argmax(1)]])
        start += len(item.posed)
    every, normal, triangles = np.concatenate(vertices), np.concatenate(normals), np.concatenate(faces)
    occluders = Occluders(every, triangles)
    used = np.unique(triangles)
    free, bent = np.ones(len(every)), normal.copy()
    free[used], bent[used] = sky(occluders, every[used], normal[used])
    return Scene(
        every,
        normal,
        triangles,
        np.concatenate(layer),
        np.concatenate(part),
        np.concatenate(region).astype(np.uint8),
        free,
        bent,
        _nearest_places(canonical, layers, body.faces, places),
        posed,
        body.faces,
        occluders,
    )


def _nearest_places(canonical: np.ndarray, layers: Sequence[Layer], faces: np.ndarray, places: np.ndarray) -> np.ndarray:
    """(V, 3) places of the body below all layers' vertices. Looked up in the canonical pose, where no limb lies beside another."""
    below = MeshQueries(canonical, faces).nearest(np.concatenate([layer.canonical for layer in layers]))
    return np.asarray(np.einsum("nk,nkd->nd", below.bary, places[faces[below.face]]))


def _hemisphere(count: int) -> np.ndarray:
    """(count, 3) cosine-weighted directions about +Z (Malley's method on a Fibonacci disc)."""
    k = np.arange(count) + 0.5
    radius, angle = np.sqrt(k / count), k * np.pi * (3 - np.sqrt(5))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), np.sqrt(1 - radius**2)], 1)


def sky(occluders: Occluders, points: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Share of the cosine-weighted hemisphere over points (N, 3) with normals (N, 3) that is free, and the mean free direction (N, 3)."""
    # Single precision, as the rays have it, is twice as fast.
    points, normals = points.astype(np.float32), normals.astype(np.float32)
    helper = np.where(np.abs(normals[:, 2:]) < 0.9, [[0.0, 0.0, 1.0]], [[1.0, 0.0, 0.0]])
    tangent = np.cross(helper, normals)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    across = np.cross(normals, tangent)
    # Each point turns the set of directions by its own angle: neighbours average the noise away.
    spin = np.arange(len(points)) * 2.399963
    turned = (np.cos(spin)[:, None] * tangent + np.sin(spin)[:, None] * across).astype(np.float32)
    other = np.cross(normals, turned)
    origins = points + np.float32(0.003) * normals
    free, total = np.zeros(len(points)), np.zeros_like(points)
    for x, y, z in _hemisphere(RAYS).astype(np.float32):
        direction = x * turned + y * other + z * normals
        open_ = ~occluders.blocked(origins, direction, SKY_REACH)
        free += open_
        total += open_[:, None] * direction
    mean = total + 1e-3 * normals
    return free / RAYS, mean / np.linalg.norm(mean, axis=1, keepdims=True)
