"""Triangle meshes as arrays: normals, edges, Laplacians, components.

Notation: vertices (V, 3), faces (F, 3) wound counter-clockwise seen from outside.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from carve.geometry.compiled import compiled
from carve.geometry.sparse import factorise


def face_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F, 3) cross products: direction is the outward normal, length is twice the area."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return np.cross(b - a, c - a)


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 3) unit normals, the area-weighted mean of the faces around each vertex."""
    return _vertex_normals(np.ascontiguousarray(vertices, dtype=float), np.ascontiguousarray(faces, dtype=np.int64))


@compiled(nogil=True)
def _vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """A loop: with whole arrays it takes ten times as long, and drawing a training sample asks three times."""
    total = np.zeros_like(vertices)
    for f in range(len(faces)):
        a, b, c = faces[f, 0], faces[f, 1], faces[f, 2]
        ux, uy, uz = vertices[b, 0] - vertices[a, 0], vertices[b, 1] - vertices[a, 1], vertices[b, 2] - vertices[a, 2]
        vx, vy, vz = vertices[c, 0] - vertices[a, 0], vertices[c, 1] - vertices[a, 1], vertices[c, 2] - vertices[a, 2]
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        for k in (a, b, c):
            total[k, 0] += nx
            total[k, 1] += ny
            total[k, 2] += nz
    for i in range(len(total)):
        length = max(np.sqrt(total[i, 0] ** 2 + total[i, 1] ** 2 + total[i, 2] ** 2), 1e-20)
        for axis in range(3):
            total[i, axis] /= length
    return total


def unique_edges(faces: np.ndarray) -> np.ndarray:
    """(E, 2) undirected edges, each once, smaller index first."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64), axis=1)
    # One number an edge: sorting rows takes ten times as long.
    count = int(edges.max(initial=0)) + 1
    keys = np.sort(edges[:, 0] * count + edges[:, 1])
    return np.column_stack(np.divmod(keys[np.flatnonzero(np.diff(keys, prepend=-1))], count))


def adjacency(faces: np.ndarray, count: int) -> sparse.csr_matrix:
    """(V, V) symmetric 0/1 matrix of the edges."""
    e = unique_edges(faces)
    ones = np.ones(len(e))
    half = sparse.coo_matrix((ones, (e[:, 0], e[:, 1])), shape=(count, count))
    return (half + half.T).tocsr()


def uniform_laplacian(faces: np.ndarray, count: int) -> sparse.csr_matrix:
    """(V, V) ``I - D^-1 A``: a vertex minus the mean of its neighbours (rows without neighbours are zero)."""
    a = adjacency(faces, count)
    degree = np.asarray(a.sum(1)).ravel()
    keep = sparse.diags((degree > 0).astype(float))
    return (keep - sparse.diags(1 / np.maximum(degree, 1)) @ a).tocsr()


def cotangent_laplacian(vertices: np.ndarray, faces: np.ndarray) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Stiffness matrix S (V, V) and lumped areas (V,) in square metres, so that ``S @ f / area`` is minus the Laplace-Beltrami operator.

    Pinkall & Polthier, "Computing discrete minimal surfaces and their conjugates" (1993); cotangents are clamped to 0.05..5 so that S
    stays positive semi-definite on slivers.
    """
    count = len(vertices)
    rows, columns, values = [], [], []
    for k in range(3):
        i, j, o = faces[:, (k + 1) % 3], faces[:, (k + 2) % 3], faces[:, k]
        a, b = vertices[i] - vertices[o], vertices[j] - vertices[o]
        cotangent = (a * b).sum(1) / np.maximum(np.linalg.norm(np.cross(a, b), axis=1), 1e-12)
        rows.append(i)
        columns.append(j)
        values.append(0.5 * np.clip(cotangent, 0.05, 5.0))
    half = sparse.coo_matrix((np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=(count, count))
    weights = (half + half.T).tocsr()
    area = np.bincount(faces.ravel(), np.repeat(np.linalg.norm(face_normals(vertices, faces), axis=1) / 6, 3), minlength=count)
    return (sparse.diags(np.asarray(weights.sum(1)).ravel()) - weights).tocsr(), area


def smooth(vertices: np.ndarray, faces: np.ndarray, rounds: int, step: float = 0.5, back: float = -0.53) -> np.ndarray:
    """Taubin's lambda|mu smoothing (SIGGRAPH 1995): low-pass without shrinking. Works on any per-vertex values (V, C)."""
    laplacian = uniform_laplacian(faces, len(vertices))
    values = np.asarray(vertices, float)
    for _ in range(rounds):
        values = values - step * (laplacian @ values)
        values = values - back * (laplacian @ values)
    return values


def diffuse(values: np.ndarray, faces: np.ndarray, rounds: int, step: float = 0.5) -> np.ndarray:
    """Plain Laplacian averaging of per-vertex values (V, C): smooths and shrinks."""
    laplacian = uniform_laplacian(faces, len(values))
    for _ in range(rounds):
        values = values - step * (laplacian @ values)
    return values


def membrane(vertices: np.ndarray, faces: np.ndarray, cover: np.ndarray, scale: float, rounds: int) -> np.ndarray:
    """(V, 3) a taut membrane over vertices (V, 3): smoothed again and again, pushed back out wherever the surface stands through it.

    One round is an implicit step of mean curvature flow, (A + ell^2 S) x' = A x (Desbrun et al., SIGGRAPH 1999). Hollows are bridged, what
    stands out stays.

    Args:
        vertices: (V, 3) metres.
        faces: (F, 3).
        cover: (V,) 1 where it is a membrane, 0 where it is the surface itself.
        scale: ell, metres.
        rounds: of smoothing; hollows as wide as about ell times their root are bridged.
    """
    stiffness, area = cotangent_laplacian(vertices, faces)
    system = (sparse.diags(np.maximum(area, 1e-9)) + scale**2 * stiffness).tocsc()
    solver = factorise(system)
    hung = vertices
    for _ in range(rounds):
        hung = hung + cover[:, None] * (solver.solve(np.maximum(area, 1e-9)[:, None] * hung) - hung)
        normals = vertex_normals(hung, faces)
        out = np.clip(((vertices - hung) * normals).sum(1), 0.0, 0.01)
        hung = hung + out[:, None] * normals
    return hung


def components(faces: np.ndarray, count: int) -> np.ndarray:
    """(V,) label of the connected component of each vertex."""
    return csgraph.connected_components(adjacency(faces, count), directed=False)[1]


def compact(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Drop unused vertices: new vertices, new faces, and the old index of each new vertex."""
    used = np.unique(faces)
    index = np.full(len(vertices), -1)
    index[used] = np.arange(len(used))
    return vertices[used], index[faces], used


def largest_component(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Keep the component whose bounding box is largest."""
    label = components(faces, len(vertices))
    sizes = [np.ptp(vertices[label == k], axis=0).max() if (label == k).any() else 0 for k in range(label.max() + 1)]
    kept = faces[label[faces[:, 0]] == int(np.argmax(sizes))]
    return compact(vertices, kept)[:2]


def boundary_edges(faces: np.ndarray) -> np.ndarray:
    """(E, 2) directed edges without an opposite partner; empty for a watertight, consistently wound mesh."""
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    n = int(faces.max()) + 1
    # A sparse matrix sorts edges by their rows, which is quicker than sorting them all.
    there = sparse.csr_matrix((np.ones(len(directed), np.int32), (directed[:, 0], directed[:, 1])), shape=(n, n))
    return directed[np.asarray(there[directed[:, 1], directed[:, 0]]).ravel() == 0]


def is_watertight(faces: np.ndarray) -> bool:
    """Every directed edge occurs once and its opposite once."""
    a, b = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64).T
    return len(np.unique(a * (b.max() + 1) + b)) == len(a) and len(boundary_edges(faces)) == 0


def signed_volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    """Enclosed volume by the divergence theorem; positive when the faces are wound outward."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    return float(np.einsum("fi,fi->", a, np.cross(b, c)) / 6)
