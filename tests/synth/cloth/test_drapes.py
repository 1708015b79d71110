"""The library of drapes: what hangs freely, what is held, storing, and one small simulation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from carve.records import CarveError
from carve.synth.cloth.drapes import StoredDrape, draped_pose, held_vertices, loose_garments, read_drape, write_drape
from carve.synth.people.bodies import FullBody, ShapedBody
from carve.synth.people.poses import sample_pose
from carve.synth.wear.person import Drape
from carve.synth.wear.wardrobe import Wardrobe


def stored(wardrobe: Wardrobe, woman: ShapedBody) -> StoredDrape:
    item = wardrobe.items("miniskirt", 0.04)["bottom"]
    rng = np.random.default_rng(0)
    pose = sample_pose(wardrobe.body, woman, (), rng)
    moved = rng.normal(0, 0.01, (len(item.pattern.offsets), 3))
    report = {"inside": 0.0, "stretched": 0.01}
    return StoredDrape("00000_miniskirt", "train", (Drape(item, moved),), woman.traits, pose.local, pose.kind, report)


def test_skirts_dresses_and_coats_hang_freely_and_tight_jeans_do_not(wardrobe: Wardrobe) -> None:
    found = {name for name, _ in loose_garments(wardrobe)}
    assert {"miniskirt", "F_Dress_01", "F_Dress_03", "Skirt_Full_Long", "Coat", "TubeDress", "cargo_pants"} <= found
    assert not found & {"Tightjeans", "ShortJeans", "TubeTop", "Tank_Top_01"}
    assert len(found) >= 12


def test_waistbands_are_held_and_hems_are_not(wardrobe: Wardrobe) -> None:
    skirt = wardrobe.items("miniskirt", 0.04)["bottom"]
    held = held_vertices(skirt, np.full(len(skirt.frame.where), 0.05))
    height = skirt.frame.where[:, 1]
    assert held[height > height.max() - 0.02].all()
    assert not held[height < height.min() + 0.1].any()


def test_every_large_piece_of_a_garment_is_held_somewhere(wardrobe: Wardrobe) -> None:
    from carve.geometry.mesh import components

    for name in ("F_Dress_03", "F_Dress_04", "JeansSkirt"):
        (item,) = wardrobe.items(name, 0.04).values()
        held = held_vertices(item, np.full(len(item.frame.where), 0.05))
        label = components(item.pattern.faces, len(held))
        for piece in range(label.max() + 1):
            mine = label == piece
            if np.ptp(item.frame.where[mine, 1]) > 0.12:
                assert held[mine].any()
            else:
                assert held[mine].all() or not held[mine].any()


def test_a_drape_comes_back_as_it_was_written(tmp_path: Path, wardrobe: Wardrobe, woman: ShapedBody) -> None:
    first = stored(wardrobe, woman)
    write_drape(tmp_path, first)
    again = read_drape(tmp_path / "00000_miniskirt.json", wardrobe)
    np.testing.assert_array_equal(again.pieces[0].moved, first.pieces[0].moved)
    np.testing.assert_array_equal(again.local, first.local)
    assert again.traits == first.traits
    assert again.pieces[0].item.skirt
    assert (again.pieces[0].item.pattern.binding != first.pieces[0].item.pattern.binding).nnz == 0
    assert not list(tmp_path.glob("*.part"))


def test_a_damaged_drape_is_named(tmp_path: Path, wardrobe: Wardrobe, woman: ShapedBody) -> None:
    write_drape(tmp_path, stored(wardrobe, woman))
    path = tmp_path / "00000_miniskirt.npz"
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(CarveError, match="00000_miniskirt"):
        read_drape(tmp_path / "00000_miniskirt.json", wardrobe)


def test_hands_and_head_may_differ_from_the_drapes_pose(full_body: FullBody, wardrobe: Wardrobe, woman: ShapedBody) -> None:
    mine = stored(wardrobe, woman)
    other = sample_pose(full_body, woman, (), np.random.default_rng(7))
    local = draped_pose(full_body, replace(mine, local=mine.local), other)
    index = {name: i for i, name in enumerate(full_body.names)}
    np.testing.assert_array_equal(local[index["head"]], other.local[index["head"]])
    np.testing.assert_array_equal(local[index["finger2-1.L"]], other.local[index["finger2-1.L"]])
    np.testing.assert_array_equal(local[index["upperleg01.L"]], mine.local[index["upperleg01.L"]])
