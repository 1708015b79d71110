"""The clothed surface without learning: the fitted body, draped, grown to the mask in the photo's pose, cleaned.

1. Drape: a taut membrane over the body in the canonical pose bridges what cloth bridges (chest, seat); toes are smoothed
   into a shoe; hands and face stay bare.
2. Grow: the silhouette's distance to the mask spreads smoothly over the surface, first along normals so that depth follows width, then in
   the picture's plane (`geometry.relief.outline`).
3. Carry back to the canonical pose by inverse skinning, unite with the eyeballs, refine long edges.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Annotated

import numpy as np
from pydantic import Field
from scipy import sparse
from scipy.spatial import cKDTree

from carve.body.finishing import (
    bone_maps,
    canonical_surface,
    face_vertices,
    skin_faces,
    solid,
    solid_mesh,
    with_eyeballs,
)
from carve.body.model import REGIONS
from carve.body.zones import FEET, HANDS
from carve.bounds import Length, Pixels, Rounds, Scale, Share
from carve.geometry.camera import Camera
from carve.geometry.mesh import (
    cotangent_laplacian,
    diffuse,
    largest_component,
    smooth,
    vertex_normals,
)
from carve.geometry.relief.outline import Rim, SurfaceMover, find_rim, mask_field
from carve.geometry.skinning import skin, unskin
from carve.geometry.sparse import factorise
from carve.records import BodyFit, CanonicalSurface, Observation, StageError


@dataclass(frozen=True)
class Params:
    """Settings of the stage."""

    drape_rounds: Rounds = 4
    """Rounds of the taut membrane."""
    drape_scale: Scale = 0.03
    """Hollows narrower than this are bridged by cloth, metres."""
    shoe_scale: Scale = 0.012
    """Details of the feet smaller than this are smoothed, as in a shoe, metres."""
    press_limit: Length = 0.01
    """How far cloth may press the body in where it bulges, metres."""
    cloth_thickness: Annotated[float, Field(ge=0, le=0.2)] = 0.017
    """How far cloth stands off the skin at least, metres."""
    resolution: Pixels = 400
    """Pixels of the person's longer side while the mask is explained."""
    grow_rounds: Rounds = 2
    """Rounds of growing along normals."""
    shift_rounds: Rounds = 3
    """Rounds of moving in the picture's plane."""
    arm_radius: Length = 0.075
    """Outlines of the trunk this near to an arm's axis are taken for the arm's, metres."""
    reach: Length = 0.12
    """How far the mask may lie outside the surface, metres."""
    inward: Length = 0.05
    """How far it may lie inside, metres."""
    growth_scale: Scale = 0.05
    """Details of the outline smaller than this do not make the surface grow along its normals, metres."""
    growth_share: Share = 0.8
    """Share of the distance to the outline that growing takes; moving in the picture's plane takes the rest."""
    growth_doubt: Scale = 0.14
    """Outlines farther than this hardly make the surface grow, metres."""
    shift_scale: Scale = 0.02
    """Smoothness of the movement in the picture's plane, metres."""
    loose_hold: Annotated[float, Field(ge=1e-5, le=1)] = 0.004
    """How strongly the surface is kept where nothing pulls it, per metre; small values let growth reach far."""
    longest_edge: Annotated[float, Field(ge=0.005, le=1)] = 0.022
    """Edges longer than this are split, metres."""
    weight_rounds: Rounds = 2
    """Rounds of smoothing of the skinning weights over the surface."""


def build_canonical(observation: Observation, body: BodyFit, params: Params) -> CanonicalSurface:
    """The clothed person's watertight surface in the canonical pose. Raises StageError if it cannot be closed."""
    faces = skin_faces(body)
    bare = _bare(body)
    transforms = bone_maps(body)
    feet = np.isin(body.region, FEET)
    draped = _drape(body.canonical, faces, 1 - bare, feet, params)
    grown = _explain_mask(observation, body, skin(draped, transforms, body.bones, body.weights), faces, bare, params)
    vertices = unskin(grown, transforms, body.bones, body.weights)
    if not np.isfinite(vertices).all():
        raise StageError("canonical: the surface is not finite after inverse skinning.")
    return _finish(body, vertices, faces, params)


def _bare(body: BodyFit) -> np.ndarray:
    """(V,) 1 where skin is certain and detail must stay (face, hands), 0 where cloth may lie, smooth between."""
    hands = np.isin(body.region, HANDS)
    return diffuse((hands | face_vertices(body)).astype(float)[:, None], body.faces, 4)[:, 0]


def _drape(canonical: np.ndarray, faces: np.ndarray, cloth: np.ndarray, feet: np.ndarray, params: Params) -> np.ndarray:
    """A membrane over canonical vertices (V, 3): smoothed again and again, pushed back out wherever the body stands through it.

    One round is an implicit step of mean curvature flow, (A + ell^2 S) x' = A x (Desbrun et al., SIGGRAPH 1999), where cloth may lie. In
    the canonical pose no limb touches another, so the membrane bridges hollows of one part only. Toes are smoothed, not
    covered.
    """
    stiffness, area = cotangent_laplacian(canonical, faces)
    mass = sparse.diags(np.maximum(area, 1e-9) / np.where(feet, params.shoe_scale, params.drape_scale) ** 2)
    solver = factorise(mass + stiffness)
    cover = cloth[:, None]

    def smoothed(x: np.ndarray) -> np.ndarray:
        return x + cover * (solver.solve(mass @ x) - x)

    pressed = smoothed(canonical) - canonical
    depth = np.linalg.norm(pressed, axis=1, keepdims=True)
    body = canonical + pressed * np.minimum(1, params.press_limit / np.maximum(depth, 1e-9))
    membrane = body
    for _ in range(params.drape_rounds):
        membrane = smoothed(membrane)
        normals = vertex_normals(membrane, faces)
        out = np.clip(((body - membrane) * normals).sum(1), 0.0, 0.01)
        membrane = membrane + out[:, None] * normals
    membrane = np.where(feet[:, None], body, membrane)
    return membrane + params.cloth_thickness * cover * vertex_normals(membrane, faces)


def _explain_mask(
    observation: Observation, body: BodyFit, posed: np.ndarray, faces: np.ndarray, bare: np.ndarray, params: Params
) -> np.ndarray:
    """Grow and shift posed vertices (V, 3) until the silhouette meets the mask; face and hands hardly move."""
    field = mask_field(observation.mask, body.camera, params.resolution)
    feet = np.isin(body.region, FEET)
    pixels = body.camera.project(posed)
    # Beyond the picture nothing pulls, and a thin plate would go on with its slope: hold what the photo does not show.
    beyond = ((pixels < 0) | (pixels > np.array([body.camera.width, body.camera.height]))).any(1)
    mover = SurfaceMover(posed, faces, params.loose_hold + 300.0 * bare + 0.5 * feet + 20.0 * beyond)

    def rim_of(vertices: np.ndarray) -> Rim:
        rim = find_rim(vertices, faces, field, params.reach, params.inward)
        return rim.only(~_belongs_to_an_arm(rim, body, field.camera, params.arm_radius))

    for _ in range(params.grow_rounds):
        rim = rim_of(posed)
        rim = replace(rim, delta=params.growth_share * rim.delta)
        posed = mover.inflate(posed, rim, params.growth_scale, params.growth_doubt, (-0.02, 0.1))
    for _ in range(params.shift_rounds):
        rim = rim_of(posed)
        posed = mover.shift(posed, rim, params.shift_scale)
    return posed


def _belongs_to_an_arm(rim: Rim, body: BodyFit, camera: Camera, radius: float) -> np.ndarray:
    """(R,) bool: points of the trunk's or legs' rim whose target lies within `radius` metres of an arm: that outline is the arm's."""
    skeleton = body.skeleton
    _, heads = body.pose.bones(skeleton)
    place = {vrm: heads[skeleton.names.index(bone)] for vrm, bone in skeleton.humanoid.items()}
    distance = np.full(len(rim.delta), np.inf)
    for side in ("left", "right"):
        chain = [place[f"{side}{bone}"] for bone in ("UpperArm", "LowerArm", "Hand")]
        chain.append(chain[2] + 0.4 * (chain[2] - chain[1]))  # the hand goes on where the forearm ends
        for a, b in pairwise(chain):
            per_metre = camera.focal / -(a[2] + b[2]) * 2
            start, along = camera.project(a), camera.project(b) - camera.project(a)
            share = np.clip((rim.target - start) @ along / max(along @ along, 1e-9), 0, 1)
            gap = np.linalg.norm(rim.target - start - share[:, None] * along, axis=1)
            distance = np.minimum(distance, gap / per_metre)
    arms = np.isin(body.region[rim.vertex], [i for i, name in enumerate(REGIONS) if name.endswith(("arm", "hand"))])
    return ~arms & (distance < radius)


def _finish(body: BodyFit, vertices: np.ndarray, faces: np.ndarray, params: Params) -> CanonicalSurface:
    """Unite skin and eyeballs, split long edges, and give every vertex of the result its weights and region."""
    points, triangles = solid_mesh(with_eyeballs(solid(vertices, faces), body).refine_to_length(params.longest_edge))
    # Where the eyeballs touch their sockets the union leaves small cavities inside the head.
    points, triangles = largest_component(points, triangles)
    used = np.unique(faces)
    nearest = cKDTree(vertices[used]).query(points)
    coarse = nearest[0] > 1e-5
    relaxed = smooth(points, triangles, 4)
    points = np.where(coarse[:, None], relaxed, points)
    dense = _weight_field(body, vertices, faces, points, triangles, params.weight_rounds)
    growth = np.linalg.norm(vertices - body.canonical, axis=1)[used[nearest[1]]]
    return canonical_surface(body, points, triangles, dense, body.region[used[nearest[1]]], 0.012 + 0.4 * growth)


def _weight_field(
    body: BodyFit, vertices: np.ndarray, faces: np.ndarray, points: np.ndarray, triangles: np.ndarray, rounds: int
) -> np.ndarray:
    """(P, B) smooth skinning weights of the new points: inverse-distance mean over the nearest body vertices, then diffused."""
    used = np.unique(faces)
    distance, index = cKDTree(vertices[used]).query(points, k=4)
    share = 1 / (distance + 1e-6) ** 2
    share /= share.sum(1, keepdims=True)
    dense = np.zeros((len(vertices), len(body.skeleton.names)))
    for k in range(body.bones.shape[1]):
        np.add.at(dense, (np.arange(len(vertices)), body.bones[:, k]), body.weights[:, k])
    field = np.einsum("pk,pkb->pb", share, dense[used[index]])
    field = np.maximum(diffuse(field, triangles, rounds), 0)
    return field / field.sum(1, keepdims=True)
