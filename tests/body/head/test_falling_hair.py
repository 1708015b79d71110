"""Hair behind the neck: a solid where the back's labels show some below the chin, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carve.body.finishing import face_vertices
from carve.body.head.falling_hair import FallingHair
from carve.body.skin_field import SkinField
from carve.records import LABELS, BodyFit, NormalMaps
from synthetic import Truth

DROP = 0.1
"""How far below the chin hair ends, metres."""
THICK = 0.03


@pytest.fixture(scope="module")
def field(clothed: Truth) -> SkinField:
    return SkinField.of(clothed.body)


def chin_of(body: BodyFit) -> float:
    """Height of the face's lower end, canonical."""
    return float(body.canonical[face_vertices(body), 1].min())


def labelled(truth: Truth, maps: NormalMaps, below_chin: float) -> NormalMaps:
    """A back with hair down to so far below the chin, cloth under it."""
    body = truth.body
    names, humanoid = body.skeleton.names, body.skeleton.humanoid
    face = body.posed[face_vertices(body)]
    end = body.camera.project((face[(face @ body.up).argmin()] - below_chin * body.up)[None])[0, 1]
    rows = np.arange(maps.mask.shape[0])[:, None]
    head = body.camera.project(body.pose.bones(body.skeleton)[1][[names.index(humanoid["head"])]])[0, 0]
    metre = body.camera.focal / -float(np.median(body.posed[:, 2]))
    near = np.abs(np.arange(maps.mask.shape[1])[None] - head) < 0.13 * metre
    label = np.where(maps.mask, LABELS.index("top"), 0).astype(np.uint8)
    label[maps.mask & (rows < end) & near] = LABELS.index("hair")
    return replace(maps, label=label, label_back=label)


def grown(truth: Truth, field: SkinField, maps: NormalMaps | None) -> FallingHair:
    """With hair THICK on the head."""
    body = truth.body
    hair = FallingHair(body, field, maps, chin_of(body))
    if hair.asked.any():
        scalp = body.canonical[hair.asked]
        hair.grow(scalp + THICK * field.near(scalp).normal)
    return hair


def behind_the_neck(truth: Truth, field: SkinField, below_chin: float) -> np.ndarray:
    """(1, 3) canonical, two centimetres off the skin."""
    height = chin_of(truth.body) - below_chin
    near = truth.body.canonical[np.abs(truth.body.canonical[:, 1] - height) < 0.01]
    middle = near[np.abs(near[:, 0]) < 0.01]
    return middle[[middle[:, 2].argmin()]] + [0, 0, -0.02]


@pytest.mark.parametrize(("below", "within"), [(0.0, True), (0.04, True), (DROP + 0.05, False)])
def test_it_fills_the_space_behind_the_neck_down_to_its_end(
    clothed: Truth, true_maps: NormalMaps, field: SkinField, below: float, within: bool
) -> None:
    hair = grown(clothed, field, labelled(clothed, true_maps, DROP))
    point = behind_the_neck(clothed, field, below)
    near = field.near(point)
    assert near.distance[0] > 0.01
    assert (hair.united(near.distance, point, near)[0] < 0) == within


def test_the_face_the_neck_before_it_and_the_crown_stay(clothed: Truth, true_maps: NormalMaps, field: SkinField) -> None:
    hair, body = grown(clothed, field, labelled(clothed, true_maps, DROP)), clothed.body
    face = face_vertices(body)
    crown = body.canonical[:, 1] > body.canonical[:, 1].max() - 0.08
    front = (body.canonical[:, 2] > body.canonical[face, 2].mean()) & (body.canonical[:, 1] > chin_of(body) - 0.3)
    points = body.canonical[face | crown | front] * 1.001
    near = field.near(points)
    assert (hair.united(near.distance, points, near) == near.distance).all()


def test_short_hair_and_no_labels_change_nothing(clothed: Truth, true_maps: NormalMaps, field: SkinField) -> None:
    point = behind_the_neck(clothed, field, 0.0)
    near = field.near(point)
    for maps in (labelled(clothed, true_maps, -0.06), true_maps, None):
        hair = FallingHair(clothed.body, field, maps, chin_of(clothed.body))
        assert not hair.asked.any() and hair.told == (maps is not None and maps.label_back is not None)
        assert hair.united(near.distance, point, near) is near.distance


def test_a_sheet_that_stands_off_the_neck_goes(clothed: Truth, true_maps: NormalMaps, field: SkinField) -> None:
    """What a distance has far behind the neck, where labels show hair, against a distance without it."""
    hair = grown(clothed, field, labelled(clothed, true_maps, DROP))
    sheet = behind_the_neck(clothed, field, -0.02) - np.array([0, 0, 0.1])
    near = field.near(sheet)
    assert hair.united(np.array([-0.01]), sheet, near)[0] > 0
    assert FallingHair(clothed.body, field, true_maps, chin_of(clothed.body)).united(np.array([-0.01]), sheet, near)[0] == -0.01
