from __future__ import annotations

from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from carve.geometry.mesh import is_watertight, signed_volume
from carve.io.mesh_files import vertex_colours, write_obj, write_ply
from people import CELLS, TEXELS, capsule_avatar


def test_obj_holds_the_welded_surface_and_its_texture(tmp_path: Path) -> None:
    avatar = capsule_avatar()
    write_obj(tmp_path, avatar)
    rows = [line.split() for line in (tmp_path / "avatar.obj").read_text().splitlines()]
    vertices, uv = (np.array([row[1:] for row in rows if row[0] == key], float) for key in ("v", "vt"))
    index = np.array([[corner.split("/") for corner in row[1:]] for row in rows if row[0] == "f"], int) - 1
    surface, textured = avatar.surface.canonical, avatar.textured
    np.testing.assert_allclose(vertices, surface.vertices, atol=1e-6)
    np.testing.assert_array_equal(index[..., 0], surface.faces)
    np.testing.assert_array_equal(index[..., 1], textured.faces)
    np.testing.assert_allclose(uv, textured.uv * [1, -1] + [0, 1], atol=1e-6)
    assert is_watertight(index[..., 0])
    assert {"mtllib avatar.mtl", "usemtl albedo"} <= set((tmp_path / "avatar.obj").read_text().splitlines())
    assert "map_Kd avatar.png" in (tmp_path / "avatar.mtl").read_text()
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "avatar.png")), textured.albedo)


def test_another_program_reads_the_obj(tmp_path: Path) -> None:
    avatar = capsule_avatar()
    write_obj(tmp_path, avatar)
    mesh = trimesh.load(tmp_path / "avatar.obj", force="mesh", process=False)
    np.testing.assert_allclose(mesh.volume, signed_volume(avatar.surface.canonical.vertices, avatar.surface.canonical.faces), rtol=1e-4)
    head = np.asarray(mesh.visual.uv)[mesh.vertices[:, 1] > 1.58]
    chart = np.unique(((head * [1, -1] + [0, 1]) * TEXELS).astype(int) // (TEXELS // CELLS), axis=0)
    assert chart.tolist() == [[4, 0]]  # the head is bone 4: the fifth chart of the first row, counted from the top


def test_ply_has_the_colour_of_each_part(tmp_path: Path) -> None:
    avatar = capsule_avatar()
    write_ply(tmp_path / "avatar.ply", avatar)
    mesh = trimesh.load(tmp_path / "avatar.ply", process=False)
    surface = avatar.surface.canonical
    np.testing.assert_allclose(mesh.vertices, surface.vertices, atol=1e-6)
    np.testing.assert_array_equal(mesh.faces, surface.faces)
    assert mesh.is_watertight
    part = np.arange(len(surface.vertices)) // (len(surface.vertices) // len(surface.skeleton.names))
    cell = TEXELS // CELLS
    expected = avatar.textured.albedo[part // CELLS * cell + 4, part % CELLS * cell + 4]
    np.testing.assert_array_equal(mesh.visual.vertex_colors[:, :3], expected)
    np.testing.assert_array_equal(vertex_colours(avatar.textured, len(surface.vertices)), expected)
