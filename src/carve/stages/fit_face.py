"""Fit the face: the body's head bound to the face mesh that was seen in the photo, in turn, place, size, shape and expression.

How deep the face's parts lie and where its outline runs is read out of the whole face mesh, as portraits of known heads have taught
(`body.head.face_reading`); where eyes, nose and mouth lie in the picture the photo says.
Where no face was found the body's landmarks of eyes, ears, nose and mouth turn and place a head of the population's mean shape. The rest
shape (`BodyFit.canonical`) is neutral; what the photo's expression adds is kept apart (`BodyFit.expression`). What then remains
between mesh and photo is taken up by a smooth movement in the picture's plane (`body.head.head_warp`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import Field

from carve.body.anny import AnnyBody
from carve.body.fitted.landmarks import pixels_per_metre
from carve.body.head.face_points import INNER, FacePoints, face_points
from carve.body.head.face_reading import face_reading
from carve.body.head.head_fit import POSE, HeadFit, HeadModel, Rest, Seen, Spreads, fit_head
from carve.body.head.head_warp import warp_to_points
from carve.body.model import BodyModel, canonical_body
from carve.bounds import Degrees, Length, Rounds, Scale, Share
from carve.geometry.mesh import vertex_normals
from carve.geometry.similarity import procrustes
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin
from carve.records import BodyFit, Landmarks, Observation, StageError


@dataclass(frozen=True)
class Params:
    """Settings of the stage."""

    rounds: Rounds = 9
    """Steps of the fit."""
    neck_degrees: Degrees = 8.0
    """How far the neck's turn strays from the body's fit."""
    head_degrees: Degrees = 25.0
    """How far the head's turn strays from it."""
    shift: Scale = 0.012
    """How far a head's place on the neck strays from the body model's, metres."""
    size: Annotated[float, Field(ge=0.001, le=0.5)] = 0.05
    """How far its size strays, as a share."""
    shape: Annotated[float, Field(ge=0, le=10)] = 1.0
    """Trust in the population's variety of heads; 0 keeps the mean head."""
    expression: Annotated[float, Field(ge=0, le=10)] = 0.35
    """Usual strength of a facial action; 0 keeps every face neutral."""
    point_sigma: Scale = 0.003
    """Expected error of a point of the face mesh, metres, as if each were independent."""
    depth_sigma: Scale = 0.012
    """Expected error of its depth, metres."""
    landmark_sigma: Scale = 0.012
    """Expected error of the body's landmarks of the head, where no face was found, metres."""
    reading: Share = 1.0
    """How much what portraits of known heads have taught counts for the face's depth and outline; 0 takes the face mesh as it is."""
    reading_sigma: Scale = 0.0015
    """Its expected error, metres, as if each point were independent."""
    warp: Scale = 0.0015
    """Expected error of the face mesh where what remains is taken up, metres; larger values take up less."""
    farthest: Length = 0.008
    """How far that may move the skin, metres."""

    def __post_init__(self) -> None:
        if not 1 <= self.rounds <= 100:
            raise ValueError(f"rounds must be 1 to 100, not {self.rounds}")
        for name in ("neck_degrees", "head_degrees", "shift", "size", "shape", "expression", "warp"):
            if not 0 <= getattr(self, name) < 1000:
                raise ValueError(f"{name} must be 0 or more, not {getattr(self, name):g}")
        for name in ("point_sigma", "depth_sigma", "landmark_sigma", "reading_sigma", "farthest"):
            if not 0 < getattr(self, name) < 1000:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name):g}")


BODY_MARKS = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
"""Landmarks of the head that the body network gives and the body model knows."""
MOUTH_MARKS = {"mouth_left": 291, "mouth_right": 61}
"""Its mouth's corners -> points of the face mesh."""
STILL = ("eyeLook", "tongueOut", "cheekPuff", "jawForward")
"""Facial actions that a still picture's points do not tell, by the start of their names."""
NO_FACE = "No face was found in the photo: the avatar's face is a plausible one, not the person's."
"""Warning of a head that was placed by the body's landmarks alone."""
_UNSEEN_CONFIDENCE = 0.35
"""Of the head's joint where no face was found."""
_FEATURES = 2.0
"""How much less firmly the reading says where features lie in the picture."""
_FLAT = 0.1
"""Least over largest extent of a face mesh; of a real face it is about a third."""
_PER_POINT = 80.0
"""How many independent points the face mesh's 468 are worth."""


def fit_face(observation: Observation, body: BodyFit, model: BodyModel, params: Params) -> BodyFit:
    """The body with the photo's head. A model other than Anny keeps its head as it is. Raises StageError if a number is not finite."""
    if not isinstance(model, AnnyBody):
        return body
    marks = observation.landmarks
    index = {name: i for i, name in enumerate(marks.names)}
    head = _head_model(body, model)
    rows = [index[f"face_{k}"] for k in range(468)] if all(f"face_{k}" in index for k in range(468)) else []
    if not rows or np.isnan(marks.pixels[rows]).any():
        return _without_face(body, model, head, marks, index, params)
    points = face_points()
    fit = _fit_mesh(body, head, marks, rows, points, params)
    posed_points = points.on(_posed(body, fit, fit.canonical + fit.expression))
    canonical = fit.canonical
    if params.warp > 0:
        maps = _maps(fit, body)
        sigma = np.hypot(params.warp, 0.5 * points.spread)
        canonical = warp_to_points(
            body,
            canonical,
            fit.expression,
            maps,
            points.corners,
            points.bary,
            marks.pixels[rows],
            sigma,
            _facing(body, fit, points),
            params.farthest,
        )
        posed_points = points.on(skin(canonical + fit.expression, maps, body.bones, body.weights))
    metre = body.camera.focal / -posed_points[:, 2]
    error = np.linalg.norm(body.camera.project(posed_points) - marks.pixels[rows], axis=1) / metre
    quality = float(np.clip(1.5 - np.median(error) / 0.01, 0.3, 1.0))
    return _finished(body, model, fit, canonical, float(np.median(error)), quality, ())


def _head_model(body: BodyFit, model: AnnyBody) -> HeadModel:
    """The fitted body's head with the population's shapes and the facial actions in the fit's size."""
    names = list(model.names)
    shape = model.prior.mean.new_tensor(
        [body.shape.get(name, float(mean)) for name, mean in zip(model.shape_names, model.prior.mean, strict=True)]
    )
    scale = float(np.ptp(body.skeleton.heads[:, 1]) / np.ptp(canonical_body(model, shape).skeleton.heads[:, 1]))
    actions = [k for k, name in enumerate(model.face_names) if not name.startswith(STILL)]
    face = model.face_shapes[actions].double().numpy()
    moved = np.union1d(model.head_vertices, np.flatnonzero(np.abs(face).max((0, 2)) > 1e-5))
    shapes = np.zeros((len(model.head_components), len(model.template), 3))
    shapes[:, model.head_vertices] = model.head_components.double().numpy()
    neck = tuple(k for k, name in enumerate(names) if name.startswith("neck"))
    head = names.index("head")
    follow = np.zeros(len(names))
    follow[[head, *(k for k, p in enumerate(model.parents) if p == head)]] = 1.0
    for k, bone in enumerate(neck):
        follow[bone] = k / len(neck)
    return HeadModel(
        skeleton=body.skeleton,
        parents=body.skeleton.parents,
        neck=neck,
        head=head,
        vertices=body.canonical,
        bones=body.bones,
        weights=body.weights,
        follow=(body.weights * follow[body.bones]).sum(1),
        moved=moved,
        shape=scale * shapes[:, moved],
        expression=scale * face[:, moved],
    )


def _fit_mesh(body: BodyFit, head: HeadModel, marks: Landmarks, rows: list[int], points: FacePoints, params: Params) -> HeadFit:
    """Fit to the face mesh, twice: what of it the first fit shows turned away is a guess and counts less in the second."""
    distance = -float(np.median(points.on(body.posed)[:, 2]))
    per_metre = body.camera.focal / distance
    world = marks.world[rows]
    known = np.isfinite(world).all(1).all()
    # The detector's metres are its own: its depth is brought to the size of the face as it is seen here.
    own = pixels_per_metre(marks.pixels[rows], world, np.ones(len(rows))) if known else per_metre
    depth = world[:, 2] * own / per_metre if known else np.zeros(len(rows))
    noise = marks.spread[rows, :2].mean(1) / per_metre
    crowd = np.sqrt(len(rows) / _PER_POINT)
    sigma = crowd * np.sqrt(params.point_sigma**2 + (0.5 * points.spread) ** 2 + noise**2)
    spreads = _spreads(params, params.shape, params.expression)
    seen = Seen(points.corners, points.bary, marks.pixels[rows], sigma, depth, crowd * params.depth_sigma if known else np.inf)
    first = fit_head(head, body.pose, body.camera, seen, spreads, params.rounds)
    # Of a face that is turned away the network guesses half; of a profile it is wrong in the other half, too.
    toward = _facing(body, first, points)
    rest = _at_rest(head, first, world, points, _doubt(toward) * crowd, params) if known and params.reading > 0 and _solid(world) else None
    seen = replace(seen, sigma=_doubt(toward) * sigma / np.maximum(toward, 0.2), rest=rest)
    return fit_head(head, body.pose, body.camera, seen, spreads, -(-params.rounds // 2), first.unknowns)


def _solid(points: np.ndarray) -> bool:
    """Whether points (N, 3) have a depth that is worth reading."""
    extent = np.linalg.svd(points - points.mean(0), compute_uv=False)
    return bool(extent[2] > _FLAT * extent[0])


def _at_rest(head: HeadModel, fit: HeadFit, world: np.ndarray, points: FacePoints, crowd: float, params: Params) -> Rest:
    """What the face mesh (468, 3) is read to say of the neutral face: depth and outline, and less firmly where features lie in the picture:
    that the photo says, whose colours lie on them."""
    now = head.vertices.copy()
    now[head.moved] += np.tensordot(fit.unknowns[POSE : POSE + len(head.shape)], head.shape, 1)
    face = points.on(now)
    read = face_reading()(world)
    scale, rotation, shift = procrustes(read, face)
    sigma = np.full(face.shape, crowd * params.reading_sigma / params.reading**0.5)
    sigma[INNER, :2] *= _FEATURES
    return Rest(scale * read @ rotation.T + shift, sigma)


def _doubt(toward: np.ndarray) -> float:
    """How many times larger all errors of the face mesh are: 1 for a face seen from the front, 2.5 for a profile."""
    return 1.0 + 1.5 * float(np.clip((0.75 - toward.mean()) / 0.3, 0.0, 1.0))


def _spreads(params: Params, shape: float, expression: float) -> Spreads:
    neck, head = np.radians([params.neck_degrees, params.head_degrees])
    return Spreads(float(neck), float(head), params.shift, params.size, shape, expression)


def _maps(fit: HeadFit, body: BodyFit) -> np.ndarray:
    """(B, 3, 4) bone maps of the fitted head's pose."""
    rotations, heads = forward_kinematics(fit.pose.rotations, fit.skeleton.heads, fit.skeleton.parents, body.pose.root_position)
    return bone_transforms(rotations, heads, fit.skeleton.heads)


def _posed(body: BodyFit, fit: HeadFit, canonical: np.ndarray) -> np.ndarray:
    """(V, 3) canonical vertices in the photo's pose."""
    return skin(canonical, _maps(fit, body), body.bones, body.weights)


def _facing(body: BodyFit, fit: HeadFit, points: FacePoints) -> np.ndarray:
    """(468,) 0 for points whose skin is turned away from the camera, 1 for those that face it within 60 degrees."""
    posed = _posed(body, fit, fit.canonical + fit.expression)
    at, normal = points.on(posed), points.on(vertex_normals(posed, body.faces))
    cosine = -(at * normal).sum(1) / (np.linalg.norm(at, axis=1) * np.linalg.norm(normal, axis=1))
    return np.clip((cosine + 0.1) / 0.6, 0.0, 1.0)


def _without_face(body: BodyFit, model: AnnyBody, head: HeadModel, marks: Landmarks, index: dict[str, int], params: Params) -> BodyFit:
    """The head turned and placed by the body's landmarks alone; its shape stays the body model's."""
    points = face_points()
    corners, bary, pixels, confidence = [], [], [], []
    for name in (*BODY_MARKS, *MOUTH_MARKS):
        if name not in index or marks.confidence[index[name]] < 0.3 or np.isnan(marks.pixels[index[name]]).any():
            continue
        if name in MOUTH_MARKS:
            corners.append(points.corners[MOUTH_MARKS[name]])
            bary.append(points.bary[MOUTH_MARKS[name]])
        else:
            corners.append(model.keypoints[name].vertices)
            bary.append(model.keypoints[name].weights)
        pixels.append(marks.pixels[index[name]])
        confidence.append(marks.confidence[index[name]])
    if len(pixels) < 3:
        return replace(body, notes=(*body.notes, NO_FACE), joint_confidence=_head_confidence(body, model, _UNSEEN_CONFIDENCE, 0.0))
    sigma = params.landmark_sigma / np.maximum(np.array(confidence), 0.1)
    most = max(len(row) for row in corners)
    table = [np.array([np.pad(row, (0, most - len(row))) for row in rows]) for rows in (corners, bary)]
    seen = Seen(table[0], table[1], np.array(pixels), sigma, np.zeros(len(sigma)), np.inf)
    fit = fit_head(head, body.pose, body.camera, seen, _spreads(params, 0.0, 0.0), params.rounds)
    return _finished(body, model, fit, fit.canonical, float("nan"), _UNSEEN_CONFIDENCE, (NO_FACE,))


def _head_confidence(body: BodyFit, model: AnnyBody, most: float, least: float) -> np.ndarray:
    """(B,) the joints' confidence with that of the head and eyes between `least` and `most`."""
    confidence = body.joint_confidence.copy()
    own = [k for k, name in enumerate(model.names) if name == "head" or name.startswith("eye")]
    confidence[own] = np.clip(confidence[own], least, most)
    return confidence


def _finished(
    body: BodyFit, model: AnnyBody, fit: HeadFit, canonical: np.ndarray, error: float, quality: float, notes: tuple[str, ...]
) -> BodyFit:
    """The record with the new head; eyes' joints follow their eyeballs."""
    heads = fit.skeleton.heads.copy()
    for side in ("leftEye", "rightEye"):
        bone = model.names.index(model.humanoid[side])
        ball = (body.weights * (body.bones == bone)).sum(1) > 0.5
        heads[bone] = body.skeleton.heads[bone] + (canonical - body.canonical)[ball].mean(0)
    fit = replace(fit, skeleton=replace(fit.skeleton, heads=heads))
    posed = _posed(body, fit, canonical + fit.expression)
    if not np.isfinite(posed).all():
        raise StageError("fit_face: the fitted head is not finite.")
    residuals = body.residuals | ({"face": error} if np.isfinite(error) else {})
    return replace(
        body,
        skeleton=fit.skeleton,
        pose=fit.pose,
        canonical=canonical,
        posed=posed,
        expression=fit.expression,
        joint_confidence=_head_confidence(body, model, quality, 0.0),
        residuals=residuals,
        notes=(*body.notes, *notes),
    )
