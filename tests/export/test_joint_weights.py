from __future__ import annotations

import numpy as np
import pytest

from carve.export.asset import make_asset
from carve.export.extras.volume import elbow_volume, wrist_volume
from carve.export.joint_weights import ARM, BANDS, FRONT, HALFWAY, sharpened
from carve.export.options import ExportOptions
from carve.export.records import Asset
from carve.records import Avatar


@pytest.mark.parametrize("kind", ["vrm", "mixamo", "unreal"])
def test_wrists_and_elbows_keep_their_volume(naked: Avatar, kind: str) -> None:
    asset = make_asset(naked, ExportOptions(skeleton=kind)).asset
    for side in ("left", "right"):
        assert 0.9 < wrist_volume(asset, side) < 1.05
        assert 0.88 < elbow_volume(asset, side) < 1.05


def test_rest_keeps_all_of_it(exported_asset: Asset) -> None:
    assert wrist_volume(exported_asset, "left", 0.0) == pytest.approx(1)
    assert elbow_volume(exported_asset, "right", 0.0) == pytest.approx(1)


def test_shares_follow_the_formula_and_rows_still_sum_to_one(naked: Avatar) -> None:
    surface = naked.surface.canonical
    skeleton = surface.skeleton
    bone = {vrm: skeleton.names.index(name) for vrm, name in skeleton.humanoid.items()}
    elbow, wrist = (skeleton.heads[bone[joint]] for joint in ("leftLowerArm", "leftHand"))
    row = [bone["leftUpperArm"], bone["leftLowerArm"], 0, 0]
    halfway = int(skeleton.parents[bone["leftHand"]])
    forearm = [[halfway, bone["leftHand"], 0, 0], [bone["leftLowerArm"], halfway, 0, 0]]
    bones = np.array([row, row, row, *forearm, [bone["hips"], bone["spine"], 0, 0]])
    weights = np.array([[0.7, 0.3, 0, 0]] * 5 + [[0.6, 0.4, 0, 0]])
    behind = np.array([0.0, 0.0, 0.5 * ARM])
    sharper = sharpened(bones, weights, np.stack([elbow, elbow - behind, elbow + 4 * behind, wrist - behind, wrist, elbow]), skeleton)
    k, s = BANDS["LowerArm"].sharper, BANDS["LowerArm"].slanted
    odds = (0.3 / 0.7) ** k * np.exp(k * s * np.array([0.0, 0.5, FRONT]))
    np.testing.assert_allclose(sharper[:3, 1], odds / (1 + odds))
    for k, made in ((BANDS["Hand"].sharper, sharper[3, 1]), (HALFWAY.sharper, sharper[4, 1])):
        assert made == pytest.approx(0.3**k / (0.3**k + 0.7**k))
    np.testing.assert_array_equal(sharper[5], weights[5])
    np.testing.assert_allclose(sharpened(surface.bones, surface.weights, surface.vertices, skeleton).sum(1), 1)
