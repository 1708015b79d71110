"""Refine in the photo's pose: the finished mesh, skinned as the avatar will be, takes on the mask's outline and the normal maps' detail.

1. Outline: what is left between silhouette and mask is closed by movement in the picture's plane (`relief.outline`); so is what is left
   between the normals that the surface shows and those of the map (`relief.normal_flow`): an arm before the trunk gets its own outline.
2. Finer: where the maps show detail, edges are split; else the mesh stays as coarse as it is.
3. Detail: vertices move along their viewing rays until the surface has the normals that the maps show, the front's where the camera sees it
   and the back's where the far side is cut, by least squares (`relief.normal_integration`) or to the zero level of a signed distance that
   is fitted to them (`field_fit`). A ray's vertex stays in its pixel, so the outline stays.
4. Edges: where labels say that a garment ends the surface steps (`garment_edges`); where they say that hair is it has locks (`hair_locks`).

The movement goes back to canonical space through each vertex's own blended transform, so that posing the avatar gives exactly the posed
surface.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import cv2
import numpy as np
from pydantic import Field
from scipy import sparse

from carve.body.finishing import finer_surface
from carve.body.head.face_surface import expression_on, features_on
from carve.body.model import REGIONS, bone_regions
from carve.body.zones import FEET, LEGS, face_zone
from carve.bounds import Degrees, Length, Pixels, Rounds, Scale, Share, Steps, Weight
from carve.geometry.camera import Camera
from carve.geometry.mesh import diffuse, face_normals, uniform_laplacian, vertex_normals
from carve.geometry.meshing.refinement import refine_where
from carve.geometry.pictures.sampling import sample_image
from carve.geometry.raster import rasterise
from carve.geometry.relief.normal_flow import normal_flow
from carve.geometry.relief.normal_integration import Wanted, integrate_normals
from carve.geometry.relief.outline import SurfaceMover, find_rim, mask_field
from carve.geometry.skinning import blended_transforms, bone_transforms, skin, unskin
from carve.geometry.visibility import visibility
from carve.networks.hyper import HyperNet
from carve.records import BodyFit, CanonicalSurface, NormalMaps, Observation, PosedSurface, StageError
from carve.stages.refining.field_fit import Evidence, FieldFit, FitParams, Start, zero_level
from carve.stages.refining.garment_edges import garment_edges
from carve.stages.refining.hair_locks import hair_locks


@dataclass(frozen=True)
class Params:
    """Settings of the stage."""

    resolution: Pixels = 768
    """Pixels of the person's longer side."""
    rounds: Rounds = 4
    """Rounds of moving in the picture's plane."""
    reach: Length = 0.06
    """How far the mask may lie outside the surface, metres."""
    inward: Length = 0.06
    """How far it may lie inside, metres."""
    scale: Scale = 0.01
    """Smoothness of the movement, metres."""
    align: bool = True
    """Whether what lies within the outline moves to where the front's normals show it."""
    align_resolution: Pixels = 480
    """Pixels of the person's longer side for that."""
    align_farthest: Length = 0.02
    """How far it may move in one round, metres."""
    align_trust: Weight = 50.0
    """How much a square metre of surface counts against the outline, per metre."""
    align_scale: Scale = 0.015
    """Smoothness of that movement, metres."""
    detail: bool = True
    """Whether the surface takes on the normal maps' detail."""
    method: Literal["integration", "field"] = "integration"
    """How: `integration` by least squares over the mesh, `field` by fitting a signed distance to the person."""
    start: Start = "hypernetwork"
    """What a field's weights begin as: made by the hypernetwork for this person, fitted to a mean posed body, a ball's, or random."""
    steps: Steps = 300
    """Of a field's fit; without the hypernetwork it needs five times as many."""
    reach_of_normals: Scale = 0.4
    """Shapes longer than this are the surface's own, shorter ones the normals', metres."""
    fine: Length = 0.005
    """Edges longer than this are split where the front's map shows detail, metres; zero leaves the mesh as it is."""
    fine_degrees: Degrees = 4.0
    """Difference of the map's normals at an edge's ends that is detail."""
    fine_reach: Scale = 0.08
    """The finer mesh takes on shapes shorter than this, metres; longer ones the mesh before it has taken on."""
    smoothness: Scale = 0.002
    """Details smaller than this, and what no map shows, follow smoothly, metres."""
    doubt_degrees: Degrees = 25.0
    """Expected error at which a normal counts half."""
    back_trust: Share = 0.5
    """Trust in the back's normals against the front's: nobody saw the back."""
    face_hold: Annotated[float, Field(ge=0, le=100_000)] = 2000.0
    """How firmly a face that was fitted keeps its place while the outline moves, per metre."""
    face_trust: Share = 0.25
    """Trust in the normals of the face, where the body model's own detail is good."""
    foot_trust: Share = 0.2
    """Trust in the normals of feet: a map shows little of a sole and of toes."""
    foot_hold: Annotated[float, Field(ge=0, le=100_000)] = 10.0
    """How firmly feet and shoes keep their shape while the outline moves, per metre."""
    edges: Annotated[float, Field(ge=0, le=4)] = 1.0
    """Factor of the steps at the edges of garments, which labels show; zero leaves them out."""
    locks: Annotated[float, Field(ge=0, le=4)] = 1.0
    """Factor of the height of hair's locks; zero leaves it smooth."""
    margin: Length = 0.006
    """Width of the strip along outlines whose normals are not trusted, metres."""
    settle: bool = True
    """Whether the surface is smoothed where legs crumple it between them."""
    farthest: Length = 0.03
    """How far the detail may move a vertex, metres."""


def refine(
    observation: Observation,
    body: BodyFit,
    canonical: CanonicalSurface,
    normals: NormalMaps,
    params: Params,
    network: HyperNet | None = None,
) -> PosedSurface:
    """Pose the surface, give it the mask's outline and the maps' detail, and carry the change back.

    `network` is that of the starts `hypernetwork` and `body`.

    Raises StageError if a vertex is not finite afterwards, or a field is asked for without the network that its start needs.
    """
    skeleton, pose = canonical.skeleton, body.pose
    rotations, heads = pose.bones(skeleton)
    transforms = bone_transforms(rotations, heads, skeleton.heads)
    expression = expression_on(canonical, body)
    smiling = canonical.vertices if expression is None else canonical.vertices + expression
    posed = skin(smiling, transforms, canonical.bones, canonical.weights)
    if params.settle:
        posed = _settled(posed, canonical, cloth=True)
    hold = _held(posed, canonical, body, params)
    mover = SurfaceMover(posed, canonical.faces, hold)
    field = mask_field(observation.mask, body.camera, params.resolution)

    def outlined(vertices: np.ndarray, rounds: int) -> np.ndarray:
        for _ in range(rounds):
            vertices = mover.shift(vertices, find_rim(vertices, canonical.faces, field, params.reach, params.inward), params.scale)
        return vertices

    posed = outlined(posed, params.rounds)
    if params.align and params.detail:
        posed = outlined(_aligned(posed, canonical, mover, observation, normals, body.camera, params), 2)
    notes: tuple[str, ...] = ()
    if params.detail:
        posed, notes = _with_detail(posed, canonical, normals, body, params, network)
        if params.fine > 0:
            canonical, posed = _finer(posed, canonical, normals, body.camera, params)
            expression = expression_on(canonical, body)
            posed = _with_fine_detail(posed, canonical, normals, body.camera, params)
    if params.edges > 0 or params.locks > 0:
        canonical, posed = _with_edges_and_locks(canonical, posed, observation, normals, body, params)
        expression = expression_on(canonical, body)
    if params.settle:
        posed = _settled(posed, canonical, cloth=False)
    smiling = canonical.vertices if expression is None else canonical.vertices + expression
    start = skin(smiling, transforms, canonical.bones, canonical.weights)
    posed = start + _carried_back(transforms, canonical)[:, None] * (posed - start)
    vertices = unskin(posed, transforms, canonical.bones, canonical.weights) - (0 if expression is None else expression)
    if not (np.isfinite(vertices).all() and np.isfinite(posed).all()):
        raise StageError("refine: a vertex is not finite after inverse skinning.")
    return PosedSurface(replace(canonical, vertices=vertices), pose, body.camera, posed, notes, expression)


def _with_edges_and_locks(
    canonical: CanonicalSurface, posed: np.ndarray, observation: Observation, normals: NormalMaps, body: BodyFit, params: Params
) -> tuple[CanonicalSurface, np.ndarray]:
    """The surface, and it posed (V', 3), with steps where garments end and with locks where there is hair."""
    pixels = observation.photo.pixels
    stepped = garment_edges(PosedSurface(canonical, body.pose, body.camera, posed, (), None), normals, pixels, params.edges)
    surface = PosedSurface(stepped.canonical, body.pose, body.camera, stepped.posed, (), None)
    stepped = hair_locks(surface, stepped.shares, features_on(stepped.canonical, body, whole=True), pixels, params.locks)
    return stepped.canonical, stepped.posed


def _held(posed: np.ndarray, canonical: CanonicalSurface, body: BodyFit, params: Params) -> np.ndarray:
    """(V,) how firmly each vertex of `posed` (V, 3) stays where it is when the outline pulls."""
    hands = np.isin(canonical.region, [REGIONS.index("left_hand"), REGIONS.index("right_hand")])
    # Beyond the picture nothing pulls, and a thin plate would go on with its slope: hold what the photo does not show.
    pixels = body.camera.project(posed)
    beyond = ((pixels < 0) | (pixels > np.array([body.camera.width, body.camera.height]))).any(1)
    ends = diffuse(np.stack([hands, np.isin(canonical.region, FEET)], 1).astype(float), canonical.faces, 4)
    hold = 0.1 + ends @ [100.0, params.foot_hold] + 20.0 * beyond
    # A fitted face lies where the photo has it: the hair's outline beside a cheek must not pull it away.
    return np.asarray(hold + params.face_hold * features_on(canonical, body, whole=True))


def _carried_back(transforms: np.ndarray, canonical: CanonicalSurface) -> np.ndarray:
    """(V,) share of a movement that a vertex makes: less where blended bones flatten space, since the way back would stretch it."""
    blended = blended_transforms(transforms, canonical.bones, canonical.weights)[..., :3]
    return np.clip(np.linalg.svd(blended, compute_uv=False)[:, -1] / 0.5, 0, 1)


_FORK = ((0.05, 0.1), 0.05)
"""Distances from the fork of the legs within and beyond which the surface is smoothed fully and not at all; how far the fork lies below
the hip joints. Shares of the height."""
_FORK_ROUNDS = 120
_BOTH_LEGS = 0.1
"""Weight on either leg from which a vertex belongs to cloth between them."""
_SQUEEZED = (0.25, 0.5)
"""Shares of its area in the canonical pose at which such cloth is smoothed fully and not at all."""


def _settled(posed: np.ndarray, canonical: CanonicalSurface, cloth: bool) -> np.ndarray:
    """Posed vertices (V, 3), smoothed where legs that stand closer than in the canonical pose crumple the surface between them: around
    their fork, and `cloth` that follows both."""
    skeleton = canonical.skeleton
    if not {"leftUpperLeg", "rightUpperLeg"} <= set(skeleton.humanoid):
        return posed
    height = float(np.ptp(canonical.vertices[:, 1]))
    (near, far), below = _FORK
    hips = [skeleton.heads[skeleton.names.index(skeleton.humanoid[f"{side}UpperLeg"])] for side in ("left", "right")]
    fork = np.mean(hips, 0) - np.array([0.0, below * height, 0.0])
    # Front and back of the trunk lie as far from it as thighs do: depth does not count.
    away = np.linalg.norm((canonical.vertices - fork)[:, :2], axis=1) / height
    share = np.clip((far - away) / (far - near), 0, 1) ** 2
    if cloth:
        share = np.maximum(share, _squeezed(posed, canonical))
    local = share[canonical.faces].max(1) > 0
    used, faces = np.unique(canonical.faces[local], return_inverse=True)
    step = sparse.diags(0.5 * share[used]) @ uniform_laplacian(faces.reshape(-1, 3), len(used))
    places = posed[used]
    for _ in range(_FORK_ROUNDS):
        places = places - step @ places
    smooth = posed.copy()
    smooth[used] = places
    return smooth


def _squeezed(posed: np.ndarray, canonical: CanonicalSurface) -> np.ndarray:
    """(V,) 0 to 1 how much cloth that follows both legs loses of its area in the pose; posed vertices (V, 3)."""
    of_leg = [LEGS[0:2], LEGS[2:4]]
    skeleton = canonical.skeleton
    region = bone_regions(skeleton.names, skeleton.parents, skeleton.humanoid)[canonical.bones]
    follows = np.min([(canonical.weights * np.isin(region, leg)).sum(1) for leg in of_leg], axis=0)
    areas = []
    for vertices in (canonical.vertices, posed):
        face = np.linalg.norm(face_normals(vertices, canonical.faces), axis=1)
        areas.append(
            diffuse(np.bincount(canonical.faces.ravel(), np.repeat(face, 3), minlength=len(vertices))[:, None], canonical.faces, 4)[:, 0]
        )
    left = areas[1] / np.maximum(areas[0], 1e-12)
    most, least = _SQUEEZED
    share = np.clip(follows / _BOTH_LEGS, 0, 1) * np.clip((least - left) / (least - most), 0, 1)
    return np.clip(2 * diffuse(share[:, None], canonical.faces, 4)[:, 0], 0, 1)


_BLURS = ((8.0, 4.0, 2.0), (4.0, 2.0, 1.0), (2.0, 1.0))
"""Of each round of aligning, pixels."""


def _aligned(
    posed: np.ndarray,
    canonical: CanonicalSurface,
    mover: SurfaceMover,
    observation: Observation,
    maps: NormalMaps,
    camera: Camera,
    params: Params,
) -> np.ndarray:
    """Posed vertices (V, 3) moved in the picture's plane until the normals that they show lie where the front's map has them."""
    faces = canonical.faces
    field = mask_field(observation.mask, camera, params.align_resolution)
    # A nose is known better from the body than from a map's blurred one.
    free = 1 - diffuse(face_zone(canonical).astype(float)[:, None], faces, 4)[:, 0]
    wanted = _resampled(maps.front.astype(np.float32), camera, field.camera)
    for blurs in _BLURS:
        shown = drawn_normals(posed, faces, field.camera)
        metre = field.camera.focal / -float(np.median(posed[:, 2]))
        flow = normal_flow(shown, wanted, blurs, params.align_farthest * metre)
        seen = visibility(posed, faces, field.camera, False, 1.0)
        read = sample_image(np.concatenate([flow.displacement, flow.certainty[..., None]], -1), seen.pixels)
        move = read[:, :2] * [1.0, -1.0] * (-posed[:, 2:] / field.camera.focal)
        trust = params.align_trust * read[:, 2] * (seen.share > 0) * free
        posed = mover.shift(posed, find_rim(posed, faces, field, params.reach, params.inward), params.align_scale, (move, trust))
    return posed


def _resampled(image: np.ndarray, camera: Camera, onto: Camera) -> np.ndarray:
    """A map of unit normals (H, W, 3) of one camera as a crop of it sees them, zero outside."""
    scale = onto.focal / camera.focal
    columns = (np.arange(onto.width) + 0.5 - onto.cx) / scale + camera.cx - 0.5
    rows = (np.arange(onto.height) + 0.5 - onto.cy) / scale + camera.cy - 0.5
    if scale < 1:  # sampling alone would alias
        image = cv2.GaussianBlur(image, (0, 0), 0.4 / scale)
    across, down = np.meshgrid(columns.astype(np.float32), rows.astype(np.float32))
    read = cv2.remap(image, across, down, cv2.INTER_LINEAR)
    length = np.linalg.norm(read, axis=-1, keepdims=True)
    return np.where(length > 0.5, read / np.maximum(length, 1e-6), 0).astype(np.float32)


def _finer(
    posed: np.ndarray, canonical: CanonicalSurface, maps: NormalMaps, camera: Camera, params: Params
) -> tuple[CanonicalSurface, np.ndarray]:
    """The surface and its posed vertices with more of them where the front's map shows detail."""
    metre = camera.focal / -float(np.median(posed[:, 2]))
    front = cv2.GaussianBlur(maps.front.astype(np.float32), (0, 0), max(0.5 * params.fine * metre, 0.1))

    def detailed(places: np.ndarray, edges: np.ndarray) -> np.ndarray:
        ends = places[edges]
        seen = known if len(places) == len(posed) else np.concatenate([known, np.ones(len(places) - len(posed), bool)])
        normal = sample_image(front, camera.project(places))[edges]
        long = np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1) > params.fine
        bent = np.linalg.norm(normal[:, 0] - normal[:, 1], axis=1) > np.radians(params.fine_degrees)
        return long & bent & seen[edges].all(1)

    known = visibility(posed, canonical.faces, camera, False, 1.0).share > 0
    finer, places = refine_where(posed, canonical.faces, detailed, levels=2)
    return finer_surface(canonical, finer.operator, finer.faces), places


def shown_normals(posed: np.ndarray, faces: np.ndarray, maps: NormalMaps, camera: Camera, params: Params) -> tuple[np.ndarray, np.ndarray]:
    """Unit normals (V, 3) that the maps show at posed vertices (V, 3), anything where the trust is zero, and the trust (V,), 0 to 1."""
    wanted, trust = np.zeros_like(posed), np.zeros(len(posed))
    own = vertex_normals(posed, faces)
    margin = max(params.margin * camera.focal / -float(np.median(posed[:, 2])), 1.0)
    doubt = np.radians(params.doubt_degrees) ** 2
    for farthest, image, log_variance in ((False, maps.front, maps.log_variance), (True, maps.back, maps.log_variance_back)):
        seen = visibility(posed, faces, camera, farthest, margin)
        read = sample_image(image.astype(np.float32), seen.pixels)
        length = np.linalg.norm(read, axis=1)
        normal = read / np.maximum(length, 1e-6)[:, None]
        share = seen.share * np.clip(2 * length - 1, 0, 1)
        if log_variance is not None:
            share *= doubt / (doubt + np.exp(sample_image(log_variance[..., None].astype(np.float32), seen.pixels)[:, 0]))
        # Where map and surface look in quite different directions the pixel shows another part than the vertex.
        share *= np.clip(((normal * own).sum(1) - 0.2) / 0.4, 0, 1) * (params.back_trust if farthest else 1.0)
        better = share > trust
        wanted[better], trust[better] = normal[better], share[better]
    return wanted, trust


def _with_detail(
    posed: np.ndarray, canonical: CanonicalSurface, maps: NormalMaps, body: BodyFit, params: Params, network: HyperNet | None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Posed vertices (V, 3) moved along their viewing rays, and warnings."""
    notes: tuple[str, ...] = ()
    faces = canonical.faces
    wanted, trust, kept = _wanted(posed, canonical, maps, body.camera, params)
    if params.method == "integration":
        shift = integrate_normals(posed, faces, Wanted(wanted, trust), 1 + 50 * kept[:, 0], params.reach_of_normals, params.smoothness)
        shift = params.farthest * np.tanh(shift / params.farthest)
    else:
        evidence = Evidence(posed, faces, wanted, trust, body.pose.rotations[0][:, 2])
        shift, notes = _to_field(evidence, params, network)
        # A field as small as this one has no room for a face: it keeps most of the body model's.
        shift = shift * (1 - kept[:, 0]) * (1 - (1 - params.face_trust) * kept[:, 1])
    return posed + shift[:, None] * posed / np.linalg.norm(posed, axis=1, keepdims=True), notes


def _wanted(
    posed: np.ndarray, canonical: CanonicalSurface, maps: NormalMaps, camera: Camera, params: Params
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Normals (V, 3) that the maps show, the trust (V,) in them, and how much of a hand and of the face each vertex is (V, 2)."""
    wanted, trust = shown_normals(posed, canonical.faces, maps, camera, params)
    hands = np.isin(canonical.region, [REGIONS.index("left_hand"), REGIONS.index("right_hand")])
    feet = np.isin(canonical.region, FEET)
    kept = diffuse(np.stack([hands, face_zone(canonical), feet], 1).astype(float), canonical.faces, 4)
    less = (1 - (1 - params.face_trust) * kept[:, 1]) * (1 - (1 - params.foot_trust) * kept[:, 2])
    return wanted, trust * (1 - kept[:, 0]) * less, kept[:, :2]


def _with_fine_detail(posed: np.ndarray, canonical: CanonicalSurface, maps: NormalMaps, camera: Camera, params: Params) -> np.ndarray:
    """Posed vertices (V, 3) of the finer mesh, moved along their viewing rays by what the mesh before it could not show."""
    wanted, trust, kept = _wanted(posed, canonical, maps, camera, params)
    evidence, hold = Wanted(wanted, trust), 1 + 50 * kept[:, 0]
    shift = integrate_normals(posed, canonical.faces, evidence, hold, params.fine_reach, params.smoothness, rounds=1, direct=False)
    limit = params.farthest / 3
    return posed + (limit * np.tanh(shift / limit))[:, None] * posed / np.linalg.norm(posed, axis=1, keepdims=True)


def drawn_normals(vertices: np.ndarray, faces: np.ndarray, camera: Camera) -> np.ndarray:
    """(h, w, 3) float32 unit normals of the nearest surface of camera-frame vertices (V, 3), zero outside."""
    raster = rasterise(vertices, faces, camera)
    image = np.zeros((camera.height, camera.width, 3), np.float32)
    hit = raster.mask
    normals = vertex_normals(vertices, faces)[faces[raster.face[hit]]]
    mean = (normals * raster.bary[hit][..., None]).sum(1)
    image[hit] = mean / np.maximum(np.linalg.norm(mean, axis=1, keepdims=True), 1e-9)
    return image


def _to_field(evidence: Evidence, params: Params, network: HyperNet | None) -> tuple[np.ndarray, tuple[str, ...]]:
    """(V,) shifts along the viewing rays to the zero level of a field that is fitted to the evidence, and warnings."""
    still = np.zeros(len(evidence.vertices))
    if not evidence.trust.any():
        return still, ()
    if network is None and params.start in ("hypernetwork", "body"):
        raise StageError(f"refine: a field that starts as '{params.start}' needs the weights 'hyper'; set refine.start=sphere.")
    fit = FieldFit(evidence, FitParams(steps=params.steps, farthest=params.farthest))
    fitted = fit.run(fit.start(params.start, network))
    if fitted.stopped:
        return still, (f"The fit of the normal maps' detail was given up, {fitted.stopped}; the coarse surface was kept.",)
    return zero_level(fitted.weights, fit.frame, evidence.vertices, params.farthest), ()
