"""SMPL and SMPL-X (Loper et al., SIGGRAPH Asia 2015; Pavlakos et al., CVPR 2019), for those who hold a licence, from the holder's own file.

Only `.npz` files are read, and never as Python objects: a pickle can run any code when it is opened. Whoever has a `.pkl` converts it once,
where its source is trusted:

    keys = ("v_template", "shapedirs", "J_regressor", "kintree_table", "weights", "f")
    numpy.savez("SMPL_NEUTRAL.npz", **{k: numpy.array(m[k].todense() if hasattr(m[k], "todense") else m[k]) for k in keys})

The pose correctives (`posedirs`) are left out: carve's surface is skinned with plain linear blend skinning, so bent joints lose the little
that the correctives would put back. SMPL's frame is carve's body frame: metres, +Y up, facing +Z; the rest pose holds the arms out.

Notation: S = 10 shape parameters, V vertices, B bones (24 of SMPL, 55 of SMPL-X).
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from carve.body.model import Keypoint, ShapePrior, bone_regions
from carve.body.stored import StoredBody
from carve.files.arrays import check_total, read_member
from carve.files.fence import fence
from carve.files.text import check_file
from carve.geometry.skinning import strongest_weights
from carve.humanoid import FINGERS, table
from carve.records import CarveError

SHAPES = 10
"""How many shape parameters are used; they are ordered by how much of the variation between people each explains."""

MAX_BYTES = 512 << 20
"""Of the file, and of the arrays that are read; SMPL-X with 400 shapes takes a third."""
LARGEST = 100.0
"""No coordinate, weight or offset of a person is larger, metres."""
MAX_VERTICES = 100_000

MAX_BONES = 9
"""Most bones that move a vertex, as in Anny."""

HUMANOID = table(
    "pelvis spine1 spine2 spine3 neck head",
    "collar shoulder elbow wrist hip knee ankle foot",
    lambda side, name: f"{side}_{name}",
    {finger: [f"{'pinky' if finger == 'Little' else finger.lower()}{k}" for k in (1, 2, 3)] for finger in FINGERS},
    eye="eye",
    jaw="jaw",
)
"""VRM 1.0 humanoid bone -> joint; SMPL has those of the body only, SMPL-X all."""

LANDMARK_JOINTS = {
    f"{side}_{mark}": f"{side}_{joint}"
    for side in ("left", "right")
    for mark, joint in (
        ("shoulder", "shoulder"),
        ("elbow", "elbow"),
        ("wrist", "wrist"),
        ("hip", "hip"),
        ("knee", "knee"),
        ("ankle", "ankle"),
        ("heel", "ankle"),
        ("foot_index", "foot"),
    )
}
"""mediapipe landmark -> joint whose regressor it is taken from; heels and toes only where the mesh has no vertex for them."""

_SIDED = ("eye", "ear", "heel", "foot_index", "hand_4", "hand_8", "hand_12", "hand_16", "hand_20")
"""The marks of `_Kind.left` and `_Kind.right`, in their order."""


@dataclass(frozen=True)
class _Kind:
    """One of the two models, told apart by its number of joints."""

    name: str
    title: str
    joints: tuple[str, ...]
    """In the order of the file."""
    vertices: int
    """Of the published mesh."""
    nose: int
    """Its vertex there."""
    left: tuple[int, ...]
    """Vertices of the left side's eye, ear, heel, big toe, and tips of thumb, index, middle, ring and little finger."""
    right: tuple[int, ...]

    def landmark_vertices(self) -> dict[str, int]:
        """mediapipe landmark -> vertex of the published mesh."""
        both = (("left", self.left), ("right", self.right))
        sided = {f"{side}_{mark}": vertex for side, table in both for mark, vertex in zip(_SIDED, table, strict=True)}
        return {"nose": self.nose} | sided


_BODY = (
    "pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3 left_foot right_foot neck left_collar "
    "right_collar head left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist"
).split()
_FINGERS = [
    f"{side}_{finger}{k}" for side in ("left", "right") for finger in ("index", "middle", "pinky", "ring", "thumb") for k in (1, 2, 3)
]

_SMPL = _Kind(
    name="smpl",
    title="SMPL",
    joints=(*_BODY, "left_hand", "right_hand"),
    vertices=6890,
    nose=332,
    left=(2800, 583, 3387, 3216, 2746, 2319, 2445, 2556, 2673),
    right=(6260, 4071, 6787, 6617, 6191, 5782, 5905, 6016, 6133),
)
_SMPLX = _Kind(
    name="smplx",
    title="SMPL-X",
    joints=(*_BODY, "jaw", "left_eye", "right_eye", *_FINGERS),
    vertices=10475,
    nose=9120,
    left=(9448, 6, 8846, 5770, 5361, 4933, 5058, 5169, 5286),
    right=(9929, 616, 8635, 8463, 8079, 7669, 7794, 7905, 8022),
)
_KINDS = {len(kind.joints): kind for kind in (_SMPL, _SMPLX)}
"""Joints -> model."""


@dataclass(frozen=True)
class SmplBody(StoredBody):
    """`body.model.BodyModel` of SMPL or SMPL-X."""

    def coefficients(self, shape: Tensor) -> Tensor:
        """Shape (S,) to the weights (S,) of the blend shapes: the same numbers."""
        return shape


def load_smpl(path: Path) -> SmplBody:
    """The body model of a licence holder's SMPL or SMPL-X file (.npz), metres, body frame.

    Raises CarveError for a file that does not exist, cannot be read or is not such a model.
    """
    arrays = _read(path)
    kind = _check(path, arrays)
    names, dense, regressor = kind.joints, arrays["weights"].astype(float), arrays["J_regressor"].astype(float)
    parents = np.array([-1, *arrays["kintree_table"][0, 1:]], np.int64)  # the file says 2^32 - 1 for the root's
    humanoid = {vrm: joint for vrm, joint in HUMANOID.items() if joint in names}
    bones, weights, _ = strongest_weights(dense, min(MAX_BONES, int((dense > 0).sum(1).max())))
    template = arrays["v_template"].astype(float)
    shapes = np.moveaxis(arrays["shapedirs"][:, :, :SHAPES].astype(float), 2, 0)
    as_tensor = lambda array: torch.from_numpy(np.ascontiguousarray(array, np.float32))  # noqa: E731
    return SmplBody(
        name=kind.name,
        licence=f"the {kind.title} licence of the file's holder (Max-Planck-Gesellschaft); free ones exclude commercial use",
        shape_names=tuple(f"beta{k}" for k in range(SHAPES)),
        prior=ShapePrior(torch.zeros(SHAPES), torch.ones(SHAPES), torch.full((SHAPES,), -4.0), torch.full((SHAPES,), 4.0)),
        names=names,
        parents=parents,
        humanoid=humanoid,
        faces=arrays["f"].astype(np.int64),
        bones=bones.astype(np.int64),
        weights=weights,
        region=bone_regions(names, parents, humanoid)[bones[:, 0]],
        keypoints=_keypoints(names, regressor, kind.landmark_vertices() if len(dense) == kind.vertices else {}),
        template=as_tensor(template),
        heads=as_tensor(regressor @ template),
        shapes=as_tensor(shapes),
        head_shapes=as_tensor(regressor @ shapes),
    )


_KEYS = ("v_template", "shapedirs", "J_regressor", "kintree_table", "weights", "f")


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of the file that carve uses, with no Python object among them."""
    what = f"The body model {path}"
    with fence(what, "get it again"):
        if not path.is_file():
            raise CarveError(f"{what} does not exist; give the path of an SMPL or SMPL-X file (.npz), or leave --body-model out.")
        if path.suffix.lower() != ".npz":
            raise CarveError(
                f"{what} is not an .npz file; a pickle (.pkl) can run code when it is opened, so carve reads none: "
                "convert it to .npz once (carve.body.smpl's documentation shows how)."
            )
        check_file(path, 4 * MAX_BYTES)
        with zipfile.ZipFile(path) as archive:
            there = set(archive.namelist())
            check_total(archive, _KEYS, MAX_BYTES)
            for key in _KEYS:
                if f"{key}.npy" not in there:
                    raise CarveError(f"{what} has no array '{key}'; it is not an SMPL or SMPL-X file.")
            return {key: _array(archive, key, path) for key in _KEYS}


def _array(archive: zipfile.ZipFile, key: str, path: Path) -> np.ndarray:
    with fence(f"The body model {path}", "get it again", f" at array '{key}'"):
        try:
            return read_member(archive, key, MAX_BYTES)
        except ValueError as error:
            if "Object arrays" in str(error):
                raise CarveError(
                    f"The body model {path} keeps '{key}' as a Python object, which carve does not open; save it as a plain, dense array."
                ) from error
            raise


def _check(path: Path, arrays: dict[str, np.ndarray]) -> _Kind:
    """Which model the arrays are; raises CarveError naming the file and the array that does not fit."""

    def refuse(key: str, why: str) -> CarveError:
        return CarveError(f"The body model {path} is not an SMPL or SMPL-X file: array '{key}' {why}.")

    for key, array in arrays.items():
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise refuse(key, "holds something else than finite numbers")
        if key not in ("kintree_table", "f") and array.size and np.abs(array).max() > LARGEST:
            raise refuse(key, f"holds numbers beyond {LARGEST:g}")
    tree = arrays["kintree_table"]
    joints = tree.shape[1] if tree.ndim == 2 and len(tree) else 0
    if joints not in _KINDS:
        raise refuse("kintree_table", f"tells of {joints} joints, not of 24 (SMPL) or 55 (SMPL-X)")
    parents = tree[0, 1:].astype(np.int64)
    if (parents < 0).any() or (parents >= np.arange(1, joints)).any():
        raise refuse("kintree_table", "names a child before its parent")
    count = len(arrays["v_template"]) if arrays["v_template"].ndim else 0
    if count > MAX_VERTICES:
        raise refuse("v_template", f"has {count} vertices; {MAX_VERTICES} are the most")
    wanted = {"v_template": (count, 3), "J_regressor": (joints, count), "weights": (count, joints), "f": (arrays["f"].size // 3, 3)}
    for key, shape in wanted.items():
        if arrays[key].shape != shape:
            raise refuse(key, f"has the shape {arrays[key].shape} and not {shape}")
    for key in ("J_regressor", "weights"):
        if not (arrays[key].sum(1) > 0.5).all():
            raise refuse(key, "has rows that do not sum to 1")
    directions = arrays["shapedirs"].shape
    if len(directions) != 3 or directions[:2] != (count, 3) or directions[2] < SHAPES:
        raise refuse("shapedirs", f"has the shape {directions} and not ({count}, 3, {SHAPES} or more)")
    if not arrays["f"].size:
        raise refuse("f", "has no triangle")
    if arrays["f"].min() < 0 or arrays["f"].max() >= count:
        raise refuse("f", f"points beyond the {count} vertices")
    return _KINDS[joints]


def _keypoints(names: tuple[str, ...], regressor: np.ndarray, vertices: dict[str, int]) -> dict[str, Keypoint]:
    """mediapipe's landmarks from the joint regressor (B, V) and, where given, from single vertices."""
    points = {}
    for mark, joint in LANDMARK_JOINTS.items():
        row = regressor[names.index(joint)]
        index = np.flatnonzero(row)
        points[mark] = Keypoint(index, row[index] / row[index].sum())
    return points | {mark: Keypoint(np.array([vertex], np.int64), np.ones(1)) for mark, vertex in vertices.items()}
