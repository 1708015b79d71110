"""What is taken off: a bag beside the body and before it, and what labels leave in place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carve.geometry.relief.normal_maps import front_and_back
from carve.records import LABELS, NormalMaps, Observation
from carve.settings import make_settings
from carve.stages.worn import Params, take_off
from synthetic import Truth

TOP, BAG = LABELS.index("top"), LABELS.index("bag")


@pytest.fixture(scope="module")
def scene(clothed: Truth) -> tuple[Observation, NormalMaps, np.ndarray, np.ndarray]:
    """Someone in a shirt with a bag that hangs half beside the trunk: bag as it is seen, and what of it lies beside the body."""
    front, back = front_and_back(clothed.clothed, clothed.body.faces, clothed.body.camera)
    bare = (front_and_back(clothed.body.posed, clothed.body.faces, clothed.body.camera)[0] != 0).any(-1)
    mask = (front != 0).any(-1)
    rows, columns = np.nonzero(mask)
    middle, size = int(np.median(rows)), int(0.12 * np.ptp(rows))
    bag = np.zeros_like(mask)
    edge = int(columns[rows == middle].max())
    bag[middle - size // 2 : middle + size // 2, edge - size // 2 : edge + size // 2] = True
    slanted = np.array([0.6, 0.0, 0.8])
    shown = mask | bag
    label = np.where(shown, TOP, 0).astype(np.uint8)
    label[bag] = BAG
    maps = NormalMaps(
        front=np.where(bag[..., None], slanted, front).astype(np.float16),
        back=np.where((bag & ~mask)[..., None], -slanted, back).astype(np.float16),
        log_variance=np.zeros(mask.shape, np.float16),
        mask=shown,
        coverage=shown.astype(np.float32),
        label=label,
        label_back=np.where(bag & mask, TOP, label).astype(np.uint8),
    )
    return replace(clothed.observation, mask=shown.astype(np.float32)), maps, bag, bag & ~mask & ~bare


def test_nothing_is_off_by_default() -> None:
    assert Params().off == () and Params(bag=False).off == ("bag",)
    assert make_settings(None, None, ["worn.hair=false"]).worn.off == ("hair",)


def test_a_bag_beside_the_body_becomes_background(clothed: Truth, scene: tuple[Observation, NormalMaps, np.ndarray, np.ndarray]) -> None:
    observation, maps, bag, beside = scene
    seen, without = take_off(observation, clothed.body, maps, Params(bag=False))
    gone = maps.mask & ~without.mask
    assert beside.sum() > 200 and (gone & ~bag).sum() == 0
    assert (gone & beside).sum() > 0.9 * beside.sum() and (gone & ~beside).sum() < 0.1 * beside.sum()
    for image in (without.front, without.back, without.label, without.label_back, without.coverage, seen.mask):
        assert image is not None and not image[gone].any()
    assert np.array_equal(seen.mask[~gone], observation.mask[~gone])


def test_before_the_body_are_its_own_normals_and_clothes(
    clothed: Truth, scene: tuple[Observation, NormalMaps, np.ndarray, np.ndarray]
) -> None:
    observation, maps, bag, _ = scene
    _, without = take_off(observation, clothed.body, maps, Params(bag=False))
    bare = front_and_back(clothed.body.posed, clothed.body.faces, clothed.body.camera)[0]
    before = bag & (bare != 0).any(-1) & without.mask
    changed = before & (np.abs(without.front - bare).max(-1) < 1e-3)
    assert before.sum() > 200 and changed.sum() > 0.9 * before.sum()
    assert without.label is not None and (without.label[changed] == TOP).all()
    away = maps.mask & ~bag
    assert np.array_equal(without.front[away], maps.front[away]) and np.array_equal(without.back[away], maps.back[away])


def test_what_labels_do_not_show_stays(clothed: Truth, scene: tuple[Observation, NormalMaps, np.ndarray, np.ndarray]) -> None:
    observation, maps, _, _ = scene
    seen, without = take_off(observation, clothed.body, maps, Params(hair=False))
    assert (
        np.array_equal(without.mask, maps.mask)
        and np.array_equal(without.front, maps.front)
        and np.array_equal(seen.mask, observation.mask)
    )
    _, unknown = take_off(observation, clothed.body, replace(maps, label=None, label_back=None), Params(hair=False))
    assert np.array_equal(unknown.mask, maps.mask) and len(unknown.notes) == 1 and "hair" in unknown.notes[0]
