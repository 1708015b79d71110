"""Tones at hems are of one garment, not of two."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from capsule_figure import capsule_surface, shot
from carve.body.zones import LOWER_ARMS, TORSO
from carve.geometry.mesh import vertex_normals
from carve.geometry.unwrapping.atlas import texels, unwrap
from carve.records import LABELS
from carve.stages.texturing.layers import find_layers
from carve.stages.texturing.params import Params
from carve.stages.texturing.pure_tones import pure_tones, shown_labels
from carve.stages.texturing.view import find_behind_arms, look, photo_weight

TOP, BOTTOM, SKIN = (LABELS.index(name) for name in ("top", "bottom", "skin"))
PINK, BLUE, BARE = np.array([[220.0, 150, 190], [60, 70, 160], [210, 160, 130]])
WAIST = 1.0


def test_beside_a_hem_tones_are_of_their_own_garment() -> None:
    canonical = capsule_surface()
    labels = np.where(canonical.vertices[:, 1] > WAIST, TOP, BOTTOM)
    nearest = cKDTree(canonical.vertices)
    observation, posed = shot(canonical, lambda points: np.where((labels == TOP)[nearest.query(points)[1], None], PINK, BLUE))
    labels[canonical.region == LOWER_ARMS[0]] = SKIN
    params = Params(size=512)
    normals = vertex_normals(posed.vertices, canonical.faces)
    atlas = unwrap(canonical.vertices, canonical.faces, canonical.region[canonical.faces[:, 0]], params.size, params.padding)
    view = look(observation, posed, normals, texels(atlas, params.size), params)
    pure = pure_tones(view, posed, labels, params)
    assert set(pure) == {TOP, BOTTOM}  # skin keeps to its regions
    shown = shown_labels(view, posed, labels)
    assert set(np.unique(shown)) == {0, TOP, BOTTOM, SKIN} and (shown[~view.raster.mask] == 0).all()
    behind_arms = find_behind_arms(canonical)
    near = photo_weight(view, posed.vertices, normals, behind_arms, params) > 0.9
    near &= (canonical.region == TORSO) & (np.abs(canonical.vertices[:, 1] - WAIST) < 0.025)
    pixels = view.camera.project(posed.vertices)
    mixed = find_layers(view, posed, behind_arms, params)[TORSO].tone(pixels)
    for label, colour in ((TOP, PINK), (BOTTOM, BLUE)):
        own = near & (labels == label)
        assert own.sum() > 5
        tones = pure[label].tone(pixels[own])
        np.testing.assert_allclose(tones[:, :3], np.tile(colour, (own.sum(), 1)), atol=3)
        assert (tones[:, 3] < 3).all()
        assert np.abs(mixed[own, :3] - colour).max(1).min() > 10
