"""The outer surface of layered solids against closed forms and against brute force, whole people included."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carve.geometry.mesh import boundary_edges, face_normals, signed_volume
from carve.records import CarveError
from carve.synth.outer import surface as outer
from carve.synth.outer.cutting import cut_at_crossings
from carve.synth.outer.reference import FINEST, BruteForce, nearest_on_triangles, reference_signed_distance, solid_angle_winding
from carve.synth.records import Layer
from solids import box, sphere


def layer(solid: tuple[np.ndarray, np.ndarray], name: str = "thing", closed: bool = True, posed: np.ndarray | None = None) -> Layer:
    vertices, faces = solid
    count = len(vertices)
    return Layer(
        name=name,
        part=1,
        canonical=vertices,
        posed=vertices if posed is None else posed,
        faces=faces,
        shown=np.ones(len(faces), bool),
        uv=np.zeros((len(faces), 3, 2)),
        bones=np.zeros((count, 4), np.int64),
        weights=np.tile([1.0, 0, 0, 0], (count, 1)),
        closed=closed,
    )


def cone(bottom: float, top: float, low: float, high: float, sides: int = 48, rows: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """An open cone around y, wound outward, with a doubled seam."""
    share, angle = np.meshgrid(np.linspace(0, 1, rows + 1), np.linspace(0, 2 * np.pi, sides + 1), indexing="ij")
    radius = bottom + share * (top - bottom)
    points = np.stack([radius * np.sin(angle), low + share * (high - low), radius * np.cos(angle)], -1).reshape(-1, 3)
    i, j = np.meshgrid(np.arange(rows), np.arange(sides), indexing="ij")
    a = (i * (sides + 1) + j).ravel()
    return points, np.concatenate([np.stack([a, a + 1, a + sides + 2], 1), np.stack([a, a + sides + 2, a + sides + 1], 1)])


def capsule(radius: float, half: float, splits: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """A sphere whose upper and lower halves are moved apart by `half` each along y."""
    vertices, faces = sphere(radius, splits=splits)
    return vertices + np.array([0.0, half, 0.0]) * np.sign(vertices[:, 1:2]), faces


def volume(surface: outer.OuterSurface) -> float:
    return signed_volume(surface.vertices, surface.faces)


def dressed() -> list[Layer]:
    """A capsule as a body, a skirt, and a sleeve-like cylinder that pierces the body across."""
    x, y, z = cone(0.08, 0.07, -0.35, 0.35, sides=24)[0].T
    sleeve = (np.column_stack([y, 0.3 - x, z]), cone(0.08, 0.07, -0.35, 0.35, sides=24)[1])
    return [
        layer(capsule(0.15, 0.5, splits=2), "skin"),
        layer(cone(0.35, 0.13, -0.4, 0.1), "skirt", closed=False),
        layer(sleeve, "sleeves", closed=False),
    ]


def test_two_boxes_in_closed_form() -> None:
    first, second = box((0.4, 0.4, 0.4)), box((0.4, 0.2, 0.2), centre=(0.3, 0.01, 0.02))
    surface = outer.outer_surface([layer(first), layer(second)], "canonical")
    assert surface.exact
    assert not surface.notes
    assert volume(surface) == pytest.approx(0.4**3 + 0.3 * 0.2 * 0.2)
    areas = np.linalg.norm(face_normals(surface.vertices, surface.faces), axis=1) / 2
    assert areas[surface.layer == 0].sum() == pytest.approx(6 * 0.4**2 - 0.2**2)
    assert areas[surface.layer == 1].sum() == pytest.approx(4 * 0.3 * 0.2 + 0.2**2)
    assert not surface.cap.any()
    points = np.random.default_rng(0).uniform(-0.6, 0.6, (3000, 3))

    def box_distance(size: tuple[float, ...], centre: tuple[float, ...]) -> np.ndarray:
        q = np.abs(points - centre) - np.array(size) / 2
        return np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(1), 0)

    # Outside, the distance to a union is the smaller of the two.
    exact = np.minimum(box_distance((0.4,) * 3, (0, 0, 0)), box_distance((0.4, 0.2, 0.2), (0.3, 0.01, 0.02)))
    found = outer.signed_distance(surface, points)
    np.testing.assert_array_equal(found < 0, exact < 0)
    np.testing.assert_allclose(found[exact > 0], exact[exact > 0], atol=1e-6)
    # Inside the first, the nearest wall may be the one that the second covers: then the rim of the opening counts.
    p = np.array([[0.17, 0.01, 0.02], [0.17, 0.1, 0.02], [0.4, 0.01, 0.02]])
    expected = [-np.hypot(0.03, 0.1), -np.hypot(0.03, 0.01), -0.1]
    np.testing.assert_allclose(outer.signed_distance(surface, p), expected, atol=1e-6)


def test_distance_near_a_covered_wall_needs_the_cut() -> None:
    """A coarse wall pierced by a thin rod: without the cut the whole wall or none of it would count."""
    wall, rod = box((1.0, 1.0, 0.1)), box((0.06, 0.06, 1.0), centre=(0.013, 0.021, 0.0))
    surface = outer.outer_surface([layer(wall), layer(rod)], "posed")
    assert surface.exact
    middle = np.array([[0.013, 0.021, 0.045]])
    assert outer.signed_distance(surface, middle)[0] == pytest.approx(-np.hypot(0.03, 0.005), abs=1e-6)
    beside = np.array([[0.013 + 0.031, 0.021, 0.045]])
    assert outer.signed_distance(surface, beside)[0] == pytest.approx(-0.005, abs=1e-6)


def test_a_skirt_round_a_capsule_is_filled() -> None:
    body, skirt = capsule(0.12, 0.5), cone(0.4, 0.15, -0.45, 0.1)
    surface = outer.outer_surface([layer(body, "skin"), layer(skirt, "skirt", closed=False)], "canonical")
    assert surface.exact
    assert surface.cap.any()
    assert (surface.layer[surface.cap] == 1).all()
    # Below the hem, above the hem beside the legs, and beside the skirt.
    points = np.array([[0.25, -0.46, 0.0], [0.25, -0.44, 0.0], [0.41, -0.44, 0.0]])
    np.testing.assert_allclose(outer.signed_distance(surface, points)[:2], [0.01, -0.01], atol=1e-6)
    assert outer.signed_distance(surface, points)[2] > 0
    # The lower cap is the hem's polygon less the capsule's.
    low = np.abs(surface.vertices[surface.faces][..., 1] + 0.45).max(1) < 1e-9
    area = np.linalg.norm(face_normals(surface.vertices, surface.faces), axis=1) / 2
    hem = 0.5 * 48 * 0.4**2 * np.sin(2 * np.pi / 48)
    assert area[low & surface.cap].sum() == pytest.approx(hem - np.pi * 0.12**2, rel=2e-3)


def test_brute_force_agrees_on_layers_that_pierce_each_other() -> None:
    layers = dressed()
    surface = outer.outer_surface(layers, "canonical")
    assert surface.exact
    solids, _ = outer.person_solids(layers, "canonical")
    samples = outer.sample_signed(surface, (5, 40, 15), np.random.default_rng(2))
    reference = reference_signed_distance(solids, samples.points.astype(float), finest=5e-4)
    np.testing.assert_array_equal(samples.distance < 0, reference < 0)
    np.testing.assert_allclose(samples.distance, reference, atol=1e-3)
    assert 0.2 < (reference < 0).mean() < 0.8


def test_the_outer_surface_is_where_brute_force_changes_sides() -> None:
    layers = dressed()
    surface = outer.outer_surface(layers, "canonical")
    union = BruteForce(outer.person_solids(layers, "canonical")[0])
    samples = outer.sample_signed(surface, (300, 10, 10), np.random.default_rng(3))
    on, normal = samples.surface.astype(float), samples.normal.astype(float)
    assert not union.inside(on + 2e-6 * normal).any()
    assert union.inside(on - 2e-6 * normal).all()


def test_a_surface_that_crosses_itself() -> None:
    """A dumb-bell bent until its two balls overlap: one closed surface, w = 2 where they do."""
    ball, faces = sphere(0.3, splits=3)
    vertices = np.concatenate([ball - np.array([0.2, 0, 0]), ball + np.array([0.2, 0.003, 0.002])])
    both = np.concatenate([faces, faces + len(ball)])
    # A tube of three quads, thin as a thread, joins triangle 0 of each so that the surface is one.
    far = [0, len(faces) + 7]
    joined = np.delete(both, far, axis=0)
    a, b = both[far[0]], both[far[1]]
    tube = [t for k in range(3) for t in ((a[k], a[(k + 1) % 3], b[-k]), (a[(k + 1) % 3], b[-k - 1], b[-k]))]
    solid = layer((vertices, np.concatenate([joined, tube])))
    assert len(boundary_edges(solid.faces)) == 0
    surface = outer.outer_surface([solid], "canonical")
    assert surface.exact
    solids, _ = outer.person_solids([solid], "canonical")
    middle = np.array([[0.0, 0.05, 0.02]])
    assert solid_angle_winding(vertices, solid.faces, middle)[0] == pytest.approx(2, abs=1e-9)
    points = np.random.default_rng(4).uniform(-0.55, 0.55, (40, 3))
    reference = reference_signed_distance(solids, points)
    np.testing.assert_allclose(outer.signed_distance(surface, points), reference, atol=2 * FINEST)


def test_faces_that_share_a_corner_and_cross() -> None:
    """Two pyramids on a pentagram: one closed surface, w = 2 round its axis. Each face runs through others that have the apex in common."""
    turn = np.arange(10) * np.pi / 5
    # The inner corners are where the pentagram's lines cross.
    radius = np.where(np.arange(10) % 2 == 0, 0.5, 0.5 * np.cos(0.4 * np.pi) / np.cos(0.2 * np.pi))
    ring = np.column_stack([radius * np.cos(turn), radius * np.sin(turn), np.zeros(10)])
    vertices = np.concatenate([ring, [[0, 0, 0.3], [0, 0, -0.4]]])

    def pyramids(corners: np.ndarray) -> np.ndarray:
        onward, apex = np.roll(corners, -1), np.full(len(corners), 10)
        return np.concatenate([np.column_stack([corners, onward, apex]), np.column_stack([onward, corners, apex + 1])])

    star, outline = pyramids(np.arange(5) * 4 % 10), pyramids(np.arange(10))
    assert solid_angle_winding(vertices, star, np.zeros((1, 3)))[0] == pytest.approx(2, abs=1e-9)
    points = np.random.default_rng(5).uniform(-0.5, 0.5, (30, 3))
    corners = np.repeat(vertices[outline][None], len(points), 0).reshape(-1, 3, 3)
    away = np.linalg.norm(nearest_on_triangles(corners, np.repeat(points, 20, 0)) - np.repeat(points, 20, 0), axis=1)
    exact = away.reshape(-1, 20).min(1) * np.where(solid_angle_winding(vertices, outline, points) > 0.5, -1, 1)
    solid = outer.Solid(vertices, star, np.zeros(10, bool), 0)
    np.testing.assert_allclose(reference_signed_distance([solid], points), exact, atol=2 * FINEST)
    surface = outer.outer_surface([layer((vertices, star))], "canonical")
    assert surface.exact
    np.testing.assert_allclose(outer.signed_distance(surface, points), exact, atol=1e-6)


def test_a_fin_that_runs_out_into_nothing() -> None:
    """A box with a fin from 2 micrometres to none, through which a rod passes: pieces of the fin near its edge count like all others."""
    outline = np.array([[0, 0], [0.2, 0], [0.1, 2e-6], [0.1, 0.1], [0, 0.1]])
    vertices = np.concatenate([np.column_stack([outline, np.full(5, z)]) for z in (-0.1, 0.1)])
    end = np.array([[2, 3, 4], [2, 4, 0], [2, 0, 1]])
    sides = [t for i in range(5) for t in ([i, (i + 1) % 5, i + 5], [(i + 1) % 5, (i + 1) % 5 + 5, i + 5])]
    finned = layer((vertices, np.concatenate([end[:, ::-1], end + 5, sides])))
    rod = layer(box((0.01, 0.1, 0.02), centre=(0.17, 0.0, 0.0)))
    surface = outer.outer_surface([finned, rod], "canonical")
    assert surface.exact
    assert not surface.notes
    assert volume(surface) == pytest.approx(0.2 * (0.1 * 0.1 + 0.1 * 2e-6 / 2) + 0.01 * 0.1 * 0.02, abs=1e-8)
    points = np.array([[0.21, 0.0, 0.01], [0.19, 0.02, -0.07], [0.15, -0.01, 0.05], [0.2, 0.0, 0.103]])
    np.testing.assert_allclose(outer.signed_distance(surface, points), [0.01, 0.02, 0.01, 0.003], atol=1e-6)


def test_interior_is_where_solid_angles_say() -> None:
    layers = dressed()
    solids, _ = outer.person_solids(layers, "canonical")
    interior = outer.Interior(solids)
    rng = np.random.default_rng(7)
    corners = np.concatenate([s.vertices[s.faces] for s in solids])
    face = rng.integers(len(corners), size=300)
    on, normal = (
        np.einsum("nk,nkd->nd", rng.dirichlet(np.ones(3), 300), corners[face]),
        np.cross(*np.diff(corners[face], axis=1).swapaxes(0, 1)),
    )
    step = 1e-8 * normal / np.linalg.norm(normal, axis=1, keepdims=True)
    points = np.concatenate([rng.uniform(-0.6, 0.6, (300, 3)), on + step, on - step])
    winding = np.stack([solid_angle_winding(s.vertices, s.faces, points) for s in solids], 1)
    np.testing.assert_array_equal(interior.holds(points), (winding > 0.5).any(1))
    own = rng.integers(len(solids), size=len(points))
    np.testing.assert_array_equal(interior.holds(points, own), winding[np.arange(len(points)), own] > 0.5)


def test_cuts_cover_each_triangle_and_cross_nothing() -> None:
    rng = np.random.default_rng(6)
    vertices = rng.uniform(-1, 1, (60, 3))
    faces = np.arange(60).reshape(-1, 3)
    pieces = cut_at_crossings(vertices, faces)
    assert pieces.cut.sum() > 10
    area = np.zeros(20)
    for k, face in enumerate(pieces.face):
        polygon = pieces.points[pieces.start[k] : pieces.start[k + 1]]
        parts = np.cross(polygon[1:-1] - polygon[0], polygon[2:] - polygon[0])
        normal = np.cross(*(vertices[faces[face, j]] - vertices[faces[face, 0]] for j in (1, 2)))
        assert (parts @ normal > -1e-12).all()
        area[face] += np.linalg.norm(parts, axis=1).sum() / 2
    whole = np.linalg.norm(face_normals(vertices, faces), axis=1) / 2
    np.testing.assert_allclose(area[pieces.cut], whole[pieces.cut], rtol=1e-9)
    # No triangle passes through the inside of a piece: the segment between any two of its points crosses no triangle.
    for k, face in enumerate(pieces.face):
        polygon = pieces.points[pieces.start[k] : pieces.start[k + 1]]
        share = rng.dirichlet(np.ones(len(polygon)), (2, 4))
        for start, end in zip(share[0] @ polygon, share[1] @ polygon, strict=True):
            assert not _crosses(start, end, vertices[np.delete(faces, face, axis=0)]).any()


def _crosses(start: np.ndarray, end: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """(F,) bool: the open segment passes through the triangle, by signs of tetrahedra's volumes."""

    def side(a: np.ndarray, b: np.ndarray, c: np.ndarray, d: np.ndarray) -> np.ndarray:
        return np.sign(np.einsum("...i,...i->...", np.cross(b - a, c - a), d - a))

    a, b, c = triangles[:, 0], triangles[:, 1], triangles[:, 2]
    apart = side(a, b, c, start[None]) * side(a, b, c, end[None]) < 0
    turns = np.stack([side(start[None], end[None], p, q) for p, q in ((a, b), (b, c), (c, a))])
    return apart & (np.abs(turns.sum(0)) == 3)


def test_rough_garments_do_not_break_it() -> None:
    """Doubled faces, a flipped patch, a fin on an edge, a thread of no thickness: noted or mended, and still the same solid."""
    vertices, faces = cone(0.3, 0.25, -0.3, 0.3)
    flipped = faces.copy()
    flipped[40:60] = flipped[40:60][:, ::-1]
    count = len(vertices)
    fin = np.array([[faces[10, 0], faces[10, 1], count]])
    thread = np.array([[count + 1, count + 2, count + 3], [count + 1, count + 3, count + 4]])
    more = np.array([[0.1, 0.0, 0.1], [0.5, 0.0, 0.0], [0.6, 0.0, 0.0], [0.6, 0.1, 0.0], [0.5, 0.1, 0.0]])
    rough = np.concatenate([flipped, faces[:7], fin, thread])
    surface = outer.outer_surface([layer((np.concatenate([vertices, more]), rough), "shirt", closed=False)], "canonical")
    plain = outer.outer_surface([layer((vertices, faces), "shirt", closed=False)], "canonical")
    assert surface.exact
    assert volume(surface) == pytest.approx(volume(plain), rel=1e-6)
    assert len(surface.notes) == 1
    assert "shirt" in surface.notes[0]


def test_canonical_and_posed_are_united_each_on_its_own() -> None:
    first, second = sphere(0.2, splits=2), sphere(0.2, centre=(0.5, 0, 0), splits=2)
    moved = second[0] - [0.3, 0, 0]
    layers = [layer(first), layer(second, posed=moved)]
    apart, together = outer.outer_surface(layers, "canonical"), outer.outer_surface(layers, "posed")
    assert volume(apart) == pytest.approx(2 * signed_volume(*first))
    assert volume(together) < 0.95 * volume(apart)
    assert together.exact


def test_an_empty_layer_is_noted() -> None:
    empty = layer((np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]]), np.array([[0, 1, 2], [2, 1, 0]])), "veil", closed=False)
    surface = outer.outer_surface([layer(box()), empty], "canonical")
    assert surface.notes == ("veil has no faces and was left out.",)
    assert volume(surface) == pytest.approx(1)


def test_nothing_solid_is_a_users_error() -> None:
    sheet = (np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]), np.array([[0, 1, 2], [0, 2, 3]]))
    with pytest.raises(CarveError, match="closed skin"):
        outer.outer_surface([layer(sheet, closed=False)], "canonical")


def test_counting_through_a_watertight_surface_gives_the_signs_of_winding_numbers() -> None:
    """Where it is not watertight winding numbers decide: both must say the same where both can."""
    rng = np.random.default_rng(2)
    surface = outer.outer_surface([layer(sphere(0.5, splits=4)), layer(box())], "canonical")
    assert surface.exact
    points = rng.uniform(-1, 1, (4000, 3))
    counted, wound = (outer.signed_distance(each, points) for each in (surface, replace(surface, exact=False)))
    np.testing.assert_allclose(counted, wound, atol=1e-6)
    assert 0.02 < (counted < 0).mean() < 0.9


def test_samples() -> None:
    surface = outer.outer_surface([layer(sphere(0.5, centre=(0.1, 0.2, 0.3), splits=4))], "canonical")
    samples = outer.sample_signed(surface, (4000, 3000, 5000), np.random.default_rng(0))
    assert samples.surface.shape == samples.normal.shape == (4000, 3)
    assert samples.points.shape == (8000, 3)
    assert {a.dtype for a in (samples.surface, samples.normal, samples.points, samples.distance)} == {np.dtype(np.float32)}
    radial = samples.surface - np.array([0.1, 0.2, 0.3])
    np.testing.assert_allclose(np.linalg.norm(radial, axis=1), 0.5, atol=2e-3)
    np.testing.assert_allclose((radial * samples.normal).sum(1) / 0.5, 1, atol=5e-3)
    np.testing.assert_allclose(radial.mean(0), 0, atol=0.02)  # spread evenly by area
    true = np.linalg.norm(samples.points - [0.1, 0.2, 0.3], axis=1) - 0.5
    np.testing.assert_allclose(samples.distance, true, atol=2e-3)
    # Near the surface the distance of a normally scattered point is itself normal.
    assert np.std(true[:1500]) == pytest.approx(0.05, rel=0.1)
    assert np.std(true[1500:3000]) == pytest.approx(0.01, rel=0.1)
    uniform = samples.points[3000:] - np.array([0.1, 0.2, 0.3])
    assert np.abs(uniform).max() < 0.601
    np.testing.assert_allclose(np.abs(uniform).mean(0), 0.3, rtol=0.05)


def test_the_reference_itself() -> None:
    vertices, faces = box((0.4, 0.6, 0.8))
    rng = np.random.default_rng(1)
    points = rng.uniform(-0.7, 0.7, (400, 3))
    q = np.abs(points) - np.array([0.2, 0.3, 0.4])
    exact = np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(1), 0)
    solid = outer.Solid(vertices, faces, np.zeros(12, bool), 0)
    np.testing.assert_allclose(reference_signed_distance([solid], points), exact, atol=1e-12)
    corners = rng.normal(size=(300, 3, 3))
    near = nearest_on_triangles(corners, np.zeros((300, 3)))
    share = rng.dirichlet(np.ones(3), (2000,))
    sampled = np.linalg.norm(np.einsum("sk,nkd->nsd", share, corners), axis=2).min(1)
    distance = np.linalg.norm(near, axis=1)
    assert (distance <= sampled + 1e-12).all()
    np.testing.assert_allclose(distance, sampled, atol=0.1)
