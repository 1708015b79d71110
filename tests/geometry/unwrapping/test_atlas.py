"""The atlas: texels know their surface points, charts do not overlap, colours do not bleed."""

import numpy as np
import pytest

from carve.geometry.mesh import face_normals
from carve.geometry.pictures.sampling import sample
from carve.geometry.unwrapping.atlas import Atlas, _pack, texels, to_image, unwrap
from carve.geometry.unwrapping.charts import signed_areas

SIZE = 256


@pytest.fixture(scope="module")
def torus() -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) and faces (F, 3) of a ring of radius 1 and thickness 0.4."""
    n, m = 48, 24
    i, j = np.meshgrid(np.arange(n), np.arange(m), indexing="ij")
    a, b = 2 * np.pi * i.ravel() / n, 2 * np.pi * j.ravel() / m
    points = np.stack([(1 + 0.4 * np.cos(b)) * np.cos(a), 0.4 * np.sin(b), (1 + 0.4 * np.cos(b)) * np.sin(a)], 1)

    def at(di: int, dj: int) -> np.ndarray:
        return (((i + di) % n) * m + (j + dj) % m).ravel()

    quads = [np.stack([at(0, 0), at(0, 1), at(1, 1)], 1), np.stack([at(0, 0), at(1, 1), at(1, 0)], 1)]
    return points, np.concatenate(quads)


@pytest.fixture(scope="module")
def atlas(torus: tuple[np.ndarray, np.ndarray]) -> Atlas:
    points, faces = torus
    centre = points[faces].mean(1)
    labels = (centre[:, 0] > 0) * 2 + (centre[:, 1] > 0)
    return unwrap(points, faces, labels, SIZE, padding=4)


def test_the_atlas_holds_the_same_triangles(torus: tuple[np.ndarray, np.ndarray], atlas: Atlas) -> None:
    points, faces = torus
    assert np.array_equal(atlas.corner[atlas.faces], faces)
    assert np.array_equal(np.unique(atlas.corner), np.arange(len(points)))
    assert atlas.uv.min() >= 0 and atlas.uv.max() <= 1
    # A corner belongs to one chart.
    pairs = np.unique(np.stack([atlas.faces.ravel(), np.repeat(atlas.chart, 3)], 1), axis=0)
    assert len(pairs) == len(atlas.corner)


def test_every_triangle_gets_its_share_of_the_image(torus: tuple[np.ndarray, np.ndarray], atlas: Atlas) -> None:
    points, faces = torus
    corners, flat = points[faces], atlas.uv[atlas.faces]
    true = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    p, q = flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0]
    ratio = np.abs(p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]) / true
    assert np.percentile(ratio, 98) / np.percentile(ratio, 2) < 6
    assert (np.abs(p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]).sum() / 2) > 0.3


def test_charts_do_not_overlap_and_keep_their_distance(atlas: Atlas) -> None:
    forward = texels(atlas, SIZE)
    backward = texels(Atlas(atlas.corner, atlas.faces[::-1], atlas.uv, atlas.chart[::-1]), SIZE)
    # Whichever triangle is drawn last, the texel shows the same one (but for those on a common edge).
    assert np.mean(forward.face != len(atlas.faces) - 1 - backward.face) < 1e-3
    image = np.full(SIZE * SIZE, -1)
    image[forward.index] = atlas.chart[forward.face]
    image = image.reshape(SIZE, SIZE)
    for step in (1, 2, 3, 4):
        for a, b in ((image[:, step:], image[:, :-step]), (image[step:], image[:-step])):
            assert not ((a >= 0) & (b >= 0) & (a != b)).any()


def test_texels_know_their_uv_and_surface_point(torus: tuple[np.ndarray, np.ndarray], atlas: Atlas) -> None:
    points, faces = torus
    grid = texels(atlas, SIZE)
    np.testing.assert_allclose(grid.bary.sum(1), 1, atol=1e-5)
    centre = np.stack([grid.index % SIZE + 0.5, grid.index // SIZE + 0.5], 1) / SIZE
    np.testing.assert_allclose(grid.interpolate(atlas.uv, atlas.faces), centre, atol=1e-5)
    on_surface = grid.interpolate(points, faces)
    ring = np.hypot(np.hypot(on_surface[:, 0], on_surface[:, 2]) - 1, on_surface[:, 1])
    assert np.abs(ring - 0.4).max() < 0.02


def test_filtered_lookups_at_chart_borders_see_no_other_colour(atlas: Atlas) -> None:
    grid = texels(atlas, SIZE)
    colours = np.random.default_rng(0).integers(0, 255, (atlas.chart.max() + 1, 3)).astype(np.uint8)
    image = to_image(colours[atlas.chart[grid.face]], grid, gutter=4)
    corners = atlas.uv[atlas.faces].reshape(-1, 2) * SIZE
    found = sample(image.astype(np.float32), corners)
    np.testing.assert_allclose(found, np.repeat(colours[atlas.chart], 3, axis=0), atol=0.5)


def test_mip_levels_hold_means_of_charts_alone(atlas: Atlas) -> None:
    grid = texels(atlas, SIZE)
    values = np.random.default_rng(1).integers(0, 255, (len(grid.index), 3)).astype(np.uint8)
    image = to_image(values, grid, gutter=0)
    assert np.array_equal(image.reshape(-1, 3)[grid.index], values)
    known = np.zeros((SIZE * SIZE, 4))
    known[grid.index] = np.column_stack([values, np.ones(len(values))])
    levels = image.astype(float), known.reshape(SIZE, SIZE, 4)
    # Halved once and again: each level's texel is the mean of those below it that hold anything of a chart.
    for _ in range(5):
        mip, own = (a[::2, ::2] + a[1::2, ::2] + a[::2, 1::2] + a[1::2, 1::2] for a in levels)
        some = own[..., 3] > 0
        own[some] /= own[some][:, 3:]
        mip /= 4
        np.testing.assert_allclose(mip[some], own[some][:, :3], atol=1.0)
        levels = mip, own


def test_an_odd_size_is_filled_too(torus: tuple[np.ndarray, np.ndarray], atlas: Atlas) -> None:
    grid = texels(atlas, SIZE - 3)
    image = to_image(np.full((len(grid.index), 1), 77, np.uint8), grid, gutter=2)
    assert image.shape == (SIZE - 3, SIZE - 3, 1) and (image == 77).all()


def test_a_dense_chart_has_more_texels(torus: tuple[np.ndarray, np.ndarray]) -> None:
    points, faces = torus
    near = points[faces][:, :, 0].min(1) > 0
    atlas = unwrap(points, faces, near.astype(np.int64), SIZE, padding=4, density=np.where(near, 2.0, 1.0))
    true = np.linalg.norm(face_normals(points, faces), axis=1) / 2
    flat = np.abs(signed_areas(atlas.uv, atlas.faces))
    ratio = (flat[near].sum() / true[near].sum()) / (flat[~near].sum() / true[~near].sum())
    assert 1.8 < np.sqrt(ratio) < 2.2


def test_packing_moves_charts_alike_and_bears_one_without_area() -> None:
    rng = np.random.default_rng(0)
    sides = rng.uniform(0.1, 1.0, (40, 2))
    sides[7, 1] = 0.0
    flat = (np.array([[0, 0], [1, 0], [1, 1], [0, 1]]) * sides[:, None] + rng.normal(size=(40, 1, 2))).reshape(-1, 2)
    faces = (4 * np.arange(40)[:, None, None] + np.array([[0, 1, 2], [0, 2, 3]])).reshape(-1, 3)
    chart = np.repeat(np.arange(40), 2)
    uv = _pack(flat, faces, chart, 1024, 4)
    assert uv.min() >= 0 and uv.max() <= 1
    assert np.array_equal(uv, _pack(flat, faces, chart, 1024, 4))
    true, packed = np.abs(signed_areas(flat, faces)), np.abs(signed_areas(uv, faces))
    assert packed.sum() > 0.6 and packed[chart == 7].max() < 1e-9
    solid = chart != 7
    np.testing.assert_allclose(packed[solid] / true[solid], np.median(packed[solid] / true[solid]), rtol=0.1)
    # Rectangles come to stand upright; their boxes keep the distance.
    boxes = np.delete(uv.reshape(40, 4, 2), 7, axis=0)
    gap = np.maximum(boxes.min(1)[:, None] - boxes.max(1)[None], boxes.min(1)[None] - boxes.max(1)[:, None]).max(-1)
    assert gap[~np.eye(39, dtype=bool)].min() >= 4 / 1024
