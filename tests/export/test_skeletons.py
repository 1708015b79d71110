from __future__ import annotations

from typing import get_args

import numpy as np
import pytest

from carve.export.asset import make_asset
from carve.export.options import ExportOptions, SkeletonKind
from carve.export.records import Asset
from carve.gltf.reader import VRM_BONES
from carve.records import Avatar


@pytest.fixture(scope="module")
def assets(naked: Avatar) -> dict[str, Asset]:
    return {kind: make_asset(naked, ExportOptions(skeleton=kind)).asset for kind in get_args(SkeletonKind)}


@pytest.mark.parametrize("kind", get_args(SkeletonKind))
def test_every_bone_moves_skin(assets: dict[str, Asset], kind: str) -> None:
    asset = assets[kind]
    moved = np.zeros(len(asset.skeleton.names))
    np.add.at(moved, asset.bones, asset.weights)
    for bone in reversed(range(len(moved))):
        if asset.skeleton.parents[bone] >= 0:
            moved[asset.skeleton.parents[bone]] += moved[bone]
    eyes = {asset.skeleton.humanoid[name] for name in ("leftEye", "rightEye")}  # the naked test body's skin has no eyeballs
    assert [name for name, weight in zip(asset.skeleton.names, moved, strict=True) if weight < 1e-3 and name not in eyes] == []


@pytest.mark.parametrize("kind", get_args(SkeletonKind))
def test_axes_run_along_the_bones_and_are_right_handed(assets: dict[str, Asset], kind: str) -> None:
    bones = assets[kind].skeleton
    np.testing.assert_allclose(bones.axes @ np.swapaxes(bones.axes, 1, 2), np.tile(np.eye(3), (len(bones.names), 1, 1)), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(bones.axes), 1)
    for first, last in (
        ("leftUpperArm", "leftLowerArm"),
        ("rightLowerArm", "rightHand"),
        ("leftUpperLeg", "leftLowerLeg"),
        ("rightLowerLeg", "rightFoot"),
        ("leftFoot", "leftToes"),
        ("rightIndexProximal", "rightIndexIntermediate"),
    ):
        way = bones.heads[bones.index(last)] - bones.heads[bones.index(first)]
        along = bones.axes[bones.index(first)][:, 1] @ way / np.linalg.norm(way)
        assert along > np.cos(np.radians(5)), (first, np.degrees(np.arccos(along)))


def test_mixamos_axes(assets: dict[str, Asset]) -> None:
    """As in Mixamo's own T-pose: a positive turn about X lowers an arm, curls a finger, bends a foot down; a negative one bends a knee."""
    bones = assets["mixamo"].skeleton
    x = {name: bones.axes[bones.names.index(name)][:, 0] for name in ("LeftArm", "RightArm", "LeftLeg", "RightUpLeg", "LeftHandIndex2")}
    np.testing.assert_allclose(x["LeftArm"], [0, 0, -1], atol=0.02)
    np.testing.assert_allclose(x["RightArm"], [0, 0, 1], atol=0.02)
    np.testing.assert_allclose(x["LeftLeg"], [-1, 0, 0], atol=0.02)
    np.testing.assert_allclose(x["RightUpLeg"], [-1, 0, 0], atol=0.02)
    np.testing.assert_allclose(x["LeftHandIndex2"], [0, 0, -1], atol=0.05)


def test_names(assets: dict[str, Asset]) -> None:
    assert set(VRM_BONES) - {"jaw"} <= set(assets["vrm"].skeleton.names)
    assert {"Hips", "Spine2", "LeftHandPinky3", "RightToeBase", "LeftEye"} <= set(assets["mixamo"].skeleton.names)
    assert {"pelvis", "spine_03", "upperarm_l", "lowerarm_twist_01_r", "ball_l", "pinky_03_r"} <= set(assets["unreal"].skeleton.names)
    assert assets["unreal"].skeleton.root == "root"
    for kind in assets:
        names = assets[kind].skeleton.names
        assert len(set(names)) == len(names)
        assert sum("toe" in name.lower() or name.startswith("ball") for name in names) == 2


def test_the_twist_bone_is_a_leaf_of_the_forearm(assets: dict[str, Asset]) -> None:
    for kind in ("vrm", "unreal"):
        bones = assets[kind].skeleton
        for twist, hand in bones.twists.items():
            place = bones.names.index(twist)
            assert not (bones.parents == place).any()
            assert bones.parents[place] == bones.parents[bones.names.index(hand)]
    assert not assets["mixamo"].skeleton.twists
