from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from browser import in_the_browser
from carve.export.formats.simplify import simplified
from carve.export.normal_map import baked, vertex_tangents, with_normal_map
from carve.export.options import ExportOptions
from carve.export.outputs import glb_bytes, reduced, with_texture
from carve.export.records import Asset
from carve.geometry.mesh import face_normals, signed_volume, vertex_normals
from gltf_validator import assert_valid
from optional import needs


@pytest.fixture(scope="module")
def coarse(with_shapes: Asset) -> Asset:
    needs("meshoptimizer")
    return reduced(with_shapes, 5000)


def test_what_is_left_keeps_all_that_it_had(with_shapes: Asset, coarse: Asset) -> None:
    assert 4000 < len(coarse.faces) <= 5000
    own = {tuple(p): k for k, p in enumerate(with_shapes.vertices)}
    index = np.array([own[tuple(p)] for p in coarse.vertices])
    for name in ("normals", "bones", "weights", "confidence", "region"):
        np.testing.assert_array_equal(getattr(coarse, name), getattr(with_shapes, name)[index])
    for before, after in zip(with_shapes.shapes, coarse.shapes, strict=True):
        dense = np.zeros((len(with_shapes.vertices), 3))
        dense[before.vertices] = before.offsets
        np.testing.assert_array_equal(after.offsets, dense[index[after.vertices]])


def test_face_and_hands_keep_more_than_their_share(with_shapes: Asset, coarse: Asset) -> None:
    plain = simplified(replace(with_shapes, shapes=(), region=np.zeros_like(with_shapes.region)), 5000)

    def of_the_face(asset: Asset) -> int:
        eyes = with_shapes.skeleton.heads[with_shapes.skeleton.index("leftEye")]
        return int((np.linalg.norm(asset.vertices - eyes * [0, 1, 1], axis=1) < 0.08).sum())

    assert of_the_face(coarse) > 1.1 * of_the_face(plain)


def test_the_form_stays(with_shapes: Asset, coarse: Asset) -> None:
    assert np.abs(signed_volume(coarse.vertices, coarse.faces) / signed_volume(with_shapes.vertices, with_shapes.faces) - 1) < 0.02
    middle = coarse.vertices[coarse.faces].mean(1)
    assert np.percentile(cKDTree(with_shapes.vertices).query(middle)[0], 95) < 0.02


def test_more_than_there_are_changes_nothing(with_shapes: Asset) -> None:
    assert simplified(with_shapes, 10**6) is with_shapes


def grid(count: int, bump: float) -> Asset:
    """A square of count x count cells over the unit square of UVs, with a bump; a quad of the same UVs if count is 1."""
    line = np.linspace(0, 1, count + 1)
    x, y = (a.ravel() for a in np.meshgrid(line, line))
    z = bump * np.sin(2 * np.pi * x) * np.sin(2 * np.pi * y)
    vertices = np.column_stack([x, y, z])
    cell = (np.arange(count)[:, None] * (count + 1) + np.arange(count)).ravel()
    faces = np.concatenate(
        [np.column_stack([cell, cell + 1, cell + count + 2]), np.column_stack([cell, cell + count + 2, cell + count + 1])]
    )
    return Asset(
        "grid", vertices, vertex_normals(vertices, faces), faces, np.arange(len(x)), faces, np.column_stack([x, 1 - y]),
        np.zeros((len(x), 4), int), np.tile([1.0, 0, 0, 0], (len(x), 1)), np.ones(len(x)), np.zeros(len(x), np.uint8), None,
        np.zeros((256, 256, 3), np.uint8), np.zeros((256, 256), np.uint8), 1.0, 1.0, "grid",
    )  # fmt: skip


def test_tangents_of_a_square_follow_its_texture() -> None:
    tangents = vertex_tangents(grid(4, 0.0))
    np.testing.assert_allclose(tangents, np.tile([1.0, 0, 0, 1.0], (25, 1)), atol=1e-12)
    mirrored = replace(grid(4, 0.0), uv=grid(4, 0.0).uv * [-1, 1] + [1, 0])
    np.testing.assert_allclose(vertex_tangents(mirrored), np.tile([-1.0, 0, 0, -1.0], (25, 1)), atol=1e-12)


def test_the_map_holds_the_fine_normals() -> None:
    fine, flat = grid(64, 0.03), grid(1, 0.0)
    image = with_normal_map(flat, fine, 256).normal_map
    assert image is not None
    u = (np.arange(256) + 0.5) / 256
    x, y = np.meshgrid(u, 1 - u)
    slope_x = 0.03 * 2 * np.pi * np.cos(2 * np.pi * x) * np.sin(2 * np.pi * y)
    slope_y = 0.03 * 2 * np.pi * np.sin(2 * np.pi * x) * np.cos(2 * np.pi * y)
    expected = np.stack([-slope_x, -slope_y, np.ones_like(x)], -1)
    expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
    np.testing.assert_allclose(image / 127.5 - 1, expected, atol=0.03)


def test_a_mesh_baked_onto_itself_gives_the_flat_map(with_shapes: Asset) -> None:
    image = baked(replace(with_shapes, tangents=vertex_tangents(with_shapes)), with_shapes, 128)
    off = np.linalg.norm(image / 127.5 - 1 - [0, 0, 1], axis=-1)
    assert np.percentile(off, 99) < 0.02


@pytest.mark.parametrize("kind", ["none", "meshopt", "draco"])
def test_programs_read_every_way_of_packing(coarse: Asset, tmp_path: Path, kind: str) -> None:
    if kind == "draco":
        needs("DracoPy")
    (tmp_path / "small.glb").write_bytes(glb_bytes(coarse, ExportOptions(compress=kind)))
    assert_valid(tmp_path / "small.glb")
    seen = in_the_browser("load", tmp_path / "small.glb")
    assert seen["triangles"] == len(coarse.faces) and seen["normalMap"]
    assert abs(seen["lowest"]) < 1e-3
    assert seen["morphs"] == 67


def test_packed_files_are_smaller(coarse: Asset) -> None:
    needs("DracoPy")
    plain, meshopt, draco = (len(glb_bytes(coarse, ExportOptions(compress=kind))) for kind in ("none", "meshopt", "draco"))
    assert meshopt < 0.7 * plain and draco < plain


def test_the_texture_takes_the_size_that_is_asked_for(with_shapes: Asset) -> None:
    small = with_texture(with_shapes, 32)
    assert small.albedo.shape == (32, 32, 3) and small.seen.shape == (32, 32)
    assert face_normals(small.vertices, small.faces).shape == small.faces.shape
