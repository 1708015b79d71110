"""Garments as patterns that fit any body: refined, bound to the base mesh, skinned smoothly.

Notation: M (H, 3) the shaped body at rest, decimetres; binding G (V, H), offsets o (V, 3), scale s (3,) measured on the body:
    garment = (G M + o s) / 10  metres.       (MakeHuman's proxy formula)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy import sparse

from carve.geometry.mesh import face_normals
from carve.geometry.meshing.refinement import Refined, dropped, refine
from carve.geometry.skin_weights import stored_weights
from carve.synth.assets.files import GarmentAsset, Kind
from carve.synth.people.bodies import FullBody, ShapedBody
from carve.synth.records import PARTS

PART_OF_KIND = {"eyebrows": "hair", "eyelashes": "hair"}
"""Kinds that are shown as another part than their own name."""


@dataclass(frozen=True)
class Pattern:
    """A garment without a body."""

    name: str
    part: int
    """Index into `carve.synth.records.PARTS`."""
    layer: int
    """Inner garments have smaller numbers."""
    asset: GarmentAsset
    binding: sparse.csr_matrix
    """(V, H)"""
    offsets: np.ndarray
    """(V, 3) decimetres, before the scale."""
    joints: sparse.csr_matrix
    """(V, B) skinning weights, rows sum to 1."""
    faces: np.ndarray
    """(F, 3) int64 wound outward."""
    uv: np.ndarray
    """(F, 3, 2) origin top left."""
    closed: bool = False
    """The triangles bound a solid."""
    measured: bool = False
    """Made to measure: the offsets are the garment at rest on the one body that it was made for, and the binding is empty."""


def apply(pattern: Pattern, mesh: Refined) -> Pattern:
    """A pattern after an operator of `geometry.meshing.refinement` on its vertices."""
    return replace(
        pattern,
        binding=(mesh.operator @ pattern.binding).tocsr(),
        offsets=mesh.operator @ pattern.offsets,
        joints=(mesh.operator @ pattern.joints).tocsr(),
        faces=mesh.faces,
        uv=mesh.corners,
    )


def kept_faces(pattern: Pattern, keep: np.ndarray) -> Pattern:
    """A pattern of some of its triangles (F,) bool."""
    identity = sparse.identity(len(pattern.offsets), format="csr")
    return apply(pattern, dropped(Refined(identity, pattern.faces[keep], pattern.uv[keep], np.flatnonzero(keep))))


def coarse_pattern(body: FullBody, asset: GarmentAsset) -> Pattern:
    """The garment as its author made it."""
    count = len(asset.ref)
    binding = _rows(asset.ref, asset.ref_weights, body.template.shape[0])
    positive = np.clip(asset.ref_weights, 0, None)
    spread = _rows(asset.ref, positive / positive.sum(1, keepdims=True), body.template.shape[0])
    joints = spread @ _rows(body.bones, body.weights, len(body.names))
    corner = asset.uv[asset.face_uv] * np.array([1.0, -1.0]) + np.array([0.0, 1.0])
    part = PARTS.index("glasses" if "glasses" in asset.name.lower() else PART_OF_KIND.get(asset.kind, asset.kind))
    pattern = Pattern(asset.name, part, asset.layer, asset, binding, asset.offsets, joints.tocsr(), asset.faces.astype(np.int64), corner)
    used = Refined(sparse.identity(count, format="csr"), pattern.faces, pattern.uv, np.arange(len(pattern.faces)))
    return apply(pattern, dropped(used))


def _rows(index: np.ndarray, weight: np.ndarray, columns: int) -> sparse.csr_matrix:
    """(N, K) indices and weights to a sparse (N, columns) matrix."""
    rows = np.repeat(np.arange(len(index)), index.shape[1])
    return sparse.coo_matrix((weight.ravel(), (rows, index.ravel())), shape=(len(index), columns)).tocsr()


def made_asset(name: str, kind: Kind, layer: int) -> GarmentAsset:
    """What a garment's files say of it, for one that carve made itself: no mesh, no pictures."""
    none = np.zeros((0, 3))
    return GarmentAsset(
        name=name,
        folder=Path("made-by-carve"),
        kind=kind,
        ref=none.astype(np.int32),
        ref_weights=none,
        offsets=none,
        scale_vertices=np.array([[0, 1], [0, 1], [0, 1]]),
        scale_denominators=np.ones(3),
        faces=none.astype(np.int64),
        uv=np.zeros((0, 2)),
        face_uv=none.astype(np.int64),
        hidden=np.zeros(0, np.int64),
        layer=layer,
        gender="unisex",
        adult_only=False,
        poses="any",
        alpha=False,
        defects="",
        licence="CC0",
        author="carve",
        source="made by carve",
        diffuse=None,
        normal=None,
    )


def fit(pattern: Pattern, shaped: ShapedBody) -> np.ndarray:
    """(V, 3) metres: the garment on a body at rest."""
    if pattern.measured:
        return pattern.offsets / 10.0
    mh = shaped.rest * 10.0
    a, b = pattern.asset.scale_vertices.T
    axes = np.arange(3)
    scale = np.abs(mh[a, axes] - mh[b, axes]) / pattern.asset.scale_denominators
    return (pattern.binding @ mh + pattern.offsets * scale) / 10.0


def refined_pattern(pattern: Pattern, shaped: ShapedBody, longest: float) -> Pattern:
    """Triangles wound outward and split until no edge exceeds `longest` metres on a reference body; facets become smooth."""
    where = fit(pattern, shaped)
    mesh = refine(where, pattern.faces, pattern.uv, longest, rounded=True)
    return oriented(apply(pattern, mesh), shaped)


def oriented(pattern: Pattern, shaped: ShapedBody) -> Pattern:
    """Wound outward: most triangles face away from the bone that carries them."""
    where = fit(pattern, shaped)
    normal = face_normals(where, pattern.faces)
    centre = where[pattern.faces].mean(1)
    pattern.joints.sum_duplicates()  # sorted too: what is stored does not depend on who asked first
    strongest = pattern.joints.toarray().argmax(1)[pattern.faces[:, 0]]  # the argmax of sparse rows is a loop in Python
    outward = np.einsum("fi,fi->", normal, centre - shaped.rest_heads[strongest]) >= 0
    return pattern if outward else replace(pattern, faces=pattern.faces[:, ::-1], uv=pattern.uv[:, ::-1])


def strongest_bones(pattern: Pattern) -> tuple[np.ndarray, np.ndarray]:
    """(V, 4) bones and (V, 4) float64 weights exactly as they are stored in single precision."""
    joints = pattern.joints
    number = np.diff(joints.indptr)
    width = int(number.max())
    index, weight = np.zeros((len(number), width), np.int64), np.zeros((len(number), width))
    place = np.arange(len(joints.indices)) - np.repeat(joints.indptr[:-1], number)
    row = np.repeat(np.arange(len(number)), number)
    index[row, place], weight[row, place] = joints.indices, joints.data
    bones, weights = stored_weights(index, weight)
    return bones.astype(np.int64), weights.astype(np.float64)


def canonical_of(pattern: Pattern, shaped: ShapedBody, rest: np.ndarray) -> np.ndarray:
    """The garment at rest (V, 3) in the canonical pose, skinned by all its weights."""
    maps = (pattern.joints @ shaped.canonical_from_rest.reshape(-1, 12)).reshape(-1, 3, 4)
    return np.einsum("vij,vj->vi", maps[..., :3], rest) + maps[..., 3]
