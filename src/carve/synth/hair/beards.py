"""Beards as closed shells on the skin of the lower face, bound to the base mesh as the skin is.

A field on the skin, about the distance to a beard's border and positive where it grows, is made of the face's landmarks. The skin is cut
along its zero and raised by the hair's length; border and inner side lie in the skin. Frame and units: the body at rest, metres.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from scipy import sparse

from carve.geometry.mesh import boundary_edges, components, diffuse, unique_edges, vertex_normals
from carve.geometry.meshing.refinement import Refined, clip, dropped, refine, split_edges
from carve.geometry.queries import MeshQueries
from carve.synth.assets.files import GarmentAsset
from carve.synth.hair.locks import flow_of, flow_uv, gradient_noise, moved_to, ridges, skin_rows
from carve.synth.people.bodies import SKIN_VERTICES, FullBody, ShapedBody
from carve.synth.records import PARTS
from carve.synth.wear.garments import Pattern

BeardStyle = Literal["stubble", "short", "full", "moustache", "goatee"]

BEARD_EDGE = 0.0065
"""Longest edge of a beard's skin before it is raised, metres."""
FEATHER = 0.009
"""Width over which a beard rises from the skin, metres."""
UNDER_SKIN = 0.0008
"""How deep a beard's border lies below the skin, metres."""


@dataclass(frozen=True)
class _Face:
    """Landmarks of a face at rest, metres."""

    mouth: np.ndarray
    """(3,) the middle of the mouth's line."""
    corner: np.ndarray
    """(3,) the left corner of the mouth."""
    nose: float
    """Height of the nose's base."""
    chin: np.ndarray
    """(3,) the lowest point of the chin's front."""
    ear: np.ndarray
    """(3,) where the left sideburn starts: before the middle of the ear."""


def _face_of(body: FullBody, reference: ShapedBody, skin: np.ndarray) -> _Face:
    """Landmarks from what the face shapes move most."""

    def moved(name: str) -> np.ndarray:
        shape = body.shapes[len(body.mask) + body.face_names.index(name)].numpy()[body.base]
        return np.linalg.norm(shape, axis=1)

    mouth = skin[moved("mouthFunnel").argmax()].copy()
    mouth[0] = 0.0
    smile = moved("mouthSmileLeft")
    jaw = skin[moved("jawOpen") > 0.5 * moved("jawOpen").max()]
    middle = jaw[np.abs(jaw[:, 0]) < 0.012]
    front = middle[middle[:, 2] > mouth[2] - 0.03]
    chin = front[front[:, 1].argmin()].copy()
    chin[0] = 0.0
    eyes = reference.rest_heads[[body.names.index("eye.L"), body.names.index("eye.R")]].mean(0)
    head = skin[body.region == 1]
    nose = head[(np.abs(head[:, 0]) < 0.008) & (head[:, 1] > mouth[1]) & (head[:, 1] < eyes[1])]
    tip = nose[nose[:, 2].argmax()]
    level = head[np.abs(head[:, 1] - 0.5 * (tip[1] + eyes[1])) < 0.012]
    widest = level[level[:, 0].argmax()]
    ear = np.array([widest[0] - 0.012, 0.5 * (tip[1] + eyes[1]), widest[2] + 0.03])
    return _Face(mouth, skin[smile.argmax()], mouth[1] + 0.74 * (tip[1] - mouth[1]), chin, ear)


def _step(value: np.ndarray) -> np.ndarray:
    """Smooth from 0 at 0 to 1 at 1."""
    t = np.clip(value, 0, 1)
    return t * t * (3 - 2 * t)


def _beard_field(face: _Face, style: BeardStyle, points: np.ndarray) -> np.ndarray:
    """(N,) about the distance to the beard's border, metres, positive where it grows."""
    x, y, z = np.abs(points[:, 0]), points[:, 1], points[:, 2]
    mouth, half = face.mouth, face.corner[0]
    unit = half / 0.028
    lips = np.hypot((points[:, 0] - mouth[0]) / half, (y - mouth[1]) / (np.where(y > mouth[1], 0.0095, 0.0125) * unit)) - 1
    lips = np.where(z > mouth[2] - 0.035 * unit, lips * 0.011 * unit, 1.0)
    # The cheek's line: from beside the mouth up to the ear.
    back = np.clip((face.corner[2] - z) / (face.corner[2] - face.ear[2]), 0, 1.2)
    cheek = face.corner[1] + 0.013 * unit + (face.ear[1] - face.corner[1]) * back**2 - y
    # Under the jaw as far as a razor leaves it.
    throat = y - (face.chin[1] - 0.012 * unit) - 0.42 * np.clip(face.chin[2] - 0.03 - z, 0, None)
    bend = np.clip(x / half, 0, 1.4) ** 2
    lip = _meet(face.nose - 0.004 * unit * bend - y, y - mouth[1] + 0.006 * unit * bend, 0.004)
    moustache = _meet(lip, 1.3 * half - x, 0.008)
    moustache = np.where(z > mouth[2] - 0.035 * unit, moustache, -1.0)
    if style == "moustache":
        return np.minimum(moustache, lips)
    if style == "goatee":
        chin = _meet(_meet(throat, 1.05 * half - x, 0.012), mouth[1] - y + 0.012 * unit, 0.008)
        chin = np.where(z > face.chin[2] - 0.012 * unit, chin, -1.0)
        return np.minimum(_join(chin, moustache, 0.006), lips)
    full = _meet(_meet(cheek, z - face.ear[2], 0.012), throat, 0.02)
    return np.minimum(_join(full, moustache, 0.008), lips)


def _meet(a: np.ndarray, b: np.ndarray, radius: float) -> np.ndarray:
    """The smaller of two fields with corners rounded by `radius` (polynomial smooth minimum)."""
    share = np.clip(1 - np.abs(a - b) / (2 * radius), 0, 1)
    return np.minimum(a, b) - 0.5 * radius * share**2


def _join(a: np.ndarray, b: np.ndarray, radius: float) -> np.ndarray:
    """The larger of two fields with corners rounded by `radius`."""
    return -_meet(-a, -b, radius)


def _beard_height(face: _Face, style: BeardStyle, points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(N,) length of the hair outward, metres."""
    unit = face.corner[0] / 0.028
    low = {
        "stubble": (0.001, 0.0025),
        "short": (0.004, 0.008),
        "full": (0.007, 0.011),
        "moustache": (0.004, 0.007),
        "goatee": (0.004, 0.008),
    }
    at_chin = {"stubble": (1.0, 1.2), "short": (1.0, 1.7), "full": (2.0, 3.6), "moustache": (1.0, 1.0), "goatee": (1.3, 2.6)}
    length, more = rng.uniform(*low[style]), rng.uniform(*at_chin[style])
    chin = np.exp(-(((points - face.chin - np.array([0, 0.008, 0])) / (np.array([0.04, 0.024, 0.045]) * unit)) ** 2).sum(1))
    height = length * (1 + (more - 1) * chin)
    # Hair above the mouth and on the throat stays short.
    short = _step((points[:, 1] - face.mouth[1] + 0.012) / 0.012) * (points[:, 2] > face.corner[2])
    throat = _step((face.chin[1] - 0.002 - points[:, 1]) / 0.01) * _step((face.chin[2] - 0.02 - points[:, 2]) / 0.02)
    return np.minimum(height, np.where(np.maximum(short, throat) > 0, (1 - np.maximum(short, throat)) * 0.05 + 0.006, np.inf))


def beard_pattern(body: FullBody, reference: ShapedBody, style: BeardStyle, rng: np.random.Generator) -> Pattern:
    """A beard as a closed shell on the skin of the lower face; its border and its inner side lie in the skin.

    The reference must be an adult's face at rest.
    """
    skin = reference.rest[body.base]
    face = _face_of(body, reference, skin)
    mesh, field = _beard_skin(body, reference, face, style)
    points = mesh.operator @ skin
    normal = mesh.operator @ vertex_normals(skin, body.faces)
    normal = diffuse(normal / np.linalg.norm(normal, axis=1, keepdims=True), mesh.faces, 4)
    down = np.array([0.0, -0.45, 0.12]) * np.exp(-(((points - face.chin) / 0.045) ** 2).sum(1))[:, None]
    outward = normal + down
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    rise = _step(field / FEATHER)
    length = _beard_height(face, style, points, rng) * (0.55 + 0.45 * _step(field / (3 * FEATHER)))
    seed = int(rng.integers(2**31))
    rough = 0.30 * ridges(points * np.array([1, 0.35, 1]) / 0.011, seed) + 0.25 * gradient_noise(points / 0.022, seed + 1)
    height = -UNDER_SKIN + rise * (UNDER_SKIN + length * (1 + rough * min(1.0, 0.006 / float(length.max()) + 0.35)))
    inner = np.flatnonzero(field > 0)
    return _shell(
        body, reference, style, mesh, points + height[:, None] * outward, points - (UNDER_SKIN + 0.002 * rise)[:, None] * normal, inner
    )


def _beard_skin(body: FullBody, reference: ShapedBody, face: _Face, style: BeardStyle) -> tuple[Refined, np.ndarray]:
    """The skin where a beard grows, as an operator on the body's vertices, and the field on it: 0 on its border."""
    skin = reference.rest[body.base]
    normal = vertex_normals(skin, body.faces)
    # The mouth's inside and the nostrils look at other skin.
    hidden = MeshQueries(skin, body.faces).blocked(skin + 0.0005 * normal, normal, 0.025)
    hidden &= (skin[:, 1] > face.mouth[1] - 0.02) & (np.abs(skin[:, 0]) < 0.8 * face.corner[0])
    field = np.where(hidden, -0.01, _beard_field(face, style, skin))
    allowed = (body.region == 1) & (body.base < SKIN_VERTICES)
    reach = (field > -0.02) & ~hidden & allowed
    kept = reach[body.faces].all(1)
    mesh = refine(skin, body.faces[kept], body.uv[kept], BEARD_EDGE, rounded=True)
    value = _beard_field(face, style, mesh.operator @ skin)
    cut = clip(mesh.faces, mesh.corners, value)
    field = cut.operator @ value
    # Crumbs are no beard.
    label = components(cut.faces, len(field))
    kept = (np.bincount(label) >= 40)[label[cut.faces[:, 0]]]
    cut = dropped(Refined(cut.operator, cut.faces[kept], cut.corners[kept], cut.source[kept]))
    field = np.where(_on_rim(cut), 0.0, np.maximum(cut.operator @ value, 1e-6))
    # An edge across the surface needs a vertex that is not on its border, or the shell's two sides would share it.
    edges = unique_edges(cut.faces)
    rim = np.sort(boundary_edges(cut.faces), axis=1)
    across = (field[edges] == 0).all(1) & ~np.isin(edges @ [len(field), 1], rim @ [len(field), 1])
    split = split_edges(cut.faces, cut.corners, len(field), across)
    field = split.operator @ field
    field[cut.operator.shape[0] :] = 1e-6
    return Refined((split.operator @ cut.operator @ mesh.operator).tocsr(), split.faces, split.corners, split.source), field


def _on_rim(mesh: Refined) -> np.ndarray:
    """(V,) bool: on the border."""
    rim = np.zeros(mesh.operator.shape[0], bool)
    rim[boundary_edges(mesh.faces).ravel()] = True
    return rim


def _shell(
    body: FullBody, reference: ShapedBody, style: BeardStyle, mesh: Refined, outer: np.ndarray, inner: np.ndarray, free: np.ndarray
) -> Pattern:
    """The solid between two copies of a surface that share all vertices but the `free` ones."""
    count = len(outer)
    twin = np.arange(count)
    twin[free] = count + np.arange(len(free))
    faces = np.concatenate([mesh.faces, twin[mesh.faces][:, ::-1]])
    where = np.concatenate([outer, inner[free]])
    operator = sparse.vstack([mesh.operator, mesh.operator[free]]).tocsr()
    to_base, to_bones = skin_rows(body)
    asset = asset_of(body, reference, f"beard_{style}")
    uv = flow_uv(flow_of(body, reference), where, faces)
    binding, joints = (operator @ to_base).tocsr(), (operator @ to_bones).tocsr()
    pattern = Pattern(asset.name, PARTS.index("hair"), asset.layer, asset, binding, where, joints, faces, uv, True)
    return moved_to(pattern, reference, where)


def asset_of(body: FullBody, reference: ShapedBody, name: str) -> GarmentAsset:
    """The record of hair that carve makes, which no file holds: it scales with the head's width, height and depth."""
    head = np.flatnonzero((body.region == 1) & (body.base < SKIN_VERTICES))
    skin = reference.rest[body.base[head]]
    pairs = np.array([[body.base[head[skin[:, k].argmin()]], body.base[head[skin[:, k].argmax()]]] for k in range(3)])
    size = np.abs(np.diff(reference.rest[pairs, np.arange(3)[:, None]], axis=1)).ravel() * 10
    none = np.zeros((0, 3))
    return GarmentAsset(
        name=name,
        folder=Path(),
        kind="hair",
        ref=none.astype(np.int32),
        ref_weights=none,
        offsets=none,
        scale_vertices=pairs,
        scale_denominators=size,
        faces=none.astype(np.int64),
        uv=np.zeros((0, 2)),
        face_uv=none.astype(np.int64),
        hidden=np.zeros(0, np.int64),
        layer=6,
        gender="male",
        adult_only=True,
        poses="any",
        alpha=False,
        defects="",
        licence="Apache-2.0",
        author="carve",
        source="made by carve",
        diffuse=None,
        normal=None,
    )
