"""A person whose truth is known, for folders in the layouts of data sets: bodies in SMPL's format, posed by a slow reference."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.spatial.transform import Rotation

from carve.body.smpl import SmplBody, load_smpl
from smpl_files import arrays_of, joints_of, written

Fit = Mapping[str, Any]


@dataclass(frozen=True)
class Person:
    """A posed body that stands for a clothed person too."""

    model: SmplBody
    turns: np.ndarray
    """(J, 3) axis-angles."""
    vertices: np.ndarray
    """(V, 3) metres, +Y up."""
    faces: np.ndarray
    joints: dict[str, np.ndarray] = field(repr=False)
    """Name of the model's joint -> (3,)."""
    pelvis: np.ndarray
    """(3,) at rest."""


def person(folder: Path, kind: str, orient: tuple[float, float, float] = (0.0, 0.0, 0.0), vertices: int | None = None) -> Person:
    """Somebody with an arm raised and a knee bent, whose body model's file lies in `folder`."""
    arrays = arrays_of(kind, vertices)
    names = list(joints_of(kind))
    turns = np.zeros((len(names), 3))
    turns[0] = orient
    turns[names.index("left_shoulder")] = (0.1, 0.2, 0.7)
    turns[names.index("right_knee")] = (0.6, 0.0, 0.0)
    points, places, rest = _skinned(arrays, names, turns)
    where = dict(zip(names, places, strict=True))
    return Person(load_smpl(written(folder, arrays)), turns, points, arrays["f"].astype(int), where, rest[0])


def _skinned(arrays: Mapping[str, np.ndarray], names: list[str], turns: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Vertices and joints joint by joint (Loper et al. 2015, equations 2 to 4, without pose correctives), and the joints at rest."""
    template = arrays["v_template"].astype(float)
    rest = arrays["J_regressor"] @ template
    maps = np.zeros((len(names), 4, 4))
    for j in range(len(names)):
        own = np.eye(4)
        own[:3, :3] = Rotation.from_rotvec(turns[j]).as_matrix()
        parent = int(arrays["kintree_table"][0, j]) if j else -1
        own[:3, 3] = rest[j] - (rest[parent] if j else 0)
        maps[j] = maps[parent] @ own if j else own
    back = np.tile(np.eye(4), (len(names), 1, 1))
    back[:, :3, 3] = -rest
    blended = np.einsum("vj,jab->vab", arrays["weights"].astype(float), maps @ back)
    points = np.einsum("vab,vb->va", blended, np.column_stack([template, np.ones(len(template))]))[:, :3]
    return points, maps[:, :3, 3], rest


def write_obj(path: Path, vertices: np.ndarray, faces: np.ndarray, texture: np.ndarray | None = None, material: str = "material0") -> None:
    """An OBJ file; with a texture (H, W, 3) its material and picture too: u runs with x, v with y over the vertices' box."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"v {x:.8f} {y:.8f} {z:.8f}" for x, y, z in vertices]
    if texture is None:
        lines += [f"f {a} {b} {c}" for a, b, c in faces + 1]
    else:
        lines.insert(0, f"mtllib {material}.mtl\nusemtl {material}")
        lines += [f"vt {u:.6f} {v:.6f}" for u, v in box_uv(vertices)]
        lines += [f"f {a}/{a} {b}/{b} {c}/{c}" for a, b, c in faces + 1]
        (path.parent / f"{material}.mtl").write_text(f"newmtl {material}\nmap_Kd {material}.png\n")
        Image.fromarray(texture).save(path.parent / f"{material}.png")
    path.write_text("\n".join(lines) + "\n")


def box_uv(vertices: np.ndarray) -> np.ndarray:
    """(V, 2) place of each vertex in the box of all, x and y, from 0.01 to 0.99; v counts from below, as in OBJ."""
    low, high = vertices.min(0), vertices.max(0)
    return 0.01 + 0.98 * ((vertices - low) / (high - low))[:, :2]


def two_tones() -> np.ndarray:
    """(8, 8, 3) uint8: red above, blue below."""
    picture = np.zeros((8, 8, 3), np.uint8)
    picture[:4, :, 0] = picture[4:, :, 2] = 200
    return picture


def write_ply(path: Path, vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray | None = None) -> None:
    """A text PLY file, with a colour (V, 3) uint8 for each vertex or without."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = [f"property float {axis}" for axis in "xyz"]
    rows = [" ".join(f"{value:.8f}" for value in vertex) for vertex in vertices]
    if colours is not None:
        kinds += [f"property uchar {channel}" for channel in ("red", "green", "blue")]
        rows = [f"{row} {r} {g} {b}" for row, (r, g, b) in zip(rows, colours, strict=True)]
    head = ["ply", "format ascii 1.0", f"element vertex {len(vertices)}", *kinds, f"element face {len(faces)}"]
    head += ["property list uchar int vertex_indices", "end_header"]
    path.write_text("\n".join([*head, *rows, *(f"3 {a} {b} {c}" for a, b, c in faces)]) + "\n")


def save_npz(path: Path, **arrays: Any) -> None:
    """An archive in a folder that is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez(path, **{key: np.asarray(value) for key, value in arrays.items()})
