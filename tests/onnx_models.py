"""Models of one or two layers, whose outputs are known in closed form, with the JSON file beside them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

Constants = dict[str, np.ndarray]
SHAPE: list[int | str] = [1, 3, "h", "w"]


def write(
    folder: Path,
    nodes: list[onnx.NodeProto],
    conventions: dict[str, Any] | None = None,
    inputs: dict[str, list[int | str]] | None = None,
    outputs: tuple[str, ...] = ("front",),
    constants: Constants | None = None,
    kind: int = TensorProto.FLOAT,
    rank: int = 4,
) -> Path:
    """model.onnx and, with conventions, model.json."""
    given = inputs or {"image": SHAPE}
    graph = helper.make_graph(
        nodes,
        "normals",
        [helper.make_tensor_value_info(name, kind, shape) for name, shape in given.items()],
        [helper.make_tensor_value_info(name, kind, [None] * rank) for name in outputs],
        [
            onnx.numpy_helper.from_array(value.astype(helper.tensor_dtype_to_np_dtype(kind)), name)
            for name, value in (constants or {}).items()
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, folder / "model.onnx")
    if conventions is not None:
        (folder / "model.json").write_text(json.dumps(conventions), encoding="utf-8")
    return folder / "model.onnx"


def same(source: str = "image", target: str = "front") -> onnx.NodeProto:
    """A layer that changes nothing."""
    return helper.make_node("Identity", [source], [target])


def red(factor: float, constant: float, target: str) -> tuple[onnx.NodeProto, Constants]:
    """A layer that gives factor x + constant of the picture's first channel x, (1, 1, H, W)."""
    weights = {"factor": np.array([factor, 0, 0]).reshape(1, 3, 1, 1), "constant": np.array([constant])}
    return helper.make_node("Conv", ["image", "factor", "constant"], [target]), weights
