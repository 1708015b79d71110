"""Places on the undressed body that are the same for all bodies: what a pixel of a dressed person shows the clothes of.

A place is a point of the mean body's skin in the canonical pose: the same point of two people's skins has the same place, whatever their
shapes and poses, so a place that is seen leads back to a triangle and barycentric coordinates of any body (Taylor et al., "The Vitruvian
Manifold", CVPR 2012; normalised coordinates as Wang et al., CVPR 2019). Metres, body frame; the mean body is symmetric about x = 0 to
better than a millimetre, so a mirrored person's place is (-x, y, z).
"""

from __future__ import annotations

import numpy as np

from carve.body.model import BodyModel, canonical_body

PLACE_UNIT = 0.0005
"""Metres that one step of an encoded place stands for."""
_ZERO = 32768


def body_places(model: BodyModel) -> np.ndarray:
    """(V, 3) metres: the place of each vertex."""
    return canonical_body(model, model.prior.mean).vertices


def encode_places(places: np.ndarray, known: np.ndarray) -> np.ndarray:
    """(..., 3) uint16 of places (..., 3), zero where `known` (...) is false; rounded to PLACE_UNIT."""
    codes = np.clip(np.round(places / PLACE_UNIT) + _ZERO, 1, 65535).astype(np.uint16)
    return np.where(known[..., None], codes, np.uint16(0))


def decode_places(codes: np.ndarray) -> np.ndarray:
    """(..., 3) float32 metres of what `encode_places` wrote; zero where nothing is known."""
    return np.where(codes > 0, (codes.astype(np.float32) - _ZERO) * np.float32(PLACE_UNIT), np.float32(0))
