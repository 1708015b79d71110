"""Steps at the borders of garments, on the figure of capsules."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from capsule_figure import Scene, capsule_surface, photograph
from carve.body.model import REGIONS
from carve.body.zones import TORSO
from carve.geometry.mesh import is_watertight
from carve.geometry.raster import rasterise
from carve.records import LABELS, NormalMaps
from carve.stages.refining.garment_edges import LEVELS, garment_edges

SKIN, TOP, BOTTOM, DRESS = (LABELS.index(name) for name in ("skin", "top", "bottom", "dress"))
BORDER = 1.15
"""Height at which the upper garment ends on the trunk, metres."""


def photographed(lower: tuple[int, int, int]) -> Scene:
    """The figure in a red top and something else below."""

    def colour(points: np.ndarray) -> np.ndarray:
        return np.where((points[:, 1] > BORDER)[:, None], [180.0, 40.0, 40.0], np.array(lower, float))

    return photograph(capsule_surface(), colour)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return photographed((40, 160, 30))


def labelled(scene: Scene, upper: int, lower: int) -> NormalMaps:
    """Labels of front and back: one above the border, another below it."""
    surface, camera = scene.posed.canonical, scene.posed.camera
    of_vertex = np.where(surface.vertices[:, 1] > BORDER, upper, lower)
    found = {}
    for name, farthest in (("label", False), ("label_back", True)):
        raster = rasterise(scene.posed.vertices, surface.faces, camera, farthest)
        at = of_vertex[surface.faces[np.maximum(raster.face, 0), raster.bary.argmax(-1)]]
        found[name] = np.where(raster.mask, at, 0).astype(np.uint8)
    empty = np.zeros((camera.height, camera.width, 3), np.float16)
    return NormalMaps(empty, empty, empty[..., 0], found["label"] > 0, **found)


def rise(scene: Scene, maps: NormalMaps, height: float = 1.0) -> float:
    """Metres by which the trunk is wider above the border than below it."""
    stepped = garment_edges(scene.posed, maps, scene.observation.photo.pixels, height)
    surface, rest = stepped.canonical, scene.posed
    # The figure's pose is a rigid motion of its canonical space, so that widths may be compared in it.
    count = len(rest.vertices)
    shift = np.linalg.norm(stepped.posed[:count] - rest.vertices, axis=1)
    axis = rest.vertices[surface.region[:count] == TORSO].mean(0)
    outward = np.sign(((stepped.posed[:count] - rest.vertices) * (rest.vertices - axis))[:, [0, 2]].sum(1))
    trunk = (surface.region[:count] == TORSO) & (np.abs(surface.vertices[:count, 1] - BORDER) < 0.03)
    above = surface.vertices[:count, 1] > BORDER
    signed = outward * shift
    return float(np.quantile(signed[trunk & above], 0.9) - np.quantile(signed[trunk & ~above], 0.1))


def test_the_surface_steps_by_about_the_levels_difference(scene: Scene) -> None:
    for lower, name in ((SKIN, "skin"), (BOTTOM, "bottom")):
        wanted = LEVELS["top"] - LEVELS[name]
        assert 0.4 * wanted < rise(scene, labelled(scene, TOP, lower)) < 1.2 * wanted


def test_far_from_borders_it_keeps_its_place(scene: Scene) -> None:
    stepped = garment_edges(scene.posed, labelled(scene, TOP, SKIN), scene.observation.photo.pixels, 1.0)
    count = len(scene.posed.vertices)
    shift = np.linalg.norm(stepped.posed[:count] - scene.posed.vertices, axis=1)
    far = np.abs(scene.posed.canonical.vertices[:, 1] - BORDER) > 0.2
    assert shift[far].max() < 0.0005 < 0.002 < shift.max()


def test_edges_get_finer_where_it_steps_and_the_mesh_stays_closed(scene: Scene) -> None:
    stepped = garment_edges(scene.posed, labelled(scene, TOP, SKIN), scene.observation.photo.pixels, 1.0)
    surface = stepped.canonical
    assert len(surface.vertices) == len(stepped.posed) > len(scene.posed.vertices) and is_watertight(surface.faces)
    fresh = surface.vertices[len(scene.posed.vertices) :]
    assert np.quantile(np.abs(fresh[:, 1] - BORDER), 0.9) < 0.05
    np.testing.assert_allclose(surface.weights.sum(1), 1, atol=1e-6)


def test_one_garment_that_has_two_labels_does_not_step() -> None:
    plain = photographed((180, 40, 40))
    assert rise(plain, labelled(plain, TOP, BOTTOM)) < 0.0005
    # Skin of the cloth's colour is skin all the same.
    assert rise(plain, labelled(plain, TOP, SKIN)) > 0.002


def test_without_labels_or_with_no_height_nothing_is_done(scene: Scene) -> None:
    maps = labelled(scene, TOP, SKIN)
    for given, height in ((replace(maps, label=None), 1.0), (maps, 0.0)):
        stepped = garment_edges(scene.posed, given, scene.observation.photo.pixels, height)
        assert stepped.canonical is scene.posed.canonical
        np.testing.assert_array_equal(stepped.posed, scene.posed.vertices)


def test_hair_keeps_its_own_volume(scene: Scene) -> None:
    assert REGIONS[TORSO] == "torso"
    assert rise(scene, labelled(scene, LABELS.index("hair"), TOP)) < 0.001


def test_shoes_get_soles(scene: Scene) -> None:
    """All below the knee in shoes: the lowest centimetres stand out beyond the rest of the foot."""
    surface = scene.posed.canonical
    shoes = labelled(scene, SKIN, LABELS.index("shoes"))
    stepped = garment_edges(scene.posed, shoes, scene.observation.photo.pixels, 1.0)
    bare = garment_edges(scene.posed, labelled(scene, SKIN, SKIN), scene.observation.photo.pixels, 1.0)
    count = len(surface.vertices)
    foot = surface.region == REGIONS.index("left_foot")
    above = surface.vertices[:, 1] - surface.vertices[foot, 1].min()
    shift = np.linalg.norm(stepped.posed[:count] - scene.posed.vertices, axis=1)
    assert shift[foot & (above < 0.015)].max() > 0.001
    assert np.abs(bare.posed[:count] - scene.posed.vertices).max() < 1e-6
