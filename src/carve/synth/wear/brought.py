"""Clothes that were simulated elsewhere, on carve's body: open layers as they lie in one frame, canonical and posed in correspondence.

The body is carve's own, fitted to the one that the clothes were simulated on: where it is a little larger, the clothes are pushed out of
it; else they stay where they were. Their skinning weights are those of the space around the posed body (`carve.body.skin_field`), evened
out along the cloth, and inverse skinning gives their canonical shape. So cloth that lies between two limbs in the frame is stretched
between them in the canonical pose.

Frames: what is brought lies in the frame of the fit, +Y up; the posed frame of synthetic people stands on y = 0 and faces +Z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from carve.body.skin_field import SkinField
from carve.geometry.mesh import diffuse
from carve.geometry.rotations import axis_rotation
from carve.geometry.skinning import skin, strongest_weights, unskin
from carve.records import BodyFit
from carve.synth.people.bodies import FullBody
from carve.synth.people.poses import Pose, pose_of
from carve.synth.records import PARTS, Layer
from carve.synth.wear.layers import Against, Obstacle, hide, push_out
from carve.synth.wear.person import SKIN_CLEARANCE, bare_layer, inside_share, moved, own_eyes

EVEN = 10
"""Rounds of evening out the weights along the cloth."""


@dataclass(frozen=True)
class Garment:
    """One open layer in one frame."""

    name: str
    part: str
    """One of PARTS."""
    vertices: np.ndarray
    """(V, 3) metres, frame of the fit; seams of the texture may be split."""
    faces: np.ndarray
    """(F, 3)."""
    uv: np.ndarray
    """(F, 3, 2) origin top left."""
    image: np.ndarray
    """(H, W, 3) uint8 sRGB."""


@dataclass(frozen=True)
class Laid:
    """A body with what it wears."""

    pose: Pose
    layers: tuple[Layer, ...]
    """Skin first, then the garments in their order, then the eyes."""
    inside_canonical: float
    """Share of the garments' vertices inside the naked body, canonical pose."""
    inside_posed: float


def laid_on(body: FullBody, fit: BodyFit, garments: Sequence[Garment], kind: str) -> Laid:
    """The garments on a fitted body, `kind` the name of the pose."""
    local = fit.pose.rotations.copy()
    ahead = local[0] @ np.array([0.0, 0.0, 1.0])
    turn = axis_rotation(1, -float(np.arctan2(ahead[0], ahead[2])))
    local[0] = turn @ local[0]
    pose = pose_of(body, fit.canonical, fit.skeleton.heads, local, kind)
    shift = pose.heads[0] - turn @ fit.pose.root_position
    naked = bare_layer(body, fit.canonical, pose)
    around = SkinField(pose.posed, body.faces, fit.bones, fit.weights, fit.region)
    clothes = [_on(garment, naked, around, pose, turn, shift) for garment in garments]
    layers = (hide(naked, clothes, pose.transforms), *clothes, _eyes(body, fit.canonical, pose))
    return Laid(pose, layers, inside_share(clothes, "canonical", naked), inside_share(clothes, "posed", naked))


def _on(garment: Garment, naked: Layer, around: SkinField, pose: Pose, turn: np.ndarray, shift: np.ndarray) -> Layer:
    """A garment as a layer over the skin."""
    places, row = np.unique(garment.vertices, axis=0, return_inverse=True)
    faces = row.reshape(-1)[garment.faces]
    whole = (faces != np.roll(faces, 1, axis=1)).all(1)
    faces, uv = faces[whole], garment.uv[whole]
    posed = push_out(places @ turn.T + shift, faces, [Against(Obstacle(naked.posed, naked.faces), SKIN_CLEARANCE)])
    dense = around.weights(posed, around.near(posed), len(pose.transforms)).astype(float)
    bones, weights, _ = strongest_weights(np.maximum(diffuse(dense, faces, EVEN), 0))
    canonical = unskin(posed, pose.transforms, bones, weights)
    shown = np.ones(len(faces), bool)
    layer = Layer(garment.name, PARTS.index(garment.part), canonical, posed, faces, shown, uv, bones, weights, closed=False)
    # Out of the body in one pose may be into it in the other: both are looked at in turn, the photograph's last.
    canonical = push_out(canonical, faces, [Against(Obstacle(naked.canonical, naked.faces), SKIN_CLEARANCE)], rounds=3)
    again = skin(canonical, pose.transforms, bones, weights)
    return moved(layer, push_out(again, faces, [Against(Obstacle(naked.posed, naked.faces), SKIN_CLEARANCE)], rounds=2), pose.transforms)


def _eyes(body: FullBody, canonical: np.ndarray, pose: Pose) -> Layer:
    """The body's own eyes."""
    pattern = own_eyes(body)
    row = np.empty(body.template.shape[0], np.int64)
    row[body.base] = np.arange(len(body.base))
    used = row[pattern.binding.indices]  # each vertex of the pattern is bound to one of the body
    bones, weights, _ = strongest_weights(pattern.joints.toarray())
    at, shown = canonical[used], np.ones(len(pattern.faces), bool)
    posed = skin(at, pose.transforms, bones, weights)
    return Layer(pattern.name, pattern.part, at, posed, pattern.faces, shown, pattern.uv, bones, weights, closed=True)
