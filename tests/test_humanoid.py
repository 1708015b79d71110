"""The humanoid bones and tables of other rigs' names."""

from __future__ import annotations

import pytest

from carve.humanoid import BONES, FINGERS, finger_bones, table


def test_there_are_the_bones_of_the_specification() -> None:
    assert len(BONES) == len(set(BONES)) == 55
    assert BONES[:3] == ("hips", "spine", "chest")
    assert {"leftThumbMetacarpal", "rightLittleDistal", "leftEye", "jaw"} <= set(BONES)
    assert not {"leftThumbIntermediate", "leftIndexMetacarpal", "head_end"} & set(BONES)


def test_a_table_names_both_sides_and_leaves_out_what_a_rig_lacks() -> None:
    found = table("a b - - n h", "s u l w t c f -", lambda side, name: f"{name}_{side[0]}", {"Thumb": ("t1", "t2", "t3")}, eye="e")
    assert found["hips"] == "a" and "chest" not in found and "jaw" not in found and "leftToes" not in found
    assert found["leftUpperLeg"] == "t_l" and found["rightEye"] == "e_r" and found["rightThumbDistal"] == "t3_r"
    assert set(found) <= set(BONES)


def test_a_table_with_too_few_names_is_no_table() -> None:
    with pytest.raises(ValueError):
        table("a b c", "s u l w t c f -", lambda side, name: name)
    assert [finger_bones(finger)[0] for finger in FINGERS[:2]] == ["ThumbMetacarpal", "IndexProximal"]
