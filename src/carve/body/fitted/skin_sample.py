"""Samples of a body's skin that a fit looks at."""

from __future__ import annotations

import numpy as np

from carve.body.model import BodyModel, rest_pose


def any_sample(model: BodyModel, count: int) -> np.ndarray:
    """(M,) sorted vertices, all as likely."""
    rng = np.random.default_rng(0)
    return np.sort(rng.choice(len(model.template), min(count, len(model.template)), replace=False))


def even_sample(model: BodyModel, count: int) -> np.ndarray:
    """(M,) sorted vertices, as likely as there is skin around them: face and hands have most vertices but little skin."""
    vertices = rest_pose(model, model.prior.mean)[0].detach().double().numpy()
    corners = vertices[model.faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    share = np.bincount(model.faces.ravel(), np.repeat(area, 3), len(vertices))
    rng = np.random.default_rng(0)
    return np.sort(rng.choice(len(share), min(count, int((share > 0).sum())), replace=False, p=share / share.sum()))
