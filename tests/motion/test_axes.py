"""Up, way and reference pose come from the motion as it is played: the same walk told in many ways is one walk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from carve.motion.bvh import Bvh, read_bvh
from carve.motion.retarget import Motion, motion_from_bvh, read_motion
from carve.records import CarveError

CASES = Path(__file__).parents[1] / "cases"
LEGS = 84.0
"""Of the figure in the cases, centimetres."""


@pytest.fixture(scope="module")
def walk() -> Bvh:
    """The case whose way lies on the root above the hips; Y up, facing +Z."""
    return read_bvh(CASES / "way_on_parent_of_hips.bvh")


def same(first: Motion, second: Motion, atol: float = 1e-6) -> None:
    for name in first.names:
        np.testing.assert_allclose(
            first.rotations[:, first.names.index(name)], second.rotations[:, second.names.index(name)], atol=atol, err_msg=name
        )
    np.testing.assert_allclose(first.hips, second.hips, atol=atol)


def test_the_way_may_lie_on_a_parent_of_the_hips(walk: Bvh) -> None:
    motion = motion_from_bvh(walk, "walk")
    assert motion.notes == ()
    np.testing.assert_allclose(np.ptp(motion.hips[:, 2]), 1.86, atol=0.01)


def test_a_z_up_world_with_a_y_up_rest_pose_stands(walk: Bvh) -> None:
    motion = read_motion(CASES / "z_up_world_y_up_rest.bvh")
    assert any("+Z was taken for up" in note for note in motion.notes)
    head, foot = (motion.rotations[:, motion.names.index(n)] for n in ("hips", "leftFoot"))
    assert (head[:, 1, 1] > 0.9).all() and (foot[:, 1, 1] > 0.3).all()
    np.testing.assert_allclose(np.ptp(motion.hips[:, 2]), 1.86, atol=0.01)


def in_world(bvh: Bvh, turn: np.ndarray, shift: np.ndarray) -> Bvh:
    """The same motion played in another world, the rest pose as it was."""
    rotations, positions = bvh.rotations.copy(), bvh.positions.copy()
    for root in np.flatnonzero(bvh.parents < 0):
        rotations[:, root] = turn @ rotations[:, root]
        positions[:, root] = positions[:, root] @ turn.T + shift
    return replace(bvh, rotations=rotations, positions=positions)


@pytest.mark.parametrize("angle", [90, -90])
@pytest.mark.parametrize("axis", ["x", "z"])
def test_other_worlds_are_found_out(walk: Bvh, axis: str, angle: float) -> None:
    turn = Rotation.from_euler(axis, angle, degrees=True).as_matrix()
    turned = motion_from_bvh(in_world(walk, turn, np.zeros(3)), "turned")
    assert len(turned.notes) == 1
    plain = motion_from_bvh(walk, "walk")
    hips = plain.names.index("hips")
    # The heading is that of the first frame up to quarter turns; what is up is certain.
    np.testing.assert_allclose(turned.rotations[:, hips, 1, 1], plain.rotations[:, hips, 1, 1], atol=1e-6)
    np.testing.assert_allclose(turned.hips[:, 1], plain.hips[:, 1], atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(turned.hips, axis=1), np.linalg.norm(plain.hips, axis=1), atol=1e-6)
    if axis == "x":
        same(turned, plain)


def test_somebody_who_lies_still_lies(walk: Bvh) -> None:
    turn = Rotation.from_euler("x", 90, degrees=True).as_matrix()
    lying = in_world(walk, turn, np.array([0.0, 0.0, 0.0]))
    height = walk.positions[0, 0, 1] if np.isfinite(walk.positions[0, 0, 1]) else 0.0
    positions = lying.positions.copy()
    positions[:, 0] = positions[:1, 0] * [1, 0, 1] + [0, 12.0 - 0 * height, 0]
    positions[:, 0, 1] += np.linspace(0, 0.5, len(positions))
    offsets = lying.offsets.copy()
    offsets[1] = 0
    motion = motion_from_bvh(replace(lying, positions=positions, offsets=offsets), "lying")
    assert motion.notes == ()
    assert abs(motion.rotations[0, motion.names.index("hips")][1, 1]) < 0.2


@pytest.mark.parametrize("unit", [0.01, 1 / 2.54, 10.0])
def test_units_do_not_matter(walk: Bvh, unit: float) -> None:
    same(
        motion_from_bvh(replace(walk, offsets=walk.offsets * unit, positions=walk.positions * unit), "units"), motion_from_bvh(walk, "walk")
    )


def test_bones_along_one_axis_at_rest_are_read_from_the_played_motion(walk: Bvh) -> None:
    """Every bone lies along its parent's x axis in the zero pose, as skeletons with joint axes are exported."""
    children = {int(p): j for j, p in reversed(list(enumerate(walk.parents))) if p >= 0}
    rest = np.empty((len(walk.parents), 3, 3))
    for joint in range(len(rest)):
        along = walk.offsets[children[joint]] if joint in children else walk.offsets[joint]
        along = along if np.linalg.norm(along) > 1e-9 else np.array([0.0, 1.0, 0.0])
        rest[joint] = Rotation.align_vectors([[1.0, 0, 0]], [along])[0].as_matrix()
    rotations, offsets, positions = walk.rotations.copy(), walk.offsets.copy(), walk.positions.copy()
    for joint, parent in enumerate(walk.parents):
        above = rest[parent] if parent >= 0 else np.eye(3)
        rotations[:, joint] = above @ walk.rotations[:, joint] @ rest[joint].T
        offsets[joint] = above @ walk.offsets[joint]
        positions[:, joint] = walk.positions[:, joint] @ above.T
    odd, plain = (
        motion_from_bvh(replace(walk, rotations=rotations, offsets=offsets, positions=positions), "odd"),
        motion_from_bvh(walk, "walk"),
    )
    assert "does not stand" in odd.notes[0]
    np.testing.assert_allclose(odd.hips, plain.hips, atol=1e-6)
    for name in ("hips", "leftUpperLeg", "rightLowerLeg", "leftLowerArm", "head"):
        change = np.swapaxes(odd.rotations[:, odd.names.index(name)], 1, 2) @ plain.rotations[:, plain.names.index(name)]
        angle = np.degrees(np.arccos(np.clip((np.trace(change, axis1=1, axis2=2) - 1) / 2, -1, 1)))
        assert np.ptp(angle) < 12 and angle.max() < 40, (name, angle.max())  # the frame that stands is no T-pose: a constant is left


def test_legs_without_length_are_refused(walk: Bvh) -> None:
    legs = np.array(["Leg" in name or "Foot" in name for name in walk.names])
    with pytest.raises(CarveError, match="no length"):
        motion_from_bvh(replace(walk, offsets=np.where(legs[:, None], 0.0, walk.offsets)), "flat")
