"""Hair that needs no asset: strands grown from the scalp, then wrapped into a solid as the packs' cards are.

A strand starts at its root along a mixture of the scalp's normal and the way it is combed, bends downwards, and slides over head, neck
and shoulders, which it never enters. All lengths are metres on the reference body at rest; phi is the angle about the skull's vertical
axis, 0 ahead.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy import sparse
from scipy.spatial import cKDTree

from carve.geometry.mesh import vertex_normals
from carve.geometry.queries import MeshQueries
from carve.synth.assets.files import GarmentAsset
from carve.synth.hair.beards import asset_of
from carve.synth.hair.locks import SPACING, Cards, flow_of, flow_uv, gradient_noise, moved_to, skin_rows, skull_centre, wrap_cards
from carve.synth.hair.mantle import CLOSING, Mantle
from carve.synth.people.bodies import FullBody, ShapedBody
from carve.synth.people.hair_styles import Cut, Style, draw_cut
from carve.synth.records import PARTS
from carve.synth.wear.garments import Pattern

ROOTS, DREADS = 1900, 120
"""Strands on a head: enough that wrapping leaves no slits; thick ones."""
EDGE, LONG_EDGE = 0.009, 0.013
"""Longest edges of short and of long hair."""
STEP = 0.004
"""Between samples of a strand."""
_HUG = 15.0
"""How fast hair that is combed bends towards the skull, 1 / metres."""
CLEAR = 0.003
"""How far strands stay off the skin."""
_COVERS = 0.08
"""Hair that is longer at the sides covers ears and neck."""
_TUCKS = 0.2
"""And longer than this it is put behind the ears where it goes behind the shoulders."""
_THICK = 0.012
"""How far the outermost of it lies off what it covers, metres."""
_LINE = np.array([[0, 0.066], [30, 0.068], [52, 0.05], [70, 0.022], [84, -0.004], [96, 0.012], [112, 0.0], [130, -0.045], [180, -0.07]])
"""The hairline: |phi| in degrees, height above the eyes for eyes 63 mm apart."""


def grown_hair(body: FullBody, reference: ShapedBody, name: str, variant: int) -> Pattern:
    """Cut number `variant` of a style (`carve.synth.people.hair_styles.STYLES`) as a smooth closed surface without locks."""
    cut = draw_cut(name, np.random.default_rng([variant, *name.encode()]))
    head = _Head(body, reference)
    points, root = _samples(head, cut, variant)
    cards = Cards(points, lambda index: _bindings(body, reference, points[index], root[index], head.chin))
    long = cut.top > 0.2 and cut.style.gathered in ("loose", "dreads")
    vertices, faces, binding, joints = wrap_cards(body, reference, cards, LONG_EDGE if long else EDGE)
    asset = _asset(body, reference, name, variant, cut)
    zero = np.zeros_like(vertices)
    pattern = Pattern(asset.name, PARTS.index("hair"), asset.layer, asset, binding, zero, joints, faces, np.zeros((len(faces), 3, 2)), True)
    pattern = moved_to(pattern, reference, vertices)
    return replace(pattern, uv=flow_uv(flow_of(body, reference), vertices, faces))


def _asset(body: FullBody, reference: ShapedBody, name: str, variant: int, cut: Cut) -> GarmentAsset:
    """The record of a style, which no file holds; its name tells how it curls."""
    own = asset_of(body, reference, name)
    return replace(
        own,
        name=f"grown {name} {cut.style.curl} {variant}",
        gender="female" if cut.style.worn == "women" else "male",
        adult_only=False,
    )


class _Head:
    """The reference body as hair sees it."""

    def __init__(self, body: FullBody, reference: ShapedBody) -> None:
        eyes = reference.rest_heads[[body.names.index("eye.L"), body.names.index("eye.R")]]
        self.skin = reference.rest[body.base]
        self.normals = vertex_normals(self.skin, body.faces)
        self.faces = body.faces
        self.queries = MeshQueries(self.skin, body.faces)
        self.centre = skull_centre(body, reference)
        self.apart = float(np.linalg.norm(eyes[0] - eyes[1]))
        self.eyes = float(eyes[:, 1].mean())
        self.chin = self.eyes - 1.75 * self.apart
        self.crown = self.centre + np.array([0.0, 1.5, -0.55]) * self.apart

    def mantle(self, length: float) -> Mantle:
        """What hair of that length (metres) may touch."""
        low = np.array([-0.3, self.crown[1] - length - 0.06, self.skin[:, 2].min() - 3 * CLOSING])
        return Mantle(self.skin, self.faces, low, np.array([0.3, self.crown[1] + 0.08, self.skin[:, 2].max() + 3 * CLOSING]))

    def lift_out(self, points: np.ndarray, ways: np.ndarray, clear: float | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (N, 3) at least `clear` (or (N,)) above the skin, their directions (N, 3) not into it."""
        near = self.queries.nearest(points, 0.08)
        found = near.face >= 0
        normal = np.einsum("nk,nkd->nd", near.bary, self.normals[self.faces[np.maximum(near.face, 0)]])
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        height = np.einsum("nd,nd->n", points - near.point, normal)
        low = np.where(found, np.maximum(clear - height, 0.0), 0.0)
        into = np.minimum(np.einsum("nd,nd->n", ways, normal), 0.0) * (low > 0)
        ways = ways - into[:, None] * normal
        return points + low[:, None] * normal, ways / np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), 1e-9)


def _roots(head: _Head, count: int, receding: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Roots (N, 3), outward directions (N, 3) and how far from the hairline they lie, 0 at it and 1 three centimetres behind (N,)."""
    k = np.arange(4 * count) + 0.5
    y, angle = 1 - 1.35 * k / (4 * count), k * 2.399963
    out = np.column_stack([np.sqrt(1 - y * y) * np.sin(angle), y, np.sqrt(1 - y * y) * np.cos(angle)])
    face, distance = head.queries.first_hit(np.tile(head.centre, (len(out), 1)), out, 0.3)
    roots = head.centre + distance[:, None] * out
    phi = np.degrees(np.abs(np.arctan2(out[:, 0], out[:, 2])))
    scale = head.apart / 0.063
    line = head.eyes + np.interp(phi, *_LINE.T) * scale + receding * np.exp(-(((phi - 38) / 24) ** 2)) + 0.5 * receding * (phi < 60)
    line = line + 0.004 * gradient_noise(np.column_stack([phi / 14, out[:, 0] * 2, np.full(len(phi), seed % 97)]), 5)
    grows = (face >= 0) & np.isfinite(distance) & (roots[:, 1] > line) & (distance < 2.2 * head.apart)
    return roots[grows], out[grows], np.clip((roots[grows, 1] - line[grows]) / (0.03 * scale), 0, 1)


def _combed(head: _Head, cut: Cut, points: np.ndarray, out: np.ndarray, upper: np.ndarray) -> np.ndarray:
    """(N, 3) the way hair lies at points (N, 3): from the crown down, and as it is combed where `upper` (N,) is 1."""
    down = points - head.crown
    ways = {
        "down": down,
        "back": np.tile([0.0, 0.1, -1.0], (len(points), 1)),
        "forward": np.tile([0.0, 0.0, 1.0], (len(points), 1)),
        "up": np.tile([0.0, 1.0, 0.25], (len(points), 1)),
        "out": out,
        "parted": np.column_stack([np.where(points[:, 0] > cut.part, 1.0, -1.0), np.full(len(points), -0.2), np.full(len(points), -0.25)]),
    }
    unit = lambda v: v / np.maximum(np.linalg.norm(v, axis=1, keepdims=True), 1e-9)  # noqa: E731
    way = unit(upper[:, None] * unit(ways[cut.style.comb]) + (1 - upper[:, None]) * unit(unit(down) + np.array([0.0, -0.6, 0.0])))
    way = way - np.einsum("nd,nd->n", way, out)[:, None] * out if cut.style.comb != "up" else way
    return unit(way)


def _samples(head: _Head, cut: Cut, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Points on all strands (N, 3), and the root that each hangs on (N, 3)."""
    style = cut.style
    dreads = style.gathered == "dreads"
    roots, out, inner = _roots(head, DREADS if dreads else ROOTS, style.receding, seed)
    # Where sides are shorn the long hair above them begins at a line.
    low, wide = (0.8, 0.12) if cut.sides < 0.015 else (0.55, 0.45)
    upper = np.clip((roots[:, 1] - head.eyes - low * head.apart) / (wide * head.apart), 0, 1)
    rng = np.random.default_rng([seed, 3])
    length = (cut.sides + (cut.top - cut.sides) * upper) * rng.uniform(0.93, 1.0, len(roots))
    if cut.top < 0.2:
        length = length * (0.35 + 0.65 * inner)  # short hair begins shorter at its edge
    gathered = style.gathered in ("bun", "tail", "braid", "two braids")
    if gathered:
        points, root = _pulled(head, cut, roots, out)
    else:
        points, root = _strands(head, cut, roots, out, upper, length, seed)
    points, root = np.concatenate([points, *_thick(points, dreads)]), np.tile(root, (7 if dreads else 1, 1))
    few = _one_a_cell(points)
    return points[few], root[few]


def _one_a_cell(points: np.ndarray) -> np.ndarray:
    """Indices of the first of points (N, 3) in each cell of half the wrapping's spacing: of thousands of strands many run together."""
    cell = np.floor((points - points.min(0)) / (0.5 * SPACING)).astype(np.int64)
    _, first = np.unique((cell[:, 0] << 40) | (cell[:, 1] << 20) | cell[:, 2], return_index=True)
    return np.sort(first)


def _thick(points: np.ndarray, dreads: bool) -> list[np.ndarray]:
    """Six neighbours of every sample where strands are thick."""
    if not dreads:
        return []
    return [points + 0.0035 * sign * np.eye(3)[axis] for axis in range(3) for sign in (-1, 1)]


def _strands(
    head: _Head, cut: Cut, roots: np.ndarray, out: np.ndarray, upper: np.ndarray, length: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Loose hair: samples (N, 3) and their roots (N, 3)."""
    style = cut.style
    ways = cut.lift * out + (1 - cut.lift) * _combed(head, cut, roots, out, upper)
    ways /= np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), 1e-9)
    place, found, owners = roots + CLEAR * out, [roots + 0.001 * out], [roots]
    ahead = (out[:, 2] > 0.25) & (np.abs(roots[:, 0] - cut.part * (style.comb == "parted")) < 1.1 * head.apart)
    # The hair of the nape stays behind; what grows at the sides falls as it is put.
    aside = np.where(out[:, 2] < -0.25, 1.0, np.where(roots[:, 0] > 0, cut.behind[0], cut.behind[1]))
    tucked = (aside > 0) & (cut.sides > _TUCKS)
    mantle = head.mantle(float(length.max())) if cut.sides >= _COVERS else None
    thick = _THICK * np.random.default_rng([seed, 5]).random(len(roots)) ** 0.5
    for number in range(1, int(length.max() / STEP) + 1):
        run = number * STEP
        growing = run <= length
        low = place[:, 1] < head.chin
        if style.fringe:
            growing &= ~(ahead & (place[:, 1] < head.eyes + cut.fringe) & (place[:, 2] > head.centre[2]))
        # Single strands that could not be put behind would hang before the ear as shreds.
        growing &= ~(tucked & low & (place[:, 2] > head.centre[2]))
        if not growing.any():
            break
        ways = ways + style.limp * STEP * _pull(head, cut, place, low, ahead, aside, tucked)
        if style.comb not in ("out", "up"):
            radial = place - head.centre
            ways = ways - _HUG * STEP * (~low * radial.T / np.maximum(np.linalg.norm(radial, axis=1), 1e-9)).T
        ways /= np.maximum(np.linalg.norm(ways, axis=1, keepdims=True), 1e-9)
        if mantle is None:
            place, ways = head.lift_out(place + STEP * ways, ways, CLEAR + 0.004 * upper * (run > 0.02))
        else:
            place, ways, normal = mantle.lift_out(place + STEP * ways, ways, CLEAR + thick * min(run / 0.08, 1.0), low)
            # On the shoulders it turns forwards or backwards.
            ways[:, 2] -= 0.3 * aside * np.clip(normal[:, 1], 0, 1) * low
        found.append(_curled(place[growing], roots[growing], run, style, seed))
        owners.append(roots[growing])
    return np.concatenate(found), np.concatenate(owners)


def _pull(
    head: _Head, cut: Cut, place: np.ndarray, low: np.ndarray, ahead: np.ndarray, aside: np.ndarray, tucked: np.ndarray
) -> np.ndarray:
    """(N, 3) where loose hair at places (N, 3) bends, 1 straight down; those `low` (N,) are below the chin, `ahead` (N,) grow above the
    forehead, `aside` (N,) go behind (1) or before (-1) the shoulders, `tucked` (N,) behind the ears."""
    pull = np.tile([0.0, -1.0, 0.0], (len(place), 1))
    across, up, depth = place.T
    # From the shoulders it hangs straight; strands hold together.
    to_shoulder = np.clip((up - head.chin) / (2 * head.apart) + 1, 0, 1)
    pull[low, 2] = (-0.5 * aside * to_shoulder)[low]
    before = np.clip((depth - head.centre[2]) / head.apart + 0.7, 0, 1) * tucked * (up < head.eyes + head.apart)
    pull[:, 2] -= 2.5 * before * to_shoulder
    wide = low & (np.abs(across) > 1.5 * head.apart)
    pull[wide, 0] = -0.5 * np.sign(across[wide])
    # What is not cut above the eyes falls beside the face.
    face = ~low & (depth > head.centre[2] + 0.3 * head.apart) & (up < head.eyes + 0.9 * head.apart)
    face &= (np.abs(across) < 1.15 * head.apart) & ~(ahead & cut.style.fringe)
    pull[face, 0] = 2.2 * np.where(across[face] > cut.part, 1.0, -1.0)
    pull[face, 2] = -0.6 - 2.0 * tucked[face]
    if cut.style.fringe:
        pull[ahead & ~low, 2] = 0.4
    return pull


def _curled(points: np.ndarray, roots: np.ndarray, run: float, style: Style, seed: int) -> np.ndarray:
    """Samples moved into waves or curls, whose phase neighbours share; hair that stands off all round shows curls in its relief alone."""
    curl = style.curl
    if curl == "straight" or style.comb == "out":
        return points
    size, wave = (0.006, 0.055) if curl == "wavy" else (0.008, 0.032)
    phase = 2 * np.pi * run / wave + 5 * gradient_noise(roots / 0.035, seed + 11)
    grown = np.clip(run / 0.06, 0, 1)
    swing = np.column_stack([np.cos(phase), 0.2 * np.sin(2 * phase), np.sin(phase)])
    return np.asarray(points + size * grown * swing)


def _pulled(head: _Head, cut: Cut, roots: np.ndarray, out: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hair pulled over the head to where it is gathered, and what it is gathered into."""
    style = cut.style
    both = style.gathered == "two braids"
    level = head.eyes + head.apart * (-0.75 + 1.9 * style.high)
    knots = []
    for side in (-1.0, 1.0) if both else (0.0,):
        aim = np.array([0.75 * side, (level - head.centre[1]) / (2 * head.apart), -0.7 if both else -1.0])
        aim /= np.linalg.norm(aim)
        _, distance = head.queries.first_hit(head.centre[None], aim[None], 0.4)
        knots.append(head.centre + (float(distance[0]) + 0.012) * aim)
    goal = np.array(knots)[(roots[:, 0] > cut.part * both).astype(int) if both else np.zeros(len(roots), int)]
    place, found, owners = roots + CLEAR * out, [roots + 0.001 * out], [roots]
    for _ in range(90):
        gap = goal - place
        near = np.linalg.norm(gap, axis=1)
        going = near > 0.012
        if not going.any():
            break
        ways = gap / np.maximum(near[:, None], 1e-9) + 0.15 * out
        moved, _ = head.lift_out(place + STEP * ways, ways, CLEAR + 0.05 * cut.lift)
        place = np.where(going[:, None], moved, place)
        found.append(place[going])
        owners.append(roots[going])
    for knot in knots:
        points = _gathered(head, cut, knot)
        found.append(points)
        owners.append(np.tile(knot, (len(points), 1)))
    return np.concatenate(found), np.concatenate(owners)


def _gathered(head: _Head, cut: Cut, knot: np.ndarray) -> np.ndarray:
    """(N, 3) samples inside a bun, a tail or a braid that hangs from a knot."""
    back = knot - head.centre
    back /= np.linalg.norm(back)
    rng = np.random.default_rng(1)
    ball = rng.normal(size=(900, 3))
    ball *= (rng.random(900) ** (1 / 3) / np.linalg.norm(ball, axis=1))[:, None]
    if cut.style.gathered == "bun":
        radius = 0.024 + 0.045 * cut.tail
        return np.asarray(knot + 0.7 * radius * back + radius * ball * [1.0, 0.9, 0.9])
    place, way, found = knot.copy(), back + np.array([0.0, 0.25, 0.0]), []
    for number in range(int(cut.tail / STEP)):
        way = way + 28.0 * STEP * np.array([0.0, -1.0, 0.0])
        way /= np.linalg.norm(way)
        moved, turned = head.lift_out((place + STEP * way)[None], way[None], 0.018)
        place, way, share = moved[0], turned[0], number * STEP / cut.tail
        if cut.style.gathered == "tail":
            radius = 0.013 + 0.02 * np.sin(np.pi * min(1.15 * share + 0.12, 1.0)) ** 0.8
        else:
            radius = (0.016 - 0.006 * share) * (1 + 0.28 * np.abs(np.sin(np.pi * number * STEP / 0.028)))
        found.append(place + radius * ball[rng.integers(0, len(ball), 40)])
    return np.concatenate(found)


def _bindings(
    body: FullBody, reference: ShapedBody, points: np.ndarray, root: np.ndarray, chin: float
) -> tuple[sparse.csr_matrix, sparse.csr_matrix]:
    """Binding (N, H) and joints (N, B) of samples: of the scalp at the root; what hangs below the chin follows the shoulders by and by."""
    skin = reference.rest[body.base]
    base, bones = skin_rows(body)
    head = np.flatnonzero(body.region == 1)
    at_root = head[cKDTree(skin[head]).query(root)[1]]
    trunk = np.flatnonzero(body.region == 0)
    below = trunk[cKDTree(skin[trunk]).query(points)[1]]
    share = np.clip((chin - points[:, 1]) / 0.22, 0, 1)
    share = 0.8 * share * share * (3 - 2 * share)
    joints = sparse.diags(1 - share) @ bones[at_root] + sparse.diags(share) @ bones[below]
    return base[at_root].tocsr(), joints.tocsr()
