"""SMPL and SMPL-X, for those who hold a licence, from the holder's own file through the optional package smplx.

Only `.npz` files are read, and never as Python objects: a pickle can run any code when it is opened. Whoever has a `.pkl` converts it once,
where its source is trusted:

    keys = ("v_template", "shapedirs", "J_regressor", "kintree_table", "weights", "f")
    numpy.savez("SMPL_NEUTRAL.npz", **{k: numpy.array(m[k].todense() if hasattr(m[k], "todense") else m[k]) for k in keys})

smplx gets the arrays, so that it does not open the file itself. Its class SMPL holds both models here: its class SMPLX insists on opening
files with pickles allowed, and all that SMPLX adds is how poses are put together, which carve does on its own.

The pose correctives (`posedirs`) are left out: carve's surface is skinned with plain linear blend skinning, so bent joints lose the little
that the correctives would put back. SMPL's frame is carve's body frame: metres, +Y up, facing +Z; the rest pose holds the arms out.

Notation: S = 10 shape parameters, V vertices, B bones (24 of SMPL, 55 of SMPL-X).
"""

from __future__ import annotations

import contextlib
import io
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from carve.body.model import Keypoint, ShapePrior, bone_regions
from carve.geometry.skinning import strongest_weights
from carve.records import CarveError

SHAPES = 10
"""How many shape parameters are used; they are ordered by how much of the variation between people each explains."""

MAX_BONES = 9
"""Most bones that move a vertex, as in Anny."""

HUMANOID: dict[str, str] = (
    {
        "hips": "pelvis",
        "spine": "spine1",
        "chest": "spine2",
        "upperChest": "spine3",
        "neck": "neck",
        "head": "head",
        "jaw": "jaw",
        "leftEye": "left_eye_smplhf",
        "rightEye": "right_eye_smplhf",
    }
    | {
        f"{side}{vrm}": f"{side}_{joint}"
        for side in ("left", "right")
        for vrm, joint in (
            ("Shoulder", "collar"),
            ("UpperArm", "shoulder"),
            ("LowerArm", "elbow"),
            ("Hand", "wrist"),
            ("UpperLeg", "hip"),
            ("LowerLeg", "knee"),
            ("Foot", "ankle"),
            ("Toes", "foot"),
        )
    }
    | {
        f"{side}{finger}{part}": f"{side}_{joint}{number}"
        for side in ("left", "right")
        for finger, joint in (("Thumb", "thumb"), ("Index", "index"), ("Middle", "middle"), ("Ring", "ring"), ("Little", "pinky"))
        for number, part in enumerate(
            ("Metacarpal", "Proximal", "Distal") if finger == "Thumb" else ("Proximal", "Intermediate", "Distal"), start=1
        )
    }
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

LANDMARK_VERTICES = {"nose": "nose"} | {
    f"{side}_{mark}": label.format(low=side[0], high=side[0].upper())
    for side in ("left", "right")
    for mark, label in (
        ("eye", "{low}eye"),
        ("ear", "{low}ear"),
        ("heel", "{high}Heel"),
        ("foot_index", "{high}BigToe"),
        ("hand_4", "{low}thumb"),
        ("hand_8", "{low}index"),
        ("hand_12", "{low}middle"),
        ("hand_16", "{low}ring"),
        ("hand_20", "{low}pinky"),
    )
}
"""mediapipe landmark -> name of the vertex in smplx's table of published vertices."""


@dataclass(frozen=True)
class _Kind:
    """One of the two models, told apart by its number of joints."""

    name: str
    title: str
    vertices: int
    """Of the published mesh."""
    vertex_table: str
    """Name of its table in `smplx.vertex_ids`."""


_KINDS = {24: _Kind("smpl", "SMPL", 6890, "smplh"), 55: _Kind("smplx", "SMPL-X", 10475, "smplx")}
"""Joints -> model. SMPL and SMPL+H share a mesh and a table."""


@dataclass(frozen=True)
class SmplBody:
    """`body.model.BodyModel` of SMPL or SMPL-X."""

    name: str
    licence: str
    shape_names: tuple[str, ...]
    prior: ShapePrior
    names: tuple[str, ...]
    parents: np.ndarray
    humanoid: dict[str, str]
    faces: np.ndarray
    bones: np.ndarray
    weights: np.ndarray
    region: np.ndarray
    keypoints: dict[str, Keypoint]
    template: Tensor
    heads: Tensor
    shapes: Tensor
    head_shapes: Tensor

    def coefficients(self, shape: Tensor) -> Tensor:
        """Shape (S,) to the weights (S,) of the blend shapes: the same numbers."""
        return shape


def load_smpl(path: Path) -> SmplBody:
    """The body model of a licence holder's SMPL or SMPL-X file (.npz), metres, body frame.

    Raises CarveError for a file that does not exist, cannot be read or is not such a model, and if the package smplx is missing.
    """
    arrays = _read(path)
    kind = _check(path, arrays)
    layer, joint_names, vertex_ids = _through_smplx(arrays, kind)
    names = tuple(joint_names[:55]) if kind.name == "smplx" else (*joint_names[:22], "left_hand", "right_hand")
    humanoid = {vrm: joint for vrm, joint in HUMANOID.items() if joint in names}
    parents = layer.parents.numpy().astype(np.int64)
    dense = layer.lbs_weights.double().numpy()
    bones, weights, _ = strongest_weights(dense, min(MAX_BONES, int((dense > 0).sum(1).max())))
    shapes, regressor = layer.shapedirs.permute(2, 0, 1).contiguous(), layer.J_regressor
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
        keypoints=_keypoints(names, regressor.double().numpy(), vertex_ids if len(dense) == kind.vertices else {}),
        template=layer.v_template,
        heads=regressor @ layer.v_template,
        shapes=shapes,
        head_shapes=torch.einsum("bv,kvc->kbc", regressor, shapes),
    )


_KEYS = ("v_template", "shapedirs", "J_regressor", "kintree_table", "weights", "f")


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of the file that carve uses, with no Python object among them."""
    if not path.is_file():
        raise CarveError(f"The body model {path} does not exist; give the path of an SMPL or SMPL-X file in .npz format.")
    if path.suffix.lower() != ".npz":
        raise CarveError(
            f"The body model {path} is not an .npz file; a pickle (.pkl) can run code when it is opened, so carve reads none: "
            "convert it to .npz once (carve.body.smpl's documentation shows how)."
        )
    arrays: dict[str, np.ndarray] = {}
    key = ""
    try:
        with np.load(path, allow_pickle=False) as archive:
            for key in _KEYS:
                if key not in archive:
                    raise CarveError(f"The body model {path} has no array '{key}'; it is not an SMPL or SMPL-X file.")
                arrays[key] = archive[key]
    except (OSError, EOFError, ValueError, TypeError, AttributeError, zipfile.BadZipFile, zlib.error) as error:
        if "Object arrays" in str(error):
            raise CarveError(
                f"The body model {path} keeps '{key}' as a Python object, which carve does not open; save it as a plain, dense array."
            ) from error
        where = f" at array '{key}'" if key else ""
        raise CarveError(f"The body model {path} cannot be read{where} (damaged or incomplete?): {error}.") from error
    return arrays


def _check(path: Path, arrays: dict[str, np.ndarray]) -> _Kind:
    """Which model the arrays are; raises CarveError naming the file and the array that does not fit."""

    def refuse(key: str, why: str) -> CarveError:
        return CarveError(f"The body model {path} is not an SMPL or SMPL-X file: array '{key}' {why}.")

    for key, array in arrays.items():
        if array.dtype.kind not in "fiu" or not np.isfinite(array).all():
            raise refuse(key, "holds something else than finite numbers")
    tree = arrays["kintree_table"]
    joints = tree.shape[1] if tree.ndim == 2 and len(tree) else 0
    if joints not in _KINDS:
        raise refuse("kintree_table", f"tells of {joints} joints, not of 24 (SMPL) or 55 (SMPL-X)")
    parents = tree[0, 1:].astype(np.int64)
    if (parents < 0).any() or (parents >= np.arange(1, joints)).any():
        raise refuse("kintree_table", "names a child before its parent")
    count = len(arrays["v_template"]) if arrays["v_template"].ndim else 0
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


def _through_smplx(arrays: dict[str, np.ndarray], kind: _Kind) -> tuple[Any, list[str], dict[str, int]]:
    """smplx's module of the arrays (float32 buffers), its joint names and its table of published vertices."""
    try:
        from smplx import SMPL
        from smplx.joint_names import JOINT_NAMES
        from smplx.utils import Struct
        from smplx.vertex_ids import vertex_ids
    except ImportError as error:
        raise CarveError("SMPL and SMPL-X need the package smplx (for non-commercial use): pip install 'carve[smpl]'.") from error
    no_correctives = np.zeros((len(arrays["v_template"]), 3, 1), np.float32)
    data = Struct(**(arrays | {"shapedirs": arrays["shapedirs"][:, :, :SHAPES], "posedirs": no_correctives}))
    create = dict.fromkeys(("create_betas", "create_global_orient", "create_body_pose", "create_transl"), False)
    with contextlib.redirect_stdout(io.StringIO()):  # it prints that there are only 10 shape parameters, which is the wish here
        layer = SMPL(model_path="", data_struct=data, num_betas=SHAPES, vertex_ids=vertex_ids[kind.vertex_table], **create)
    return layer.requires_grad_(False), JOINT_NAMES, vertex_ids[kind.vertex_table]


def _keypoints(names: tuple[str, ...], regressor: np.ndarray, vertex_ids: dict[str, int]) -> dict[str, Keypoint]:
    """mediapipe's landmarks from the joint regressor (B, V) and from published vertices, if the mesh is the published one."""
    points = {}
    for mark, joint in LANDMARK_JOINTS.items():
        row = regressor[names.index(joint)]
        index = np.flatnonzero(row)
        points[mark] = Keypoint(index, row[index] / row[index].sum())
    for mark, label in LANDMARK_VERTICES.items():
        if label in vertex_ids:
            points[mark] = Keypoint(np.array([vertex_ids[label]], np.int64), np.ones(1))
    return points
