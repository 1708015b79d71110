"""From a closed triangle mesh around a body to the record of the canonical stage: solids, eyeballs, skinning weights, checks.

Used by every stage that makes a canonical surface. Notation: V vertices, F faces, B bones.
"""

from __future__ import annotations

from dataclasses import replace

import manifold3d
import numpy as np
from scipy import sparse

from carve.body.fork import eased_at_fork
from carve.body.zones import face_zone
from carve.geometry.mesh import compact, components, is_watertight, signed_volume
from carve.geometry.skinning import bone_transforms, skin, strongest_weights
from carve.records import BodyFit, CanonicalSurface, Skeleton, StageError

_LIMBS = ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")
_OTHER_BONE, _OTHER_LIMB = 3.0, 8.0
"""How many joints another humanoid bone, and one of an arm or a leg, is farther away than its joints say."""
_CHUNK, _COMPARED = 8192, 8
"""Vertices whose bones are compared at a time; how many of them."""


def bone_maps(body: BodyFit) -> np.ndarray:
    """(B, 3, 4) maps of each bone from the canonical pose to the photo's."""
    skeleton = body.skeleton
    rotations, heads = body.pose.bones(skeleton)
    return bone_transforms(rotations, heads, skeleton.heads)


def skin_faces(body: BodyFit) -> np.ndarray:
    """Faces of the body's largest piece: the skin without eyeballs, teeth and tongue."""
    label = components(body.faces, len(body.canonical))
    return body.faces[label[body.faces[:, 0]] == np.bincount(label).argmax()]


def face_vertices(body: BodyFit) -> np.ndarray:
    """(V,) bool: vertices of the body that belong to the face."""
    as_surface = CanonicalSurface(
        vertices=body.canonical,
        faces=body.faces,
        skeleton=body.skeleton,
        bones=body.bones,
        weights=body.weights,
        region=body.region,
        sigma=np.zeros(len(body.canonical)),
        dropped_weight=0.0,
        skinning_error=0.0,
    )
    return face_zone(as_surface)


def solid(vertices: np.ndarray, faces: np.ndarray) -> manifold3d.Manifold:
    """Vertices (V, 3) and faces (F, 3) for boolean operations. Raises StageError if they enclose nothing."""
    v, f, _ = compact(vertices, faces)
    mesh = manifold3d.Mesh(vert_properties=v.astype(np.float32), tri_verts=f.astype(np.uint32))
    made = manifold3d.Manifold(mesh)
    if made.status() != manifold3d.Error.NoError:
        raise StageError(f"canonical: the surface is not a closed solid ({made.status()}).")
    return made


def solid_mesh(made: manifold3d.Manifold) -> tuple[np.ndarray, np.ndarray]:
    """A solid's vertices (V, 3) float64 and faces (F, 3) int64."""
    mesh = made.to_mesh()
    return np.asarray(mesh.vert_properties[:, :3], float), np.asarray(mesh.tri_verts, np.int64)


_EYE_GROWTH = 1.01
"""Eyeballs are made larger by this: of lids that they only just touch they would come loose when triangles are taken away."""


def with_eyeballs(made: manifold3d.Manifold, body: BodyFit) -> manifold3d.Manifold:
    """The solid united with the closed pieces that the eye bones move, if the body has them."""
    label = components(body.faces, len(body.canonical))
    main = np.bincount(label).argmax()
    for side in ("leftEye", "rightEye"):
        if side not in body.skeleton.humanoid:
            continue
        bone = body.skeleton.names.index(body.skeleton.humanoid[side])
        moved = (body.weights * (body.bones == bone)).sum(1) > 0.5
        for piece in np.unique(label[moved]):
            if piece != main:
                ball = body.canonical[label == piece].mean(0)
                grown = ball + _EYE_GROWTH * (body.canonical - ball)
                made = made + solid(grown, body.faces[label[body.faces[:, 0]] == piece])
    return made


def bone_gaps(skeleton: Skeleton) -> np.ndarray:
    """(B, B) how differently bones move: joints between them, and more if they belong to different humanoid bones, most if one of
    these is an arm's or a leg's."""
    count = len(skeleton.names)
    gaps = np.zeros((count, count))
    owner = np.arange(count)
    humanoid = set(skeleton.humanoid.values())
    limbs = {own for name, own in skeleton.humanoid.items() if name.endswith(_LIMBS)}
    for bone, parent in enumerate(skeleton.parents):
        if parent < 0:
            continue
        gaps[bone, :bone] = gaps[:bone, bone] = gaps[parent, :bone] + 1
        if skeleton.names[bone] not in humanoid:
            owner[bone] = owner[parent]
    limb = np.array([skeleton.names[bone] in limbs for bone in owner])
    return gaps + np.where(limb[:, None] | limb, _OTHER_LIMB, _OTHER_BONE) * (owner[:, None] != owner)


def merged_weights(dense: np.ndarray, gaps: np.ndarray, count: int = 4) -> np.ndarray:
    """Weights (V, B) with at most `count` bones a vertex: again and again one gives what it has to another, the pair that this moves least.

    How far that moves the vertex is its weight times how differently the two move. Cutting off the weakest bones would leave a skirt, which
    hangs on ten of them, to one leg here and to the other beside it; and giving the weakest away first would leave the front of a shoulder
    to the arm here and to the collarbone beside it.

    Args:
        dense: (V, B), rows sum to 1.
        gaps: (B, B) of `bone_gaps`.
        count: bones that are left.
    """
    merged = dense.copy()
    rows = np.flatnonzero((merged > 0).sum(1) > count)
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        most = int((merged[chunk] > 0).sum(1).max())
        bones = np.argsort(-merged[chunk], axis=1, kind="stable")[:, :most]
        weight = np.take_along_axis(merged[chunk], bones, 1)
        line, kept = np.arange(len(chunk)), min(most, max(_COMPARED, count))
        # What little the many others have goes to the nearest of the strong ones; comparing all pairs of them would take long.
        for k in range(kept, most):
            taker = gaps[bones[:, k, None], bones[:, :kept]].argmin(1)
            weight[line, taker] += weight[:, k]
        weight[:, kept:] = 0
        strong, weight = weight, weight[:, :kept]
        apart = gaps[bones[:, :kept, None], bones[:, None, :kept]]
        for _ in range(kept - count):
            held = weight > 0
            # Of bones that are equally near the strongest takes it.
            cost = weight[:, :, None] * (apart - 0.5 * weight[:, None, :])
            cost[~(held[:, :, None] & held[:, None, :])] = np.inf
            cost[:, np.arange(kept), np.arange(kept)] = np.inf
            giver, taker = np.divmod(cost.reshape(len(chunk), -1).argmin(1), kept)
            amount = np.where(held.sum(1) > count, weight[line, giver], 0)
            weight[line, taker] += amount
            weight[line, giver] -= amount
        merged[chunk[:, None], bones] = strong
    return merged


def finer_surface(surface: CanonicalSurface, operator: sparse.csr_matrix, faces: np.ndarray) -> CanonicalSurface:
    """The surface on a finer mesh.

    Args:
        surface: V vertices.
        operator: (V', V) rows sum to 1, as of `geometry.meshing.refinement`.
        faces: (F', 3) of the finer mesh.
    """
    count = len(surface.vertices)
    rows = np.repeat(np.arange(count), surface.bones.shape[1])
    shape = (count, len(surface.skeleton.names))
    mixed = (operator @ sparse.csr_matrix((surface.weights.ravel(), (rows, surface.bones.ravel())), shape=shape)).tocsr()
    mixed.data = np.maximum(mixed.data, 0)
    many = np.flatnonzero(np.diff(mixed.indptr) > 4)
    dense = mixed.toarray()
    dense[many] = merged_weights(dense[many], bone_gaps(surface.skeleton))
    bones, weights, dropped = strongest_weights(dense)
    # The column of each row's largest entry, the first of equal ones.
    row = np.repeat(np.arange(operator.shape[0]), np.diff(operator.indptr))
    order = np.lexsort((-operator.indices, np.abs(operator.data), row))
    largest = operator.indices[order[operator.indptr[1:] - 1]]
    return replace(
        surface,
        vertices=operator @ surface.vertices,
        faces=faces,
        bones=bones,
        weights=weights,
        region=surface.region[largest],
        sigma=np.maximum(operator @ surface.sigma, 0),
        dropped_weight=max(surface.dropped_weight, float(dropped.max())),
    )


def canonical_surface(
    body: BodyFit, vertices: np.ndarray, faces: np.ndarray, dense: np.ndarray, region: np.ndarray, sigma: np.ndarray
) -> CanonicalSurface:
    """The record of a finished mesh, its weights eased at the fork of the legs and merged to four a vertex.

    Args:
        body: whose skeleton moves the surface.
        vertices: (V, 3) canonical pose, metres.
        faces: (F, 3)
        dense: (V, B) skinning weights, rows sum to 1.
        region: (V,) index into REGIONS.
        sigma: (V,) expected error along the normal, metres.

    Raises:
        StageError: the mesh is not watertight or is turned inside out.
    """
    if not is_watertight(faces) or signed_volume(vertices, faces) <= 0:
        raise StageError("canonical: the united surface is not watertight.")
    merged = merged_weights(eased_at_fork(dense, vertices, faces, body.skeleton), bone_gaps(body.skeleton))
    bones, weights, _ = strongest_weights(merged)
    dropped = np.maximum(dense - merged, 0).sum(1)
    maps = bone_maps(body)
    exact = (dense @ maps.reshape(-1, 12)).reshape(-1, 3, 4)
    with_all = np.einsum("vij,vj->vi", exact[..., :3], vertices) + exact[..., 3]
    with_four = skin(vertices, maps, bones, weights)
    return CanonicalSurface(
        vertices=vertices,
        faces=faces,
        skeleton=body.skeleton,
        bones=bones,
        weights=weights,
        region=region,
        sigma=sigma,
        dropped_weight=float(dropped.max()),
        skinning_error=float(np.linalg.norm(with_all - with_four, axis=1).mean()),
    )
