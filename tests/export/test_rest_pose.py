from __future__ import annotations

import numpy as np
import pytest

from carve.export.asset import Exported, make_asset
from carve.export.options import ExportOptions
from carve.export.records import Asset
from carve.export.rest_pose import rest_vertices
from carve.geometry.rotations import axis_rotation
from carve.records import Avatar


def direction(asset: Asset, first: str, last: str) -> np.ndarray:
    heads = asset.skeleton.heads
    way = heads[asset.skeleton.index(last)] - heads[asset.skeleton.index(first)]
    return way / np.linalg.norm(way)


@pytest.mark.parametrize(("side", "sign"), [("left", 1.0), ("right", -1.0)])
def test_it_is_vrms_t_pose(exported: Exported, side: str, sign: float) -> None:
    asset, out = exported.asset, np.array([sign, 0.0, 0.0])
    for first, last in (("UpperArm", "LowerArm"), ("LowerArm", "Hand"), ("Hand", "MiddleProximal")):
        assert direction(asset, side + first, side + last) @ out > np.cos(np.radians(3))
    for finger in ("Index", "Middle", "Ring", "Little"):
        assert direction(asset, f"{side}{finger}Proximal", f"{side}{finger}Distal") @ out > np.cos(np.radians(1))
    thumb = direction(asset, f"{side}ThumbMetacarpal", f"{side}ThumbDistal")
    np.testing.assert_allclose(thumb, np.array([sign, 0, 1]) / np.sqrt(2), atol=0.02)
    for first, last in (("UpperLeg", "LowerLeg"), ("LowerLeg", "Foot")):
        assert direction(asset, side + first, side + last)[1] < -np.cos(np.radians(0.5))
    foot = direction(asset, f"{side}Foot", f"{side}Toes")
    assert abs(foot[0]) < 0.01 and foot[2] > 0.8
    palm = np.cross(out, direction(asset, f"{side}LittleProximal", f"{side}IndexProximal")) * sign
    assert palm[1] < -0.995 * np.linalg.norm(palm)


def test_it_stands_on_the_ground_and_says_how_tall_it_is(exported: Exported) -> None:
    asset = exported.asset
    assert asset.vertices[:, 1].min() == pytest.approx(0, abs=1e-9)
    assert asset.height == pytest.approx(asset.vertices[:, 1].max())
    soles = [asset.vertices[asset.vertices[:, 0] * sign > 0, 1].min() for sign in (1, -1)]
    assert max(soles) < 0.003


def test_the_a_pose_only_lowers_the_arms(naked: Avatar, exported: Exported) -> None:
    lowered = make_asset(naked, ExportOptions(rest="a")).asset
    assert direction(lowered, "leftUpperArm", "leftHand") == pytest.approx(
        axis_rotation(2, -np.pi / 4) @ direction(exported.asset, "leftUpperArm", "leftHand"), abs=1e-6
    )
    feet = exported.asset.vertices[:, 1] < 0.3
    np.testing.assert_allclose(lowered.vertices[feet], exported.asset.vertices[feet], atol=1e-3)


def test_where_the_pose_folds_the_skin_up_the_skinned_surface_decides() -> None:
    """A vertex that belongs half to a bone and half to one turned by 180 degrees can be anywhere on a line in the photo's pose."""
    maps = np.concatenate([np.stack([np.eye(3), axis_rotation(0, np.pi)]), np.zeros((2, 3, 1))], axis=2)
    skinned = np.array([[0.3, 0.2, 0.1], [0.3, 0.2, 0.1]])
    bones, weights = np.array([[0, 1], [0, 1]]), np.array([[0.5, 0.5], [1.0, 0.0]])
    posed = np.array([[0.4, 0.0, 0.0], [0.5, 0.6, 0.7]])
    solved = rest_vertices(skinned, posed, maps, bones, weights)
    np.testing.assert_allclose(solved[0], [0.4, 0.2, 0.1], atol=1e-3)
    np.testing.assert_allclose(solved[1], posed[1], atol=1e-3)


def test_posing_it_gives_the_photos_surface(naked: Avatar, exported: Exported) -> None:
    error = np.linalg.norm(exported.pose.vertices - naked.surface.vertices, axis=1)
    assert error.max() < 2e-4
