"""SMPL and SMPL-X from files of the same format that are made here."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from carve.body.fitted.articulation import build_articulation
from carve.body.fitted.reduced import ReducedBody
from carve.body.model import LEG_SPREAD, REGIONS, canonical_body, rest_pose
from carve.body.smpl import SmplBody, load_smpl
from carve.geometry.rotations import matrix_from_rotvec
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin
from carve.records import CarveError
from smpl_files import arrays_of, joints_of, written


@pytest.fixture(scope="module", params=["smpl", "smplx"])
def arrays(request: pytest.FixtureRequest) -> dict[str, np.ndarray]:
    """What the file holds."""
    return arrays_of(request.param)


@pytest.fixture(scope="module")
def model(arrays: dict[str, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> SmplBody:
    """The file, loaded."""
    return load_smpl(written(tmp_path_factory.mktemp("smpl"), arrays))


def random_shape(seed: int) -> torch.Tensor:
    """Ten likely shape parameters."""
    return torch.randn(10, generator=torch.Generator().manual_seed(seed))


def test_the_names_are_those_of_the_file(model: SmplBody, arrays: dict[str, np.ndarray]) -> None:
    assert list(model.names) == list(joints_of(model.name))
    assert model.parents[0] == -1
    np.testing.assert_array_equal(model.parents[1:], arrays["kintree_table"][0, 1:])
    np.testing.assert_array_equal(model.faces, arrays["f"])
    assert model.bones.dtype == model.parents.dtype == model.faces.dtype == np.int64


def test_rest_pose_is_that_of_the_file(model: SmplBody, arrays: dict[str, np.ndarray]) -> None:
    shape = random_shape(0)
    vertices, heads = rest_pose(model, shape)
    expected = arrays["v_template"] + arrays["shapedirs"][:, :, :10] @ shape.double().numpy()
    np.testing.assert_allclose(vertices.numpy(), expected, atol=1e-6)
    np.testing.assert_allclose(heads.numpy(), arrays["J_regressor"] @ expected, atol=1e-6)
    assert model.coefficients(shape) is shape
    assert model.shape_names == tuple(f"beta{k}" for k in range(10))


def affine(linear: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """(4, 4) homogeneous matrix."""
    return np.block([[linear, np.reshape(offset, (3, 1))], [np.zeros((1, 3)), np.ones((1, 1))]])


def posed_by_the_paper(arrays: dict[str, np.ndarray], beta: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and joints (B, 3) by equations 2 to 4 of "SMPL" (Loper et al., 2015) without pose correctives, one at a time.

    t'_i = sum_k w_ki G'_k(theta, J) t_i,   G'_k = G_k(theta, J) G_k(0, J)^-1,   G_k = product over the ancestors j of k of (exp(w_j) | j_j)
    with j_j the joint's place relative to its parent's.
    """
    rest = arrays["v_template"] + arrays["shapedirs"][:, :, : len(beta)] @ beta
    joints = arrays["J_regressor"] @ rest
    parents = arrays["kintree_table"][0]

    def world(joint: int, rotations: np.ndarray) -> np.ndarray:
        parent = int(parents[joint]) if joint else None
        local = affine(rotations[joint], joints[joint] - (joints[parent] if parent is not None else 0))
        return local if parent is None else world(parent, rotations) @ local

    turned = Rotation.from_rotvec(theta).as_matrix()
    still = np.tile(np.eye(3), (len(joints), 1, 1))
    transforms = [world(k, turned) @ np.linalg.inv(world(k, still)) for k in range(len(joints))]
    vertices = [
        sum(arrays["weights"][i, k] * transforms[k] @ [*rest[i], 1.0] for k in range(len(joints)))[:3]  # type: ignore[index]
        for i in range(len(rest))
    ]
    return np.array(vertices), np.array([world(k, turned)[:3, 3] for k in range(len(joints))])


def test_posing_is_that_of_the_paper(model: SmplBody, arrays: dict[str, np.ndarray]) -> None:
    shape, theta = random_shape(1), np.random.default_rng(2).normal(scale=0.6, size=(len(model.names), 3))
    expected, expected_heads = posed_by_the_paper(arrays, shape.double().numpy(), theta)
    rest, rest_heads = (t.double().numpy() for t in rest_pose(model, shape))
    local = matrix_from_rotvec(torch.from_numpy(theta)).numpy()
    rotations, heads = forward_kinematics(local, rest_heads, model.parents, rest_heads[0])
    posed = skin(rest, bone_transforms(rotations, heads, rest_heads), model.bones, model.weights)
    np.testing.assert_allclose(heads, expected_heads, atol=1e-5)
    np.testing.assert_allclose(posed, expected, atol=1e-5)


@pytest.mark.parametrize("seed", [None, 4])
def test_canonical_pose(model: SmplBody, seed: int | None) -> None:
    canonical = canonical_body(model, model.prior.mean if seed is None else random_shape(seed))
    heads = {vrm: canonical.skeleton.heads[model.names.index(bone)] for vrm, bone in model.humanoid.items()}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        upper, lower, hand = (heads[f"{side}{bone}"] for bone in ("UpperArm", "LowerArm", "Hand"))
        np.testing.assert_allclose((lower - upper)[1:], 0, atol=1e-6)
        np.testing.assert_allclose((hand - lower)[1:], 0, atol=1e-6)
        assert sign * upper[0] < sign * lower[0] < sign * hand[0]
        leg = heads[f"{side}Foot"] - heads[f"{side}UpperLeg"]
        assert np.arctan2(sign * leg[0], -leg[1]) == pytest.approx(LEG_SPREAD, abs=1e-6)
    assert canonical.vertices[:, 1].min() == pytest.approx(0, abs=1e-9)


def test_humanoid_bones(model: SmplBody) -> None:
    limbs = ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot", "Toes")
    required = {"hips", "spine", "chest", "upperChest", "neck", "head"} | {f"{side}{limb}" for side in ("left", "right") for limb in limbs}
    assert required <= set(model.humanoid)
    assert set(model.humanoid.values()) <= set(model.names)
    assert model.humanoid["hips"] == model.names[0]
    fingers = {vrm for vrm in model.humanoid if "Proximal" in vrm or "Distal" in vrm or "Intermediate" in vrm or "Metacarpal" in vrm}
    assert len(fingers) == (30 if model.name == "smplx" else 0)
    assert model.humanoid.get("leftThumbMetacarpal") == ("left_thumb1" if model.name == "smplx" else None)
    assert model.humanoid.get("rightLittleDistal") == ("right_pinky3" if model.name == "smplx" else None)


def test_regions(model: SmplBody) -> None:
    region = {name: REGIONS[model.region[6 * i]] for i, name in enumerate(model.names)}
    assert region["spine2"] == region["left_collar"] == "torso"
    assert region["left_hip"] == "left_upper_leg"
    assert region["right_foot"] == "right_foot"
    assert region["right_elbow"] == "right_lower_arm"
    for name in model.names[22:]:
        assert region[name] == ("head" if "eye" in name or name == "jaw" else f"{name.split('_')[0]}_hand")


def test_weights_keep_the_bones_that_move_each_vertex(model: SmplBody, arrays: dict[str, np.ndarray]) -> None:
    dense = np.zeros_like(arrays["weights"])
    for column in range(model.bones.shape[1]):
        np.add.at(dense, (np.arange(len(dense)), model.bones[:, column]), model.weights[:, column])
    np.testing.assert_allclose(dense, arrays["weights"], atol=1e-6)
    assert model.bones.shape[1] == 2  # no more columns than the file needs


def test_landmarks_of_another_mesh_come_from_the_joints(model: SmplBody) -> None:
    heads = dict(zip(model.names, model.heads.numpy(), strict=True))
    for mark, joint in (("left_elbow", "left_elbow"), ("right_heel", "right_ankle"), ("left_foot_index", "left_foot")):
        point = model.keypoints[mark]
        np.testing.assert_allclose(point.weights @ model.template.numpy()[point.vertices], heads[joint], atol=1e-6)
    assert "nose" not in model.keypoints


@pytest.mark.parametrize(("kind", "vertices", "nose", "toe", "tip"), [("smpl", 6890, 332, 3216, 2319), ("smplx", 10475, 9120, 5770, 4933)])
def test_landmarks_of_the_published_mesh(tmp_path: Path, kind: str, vertices: int, nose: int, toe: int, tip: int) -> None:
    arrays = arrays_of(kind, vertices) | {"shapedirs": np.zeros((vertices, 3, 10))}
    model = load_smpl(written(tmp_path, arrays))
    for mark, vertex in (("nose", nose), ("left_foot_index", toe), ("left_hand_8", tip)):
        assert model.keypoints[mark].vertices.tolist() == [vertex]
        assert model.keypoints[mark].weights.tolist() == [1.0]
    assert len(model.keypoints) == 13 + 8 + 10


def test_on_average_the_arms_hang_and_the_elbows_bend_forwards(model: SmplBody) -> None:
    """SMPL's rest pose has the arms straight out; the degrees of freedom and the reduced body take that into account."""
    articulation = build_articulation(model, model.heads.double().numpy())
    marks: dict[str, str | None] = dict.fromkeys(("left_shoulder", "left_elbow", "left_wrist", "right_elbow", "right_wrist"))
    sample = np.arange(0, len(model.template), 5)
    body = ReducedBody(model, articulation, marks, sample)
    angles = torch.from_numpy(articulation.mean).float()[None]
    shaped = body.shaped(model.prior.mean)
    posed = body.posed(shaped, angles, torch.eye(3)[None], model.heads[:1], torch.ones(1))
    at = dict(zip(marks, posed.landmarks[0].numpy(), strict=True))
    upper = at["left_elbow"] - at["left_shoulder"]
    assert upper[1] < -0.9 * np.linalg.norm(upper)
    for side in ("left", "right"):
        assert at[f"{side}_wrist"][2] > at[f"{side}_elbow"][2] + 0.03
    np.testing.assert_allclose(at["left_wrist"] * [-1, 1, 1], at["right_wrist"], atol=1e-5)
    still = body.posed(shaped, torch.zeros_like(angles), torch.eye(3)[None], model.heads[:1], torch.ones(1))
    np.testing.assert_allclose(body.skin(shaped, still, torch.ones(1)).numpy(), model.template.numpy()[sample], atol=1e-6)


def test_each_landmark_of_the_published_mesh_has_a_vertex_of_its_own_side(tmp_path: Path) -> None:
    for kind, vertices in (("smpl", 6890), ("smplx", 10475)):
        model = load_smpl(written(tmp_path, arrays_of(kind, vertices) | {"shapedirs": np.zeros((vertices, 3, 10))}))
        single = {mark: int(point.vertices[0]) for mark, point in model.keypoints.items() if len(point.vertices) == 1}
        assert len(set(single.values())) == len(single) == 19
        assert {mark.replace("left", "right") for mark in single} == {mark for mark in single if not mark.startswith("left")}


def test_a_path_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(CarveError, match=r"nothing\.npz does not exist"):
        load_smpl(tmp_path / "nothing.npz")


class Trap:
    """Leaves a trace if it is ever unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.trace,)


def test_a_pickle_is_refused_unopened(tmp_path: Path) -> None:
    path = tmp_path / "SMPL_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps(Trap(tmp_path / "trace")))
    with pytest.raises(CarveError, match=r"SMPL_NEUTRAL\.pkl is not an \.npz file.*convert it to \.npz"):
        load_smpl(path)
    path.rename(tmp_path / "renamed.npz")
    with pytest.raises(CarveError, match="cannot be read"):
        load_smpl(tmp_path / "renamed.npz")
    assert not (tmp_path / "trace").exists()


def test_an_object_inside_is_refused_unopened(tmp_path: Path) -> None:
    path = written(tmp_path, arrays_of("smpl") | {"J_regressor": np.array(Trap(tmp_path / "trace"), dtype=object)})
    with pytest.raises(CarveError, match=r"model\.npz keeps 'J_regressor' as a Python object"):
        load_smpl(path)
    assert not (tmp_path / "trace").exists()


def test_other_objects_in_the_file_are_left_alone(tmp_path: Path) -> None:
    load_smpl(written(tmp_path, arrays_of("smplx") | {"part2num": np.array({"head": 1}, dtype=object)}))


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_file(tmp_path: Path, share: float) -> None:
    path = written(tmp_path, arrays_of("smpl"))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(CarveError, match=r"model\.npz cannot be read"):
        load_smpl(path)


def test_a_damaged_array_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, arrays_of("smpl"))
    content = bytearray(path.read_bytes())
    middle = content.index(b"weights.npy") + 4000
    content[middle : middle + 64] = bytes(64 * [255])
    path.write_bytes(bytes(content))
    with pytest.raises(CarveError, match=r"model\.npz cannot be read at array 'weights'"):
        load_smpl(path)


def test_a_single_array_is_not_a_model(tmp_path: Path) -> None:
    with (tmp_path / "model.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(CarveError, match=r"model\.npz cannot be read"):
        load_smpl(tmp_path / "model.npz")


@pytest.mark.parametrize("key", ["v_template", "shapedirs", "J_regressor", "kintree_table", "weights", "f"])
def test_a_missing_array_is_named(tmp_path: Path, key: str) -> None:
    arrays = arrays_of("smpl")
    del arrays[key]
    with pytest.raises(CarveError, match=rf"model\.npz has no array '{key}'"):
        load_smpl(written(tmp_path, arrays))


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("v_template", np.zeros((144, 2)), "has the shape"),
        ("v_template", np.float64(1), "has the shape"),
        ("v_template", np.full((144, 3), np.nan), "finite numbers"),
        ("v_template", np.full((144, 3), "x"), "finite numbers"),
        ("shapedirs", np.zeros((144, 3, 9)), "10 or more"),
        ("J_regressor", np.zeros((24, 144)), "do not sum to 1"),
        ("J_regressor", np.zeros((25, 144)), "has the shape"),
        ("weights", np.zeros((143, 24)), "has the shape"),
        ("kintree_table", np.zeros((2, 52), np.uint32), "52 joints"),
        ("kintree_table", np.zeros(24, np.uint32), "0 joints"),
        ("kintree_table", np.full((2, 24), 23, np.uint32), "before its parent"),
        ("f", np.full((5, 3), 144), "beyond the 144 vertices"),
        ("f", np.zeros((5, 4), np.uint32), "has the shape"),
        ("f", np.zeros((0, 3), np.uint32), "no triangle"),
    ],
)
def test_an_array_that_does_not_fit_is_named(tmp_path: Path, key: str, value: Any, says: str) -> None:
    with pytest.raises(CarveError, match=rf"model\.npz is not an SMPL or SMPL-X file: array '{key}' .*{says}"):
        load_smpl(written(tmp_path, arrays_of("smpl") | {key: value}))
