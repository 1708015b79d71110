"""One face: the photo's half that is turned away is the mirror image of the other; where no face was found, a plain one in the skin's tone.

Notation: q how squarely the photo sees a vertex (its weight times the cosine to the camera), q' the same of its counterpart on the
face's other half; m share of the mirror image, which rises as q falls behind q'; g factor that brings the mirror image to the tone of its
new place, known where both are seen and spread smoothly over the head.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from carve.body.anny import EYES
from carve.body.head.face_points import INNER, face_points
from carve.body.head.face_surface import features_on
from carve.body.head.head_look import head_look
from carve.body.model import REGIONS
from carve.body.zones import face_zone
from carve.geometry.mesh import diffuse, vertex_normals
from carve.geometry.meshing.diffusion import spread, stiffness
from carve.geometry.pictures.sampling import sample
from carve.records import BodyFit, CanonicalSurface, Observation, PosedSurface
from carve.stages.texturing.layers import Layer
from carve.stages.texturing.params import Params
from carve.stages.texturing.view import View, facing, photo_weight

_BARE = 0.012
"""A surface farther than this from the body's skin is hair, a hat or a beard, metres."""
_FEATURES = (0.012, 0.03)
"""Distances from the inner points of the face mesh within which a plain face is painted, and from which it is not, metres."""
_IRIS, _PUPIL = 0.0058, 0.0019
"""Radii of an adult's, metres."""
_WHITE, _BROWN = np.array([214.0, 208.0, 203.0]), np.array([78.0, 52.0, 36.0])
"""Eyes of a plain face, sRGB."""


@dataclass(frozen=True)
class OwnFace:
    """What the face adds to a texture, at the surface's vertices."""

    pixels: np.ndarray
    """(V, 2) where the photo has the counterpart."""
    mirrored: np.ndarray
    """(V,) m, 0 to 1."""
    gain: np.ndarray
    """(V, 3) g."""
    plain: np.ndarray
    """(V, 3) sRGB of a plain face."""
    plainness: np.ndarray
    """(V,) share of the plain face, 0 to 1."""
    eye: np.ndarray
    """(V,) 1 on eyeballs, where a plain face has irises."""


def own_face(
    observation: Observation,
    posed: PosedSurface,
    body: BodyFit,
    view: View,
    head: Layer,
    seen: np.ndarray,
    skin: np.ndarray | None,
    params: Params,
) -> OwnFace | None:
    """What the face adds; None for a body model whose face is not known.

    Args:
        observation: of the photo.
        posed: the surface.
        body: the fitted body under it.
        view: what the photo shows.
        head: the photo as the head shows itself in it.
        seen: (V,) weight of the photo at the vertices.
        skin: (3,) sRGB of bare skin, if any is seen.
        params: of the stage.
    """
    if body.model != "anny":
        return None
    surface = posed.canonical
    count = len(surface.vertices)
    on = _on_skin(surface, body)
    pixels, mirrored = np.zeros((count, 2)), np.zeros(count)
    gain = np.ones((count, 3))
    plain, plainness, eye = np.zeros((count, 3)), np.zeros(count), np.zeros(count)
    if "face_0" in observation.landmarks.names:
        points, normals = _counterparts(surface, posed, body, on)
        pixels, mirrored = _mirror_share(view, posed, points, normals, on, seen, params)
        gain = _gain(surface, view, head, posed, pixels, mirrored, seen * features_on(surface, body), on)
    elif skin is not None:
        plainness, plain, eye = _plain_face(surface, body, on, skin, seen)
    return OwnFace(pixels, mirrored, gain, plain, plainness, eye)


@dataclass(frozen=True)
class _OnSkin:
    """The body's head under the surface."""

    vertices: np.ndarray
    """(n,) of the surface that lie on the body's bare head."""
    body: np.ndarray
    """(n, 4) vertices of the body around each."""
    share: np.ndarray
    """(n, 4) their weights, sum 1."""
    fade: np.ndarray
    """(n,) 1 on the skin, 0 at _BARE."""


def _on_skin(surface: CanonicalSurface, body: BodyFit) -> _OnSkin:
    own = np.flatnonzero(body.region == REGIONS.index("head"))
    wanted = np.flatnonzero(surface.region == REGIONS.index("head"))
    distance, near = cKDTree(body.canonical[own]).query(surface.vertices[wanted], k=4)
    bare = distance[:, 0] < _BARE
    share = 1 / (distance[bare] ** 2 + 1e-8)
    fade = np.clip(2 - 2 * distance[bare, 0] / _BARE, 0, 1)
    return _OnSkin(wanted[bare], own[near[bare]], share / share.sum(1, keepdims=True), fade)


def _counterparts(surface: CanonicalSurface, posed: PosedSurface, body: BodyFit, on: _OnSkin) -> tuple[np.ndarray, np.ndarray]:
    """(n, 3) posed places and normals of the counterparts: through the body's own symmetry, back onto the surface as it was refined."""
    look = head_look()
    other = np.zeros(len(body.canonical), np.int64)
    other[look.vertices] = look.mirror
    distance, near = cKDTree(surface.vertices[on.vertices]).query(body.canonical[look.vertices], k=3)
    weight = 1 / (distance**2 + 1e-8)
    weight /= weight.sum(1, keepdims=True)
    of_body, of_normal = np.zeros_like(body.canonical), np.zeros_like(body.canonical)
    normals = vertex_normals(posed.vertices, surface.faces)
    of_body[look.vertices] = np.einsum("nk,nkc->nc", weight, posed.vertices[on.vertices[near]])
    of_normal[look.vertices] = np.einsum("nk,nkc->nc", weight, normals[on.vertices[near]])
    partner = other[on.body]
    return np.einsum("nk,nkc->nc", on.share, of_body[partner]), np.einsum("nk,nkc->nc", on.share, of_normal[partner])


def _mirror_share(
    view: View, posed: PosedSurface, points: np.ndarray, normals: np.ndarray, on: _OnSkin, seen: np.ndarray, params: Params
) -> tuple[np.ndarray, np.ndarray]:
    """(V, 2) pixels of the counterparts and (V,) m."""
    faces, count = posed.canonical.faces, len(posed.vertices)
    nothing = np.zeros(len(points), bool)
    there = photo_weight(view, points, normals, nothing, params) * np.clip(facing(points, normals), 0, 1)
    own = seen[on.vertices] * np.clip(facing(posed.vertices[on.vertices], vertex_normals(posed.vertices, faces)[on.vertices]), 0, 1)
    share = np.zeros(count)
    behind = np.cos(np.radians(params.face_degrees))
    share[on.vertices] = on.fade * _ramp(behind - own, 0.0, 0.18) * _ramp(there - own, 0.15, 0.35) * _ramp(there, 0.3, 0.55)
    # Single vertices that hide behind a fold would make freckles of the mirror image.
    share = np.clip(diffuse(share[:, None], faces, 3)[:, 0], 0, 1)
    pixels = np.zeros((count, 2))
    pixels[on.vertices] = view.camera.project(points)
    known = np.zeros(count, bool)
    known[on.vertices] = True
    return pixels, np.where(known, share, 0)


def _gain(
    surface: CanonicalSurface,
    view: View,
    head: Layer,
    posed: PosedSurface,
    pixels: np.ndarray,
    mirrored: np.ndarray,
    seen: np.ndarray,
    on: _OnSkin,
) -> np.ndarray:
    """(V, 3) g, from where both halves are seen; `seen` (V,) is the weight of the photo on the features, where no hair mixes in."""
    gain = np.ones((len(surface.vertices), 3))
    if not (mirrored > 0).any():
        return gain
    own = head.tone(view.camera.project(posed.vertices[on.vertices]))[:, :3]
    other = head.tone(pixels[on.vertices])[:, :3]
    both = np.zeros(len(surface.vertices))
    both[on.vertices] = np.clip(seen[on.vertices] - mirrored[on.vertices], 0, 1) ** 2
    # The nearer to the seam, the better it is known what the light does there.
    ratio = np.zeros_like(gain)
    found = np.clip(np.log((own + 8) / (other + 8)), -0.4, 0.4)
    # Light differs from side to side, hue hardly does.
    ratio[on.vertices] = found.mean(1, keepdims=True) + np.clip(found - found.mean(1, keepdims=True), -0.08, 0.08)
    axes = np.tile([0.0, 1.0, 0.0], (len(surface.faces), 1))
    inside = np.isin(surface.faces, on.vertices).all(1)
    stiff = stiffness(surface.vertices, surface.faces, axes, 1.0, np.where(inside, 1.0, 1e-3))
    weight = 0.3 * both + 1e-3
    return np.exp(spread(stiff, weight, ratio * (both / weight * 0.3)[:, None]))


def _plain_face(
    surface: CanonicalSurface, body: BodyFit, on: _OnSkin, skin: np.ndarray, seen: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(V,) share, (V, 3) sRGB and (V,) eyeballs of a face that nobody saw."""
    count = len(surface.vertices)
    plainness, plain, eye = np.zeros(count), np.zeros((count, 3)), np.zeros(count)
    look = head_look()
    factor, ball = np.ones((len(body.canonical), 3)), np.zeros(len(body.canonical))
    factor[look.vertices] = look.colour
    index = {name: k for k, name in enumerate(body.skeleton.names)}
    for name in EYES:
        ball += (body.weights * (body.bones == index[name])).sum(1) > 0.5
    distance, _ = cKDTree(face_points().on(body.canonical)[INNER]).query(surface.vertices[on.vertices])
    near, far = _FEATURES
    # All of the bare face that nobody saw, and the features even where they were seen: they are elsewhere on this head.
    unseen = 1 - _ramp(seen, 0.1, 0.5)
    zone = face_zone(surface)
    plainness[on.vertices] = on.fade * np.maximum(_ramp(far - distance, 0.0, far - near), (unseen * zone)[on.vertices])
    plainness = np.clip(diffuse(plainness[:, None], surface.faces, 4)[:, 0], 0, 1)
    plainness[np.setdiff1d(np.arange(count), on.vertices)] = 0
    linear = (skin / 255) ** 2.2 * np.einsum("nk,nkc->nc", on.share, factor[on.body])
    plain[on.vertices] = 255 * np.clip(linear, 0, 1) ** (1 / 2.2)
    eye[on.vertices] = (on.share * ball[on.body]).sum(1) > 0.5
    return plainness, plain, eye


def eye_colours(places: np.ndarray, heads: np.ndarray) -> np.ndarray:
    """(N, 3) sRGB of eyeballs at canonical places (N, 3), by the distance from the nearer eye's axis; `heads` (2, 3) are their joints."""
    offset = places[:, None, :2] - heads[None, :, :2]
    radius = np.linalg.norm(offset, axis=-1).min(1)[:, None]
    pupil, iris = _ramp(_PUPIL + 0.0004 - radius, 0.0, 0.0008), _ramp(_IRIS + 0.0005 - radius, 0.0, 0.001)
    ring = 0.55 + 0.45 * _ramp(_IRIS - radius, 0.0, 0.0018)
    return _WHITE + iris * (_BROWN * ring - _WHITE) + pupil * (12.0 - (_WHITE + iris * (_BROWN * ring - _WHITE)))


def add_face(
    colours: np.ndarray, weight: np.ndarray, mixed: np.ndarray, places: np.ndarray, picture: np.ndarray, heads: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Colours (N, 3) and photo weights (N, 1) of texels with the face.

    Args:
        colours: (N, 3) without it.
        weight: (N, 1) without it.
        mixed: (N, 11) `stacked` at the texels.
        places: (N, 3) canonical.
        picture: (H, W, 3) the photo.
        heads: (2, 3) the eyes' joints, canonical.
    """
    pixels, m, gain = mixed[:, :2], mixed[:, 2:3], mixed[:, 3:6]
    plain, plainness, eye = mixed[:, 6:9], mixed[:, 9:10], mixed[:, 10]
    colours, weight = colours.copy(), weight.copy()
    rows = np.flatnonzero(m[:, 0] > 1e-3)
    if len(rows):
        other = np.clip(sample(picture, pixels[rows]) * gain[rows], 0, 255)
        colours[rows] += m[rows] * (other - colours[rows])
        weight[rows] *= 1 - m[rows]
    rows = np.flatnonzero(plainness[:, 0] > 1e-3)
    if len(rows):
        face = np.where((eye[rows] > 0.5)[:, None], eye_colours(places[rows], heads), plain[rows])
        colours[rows] += plainness[rows] * (face - colours[rows])
        weight[rows] *= 1 - plainness[rows]
    return colours, weight


def stacked(own: OwnFace) -> np.ndarray:
    """(V, 11) the face's values at the vertices, in one table."""
    return np.column_stack([own.pixels, own.mirrored, own.gain, own.plain, own.plainness, own.eye])


def _ramp(values: np.ndarray, start: float, end: float) -> np.ndarray:
    """0 below `start`, 1 above `end`, smooth between."""
    share = np.clip((values - start) / (end - start), 0, 1)
    return share * share * (3 - 2 * share)
