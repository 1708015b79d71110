"""What is sewn on: hems, cuffs, collars, plackets, pockets, seams and padding of each family, by name.

A detail is a function from the garment so far to the garment with it. Regions are functions of the place at rest, in metres, positive
inside; lengths are for somebody of 1.70 m and scaled for others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from carve.synth.tailor.cutting import neck_polar, openings
from carve.synth.tailor.design import Design
from carve.synth.tailor.figure import SIDES, Figure, along_chain
from carve.synth.tailor.relief import Relief, finer, flat, raised, scored, swollen
from carve.synth.tailor.solids import hem_height


@dataclass(frozen=True)
class Cut:
    """A garment's description with its wearer, and the random numbers of this garment."""

    design: Design
    figure: Figure
    rng: np.random.Generator

    @property
    def scale(self) -> float:
        return self.figure.scale

    def opening(self, mesh: Relief, *names: str) -> np.ndarray:
        """(V',) distance to the nearest of some openings; far for those that the garment lacks."""
        found = openings(mesh.rest, self.design, self.figure, names)
        return np.min([found.get(name, np.ones(len(mesh.rest))) for name in names], axis=0)

    def front(self, mesh: Relief) -> np.ndarray:
        """(V',) bool: on the side that faces forward."""
        return mesh.rest[:, 2] > self.figure.heads["spine"][2] + 0.02 * self.scale

    def sideways(self, mesh: Relief) -> np.ndarray:
        """(V',) metres from the wearer's middle, to the left."""
        return mesh.rest[:, 0]

    def height(self, mesh: Relief, hem: float) -> np.ndarray:
        """(V',) metres above a height that is given as a hem's."""
        return mesh.rest[:, 1] - hem_height(self.figure, hem)

    def on_arms(self, mesh: Relief) -> np.ndarray:
        """(V',) bool: on a sleeve."""
        result = np.zeros(len(mesh.rest), bool)
        for side in SIDES:
            along, far = along_chain(mesh.rest, self.figure.arm(side))
            result |= (along > 0.12) & (far < 0.15 * self.scale)
        return result


Detail = Callable[[Relief, Cut], Relief]


def _band(width: tuple[float, float], height: float, *names: str) -> Detail:
    """A border of random width along openings."""

    def sew(mesh: Relief, cut: Cut) -> Relief:
        wide = cut.scale * float(cut.rng.uniform(*width))
        return raised(mesh, wide - cut.opening(mesh, *names), height)

    return sew


Line = Callable[[Relief], tuple[np.ndarray, np.ndarray]]
"""From a mesh to a function (V',) in metres whose zero line is meant, and where (V',) bool it is meant."""


def _seam(mesh: Relief, line: Line, width: float, height: float) -> Relief:
    """A strip along a line, `width` to both sides."""
    mesh = scored(mesh, *line(mesh))
    field, condition = line(mesh)
    return raised(mesh, _where(condition, width - np.abs(field)), height)


def _where(condition: np.ndarray, field: np.ndarray) -> np.ndarray:
    """The region where a condition holds; a step, so that the outline there follows the triangles."""
    return np.where(condition, field, -0.05)


def _rectangle(u: np.ndarray, v: np.ndarray, width: float, tall: float, point: float = 0.0) -> np.ndarray:
    """Inside a rectangle about the origin in coordinates u right and v up, with a lower edge pointed by `point` metres."""
    low = -tall / 2 - point * (1 - 2 * np.abs(u) / width)
    return np.minimum(np.minimum(width / 2 - np.abs(u), tall / 2 - v), v - low)


def _patches(
    places: list[tuple[float, float, bool]], width: float, tall: float, height: float, point: float = 0.0, turn: float = 0.0
) -> Detail:
    """Patches at (metres to the side, height as a hem's, before or behind the wearer), each `width` wide and `tall`."""

    def sew(mesh: Relief, cut: Cut) -> Relief:
        region = np.full(len(mesh.rest), -1.0)
        for side, hem, before in places:
            u = cut.sideways(mesh) - side * cut.scale
            v = cut.height(mesh, hem)
            leaned = u * np.cos(turn) + np.sign(side or 1) * v * np.sin(turn), v * np.cos(turn) - np.sign(side or 1) * u * np.sin(turn)
            inside = _rectangle(*leaned, width * cut.scale, tall * cut.scale, point * cut.scale)
            facing = cut.front(mesh) if before else ~cut.front(mesh)
            region = np.maximum(region, _where(facing & ~cut.on_arms(mesh), inside))
        return raised(mesh, region, height)

    return sew


def _beads(mesh: Relief, cut: Cut, places: np.ndarray, radius: float, height: float) -> Relief:
    """Buttons at places (N, 3) near the cloth's surface."""
    for_all = lambda m: np.min(np.linalg.norm(m.rest[:, None] - places[None], axis=2), axis=1)  # noqa: E731
    mesh = finer(mesh, for_all(mesh) < 2.5 * radius, 0.4 * radius)
    return raised(mesh, radius - for_all(mesh), height)


def _middle_line(mesh: Relief, cut: Cut, top: float, low: float, step: float, aside: float = 0.0) -> np.ndarray:
    """(N, 3) places down the front of the garment, `step` metres apart."""
    heights = np.arange(top, low, -step)
    line = _front_line(mesh, cut, aside)
    if len(line) < 4 or not len(heights):
        return np.zeros((0, 3))
    order = np.argsort(line[:, 1])
    z = np.interp(heights, line[order, 1], line[order, 2])
    return np.column_stack([np.full(len(heights), aside), heights, z])


def _front_line(mesh: Relief, cut: Cut, aside: float) -> np.ndarray:
    near = (np.abs(mesh.rest[:, 0] - aside) < 0.012 * cut.scale) & cut.front(mesh)
    return mesh.rest[near]


def _placket(mesh: Relief, cut: Cut, top: float, low: float, half: float, height: float, buttons: bool) -> Relief:
    before = cut.front(mesh)
    y = mesh.rest[:, 1]
    region = np.minimum(np.minimum(half * cut.scale - np.abs(cut.sideways(mesh)), top - y), y - low)
    mesh = raised(mesh, _where(before, region), height)
    if not buttons:
        return mesh
    places = _middle_line(mesh, cut, top - 0.012 * cut.scale, low + 0.02 * cut.scale, cut.scale * float(cut.rng.uniform(0.075, 0.1)))
    return mesh if not len(places) else _beads(mesh, cut, places, float(cut.rng.uniform(0.005, 0.0075)), 0.0025)


def _neckline_front(mesh: Relief, cut: Cut) -> float:
    line = _front_line(mesh, cut, 0.0)
    return float(line[:, 1].max()) if len(line) else float(cut.figure.heights["chest"])


def _full_placket(mesh: Relief, cut: Cut) -> Relief:
    line = _front_line(mesh, cut, 0.0)
    low = float(line[:, 1].min()) - 0.02 if len(line) else cut.figure.heights["hip"]
    if cut.design.lower != "none":
        low = max(
            low, hem_height(cut.figure, min(cut.design.hem, 0.9)) if cut.design.lower == "skirt" else cut.figure.heights["crotch"] + 0.04
        )
    return _placket(mesh, cut, _neckline_front(mesh, cut) + 0.02, low, float(cut.rng.uniform(0.012, 0.018)), 0.002, True)


def _half_placket(mesh: Relief, cut: Cut) -> Relief:
    top = _neckline_front(mesh, cut)
    return _placket(mesh, cut, top + 0.02, top - cut.scale * float(cut.rng.uniform(0.11, 0.16)), 0.014, 0.002, True)


def _zip(mesh: Relief, cut: Cut) -> Relief:
    line = _front_line(mesh, cut, 0.0)
    if not len(line):
        return mesh
    top, low = float(line[:, 1].max()) + 0.02, float(line[:, 1].min()) - 0.02
    mesh = _placket(mesh, cut, top, low, 0.011, 0.0015, False)
    return _seam(mesh, lambda now: (cut.sideways(now), cut.front(now)), 0.0025, 0.0015)


def _collar(mesh: Relief, cut: Cut) -> Relief:
    """A turned-down collar: a leaf around the neck with two points in front, standing off at its lower edge."""
    mesh = finer(mesh, cut.opening(mesh, "neck") < 0.085 * cut.scale, 0.007)
    _, angle = neck_polar(mesh.rest, cut.figure)
    edge = cut.opening(mesh, "neck")
    points = np.exp(-(((np.abs(angle) - 0.55) / 0.35) ** 2))
    wide = cut.scale * (0.045 + float(cut.rng.uniform(0.012, 0.03)) * points)
    gap = cut.scale * (0.006 + 0.25 * np.clip(edge, 0, None))
    beside = np.where(cut.front(mesh), np.abs(cut.sideways(mesh)) - gap, 1.0)
    high = np.clip(0.0025 + 0.1 * edge, 0.0025, 0.007)
    return raised(mesh, np.minimum(wide - edge, beside), high)


def _lapels(mesh: Relief, cut: Cut) -> Relief:
    """Lapels beside the front opening up to a notch, and the collar around the neck."""
    near = (cut.opening(mesh, "neck", "front") < 0.11 * cut.scale) & (mesh.rest[:, 1] > cut.figure.heights["waist"])
    mesh = finer(mesh, near, 0.008)
    edge = cut.opening(mesh, "neck", "front")
    y, chest = mesh.rest[:, 1], cut.figure.heights["chest"]
    start = min(_neckline_front(mesh, cut), chest - 0.02) if cut.design.front < 0 else cut.figure.heights["waist"] + 0.1 * cut.scale
    notch = chest + 0.07 * cut.scale
    grow = np.clip((y - start) / max(notch - start, 0.05), 0, 1)
    widest = float(cut.rng.uniform(0.065, 0.095))
    lapel = np.minimum(cut.scale * widest * grow**0.8 - edge, notch + 0.15 * (np.abs(cut.sideways(mesh)) - 0.07) - y)
    mesh = raised(mesh, _where(cut.front(mesh), np.minimum(lapel, y - start)), 0.0035)
    edge, y = cut.opening(mesh, "neck", "front"), mesh.rest[:, 1]
    collar = np.where(cut.front(mesh), np.minimum(0.05 * cut.scale - edge, y - notch - 0.012 * cut.scale), 0.06 * cut.scale - edge)
    return raised(mesh, collar, np.clip(0.003 + 0.06 * edge, 0.003, 0.006))


def _hood_down(mesh: Relief, cut: Cut) -> Relief:
    """The hood as a thick roll of cloth around the back of the neck."""
    _, angle = neck_polar(mesh.rest, cut.figure)
    edge = cut.opening(mesh, "neck")
    wide = cut.scale * (0.05 + 0.09 * np.clip(-np.cos(angle), 0, 1))
    inside = np.clip(edge / wide, 0, 1)
    around = np.clip(0.35 - 0.75 * np.cos(angle), 0, 1)
    profile = np.sqrt(np.clip(1 - (2 * inside - 1) ** 2, 0, 1)) * around
    mesh = swollen(mesh, np.where(edge < wide, 0.038 * cut.scale * profile, 0.0))
    return _seam(mesh, lambda now: _hood_edge(now, cut), 0.003, -0.004)


def _hood_edge(mesh: Relief, cut: Cut) -> tuple[np.ndarray, np.ndarray]:
    _, angle = neck_polar(mesh.rest, cut.figure)
    return cut.opening(mesh, "neck") - 0.03 * cut.scale, np.cos(angle) < 0.55


def _quilted(mesh: Relief, cut: Cut) -> Relief:
    """Padding in tubes, around the trunk and around the sleeves."""
    tube = cut.scale * float(cut.rng.uniform(0.055, 0.095))
    thick = 0.17 * tube
    arm = np.zeros(len(mesh.rest))
    along = mesh.rest[:, 1].copy()
    for side in SIDES:
        chain = cut.figure.arm(side)
        t, far = along_chain(mesh.rest, chain)
        own = (t > 0.08) & (far < 0.16 * cut.scale)
        length = float(np.linalg.norm(np.diff(chain, axis=0), axis=1).sum())
        along, arm = np.where(own, t * length, along), np.where(own, 1.0, arm)
    wave = np.abs(np.sin(np.pi * along / tube)) ** 0.7
    return swollen(mesh, thick * wave * np.clip(cut.opening(mesh, "neck", "hem", "left_cuff", "right_cuff") / 0.02, 0, 1))


def _armhole(mesh: Relief, cut: Cut) -> tuple[np.ndarray, np.ndarray]:
    field, near = np.full(len(mesh.rest), 1.0), np.zeros(len(mesh.rest), bool)
    if cut.design.sleeve <= 0.03:
        return field, near
    for side in SIDES:
        chain = cut.figure.arm(side)
        own = mesh.rest[:, 0] * (1 if side == "left" else -1)
        _, far = along_chain(mesh.rest, chain)
        plane = own - abs(chain[0, 0]) - 0.3 * (mesh.rest[:, 1] - chain[0, 1]) - 0.012 * cut.scale
        here = (own > 0) & (far < 0.17 * cut.scale) & (mesh.rest[:, 1] > cut.figure.heights["armpit"] - 0.1 * cut.scale)
        field, near = np.where(here, plane, field), near | here
    return field, near


def _outseam(mesh: Relief, cut: Cut) -> tuple[np.ndarray, np.ndarray]:
    if cut.design.lower == "skirt":
        axis = cut.figure.heads["hips"][2]
        field = mesh.rest[:, 2] - axis
        outer = np.abs(mesh.rest[:, 0]) > 0.05
    else:
        leg = cut.figure.leg("left")
        down = np.interp(mesh.rest[:, 1], leg[::-1, 1], leg[::-1, 2])
        middle = np.interp(mesh.rest[:, 1], leg[::-1, 1], leg[::-1, 0])
        field, outer = mesh.rest[:, 2] - down, np.abs(np.abs(mesh.rest[:, 0]) - middle) > 0.02 * cut.scale
    return field, outer & ~cut.on_arms(mesh)


def _crease(mesh: Relief, cut: Cut) -> Relief:
    leg = cut.figure.leg("left")
    middle = np.interp(mesh.rest[:, 1], leg[::-1, 1], leg[::-1, 0])
    near = np.exp(-(((np.abs(mesh.rest[:, 0]) - middle) / (0.008 * cut.scale)) ** 2))
    below = np.clip((cut.figure.heights["hip"] - mesh.rest[:, 1]) / 0.1, 0, 1)
    return swollen(mesh, 0.005 * near * below)


def _line(field: Callable[[Relief, Cut], tuple[np.ndarray, np.ndarray]], width: float, height: float) -> Detail:
    """A strip along the zero line of a function, where a condition holds."""
    return lambda mesh, cut: _seam(mesh, lambda now: field(now, cut), width, height)


def _slant(mesh: Relief, cut: Cut) -> tuple[np.ndarray, np.ndarray]:
    """The mouth of a trouser pocket: from the waistband outwards and down."""
    aside, drop = np.abs(cut.sideways(mesh)), -cut.height(mesh, -0.75 * cut.design.rise if not cut.design.upper else -0.7)
    line = 0.8 * (aside - 0.095 * cut.scale) - 0.35 * drop
    return line, cut.front(mesh) & (drop > 0.01) & (drop < 0.15 * cut.scale) & (aside > 0.05)


def _scoop(mesh: Relief, cut: Cut) -> tuple[np.ndarray, np.ndarray]:
    aside, drop = np.abs(cut.sideways(mesh)), -cut.height(mesh, -0.75 * cut.design.rise)
    line = np.hypot(aside - 0.19 * cut.scale, drop - 0.01 * cut.scale) - 0.09 * cut.scale
    return line, cut.front(mesh) & (drop > -0.01) & (drop < 0.1 * cut.scale) & (aside < 0.19 * cut.scale)


def _fly(mesh: Relief, cut: Cut) -> Relief:
    waist = cut.opening(mesh, "waist")
    u = np.abs(cut.sideways(mesh) - 0.012 * cut.scale)
    long = cut.scale * (0.1 + 0.08 * cut.design.rise)
    strip = np.minimum(0.018 * cut.scale - u, np.minimum(long - waist - 10 * np.clip(u - 0.012, 0, None) ** 1.5, waist - 0.034 * cut.scale))
    return raised(mesh, _where(cut.front(mesh), strip), 0.0018)


def _belt(mesh: Relief, cut: Cut) -> Relief:
    waist = cut.opening(mesh, "waist")
    wide = cut.scale * float(cut.rng.uniform(0.025, 0.038))
    mesh = raised(mesh, wide / 2 - np.abs(waist - 0.004 - wide / 2), 0.003)
    waist = cut.opening(mesh, "waist")
    buckle = _rectangle(cut.sideways(mesh), waist - 0.004 - wide / 2, 0.045 * cut.scale, wide + 0.012)
    return raised(mesh, _where(cut.front(mesh), buckle), 0.003)


def _at_waist(mesh: Relief, cut: Cut) -> tuple[np.ndarray, np.ndarray]:
    return mesh.rest[:, 1] - cut.figure.heights["waist"] - 0.01 * cut.scale, ~cut.on_arms(mesh)


def _yoke(mesh: Relief, cut: Cut) -> tuple[np.ndarray, np.ndarray]:
    drop = cut.figure.heights["neck"] - mesh.rest[:, 1]
    level = np.where(cut.front(mesh), drop - 0.075 * cut.scale, drop - 0.13 * cut.scale)
    return level, ~cut.on_arms(mesh) & (np.abs(cut.sideways(mesh)) < abs(cut.figure.arm("left")[0, 0]))


def _back_yoke(mesh: Relief, cut: Cut) -> tuple[np.ndarray, np.ndarray]:
    waist = cut.opening(mesh, "waist")
    line = waist - cut.scale * (0.075 - 0.16 * np.abs(cut.sideways(mesh)))
    return line, ~cut.front(mesh)


def _front_seams(mesh: Relief, cut: Cut) -> tuple[np.ndarray, np.ndarray]:
    drop = cut.figure.heights["chest"] - mesh.rest[:, 1]
    line = np.abs(cut.sideways(mesh)) - cut.scale * (0.105 - 0.16 * np.clip(drop, 0, None))
    return line, cut.front(mesh) & (drop > 0) & ~cut.on_arms(mesh)


def _cargo(mesh: Relief, cut: Cut) -> Relief:
    leg = cut.figure.leg("left")
    middle = np.interp(mesh.rest[:, 1], leg[::-1, 1], leg[::-1, 2])
    u, outer = mesh.rest[:, 2] - middle, np.abs(mesh.rest[:, 0]) > abs(leg[0, 0]) + 0.03
    v = mesh.rest[:, 1] - (leg[1, 1] + 0.1 * cut.scale)
    mesh = raised(mesh, _where(outer, _rectangle(u, v, 0.16 * cut.scale, 0.19 * cut.scale)), 0.007)
    u, outer = mesh.rest[:, 2] - np.interp(mesh.rest[:, 1], leg[::-1, 1], leg[::-1, 2]), np.abs(mesh.rest[:, 0]) > abs(leg[0, 0]) + 0.03
    v = mesh.rest[:, 1] - (leg[1, 1] + 0.175 * cut.scale)
    return raised(mesh, _where(outer, _rectangle(u, v, 0.17 * cut.scale, 0.055 * cut.scale)), 0.003)


DETAILS: dict[str, Detail] = {
    "hem": _band((0.016, 0.03), 0.0018, "hem"),
    "rib_hem": _band((0.045, 0.065), 0.0025, "hem"),
    "neck_rib": _band((0.014, 0.024), 0.002, "neck", "face"),
    "sleeve_hem": _band((0.015, 0.028), 0.0018, "left_cuff", "right_cuff"),
    "leg_hems": _band((0.014, 0.035), 0.0018, "hem"),
    "leg_cuffs": _band((0.045, 0.06), 0.0025, "hem"),
    "cuffs": _band((0.045, 0.065), 0.0028, "left_cuff", "right_cuff"),
    "front_band": _band((0.018, 0.032), 0.0022, "front"),
    "stand_collar": _band((0.035, 0.055), 0.003, "neck"),
    "roll_neck": _band((0.05, 0.07), 0.005, "neck"),
    "waistband": _band((0.033, 0.042), 0.0022, "waist"),
    "elastic_waist": _band((0.028, 0.05), 0.003, "waist"),
    "waist_seam": _line(_at_waist, 0.002, -0.002),
    "sash": _line(_at_waist, 0.021, 0.004),
    "collar": _collar,
    "lapels": _lapels,
    "placket": _full_placket,
    "half_placket": _half_placket,
    "zip": _zip,
    "hood_down": _hood_down,
    "quilted": _quilted,
    "armhole": _line(_armhole, 0.002, -0.0018),
    "outseam": _line(_outseam, 0.002, 0.0015),
    "crease": _crease,
    "yoke": _line(_yoke, 0.002, 0.0016),
    "back_yoke": _line(_back_yoke, 0.002, 0.0016),
    "front_seams": _line(_front_seams, 0.002, 0.0016),
    "fly": _fly,
    "belt": _belt,
    "slant_pockets": _line(_slant, 0.0025, 0.002),
    "scoop_pockets": _line(_scoop, 0.0025, 0.002),
    "cargo_pockets": _cargo,
    "chest_pocket": _patches([(0.085, -1.75, True)], 0.105, 0.12, 0.002, 0.015),
    "chest_flaps": _patches([(0.085, -1.8, True), (-0.085, -1.8, True)], 0.11, 0.05, 0.003, 0.012),
    "bib_pocket": _patches([(0.0, -1.3, True)], 0.17, 0.14, 0.0025),
    "kangaroo_pocket": _patches([(0.0, -0.35, True)], 0.27, 0.17, 0.003),
    "hip_flaps": _patches([(0.115, -0.15, True), (-0.115, -0.15, True)], 0.14, 0.055, 0.003),
    "hip_pockets": _patches([(0.11, -0.1, True), (-0.11, -0.1, True)], 0.13, 0.15, 0.0025),
    "welt_pockets": _patches([(0.11, -0.45, True), (-0.11, -0.45, True)], 0.13, 0.018, 0.002, turn=0.35),
    "back_pockets": _patches([(0.075, -0.1, False), (-0.075, -0.1, False)], 0.125, 0.13, 0.002, 0.015),
}
"""Everything that a design's `details` may name; they are sewn on in the order of this table."""


def detailed(rest: np.ndarray, faces: np.ndarray, design: Design, figure: Figure) -> Relief:
    """A garment (V, 3), (F, 3) at rest with all its details; `figure` is its wearer."""
    cut = Cut(design, figure, np.random.default_rng(design.seed))
    mesh = flat(rest, faces)
    for name, sew in DETAILS.items():
        if name in design.details:
            mesh = sew(mesh, cut)
    return mesh
