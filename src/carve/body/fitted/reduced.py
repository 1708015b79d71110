"""A body cut down to what a fit looks at: the moving bones, the landmarks and a sample of the skin. Differentiable and batched.

Notation: N starts, P moving bones, D angles, L landmarks, M sampled vertices, K blend shapes. A bone that does not move follows its nearest
moving ancestor rigidly, so skinning weights are summed onto that ancestor. With weights a_li of landmark l and w_ip of vertex i:
    x_l = sum_p R_p m_lp + A_lp (p_p - R_p h_p),   A_lp = sum_i a_li w_ip,   m_lp = sum_i a_li w_ip x_i   (linear in the blend shapes)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from carve.body.fitted.articulation import Articulation
from carve.body.model import BodyModel
from carve.geometry.rotations import matrix_from_rotvec


@dataclass(frozen=True)
class Shaped:
    """Shape-dependent quantities at rest."""

    heads: Tensor
    """(P, 3) heads of the moving bones."""
    moments: Tensor
    """(L, P, 3) m_lp."""
    vertices: Tensor
    """(M, 3)."""


@dataclass(frozen=True)
class Posed:
    """N posed bodies in the camera frame."""

    rotations: Tensor
    """(N, P, 3, 3) global rotations of the moving bones."""
    heads: Tensor
    """(N, P, 3)."""
    landmarks: Tensor
    """(N, L, 3)."""


class ReducedBody:
    """Forward kinematics, landmarks and sampled skin of a body model."""

    def __init__(self, model: BodyModel, articulation: Articulation, landmarks: dict[str, str | None], sample: np.ndarray) -> None:
        """`landmarks` maps landmark names to a bone name, or to None for the model's own keypoint; `sample` (M,) picks vertices."""
        self.model, self.articulation = model, articulation
        self.names = tuple(landmarks)
        moving = articulation.moving
        self.parents = [int(p) for p in articulation.parents]
        as_tensor = lambda a: torch.as_tensor(np.asarray(a), dtype=torch.float32)  # noqa: E731
        self.axes, self.shares = as_tensor(articulation.axes), as_tensor(articulation.shares)
        self.head, self.head_shapes = model.heads[moving], model.head_shapes[:, moving]
        self.template, self.shapes = model.template[sample], model.shapes[:, sample]
        self.weights = as_tensor(self._summed_weights(sample).toarray())
        self._prepare_landmarks(landmarks)

    def _summed_weights(self, vertices: np.ndarray) -> sparse.csr_matrix:
        """(M, P) skinning weights of some vertices, summed onto the moving bones."""
        bones, weights = self.model.bones[vertices], self.model.weights[vertices]
        rows = np.repeat(np.arange(len(vertices)), bones.shape[1])
        columns = self.articulation.attached[bones].ravel()
        shape = (len(vertices), len(self.articulation.moving))
        return sparse.coo_matrix((weights.ravel(), (rows, columns)), shape=shape).tocsr()

    def _prepare_landmarks(self, landmarks: dict[str, str | None]) -> None:
        model, parts = self.model, len(self.articulation.moving)
        count, shapes = len(landmarks), self.model.shapes.shape[0]
        share = np.zeros((count, parts), np.float32)
        moments = np.zeros((1 + shapes, count, parts, 3), np.float32)
        for row, (name, bone) in enumerate(landmarks.items()):
            if bone is not None:
                index = model.names.index(bone)
                part = int(self.articulation.attached[index])
                share[row, part] = 1
                moments[0, row, part] = model.heads[index].numpy()
                moments[1:, row, part] = model.head_shapes[:, index].numpy()
                continue
            point = model.keypoints[name]
            carried = sparse.diags(point.weights) @ self._summed_weights(point.vertices)
            share[row] = np.asarray(carried.sum(0)).ravel()
            active = np.flatnonzero(share[row])
            per_part = torch.from_numpy(carried[:, active].toarray().astype(np.float32)).T
            moments[0, row, active] = (per_part @ model.template[point.vertices]).numpy()
            moments[1:, row, active] = torch.einsum("pn,knc->kpc", per_part, model.shapes[:, point.vertices]).numpy()
        self.share, self.moment, self.moment_shapes = torch.from_numpy(share), torch.from_numpy(moments[0]), torch.from_numpy(moments[1:])

    def shaped(self, shape: Tensor) -> Shaped:
        """Apply the shape parameters (S,)."""
        weights = self.model.coefficients(shape)
        add = lambda base, basis: base + (weights @ basis.flatten(1)).view_as(base)  # noqa: E731
        return Shaped(add(self.head, self.head_shapes), add(self.moment, self.moment_shapes), add(self.template, self.shapes))

    def posed(self, shaped: Shaped, angles: Tensor, root: Tensor, position: Tensor, scale: Tensor) -> Posed:
        """Angles (N, D), root rotation (N, 3, 3), root position (N, 3), size factor (N,) to N posed bodies."""
        turns = torch.einsum("nd,pd,dc->npc", angles, self.shares, self.axes)
        local = matrix_from_rotvec(turns)
        heads = scale[:, None, None] * shaped.heads
        rotations: list[Tensor] = [root @ local[:, 0]]
        places: list[Tensor] = [position]
        for part in range(1, len(self.parents)):
            parent = self.parents[part]
            rotations.append(rotations[parent] @ local[:, part])
            offset = heads[:, part] - heads[:, parent]
            places.append(places[parent] + (rotations[parent] @ offset[..., None])[..., 0])
        r, p = torch.stack(rotations, 1), torch.stack(places, 1)
        shift = p - (r @ heads[..., None])[..., 0]
        moments = scale[:, None, None, None] * shaped.moments
        marks = torch.einsum("npij,nlpj->nli", r, moments) + torch.einsum("lp,npi->nli", self.share, shift)
        return Posed(r, p, marks)

    def skin(self, shaped: Shaped, posed: Posed, scale: Tensor) -> Tensor:
        """The sampled vertices of the first of the N bodies, (M, 3), camera frame."""
        r = posed.rotations[0]
        shift = posed.heads[0] - (r @ (scale[0] * shaped.heads)[..., None])[..., 0]
        blended = self.weights @ torch.cat([r.flatten(1), shift], 1)
        turned = (blended[:, :9].view(-1, 3, 3) @ (scale[0] * shaped.vertices)[..., None])[..., 0]
        return turned + blended[:, 9:]
