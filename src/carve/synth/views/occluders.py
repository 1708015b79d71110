"""What stands in the way of light, by Embree: five times as many rays a second as `carve.geometry.queries` traces.

Embree calculates in single precision. Nothing but synthetic people needs that many rays, so its binding comes with the extra `synth`.
"""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np

from carve.records import CarveError


def need_embree() -> None:
    """Raise CarveError if Embree's binding is not installed: before the work that ends with it."""
    if find_spec("embreex") is None:
        raise CarveError("Synthetic people are lit by Embree; install it with: pip install 'carve[synth]'.")


class Occluders:
    """The triangles of one mesh, as rays meet them; building costs about as much as a million rays."""

    def __init__(self, vertices: np.ndarray, faces: np.ndarray) -> None:
        """`vertices` (V, 3) metres, `faces` (F, 3). Raises CarveError without Embree's binding."""
        need_embree()
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        self._scene = EmbreeScene()
        self._mesh = TriangleMesh(self._scene, np.asarray(vertices, np.float32)[np.asarray(faces, np.int64)])

    def blocked(self, origins: np.ndarray, directions: np.ndarray, limit: float = 1e3) -> np.ndarray:
        """(N,) bool: the ray from origins (N, 3) along directions (N, 3) meets a triangle within `limit` lengths of its direction."""
        if not len(origins):
            return np.zeros(0, bool)
        start, toward = (np.ascontiguousarray(each, np.float32) for each in (origins, directions))
        return np.asarray(self._scene.run(start, toward, dists=limit, query="OCCLUDED")) >= 0
