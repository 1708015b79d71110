"""How well a body lies within a surface that is known. Notation as in `true_body`."""

from __future__ import annotations

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from carve.body.fitted.surface_evidence import robust
from carve.evaluate.cases import Case
from carve.evaluate.views import welded_normals

OUTSIDE, CLOTH, SKIN = 0.004, 0.02, 0.006
"""Expected distance of the body outside the clothed surface, within it, and from a naked surface, metres."""
SURFACE_WEIGHT = 60.0
"""How many independent observations the surface counts for."""
REACH = 0.12
"""Farthest correspondence, metres."""


class TrueSurface:
    """The true surface and which of its points lies nearest to each sampled vertex."""

    def __init__(self, case: Case) -> None:
        if case.body is None:
            self.points, self.normals, self.inside = case.points, case.normals, CLOTH
        else:
            vertices, faces = case.body
            self.points, self.normals, self.inside = vertices, welded_normals(vertices, faces), SKIN
        self.outside = OUTSIDE if case.body is None else SKIN
        self._tree = cKDTree(self.points)
        self.at = self.along = self.weight = torch.zeros(0)

    def look(self, places: np.ndarray, normals: np.ndarray) -> None:
        """Find correspondences of vertices (M, 3) with unit normals (M, 3)."""
        away, near = self._tree.query(places, distance_upper_bound=REACH)
        found = np.isfinite(away)
        near = np.where(found, near, 0)
        agrees = (normals * self.normals[near]).sum(1) > 0.4
        as_tensor = lambda a: torch.as_tensor(np.asarray(a), dtype=torch.float32)  # noqa: E731
        self.at, self.along, self.weight = as_tensor(self.points[near]), as_tensor(self.normals[near]), as_tensor(found & agrees)

    def loss(self, places: Tensor) -> Tensor:
        signed = ((places - self.at) * self.along).sum(1)
        sigma = torch.where(signed > 0, self.outside, self.inside)
        return SURFACE_WEIGHT * (self.weight * robust((signed / sigma) ** 2)).sum() / self.weight.sum().clamp(min=1)
