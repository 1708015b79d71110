"""Data sets' people as cases: pictures and truth fit together, in rendered views and in photographs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from carve.evaluate.cases import read_case
from carve.evaluate.datasets.known import DATASETS
from carve.evaluate.datasets.scan import Photograph, Protocol, Scan, Surface
from carve.evaluate.scoring import score
from carve.evaluate.staging import stage, write_cases
from carve.evaluate.views import Shape, turn_about_up, welded_normals
from carve.geometry.camera import Camera
from carve.records import CarveError
from evaluate.datasets.people_files import person, save_npz, write_obj
from solids import box, sphere


@pytest.fixture(autouse=True)
def coarser(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer samples and pixels: these people have no folds."""
    monkeypatch.setattr("carve.evaluate.staging.SAMPLES", 20_000)
    monkeypatch.setattr("carve.evaluate.staging.VIEW_PIXELS", 64)


def lopsided() -> Scan:
    """A red box with a green ball on its left (+x), 1.6 m high."""
    body, ball = box((0.4, 1.6, 0.2), (0.0, 0.9, 0.0)), sphere(0.12, (0.45, 1.2, 0.1), 2)
    vertices, faces = np.concatenate([body[0], ball[0]]), np.concatenate([body[1], ball[1] + len(body[0])])
    colours = np.repeat(np.array([[200, 10, 10], [10, 200, 10]], np.uint8), [len(body[0]), len(ball[0])], 0)
    joints = {"leftUpperLeg": (0.1, 0.8, 0.0), "rightUpperLeg": (-0.1, 0.8, 0.0), "neck": (0.0, 1.5, 0.0), "leftHand": (0.45, 1.2, 0.1)}
    surface = Surface(vertices, faces, colours=colours)
    return Scan("who", surface, Surface(*body), {bone: np.array(place) for bone, place in joints.items()})


def test_views_show_their_side_and_the_truth_fits_them(tmp_path: Path) -> None:
    scan = lopsided()
    assert write_cases(scan, Protocol((0, 90, 180), 128, "a test"), tmp_path) == {"who@000", "who@090", "who@180"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["who@000", "who@090", "who@180"]
    for degrees in (0, 90, 180):
        case = read_case(tmp_path / f"who@{degrees:03d}")
        turn = turn_about_up(degrees)
        middle = (case.joints["leftUpperLeg"] + case.joints["rightUpperLeg"]) / 2
        shift = middle - turn @ [0.0, 0.8, 0.0]
        vertices = scan.surface.vertices @ turn.T + shift
        assert case.knows_body and case.body is not None and case.up == pytest.approx([0, 1, 0])
        assert case.body[0] == pytest.approx(scan.surface.vertices[:8] @ turn.T + shift)
        camera = Camera(128, 128, case.projection[0, 0], -case.projection[0, 2], -case.projection[1, 2])
        ball = camera.project(case.joints["leftHand"][None])[0]
        with Image.open(case.photo) as picture:
            pixels = np.asarray(picture)
        seen = pixels[int(ball[1]), int(ball[0]), :3]
        assert seen[1] > 2 * seen[0]  # the ball is green where the joint in it lies
        assert (ball[0] > 64) == (degrees == 0) or degrees == 90
        assert ((pixels[..., 3] > 127) == case.mask).all()
        rows = np.flatnonzero(case.mask.any(1))
        assert rows[-1] - rows[0] + 1 == pytest.approx(0.85 * 128, abs=2)
        shape = Shape(vertices, scan.surface.faces, welded_normals(vertices, scan.surface.faces), colours=scan.surface.colours)
        figures = score(case, shape, case.projection, case.joints)
        assert figures["registered"]["chamfer_cm"] < 0.1
        assert figures["silhouette_iou"] > 0.95  # a pixel is a fortieth of the box
        assert figures["joints"]["root_mm"] < 1
        assert figures["aligned"]["normal_angle_deg"] < 2


def test_photographs_are_taken_as_they_are(tmp_path: Path) -> None:
    scan = lopsided()
    turn = np.diag([1.0, -1.0, -1.0])
    extrinsic, intrinsic = np.column_stack([turn, [0.0, 0.9, 3.0]]), np.array([[90.0, 0, 32], [0, 90, 48], [0, 0, 1]])
    pixels = scan.surface.vertices @ extrinsic[:, :3].T + extrinsic[:, 3]
    pixels = (pixels @ intrinsic.T)[:, :2] / pixels[:, 2:]
    mask = np.zeros((96, 64), np.uint8)
    low, high = np.floor(pixels.min(0)).astype(int), np.ceil(pixels.max(0)).astype(int)
    mask[low[1] : high[1], low[0] : high[0]] = 255
    for name, picture in (("photo", np.full((96, 64, 3), 70, np.uint8)), ("mask", mask)):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
    taken = Photograph("0004", tmp_path / "photo.png", tmp_path / "mask.png", intrinsic, extrinsic)
    assert write_cases(replace(scan, photographs=(taken,)), Protocol((0,), 64, "a test"), tmp_path / "out") == {"who@0004"}
    case = read_case(tmp_path / "out" / "who@0004")
    homogeneous = np.column_stack([case.points, np.ones(len(case.points))]) @ case.projection.T
    seen = homogeneous[:, :2] / homogeneous[:, 2:]
    assert (case.points[:, 2] < 0).all() and case.up == pytest.approx([0, 1, 0])
    assert seen.min(0) == pytest.approx(pixels.min(0), abs=0.5) and seen.max(0) == pytest.approx(pixels.max(0), abs=0.5)
    Image.fromarray(mask[:-1]).save(tmp_path / "mask.png")
    with pytest.raises(CarveError, match="another size"):
        write_cases(replace(scan, photographs=(taken,)), Protocol((0,), 64, "a test"), tmp_path / "out")
    assert read_case(tmp_path / "out" / "who@0004").points == pytest.approx(case.points)  # the case that was there stays


def test_a_data_set_becomes_cases_once(tmp_path: Path) -> None:
    someone = person(tmp_path, "smpl")
    for name in ("00032-longlong-hips-000010", "00032-longlong-hips-000020"):
        write_obj(tmp_path / "cape" / "scans" / f"{name}.obj", someone.vertices, someone.faces)
        write_obj(tmp_path / "cape" / "smpl" / f"{name}.obj", someone.vertices, someone.faces)
    data, told = replace(DATASETS["cape-nfp"], protocol=Protocol((0,), 64, "a test")), list[str]()
    only = frozenset({"00032-longlong-hips-000020"})
    assert stage(data, tmp_path / "cape", tmp_path / "out", only, None, told.append) == {"00032-longlong-hips-000020@000"}
    assert told == ["00032-longlong-hips-000020: 1 pictures"]
    (tmp_path / "cape" / "scans" / "00032-longlong-hips-000020.obj").write_text("not read again")
    assert stage(data, tmp_path / "cape", tmp_path / "out", only, None, told.append) == {"00032-longlong-hips-000020@000"}
    with pytest.raises(CarveError, match="nobody named 00099"):
        stage(data, tmp_path / "cape", tmp_path / "out", frozenset({"00099"}), None, told.append)


def test_the_command_names_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from carve.app.cli import run

    save_npz(tmp_path / "thuman" / "fits" / "0001" / "smplx_param.npz", scale=1)
    for words, told in (
        (["thuman", "--dataset", "thuman"], "no data set 'thuman'"),
        (["nowhere", "--dataset", "thuman2"], "does not exist"),
        (["thuman", "--dataset", "thuman2"], "holds no scans of THuman2"),
        (["thuman", "--body-model", "x.npz"], "--body-model goes with --dataset"),
        (["thuman", "--tracks", "guessed"], "--tracks takes fitted and true"),
    ):
        assert run(["evaluate", str(tmp_path / words[0]), *words[1:], "--out", str(tmp_path / "out")]) == 2
        assert told in capsys.readouterr().err
        assert not (tmp_path / "out").exists()
