"""What a GLB declares is checked before it is followed: graph, indices, types, extensions; any of it damaged is one sentence."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carve.gltf.reader import read_glb
from carve.records import CarveError
from fuzz.targets import avatars

CASES = Path(__file__).parents[1] / "cases"


def rewritten(folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """avatar.glb of a small figure with its JSON changed."""
    data = avatars()["avatar.glb"]
    length = struct.unpack("<I", data[12:16])[0]
    tree, rest = json.loads(data[20 : 20 + length]), data[20 + length :]
    change(tree)
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    path = folder / "changed.glb"
    path.write_bytes(b"glTF" + struct.pack("<III", 2, 20 + len(text) + len(rest), len(text)) + b"JSON" + text + rest)
    return path


def accessor(tree: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = tree["accessors"][tree["meshes"][0]["primitives"][0]["attributes"][name]]
    return found


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda t: t["nodes"][2].setdefault("children", []).append(1), "two parents|ring"),
        (lambda t: t["nodes"][1].update(children=[1]), "two parents|ring"),
        (lambda t: t["nodes"][1].update(children=[10**6]), "nodes that is not there"),
        (lambda t: t["nodes"][0].update(mesh=True), "meshes that is not there"),
        (lambda t: t["nodes"][0].update(mesh=-1), "meshes that is not there"),
        (lambda t: t["skins"][0]["joints"].append(t["skins"][0]["joints"][0]), "one of them twice"),
        (lambda t: t["skins"][0].update(joints=[]), "no joints"),
        (lambda t: t["skins"][0].pop("inverseBindMatrices"), "no bind pose"),
        (lambda t: accessor(t, "POSITION").update(type="VEC4"), "asks for VEC3"),
        (lambda t: accessor(t, "JOINTS_0").update(componentType=5126), "asks for VEC4"),
        (lambda t: accessor(t, "NORMAL").update(count=2**40), "shorter than its own table"),
        (lambda t: accessor(t, "NORMAL").update(byteOffset=-4), "no length"),
        (lambda t: accessor(t, "NORMAL").update(count=3), "do not fit together"),
        (lambda t: t["bufferViews"][0].update(byteLength="all"), "malformed"),
        (lambda t: t.update(nodes={}), "no list"),
        (lambda t: t.update(materials=[1]), "malformed"),
        (lambda t: t.update(extensionsRequired=["EXT_meshopt_compression"]), "needs the glTF extension EXT_meshopt_compression"),
        (lambda t: t["meshes"][0]["primitives"][0].update(mode=1), "no mesh of triangles"),
        (lambda t: t["meshes"][0]["primitives"][0]["attributes"].pop("POSITION"), "no positions"),
    ],
)
def test_what_cannot_be_followed_is_told(tmp_path: Path, change: Callable[[dict[str, Any]], object], says: str) -> None:
    with pytest.raises(CarveError, match=f"^cannot use .*changed.glb: .*({says})"):
        read_glb(rewritten(tmp_path, change))


def test_the_largest_mesh_is_taken_whatever_comes_first(tmp_path: Path) -> None:
    def eyes_first(tree: dict[str, Any]) -> None:
        primitive = dict(tree["meshes"][0]["primitives"][0])
        eye = {"attributes": {"POSITION": primitive["attributes"]["POSITION"]}, "indices": len(tree["accessors"])}
        tree["accessors"].append({**tree["accessors"][primitive["indices"]], "count": 3})
        tree["meshes"].append({"primitives": [eye]})
        tree["nodes"].append(dict(tree["nodes"][0]))
        tree["nodes"][-1]["name"], moved = "avatar", tree["nodes"][0]
        tree["nodes"][0] = {"name": "eyes", "mesh": len(tree["meshes"]) - 1, "children": moved.get("children", [])}
        tree["nodes"][-1].pop("children", None)
        tree["scenes"][0]["nodes"].append(len(tree["nodes"]) - 1)

    plain = read_glb(rewritten(tmp_path, lambda tree: None))
    scene = read_glb(rewritten(tmp_path, eyes_first))
    np.testing.assert_array_equal(scene.faces, plain.faces)
    assert scene.skeleton is not None and plain.skeleton is not None and scene.skeleton.names == plain.skeleton.names


def test_a_mesh_without_indices_is_read(tmp_path: Path) -> None:
    scene = read_glb(rewritten(tmp_path, lambda t: t["meshes"][0]["primitives"][0].pop("indices") and _cut(t)))
    np.testing.assert_array_equal(scene.faces.ravel(), np.arange(len(scene.vertices)))


def _cut(tree: dict[str, Any]) -> None:
    """As many vertices as make whole triangles."""
    for index in tree["meshes"][0]["primitives"][0]["attributes"].values():
        tree["accessors"][index]["count"] -= tree["accessors"][index]["count"] % 3
