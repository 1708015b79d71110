"""Models of one or two layers, whose outputs are known in closed form, in every convention; and files that cannot be used."""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from carve.geometry.frames import normals_to_rgb
from carve.networks.onnx import process as onnx_process
from carve.networks.onnx.normals import OnnxConventions, load_onnx, run_onnx
from carve.records import CarveError
from normal_pictures import rgb_to_normals
from onnx_models import SHAPE, same, write

S = 16
AXES = [
    [sign + letter for sign, letter in zip(signs, letters, strict=True)]
    for letters, signs in itertools.product(itertools.permutations("xyz"), ["+++", "+--", "-+-"])
]
BASE: dict[str, Any] = {"image_input": "image", "front_output": "front", "axes": ["+x", "+y", "+z"]}
UNIT = BASE | {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
"""Conventions under which a colour (n + 1) / 2 goes into the model as n."""


def mixed(matrix: np.ndarray, source: str = "image", target: str = "front") -> tuple[onnx.NodeProto, dict[str, np.ndarray]]:
    """A layer that multiplies every pixel's three channels by a matrix (3, 3), and its weights."""
    return helper.make_node("Conv", [source, "matrix"], [target]), {"matrix": matrix[..., None, None]}


@pytest.fixture(scope="module")
def crop() -> np.ndarray:
    """(S, S, 3) uint8 colours of normals in all directions."""
    random = np.random.default_rng(3).normal(size=(S, S, 3))
    return normals_to_rgb(random / np.linalg.norm(random, axis=-1, keepdims=True), np.ones((S, S), bool))


@pytest.fixture(scope="module")
def normals(crop: np.ndarray) -> np.ndarray:
    """(S, S, 3) the unit normals that the colours hold."""
    return rgb_to_normals(crop)


EVERYWHERE = np.ones((S, S), np.float32)


def test_blue_first_and_y_down(tmp_path: Path, crop: np.ndarray, normals: np.ndarray) -> None:
    vision_from_bgr = np.array([[0.0, 0, 1], [0, -1, 0], [-1, 0, 0]])
    layer, weights = mixed(vision_from_bgr)
    path = write(tmp_path, [layer], UNIT | {"channels": "bgr", "axes": ["+x", "-y", "-z"], "normalised": False}, constants=weights)
    front, back = run_onnx(path, load_onnx(path), crop, EVERYWHERE)
    assert back is None and front.dtype == np.float32
    np.testing.assert_allclose(front, normals, atol=1e-6)


@pytest.mark.parametrize("axes", AXES, ids="".join)
def test_every_order_and_sign_of_axes(tmp_path: Path, crop: np.ndarray, normals: np.ndarray, axes: list[str]) -> None:
    model_from_camera = np.zeros((3, 3))
    for i, (sign, letter) in enumerate(axes):
        model_from_camera["xyz".index(letter), i] = 1 if sign == "+" else -1
    layer, weights = mixed(model_from_camera)
    path = write(tmp_path, [layer], UNIT | {"axes": axes, "normalised": False}, constants=weights)
    np.testing.assert_allclose(run_onnx(path, load_onnx(path), crop, EVERYWHERE)[0], normals, atol=1e-6)


@pytest.mark.parametrize("encoding", ["unit", "rgb"])
def test_the_body_goes_in_as_the_normals_come_out(tmp_path: Path, crop: np.ndarray, normals: np.ndarray, encoding: str) -> None:
    """The back's channels arrive as the front's, which shows what the model saw."""
    conventions = BASE | {
        "axes": ["-x", "+z", "-y"],
        "back_axes": ["+z", "+x", "+y"],
        "body_front_input": "body",
        "body_back_input": "behind",
        "back_output": "back",
        "encoding": encoding,
    }
    nodes = [same("body", "front"), same("behind", "back"), same("image", "unused")]
    path = write(tmp_path, nodes, conventions, dict.fromkeys(("image", "body", "behind"), SHAPE), ("front", "back"))
    body, behind = normals, np.roll(normals, 5, axis=0)
    front, back = run_onnx(path, load_onnx(path), crop, EVERYWHERE, body, behind)
    assert back is not None
    np.testing.assert_allclose(front, body, atol=1e-6)
    np.testing.assert_allclose(back, behind, atol=1e-6)
    crossed = OnnxConventions(**conventions | {"front_output": "back", "back_output": "front"})
    seen, _ = run_onnx(path, crossed, crop, EVERYWHERE, body, behind)
    # (x, y, z) went in as the channels (y, z, x), of which -x, +z, -y are read.
    np.testing.assert_allclose(seen, behind[..., [1, 0, 2]] * [-1, 1, -1], atol=1e-6)
    with pytest.raises(ValueError, match="'behind' needs the body's normals"):
        run_onnx(path, crossed, crop, EVERYWHERE, body)


def test_the_person_is_laid_over_the_background(tmp_path: Path, crop: np.ndarray) -> None:
    conventions = BASE | {"background": [10, 20, 200], "encoding": "rgb", "normalised": False}
    path = write(tmp_path, [same()], conventions)
    mask = np.full((S, S), 0.25, np.float32)
    mask[:4] = 0
    front, _ = run_onnx(path, load_onnx(path), crop, mask)
    assert not front[:4].any()
    expected = 2 * (0.25 * crop + 0.75 * np.array([10, 20, 200])) / 255 - 1
    np.testing.assert_allclose(front[4:], (expected / np.linalg.norm(expected, axis=-1, keepdims=True))[4:], atol=1e-5)


def test_channels_last_and_whole_numbers(tmp_path: Path, crop: np.ndarray) -> None:
    conventions = BASE | {"size": S, "range": "0..255", "input_layout": "NHWC", "output_layout": "NHWC", "normalised": False}
    path = write(tmp_path, [same()], conventions, {"image": [1, S, S, 3]}, kind=TensorProto.UINT8)
    front, _ = run_onnx(path, load_onnx(path), crop, EVERYWHERE)
    exact = crop.astype(float)
    np.testing.assert_allclose(front, exact / np.linalg.norm(exact, axis=-1, keepdims=True), atol=1e-6)


def test_half_precision(tmp_path: Path, crop: np.ndarray, normals: np.ndarray) -> None:
    path = write(tmp_path, [same()], UNIT, kind=TensorProto.FLOAT16)
    np.testing.assert_allclose(run_onnx(path, load_onnx(path), crop, EVERYWHERE)[0], normals, atol=2e-3)


def test_the_mask_is_an_input(tmp_path: Path, crop: np.ndarray, normals: np.ndarray) -> None:
    nodes = [helper.make_node("Mul", ["image", "mask"], ["front"])]
    path = write(tmp_path, nodes, UNIT | {"mask_input": "mask", "normalised": False}, {"image": SHAPE, "mask": [1, 1, "h", "w"]})
    mask = np.linspace(0.1, 1, S, dtype=np.float32) * np.ones((S, 1), np.float32)
    np.testing.assert_allclose(run_onnx(path, load_onnx(path), crop, mask)[0], normals, atol=1e-6)
    conventions = OnnxConventions(**UNIT | {"mask_input": "mask"})
    with pytest.raises(CarveError, match=r"length 0\.5\d, not 1"):
        run_onnx(path, conventions, crop, mask)


def test_a_tall_model_gets_the_square_in_its_middle(tmp_path: Path, crop: np.ndarray, normals: np.ndarray) -> None:
    """One model gives its picture back, the other says how far each row lies from the middle of its picture."""
    conventions = UNIT | {"size": [24, S], "normalised": False}
    path = write(tmp_path, [same()], conventions, {"image": [1, 3, 24, S]})
    loaded = load_onnx(path)
    assert loaded.side(1000) == S
    np.testing.assert_allclose(run_onnx(path, loaded, crop, EVERYWHERE)[0], normals, atol=1e-6)
    path.unlink()
    tilt = np.stack(np.broadcast_arrays(np.zeros((1, S)), (np.arange(24) + 0.5 - 12)[:, None], np.full((1, S), 5)))
    nodes = [helper.make_node("Mul", ["image", "nought"], ["dark"]), helper.make_node("Add", ["dark", "tilt"], ["front"])]
    write(tmp_path, nodes, None, {"image": [1, 3, 24, S]}, constants={"tilt": tilt[None], "nought": np.zeros(1)})
    front, _ = run_onnx(path, loaded, crop, EVERYWHERE)
    np.testing.assert_allclose(front[..., 1] / front[..., 2] * 5, np.tile(np.arange(S)[:, None] + 0.5 - S / 2, S), atol=1e-5)


def test_a_smaller_output_is_enlarged(tmp_path: Path, crop: np.ndarray, normals: np.ndarray) -> None:
    pool = helper.make_node("AveragePool", ["image"], ["front"], kernel_shape=[2, 2], strides=[2, 2])
    path = write(tmp_path, [pool], UNIT)
    flat = np.tile(crop[3, 4], (S, S, 1))
    front, _ = run_onnx(path, load_onnx(path), flat, EVERYWHERE)
    assert front.shape == (S, S, 3)
    np.testing.assert_allclose(front, np.broadcast_to(normals[3, 4], front.shape), atol=1e-6)


def test_sides_that_a_model_can_take() -> None:
    assert [OnnxConventions(**BASE, multiple=14).side(n) for n in (1, 7, 700, 770, 772, 777)] == [14, 14, 700, 770, 770, 784]
    assert OnnxConventions(**BASE).side(513) == 513
    assert OnnxConventions(**BASE, size=512).side(700) == 512
    with pytest.raises(ValueError, match="16 pixels a side, the model takes 32"):
        run_onnx(Path("any"), OnnxConventions(**BASE, size=32), np.zeros((S, S, 3), np.uint8), EVERYWHERE)


def test_one_session_is_kept_until_the_file_changes(tmp_path: Path, crop: np.ndarray, normals: np.ndarray) -> None:
    path = write(tmp_path, [same()], UNIT)
    conventions = load_onnx(path)
    process = onnx_process.worker._process
    first, _ = run_onnx(path, conventions, crop, EVERYWHERE)
    assert process is not None and onnx_process.worker._process is process
    assert run_onnx(path, conventions, crop, EVERYWHERE)[0].tobytes() == first.tobytes()
    path.unlink()
    write(tmp_path, [helper.make_node("Neg", ["image"], ["front"])])
    np.testing.assert_allclose(run_onnx(path, conventions, crop, EVERYWHERE)[0], -normals, atol=1e-6)


def test_the_examples_in_the_docs_are_conventions() -> None:
    page = (Path(__file__).parents[3] / "docs" / "own_normals.md").read_text(encoding="utf-8")
    blocks = [json.loads(block.split("```")[0]) for block in page.split("```json")[1:]]
    examples = [OnnxConventions(**block) for block in blocks if "front_output" in block]
    assert [example.side(700) for example in examples] == [512, 512, 704]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"front_output": "normal"}, r"name an output 'normal' that the model lacks; its outputs are 'front'"),
        ({"back_output": "rear"}, r"name an output 'rear'"),
        ({"image_input": "photo"}, r"name an input 'photo' that the model lacks; its inputs are 'image'"),
        ({"mask_input": "mask"}, r"name an input 'mask'"),
        ({"size": 32}, r"has the shape \[1, 3, 'h', 16\], but .* makes it \[1, 3, 32, 32\]"),
        ({"multiple": 8}, r"has the shape \[1, 3, 'h', 16\], but .* makes it \[1, 3, 'any', 'any'\]"),
        ({"input_layout": "NHWC"}, r"but .* makes it \[1, 'any', 'any', 3\]"),
        ({"axes": ["+x", "+y", "+y"]}, r"wrong at 'axes': x, y and z must each occur once"),
        ({"axes": ["+x", "+y", "z"]}, r"wrong at 'axes.2'"),
        ({"std": [1, 0, 1]}, r"wrong at 'std.1': input should be greater than 0"),
        ({"mirror": True}, r"wrong at 'mirror'"),
    ],
)
def test_conventions_that_do_not_fit(tmp_path: Path, change: dict[str, Any], told: str) -> None:
    path = write(tmp_path, [same()], BASE | change, {"image": [1, 3, "h", S]})
    with pytest.raises(CarveError, match=told):
        load_onnx(path)


def test_inputs_that_carve_cannot_give(tmp_path: Path) -> None:
    path = write(tmp_path, [same()], BASE, {"image": SHAPE, "intrinsics": [1, 3, 3]})
    with pytest.raises(CarveError, match=r"has an input 'intrinsics' for which .* names nothing"):
        load_onnx(path)
    path = write(tmp_path, [same()], BASE, kind=TensorProto.INT64)
    with pytest.raises(CarveError, match=r"of type tensor\(int64\)"):
        load_onnx(path)


def test_outputs_that_are_no_normals(tmp_path: Path, crop: np.ndarray) -> None:
    path = write(tmp_path, [helper.make_node("Log", ["image"], ["front"])], UNIT)
    with pytest.raises(CarveError, match=r"The output 'front' of .*model\.onnx holds values that are not finite"):
        run_onnx(path, load_onnx(path), crop, EVERYWHERE)
    path = write(tmp_path, [same()], UNIT | {"encoding": "rgb"})
    with pytest.raises(CarveError, match="not 1; correct 'encoding'"):
        run_onnx(path, load_onnx(path), crop, EVERYWHERE)
    path = write(tmp_path, [same()], UNIT | {"output_layout": "NHWC"})
    with pytest.raises(CarveError, match=r"has the shape \[1, 3, 16, 16\], which holds no normals of 16 x 16 pixels"):
        run_onnx(path, load_onnx(path), crop, EVERYWHERE)
    path = write(tmp_path, [helper.make_node("ReduceMean", ["image"], ["front"], axes=[1])], UNIT)
    with pytest.raises(CarveError, match=r"has the shape \[1, 1, 16, 16\]"):
        run_onnx(path, load_onnx(path), crop, EVERYWHERE)


def test_a_model_that_fails(tmp_path: Path, crop: np.ndarray) -> None:
    path = write(tmp_path, [helper.make_node("Add", ["image", "seven"], ["front"])], UNIT, constants={"seven": np.zeros(7)})
    with pytest.raises(CarveError, match=r"The model .*model\.onnx failed"):
        run_onnx(path, load_onnx(path), crop, EVERYWHERE)


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    path = write(tmp_path, [same()])
    with pytest.raises(CarveError, match=r"There is no .*model\.json to say what .*model\.onnx takes"):
        load_onnx(path)
    path.with_suffix(".json").write_text("{", encoding="utf-8")
    with pytest.raises(CarveError, match="cannot be read as JSON"):
        load_onnx(path)
    path.with_suffix(".json").write_text("[]", encoding="utf-8")
    with pytest.raises(CarveError, match="wrong at 'the top'"):
        load_onnx(path)
    (tmp_path / "other.json").write_text(json.dumps(BASE), encoding="utf-8")
    assert load_onnx(path, tmp_path / "other.json") == OnnxConventions(**BASE)
    whole = path.read_bytes()
    for name, data in {"cut": whole[:-20], "text": b"no model", "empty": b""}.items():
        broken = tmp_path / f"{name}.onnx"
        broken.write_bytes(data)
        with pytest.raises(CarveError, match=rf"{name}\.onnx is not an ONNX file"):
            load_onnx(broken, tmp_path / "other.json")
    with pytest.raises(CarveError, match=r"nothing\.onnx cannot be read: No such file"):
        load_onnx(tmp_path / "nothing.onnx")


def test_without_onnxruntime_the_user_is_told_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, [same()], BASE)
    for name in [name for name in sys.modules if name.split(".")[0] == "onnxruntime"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(CarveError, match=r"pip install 'carve\[onnx\]'"):
        load_onnx(path)
