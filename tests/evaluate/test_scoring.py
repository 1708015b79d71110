"""Whole scores of a box against cases whose answer is known."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from carve.evaluate.cases import Case, find_cases, read_case
from carve.evaluate.scoring import read_joints, read_projection, score
from carve.evaluate.views import Shape, welded_normals
from carve.records import CarveError
from evaluate.case_files import CAMERA, CENTRE, truth, write_case


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    return read_case(write_case(tmp_path_factory.mktemp("cases") / "block"))


def shape_of(vertices: np.ndarray) -> Shape:
    faces = truth()[1]
    return Shape(vertices, faces, welded_normals(vertices, faces))


def test_the_truth_itself_has_no_error(case: Case) -> None:
    figures = score(case, shape_of(truth()[0]), CAMERA.projection, dict(case.joints))
    assert figures["silhouette_iou"] == 1
    for how in ("registered", "aligned"):
        assert figures[how]["chamfer_cm"] < 0.12
        assert figures[how]["normal_angle_deg"] < 1
        assert figures[how]["side_iou"] > 0.97
    assert figures["joints"] == {"matched": 4, "root_mm": pytest.approx(0, abs=0.5), "procrustes_mm": pytest.approx(0, abs=1e-6)}


def test_scale_frame_and_distance_are_no_error(case: Case) -> None:
    turn = Rotation.from_euler("xyz", [20, 140, -30], degrees=True).as_matrix()
    vertices = 3.0 * truth()[0] @ turn.T + [5, 6, 7]
    whole = np.eye(4)
    whole[:3, :3], whole[:3, 3] = turn.T / 3, -turn.T @ [5, 6, 7] / 3
    figures = score(case, shape_of(vertices), CAMERA.projection @ whole)
    assert figures["registered"]["chamfer_cm"] < 0.12
    assert "joints" not in figures


def test_a_lean_is_an_error_until_it_is_aligned(case: Case) -> None:
    vertices, _ = truth()
    leaning = Rotation.from_euler("x", 8, degrees=True).apply(vertices - CENTRE) + CENTRE
    figures = score(case, shape_of(leaning), CAMERA.projection)
    assert figures["registered"]["chamfer_cm"] > 10 * figures["aligned"]["chamfer_cm"]
    assert figures["registered"]["front_normal_angle_deg"] == pytest.approx(8, abs=1.2)
    assert figures["alignment"]["turn_deg"] == pytest.approx(8, abs=0.3)


def test_what_grew_by_a_centimetre_is_a_centimetre_away(case: Case) -> None:
    vertices, _ = truth()
    grown = vertices + 0.01 * np.sign(vertices - CENTRE)
    scale_free = replace(case, views=None)
    figures = score(scale_free, shape_of(grown), CAMERA.projection)
    # The camera lets the whole person stand a little farther away; what is left is within a few millimetres of the centimetre.
    assert 0.3 < figures["registered"]["chamfer_cm"] < 1.1
    assert "normal_icon" not in figures["aligned"]


def test_inverted_and_unreadable_outputs_are_refused(case: Case, tmp_path: Path) -> None:
    vertices, faces = truth()
    with pytest.raises(CarveError, match="inward"):
        score(case, Shape(vertices, faces[:, ::-1], welded_normals(vertices, faces)), CAMERA.projection)
    (tmp_path / "camera.json").write_text(json.dumps({"projection": [[1, 2], [3, 4]]}))
    with pytest.raises(CarveError, match="3 x 4"):
        read_projection(tmp_path / "camera.json")
    (tmp_path / "pose.json").write_text("[]")
    with pytest.raises(CarveError, match="joints"):
        read_joints(tmp_path / "pose.json")


def test_cases_say_what_they_lack(tmp_path: Path) -> None:
    with pytest.raises(CarveError, match="does not exist"):
        find_cases(tmp_path / "none")
    with pytest.raises(CarveError, match="holds no cases"):
        find_cases(tmp_path)
    folder = write_case(tmp_path / "block")
    assert find_cases(tmp_path) == [folder]
    with pytest.raises(CarveError, match="named other"):
        find_cases(tmp_path, frozenset({"other"}))
    (folder / "outer.npz").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(CarveError, match=r"block cannot be read"):
        read_case(folder)
    for name, content in (("camera.json", b"[" * 5000), ("camera.json", b'{"projection": 1e400}'), ("gt.npz", b"PK\x05\x06" + bytes(18))):
        write_case(tmp_path / name / "other")
        (tmp_path / name / "other" / name).write_bytes(content)
        with pytest.raises(CarveError, match=r"The case other (cannot be read|is nested)"):
            read_case(tmp_path / name / "other")
        shutil.rmtree(tmp_path / name)
    (folder / "mask.png").unlink()
    with pytest.raises(CarveError, match=r"lacks mask\.png"):
        read_case(folder)
