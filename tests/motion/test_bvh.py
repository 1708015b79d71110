from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from carve.motion.bvh import read_bvh
from carve.records import CarveError

TWO_JOINTS = """HIERARCHY
ROOT Hips
{
  OFFSET 1 2 3
  CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
  JOINT Leg
  {
    OFFSET 0 -4.5 0
    CHANNELS 3 Xrotation Zrotation Yrotation
    End Site
    {
      OFFSET 0 -1 0
    }
  }
}
MOTION
Frames: 2
Frame Time: .04
10 20 30 15 -25 35 5 50 -70
11 21 31 0 0 0 0 90 0
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "motion.bvh"
    path.write_text(text)
    return path


def test_channels_act_in_the_order_of_the_file(tmp_path: Path) -> None:
    bvh = read_bvh(written(tmp_path, TWO_JOINTS))
    assert bvh.names == ("Hips", "Leg")
    np.testing.assert_array_equal(bvh.parents, [-1, 0])
    np.testing.assert_array_equal(bvh.offsets, [[1, 2, 3], [0, -4.5, 0]])
    assert bvh.seconds == 0.04
    np.testing.assert_allclose(bvh.rotations[0, 0], Rotation.from_euler("ZYX", [15, -25, 35], degrees=True).as_matrix())
    np.testing.assert_allclose(bvh.rotations[0, 1], Rotation.from_euler("XZY", [5, 50, -70], degrees=True).as_matrix())
    np.testing.assert_allclose(bvh.rotations[1, 1] @ [0, 1, 0], [-1, 0, 0], atol=1e-12)
    np.testing.assert_array_equal(bvh.positions[:, 0], [[10, 20, 30], [11, 21, 31]])
    assert np.isnan(bvh.positions[:, 1]).all()


@pytest.mark.parametrize(
    "change",
    [lambda t: t.replace("\n", "\r\n"), lambda t: t.replace("  ", "\t"), lambda t: t.replace("Hips\n{", "Hips {"), lambda t: t + "\n\n"],
)
def test_layout_does_not_matter(tmp_path: Path, change) -> None:  # type: ignore[no-untyped-def]
    plain, other = read_bvh(written(tmp_path, TWO_JOINTS)), read_bvh(written(tmp_path, change(TWO_JOINTS)))
    assert plain.names == other.names
    np.testing.assert_array_equal(plain.rotations, other.rotations)


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("HIERARCHY\n", "", 1),
        ("ROOT Hips", "JOINT Hips", 2),
        ("ROOT Hips", "ROOT", 2),
        ("Hips\n{", "Hips\n(", 3),
        ("OFFSET 1 2 3", "OFFSET 1 2", 4),
        ("OFFSET 1 2 3", "OFFSET 1 two 3", 4),
        ("CHANNELS 6", "CHANNELS 7", 5),
        ("Zrotation Yrotation Xrotation\n  JOINT", "Zrotation Yrotation Wrotation\n  JOINT", 5),
        ("JOINT Leg", "JOINT Hips", 6),
        ("JOINT Leg", "Bone Leg", 6),
        ("  }\n}\nMOTION", "  }\nMOTION", 15),
        ("MOTION\n", "", 16),
        ("Frames: 2", "Frames: two", 17),
        ("Frames: 2", "Frames: 3", 20),
        ("Frame Time: .04", "Frame Time: 0", 18),
        ("Frame Time: .04", "Time: 0.04", 18),
        ("10 20 30", "10 20", 19),
        ("11 21 31", "11 nan 31", 20),
    ],
)
def test_a_malformed_file_is_refused_by_line(tmp_path: Path, old: str, new: str, line: int) -> None:
    assert old in TWO_JOINTS
    with pytest.raises(CarveError, match=rf"motion\.bvh, line {line}: "):
        read_bvh(written(tmp_path, TWO_JOINTS.replace(old, new, 1)))


@pytest.mark.parametrize("lines", range(20))
def test_a_truncated_file_is_refused(tmp_path: Path, lines: int) -> None:
    with pytest.raises(CarveError, match=r"motion\.bvh, line"):
        read_bvh(written(tmp_path, "\n".join(TWO_JOINTS.splitlines()[:lines])))


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "motion.bvh"
    path.write_bytes(bytes(range(256)) * 10)
    with pytest.raises(CarveError, match=r"motion\.bvh"):
        read_bvh(path)
    with pytest.raises(CarveError, match="does not exist"):
        read_bvh(tmp_path / "none.bvh")


@pytest.mark.parametrize(
    "change",
    [
        lambda t: ("﻿" + t).encode("utf-8"),
        lambda t: t.encode("utf-16"),
        lambda t: t.encode("utf-16-le"),
        lambda t: t.replace(".04", "0,04").replace("4.5", "4,5").encode(),
        lambda t: t.replace("Frames: 2", "Frames:2").replace("Frame Time: ", "Frame Time:").encode(),
        lambda t: t.replace("HIERARCHY", "Hierarchy").replace("MOTION", "Motion").encode(),
        lambda t: t.replace("15 -25 35", "15 -25\n35").encode(),
        lambda t: t.replace("    End Site\n    {\n      OFFSET 0 -1 0\n    }\n", "").encode(),
        lambda t: t.replace("Leg", "Hüfte 2").encode("latin-1"),
    ],
)
def test_what_other_programs_write(tmp_path: Path, change) -> None:  # type: ignore[no-untyped-def]
    plain = read_bvh(written(tmp_path, TWO_JOINTS))
    (tmp_path / "other.bvh").write_bytes(change(TWO_JOINTS))
    other = read_bvh(tmp_path / "other.bvh")
    np.testing.assert_allclose(other.rotations, plain.rotations)
    np.testing.assert_array_equal(other.positions, plain.positions)
    np.testing.assert_array_equal(other.offsets, plain.offsets)
    assert other.seconds == plain.seconds


def test_several_roots_keep_their_names_apart(tmp_path: Path) -> None:
    skeleton, frames = TWO_JOINTS.split("MOTION\n")
    _, time, first, second = frames.splitlines()
    twice = (
        skeleton + skeleton.replace("HIERARCHY\n", "") + "\n".join(["MOTION", "Frames: 2", time, f"{first} {first}", f"{second} {second}"])
    )
    bvh = read_bvh(written(tmp_path, twice))
    assert bvh.names == ("Hips", "Leg", "Hips#2", "Leg#3")
    np.testing.assert_array_equal(bvh.parents, [-1, 0, -1, 2])
    np.testing.assert_array_equal(bvh.rotations[:, :2], bvh.rotations[:, 2:])


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("OFFSET 0 -4.5 0\n", "", "has no OFFSET"),
        ("-4.5", "1e300", "beyond"),
        ("Frame Time: .04", "Frame Time: 1e-320", "not that of a motion"),
        ("Frames: 2", "Frames: 1", "1 frames were announced and 2 lines"),
        ("Xrotation Zrotation Yrotation\n    End", "Xrotation Xrotation Yrotation\n    End", "channels"),
    ],
)
def test_what_no_motion_holds_is_told(tmp_path: Path, old: str, new: str, says: str) -> None:
    assert old in TWO_JOINTS
    with pytest.raises(CarveError, match=says):
        read_bvh(written(tmp_path, TWO_JOINTS.replace(old, new, 1)))


def test_too_many_numbers_are_refused_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carve.motion.bvh.MAX_JOINT_FRAMES", 3)
    with pytest.raises(CarveError, match="2 frames of 2 joints are too many"):
        read_bvh(written(tmp_path, TWO_JOINTS))
