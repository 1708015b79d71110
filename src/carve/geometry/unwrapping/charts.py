"""Cutting a surface into charts and flattening each: least squares conformal maps.

Notation: a chart is a connected set of triangles; its flat coordinates z = x + i y are complex numbers.
Sources: Levy et al., "Least Squares Conformal Maps", SIGGRAPH 2002 (one complex equation a triangle, two pinned vertices).
"""

from __future__ import annotations

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from scipy.sparse.linalg import splu

from carve.geometry.compiled import compiled
from carve.geometry.mesh import compact, face_normals

_LOOKED_AT = 384
"""Pixels along the side of the picture in which a chart is searched for places that lie over each other."""
_OVERLAID = 0.004
"""Share of a chart's area that may."""
_FEWEST = 30
"""Triangles of the smallest chart that such a chart is cut into."""


def face_neighbours(faces: np.ndarray) -> np.ndarray:
    """(N, 2) pairs of triangles that share an edge."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64), axis=1)
    key = edges[:, 0] * (int(faces.max()) + 1) + edges[:, 1]
    order = np.argsort(key, kind="stable")
    face = np.tile(np.arange(len(faces)), 3)[order]
    same = key[order][1:] == key[order][:-1]
    return np.stack([face[:-1][same], face[1:][same]], axis=1)


def connected(labels: np.ndarray, neighbours: np.ndarray) -> np.ndarray:
    """(F,) index of the connected set of equally labelled triangles that each triangle belongs to."""
    inner = neighbours[labels[neighbours[:, 0]] == labels[neighbours[:, 1]]]
    graph = sparse.coo_matrix((np.ones(len(inner)), (inner[:, 0], inner[:, 1])), shape=(len(labels), len(labels)))
    return csgraph.connected_components(graph, directed=False)[1]


def absorb_small(charts: np.ndarray, neighbours: np.ndarray, smallest: int, rounds: int = 8) -> np.ndarray:
    """Give charts (F,) of fewer than `smallest` triangles to the neighbour that they share most edges with."""
    for _ in range(rounds):
        charts = np.unique(charts, return_inverse=True)[1]
        size = np.bincount(charts)
        pairs = charts[np.concatenate([neighbours, neighbours[:, ::-1]])]
        pairs = pairs[(pairs[:, 0] != pairs[:, 1]) & (size[pairs[:, 0]] < smallest)]
        # A chart joins only a larger one (ties by index), so that two small ones do not merely swap their names.
        rank = size * len(size) + np.arange(len(size))
        pairs = pairs[rank[pairs[:, 1]] > rank[pairs[:, 0]]]
        if len(pairs) == 0:
            break
        links, shared = np.unique(pairs, axis=0, return_counts=True)
        target = np.arange(len(size))
        order = np.argsort(shared, kind="stable")
        target[links[order, 0]] = links[order, 1]
        charts = target[charts]
    return np.unique(charts, return_inverse=True)[1]


def flatten(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(V, 2) least squares conformal map of one chart, scaled to the chart's own area."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    along = b - a
    length = np.linalg.norm(along, axis=1)
    area = np.linalg.norm(np.cross(along, c - a), axis=1).sum() / 2
    # Triangles without length or height take part as thin ones; their equations would drown out all others.
    least = 0.05 * max(float(np.median(length)), 1e-9)
    x = np.einsum("fi,fi->f", c - a, along) / np.maximum(length, least)
    height = np.maximum(np.linalg.norm(np.cross(along, c - a), axis=1) / np.maximum(length, least), least)
    length = np.maximum(length, least)
    flat = np.stack([np.zeros_like(length) + 0j, length + 0j, x + 1j * height], axis=1)
    # Row f: sum_j W_j z_j = 0 says that triangle f is mapped by a similarity.
    opposite = np.roll(flat, -2, axis=1) - np.roll(flat, -1, axis=1)
    rows = np.repeat(np.arange(len(faces)), 3)
    scale = np.sqrt(length * height)[:, None]
    system = sparse.csr_matrix(((opposite / scale).ravel(), (rows, faces.ravel())), shape=(len(faces), len(vertices)))
    # Two far ends of the rim are pinned: an inner vertex would fold its surroundings.
    rim = _rim(faces)
    first = rim[int(np.argmax(np.linalg.norm(vertices[rim] - vertices.mean(0), axis=1)))]
    second = rim[int(np.argmax(np.linalg.norm(vertices[rim] - vertices[first], axis=1)))]
    pinned = np.array([first, second])
    free = np.setdiff1d(np.arange(len(vertices)), pinned)
    z = np.zeros(len(vertices), complex)
    z[second] = np.linalg.norm(vertices[second] - vertices[first])
    if len(free):
        part = system[:, free]
        normal = (part.conj().T @ part).tocsc() + 1e-12 * sparse.identity(len(free), format="csc")
        # Hermitian and positive definite: no pivoting, and an ordering for such matrices, halve the time.
        solver = splu(normal, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
        z[free] = solver.solve(-(part.conj().T @ (system[:, pinned] @ z[pinned])))
    uv = np.stack([z.real, z.imag], axis=1)
    extent = float(np.ptp(vertices, axis=0).max())
    if not _fits(uv, faces, area, extent):
        # Splintered triangles can still make the system singular: look at such a chart along its thinnest direction.
        offsets = vertices - vertices.mean(0)
        uv = offsets @ np.linalg.svd(offsets.T @ offsets)[0][:, :2]
        if not _fits(uv, faces, area, extent):
            return uv
    return uv * np.sqrt(area / np.abs(signed_areas(uv, faces)).sum())


def _fits(uv: np.ndarray, faces: np.ndarray, area: float, extent: float) -> bool:
    """A flat chart that, scaled to `area`, is at most ten times as long as the chart in space, `extent`."""
    own = float(np.abs(signed_areas(uv, faces)).sum())
    return bool(np.isfinite(uv).all()) and own > 0 and float(np.ptp(uv, axis=0).max()) * np.sqrt(area / own) < 10 * extent


def _rim(faces: np.ndarray) -> np.ndarray:
    """Vertices on the border; all of them where there is none."""
    edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64), axis=1)
    most = int(edges.max()) + 1
    key = np.sort(edges[:, 0] * most + edges[:, 1])  # one number an edge: sorting rows takes ten times as long
    new = np.flatnonzero(np.diff(key, prepend=-1))
    single = key[new[np.diff(new, append=len(key)) == 1]]
    return np.unique(np.divmod(single, most)) if len(single) else np.unique(faces)


def signed_areas(uv: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(F,) signed areas of flat triangles, positive when counter-clockwise."""
    p, q = uv[faces[:, 1]] - uv[faces[:, 0]], uv[faces[:, 2]] - uv[faces[:, 0]]
    return (p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]) / 2


def stretch(vertices: np.ndarray, faces: np.ndarray, uv: np.ndarray) -> float:
    """How unevenly a flat chart holds its area: the 97th over the 3rd percentile of flat to true area, weighted by true area.

    Folded triangles count as infinitely squeezed.
    """
    true = np.linalg.norm(face_normals(vertices, faces), axis=1) / 2
    ratio = signed_areas(uv, faces) / np.maximum(true, 1e-20)
    order = np.argsort(ratio)
    share = np.cumsum(true[order]) / true.sum()
    low, high = np.interp([0.03, 0.97], share, ratio[order])
    return float(high / low) if low > 0 else float("inf")


def overlaid(uv: np.ndarray, faces: np.ndarray) -> float:
    """Share of a flat chart's area that lies over other parts of it: a pocket may curl over its surroundings without a folded triangle."""
    low = uv.min(0)
    scale = (_LOOKED_AT - 1) / max(float(np.ptp(uv, axis=0).max()), 1e-12)
    hits = np.zeros((_LOOKED_AT, _LOOKED_AT), np.int32)
    _hit((uv - low) * scale, faces.astype(np.int64), hits)
    return float(np.maximum(hits - 1, 0).sum() / max(int(hits.sum()), 1))


@compiled(nogil=True)
def _hit(uv: np.ndarray, faces: np.ndarray, hits: np.ndarray) -> None:  # pragma: no cover - compiled
    size = len(hits)
    for f in range(len(faces)):
        ax, ay = uv[faces[f, 0], 0], uv[faces[f, 0], 1]
        bx, by = uv[faces[f, 1], 0], uv[faces[f, 1], 1]
        cx, cy = uv[faces[f, 2], 0], uv[faces[f, 2], 1]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area == 0:
            continue
        for i in range(max(int(np.ceil(min(ay, by, cy) - 0.5)), 0), min(int(np.floor(max(ay, by, cy) - 0.5)), size - 1) + 1):
            y = i + 0.5
            for j in range(max(int(np.ceil(min(ax, bx, cx) - 0.5)), 0), min(int(np.floor(max(ax, bx, cx) - 0.5)), size - 1) + 1):
                x = j + 0.5
                la = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
                lb = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
                if la >= 0 and lb >= 0 and la + lb <= 1:
                    hits[i, j] += 1


def cut_and_flatten(
    vertices: np.ndarray, faces: np.ndarray, labels: np.ndarray, stretch_limit: float | np.ndarray, smallest: int
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Charts of a surface: (F,) chart of each triangle, and for each chart its flat triangles (n, 3, 2) in metres.

    A chart starts as a connected set of equal labels (F,); one that does not flatten within `stretch_limit` (of most of its triangles, if
    there is one for each), or that lies over itself, is halved along its longest axis. Charts of fewer than `smallest` triangles join a
    neighbour, whatever its label, but for parts of one that lay over itself.
    """
    neighbours = face_neighbours(faces)
    start = absorb_small(connected(labels, neighbours), neighbours, smallest)
    centres = vertices[faces].mean(1)
    limits = np.broadcast_to(stretch_limit, len(faces))
    chart = np.zeros(len(faces), np.int64)
    flat: list[np.ndarray] = []
    queue = [np.flatnonzero(start == k) for k in range(start.max() + 1)]
    while queue:
        members = queue.pop()
        own_vertices, own_faces, _ = compact(vertices, faces[members])
        uv = flatten(own_vertices, own_faces)
        stretched = stretch(own_vertices, own_faces, uv) > np.median(limits[members])
        cut = stretched and len(members) >= 2 * smallest
        if cut or (len(members) >= 2 * _FEWEST and overlaid(uv, own_faces) > _OVERLAID):
            offsets = centres[members] - centres[members].mean(0)
            axis = np.linalg.svd(offsets.T @ offsets)[0][:, 0]
            far = offsets @ axis > np.median(offsets @ axis)
            halves = _halves(members, far, own_faces, smallest if cut else _FEWEST)
            if len(halves) > 1:
                queue += halves
                continue
        chart[members] = len(flat)
        flat.append(uv[own_faces])
    return chart, flat


def _halves(members: np.ndarray, far: np.ndarray, faces: np.ndarray, smallest: int) -> list[np.ndarray]:
    """The connected parts of the two sides of a cut, without splinters."""
    neighbours = face_neighbours(faces)
    parts = absorb_small(connected(far.astype(np.int64), neighbours), neighbours, smallest)
    if parts.max() == 0:
        parts = connected(far.astype(np.int64), neighbours)
    return [members[parts == k] for k in range(parts.max() + 1)]
