"""Where the finished surface lies in a back photo, whose pose and camera may be others than the first one's.

A body is fitted to it as to the first photo; of that only the bones' rotations are kept. The person's own surface takes them on, stands
where its joints are seen where the fitted ones are, and is then moved, by the stage `refine` itself, until its outline is the back photo's
and its folds lie where the normals of the back photo have them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from carve.body.clothes.part_labels import vertex_labels
from carve.body.model import BodyModel
from carve.geometry.raster import rasterise
from carve.geometry.resection import stand
from carve.geometry.skinning import bone_transforms, skin
from carve.humanoid import CENTRE, LIMBS, SIDES
from carve.networks.normals import NormalsNet
from carve.records import BackView, BodyFit, CarveError, Observation, Pose, PosedSurface, TexturedSurface
from carve.settings import Settings
from carve.stages.fit_body import Params as FitParams
from carve.stages.fit_body import fit_body, refit_body
from carve.stages.normals import Params as NormalsParams
from carve.stages.normals import predict_evidence, predict_normals, with_mask
from carve.stages.refine import Params as RefineParams
from carve.stages.refine import refine
from carve.stages.texturing.behind import GOOD_OVERLAP

POOR = (
    "The back photo was left out: the person could not be brought to its outline (they overlap by {:.0f} %, {:.0f} are needed); "
    "a photo from straight behind in a similar pose, head to feet, works best."
)
_JOINTS = (*CENTRE, *(f"{side}{bone}" for side in SIDES for bone in LIMBS))
"""Fingers and the face's bones are many and in few places."""


@dataclass(frozen=True)
class Params:
    """Settings of the stages that the registration is made of."""

    fit_body: FitParams
    normals: NormalsParams
    refine: RefineParams

    @staticmethod
    def of(settings: Settings) -> Params:
        """Those of a run. Vertex stays vertex: nothing is split, and the steps of the garments are there already."""
        return Params(settings.fit_body, settings.normals, replace(settings.refine, fine=0.0, edges=0.0, method="integration"))


def register_back(
    observation: Observation, body: BodyFit, posed: PosedSurface, model: BodyModel, network: NormalsNet, params: Params
) -> BackView:
    """Where the surface `posed` of the person with this body lies in the back photo of `observation`.

    Raises CarveError if the body was given and has other bones than the body model's.
    """
    own = in_pose_of(_fitted(observation, body, model, network, params), body)
    maps = predict_normals(observation, own, network, params.normals)
    seen = with_mask(observation, maps)
    moved = refine(seen, own, posed.canonical, maps, params.refine)
    shown, drawn = seen.mask > 0.5, rasterise(moved.vertices, posed.canonical.faces, own.camera).mask
    overlap = float((shown & drawn).sum() / max(int((shown | drawn).sum()), 1))
    notes = tuple(f"Back photo: {note}" for note in observation.notes)
    if overlap < GOOD_OVERLAP:
        notes = (*notes, POOR.format(100 * overlap, 100 * GOOD_OVERLAP))
    return BackView(seen, own.pose, own.camera, moved.vertices, vertex_labels(moved, maps), overlap, notes)


def _fitted(observation: Observation, body: BodyFit, model: BodyModel, network: NormalsNet, params: Params) -> BodyFit:
    """The body as the back photo alone shows it."""
    first = fit_body(observation, model, params.fit_body)
    if first.skeleton.names != body.skeleton.names:
        raise CarveError("A back photo needs the body that carve fits to the photo: leave out the given body or the back photo.")
    evidence = predict_evidence(observation, first, network, params.normals)
    return refit_body(observation, first, evidence, model, params.fit_body)


def in_pose_of(other: BodyFit, body: BodyFit) -> BodyFit:
    """The body with the pose of another fit of the same skeleton, before that one's camera: its joints are seen where the other's are."""
    skeleton = body.skeleton
    pose = Pose(other.pose.rotations, np.zeros(3))
    _, offsets = pose.bones(skeleton)
    _, heads = other.pose.bones(other.skeleton)
    pixels, weight = other.camera.project(heads), 0.05 + other.joint_confidence
    rows = [skeleton.names.index(skeleton.humanoid[bone]) for bone in _JOINTS if bone in skeleton.humanoid]
    pose = replace(pose, root_position=stand(offsets[rows], pixels[rows], weight[rows], other.camera))
    rotations, places = pose.bones(skeleton)
    posed = skin(body.canonical, bone_transforms(rotations, places, skeleton.heads), body.bones, body.weights)
    return replace(body, camera=other.camera, up=other.up, pose=pose, posed=posed, expression=None)


def back_report(back: BackView, textured: TexturedSurface) -> dict[str, Any]:
    """What report.json says of the back photo."""
    given = textured.share_behind or 0.0
    return {
        "name": back.observation.photo.name,
        "used": given > 0,
        "silhouette_iou": round(back.overlap, 4),
        "share_of_texels": round(given, 4),
    }
