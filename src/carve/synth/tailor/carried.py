"""What is worn over clothes without being draped: scarves, bags with their straps, braces; solids around the trunk.

Points and lengths are metres at rest; lengths are for somebody of 1.70 m and scaled for others.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import sparse

from carve.synth.tailor.field import BodyGrid, closed_part, grid_over, smooth_minimum
from carve.synth.tailor.figure import Figure
from carve.synth.tailor.meshing import evened, zero_level
from carve.synth.tailor.solid_pieces import Stiff, StiffPiece
from carve.synth.tailor.weights import cloth_weights

_CELL = 0.006
"""Metres between the nodes around the trunk: straps are three thick."""

Shape = Callable[[BodyGrid, np.ndarray, np.random.Generator], np.ndarray]
"""From the grid, the distance to the trunk with what is worn on it, and random numbers to a field that is negative inside the piece."""


def _shell(trunk: np.ndarray, off: float, thick: float) -> np.ndarray:
    """A shell of a thickness around the trunk."""
    return np.abs(trunk - off) - thick / 2


def _box(grid: BodyGrid, centre: np.ndarray, half: np.ndarray, round_: float) -> np.ndarray:
    """A box with rounded edges."""
    away = [np.abs(axis - c) - h + round_ for axis, c, h in zip(grid.axes(), centre, half, strict=True)]
    outside = np.sqrt(sum(np.clip(a, 0, None) ** 2 for a in away))
    return np.asarray(outside + np.minimum(np.maximum(np.maximum(away[0], away[1]), away[2]), 0) - round_)


def _scarf(grid: BodyGrid, trunk: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A thick ring around the neck, wound, and two ends that hang in front."""
    figure, scale = grid.figure, grid.figure.scale
    x, y, z = grid.axes()
    neck = closed_part(grid, grid.part("neck"), 0.02, 0.15 * scale) - 0.005 * scale
    angle = np.arctan2(x, z - figure.heads["neck"][2])
    middle = figure.heights["neck"] + scale * (0.015 - 0.02 * np.cos(angle))
    wound = 0.006 * scale * np.sin(5 * angle + 90 * y / scale)
    thick = scale * float(rng.uniform(0.02, 0.03))
    ring = np.hypot(neck - 0.042 * scale, 0.7 * (y - middle)) - thick - wound
    low = figure.heights["chest"] - scale * float(rng.uniform(0.05, 0.35))
    ends = np.full(trunk.shape, 1.0)
    for side in (-1, 1):
        drop = low + scale * float(rng.uniform(-0.08, 0.08))
        across = np.abs(x - side * 0.045 * scale) - 0.042 * scale
        ripple = 0.003 * scale * np.sin((x / scale) * 260 + side)
        strip = np.maximum(_shell(trunk, 0.012 * scale, 0.02 * scale) - ripple, np.maximum(across, drop - y))
        ends = np.minimum(ends, np.maximum(np.maximum(strip, y - middle), figure.heads["spine"][2] - z))
    # It lies on shoulders and neck, not in them.
    return np.maximum(smooth_minimum([ring, ends], 0.02 * scale), np.maximum(-trunk - 0.01 * scale, 0.012 * scale - neck))


def _strap(grid: BodyGrid, trunk: np.ndarray, normal: np.ndarray, through: np.ndarray, width: float) -> np.ndarray:
    """A band around the trunk in a plane."""
    plane = sum(n * (axis - c) for n, axis, c in zip(normal / np.linalg.norm(normal), grid.axes(), through, strict=True))
    return np.maximum(_shell(trunk, 0.002, 2 * grid.cell), np.abs(plane) - width * grid.figure.scale / 2)


def _slung(grid: BodyGrid, trunk: np.ndarray, side: float, over: float, half: np.ndarray, height: float, width: float) -> np.ndarray:
    """A bag of half extents (3,) at the hip of a side (-1 or 1), its middle `height` above the hip, its strap over the shoulder that is
    `over` (-1 to 1, the left one positive) of the way out."""
    figure, scale = grid.figure, grid.figure.scale
    shoulder, hip = figure.heads["leftUpperArm"] * [over, 1, 1], figure.heads["leftUpperLeg"] * [side, 1, 1]
    own = ~(figure.skin_of("left_hand") | figure.skin_of("right_hand")) & (np.abs(figure.vertices[:, 1] - hip[1]) < 0.03)
    reach = float(np.abs(figure.vertices[own, 0]).max())
    centre = np.array([side * (reach + half[0] + 0.035 * scale), hip[1] + height, hip[2]])
    way = centre - shoulder
    strap = _strap(grid, trunk, np.array([-way[1], way[0], 0.0]), shoulder, width)
    return smooth_minimum([strap, _box(grid, centre, half, 0.025 * scale)], 0.01)


def _shoulder_bag(grid: BodyGrid, trunk: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A bag at one hip, its strap over the other shoulder."""
    scale = grid.figure.scale
    side = float(rng.choice([-1, 1]))
    half = scale * np.array([0.045, rng.uniform(0.09, 0.14), rng.uniform(0.11, 0.16)])
    height = rng.uniform(-0.06, 0.08) * scale
    return _slung(grid, trunk, side, -0.55 * side, half, height, float(rng.uniform(0.02, 0.04)))


def _tote(grid: BodyGrid, trunk: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A tall, flat bag at one side, its strap over the shoulder above it."""
    scale = grid.figure.scale
    side = float(rng.choice([-1, 1]))
    half = scale * np.array([rng.uniform(0.03, 0.045), rng.uniform(0.15, 0.19), rng.uniform(0.15, 0.19)])
    height = rng.uniform(0.02, 0.1) * scale
    bag = _slung(grid, trunk, side, 0.7 * side, half, height, float(rng.uniform(0.02, 0.04)))
    # The strap ends in the bag and does not go on around the trunk.
    return np.asarray(np.maximum(bag, 0.2 * abs(grid.figure.heads["leftUpperArm"][0]) - side * grid.axes()[0]))


def _backpack(grid: BodyGrid, trunk: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A bag on the back with a strap over each shoulder."""
    figure, scale = grid.figure, grid.figure.scale
    x, y, z = grid.axes()
    chest = figure.heights["chest"]
    near = (np.abs(figure.vertices[:, 1] - chest) < 0.05) & (np.abs(figure.vertices[:, 0]) < 0.1)
    back = float(figure.vertices[near, 2].min())
    half = scale * np.array([rng.uniform(0.12, 0.16), rng.uniform(0.17, 0.24), rng.uniform(0.06, 0.1)])
    pack = _box(grid, np.array([0.0, chest - 0.12 * scale, back - half[2] - 0.025 * scale]), half, 0.05 * scale)
    pocket = _box(grid, np.array([0.0, chest - 0.2 * scale, back - 2 * half[2] - 0.03 * scale]), half * [0.75, 0.45, 0.3], 0.02 * scale)
    fields = [pack, pocket]
    for side in (-1.0, 1.0):
        band = _strap(grid, trunk, np.array([1.0, 0.0, 0.0]), np.array([0.085 * scale * side, 0.0, 0.0]), 0.045)
        fields.append(np.maximum(band, figure.heights["waist"] + 0.06 * scale - y + 0 * x + 0 * z))
    return smooth_minimum(fields, 0.012)


def _braces(grid: BodyGrid, trunk: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Two straps over the shoulders, from a bib in front to the back's upper edge."""
    figure, scale = grid.figure, grid.figure.scale
    _, y, _ = grid.axes()
    width = float(rng.uniform(0.028, 0.04))
    low = figure.heights["armpit"] - 0.09 * scale
    bands = [_strap(grid, trunk, np.array([1.0, 0.0, 0.0]), np.array([0.07 * scale * side, 0.0, 0.0]), width) for side in (-1.0, 1.0)]
    return np.maximum(np.minimum(*bands), low - y)


CARRIED: dict[str, Shape] = {"scarf": _scarf, "shoulder_bag": _shoulder_bag, "tote": _tote, "backpack": _backpack, "braces": _braces}
"""What may be worn over clothes, by family."""


def carried_piece(figure: Figure, joints: sparse.csr_matrix, family: str, clear: float, rng: np.random.Generator) -> StiffPiece:
    """Make one for somebody whose skin has the weights `joints` (S, B), with `clear` metres between skin and strap for what is worn
    below."""
    scale, trunk_skin = figure.scale, figure.vertices[figure.skin_of("torso")]
    low, high = trunk_skin.min(0) - 0.16 * scale, trunk_skin.max(0) + 0.16 * scale
    low[1], low[2] = figure.heights["crotch"] - 0.2 * scale, low[2] - 0.16 * scale
    grid = grid_over(figure, low, high, _CELL * max(scale, 0.75))
    trunk = closed_part(grid, grid.part("trunk"), 0.06 * scale, 0.14 * scale) - clear
    field = np.asarray(np.broadcast_to(CARRIED[family](grid, trunk, rng), grid.label.shape), np.float32)
    vertices, faces = zero_level(grid, field, rounds=12, pieces=0.05)
    vertices, faces = evened(vertices, faces, 1.6 * grid.cell)
    weights = cloth_weights(vertices, faces, figure.vertices, joints, figure.skin_of("torso"))
    return StiffPiece(Stiff(family, "accessory", 0.0, 0.0), vertices, faces, weights)
