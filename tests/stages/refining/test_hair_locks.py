"""Locks on the head of the figure of capsules."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial import cKDTree

from capsule_figure import Scene, capsule_surface, photograph
from carve.body.zones import HEAD
from carve.geometry.mesh import is_watertight, vertex_normals
from carve.geometry.visibility import visibility
from carve.records import LABELS
from carve.stages.refining.garment_edges import Stepped
from carve.stages.refining.hair_locks import hair_locks

HAIR, SKIN = LABELS.index("hair"), LABELS.index("skin")
STRIPE = 0.02
"""Width of a light and a dark lock in the photo, metres."""


@pytest.fixture(scope="module")
def scene() -> Scene:
    """The figure's hair is striped from left to right."""
    return photograph(
        capsule_surface(), lambda p: np.where(np.sin(2 * np.pi * p[:, :1] / STRIPE) > 0, [[140.0, 110, 90]], [[50.0, 35, 30]])
    )


def hairy(scene: Scene) -> np.ndarray:
    """(V, L) hair on the upper half of the head, skin elsewhere."""
    surface = scene.posed.canonical
    head = surface.region == HEAD
    there = head & (surface.vertices[:, 1] > np.median(surface.vertices[head, 1]))
    shares = np.zeros((len(surface.vertices), len(LABELS)))
    shares[np.arange(len(shares)), np.where(there, HAIR, SKIN)] = 1
    return shares


def grown(scene: Scene, factor: float = 1.0) -> tuple[Stepped, np.ndarray, np.ndarray]:
    """The surface with its locks, what they add to the old vertices (V,) along the normals, and where the old ones have hair (V,)."""
    shares = hairy(scene)
    stepped = hair_locks(scene.posed, shares, np.zeros(len(shares)), scene.observation.photo.pixels, factor)
    before = scene.posed.vertices
    normals = vertex_normals(before, scene.posed.canonical.faces)
    return stepped, ((stepped.posed[: len(before)] - before) * normals).sum(1), shares[:, HAIR] > 0.5


def test_hair_has_relief_and_all_else_keeps_its_place(scene: Scene) -> None:
    stepped, rise, hair = grown(scene)
    assert 0.0004 < rise[hair].std() < 0.004
    neighbours = cKDTree(scene.posed.vertices[hair]).query(scene.posed.vertices)[0] < 0.03
    assert np.abs(rise[~hair & ~neighbours]).max() < 1e-9
    assert is_watertight(stepped.canonical.faces) and len(stepped.posed) > len(scene.posed.vertices)
    np.testing.assert_allclose(stepped.canonical.weights.sum(1), 1, atol=1e-6)


def outward(stepped: Stepped, asked: np.ndarray) -> np.ndarray:
    """Metres by which vertices (N,) of hair lie outside the mean of the hair around them."""
    assert stepped.shares is not None
    hair = np.flatnonzero(stepped.shares[:, HAIR] > 0.5)
    _, near = cKDTree(stepped.posed[hair]).query(stepped.posed[asked], k=60)
    gap = stepped.posed[asked] - stepped.posed[hair][near].mean(1)
    return np.asarray((gap * vertex_normals(stepped.posed, stepped.canonical.faces)[asked]).sum(1))


def test_hair_stands_off_the_skin_where_it_begins(scene: Scene) -> None:
    _, rise, hair = grown(scene)
    surface = scene.posed.canonical
    height = surface.vertices[:, 1] - surface.vertices[hair, 1].min()
    assert rise[hair & (height < 0.01)].mean() > rise[hair & (height > 0.04)].mean() + 0.0004


def test_what_is_dark_in_the_photo_lies_deep(scene: Scene) -> None:
    stepped, _, _ = grown(scene)
    surface = stepped.canonical
    assert stepped.shares is not None
    seen = visibility(stepped.posed, surface.faces, scene.posed.camera, False, margin=2.0).share
    low = surface.vertices[stepped.shares[:, HAIR] > 0.5, 1].min()
    asked = np.flatnonzero((stepped.shares[:, HAIR] > 0.9) & (seen > 0.8) & (surface.vertices[:, 1] > low + 0.03))
    light = np.sin(2 * np.pi * surface.vertices[asked, 0] / STRIPE)
    assert np.corrcoef(outward(stepped, asked), light)[0, 1] > 0.4


def test_locks_run_downwards_behind(scene: Scene) -> None:
    stepped, _, _ = grown(scene)
    surface = stepped.canonical
    assert stepped.shares is not None
    middle = surface.vertices[surface.region == HEAD].mean(0)
    behind = np.flatnonzero((stepped.shares[:, HAIR] > 0.9) & (surface.vertices[:, 2] < middle[2] - 0.05))
    out = outward(stepped, behind)
    pairs = cKDTree(surface.vertices[behind]).query_pairs(0.006, output_type="ndarray")
    way = np.abs(surface.vertices[behind[pairs[:, 0]]] - surface.vertices[behind[pairs[:, 1]]])
    change = np.abs(out[pairs[:, 0]] - out[pairs[:, 1]])
    down, across = way[:, 1] > 3 * way[:, 0], way[:, 0] > 3 * way[:, 1]
    assert down.sum() > 50 and across.sum() > 50
    assert change[across].mean() > 1.3 * change[down].mean()


def test_twice_the_factor_is_twice_the_relief_and_the_same_locks(scene: Scene) -> None:
    (_, once, _), (_, twice, _) = grown(scene), grown(scene, 2.0)
    np.testing.assert_allclose(twice, 2 * once, atol=1e-9)


def test_without_labels_hair_or_factor_nothing_is_done(scene: Scene) -> None:
    shares = hairy(scene)
    face = np.ones(len(shares))
    bald = np.where(np.arange(len(LABELS)) == SKIN, 1.0, np.zeros_like(shares))
    pixels = scene.observation.photo.pixels
    half = np.isin(np.arange(len(LABELS)), (HAIR, SKIN)) * np.full_like(shares, 0.5)
    for given, bare, factor in (
        (None, 0 * face, 1.0),
        (shares, 0 * face, 0.0),
        (bald, 0 * face, 1.0),
        (shares, face, 1.0),
        (half, 0 * face, 1.0),
    ):
        stepped = hair_locks(scene.posed, given, bare, pixels, factor)
        assert stepped.canonical is scene.posed.canonical and stepped.posed is scene.posed.vertices
