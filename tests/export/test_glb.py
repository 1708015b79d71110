from __future__ import annotations

import json
import struct
import warnings
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from carve.export.asset import make_asset
from carve.export.glb import write_avatar_glb
from carve.export.options import ExportOptions, RestPose, SkeletonKind
from carve.export.outputs import write_avatar
from carve.geometry.mesh import signed_volume
from carve.gltf.reader import read_glb
from carve.gltf.writer import write_body_glb
from carve.records import Avatar, CarveError
from glb_nodes import posed_by_nodes
from gltf_validator import assert_valid
from people import capsule_avatar


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return capsule_avatar()


@pytest.fixture(scope="module")
def folder(avatar: Avatar, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("glb")
    write_avatar(path, avatar, ExportOptions())
    write_body_glb(path / "body.glb", avatar.body)
    return path


def test_the_validator_finds_nothing(folder: Path) -> None:
    assert_valid(*folder.glob("*.glb"))


def test_everything_comes_back(avatar: Avatar, folder: Path) -> None:
    scene, asset = read_glb(folder / "avatar.glb"), make_asset(avatar).asset
    np.testing.assert_array_equal(scene.vertices, asset.vertices[asset.corner].astype(np.float32))
    np.testing.assert_array_equal(scene.faces, asset.split_faces)
    np.testing.assert_array_equal(scene.uv, asset.uv.astype(np.float32))
    np.testing.assert_allclose(scene.normals, asset.normals[asset.corner], atol=1e-6)
    np.testing.assert_array_equal(scene.confidence, avatar.confidence[asset.corner].astype(np.float32))
    assert np.abs(scene.texture.astype(int) - asset.albedo).mean() < 3
    assert scene.skeleton.names == asset.skeleton.names
    np.testing.assert_array_equal(scene.skeleton.parents, asset.skeleton.parents)
    np.testing.assert_allclose(scene.skeleton.heads, asset.skeleton.heads, atol=1e-6)
    np.testing.assert_allclose(scene.axes, asset.skeleton.axes, atol=1e-6)
    assert scene.skeleton.humanoid == asset.skeleton.humanoid


@pytest.mark.parametrize("kind", get_args(SkeletonKind))
@pytest.mark.parametrize("rest", get_args(RestPose))
def test_the_photos_pose_gives_posed_glb(avatar: Avatar, tmp_path: Path, kind: SkeletonKind, rest: RestPose) -> None:
    write_avatar(tmp_path, avatar, ExportOptions(skeleton=kind, rest=rest))
    assert_valid(tmp_path / "avatar.glb", tmp_path / "posed.glb")
    scene, posed = read_glb(tmp_path / "avatar.glb"), read_glb(tmp_path / "posed.glb")
    pose = json.loads((tmp_path / "pose.json").read_text())
    made, heads = posed_by_nodes(scene, pose["rotations"], {pose["root"]: pose["root_translation"]})
    # Tongue and teeth come last; posed.glb has none.
    np.testing.assert_allclose(made[: len(posed.vertices)], posed.vertices, atol=3e-6)
    np.testing.assert_allclose(posed.vertices, avatar.surface.vertices[avatar.textured.corner], atol=1e-3)
    for name, place in pose["joints"].items():
        np.testing.assert_allclose(heads[scene.skeleton.humanoid[name]], place, atol=1e-6)


def test_without_rotations_it_rests(avatar: Avatar, folder: Path) -> None:
    scene, pose = read_glb(folder / "avatar.glb"), json.loads((folder / "pose.json").read_text())
    made, _ = posed_by_nodes(scene, {}, {})
    np.testing.assert_allclose(made, scene.vertices, atol=2e-6)
    np.testing.assert_allclose(posed_by_nodes(scene, pose["rest_rotations"], {})[0], made, atol=2e-6)


@pytest.mark.parametrize("name", ["avatar.glb", "posed.glb", "body.glb"])
def test_faces_are_wound_outward(folder: Path, name: str) -> None:
    scene = read_glb(folder / name)
    assert signed_volume(scene.vertices.astype(float), scene.faces) > 0.03


def test_the_asset_says_what_it_is(folder: Path) -> None:
    asset = read_glb(folder / "avatar.glb").document.asset
    assert asset.generator.startswith("carve")
    assert asset.extras["units"] == "metres"
    assert asset.extras["height"] == pytest.approx(np.ptp(read_glb(folder / "avatar.glb").vertices[:, 1]), abs=1e-6)
    assert asset.extras["height_without_shoes"] == 1.75
    assert asset.extras["licences"] == {"capsules": "CC0-1.0"}


def test_vertices_without_area_still_have_unit_normals(avatar: Avatar, tmp_path: Path) -> None:
    posed = avatar.body.posed.copy()
    posed[avatar.body.faces[0]] = posed[0]
    posed = np.concatenate([posed, [[0.0, 0.0, -2.0]]])
    write_body_glb(tmp_path / "body.glb", replace(avatar.body, posed=posed))
    normals = read_glb(tmp_path / "body.glb").normals
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)


def test_more_than_65535_corners_fit(avatar: Avatar, tmp_path: Path) -> None:
    textured, copies = avatar.textured, 60
    many = replace(
        avatar,
        textured=replace(
            textured,
            corner=np.tile(textured.corner, copies),
            uv=np.tile(textured.uv, (copies, 1)),
            faces=np.concatenate([textured.faces + k * len(textured.corner) for k in range(copies)]),
        ),
    )
    write_avatar_glb(tmp_path / "many.glb", many)
    assert_valid(tmp_path / "many.glb")
    assert read_glb(tmp_path / "many.glb").faces.max() > 65535


@pytest.mark.parametrize("keep", [0, 3, 11, 19, 400, 5000, -1])
def test_a_file_that_is_cut_short_is_refused(folder: Path, tmp_path: Path, keep: int) -> None:
    cut = tmp_path / "cut.glb"
    cut.write_bytes((folder / "avatar.glb").read_bytes()[:keep])
    with pytest.raises(CarveError, match=r"cut\.glb"):
        read_glb(cut)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CarveError, match="does not exist"):
        read_glb(tmp_path / "none.glb")
    with pytest.raises(CarveError, match="is a folder"):
        read_glb(tmp_path)
    (tmp_path / "picture.glb").write_bytes(b"\x89PNG" + bytes(100))
    with pytest.raises(CarveError, match="not a GLB"):
        read_glb(tmp_path / "picture.glb")


def test_a_damaged_file_never_raises_anything_else(folder: Path, tmp_path: Path) -> None:
    whole = bytearray((folder / "avatar.glb").read_bytes())
    size = struct.unpack("<I", whole[12:16])[0]
    rng = np.random.default_rng(0)
    path = tmp_path / "damaged.glb"
    refused = 0
    for _ in range(150):
        data = bytearray(whole)
        for at in rng.integers(20, 20 + size, 4):
            data[at] = rng.choice(list(b'0123456789-",:[]{}x'))
        path.write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                read_glb(path)
            except CarveError:
                refused += 1
    assert refused > 75


def test_indices_beyond_the_arrays_are_refused(folder: Path, tmp_path: Path) -> None:
    data = (folder / "avatar.glb").read_bytes()
    size = struct.unpack("<I", data[12:16])[0]
    document = json.loads(data[20 : 20 + size])
    document["skins"][0]["joints"] = document["skins"][0]["joints"][:5]
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    rest = data[20 + size :]
    path = tmp_path / "few.glb"
    path.write_bytes(data[:8] + struct.pack("<I", 20 + len(text) + len(rest)) + struct.pack("<I", len(text)) + b"JSON" + text + rest)
    with pytest.raises(CarveError):
        read_glb(path)
