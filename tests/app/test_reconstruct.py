"""Real runs on the example photo: the whole contract of the output folder, and photos that nothing can be made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from carve.app import cli
from carve.geometry.mesh import is_watertight, signed_volume
from carve.gltf.reader import read_glb
from carve.io.image import read_mask, read_photo, write_png
from carve.io.run_folder import OUTPUT_FILES
from carve.settings import STAGES
from gltf_validator import assert_valid

EXAMPLE = Path(__file__).parents[2] / "examples" / "person.jpg"
CONTRACT = {name for name in OUTPUT_FILES if not name.endswith((".obj", ".mtl", ".ply")) and name not in ("avatar.png", "seen_back.png")}
HUMANOID = {"hips", "spine", "chest", "neck", "head"} | {
    f"{side}{bone}" for side in ("left", "right") for bone in ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")
}


OPTIONS = ("--quiet", "--height", "170", "--set", "texture.size=1024", "--set", "clothed.resolution=256")
"""The product's own settings, but for a small texture and a coarse grid."""


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example's output folder."""
    folder = tmp_path_factory.mktemp("example") / "out"
    assert cli.run(["reconstruct", str(EXAMPLE), "--out", str(folder), *OPTIONS]) == 0
    return folder


def document(out: Path, name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / name).read_text())
    return content


def test_all_files_are_there_and_valid(out: Path) -> None:
    assert {file.name for file in out.iterdir()} == CONTRACT | {"stages"}
    assert_valid(out / "avatar.glb", out / "posed.glb", out / "body.glb")


def test_the_report_tells_what_happened(out: Path) -> None:
    report = document(out, "report.json")
    assert report["body"]["height_source"] == "argument"
    assert report["body"]["height"] == pytest.approx(1.70, abs=0.02)
    assert report["focal_source"] == "exif"
    assert len(report["people"]) == 1
    assert max(report["peak_memory_mib"].values()) < 4096
    assert set(report["confidence"]["joints"]) >= HUMANOID


def test_posed_glb_explains_the_mask_through_camera_json(out: Path) -> None:
    from carve.geometry.camera import Camera
    from carve.geometry.raster import rasterise

    camera = document(out, "camera.json")
    size = (camera["width"], camera["height"])
    assert size == read_photo(EXAMPLE).size
    projection = np.array(camera["projection"])
    assert np.sign(projection[2, 2]) == -1
    scene = read_glb(out / "posed.glb")
    view = Camera(*size, camera["focal"], *camera["principal_point"])
    np.testing.assert_allclose(view.projection, projection)
    seen = rasterise(scene.vertices, scene.faces, view).mask
    mask = read_mask(out / "mask.png", size) > 0.5
    assert (seen & mask).sum() / (seen | mask).sum() > 0.9


def test_the_skeleton_has_humanoid_names_and_lies_in_the_body(out: Path) -> None:
    pose = document(out, "pose.json")
    assert set(pose["joints"]) >= HUMANOID
    assert set(pose["rotations"]) >= set(pose["joints"])
    vertices = read_glb(out / "posed.glb").vertices
    low, high = vertices.min(0) - 0.05, vertices.max(0) + 0.05
    for name, head in pose["joints"].items():
        assert ((low < head) & (head < high)).all(), name
    assert pose["joints"]["head"][1] > pose["joints"]["hips"][1] > pose["joints"]["leftFoot"][1]


def test_the_surface_is_closed_and_wound_outward(out: Path) -> None:
    scene = read_glb(out / "posed.glb")
    welded, index = np.unique(np.round(scene.vertices, 6), axis=0, return_inverse=True)
    faces = index.reshape(-1)[scene.faces]
    assert is_watertight(faces)
    assert signed_volume(welded, faces) > 0.02


def test_a_second_run_from_texture_keeps_the_shape(out: Path) -> None:
    before = read_glb(out / "posed.glb").vertices
    assert cli.run(["reconstruct", str(EXAMPLE), "--out", str(out), *OPTIONS, "--from", "texture"]) == 0
    assert document(out, "report.json")["kept_stages"] == list(STAGES[: STAGES.index("texture")])
    np.testing.assert_array_equal(np.unique(read_glb(out / "posed.glb").vertices, axis=0), np.unique(before, axis=0))


def refused(capsys: pytest.CaptureFixture[str], photo: Path, out: Path, *options: str) -> str:
    """The one line that a photo is refused with; nothing is left."""
    assert cli.run(["reconstruct", str(photo), "--out", str(out), "--quiet", *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("carve: ")
    assert error.count("\n") == 1
    assert not out.exists()
    return error


def test_no_person(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    gradient = np.linspace(60, 200, 480)[:, None, None] * np.ones((1, 360, 3))
    write_png(tmp_path / "wall.png", gradient.astype(np.uint8))
    assert "No person was found" in refused(capsys, tmp_path / "wall.png", tmp_path / "out")


def test_a_person_of_forty_pixels(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    small = Image.open(EXAMPLE).resize((36, 48), Image.Resampling.LANCZOS)
    scene = Image.new("RGB", (320, 240), (150, 155, 160))
    scene.paste(small, (140, 120))
    scene.save(tmp_path / "far.png")
    assert "person" in refused(capsys, tmp_path / "far.png", tmp_path / "out").lower()


def test_a_person_who_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "Person 7 does not exist: 1 found" in refused(capsys, EXAMPLE, tmp_path / "out", "--person", "7")
