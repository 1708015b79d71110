from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carve.body.model import REGIONS
from carve.records import Avatar, PosedSurface, StageError, TexturedSurface
from carve.stages.rig import Params, height_with_shoes, rig, rig_errors, vertex_confidence
from people import capsule_avatar


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return capsule_avatar()


def changed(textured: TexturedSurface, **canonical: np.ndarray) -> TexturedSurface:
    """The same with some fields of the canonical surface replaced."""
    surface = textured.surface
    return replace(textured, surface=replace(surface, canonical=replace(surface.canonical, **canonical)))


def confidence(avatar: Avatar, textured: TexturedSurface, params: Params | None = None) -> np.ndarray:
    return vertex_confidence(avatar.body, textured, params or Params())


def test_the_avatar_holds_what_the_stages_made(avatar: Avatar) -> None:
    report: dict[str, object] = {"settings": 1}
    made = rig(avatar.observation, avatar.body, avatar.normals, avatar.textured, Params(), report)
    assert made.textured is avatar.textured and made.body is avatar.body and made.observation is avatar.observation
    assert made.report is report and report["settings"] == 1
    assert set(report["rig"]) == set(rig_errors(avatar.surface))  # type: ignore[call-overload]
    assert made.confidence.shape == (len(avatar.surface.vertices),)


def test_doubts_are_told_and_lower_the_confidence(avatar: Avatar) -> None:
    fits = replace(avatar.body, residuals={"landmarks": 0.005, "silhouette_iou": 0.9})
    fails = replace(avatar.body, residuals={"landmarks": 0.005, "silhouette_iou": 0.31})
    reports: list[dict[str, object]] = [{}, {}]
    made = [
        rig(avatar.observation, body, avatar.normals, avatar.textured, Params(), report)
        for body, report in zip((fits, fails), reports, strict=True)
    ]
    np.testing.assert_allclose(made[1].confidence, 0.5 * made[0].confidence, atol=1e-6)
    told = [{d["warning"]: d["trust"] for d in report["doubts"]} for report in reports]  # type: ignore[attr-defined]
    (sentence,) = set(told[1]) - set(told[0])
    assert "31 %" in sentence and told[1][sentence] == 0.5


def test_shoes_add_to_the_height(avatar: Avatar) -> None:
    """Soles that lie 3 cm below the feet, along legs that are turned out."""
    canonical, skeleton = avatar.surface.canonical, avatar.body.skeleton
    assert height_with_shoes(avatar.body, avatar.textured) == pytest.approx(avatar.body.height, abs=0.002)
    lower = canonical.vertices.copy()
    for side in ("left", "right"):
        thigh, ankle = (skeleton.heads[skeleton.names.index(skeleton.humanoid[f"{side}{bone}"])] for bone in ("UpperLeg", "Foot"))
        lower[canonical.region == REGIONS.index(f"{side}_foot")] += 0.03 * (ankle - thigh) / np.linalg.norm(ankle - thigh)
    shod = changed(avatar.textured, vertices=lower)
    assert height_with_shoes(avatar.body, shod) == pytest.approx(avatar.body.height + 0.03, abs=0.002)


def test_a_sure_vertex_is_sure(avatar: Avatar) -> None:
    sure = changed(avatar.textured, sigma=np.zeros(len(avatar.surface.vertices)))
    np.testing.assert_allclose(confidence(avatar, sure), 1, atol=1e-6)


def test_each_doubt_counts(avatar: Avatar) -> None:
    count, params = len(avatar.surface.vertices), Params(sigma_half=0.02, unseen=0.4)
    sure = changed(avatar.textured, sigma=np.zeros(count))
    np.testing.assert_allclose(confidence(avatar, changed(sure, sigma=np.full(count, 0.02)), params), 0.5, atol=1e-6)
    unseen = replace(sure, seen=np.zeros_like(sure.seen))
    np.testing.assert_allclose(confidence(avatar, unseen, params), 0.4, atol=1e-6)
    joints = np.random.default_rng(0).random(len(avatar.body.skeleton.names))
    doubtful = replace(avatar, body=replace(avatar.body, joint_confidence=joints))
    surface = avatar.surface.canonical
    expected = (surface.weights * joints[surface.bones]).sum(1)
    np.testing.assert_allclose(confidence(doubtful, sure, params), expected, atol=1e-6)


def test_only_the_part_that_was_not_seen_loses(avatar: Avatar) -> None:
    sure = changed(avatar.textured, sigma=np.zeros(len(avatar.surface.vertices)))
    seen = sure.seen.copy()
    seen[: seen.shape[0] // 5] = 0  # the first row of charts: bones 0 to 4
    part = np.arange(len(avatar.surface.vertices)) // (len(avatar.surface.vertices) // len(avatar.body.skeleton.names))
    found = confidence(avatar, replace(sure, seen=seen))
    np.testing.assert_allclose(found[part < 5], Params().unseen, atol=1e-6)
    np.testing.assert_allclose(found[part >= 5], 1, atol=1e-6)


def test_an_exact_rig_costs_nothing(avatar: Avatar) -> None:
    errors = rig_errors(avatar.surface)
    assert errors["bind_pose_mean_mm"] < 1e-3
    assert errors["photo_pose_mean_mm"] < 1e-3


def test_what_the_skin_cannot_follow_is_measured(avatar: Avatar) -> None:
    moved: PosedSurface = replace(avatar.surface, vertices=avatar.surface.vertices + np.array([0.003, 0.0, 0.004]))
    errors = rig_errors(moved)
    assert errors["photo_pose_mean_mm"] == pytest.approx(5, abs=1e-3)
    assert errors["photo_pose_p99_mm"] == pytest.approx(5, abs=1e-3)
    assert errors["bind_pose_mean_mm"] < 1e-3


def test_a_value_that_is_not_a_number_stops_the_stage_by_name(avatar: Avatar) -> None:
    broken = changed(avatar.textured, sigma=np.full(len(avatar.surface.vertices), np.nan))
    with pytest.raises(StageError, match="rig: "):
        rig(avatar.observation, avatar.body, avatar.normals, broken, Params(), {})
    vertices = avatar.surface.vertices.copy()
    vertices[3] = np.nan
    with pytest.raises(StageError, match="rig: "):
        rig_errors(replace(avatar.surface, vertices=vertices))
