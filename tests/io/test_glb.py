from __future__ import annotations

import json
import struct
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from carve.geometry.mesh import signed_volume, vertex_normals
from carve.geometry.rotations import matrix_from_quaternion, matrix_from_rotvec, quaternion_from_matrix
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin
from carve.io.glb import node_names, write_avatar_glb, write_body_glb, write_posed_glb
from carve.io.glb_reader import VRM_BONES, GlbScene, read_glb
from carve.io.gltf_buffer import read_array
from carve.records import Avatar, CarveError, Skeleton
from gltf_validator import assert_valid
from people import capsule_avatar


@pytest.fixture(scope="module")
def avatar() -> Avatar:
    return capsule_avatar()


@pytest.fixture(scope="module")
def folder(avatar: Avatar, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("glb")
    write_avatar_glb(path / "avatar.glb", avatar)
    write_posed_glb(path / "posed.glb", avatar)
    write_body_glb(path / "body.glb", avatar.body)
    return path


def posed_by_nodes(scene: GlbScene, local: np.ndarray, root: np.ndarray) -> np.ndarray:
    """glTF's own rule (specification 3.7.3): put rotations on the nodes, multiply matrices down the tree, blend joint matrices."""
    document, node_of = scene.document, {node: bone for bone, node in enumerate(scene.nodes)}

    def matrix(node: int) -> np.ndarray:
        result, bone = np.eye(4), node_of[node]
        result[:3, :3] = matrix_from_quaternion(quaternion_from_matrix(local[bone]))
        result[:3, 3] = root if scene.skeleton.parents[bone] < 0 else document.nodes[node].translation
        return result

    world: dict[int, np.ndarray] = {}

    def visit(node: int, above: np.ndarray) -> None:
        world[node] = above @ matrix(node)
        for child in document.nodes[node].children or []:
            visit(child, world[node])

    visit(document.skins[0].skeleton, np.eye(4))
    inverse_bind = read_array(document, document.skins[0].inverseBindMatrices)
    attributes = document.meshes[0].primitives[0].attributes
    joints, weights = read_array(document, attributes.JOINTS_0), read_array(document, attributes.WEIGHTS_0)
    joint = np.stack([world[node] @ inverse for node, inverse in zip(document.skins[0].joints, inverse_bind, strict=True)])
    blended = np.einsum("vk,vkij->vij", weights, joint[joints])
    return np.einsum("vij,vj->vi", blended[:, :3, :3], scene.vertices) + blended[:, :3, 3]


def test_the_validator_finds_nothing(folder: Path) -> None:
    assert_valid(*folder.glob("*.glb"))


def test_everything_comes_back(avatar: Avatar, folder: Path) -> None:
    scene, textured, surface = read_glb(folder / "avatar.glb"), avatar.textured, avatar.surface.canonical
    np.testing.assert_array_equal(scene.vertices, surface.vertices[textured.corner].astype(np.float32))
    np.testing.assert_array_equal(scene.faces, textured.faces)
    np.testing.assert_array_equal(scene.uv, textured.uv.astype(np.float32))
    np.testing.assert_allclose(scene.normals, vertex_normals(surface.vertices, surface.faces)[textured.corner], atol=1e-6)
    np.testing.assert_array_equal(scene.confidence, avatar.confidence[textured.corner].astype(np.float32))
    assert scene.texture.shape == textured.albedo.shape
    assert np.abs(scene.texture.astype(int) - textured.albedo).mean() < 3
    assert scene.skeleton.names == tuple(node_names(surface.skeleton))
    np.testing.assert_array_equal(scene.skeleton.parents, surface.skeleton.parents)
    np.testing.assert_allclose(scene.skeleton.heads, surface.skeleton.heads, atol=1e-6)
    assert scene.skeleton.humanoid == {vrm: vrm for vrm in surface.skeleton.humanoid}


def test_bones_rest_without_rotation_under_vrm_names(avatar: Avatar, folder: Path) -> None:
    scene, skeleton = read_glb(folder / "avatar.glb"), avatar.surface.canonical.skeleton
    of_vrm = skeleton.humanoid
    for node in (scene.document.nodes[n] for n in scene.nodes):
        assert node.rotation is None and node.scale is None and node.matrix is None
        assert node.extras["bone"] == of_vrm.get(node.name, node.name)
    assert set(of_vrm) <= VRM_BONES
    assert len(VRM_BONES) == 55


def test_names_stay_unique_when_a_fine_bone_has_a_humanoid_name() -> None:
    skeleton = Skeleton(("pelvis", "spine", "hips"), np.array([-1, 0, 1]), np.zeros((3, 3)), {"hips": "pelvis", "chest": "spine"})
    assert node_names(skeleton) == ["hips", "chest", "hips_bone"]


def test_the_bind_pose_is_the_stored_surface(avatar: Avatar, folder: Path) -> None:
    scene = read_glb(folder / "avatar.glb")
    identity = np.tile(np.eye(3), (len(scene.nodes), 1, 1))
    bound = posed_by_nodes(scene, identity, scene.skeleton.heads[0])
    np.testing.assert_allclose(bound, avatar.surface.canonical.vertices[avatar.textured.corner], atol=1e-6)


def test_node_rotations_pose_it_as_skinning_does(avatar: Avatar, folder: Path) -> None:
    import torch

    scene, surface = read_glb(folder / "avatar.glb"), avatar.surface.canonical
    rng = np.random.default_rng(5)
    local = matrix_from_rotvec(torch.from_numpy(rng.normal(0, 0.6, (len(surface.skeleton.names), 3)))).numpy()
    root = np.array([0.3, 1.2, -2.0])
    rotations, heads = forward_kinematics(local, surface.skeleton.heads, surface.skeleton.parents, root)
    transforms = bone_transforms(rotations, heads, surface.skeleton.heads)
    expected = skin(surface.vertices, transforms, surface.bones, surface.weights)
    np.testing.assert_allclose(posed_by_nodes(scene, local, root), expected[avatar.textured.corner], atol=2e-6)


def test_the_photos_pose_gives_posed_glb(avatar: Avatar, folder: Path) -> None:
    scene, posed = read_glb(folder / "avatar.glb"), read_glb(folder / "posed.glb")
    pose = avatar.surface.pose
    np.testing.assert_allclose(posed_by_nodes(scene, pose.rotations, pose.root_position), posed.vertices, atol=2e-6)


@pytest.mark.parametrize("name", ["avatar.glb", "posed.glb", "body.glb"])
def test_faces_are_wound_outward(folder: Path, name: str) -> None:
    scene = read_glb(folder / name)
    assert signed_volume(scene.vertices.astype(float), scene.faces) > 0.03


def test_the_asset_says_what_it_is(folder: Path) -> None:
    asset = read_glb(folder / "avatar.glb").document.asset
    assert asset.generator.startswith("carve")
    assert asset.extras["units"] == "metres"
    assert asset.extras["licences"] == {"capsules": "CC0-1.0"}


def test_vertices_without_area_still_have_unit_normals(avatar: Avatar, tmp_path: Path) -> None:
    posed = avatar.body.posed.copy()
    posed[avatar.body.faces[0]] = posed[0]
    posed = np.concatenate([posed, [[0.0, 0.0, -2.0]]])
    write_body_glb(tmp_path / "body.glb", replace(avatar.body, posed=posed))
    normals = read_glb(tmp_path / "body.glb").normals
    np.testing.assert_allclose(np.linalg.norm(normals, axis=1), 1, atol=1e-5)


def test_more_than_256_bones_and_65535_corners_fit(avatar: Avatar, tmp_path: Path) -> None:
    surface, textured = avatar.surface.canonical, avatar.textured
    old, extra = surface.skeleton, 300
    skeleton = Skeleton(
        old.names + tuple(f"more{k}" for k in range(extra)),
        np.concatenate([old.parents, np.zeros(extra, np.int64)]),
        np.concatenate([old.heads, np.tile(old.heads[:1], (extra, 1))]),
        old.humanoid,
    )
    bones = np.where(surface.bones == len(old.names) - 1, len(old.names) + extra - 1, surface.bones)
    copies = 60
    many = replace(
        avatar,
        textured=replace(
            textured,
            surface=replace(textured.surface, canonical=replace(surface, skeleton=skeleton, bones=bones)),
            corner=np.tile(textured.corner, copies),
            uv=np.tile(textured.uv, (copies, 1)),
            faces=np.concatenate([textured.faces + k * len(textured.corner) for k in range(copies)]),
        ),
    )
    write_avatar_glb(tmp_path / "many.glb", many)
    assert_valid(tmp_path / "many.glb")
    scene = read_glb(tmp_path / "many.glb")
    assert scene.faces.max() > 65535
    assert scene.bones.max() == len(skeleton.names) - 1


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
