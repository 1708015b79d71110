"""A model that loops, dies or asks for all memory is stopped, and the next one runs."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from carve.networks.onnx import process as onnx_process
from carve.records import CarveError

IMAGE = np.ones((1, 3, 8, 8), np.float32)


def model(folder: Path, name: str, nodes: list[onnx.NodeProto], constants: dict[str, np.ndarray] | None = None) -> Path:
    """A model from `image` to `front`."""
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, 3, 8, 8]) for n in ("image", "front")]
    stored = [onnx.numpy_helper.from_array(value, key) for key, value in (constants or {}).items()]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], stored)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / name)
    return folder / name


def plain(folder: Path) -> Path:
    return model(folder, "plain.onnx", [helper.make_node("Neg", ["image"], ["front"])])


def endless(folder: Path) -> Path:
    """A loop of 2^62 rounds."""
    kept = helper.make_tensor_value_info("kept", TensorProto.FLOAT, [1, 3, 8, 8])
    given = helper.make_tensor_value_info("given", TensorProto.FLOAT, [1, 3, 8, 8])
    number = helper.make_tensor_value_info("number", TensorProto.INT64, [])
    on, still = (helper.make_tensor_value_info(n, TensorProto.BOOL, []) for n in ("on", "still"))
    body = [helper.make_node("Identity", ["on"], ["still"]), helper.make_node("Neg", ["given"], ["kept"])]
    loop = helper.make_node(
        "Loop", ["rounds", "yes", "image"], ["front"], body=helper.make_graph(body, "b", [number, on, given], [still, kept])
    )
    return model(folder, "endless.onnx", [loop], {"rounds": np.array(2**62), "yes": np.array(True)})


def test_a_model_that_does_not_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = endless(tmp_path)
    assert onnx_process.describe(path)["inputs"] == [{"name": "image", "type": "tensor(float)", "shape": [1, 3, 8, 8]}]
    monkeypatch.setattr(onnx_process, "RUN_SECONDS", 0.5)
    monkeypatch.setattr(onnx_process, "OPEN_SECONDS", 0.5)
    with pytest.raises(CarveError, match=r"endless\.onnx failed: it did not finish within 1 seconds"):
        onnx_process.run(path, ["front"], {"image": IMAGE})
    monkeypatch.undo()
    np.testing.assert_array_equal(onnx_process.run(plain(tmp_path), ["front"], {"image": IMAGE})[0], -IMAGE)


def test_a_process_that_dies_is_told_and_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = endless(tmp_path)
    onnx_process.describe(path)
    process = onnx_process.worker._process
    assert process is not None
    original = onnx_process.send

    def dying(*arguments: object) -> None:
        original(*arguments)  # type: ignore[arg-type]
        os.kill(process.pid, signal.SIGSEGV)

    monkeypatch.setattr(onnx_process, "send", dying)
    with pytest.raises(CarveError, match=r"endless\.onnx failed: its process ended with code -11"):
        onnx_process.run(path, ["front"], {"image": IMAGE})
    monkeypatch.undo()
    np.testing.assert_array_equal(onnx_process.run(plain(tmp_path), ["front"], {"image": IMAGE})[0], -IMAGE)


def test_memory_that_a_small_model_asks_for_is_bounded(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["large"]),
        helper.make_node("ReduceSum", ["large"], ["sum"], keepdims=0),
        helper.make_node("Add", ["image", "sum"], ["front"]),
    ]
    path = model(tmp_path, "large.onnx", nodes, {"shape": np.array([1 << 20, 1 << 14])})
    with pytest.raises(CarveError, match=r"large\.onnx (failed|is not an ONNX file that can be opened)"):
        onnx_process.describe(path)
        onnx_process.run(path, ["front"], {"image": IMAGE})
