"""How a fitted body's face moves: ARKit's 52 shapes of the body model, as offsets of its canonical vertices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carve.body.anny import load_anny
from carve.records import BodyFit


@dataclass(frozen=True)
class BodyExpressions:
    """Face shapes of a body, canonical pose, body frame."""

    names: tuple[str, ...]
    """S names, ARKit's."""
    offsets: np.ndarray
    """(S, V, 3) float32 metres."""


def face_shapes(body: BodyFit) -> BodyExpressions | None:
    """The face shapes that go with the vertices of `body.canonical`, or None if its model has none (SMPL).

    Anny adds its shapes to the rest pose whatever the person's form is, and the head does not turn on the way to the canonical pose.
    """
    if not body.model.startswith("anny"):
        return None
    model = load_anny()
    if len(model.template) != len(body.canonical):
        return None
    return BodyExpressions(model.face_names, model.face_shapes.numpy().astype(np.float32))
