"""The avatar in older formats, in the rest pose (body frame, metres), without its skeleton.

Written by hand because the vertices are to stay welded: libraries split them at the texture's seams, and the surface would no longer be
watertight. OBJ: Wavefront, Advanced Visualizer appendix B1; PLY: Turk 1994.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from carve.geometry.mesh import vertex_normals
from carve.geometry.pictures.colour import srgb_from_linear
from carve.geometry.pictures.sampling import sample_texture
from carve.records import Avatar, TexturedSurface

_MATERIAL = """newmtl albedo
Ka 0 0 0
Kd 1 1 1
Ks 0 0 0
illum 1
map_Kd avatar.png
"""


def write_obj(folder: Path, avatar: Avatar) -> None:
    """Write avatar.obj, avatar.mtl and avatar.png into an existing folder."""
    textured, surface = avatar.textured, avatar.surface.canonical
    normals = vertex_normals(surface.vertices, surface.faces)
    uv = np.column_stack([textured.uv[:, 0], 1 - textured.uv[:, 1]])  # OBJ counts v from the bottom of the image
    welded, split = textured.corner[textured.faces] + 1, textured.faces + 1
    with (folder / "avatar.obj").open("w", encoding="ascii") as file:
        file.write("# metres, +Y up, facing +Z\nmtllib avatar.mtl\no avatar\n")
        np.savetxt(file, surface.vertices, "v %.6f %.6f %.6f")
        np.savetxt(file, uv, "vt %.6f %.6f")
        np.savetxt(file, normals, "vn %.4f %.4f %.4f")
        file.write("usemtl albedo\n")
        columns = np.stack([welded, split, welded], axis=2).reshape(-1, 9)
        np.savetxt(file, columns, "f %d/%d/%d %d/%d/%d %d/%d/%d")
    (folder / "avatar.mtl").write_text(_MATERIAL, encoding="ascii")
    Image.fromarray(textured.albedo).save(folder / "avatar.png")


def write_ply(path: Path, avatar: Avatar) -> None:
    """Write a binary PLY file with a normal and a colour for each vertex."""
    surface = avatar.surface.canonical
    floats = [(name, "<f4") for name in ("x", "y", "z", "nx", "ny", "nz")]
    vertices = np.zeros(len(surface.vertices), np.dtype([*floats, ("red", "u1"), ("green", "u1"), ("blue", "u1")]))
    values = np.column_stack([surface.vertices, vertex_normals(surface.vertices, surface.faces)])
    for column, (name, _) in enumerate(floats):
        vertices[name] = values[:, column]
    colours = vertex_colours(avatar.textured, len(surface.vertices))
    for channel, name in enumerate(("red", "green", "blue")):
        vertices[name] = colours[:, channel]
    faces = np.zeros(len(surface.faces), np.dtype([("count", "u1"), ("index", "<i4", 3)]))
    faces["count"], faces["index"] = 3, surface.faces
    properties = [f"property float {name}" for name, _ in floats] + [f"property uchar {name}" for name in ("red", "green", "blue")]
    header = [
        "ply",
        "format binary_little_endian 1.0",
        "comment metres, +Y up, facing +Z",
        f"element vertex {len(vertices)}",
        *properties,
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header\n",
    ]
    path.write_bytes("\n".join(header).encode("ascii") + vertices.tobytes() + faces.tobytes())


def vertex_colours(textured: TexturedSurface, count: int) -> np.ndarray:
    """(V, 3) uint8 sRGB: the texture at each of `count` surface vertices, the mean in linear light where charts meet."""
    light = sample_texture(textured.albedo, textured.uv)
    corners = np.maximum(np.bincount(textured.corner, minlength=count), 1)
    total = [np.bincount(textured.corner, light[:, channel], minlength=count) / corners for channel in range(3)]
    return srgb_from_linear(np.stack(total, axis=1))
