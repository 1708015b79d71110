"""Joints are found by the names of many programs; where they are not, the nearest are told and a map takes their place."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from carve.motion.names import REQUIRED, TABLES, humanoid_joints, name_key, read_mapping
from carve.records import CarveError

STYLES = [
    lambda name: name,
    lambda name: f"mixamorig:{name}",
    lambda name: f"mixamorig1:{name}",
    lambda name: f"Armature|{name}",
    str.upper,
]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table["hips"] + "-" + table["leftUpperLeg"])
@pytest.mark.parametrize("style", STYLES)
def test_every_table_knows_itself(table: dict[str, str], style) -> None:  # type: ignore[no-untyped-def]
    names = [style(name) for name in table.values()]
    if style is str.upper and table["hips"] == "hip":
        return  # Poser's lShldr needs its lower case l to be told from a name that begins with L
    found = humanoid_joints(names, np.arange(-1, len(names) - 1), "a.bvh")
    assert {vrm: names[joint] for vrm, joint in found.items() if vrm in REQUIRED} == {vrm: style(table[vrm]) for vrm in REQUIRED}


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("mixamorig:LeftUpLeg", ("left", "upleg")),
        ("Bip01 L Thigh", ("left", "thigh")),
        ("Bip001 R Toe0", ("right", "toe0")),
        ("ValveBiped.Bip01_R_Thigh", ("right", "thigh")),
        ("DEF-upper_arm.L", ("left", "upperarm")),
        ("J_Bip_R_LowerLeg", ("right", "lowerleg")),
        ("CC_Base_L_Calf", ("left", "calf")),
        ("rShldr", ("right", "shldr")),
        ("thigh_r", ("right", "thigh")),
        ("right_hip", ("right", "hip")),
        ("Head", ("", "head")),
        ("leg", ("", "leg")),
        ("l", ("left", "")),
    ],
)
def test_sides_and_prefixes_are_told_from_names(name: str, key: tuple[str, str]) -> None:
    assert name_key(name) == key


def test_the_figure_with_most_names_is_taken() -> None:
    names = ["Camera", "Hips", "Prop", *(f"{name}#9" for name in TABLES[1].values())]
    parents = np.array([-1, 0, -1, -1, *range(3, len(names) - 1)])
    found = humanoid_joints(names, parents, "two.bvh")
    assert min(found.values()) == 3 and len(found) == len(TABLES[1])


def test_unknown_names_are_told_with_the_nearest_guesses() -> None:
    names = ["Hipz", "Spine", "Head", "LeftUpLeg", "RightUpLeg", "LeftLeg", "LeftFootz", "LeftArm", "[red]\n"]
    with pytest.raises(
        CarveError, match=r'no joint is known for hips, leftFoot .*--map FILE.*"hips": "Hipz", "leftFoot": "LeftFootz"'
    ) as told:
        humanoid_joints(names, np.arange(-1, 8), "a.bvh")
    assert "\n" not in str(told.value)


def test_a_map_says_which_joint_is_which(tmp_path: Path) -> None:
    names = [f"bone{k}" for k in range(len(REQUIRED))]
    mapping = dict(zip(REQUIRED, names, strict=True))
    for written in (mapping, {joint: bone for bone, joint in mapping.items()}):
        (tmp_path / "map.json").write_text(json.dumps(written))
        found = humanoid_joints(names, np.arange(-1, len(names) - 1), "a.bvh", read_mapping(tmp_path / "map.json"))
        assert found == {bone: k for k, bone in enumerate(REQUIRED)}
    with pytest.raises(CarveError, match="no joint 'bone99' as the map says; the nearest is 'bone"):
        humanoid_joints(names, np.arange(-1, len(names) - 1), "a.bvh", mapping | {"neck": "bone99"})
    for text, says in (
        ("[]", "must be a JSON object"),
        ("{}", "must be"),
        ('{"hips": 1}', "must be"),
        ('{"hips": "a", "leftKnee": "b"}', "nearest is"),
    ):
        (tmp_path / "map.json").write_text(text)
        with pytest.raises(CarveError, match=says):
            read_mapping(tmp_path / "map.json")
