"""How the colour of a plain face varies about its skin's, averaged over the assets' skins and brows, at the vertices of Anny's head."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from carve.body.head.head_look import HeadLook
from carve.body.model import REGIONS
from carve.geometry.queries import MeshQueries
from carve.records import CarveError
from carve.synth.assets.files import Assets
from carve.synth.looks.skins import SIZE, skin_colour
from carve.synth.looks.texture import decode, linear_from_srgb
from carve.synth.people.bodies import FullBody, Traits, shape_body
from carve.synth.people.poses import apply_pose
from carve.synth.wear.garments import coarse_pattern
from carve.synth.wear.person import placed

_BROW = 0.15
"""Factor on the skin's colour under a full brow."""
_REACH = 0.006
"""Brows lie within this distance of the skin that they colour, metres."""


def find_head_look(body: FullBody, assets: Assets) -> HeadLook:
    """The mean over the assets; both halves are made alike. Raises CarveError without skins or brows."""
    vertices = np.flatnonzero(body.region == REGIONS.index("head"))
    template = body.template.numpy()[body.base]
    distance, mirror = cKDTree(template).query(template[vertices] * [-1.0, 1.0, 1.0])
    if distance.max() > 1e-3:
        raise CarveError("The body model's head is not symmetric.")
    colour = _skins(body, assets, vertices) * _brows(body, assets, vertices)
    place = np.full(len(template), -1)
    place[vertices] = np.arange(len(vertices))
    colour = (colour + colour[place[mirror]]) / 2
    return HeadLook(vertices, mirror, colour)


def _skins(body: FullBody, assets: Assets, vertices: np.ndarray) -> np.ndarray:
    """(N, 3) geometric mean over the skins of the colour at each vertex over the skin's own."""
    if not assets.skins:
        raise CarveError(f"{assets.root} has no skins.")
    uv = np.zeros((len(body.base), 2))
    uv[body.faces.ravel()] = body.uv.reshape(-1, 2)
    at = np.clip((uv[vertices] * SIZE).astype(int), 2, SIZE - 3)
    rows = []
    for skin in assets.skins.values():
        linear = linear_from_srgb(decode(skin.path, SIZE)[..., :3] / 255)
        around = np.mean([linear[at[:, 1] + i, at[:, 0] + j] for i in (-2, 0, 2) for j in (-2, 0, 2)], axis=0)
        rows.append(np.log(np.maximum(around, 1e-3) / skin_colour(skin.path)))
    return np.exp(np.median(rows, 0))


def _brows(body: FullBody, assets: Assets, vertices: np.ndarray) -> np.ndarray:
    """(N, 1) mean factor of the brows."""
    brows = [asset for asset in assets.garments.values() if asset.kind == "eyebrows"]
    if not brows:
        raise CarveError(f"{assets.root} has no eyebrows.")
    middle = dict.fromkeys(("gender", "muscle", "weight", "height", "proportions", "cupsize", "firmness"), 0.5) | {"age": 0.67}
    shaped = shape_body(body, Traits(30.0, middle, (1 / 3, 1 / 3, 1 / 3), {}, {}))
    pose = apply_pose(body, shaped, np.tile(np.eye(3), (len(body.names), 1, 1)))
    factors = []
    for asset in brows:
        layer = placed(coarse_pattern(body, asset), shaped, pose).layer
        picture = decode(asset.diffuse)
        alpha = picture[..., 3] / 255 if picture.shape[2] == 4 else np.ones(picture.shape[:2])
        near = MeshQueries(layer.canonical, layer.faces).nearest(shaped.canonical[vertices])
        at = np.einsum("nk,nkc->nc", near.bary, layer.uv[near.face]) % 1.0
        # Around each vertex, and darker than the mean: single hairs are finer than the vertices.
        rows, columns = (at[:, 1] * alpha.shape[0]).astype(int), (at[:, 0] * alpha.shape[1]).astype(int)
        spread = range(-8, 9, 4)
        cover = np.mean([alpha[(rows + i) % alpha.shape[0], (columns + j) % alpha.shape[1]] for i in spread for j in spread], axis=0)
        fade = np.clip(1.5 - near.distance / _REACH, 0, 1)
        factors.append(1 - fade * np.sqrt(cover) * (1 - _BROW))
    return np.mean(factors, 0)[:, None]
