from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from carve.body.finishing import skin_faces
from carve.body.head.expressions import face_shapes
from carve.body.model import REGIONS
from carve.export.asset import Exported
from carve.export.extras.face import FAR, carried, with_face
from carve.export.extras.visemes import EXPRESSIONS, VISEMES
from carve.export.glb import asset_document
from carve.export.options import ExportOptions
from carve.export.records import Asset
from carve.gltf.buffer import to_bytes, view_bytes
from carve.records import Avatar
from gltf_validator import assert_valid


def test_on_the_bodys_own_skin_the_shapes_are_the_bodys(naked: Avatar) -> None:
    shapes, surface = face_shapes(naked.body), naked.surface.canonical
    assert shapes is not None
    moved = carried(shapes, naked.body, surface)
    index = np.unique(skin_faces(naked.body))  # the naked surface is the body's skin
    for name in ("jawOpen", "mouthSmileLeft", "browInnerUp", "cheekPuff"):
        place = shapes.names.index(name)
        head = surface.region == 1
        error = np.linalg.norm(moved[place] - shapes.offsets[place][index], axis=1)[head]
        assert np.percentile(error, 99) < 1e-3, name


def test_lips_part_and_brows_stay_in_a_blink(with_shapes: Asset) -> None:
    by_name = {shape.name: shape for shape in with_shapes.shapes}
    assert len(by_name) == 52 + 15
    jaw = by_name["jawOpen"]
    assert jaw.offsets[:, 1].min() < -0.02  # the chin goes down
    eye = with_shapes.skeleton.heads[with_shapes.skeleton.index("leftEye")]
    blink = by_name["eyeBlinkLeft"]
    assert with_shapes.vertices[blink.vertices, 1].max() < eye[1] + 0.025
    far = with_shapes.vertices[blink.vertices, 0] < -0.01
    assert np.abs(blink.offsets[far]).max(initial=0) < 1e-3


def test_hair_far_off_the_skin_does_not_move(naked: Avatar, exported: Exported) -> None:
    shapes, surface = face_shapes(naked.body), naked.surface.canonical
    assert shapes is not None
    in_front = replace(surface, vertices=surface.vertices + np.array([0.0, 0.0, 0.06]))
    far = cKDTree(naked.body.canonical).query(in_front.vertices)[0] > FAR
    moved = carried(shapes, naked.body, in_front)
    assert far[surface.region == REGIONS.index("head")].sum() > 500
    assert not moved[:, far].any() and moved[:, ~far].any()


def test_visemes_and_expressions_are_mixed_of_arkits_shapes(with_shapes: Asset) -> None:
    names = {shape.name for shape in with_shapes.shapes}
    for shares in (VISEMES | EXPRESSIONS).values():
        assert set(shares) <= names
        assert all(0 < share <= 1 for share in shares.values())
    by_name = {shape.name: shape for shape in with_shapes.shapes}
    dense = np.zeros((2, len(with_shapes.vertices), 3))
    for name, share in VISEMES["viseme_U"].items():
        dense[0, by_name[name].vertices] += share * by_name[name].offsets
    dense[1, by_name["viseme_U"].vertices] = by_name["viseme_U"].offsets
    assert np.abs(dense[0] - dense[1]).max() < 5e-4
    assert len(by_name["viseme_sil"].vertices) == 0


def test_another_body_model_has_no_shapes(naked: Avatar, exported: Exported) -> None:
    other = replace(naked, body=replace(naked.body, model="smplx"))
    assert with_face(exported.asset, other) is exported.asset


def test_the_file_holds_them_sparsely(with_shapes: Asset, tmp_path: Path) -> None:
    document = asset_document(with_shapes, ExportOptions())
    (tmp_path / "face.glb").write_bytes(to_bytes(document))
    assert_valid(tmp_path / "face.glb")
    names = document.meshes[0].extras["targetNames"]
    target = document.meshes[0].primitives[0].targets[names.index("jawOpen")]
    accessor = document.accessors[target["POSITION"]]
    rows = np.frombuffer(view_bytes(document, accessor.sparse.indices.bufferView)[: 2 * accessor.sparse.count], np.uint16)
    values = np.frombuffer(view_bytes(document, accessor.sparse.values.bufferView), np.float32).reshape(-1, 3)
    jaw = next(shape for shape in with_shapes.shapes if shape.name == "jawOpen")
    dense = np.zeros((len(with_shapes.vertices), 3), np.float32)
    dense[jaw.vertices] = jaw.offsets
    np.testing.assert_allclose(values, dense[with_shapes.corner[rows]])
    assert accessor.count == len(with_shapes.corner)
    assert accessor.min == pytest.approx(np.minimum(values.min(0), 0).tolist())
