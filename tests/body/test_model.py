"""Regions, the rest pose and the canonical pose."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from carve.body.anny import AnnyBody
from carve.body.model import LEG_SPREAD, REGION_OF_HUMANOID, REGIONS, CanonicalBody, bone_regions, canonical_body, rest_pose
from carve.geometry.skinning import bone_transforms, unskin

SIDES = (("left", 1.0), ("right", -1.0))


def random_shape(body: AnnyBody, seed: int) -> torch.Tensor:
    """Likely people: within the bounds, spread as the prior says."""
    prior, noise = body.prior, torch.randn(len(body.prior.mean), generator=torch.Generator().manual_seed(seed))
    return (prior.mean + prior.sigma * noise).clamp(prior.low, prior.high)


def head_of(canonical: CanonicalBody, vrm: str) -> np.ndarray:
    """(3,) head of a humanoid bone."""
    skeleton = canonical.skeleton
    return skeleton.heads[skeleton.names.index(skeleton.humanoid[vrm])]


@pytest.fixture(params=[None, 0, 1, 2], ids=["mean", "first", "second", "third"])
def shaped(request: pytest.FixtureRequest, anny_body: AnnyBody) -> tuple[torch.Tensor, CanonicalBody]:
    """A shape and its body in the canonical pose."""
    shape = anny_body.prior.mean if request.param is None else random_shape(anny_body, request.param)
    return shape, canonical_body(anny_body, shape)


def test_every_region_has_a_humanoid_bone() -> None:
    assert set(REGION_OF_HUMANOID.values()) == set(REGIONS)


def test_bones_without_a_region_take_their_parents() -> None:
    names = ("pelvis", "thigh", "shin", "ankle", "toe", "collar", "twist")
    parents = np.array([-1, 0, 1, 2, 3, 0, 5])
    humanoid = {"hips": "pelvis", "leftUpperLeg": "thigh", "leftLowerLeg": "shin", "leftFoot": "ankle", "leftToes": "toe"}
    regions = [REGIONS[i] for i in bone_regions(names, parents, humanoid)]
    assert regions == ["torso", "left_upper_leg", "left_lower_leg", "left_foot", "left_foot", "torso", "torso"]


def test_regions_lie_where_they_belong(anny_body: AnnyBody) -> None:
    middle = {name: anny_body.template.numpy()[anny_body.region == i].mean(0) for i, name in enumerate(REGIONS)}
    assert middle["head"][1] > middle["torso"][1] > middle["left_upper_leg"][1] > middle["left_lower_leg"][1] > middle["left_foot"][1]
    assert middle["left_hand"][0] > middle["left_lower_arm"][0] > middle["left_upper_arm"][0] > 0
    assert middle["right_hand"][0] < middle["right_lower_arm"][0] < middle["right_upper_arm"][0] < 0


def test_rest_pose_is_the_template_plus_the_weighted_shapes(anny_body: AnnyBody) -> None:
    shape = random_shape(anny_body, 5)
    vertices, heads = rest_pose(anny_body, shape)
    expected, expected_heads = anny_body.template.clone(), anny_body.heads.clone()
    for weight, basis, head_basis in zip(anny_body.coefficients(shape), anny_body.shapes, anny_body.head_shapes, strict=True):
        expected += weight * basis
        expected_heads += weight * head_basis
    torch.testing.assert_close(vertices, expected, atol=2e-6, rtol=0)
    torch.testing.assert_close(heads, expected_heads, atol=2e-6, rtol=0)


def test_canonical_arms_point_straight_out(shaped: tuple[torch.Tensor, CanonicalBody]) -> None:
    _, canonical = shaped
    for side, sign in SIDES:
        upper, lower, hand = (head_of(canonical, f"{side}{bone}") for bone in ("UpperArm", "LowerArm", "Hand"))
        for start, end in ((upper, lower), (lower, hand)):
            np.testing.assert_allclose((end - start) / np.linalg.norm(end - start), [sign, 0, 0], atol=1e-6)


def test_canonical_legs_are_spread(shaped: tuple[torch.Tensor, CanonicalBody]) -> None:
    _, canonical = shaped
    for side, sign in SIDES:
        leg = head_of(canonical, f"{side}Foot") - head_of(canonical, f"{side}UpperLeg")
        assert np.arctan2(sign * leg[0], -leg[1]) == pytest.approx(LEG_SPREAD, abs=1e-6)


def test_canonical_body_stands_over_the_origin(shaped: tuple[torch.Tensor, CanonicalBody]) -> None:
    _, canonical = shaped
    assert canonical.vertices[:, 1].min() == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(canonical.skeleton.heads[0, [0, 2]], 0, atol=1e-9)


def test_canonical_bones_keep_their_length(anny_body: AnnyBody, shaped: tuple[torch.Tensor, CanonicalBody]) -> None:
    shape, canonical = shaped
    children = np.flatnonzero(anny_body.parents >= 0)
    length = lambda heads: np.linalg.norm(heads[children] - heads[anny_body.parents[children]], axis=1)  # noqa: E731
    np.testing.assert_allclose(length(canonical.skeleton.heads), length(rest_pose(anny_body, shape)[1].double().numpy()), atol=1e-6)


def test_rest_rotations_lead_back_to_the_rest_pose(anny_body: AnnyBody, shaped: tuple[torch.Tensor, CanonicalBody]) -> None:
    shape, canonical = shaped
    rest, rest_heads = (t.double().numpy() for t in rest_pose(anny_body, shape))
    transforms = bone_transforms(canonical.rest_rotations, canonical.skeleton.heads, rest_heads)
    np.testing.assert_allclose(unskin(canonical.vertices, transforms, anny_body.bones, anny_body.weights), rest, atol=1e-6)


def test_canonical_rotations_are_rotations(shaped: tuple[torch.Tensor, CanonicalBody]) -> None:
    rotations = shaped[1].rest_rotations
    np.testing.assert_allclose(rotations @ np.swapaxes(rotations, 1, 2), np.broadcast_to(np.eye(3), rotations.shape), atol=1e-9)
    np.testing.assert_allclose(np.linalg.det(rotations), 1, atol=1e-9)


def test_trunk_and_head_stay_as_at_rest(anny_body: AnnyBody) -> None:
    canonical = canonical_body(anny_body, anny_body.prior.mean)
    for vrm in ("hips", "spine", "chest", "neck", "head"):
        index = anny_body.names.index(anny_body.humanoid[vrm])
        np.testing.assert_allclose(canonical.rest_rotations[index], np.eye(3), atol=1e-12)


def test_left_and_right_mirror_each_other(anny_body: AnnyBody) -> None:
    canonical = canonical_body(anny_body, anny_body.prior.mean)
    for vrm in anny_body.humanoid:
        if vrm.startswith("left"):
            mirrored = head_of(canonical, vrm.replace("left", "right")) * [-1, 1, 1]
            np.testing.assert_allclose(head_of(canonical, vrm), mirrored, atol=2e-3)
