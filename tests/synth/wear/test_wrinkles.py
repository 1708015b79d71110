"""Folds on tubes and sheets whose right answer is known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from carve.geometry.mesh import face_normals, unique_edges, vertex_normals
from carve.geometry.rotations import axis_rotation
from carve.geometry.skinning import bone_transforms, skin
from carve.synth.wear.folds.params import Params, sample_params
from carve.synth.wear.folds.slack import strain
from carve.synth.wear.wrinkles import EDGES_PER_WAVE, wrinkles

RADIUS, LENGTH = 0.06, 0.9
LEG = {"leftUpperLeg": 0, "leftLowerLeg": 1, "leftFoot": 2}
HEADS = np.array([[0.0, 0.9, 0.0], [0.0, 0.45, 0.0], [0.0, 0.0, 0.0]])
PARENTS = np.array([-1, 0, 1])
PLAIN = Params(
    strength=1.0,
    wavelength=1.0,
    pose=1.0,
    prestretch=0.0,
    joints=0.0,
    stacks=0.0,
    pulls=0.0,
    drape=0.0,
    waist=0.0,
    tilt=0.2,
    patches=0.3,
    length=1.0,
    skew=0.2,
    creases=0.1,
    fine=0.4,
)


def tube(edge: float = 0.01) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """A trouser leg about the y axis, wound outward: vertices, faces, (rows from the hem up, columns around)."""
    rows, columns = round(LENGTH / edge) + 1, round(2 * np.pi * RADIUS / edge)
    y, angle = np.meshgrid(np.linspace(0, LENGTH, rows), np.arange(columns) * 2 * np.pi / columns, indexing="ij")
    vertices = np.stack([RADIUS * np.cos(angle), y, RADIUS * np.sin(angle)], -1).reshape(-1, 3)
    at = np.arange(rows * columns).reshape(rows, columns)
    a, b, c, d = at[:-1], at[1:], np.roll(at[1:], -1, 1), np.roll(at[:-1], -1, 1)
    faces = np.concatenate([np.stack([a, b, c], -1).reshape(-1, 3), np.stack([a, c, d], -1).reshape(-1, 3)])
    assert ((vertices[faces].mean(1) * [1, 0, 1] * face_normals(vertices, faces)).sum(1) > 0).all()
    return vertices, faces, (rows, columns)


def weights_of(vertices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The thigh above, the shin below, mixed over 14 cm at the knee."""
    thigh = np.clip((vertices[:, 1] - 0.45) / 0.14 + 0.5, 0, 1)
    bones = np.tile([0, 1, 0, 0], (len(vertices), 1))
    return bones, np.column_stack([thigh, 1 - thigh, 0 * thigh, 0 * thigh])


def bent(vertices: np.ndarray, degrees: float) -> tuple[np.ndarray, np.ndarray]:
    """Posed vertices and heads: the shin turns backwards (to -z), so that the inner side of the knee faces -z."""
    turn = axis_rotation(0, np.radians(degrees))
    rotations = np.stack([np.eye(3), turn, turn])
    heads = HEADS.copy()
    heads[2] = heads[1] + turn @ (HEADS[2] - HEADS[1])
    return skin(vertices, bone_transforms(rotations, heads, HEADS), *weights_of(vertices)), heads


def folded(
    degrees: float = 0.0,
    params: Params = PLAIN,
    seed: int = 0,
    clearance: float = 0.02,
    edge: float = 0.01,
    humanoid: dict[str, int] | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]]:
    """Heights, posed vertices, faces and grid of the tube."""
    vertices, faces, grid = tube(edge)
    posed, heads = bent(vertices, degrees)
    height = wrinkles(
        vertices,
        posed,
        faces,
        *weights_of(vertices),
        HEADS,
        heads,
        PARENTS,
        humanoid or {},
        np.full(len(vertices), clearance),
        params,
        np.random.default_rng(seed),
    )
    return height, posed, faces, grid


def roughness(field: np.ndarray) -> tuple[float, float]:
    """Mean squared differences of heights (rows, columns) along and around the tube, of neighbours equally far apart."""
    return float((np.diff(field, axis=0) ** 2).mean()), float((np.diff(field, axis=1) ** 2).mean())


def test_no_strength_or_no_strain_is_smooth() -> None:
    assert not folded(80, replace(PLAIN, strength=0.0), humanoid=LEG)[0].any()
    assert not folded(0)[0].any()
    shoes = sample_params(np.random.default_rng(0), "shoes", 0.5)
    assert not folded(80, shoes, humanoid=LEG)[0].any()


def test_a_rigid_turn_makes_no_folds() -> None:
    vertices, faces, _ = tube()
    turn = axis_rotation(0, 0.7) @ axis_rotation(1, 0.4)
    height = wrinkles(
        vertices,
        vertices @ turn.T,
        faces,
        *weights_of(vertices),
        HEADS,
        HEADS @ turn.T,
        PARENTS,
        {},
        np.ones(len(vertices)),
        PLAIN,
        np.random.default_rng(0),
    )
    assert not height.any()


def test_strain_of_a_squeezed_sheet() -> None:
    rng = np.random.default_rng(3)
    points = np.column_stack([rng.uniform(0, 1, (3, 2)), np.zeros(3)])
    direction = np.array([np.cos(0.4), np.sin(0.4), 0.0])
    across = np.array([-np.sin(0.4), np.cos(0.4), 0.0])
    squeeze = 0.8 * np.outer(direction, direction) + 1.2 * np.outer(across, across) + np.outer([0, 0, 1], [0, 0, 1])
    rotation = axis_rotation(0, 0.8) @ axis_rotation(1, 0.3)
    tensor = strain(points, points @ squeeze.T @ rotation.T, np.array([[0, 1, 2]]), 0.1)
    slack = 1 / 0.8 - 1 + 0.1 * 0.2 - 0.1
    expected = slack * np.outer(direction, direction)
    wanted = np.append(expected[[0, 1, 2, 0, 1, 2], [0, 1, 2, 1, 2, 0]], 0.2)
    np.testing.assert_allclose(tensor, np.tile(wanted, (3, 1)), atol=1e-12)


def test_equal_chance_gives_equal_folds() -> None:
    first, again, other = (folded(70, seed=seed)[0] for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert np.corrcoef(first, other)[0, 1] < 0.9


@pytest.mark.parametrize("clearance", [0.0, 0.003])
def test_inward_folds_keep_to_the_clearance(clearance: float) -> None:
    height = folded(90, replace(PLAIN, creases=0.6), clearance=clearance)[0]
    assert height.min() >= -0.6 * clearance - 1e-12
    assert height.max() > 0.002
    assert (clearance == 0) or height.min() < -0.3 * clearance


def test_a_bent_knee_folds_inside_and_around() -> None:
    for seed in range(4):
        height, _, _, grid = folded(75, seed=seed)
        field = height.reshape(grid)
        angle = np.arange(grid[1]) * 2 * np.pi / grid[1]
        knee = np.abs(np.linspace(0, LENGTH, grid[0]) - 0.45) < 0.12
        inner, outer = np.sin(angle) < -0.4, np.sin(angle) > 0.4
        assert np.ptp(field[knee][:, inner]) > 0.003
        assert (field[knee][:, inner] ** 2).mean() > 2 * (field[knee][:, outer] ** 2).mean()
        assert np.abs(field[np.abs(np.linspace(0, LENGTH, grid[0]) - 0.45) > 0.25]).max() < 1e-3
        columns = np.flatnonzero(inner)
        along, around = roughness(field[knee][:, columns])
        assert along > 2.5 * around


def test_folds_grow_with_the_bend() -> None:
    slight, strong = (np.mean([folded(degrees, seed=seed)[0].std() for seed in range(3)]) for degrees in (12, 70))
    assert strong > 1.5 * slight > 0


def test_folds_are_no_deeper_than_cloth_folds() -> None:
    height = folded(100, replace(PLAIN, strength=4.0, wavelength=1.6, joints=0.5), clearance=1.0, humanoid=LEG)[0]
    assert 0.004 < np.abs(height).max() <= 0.012


def test_no_triangle_turns_over() -> None:
    for degrees in (0, 60, 100):
        height, posed, faces, _ = folded(degrees, replace(PLAIN, strength=2.0, stacks=0.4, joints=0.3), humanoid=LEG)
        moved = posed + height[:, None] * vertex_normals(posed, faces)
        assert (np.einsum("fi,fi->f", face_normals(posed, faces), face_normals(moved, faces)) > 0).all()
        edges = unique_edges(faces)
        long = np.linalg.norm(posed[edges[:, 0]] - posed[edges[:, 1]], axis=1) > 0.008
        slope = np.abs(np.diff(height[edges], axis=1)[:, 0]) / np.linalg.norm(posed[edges[:, 0]] - posed[edges[:, 1]], axis=1)
        assert slope[long].max() < 1.5


@pytest.mark.parametrize("edge", [0.008, 0.016])
def test_wavelengths_stay_above_what_the_mesh_carries(edge: float) -> None:
    height, _, faces, grid = folded(0, replace(PLAIN, stacks=0.3, joints=0.3, wavelength=0.6, fine=1.0), edge=edge, humanoid=LEG)
    vertices = tube(edge)[0]
    ends = vertices[unique_edges(faces)]
    shortest = EDGES_PER_WAVE * float(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1).max())
    field = height.reshape(grid) * np.hanning(grid[0])[:, None]
    energy = (np.abs(np.fft.rfft(field - field.mean(0), axis=0)) ** 2).sum(1)
    frequency = np.fft.rfftfreq(grid[0], LENGTH / (grid[0] - 1))
    assert energy.sum() > 0
    assert energy[frequency > 1.6 / shortest].sum() < 0.04 * energy.sum()


def test_a_long_leg_stacks_up_at_its_hem() -> None:
    for seed in range(3):
        height, _, _, grid = folded(0, replace(PLAIN, stacks=0.25), seed=seed, humanoid=LEG)
        field, y = height.reshape(grid), np.linspace(0, LENGTH, grid[0])
        low = field[(y > 0.03) & (y < 0.15)]
        assert low.std() > 0.001
        assert (field[y > 0.4] == 0).all() or field[y > 0.4].std() < 0.1 * low.std()
        along, around = roughness(low)
        assert along > 2 * around


def test_drapes_hang_along_the_leg() -> None:
    along, around = roughness(folded(0, replace(PLAIN, drape=0.4), humanoid=LEG)[0].reshape(tube()[2]))
    assert around > 2.5 * along > 0


def test_waistbands_are_flatter_than_hems() -> None:
    top, bottom = [], []
    for seed in range(6):
        vertices, faces, grid = tube()
        posed = vertices * [1.0, 0.85, 1.0]
        height = wrinkles(
            vertices,
            posed,
            faces,
            *weights_of(vertices),
            HEADS,
            HEADS * [1.0, 0.85, 1.0],
            PARENTS,
            {},
            np.full(len(vertices), 0.05),
            PLAIN,
            np.random.default_rng(seed),
        )
        field = height.reshape(grid)
        top.append(field[-1].std())
        bottom.append(field[0].std())
    assert np.mean(top) < 0.6 * np.mean(bottom)


def test_wide_cloth_has_more_slack_than_tight() -> None:
    rng = np.random.default_rng(0)
    wide, tight = ([sample_params(rng, "bottom", t) for _ in range(50)] for t in (0.0, 1.0))
    for name in ("joints", "stacks", "pulls", "drape", "waist", "wavelength"):
        assert np.mean([getattr(p, name) for p in wide]) > 1.2 * np.mean([getattr(p, name) for p in tight])
    assert all(p.prestretch == 0 for p in wide)
