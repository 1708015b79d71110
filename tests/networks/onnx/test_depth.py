"""Depth models whose answer is a channel of the picture, in every layout; and files that cannot be used."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from carve.networks.onnx.depth import DepthConventions, load_depth, run_depth
from carve.records import CarveError
from onnx_models import red, write

S = 16
BASE: dict[str, Any] = {"image_input": "image", "depth_output": "depth", "meaning": "depth"}
EVERYWHERE = np.ones((S, S), np.float32)
CROP = np.random.default_rng(5).integers(1, 256, (S, S, 3), dtype=np.uint8)


def channel(folder: Path, change: dict[str, Any], factor: float = 1.0, constant: float = 0.0, **options: Any) -> Path:
    """A model that gives factor x + constant of the picture's first channel."""
    layer, weights = red(factor, constant, "depth")
    return write(folder, [layer], BASE | change, outputs=("depth",), constants=weights, **options)


def test_a_channel_of_the_picture_comes_back(tmp_path: Path) -> None:
    path = channel(tmp_path, {}, 3.0, -0.5)
    found = run_depth(path, load_depth(path), CROP, EVERYWHERE)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, 3 * (CROP[..., 0] / 255) - 0.5, atol=1e-5)
    path = channel(tmp_path, {"channels": "bgr", "range": "0..255", "mean": [1, 2, 3], "std": [2, 1, 1]})
    np.testing.assert_allclose(run_depth(path, load_depth(path), CROP, EVERYWHERE), (CROP[..., 2] - 1.0) / 2, atol=1e-4)


SHAPES: dict[str, tuple[list[Any], dict[str, Any], int]] = {
    "no channel": ([helper.make_node("ReduceMean", ["first"], ["depth"], axes=[1], keepdims=0)], {}, 3),
    "channel last": ([helper.make_node("Transpose", ["first"], ["depth"], perm=[0, 2, 3, 1])], {"output_layout": "NHWC"}, 4),
    "half as large": ([helper.make_node("AveragePool", ["first"], ["depth"], kernel_shape=[2, 2], strides=[2, 2])], {}, 4),
}
"""What follows the channel, the conventions, and how many axes the answer has."""


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_of_an_answer(tmp_path: Path, shape: str) -> None:
    after, change, rank = SHAPES[shape]
    layer, weights = red(1, 0, "first")
    path = write(tmp_path, [layer, *after], BASE | change, outputs=("depth",), constants=weights, rank=rank)
    crop = np.tile(CROP[3, 4], (S, S, 1)) if shape == "half as large" else CROP
    np.testing.assert_allclose(run_depth(path, load_depth(path), crop, EVERYWHERE), crop[..., 0] / 255, atol=1e-5)


def test_a_tall_model_gets_the_square_in_its_middle(tmp_path: Path) -> None:
    path = channel(tmp_path, {"size": [24, S]}, inputs={"image": [1, 3, 24, S]})
    conventions = load_depth(path)
    assert conventions.side(500) == S
    np.testing.assert_allclose(run_depth(path, conventions, CROP, EVERYWHERE), CROP[..., 0] / 255, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"depth_output": "disparity"}, r"name an output 'disparity' that the model lacks; its outputs are 'depth'"),
        ({"image_input": "photo"}, r"name an input 'photo'"),
        ({"size": 32}, r"has the shape \[1, 3, 'h', 16\], but .* makes it \[1, 3, 32, 32\]"),
        ({"meaning": "height"}, r"wrong at 'meaning'"),
        ({"metric": "feet"}, r"wrong at 'metric'"),
        ({"front_output": "depth"}, r"wrong at 'front_output'"),
        ({"meaning": None}, r"wrong at 'meaning'"),
    ],
)
def test_conventions_that_do_not_fit(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    path = channel(tmp_path, change, inputs={"image": [1, 3, "h", S]})
    with pytest.raises(CarveError, match=told):
        load_depth(path)


def test_answers_that_are_no_depth(tmp_path: Path) -> None:
    path = channel(tmp_path, {"metric": True}, 1.0, -0.5)
    with pytest.raises(CarveError, match=r"The output 'depth' of .*model\.onnx holds distances that are not above zero.*'metric' to false"):
        run_depth(path, load_depth(path), CROP, EVERYWHERE)
    layer, weights = red(1, -2, "first")
    path = write(tmp_path, [layer, helper.make_node("Log", ["first"], ["depth"])], BASE, outputs=("depth",), constants=weights)
    with pytest.raises(CarveError, match="not finite"):
        run_depth(path, load_depth(path), CROP, EVERYWHERE)
    huge = channel(tmp_path, {}, 1e35)
    with pytest.raises(CarveError, match="not finite"):
        run_depth(huge, load_depth(huge), CROP, EVERYWHERE)
    path = write(tmp_path, [layer, helper.make_node("Log", ["first"], ["depth"])], BASE, outputs=("depth",), constants=weights)
    # Where nobody is, an answer may be anything.
    assert np.isfinite(run_depth(path, load_depth(path), CROP, 0 * EVERYWHERE)).all()
    path = write(tmp_path, [helper.make_node("Identity", ["image"], ["depth"])], BASE, outputs=("depth",))
    with pytest.raises(CarveError, match=r"has the shape \[1, 3, 16, 16\], which holds no depth of 16 x 16 pixels"):
        run_depth(path, load_depth(path), CROP, EVERYWHERE)
    path = write(tmp_path, [helper.make_node("ReduceMean", ["image"], ["depth"], axes=[2, 3])], BASE, outputs=("depth",))
    with pytest.raises(CarveError, match="which holds no depth"):
        run_depth(path, load_depth(path), CROP, EVERYWHERE)


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    path = channel(tmp_path, {})
    path.with_suffix(".json").write_text("{", encoding="utf-8")
    with pytest.raises(CarveError, match="cannot be read as JSON"):
        load_depth(path)
    path.with_suffix(".json").unlink()
    with pytest.raises(CarveError, match=r"There is no .*model\.json to say what .*model\.onnx takes"):
        load_depth(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(CarveError, match=r"model\.onnx is not an ONNX file"):
        load_depth(path)
    with pytest.raises(CarveError, match=r"nothing\.onnx cannot be read: No such file"):
        load_depth(tmp_path / "nothing.onnx")
    path = channel(tmp_path, {}, kind=TensorProto.FLOAT16)
    assert load_depth(path).meaning == "depth"


def test_the_examples_in_the_docs_are_conventions() -> None:
    page = (Path(__file__).parents[3] / "docs" / "own_normals.md").read_text(encoding="utf-8")
    blocks = [json.loads(block.split("```")[0]) for block in page.split("```json")[1:]]
    examples = [DepthConventions(**block) for block in blocks if "depth_output" in block]
    assert [(example.side(700), example.meaning, example.metric) for example in examples] == [
        (512, "inverse", False),
        (700, "inverse", False),
    ]
