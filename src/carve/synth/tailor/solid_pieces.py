"""Shoes and hats: stiff things around feet and head, made as solids, which are worn as they are and not draped.

Points and lengths are metres at rest; lengths are for somebody of 1.70 m and scaled for others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import ndimage, sparse

from carve.geometry.mesh import compact
from carve.synth.tailor.design import Kind
from carve.synth.tailor.field import BodyGrid, closed_part, grid_over, smooth_minimum
from carve.synth.tailor.figure import SIDES, Figure, Side
from carve.synth.tailor.meshing import evened, zero_level
from carve.synth.tailor.relief import Relief, flat, raised, scored
from carve.synth.tailor.weights import cloth_weights

_FINE = 0.005
"""Metres between the nodes around feet and head."""


@dataclass(frozen=True)
class Stiff:
    """One shoe or hat as data. Lengths are metres on somebody of 1.70 m."""

    family: str
    kind: Kind
    ease: float
    """How far it stands off the closed foot or head."""
    height: float
    """Shoes: upper edge above the ground. Hats: lower edge above the brows."""
    sole: float = 0.0
    """Thickness of the sole."""
    heel: float = 0.0
    """How much thicker the sole is under the heel."""
    low_front: float = 0.0
    """How much lower the edge of a shoe is over the instep; the upper is open there."""
    toe: float = 0.0
    """How much longer the toe is than the foot."""
    brim: float = 0.0
    """Width of a brim all around."""
    peak: float = 0.0
    """Length of a peak in front."""
    band: float = 0.0
    """Height of a turned-up edge or a hat band."""
    crown: float = 0.0
    """How much higher than the head."""
    laces: bool = False
    straps: float = 0.0
    """Width of the bands across toes and ankle that a sandal has in place of an upper."""
    stand: float = 0.0
    """Degrees by which a high heel holds the foot steeper than the ground."""
    column: float = 0.0
    """Radius of a high heel at its tip."""


@dataclass(frozen=True)
class StiffPiece:
    """A shoe pair or a hat on one body."""

    design: Stiff
    rest: np.ndarray
    """(V, 3)"""
    faces: np.ndarray
    """(F, 3) closed, wound outward."""
    joints: sparse.csr_matrix
    """(V, B)"""


SHOES: dict[str, dict[str, tuple[float, float]]] = {
    "sneakers": {"ease": (0.006, 0.009), "height": (0.085, 0.10), "sole": (0.018, 0.032), "low_front": (0.01, 0.02), "toe": (0.006, 0.012)},
    "high_tops": {"ease": (0.006, 0.009), "height": (0.12, 0.15), "sole": (0.018, 0.03), "low_front": (0.0, 0.01), "toe": (0.006, 0.012)},
    "ankle_boots": {"ease": (0.007, 0.011), "height": (0.14, 0.2), "sole": (0.012, 0.025), "heel": (0.01, 0.035), "toe": (0.01, 0.02)},
    "knee_boots": {"ease": (0.007, 0.012), "height": (0.3, 0.42), "sole": (0.01, 0.02), "heel": (0.01, 0.04), "toe": (0.01, 0.02)},
    "loafers": {"ease": (0.005, 0.007), "height": (0.065, 0.075), "sole": (0.008, 0.014), "heel": (0.006, 0.012),
                "low_front": (0.015, 0.02), "toe": (0.01, 0.016)},
    "oxfords": {"ease": (0.005, 0.007), "height": (0.078, 0.088), "sole": (0.008, 0.012), "heel": (0.01, 0.016), "low_front": (0.0, 0.006),
                "toe": (0.012, 0.022)},
    "pumps": {"ease": (0.003, 0.005), "height": (0.06, 0.066), "sole": (0.005, 0.008), "heel": (0.01, 0.03), "low_front": (0.026, 0.03),
              "toe": (0.012, 0.03)},
    "high_heels": {"ease": (0.003, 0.005), "height": (0.06, 0.066), "sole": (0.004, 0.007), "low_front": (0.026, 0.03),
                   "toe": (0.012, 0.03), "stand": (16, 36), "column": (0.008, 0.018)},
    "sandals": {"ease": (0.004, 0.006), "height": (0.1, 0.105), "sole": (0.01, 0.022), "heel": (0.0, 0.02), "toe": (0.004, 0.01),
                "straps": (0.016, 0.03)},
}  # fmt: skip
"""Ranges of each family of shoes."""

HATS: dict[str, dict[str, tuple[float, float]]] = {
    "cap": {"ease": (0.012, 0.016), "height": (0.012, 0.03), "peak": (0.06, 0.08), "crown": (0.0, 0.015)},
    "beanie": {"ease": (0.012, 0.018), "height": (-0.005, 0.02), "band": (0.045, 0.075), "crown": (0.0, 0.04)},
    "brimmed_hat": {"ease": (0.013, 0.017), "height": (0.02, 0.035), "brim": (0.05, 0.1), "band": (0.02, 0.04), "crown": (0.02, 0.05)},
    "bucket_hat": {"ease": (0.014, 0.018), "height": (0.01, 0.025), "brim": (0.035, 0.05), "crown": (0.0, 0.02)},
}
"""Ranges of each family of hats."""


def sample_stiff(kind: Literal["shoes", "hat"], female: bool, rng: np.random.Generator) -> Stiff:
    """A pair of shoes or a hat."""
    table = SHOES if kind == "shoes" else HATS
    names = [name for name in table if female or name not in ("pumps", "knee_boots", "high_heels")]
    family = names[rng.integers(len(names))]
    values = {name: float(rng.uniform(*ends)) for name, ends in table[family].items()}
    return Stiff(family, kind, laces=family in ("sneakers", "high_tops", "oxfords"), **values)


def stiff_piece(figure: Figure, joints: sparse.csr_matrix, design: Stiff) -> StiffPiece:
    """Make a pair of shoes or a hat for somebody whose skin has the weights `joints` (S, B)."""
    meshes = [_shoe(figure, design, side) for side in SIDES] if design.kind == "shoes" else [_hat(figure, design)]
    starts = np.cumsum([0, *(len(mesh.rest) for mesh in meshes)])
    rest = np.concatenate([mesh.lifted(mesh.base[0], mesh.base[1]) for mesh in meshes])
    faces = np.concatenate([mesh.relief.faces + start for mesh, start in zip(meshes, starts[:-1], strict=True)])
    return StiffPiece(design, rest, faces, cloth_weights(rest, faces, figure.vertices, joints))


@dataclass(frozen=True)
class _Made:
    relief: Relief
    base: tuple[np.ndarray, np.ndarray]

    @property
    def rest(self) -> np.ndarray:
        return self.relief.rest

    def lifted(self, vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
        return self.relief.lifted(vertices, faces)


def _meshed(grid: BodyGrid, field: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    vertices, faces = zero_level(grid, np.asarray(field, np.float32), rounds=12)
    vertices, faces = evened(vertices, faces, 1.7 * grid.cell)
    return compact(vertices, faces)[:2]


def _shoe(figure: Figure, design: Stiff, side: Side) -> _Made:
    scale, ground = figure.scale, figure.heights["ground"]
    foot = figure.vertices[figure.skin_of(f"{side}_foot")]
    room = 0.06 * scale
    low, high = foot.min(0) - room, foot.max(0) + room
    high[1] = ground + (design.height + 0.05) * scale
    low[1] = ground - (0.15 if design.stand else 0.09) * scale
    leg = figure.vertices[figure.skin_of(f"{side}_lower_leg")]
    inside = leg[leg[:, 1] < high[1]]
    if len(inside):
        low[[0, 2]], high[[0, 2]] = np.minimum(low, inside.min(0) - room)[[0, 2]], np.maximum(high, inside.max(0) + room)[[0, 2]]
    grid = grid_over(figure, low, high, _FINE * max(scale, 0.75))
    x, y, z = grid.axes()
    mask = grid.part(f"{side}_leg") & (y < high[1])
    # Toes are moved out to the shoe's tip: the solid is swept forward.
    toe = grid.part(f"{side}_foot") & (z > foot[:, 2].max() - 0.06 * scale)
    for step in range(1, round(design.toe * scale / grid.cell) + 1):
        mask |= np.roll(toe, step, axis=2)
    upper = closed_part(grid, mask, 0.025 * scale) - design.ease * scale
    upper = np.maximum(upper, ground - y)
    heel, tip = foot[:, 2].min(), foot[:, 2].max()
    back = np.clip(1 - (z - heel) / (0.45 * (tip - heel)), 0, 1)
    print_ = mask & (y < ground + 0.03 * scale)
    outline = ndimage.distance_transform_edt(~print_.any(1)) - ndimage.distance_transform_edt(print_.any(1))
    outline = ndimage.gaussian_filter(outline, 2.0)[:, None, :] * grid.cell - (design.ease + 0.005) * scale
    under = ground - scale * (design.sole + design.heel * np.clip(3 * back - 0.6, 0, 1))
    slab = np.maximum(np.maximum(outline, y - ground - 0.012 * scale), under - y)
    if design.straps:
        upper = _straps(grid, design, upper, heel, tip)
    parts = [upper, slab]
    if design.stand:
        middle = np.median(foot[foot[:, 2] < heel + 0.3 * (tip - heel), 0])
        top = np.array([middle, ground, heel + 0.17 * (tip - heel)])
        parts.append(_column(design, scale, top, figure.heads[f"{side}Toes"], (x, y, z)))
    field = smooth_minimum(parts, 0.004)
    instep = np.clip((z - heel) / (tip - heel), 0, 1)
    edge = ground + scale * (design.height - design.low_front * np.exp(-(((instep - 0.5) / 0.22) ** 2)))
    field = np.maximum(field, y - edge)
    vertices, faces = _meshed(grid, field)
    relief = raised(flat(vertices, faces), ground + 0.012 * scale - vertices[:, 1], 0.0025)
    if design.laces:
        relief = _laced(relief, figure, side, heel, tip)
    return _Made(relief, (vertices, faces))


def _column(design: Stiff, scale: float, top: np.ndarray, ball: np.ndarray, axes: tuple[np.ndarray, ...]) -> np.ndarray:
    """A high heel (X, Y, Z) below `top` (3,) on the ground: upright once the foot is stretched about its `ball` (3,), and as long as that
    lifts it."""
    angle = np.radians(design.stand)
    down = np.array([0.0, -np.cos(angle), np.sin(angle)])
    x, y, z = (axis - start for axis, start in zip(axes, top, strict=True))
    along = down[1] * y + down[2] * z
    length = (ball - top)[2] * np.sin(angle) + (ball - top)[1] * (1 - np.cos(angle)) + design.sole * scale
    wide = np.interp(along / length, [0.0, 0.7, 1.0], [0.024 * scale, 1.1 * design.column * scale, design.column * scale])
    radial = np.sqrt(x**2 + (y - along * down[1]) ** 2 + (z - along * down[2]) ** 2)
    return np.asarray(np.maximum(np.maximum(radial - wide, along - length), -along - 0.01 * scale))


def _straps(grid: BodyGrid, design: Stiff, upper: np.ndarray, heel: float, tip: float) -> np.ndarray:
    """What a sandal keeps of an upper (X, Y, Z): a band across the toes, one around the ankle, and one up the heel; two nodes thick."""
    scale, ground = grid.figure.scale, grid.figure.heights["ground"]
    _, y, z = grid.axes()
    half = design.straps * scale / 2
    toes = np.abs(z - heel - 0.7 * (tip - heel)) - half
    # The upper one rises from the heel to the instep, as a strap around an ankle lies.
    ankle = np.abs(y - ground - 0.05 * scale - 0.3 * np.clip(z - heel, 0, 0.35 * (tip - heel))) - half
    ankle = np.maximum(ankle, z - heel - 0.5 * (tip - heel))
    behind = np.maximum(z - heel - 0.15 * (tip - heel), y - ground - 0.05 * scale)
    bands = np.minimum(np.minimum(toes, ankle), behind)
    return np.asarray(np.maximum(np.abs(upper) - grid.cell, bands))


def _laced(relief: Relief, figure: Figure, side: Side, heel: float, tip: float) -> Relief:
    """Bars across the instep."""
    ground, scale = figure.heights["ground"], figure.scale
    middle = figure.heads[f"{side}Foot"][0]

    def bars(rest: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        share = (rest[:, 2] - heel) / (tip - heel)
        on = (share > 0.42) & (share < 0.72) & (np.abs(rest[:, 0] - middle) < 0.022 * scale) & (rest[:, 1] > ground + 0.03 * scale)
        return np.sin(2 * np.pi * 9 * share) * (tip - heel) / 56, on

    relief = scored(relief, *bars(relief.rest))
    line, on = bars(relief.rest)
    return raised(relief, np.where(on, 0.002 - np.abs(line), -0.05), 0.0025)


def _hat(figure: Figure, design: Stiff) -> _Made:
    scale, brow = figure.scale, figure.heights["brow"]
    head = figure.vertices[figure.skin_of("head")]
    head = head[head[:, 1] > figure.heights["chin"]]
    wide = (design.brim + design.peak + 0.06) * scale
    low, high = head.min(0) - wide, head.max(0) + wide
    low[1], high[1] = brow - 0.08 * scale, figure.heights["top"] + (design.crown + 0.06) * scale
    grid = grid_over(figure, low, high, 1.2 * _FINE * max(scale, 0.75))
    x, y, z = grid.axes()
    mask = grid.part("head") & (y > brow - 0.1 * scale)
    dome = mask & (y > brow + 0.06 * scale)
    for step in range(1, round(design.crown * scale / grid.cell) + 1):
        mask |= np.roll(dome, step, axis=1)
    field = closed_part(grid, mask, 0.05 * scale) - design.ease * scale
    centre = (head.min(0) + head.max(0)) / 2
    edge = brow + design.height * scale - 0.18 * (centre[2] - z) * (design.brim == 0)  # lower at the nape
    field = np.maximum(field, edge - y)
    half = np.array([np.ptp(head[:, 0]), np.ptp(head[:, 2])]) / 2 + design.ease * scale
    if design.brim or design.peak:
        grow = design.brim * scale
        around = np.hypot((x - centre[0]) / (half[0] + grow), (z - centre[2]) / (half[1] + grow))
        ring = (around - 1) * (half.mean() + grow)
        drop = 0.25 * np.clip(np.hypot(x - centre[0], z - centre[2]) - half.mean(), 0, None)
        if design.peak:
            reach = design.peak * scale
            front = np.hypot((x - centre[0]) / (0.85 * half[0]), (z - centre[2] - 0.55 * half[1]) / (0.45 * half[1] + reach))
            ring = np.maximum((front - 1) * half[0], centre[2] + 0.45 * half[1] - z)
            drop = 6.0 * (x - centre[0]) ** 2 + 0.15 * np.clip(z - centre[2] - half[1], 0, None)
        slab = np.maximum(ring, np.abs(y - edge - 0.006 + drop) - 0.005)
        field = smooth_minimum([field, np.broadcast_to(slab, field.shape)], 0.006)
    vertices, faces = _meshed(grid, field)
    relief = flat(vertices, faces)
    if design.band:
        own_edge = brow + design.height * scale - 0.18 * (centre[2] - vertices[:, 2]) * (design.brim == 0)
        inner = np.hypot((vertices[:, 0] - centre[0]) / half[0], (vertices[:, 2] - centre[2]) / half[1]) < 1.12
        relief = raised(relief, np.where(inner, design.band * scale - np.abs(vertices[:, 1] - own_edge), -0.05), 0.004)
    return _Made(relief, (vertices, faces))
