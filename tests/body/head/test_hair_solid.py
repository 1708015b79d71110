import manifold3d
import numpy as np
import pytest

from carve.body.finishing import face_vertices, skin_faces, solid, solid_mesh
from carve.body.head.hair_solid import tunnels, with_solid_hair
from carve.geometry.mesh import is_watertight, unique_edges
from carve.records import BodyFit
from synthetic import Truth


def ring(size: int, inner: float, outer: float) -> np.ndarray:
    grid = np.stack(np.meshgrid(*[np.arange(size) - size / 2 + 0.5] * 3, indexing="ij"))
    around = np.hypot(grid[0], grid[1]) - (inner + outer) / 2
    result: np.ndarray = np.hypot(around, grid[2]) < (outer - inner) / 2
    return result


def test_tunnels_are_counted() -> None:
    one = ring(24, 4, 10)
    assert tunnels(one) == 1
    assert tunnels(np.concatenate([one, one])) == 2
    assert tunnels(np.ones((4, 4, 4), bool)) == 0
    shell = np.ones((6, 6, 6), bool)
    shell[2:4, 2:4, 2:4] = False
    assert tunnels(shell) == 0  # a cavity is no tunnel


def handles(made: manifold3d.Manifold) -> int:
    vertices, faces = solid_mesh(made)
    return (2 - len(vertices) + len(unique_edges(faces)) - len(faces)) // 2


@pytest.fixture(scope="module")
def body(clothed: Truth) -> BodyFit:
    return clothed.body


def test_a_lock_that_stands_off_the_neck_is_closed(body: BodyFit) -> None:
    bare = solid(body.canonical, skin_faces(body))
    head = body.skeleton.heads[body.skeleton.names.index("head")]
    # A lock behind the right ear that comes out of the head and goes back into the shoulder.
    x, y, z = (float(v) for v in head)
    lock = manifold3d.Manifold.cube((0.02, 0.25, 0.02), True).translate((x - 0.085, y - 0.03, z - 0.01))
    bridge = manifold3d.Manifold.cube((0.1, 0.02, 0.02), True)
    ends = [bridge.translate((x - 0.05, y + dy, z - 0.01)) for dy in (0.08, -0.14)]
    whole = bare + lock + ends[0] + ends[1]
    chin = float(body.canonical[face_vertices(body)].min(0)[1])
    made = max(with_solid_hair(whole, body, chin).decompose(), key=lambda part: part.num_vert())  # cavities are pieces of their own
    assert handles(whole) > handles(bare) and handles(made) == handles(bare)
    assert made.volume() > whole.volume() and is_watertight(solid_mesh(made)[1])


def test_a_bare_head_stays_as_it_is(body: BodyFit) -> None:
    bare = solid(body.canonical, skin_faces(body))
    assert with_solid_hair(bare, body, float(body.canonical[face_vertices(body)].min(0)[1])) is bare
