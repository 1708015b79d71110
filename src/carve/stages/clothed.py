"""The clothed surface as the implicit network sees it: its signed distance around the body, extracted, with the body's own hands and face.

1. The network's signed distance f is asked in a narrow band. Where the photo shows nothing it gives way to the body under thin cloth; of
   feet that it is unsure of, to the body in a shoe.
2. In the zones of hands and face it gives way to a surface a little inside the body, unless hair, a beard or a glove covers them. The
   zones' bodies, cut off at planes, are united with what was extracted: fingers and features keep the body's own triangles. No head is
   less than the body's skull.
3. Weights come from the body's smooth field of them, the same one that carried the points into the photo.

Notation: d the body's signed distance, f the clothed person's, both metres, negative inside; a zone is a box, z(x) the signed distance from
its faces, positive inside. Around a zone's faces (z = 0) f never lies within the body, so that the cuts are buried.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Annotated, Literal

import manifold3d
import numba
import numpy as np
import torch
from pydantic import Field
from scipy import sparse

from carve.body.clothes.hanging import Hanging, Hem, find_hems
from carve.body.clothes.limb_space import LimbSpace
from carve.body.clothes.shoes import Shoes, shoes_worn
from carve.body.finishing import canonical_surface, face_vertices, skin_faces, solid, solid_mesh, with_eyeballs
from carve.body.head.falling_hair import FallingHair
from carve.body.head.hair_solid import with_solid_hair
from carve.body.model import REGIONS
from carve.body.zones import FEET, HANDS, HEAD, LEGS, TORSO
from carve.bounds import Factor, Length, Rising, Rounds, Scale
from carve.geometry.mesh import (
    cotangent_laplacian,
    diffuse,
    largest_component,
    membrane,
    signed_volume,
    smooth,
    uniform_laplacian,
    unique_edges,
)
from carve.geometry.meshing.handles import without_handles
from carve.geometry.meshing.isosurface import Grid, zero_level
from carve.geometry.queries import MeshQueries
from carve.geometry.skinning import bone_transforms
from carve.geometry.sparse import factorise
from carve.networks.implicit import ClothedField, ImplicitNet
from carve.records import BodyFit, CanonicalSurface, NormalMaps, Observation, StageError

if TYPE_CHECKING:
    from carve.body.skin_field import BodyPoints, SkinField

Asked = Callable[[np.ndarray, "BodyPoints"], tuple[np.ndarray, np.ndarray]]
"""Canonical points (N, 3) and the body as seen from them to f (N,) and the log of its expected error (N,), metres."""

_MOST_THREADS = 4
"""That ask the field; more wait for each other."""
_FAR = 1.0
"""Metres: beyond any zone and any picture."""
_SHORTEST = 2e-5
"""Edges are at least so long, metres."""
_ROUNDS_APART = 8
_LEAST_CLOTH = 0.004
"""What cloth a limb keeps where another one takes its space, metres."""
_OUTWARD, _THICKEST = 0.005, 0.08
"""Steps by which the clothes' thickness is found, and where that ends, metres."""
_THICKEST_HAIR = 0.12
"""Where the search for the hair's thickness ends, metres."""
_BURIED = 0.001
"""How far f lies outside the body around a zone's faces, metres."""


@dataclass(frozen=True)
class Worn:
    """What labels say of the clothes."""

    shoes: tuple[bool, bool] = (False, False)
    """Whether the left and the right foot wear one."""
    hems: tuple[Hem, ...] = ()
    """Of what hangs over the legs."""
    mask: np.ndarray | None = None
    """(H, W) coverage 0..1, which hems need."""
    maps: NormalMaps | None = None
    """Whose labels tell where hair falls."""


@dataclass(frozen=True)
class Params:
    """Settings of the learned canonical stage."""

    resolution: Literal[256, 384] | None = None
    """Cells along the longest side of the body's box with its margin; None takes the preset's, 384 for `best` and 256 else."""
    margin: Scale = 0.2
    """How far the box goes beyond the body, metres."""
    reach: Scale = 0.35
    """How far clothes and hair may stand off the body, metres."""
    depth: Scale = 0.06
    """How far the surface may lie inside the body, metres."""
    safety: Annotated[float, Field(ge=1, le=10)] = 1.5
    """How many times faster than a distance the network's may grow; larger values ask at more points."""
    cloth_thickness: Annotated[float, Field(ge=0, le=0.2)] = 0.012
    """How far cloth stands off the skin where the photo shows nothing, metres."""
    border: Scale = 0.06
    """Width over which the photo's word fades beyond its border, metres."""
    shoe_thickness: Annotated[float, Field(ge=0, le=0.1)] = 0.008
    """How far a shoe stands off a foot that labels say wears one, or that the network is unsure of, metres."""
    foot_doubt: Rising[Length] = (0.02, 0.04)
    """Expected errors, metres, at which a foot begins to be the body's and is so altogether."""
    loose: Rising[Length] = (0.04, 0.1)
    """Distances from the body, metres, at which a point begins to count as loose cloth or hair and does so altogether."""
    loose_doubt: Factor = 0.7
    """How many expected errors within the surface a loose point must be to count: what the network only guesses does not hang about."""
    hanging: Rising[Length] = (0.025, 0.045)
    """The same distances behind neck and chest, where what is loose is hair if clothes right below are less so."""
    hanging_doubt: Factor = 2.5
    """The same number of expected errors there."""
    limb_margin: Length = 0.004
    """How much nearer another limb must be, where an arm and the trunk share space in the photo, to have what is seen there, metres."""
    cover: Rising[Length] = (0.02, 0.035)
    """Thickness over hands and face, metres, at which what the network sees begins to replace the body and has replaced it."""
    region_blend: Scale = 0.02
    """Over how much of the skin, metres, the parts of the body merge into each other for the network."""
    taut: Length = 0.025
    """Scale of the membrane that bridges hollows which no cloth follows (chest, spine, seat), metres; zero leaves them."""
    taut_rounds: Rounds = 6
    """Rounds of tightening it."""
    tunnel: Length = 0.3
    """Handles (slits below hair, between fingers, at the lids) whose shortest loop is shorter than this are cut or closed, metres."""
    smoothing: Rounds = 6
    """Rounds of smoothing of what was extracted, at 256 cells; smaller cells get as much in metres. It does not shrink."""
    simplify: Annotated[float, Field(ge=0, le=0.01)] = 0.0001
    """How far triangles may be moved to be fewer, metres."""
    most_vertices: Annotated[int, Field(ge=5000, le=1000000)] = 50000
    """Where there are more vertices, triangles may be moved farther until there are not."""


def build_clothed(observation: Observation, body: BodyFit, normals: NormalMaps, network: ImplicitNet, params: Params) -> CanonicalSurface:
    """The clothed person's watertight surface in the canonical pose. Raises StageError if it cannot be closed."""
    # It brings warp, which other presets do without.
    from carve.body.skin_field import SkinField

    skin = SkinField.of(body)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the layers are small: a second thread waits more than it works, but on other points
    try:
        seen = ClothedField(network, skin, body, normals, observation.mask, observation.photo.pixels)
        worn = Worn(shoes_worn(body, normals), find_hems(body, normals, observation.mask), observation.mask, normals)
        return clothed_surface(body, skin, seen.evaluate, params, worn, min(numba.get_num_threads(), _MOST_THREADS))
    finally:
        torch.set_num_threads(threads)


def clothed_surface(
    body: BodyFit, skin: SkinField, asked: Asked, params: Params, worn: Worn | None = None, threads: int = 1
) -> CanonicalSurface:
    """The surface of any clothed signed distance around a fitted body; `skin` is that body's field. Raises StageError as above."""
    zones = _zones(body)
    field = _Field(body, skin, asked, zones, params, worn or Worn())
    low, high = body.canonical.min(0) - params.margin, body.canonical.max(0) + params.margin
    cells = params.resolution or 256
    grid = Grid.over(low, high, float((high - low).max()) / cells, levels=3)
    try:
        found = zero_level(field.distance, field.bound, grid, params.safety, threads)
    except ValueError as error:
        raise StageError(f"canonical: {error}.") from error
    points = smooth(found.vertices, found.faces, round(params.smoothing * (cells / 256) ** 2))
    points = _taut(points, found.faces, skin, params)
    joined = reduce(lambda whole, part: whole + part, _bare_parts(body, zones), solid(points, found.faces))
    whole = _simplified(with_solid_hair(joined, body, float(zones[0].low[1])), params)
    if whole.volume() < 0.5 * signed_volume(body.canonical, skin.faces):
        raise StageError("canonical: the network sees no person around the fitted body.")
    points, triangles = without_handles(*largest_component(*solid_mesh(whole)), params.tunnel)
    points = _apart(points, triangles)
    near = skin.near(points)
    dense = field.weights(points, near, len(body.skeleton.names)).astype(float)
    return canonical_surface(body, points, triangles, dense, near.region, field.sigma(points, near))


def _taut(points: np.ndarray, faces: np.ndarray, skin: SkinField, params: Params) -> np.ndarray:
    """(V, 3) the extracted surface as cloth lies on it: a membrane that bridges hollows, but for head, hands, feet and what hangs free."""
    if params.taut == 0:
        return points
    near = skin.near(points)
    bare = np.maximum(np.isin(near.region, [HEAD, *HANDS, *FEET]), _ramp(near.distance, *params.loose)).astype(float)
    return membrane(points, faces, 1 - np.clip(2 * diffuse(bare[:, None], faces, 8)[:, 0], 0, 1), params.taut, params.taut_rounds)


def _apart(points: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) with no two neighbours in one place, as unions leave them: files and their readers would weld them. One of each pair goes a
    little of the way to the middle of its ring."""
    points, edges, mean = points.copy(), unique_edges(faces), uniform_laplacian(faces, len(points))
    for _ in range(_ROUNDS_APART):
        short = np.linalg.norm(points[edges[:, 0]] - points[edges[:, 1]], axis=1) < _SHORTEST
        if not short.any():
            break
        moved = np.setdiff1d(edges[short, 1], edges[short, 0])
        points[moved] -= 0.05 * (mean[moved] @ points)
    return points


def _simplified(whole: manifold3d.Manifold, params: Params) -> manifold3d.Manifold:
    """The largest piece, with fewer triangles. Where eyeballs touch their sockets a union leaves small cavities: pieces of their own."""
    tolerance = params.simplify
    piece = max(whole.simplify(tolerance).decompose(), key=lambda part: part.num_vert())
    while piece.num_vert() > params.most_vertices:
        tolerance *= 1.5
        piece = piece.simplify(tolerance)
    return piece


@dataclass(frozen=True)
class _Zone:
    """A box of canonical space in which the body is trusted more than the network."""

    low: np.ndarray
    """(3,) metres."""
    high: np.ndarray
    """(3,) metres."""

    def depth(self, points: np.ndarray) -> np.ndarray:
        """(N,) z: metres from the box's faces, positive inside."""
        return np.minimum(points - self.low, self.high - points).min(1)


def _zones(body: BodyFit) -> list[_Zone]:
    """Face and both hands, cut off at planes: below the chin, at the hairline, before the ears; at the wrists."""
    head = body.canonical[face_vertices(body)]
    # Sideways and in front the face's box does not cut.
    zones = [_Zone(head.min(0) - np.array([0.03, 0, 0]), head.max(0) + np.array([0.03, 0, _FAR]))]
    far = np.full(3, 10.0)
    for side, sign in (("left", 1), ("right", -1)):
        wrist = float(body.skeleton.heads[body.skeleton.names.index(body.skeleton.humanoid[f"{side}Hand"]), 0])
        beyond = wrist + sign * 0.01
        zones.append(_Zone(np.array([beyond, -10, -10]), far) if sign > 0 else _Zone(-far, np.array([beyond, 10, 10])))
    return zones


def _bare_parts(body: BodyFit, zones: list[_Zone]) -> list[manifold3d.Manifold]:
    """The body with its eyeballs inside each zone."""
    whole = with_eyeballs(solid(body.canonical, skin_faces(body)), body)
    return [whole ^ manifold3d.Manifold.cube(tuple(zone.high - zone.low)).translate(tuple(zone.low)) for zone in zones]


class _Field:
    """f with what is known better than by the network."""

    def __init__(self, body: BodyFit, skin: SkinField, asked: Asked, zones: list[_Zone], params: Params, worn: Worn) -> None:
        self._skin, self._asked, self._zones, self._params = skin, asked, zones, params
        self._shoes = Shoes(body, worn.shoes, params.shoe_thickness)
        self._limbs = LimbSpace(body, skin)
        rotations, posed_heads = body.pose.bones(body.skeleton)
        self._transforms = bone_transforms(rotations, posed_heads, body.skeleton.heads)
        self._member = _memberships(body, skin.faces, params.region_blend)
        self._beyond = _beyond_picture(body).astype(np.float32)
        heads, names, humanoid = body.skeleton.heads, body.skeleton.names, body.skeleton.humanoid
        self._chin = float(zones[0].low[1])
        self._chest = float(heads[names.index(humanoid["chest"]), 1])
        self._ankle = min(float(heads[names.index(humanoid[f"{side}Foot"]), 1]) for side in ("left", "right"))
        self._winding = MeshQueries(skin.vertices, skin.faces, winding=True)
        self._coat = self._thickness_behind(body)
        self._hair = FallingHair(body, skin, worn.maps, self._chin)
        if self._hair.asked.any():
            scalp = np.flatnonzero(self._hair.asked)
            normal = self._near(body.canonical[scalp]).normal
            thick = self._outward(body.canonical[scalp], normal, _THICKEST_HAIR)
            self._hair.grow(body.canonical[scalp] + thick[:, None] * normal)
        thickness = self._thickness(body) if worn.hems else np.zeros(len(body.canonical))
        self._hanging = Hanging(body, skin, worn.hems, thickness, np.zeros((1, 1)) if worn.mask is None else worn.mask)

    def _near(self, points: np.ndarray) -> BodyPoints:
        """What the skin says of points (N, 3). Closed toes have folds that touch: there the winding number tells inside from outside."""
        near = self._skin.near(points)
        doubtful = np.flatnonzero((near.distance < 0) & (points[:, 1] < self._ankle))
        if not len(doubtful):
            return near
        distance = near.distance.copy()
        distance[doubtful] *= np.where(self._winding.inside(points[doubtful]), 1, -1)
        return replace(near, distance=distance)

    def _ask(self, points: np.ndarray, near: BodyPoints) -> tuple[np.ndarray, np.ndarray]:
        """f and the log of its error, where parts of the body meet as a mixture of what is said of a point of either.

        What a network makes of the part to which a point belongs jumps at the border.
        """
        corners = self._skin.faces[near.face]
        member = sum(near.bary[:, k, None] * self._member[corners[:, k]] for k in range(3))
        second, first = np.argpartition(member, -2, axis=1)[:, -2:].T
        line = np.arange(len(points))
        share = member[line, second] / (member[line, first] + member[line, second])
        f, log_scale = self._asked(points, replace(near, region=first.astype(np.uint8)))
        between = np.flatnonzero(share > 0.05)
        if len(between):
            other = near.part(between)
            g, log_other = self._asked(points[between], replace(other, region=second[between].astype(np.uint8)))
            f, log_scale = f.copy(), log_scale.copy()
            f[between] += share[between] * (g - f[between])
            log_scale[between] += share[between] * (log_other - log_scale[between])
        return f, log_scale

    def _thickness_behind(self, body: BodyFit) -> float:
        """How far clothes stand off most of the back right below the chest, where hair does not touch them, metres."""
        near = self._near(body.canonical)
        height = self._chest - body.canonical[:, 1]
        back = (near.region == TORSO) & (near.normal[:, 2] < -0.5) & (np.abs(body.canonical[:, 0]) < 0.12) & (np.abs(height - 0.05) < 0.02)
        if not back.any():
            return 0.0
        return float(np.quantile(self._outward(body.canonical[back], near.normal[back], self._params.reach), 0.2))

    def _outward(self, points: np.ndarray, normal: np.ndarray, most: float) -> np.ndarray:
        """(N,) how far one comes from points (N, 3) along unit normals (N, 3) within the clothes, up to `most` metres."""
        steps = np.arange(_OUTWARD, most, _OUTWARD)
        on_way = (points[:, None] + steps[:, None] * normal[:, None]).reshape(-1, 3)
        within = (self._ask(on_way, self._near(on_way))[0] < 0).reshape(-1, len(steps))
        return np.cumprod(within, 1).sum(1) * _OUTWARD

    def _thickness(self, body: BodyFit) -> np.ndarray:
        """(V,) of the clothes on the vertices of trunk and legs, metres, elsewhere zero."""
        thickness = np.zeros(len(body.canonical))
        legs = np.flatnonzero(np.isin(body.region, [TORSO, *LEGS]))
        thickness[legs] = self._outward(body.canonical[legs], self._near(body.canonical[legs]).normal, _THICKEST)
        return thickness

    def bound(self, points: np.ndarray) -> np.ndarray:
        """(N,) zero where the surface may be, else a distance that it surely keeps, negative inside."""
        distance = self._near(points).distance
        return np.maximum(distance - self._params.reach, 0) + np.minimum(distance + self._params.depth, 0)

    def distance(self, points: np.ndarray) -> np.ndarray:
        """(N,) metres, negative inside."""
        # Several ask how the skeleton carries a point.
        p, near = self._params, self._skin.carried(points, self._near(points), self._transforms)
        f, log_scale = self._ask(points, near)
        body = near.distance
        # What hangs from the head behind the back is guessed from its ends at the sides.
        inside = np.min([self._chin - points[:, 1], points[:, 1] - self._chest + 0.06, 0.2 - np.abs(points[:, 0])], axis=0)
        hangs = _ramp(inside, 0.0, 0.02) * _ramp(-near.normal[:, 2], -0.3, 0.0)
        # A coat that goes on below the chest is none of it.
        begin = max(p.hanging[0], self._coat + 0.01)
        hair = p.hanging_doubt * _ramp(body, begin, begin + p.hanging[1] - p.hanging[0])
        doubt = p.loose_doubt * _ramp(body, *p.loose)
        f = f + (doubt + hangs * np.maximum(hair - doubt, 0)) * np.exp(log_scale)
        if self._hair.told:
            # What is hair there labels say, and it is added below.
            f = f + hangs * np.maximum(body - begin - f, 0)
        # What the photo shows where another limb is nearer is that limb's; the skin keeps some cloth.
        others = self._limbs.excess(points, near) - p.limb_margin
        f = np.maximum(f, np.minimum(others, body - _LEAST_CLOTH))
        unseen = self._unseen(near)
        f = f + unseen * (body - p.cloth_thickness - f)
        foot = _ramp(self._ankle - points[:, 1], 0.0, 0.03) * _ramp(np.exp(log_scale), *p.foot_doubt)
        f = f + foot * (body - p.shoe_thickness - f)
        f = self._shoes.worn(f, points, self._ankle)
        f = self._hanging.united(f, points, near, others)
        f = self._hair.united(f, points, near)
        # A zone's body replaces the network where nothing thick covers it. What is thin tapers off before the zone begins.
        z = np.max([zone.depth(points) for zone in self._zones], axis=0)
        bare = 1 - _ramp(body - f, *p.cover)
        f = f + _ramp(z, -0.03, 0.0) * bare * (body - _BURIED - f)
        certain = np.maximum(z, np.minimum(points[:, 1] - self._chin, 0.2 - np.abs(points[:, 0])))
        f = f + _ramp(certain, -0.03, -0.01) * np.minimum(body - _BURIED - f, 0)
        return f + _ramp(z, 0.006, 0.018) * bare * (body + 6 * _BURIED - f)

    def weights(self, points: np.ndarray, near: BodyPoints, bones: int) -> np.ndarray:
        """(N, bones) skinning weights of surface points, rows sum to 1."""
        return self._hanging.weights(points, near, bones)

    def sigma(self, points: np.ndarray, near: BodyPoints) -> np.ndarray:
        """(N,) expected error of surface points, metres; what the photo does not show is as uncertain as twice its cloth."""
        expected = np.exp(self._ask(points, near)[1]).astype(float)
        return np.maximum(expected, 2 * self._params.cloth_thickness * self._unseen(near))

    def _unseen(self, near: BodyPoints) -> np.ndarray:
        """(N,) 0 where the nearest skin is in the picture, 1 well beyond."""
        return _ramp((near.bary * self._beyond[self._skin.faces[near.face]]).sum(1), 0.0, self._params.border)


def _memberships(body: BodyFit, faces: np.ndarray, scale: float) -> np.ndarray:
    """(V, R) float32 how much each vertex belongs to each region, smooth over about `scale` metres: one implicit step of diffusion."""
    stiffness, area = cotangent_laplacian(body.canonical, faces)
    mass = sparse.diags(np.maximum(area, 1e-12))
    solver = factorise((mass + scale**2 * stiffness), pivots=True)
    return solver.solve(mass @ np.eye(len(REGIONS))[body.region]).astype(np.float32)


def _beyond_picture(body: BodyFit) -> np.ndarray:
    """(V,) metres that the posed body's vertices lie beyond the picture's border, negative inside."""
    camera, depth = body.camera, -body.posed[:, 2]
    ahead = depth > 0.1
    pixels = camera.project(np.where(ahead[:, None], body.posed, [0.0, 0.0, -1.0]))
    outside = np.maximum(-pixels, pixels - [camera.width, camera.height]).max(1)
    return np.where(ahead, np.clip(outside * depth / camera.focal, -_FAR, _FAR), _FAR)


def _ramp(values: np.ndarray, start: float, end: float) -> np.ndarray:
    """0 below `start`, 1 above `end`, smooth between."""
    share = np.clip((values - start) / (end - start), 0, 1)
    return share * share * (3 - 2 * share)
