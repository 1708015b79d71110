"""Places on the body: symmetric, and as they were written."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from carve.body.anny import AnnyBody
from carve.body.places import PLACE_UNIT, body_places, decode_places, encode_places


def test_a_mirrored_body_has_mirrored_places(anny_body: AnnyBody) -> None:
    places = body_places(anny_body)
    assert places.shape == anny_body.template.shape
    distance, _ = cKDTree(places).query(places * [-1.0, 1.0, 1.0])
    assert np.percentile(distance, 99) < 1e-3
    assert places[:, 1].min() == 0 and 1.4 < places[:, 1].max() < 2.0


def test_places_come_back_to_half_a_step() -> None:
    rng = np.random.default_rng(0)
    places, known = rng.uniform(-1.5, 2.2, (200, 3)), rng.random(200) < 0.7
    codes = encode_places(places, known)
    assert codes.dtype == np.uint16
    found = decode_places(codes)
    assert np.abs(found - places)[known].max() < 0.51 * PLACE_UNIT
    assert not found[~known].any()
