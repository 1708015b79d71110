"""A body as a fit would return it: the true one with the errors that fits make.

What a photo shows, where limbs lie in the picture, is fitted well; what it hides, their way toward or away from the camera, their twist and
the body's girth under the clothes, is not. Networks that saw true bodies only believe a wrong one.

Notation: camera frame, view along -Z. Bone b's true global rotation is R_b; its limb's error N_b turns it about the axis across the limb
and the view (tilt in depth), about the view (in the picture) and about the limb itself (twist): R'_b = N_b R_b. The limbs' heads follow
by forward kinematics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy import sparse

from carve.body.plain import plain_shapes
from carve.geometry.mesh import vertex_normals
from carve.geometry.rotations import matrix_from_rotvec
from carve.geometry.skinning import bone_transforms
from carve.synth.people.bodies import FullBody

ARRAYS = ("body_canonical", "transforms", "heads_canonical", "heads_posed")
"""The stored arrays of a person that `FittedBodies.draw` reads."""

LIMBS: dict[str, str] = {
    "hips": "chest",  # the spine's first bone starts where the hips do
    "spine": "upperChest",
    "neck": "head",
    **{f"{side}{bone}": f"{side}{end}" for side in ("left", "right") for bone, end in (("UpperArm", "LowerArm"), ("LowerArm", "Hand"))},
    **{f"{side}{bone}": f"{side}{end}" for side in ("left", "right") for bone, end in (("UpperLeg", "LowerLeg"), ("LowerLeg", "Foot"))},
    **{f"{side}Foot": f"{side}Toes" for side in ("left", "right")},
}
"""Humanoid bone that has an error of its own -> the bone where its limb ends. Others share their parent's error."""


@dataclass(frozen=True)
class FitErrors:
    """Spreads of the errors; each person's errors are these times a factor between 0 and 1.6 of its own."""

    tilt: float = np.radians(11)
    """Toward or away from the camera, radians."""
    turn: float = np.radians(2.5)
    """In the picture, radians."""
    twist: float = np.radians(10)
    """About the limb, radians."""
    shift: float = 0.008
    """Of the whole body in the picture, metres."""
    girth: float = 0.008
    """Along the skin's normals, the same everywhere and again smoothly varying, metres."""


@dataclass(frozen=True)
class FittedBody:
    """One body in both spaces."""

    canonical: np.ndarray
    """(V, 3) canonical vertices, metres."""
    heads: np.ndarray
    """(B, 3) heads of the bones, canonical."""
    transforms: np.ndarray
    """(B, 3, 4) bone maps from canonical space to the camera frame."""


class FittedBodies:
    """Draws bodies with fit errors; without `anatomy` those of `draw` are plain (`carve.body.plain`), as fitted ones are."""

    def __init__(self, body: FullBody, errors: FitErrors | None = None, anatomy: bool = True) -> None:
        self._errors, self._anatomy = errors or FitErrors(), anatomy
        self._faces, self._parents = body.faces, body.parents
        bones = body.bones[body.base]
        rows = np.repeat(np.arange(len(bones)), bones.shape[1])
        self._weights = sparse.csr_matrix((body.weights[body.base].ravel(), (rows, bones.ravel())), (len(bones), len(body.names)))
        index = {vrm: body.names.index(bone) for vrm, bone in body.humanoid.items()}
        ends = [(index[bone], index[end]) for bone, end in LIMBS.items() if bone in index and end in index]
        self._limbs = np.array([start for start, _ in ends])
        self._ends = np.array([end for _, end in ends])
        # Which limb's error each bone has; parents come first.
        self._of = np.zeros(len(body.names), np.int64)
        own = {int(start): k for k, start in enumerate(self._limbs)}
        for bone, parent in enumerate(body.parents):
            self._of[bone] = own.get(bone, self._of[parent] if parent >= 0 else 0)

    def draw(self, arrays: Mapping[str, np.ndarray], rotation: np.ndarray, translation: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """(V, 3) posed vertices in the camera frame.

        Args:
            arrays: `ARRAYS` of the person.
            rotation: (3, 3) posed body frame to camera frame.
            translation: (3,) of the same.
            rng: of the errors.
        """
        fitted = self.fit(arrays, rotation, translation, rng)
        if self._anatomy:
            return self.posed(fitted)
        plain = plain_shapes(torch.from_numpy(fitted.canonical), len(fitted.canonical)).numpy()
        return self.posed(replace(fitted, canonical=plain))

    def fit(self, arrays: Mapping[str, np.ndarray], rotation: np.ndarray, translation: np.ndarray, rng: np.random.Generator) -> FittedBody:
        """The body that `draw` draws, in both spaces, with anatomy."""
        size = float(rng.uniform(0.0, 1.6))
        true = rotation @ arrays["transforms"][:, :, :3].astype(float)
        heads = arrays["heads_posed"].astype(float) @ rotation.T + translation
        errors = self._limb_errors(heads, size, rng)[self._of]
        turned = errors @ true
        canonical_heads = arrays["heads_canonical"].astype(float)
        placed = heads.copy()
        for bone, parent in enumerate(self._parents):
            if parent >= 0:
                placed[bone] = turned[parent] @ (canonical_heads[bone] - canonical_heads[parent]) + placed[parent]
        main = self._limbs
        # A fit's silhouette and landmarks agree with the picture on the whole, and so does the distance.
        placed += (heads[main] - placed[main]).mean(0) + size * self._errors.shift * rng.normal(size=3) * [1, 1, 0]
        canonical = self._grown(arrays["body_canonical"].astype(float), size, rng)
        return FittedBody(canonical, canonical_heads, bone_transforms(turned, placed, canonical_heads))

    def true(self, arrays: Mapping[str, np.ndarray], rotation: np.ndarray, translation: np.ndarray) -> FittedBody:
        """The body without errors; arguments as of `draw`."""
        transforms = rotation @ arrays["transforms"].astype(float)
        transforms[..., 3] += translation
        return FittedBody(arrays["body_canonical"].astype(float), arrays["heads_canonical"].astype(float), transforms)

    def posed(self, body: FittedBody) -> np.ndarray:
        """(V, 3) its posed vertices in the camera frame."""
        maps = (self._weights @ body.transforms.reshape(-1, 12)).reshape(-1, 3, 4)
        moved: np.ndarray = (maps[..., :3] @ body.canonical[..., None])[..., 0] + maps[..., 3]
        return moved

    def true_at_depth_of(self, true: FittedBody, fitted: FittedBody) -> np.ndarray:
        """(B, 3, 4) bone maps of the true pose with every limb moved along its viewing rays to the depth that the fit gives it.

        A picture hardly tells how deep a limb lies: what can be asked of a network is the true shape where the fit has the limb. With the
        depths' differences D at a limb's ends, at canonical places h and e, bone maps become
            x -> T x + r (D_h + (D_e - D_h) (x - h) . (e - h) / |e - h|^2),   r = (X / Z, Y / Z, 1) at the limb's start.
        """
        maps = true.transforms.copy()
        heads = _at_heads(true)
        gap = (_at_heads(fitted) - heads)[:, 2]
        along = true.heads[self._ends] - true.heads[self._limbs]
        slope = (gap[self._ends] - gap[self._limbs])[:, None] * along / np.maximum((along**2).sum(1, keepdims=True), 1e-9)
        offset = gap[self._limbs] - (slope * true.heads[self._limbs]).sum(1)
        start = heads[self._limbs]
        moves = (start / start[:, 2:])[:, :, None] * np.column_stack([slope, offset])[:, None]
        return maps + moves[self._of]

    def _limb_errors(self, heads: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
        """(L, 3, 3) rotations of the camera frame, one a limb; heads (B, 3) camera frame."""
        along = heads[self._ends] - heads[self._limbs]
        along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
        across = np.cross(along, [0.0, 0.0, 1.0])
        length = np.linalg.norm(across, axis=1, keepdims=True)
        across = np.where(length > 0.1, across / np.maximum(length, 1e-9), [1.0, 0.0, 0.0])
        spread = self._errors
        tilt, turn, twist = (size * s * rng.normal(size=len(along)) for s in (spread.tilt, spread.turn, spread.twist))
        view = np.broadcast_to([0.0, 0.0, 1.0], along.shape)
        parts = [
            matrix_from_rotvec(torch.from_numpy(angle[:, None] * axis)) for angle, axis in ((tilt, across), (turn, view), (twist, along))
        ]
        return (parts[0] @ parts[1] @ parts[2]).numpy()

    def _grown(self, canonical: np.ndarray, size: float, rng: np.random.Generator) -> np.ndarray:
        """Canonical vertices (V, 3) thicker or thinner, smoothly over some 30 cm."""
        wave, phase = rng.normal(0, 2 * np.pi / 0.6, (3, 3)), rng.uniform(0, 2 * np.pi, 3)
        field = rng.normal() + np.cos(canonical @ wave.T + phase).sum(1) / np.sqrt(1.5)
        # Fingers are no thicker than a centimetre: a body that loses more than half of that would be turned inside out.
        grown = np.clip(size * self._errors.girth * field, -0.003, 0.03)
        return canonical + grown[:, None] * vertex_normals(canonical, self._faces)

    @property
    def faces(self) -> np.ndarray:
        """(F, 3)"""
        return self._faces


def _at_heads(body: FittedBody) -> np.ndarray:
    """(B, 3) heads of the bones in the camera frame."""
    moved: np.ndarray = np.einsum("bij,bj->bi", body.transforms[..., :3], body.heads) + body.transforms[..., 3]
    return moved
