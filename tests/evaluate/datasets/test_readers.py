"""Each reader on a small folder in its data set's layout: metres, +Y up, the pose of the fit, colours; what is missing is named."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from carve.evaluate.datasets.known import DATASETS
from carve.evaluate.datasets.meshes import read_surface
from carve.evaluate.datasets.scan import Scan, Surface, unit_by_height
from carve.records import CarveError
from evaluate.datasets.people_files import Person, box_uv, person, save_npz, two_tones, write_obj, write_ply

YAW = (0.0, 0.6, 0.0)


def same_places(surface: Surface | None, vertices: np.ndarray, faces: np.ndarray, tolerance: float = 2e-5) -> None:
    """The surface has the true vertices (V, 3) that triangles use, in whatever order, wound as they are."""
    assert surface is not None
    used, own = vertices[np.unique(faces)], surface.vertices[np.unique(surface.faces)]
    assert cKDTree(used).query(own)[0].max() < tolerance
    assert cKDTree(own).query(used)[0].max() < tolerance
    volume = [
        np.einsum("ij,ij->i", v[f[:, 0]], np.cross(v[f[:, 1]], v[f[:, 2]])).sum() / 6
        for v, f in ((vertices, faces), (surface.vertices, surface.faces))
    ]
    assert volume[1] == pytest.approx(volume[0], rel=1e-3)


def same_joints(
    scan: Scan, someone: Person, turn: np.ndarray | None = None, shift: np.ndarray | float = 0.0, tolerance: float = 2e-5
) -> None:
    """The scan's humanoid joints are the person's, turned and shifted."""
    assert scan.joints is not None
    for bone, joint in (("leftHand", "left_wrist"), ("rightFoot", "right_ankle"), ("neck", "neck"), ("rightUpperLeg", "right_hip")):
        assert scan.joints[bone] == pytest.approx((np.eye(3) if turn is None else turn) @ someone.joints[joint] + shift, abs=tolerance)


def smplx_parameters(someone: Person) -> dict[str, np.ndarray]:
    """As smplx files of data sets hold them: each with a first axis of one."""
    return {"global_orient": someone.turns[None, 0], "body_pose": someone.turns[1:22].reshape(1, 63), "betas": np.zeros((1, 10))}


def test_thuman(tmp_path: Path) -> None:
    someone, data = person(tmp_path, "smplx", YAW), DATASETS["thuman2"]
    root, scale, shift = tmp_path / "thuman2", 0.55, np.array([0.2, -0.1, 0.3])
    write_obj(root / "scans" / "0007" / "0007.obj", scale * someone.vertices + shift, someone.faces, two_tones())
    fit = {**smplx_parameters(someone), "scale": [scale], "translation": shift[None]}
    save_npz(root / "fits" / "0007" / "smplx_param.npz", **fit)
    assert data.names(root) == ["0007"]
    scan = data.read(root, "0007", someone.model)
    back = Rotation.from_rotvec(-np.array(YAW)).as_matrix()
    same_places(scan.surface, someone.vertices @ back.T, someone.faces)
    same_places(scan.body, someone.vertices @ back.T, someone.faces)
    same_joints(scan, someone, back)
    assert scan.joints is not None and scan.joints["head"][2] > scan.joints["hips"][2]  # faces +Z
    assert scan.surface.uv is not None and scan.surface.texture is not None
    head = scan.surface.vertices[:, 1].argmax()
    row = int(scan.surface.uv[head, 1] * len(scan.surface.texture))
    assert scan.surface.texture[row, 0].tolist() == [200, 0, 0]  # red above
    (root / "fits" / "0007" / "smplx_param.npz").rename(root / "fits" / "0007" / "smplx_param.pkl")
    with pytest.raises(CarveError, match=r"opens no pickles.*smplx_param\.npz"):
        data.read(root, "0007", None)


def test_cape(tmp_path: Path) -> None:
    someone, data = person(tmp_path, "smpl", YAW, 6890), DATASETS["cape"]
    root, shift = tmp_path / "cape_release", np.array([0.3, 0.1, -0.2])
    for frame in (1, 2, 3):
        path = root / "sequences" / "00032" / "longlong_hips" / f"longlong_hips.{frame:06d}.npz"
        save_npz(path, v_posed=someone.vertices + shift, pose=someone.turns.ravel(), transl=shift)
    (root / "misc").mkdir()
    np.save(root / "misc" / "smpl_tris.npy", someone.faces.astype(np.uint32))
    assert data.names(tmp_path) == ["00032-longlong-hips-000002"]
    scan = data.read(tmp_path, "00032-longlong-hips-000002", someone.model)
    same_places(scan.surface, someone.vertices + shift, someone.faces)
    same_joints(scan, someone, shift=shift)
    assert scan.body is None
    assert data.read(tmp_path, "00032-longlong-hips-000002", None).joints is None
    minimal = root / "minimal_body_shape" / "00032" / "00032_minimal.npy"
    minimal.parent.mkdir(parents=True)
    np.save(minimal, someone.model.template.numpy())
    same_places(data.read(root, "00032-longlong-hips-000002", someone.model).body, someone.vertices + shift, someone.faces)
    (root / "misc" / "smpl_tris.npy").unlink()
    with pytest.raises(CarveError, match=r"smpl_tris\.npy, or --body-model"):
        data.read(root, "00032-longlong-hips-000002", None)


def test_cape_as_icon_split_it(tmp_path: Path) -> None:
    someone, data = person(tmp_path, "smpl"), DATASETS["cape-nfp"]
    for name in ("00032-longlong-hips-000010", "00134-longlong-ballet-000250"):
        write_obj(tmp_path / "scans" / f"{name}.obj", someone.vertices, someone.faces)
        write_obj(tmp_path / "smpl" / f"{name}.obj", someone.vertices, someone.faces)
    assert len(data.names(tmp_path)) == 2
    (tmp_path / "pose.txt").write_text("cape/00134-longlong-ballet-000250\n")
    assert data.names(tmp_path) == ["00134-longlong-ballet-000250"]
    scan = data.read(tmp_path, "00134-longlong-ballet-000250", None)
    same_places(scan.surface, someone.vertices, someone.faces)
    same_places(scan.body, someone.vertices, someone.faces)
    (tmp_path / "smpl" / "00134-longlong-ballet-000250.obj").unlink()
    with pytest.raises(CarveError, match=r"body of 00134.* is missing"):
        data.read(tmp_path, "00134-longlong-ballet-000250", None)
    (tmp_path / "pose.txt").write_text("cape/00215-jerseyshort-pose_model-000200\n")
    with pytest.raises(CarveError, match=r"names 00215"):
        data.names(tmp_path)


def test_renderpeople(tmp_path: Path) -> None:
    someone, data = person(tmp_path, "smplx"), DATASETS["renderpeople"]
    folder = tmp_path / "rp_dennis_posed_004_OBJ"
    write_obj(folder / "rp_dennis_posed_004_30k.obj", 100 * someone.vertices[:36], someone.faces[:48], two_tones())
    write_obj(folder / "rp_dennis_posed_004_100k.obj", 100 * someone.vertices, someone.faces, two_tones())
    (folder / "tex").mkdir()
    Image.fromarray(np.full((4, 4, 3), (0, 90, 0), np.uint8)).save(folder / "tex" / "rp_dennis_posed_004_dif_2k.jpg", quality=100)
    write_obj(tmp_path / "smplx" / "rp_dennis_posed_004.obj", someone.vertices, someone.faces)
    assert data.names(tmp_path) == ["rp_dennis_posed_004"]
    scan = data.read(tmp_path, "rp_dennis_posed_004", None)
    same_places(scan.surface, someone.vertices, someone.faces)
    same_places(scan.body, someone.vertices, someone.faces)
    assert scan.surface.texture is not None and abs(int(scan.surface.texture[0, 0, 1]) - 90) < 3
    (tmp_path / "rigged" / "rp_aaron_rigged_001_FBX").mkdir(parents=True)
    with pytest.raises(CarveError, match="FBX"):
        data.names(tmp_path / "rigged")


def test_custom_humans(tmp_path: Path) -> None:
    someone, data = person(tmp_path, "smplx"), DATASETS["customhumans"]
    points = someone.vertices - someone.pelvis
    write_obj(tmp_path / "mesh" / "0003_00122" / "mesh-f00101.obj", points, someone.faces, two_tones(), "mesh-f00101")
    write_obj(tmp_path / "smplx" / "0003_00122" / "mesh-f00101_smpl.obj", points, someone.faces)
    fit = {"body_pose": someone.turns[1:22].ravel().tolist(), "betas": [0.0] * 10, "expression": [0.0] * 10}
    (tmp_path / "smplx" / "0003_00122" / "mesh-f00101.json").write_text(json.dumps(fit))
    assert data.names(tmp_path) == ["0003_00122_f00101"]
    scan = data.read(tmp_path, "0003_00122_f00101", someone.model)
    same_places(scan.surface, points, someone.faces)
    same_places(scan.body, points, someone.faces)
    same_joints(scan, someone, shift=-someone.pelvis)
    with pytest.raises(CarveError, match="SMPLX, but --body-model is a file of SMPL;"):
        other = tmp_path / "other"
        other.mkdir()
        data.read(tmp_path, "0003_00122_f00101", person(other, "smpl").model)


def test_buff(tmp_path: Path) -> None:
    someone, data = person(tmp_path, "smpl", YAW), DATASETS["buff"]
    colours = np.tile(np.array([[10, 200, 30]], np.uint8), (len(someone.vertices), 1))
    shift = np.array([0.1, 0.9, 0.0])
    at = tmp_path / "sequences" / "00005" / "shortlong_hips"
    for frame in (1, 2, 3):
        write_ply(at / f"shortlong_hips.{frame:06d}.ply", 1000 * (someone.vertices + shift), someone.faces, colours)
    save_npz(at / "shortlong_hips.000002.npz", pose=someone.turns.ravel(), transl=shift, betas=np.zeros(10))
    assert data.names(tmp_path) == ["00005-shortlong_hips-000002"]
    scan = data.read(tmp_path, "00005-shortlong_hips-000002", someone.model)
    same_places(scan.surface, someone.vertices + shift, someone.faces)
    same_joints(scan, someone, shift=shift)
    assert scan.surface.colours is not None and scan.surface.colours[5].tolist() == [10, 200, 30]
    with pytest.raises(CarveError, match="holds no scans of BUFF"):
        data.names(tmp_path / "elsewhere")


def test_4d_dress(tmp_path: Path) -> None:
    someone, data = person(tmp_path, "smplx", YAW), DATASETS["4d-dress"]
    take, shift = tmp_path / "00122" / "Outer" / "Take9", np.array([0.0, 1.0, 0.2])
    points, uv = someone.vertices + shift, box_uv(someone.vertices)
    save_npz(take / "Meshes_pkl" / "mesh-f00011.npz", vertices=points, faces=someone.faces, uvs=uv)
    Image.fromarray(two_tones()).save(take / "Meshes_pkl" / "atlas-f00011.png")
    write_ply(take / "SMPLX" / "mesh-f00011_smplx.ply", points, someone.faces)
    save_npz(take / "SMPLX" / "mesh-f00011_smplx.npz", **smplx_parameters(someone), transl=shift)
    pictures = {"images": ("capture", (8, 6, 3)), "masks": ("mask", (8, 6))}
    for kind, (name, size) in pictures.items():
        (take / "Capture" / "0004" / kind).mkdir(parents=True)
        Image.fromarray(np.full(size, 80, np.uint8)).save(take / "Capture" / "0004" / kind / f"{name}-f00011.png")
    with pytest.raises(CarveError, match=r"cameras of .* are missing"):
        data.read(tmp_path, "00122-Outer-Take9-00011", None)
    extrinsic = np.column_stack([np.diag([1.0, -1.0, -1.0]), [0.0, 1.0, 3.0]])
    cameras = {"0004": {"intrinsics": np.diag([9.0, 9.0, 1.0]).tolist(), "extrinsics": extrinsic.tolist()}}
    (take / "Capture" / "cameras.json").write_text(json.dumps(cameras))
    assert data.names(tmp_path) == ["00122-Outer-Take9-00011"]
    scan = data.read(tmp_path, "00122-Outer-Take9-00011", someone.model)
    same_places(scan.surface, points, someone.faces)
    same_places(scan.body, points, someone.faces)
    same_joints(scan, someone, shift=shift)
    assert scan.surface.uv == pytest.approx(uv)  # v from the top, as the atlas' rows run
    (photograph,) = scan.photographs
    assert photograph.name == "0004" and photograph.extrinsic == pytest.approx(extrinsic)
    (take / "Meshes_pkl" / "mesh-f00011.npz").rename(take / "Meshes_pkl" / "mesh-f00011.pkl")
    with pytest.raises(CarveError, match=r"opens no pickles.*mesh-f00011\.npz"):
        data.read(tmp_path, "00122-Outer-Take9-00011", None)


def test_cloth3d(tmp_path: Path) -> None:
    someone, data = person(tmp_path, "smpl", (np.pi / 2, 0.0, 0.0)), DATASETS["cloth3d"]  # the world's +Z is up
    at, trans, zrot = tmp_path / "Samples" / "01_01_s0", np.array([0.1, -0.2, 0.9]), 0.5
    at.mkdir(parents=True)
    cloth = np.array([[-0.2, -0.15, 0.0], [0.2, -0.15, 0.0], [0.2, -0.15, 0.4], [-0.2, -0.15, 0.4]])
    (at / "Tshirt.obj").write_text("".join(f"v {x} {y} {z}\n" for x, y, z in cloth) + "vt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nf 1/1 2/2 3/3 4/4\n")
    frames = np.stack([cloth + 9, cloth, cloth + 9]).astype("<f2")
    (at / "Tshirt.pc16").write_bytes(struct.pack("<12siiffi", b"POINTCACHE2", 1, 4, 0.0, 1.0, 3) + frames.tobytes())
    outfit = {"Tshirt": {"fabric": "cotton", "texture": {"type": "color", "data": np.array([0.8, 0.1, 0.1])}}}
    poses, places = np.repeat(someone.turns.reshape(72, 1), 3, 1), np.repeat(trans[:, None], 3, 1)
    savemat(at / "info.mat", {"poses": poses, "trans": places, "shape": np.zeros(10), "gender": 1, "zrot": zrot, "outfit": outfit})
    assert data.names(tmp_path) == ["01_01_s0"]
    scan = data.read(tmp_path, "01_01_s0", someone.model)
    up = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]) @ Rotation.from_euler("z", zrot).as_matrix()
    body = (someone.vertices - someone.pelvis + trans) @ up.T
    same_places(scan.body, body, someone.faces)
    same_joints(scan, someone, up, up @ (trans - someone.pelvis))
    assert scan.joints is not None and scan.joints["head"][1] > scan.joints["hips"][1] + 0.3
    garment = scan.surface.vertices[len(someone.vertices) :]
    assert cKDTree((cloth + trans) @ up.T).query(garment)[0].max() < 1e-3  # halves
    assert len(scan.surface.faces) == len(someone.faces) + 2  # the quad, and nobody closed it
    assert scan.surface.texture is not None and scan.surface.uv is not None
    row = int(scan.surface.uv[-1, 1] * len(scan.surface.texture))
    assert scan.surface.texture[row, 0].tolist() == [204, 26, 26]
    with pytest.raises(CarveError, match="--body-model"):
        data.read(tmp_path, "01_01_s0", None)
    (at / "Tshirt.pc16").write_bytes((at / "Tshirt.pc16").read_bytes()[:-3])
    with pytest.raises(CarveError, match="cut off"):
        data.read(tmp_path, "01_01_s0", someone.model)


@pytest.mark.parametrize("about_the_middle", [False, True])
def test_mvp_human(tmp_path: Path, about_the_middle: bool) -> None:
    someone, data = person(tmp_path, "smpl"), DATASETS["mvp-human"]
    front, scale, shift = Rotation.from_euler("y", 2.0).as_matrix(), 98.0, np.array([5.0, 160.0, -20.0])
    scanned = scale * someone.vertices + shift  # as it faces +Z
    write_obj(tmp_path / "Data" / "237553" / "indoor" / "Action03" / "scan.obj", scanned @ front, someone.faces, two_tones())
    matrix = tmp_path / "Params" / "237553" / "indoor" / "Action03" / "FViewPOSE" / "R0.txt"
    matrix.parent.mkdir(parents=True)
    np.savetxt(matrix, np.block([[front, np.zeros((3, 1))], [0, 0, 0, 1]]))
    middle = (scanned.min(0) + scanned.max(0)) / 2 if about_the_middle else 0.0
    at = tmp_path / "237553" / "Action03" / "smpl"
    save_npz(at / "param.npz", pose=someone.turns.ravel(), betas=np.zeros(10), scale=[scale], transl=shift - middle)
    write_obj(at / "smpl.obj", scanned - middle, someone.faces)
    assert data.names(tmp_path) == ["237553-Action03"]
    scan = data.read(tmp_path, "237553-Action03", someone.model)
    true = someone.vertices + shift / scale
    same_places(scan.surface, true, someone.faces)
    same_places(scan.body, true, someone.faces)
    same_joints(scan, someone, shift=shift / scale)
    (tmp_path / "mvp_test50.txt").write_text("237553\n")
    assert data.names(tmp_path) == ["237553-Action03"]
    matrix.unlink()
    with pytest.raises(CarveError, match=r"turn of 237553-Action03 to the front view is missing"):
        data.read(tmp_path, "237553-Action03", None)


def test_a_persons_height_tells_the_unit() -> None:
    for metres in (1.0, 0.01, 0.001):
        assert unit_by_height(np.array([[0, 0.1, 0], [0, 0.1 + 1.7 / metres, 0]]), "It") == metres
    with pytest.raises(CarveError, match="It is 17 units high"):
        unit_by_height(np.array([[0, 0, 0], [0, 17.0, 0]]), "It")


@pytest.mark.parametrize("text", ["", "v 0 0 nan\n", "v 0 0 0\nf 1 2 3\n", "\x00\x01\x02"])
def test_damaged_meshes_are_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.obj").write_text(text)
    with pytest.raises(CarveError, match=r"The mesh .*a\.obj"):
        read_surface(tmp_path / "a.obj")
