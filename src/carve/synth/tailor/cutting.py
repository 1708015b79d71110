"""Where a garment ends: the openings at neck, cuffs, waist, hem and front as zero lines of smooth functions, so that rims are clean curves.

Points are (N, 3) metres at rest. A function is positive where cloth stays, and about a distance in metres near its zero line.
"""

from __future__ import annotations

from collections.abc import Callable, Container
from functools import partial

import numpy as np

from carve.synth.tailor.design import Design
from carve.synth.tailor.figure import SIDES, Figure, Side, along_chain
from carve.synth.tailor.solids import hem_height


def kept(points: np.ndarray, design: Design, figure: Figure) -> np.ndarray:
    """(N,) positive where the garment's cloth is."""
    keep = np.full(len(points), 1.0)
    for part in openings(points, design, figure).values():
        keep = np.minimum(keep, part)
    return keep


def openings(points: np.ndarray, design: Design, figure: Figure, names: Container[str] | None = None) -> dict[str, np.ndarray]:
    """Each opening's function by name: neck, left_cuff, right_cuff, hem, waist, front, face; with `names` of these alone."""
    ways: dict[str, Callable[[], np.ndarray]] = {}
    if design.upper:
        ways["neck"] = lambda: _above_bust(points, figure, design) if design.bare else neck_distance(points, design, figure)
        if design.hooded:
            ways["neck"] = lambda: np.full(len(points), 1.0)
            ways["face"] = lambda: _face(points, figure)
        if not design.bare and not design.cape:
            ways |= {f"{side}_cuff": partial(_cuff, points, design, figure, side) for side in SIDES}
    else:
        ways["waist"] = lambda: _waist(points, design, figure)
    ways["hem"] = lambda: _hem(points, design, figure)
    if design.front >= 0:
        ways["front"] = lambda: _front(points, design, figure)
    return {name: way() for name, way in ways.items() if names is None or name in names}


def _waist(points: np.ndarray, design: Design, figure: Figure) -> np.ndarray:
    top = figure.heights["hip"] + design.rise * (figure.heights["waist"] - figure.heights["hip"])
    # Waistbands are lower in front.
    z = points[:, 2] - figure.heads["hips"][2]
    return np.asarray(top - 0.12 * z - points[:, 1])


def neck_polar(points: np.ndarray, figure: Figure) -> tuple[np.ndarray, np.ndarray]:
    """Distance from the root of the neck, less going up the neck, and the angle about it, 0 in front."""
    offset = points - figure.heads["neck"]
    t = offset @ figure.neck_axis
    flat = offset - t[:, None] * figure.neck_axis
    rho = np.linalg.norm(flat, axis=1)
    return np.where(t < 0, np.hypot(rho, t), rho - t), np.arctan2(flat[:, 0], flat[:, 2])


def neck_distance(points: np.ndarray, design: Design, figure: Figure) -> np.ndarray:
    """Positive outside the neckline."""
    distance, angle = neck_polar(points, figure)
    towards_front = np.clip(np.cos(angle), 0, 1)
    front = towards_front**2 if design.neck_sharp <= 1 else np.exp(-((np.abs(angle) / (1.6 / design.neck_sharp)) ** 1.15))
    back = np.clip(-np.cos(angle), 0, 1) ** 2
    radius = design.neck_side + (design.neck_front - design.neck_side) * front + (design.neck_back - design.neck_side) * back
    return distance - 0.82 * figure.neck_radius - figure.scale * radius


def _above_bust(points: np.ndarray, figure: Figure, design: Design) -> np.ndarray:
    return figure.heights["armpit"] - figure.scale * (0.01 + design.neck_front) - points[:, 1] + 0.1 * np.abs(points[:, 0])


def _cuff(points: np.ndarray, design: Design, figure: Figure, side: Side) -> np.ndarray:
    """Positive before the sleeve's end; looked at near the own arm only, or the hip would lose a piece where the hand hangs."""
    chain = figure.arm(side)
    length = float(np.linalg.norm(np.diff(chain, axis=0), axis=1).sum())
    if design.sleeve <= 0.03:
        # A sleeveless hole is cut by a plane through the shoulder, steeper than across the arm, and ends below the arm.
        own = points[:, 0] * (1 if side == "left" else -1)
        inner = abs(chain[0, 0]) + 0.25 * (points[:, 1] - chain[0, 1]) + figure.scale * (design.sleeve - 0.005) - own
        return np.maximum(inner, figure.heights["armpit"] - 0.03 * figure.scale - points[:, 1])
    along, _ = along_chain(points, chain)
    return np.where(figure.on_arm(points, side), (design.sleeve - along) * length, 1.0)


def _hem(points: np.ndarray, design: Design, figure: Figure) -> np.ndarray:
    height = hem_height(figure, design.hem)
    bend = design.hem_curve * figure.scale * (np.clip(np.abs(points[:, 0]) / (0.16 * figure.scale), 0, 1) ** 2)
    keep = points[:, 1] - height - bend
    if design.upper and design.sleeve > 0.03 and not design.cape:
        for side in SIDES:
            keep = np.where(figure.on_arm(points, side), 1.0, keep)
    return keep


def _front(points: np.ndarray, design: Design, figure: Figure) -> np.ndarray:
    """Positive beside a wedge cut out of the front."""
    top, low = figure.heights["neck"], hem_height(figure, design.hem)
    down = np.clip((top - points[:, 1]) / (top - low), 0, 1)
    half = 0.5 * figure.scale * (design.front_top + (design.front - design.front_top) * down) + 0.002
    before = points[:, 2] > figure.heads["spine"][2] + 0.01
    return np.where(before, np.abs(points[:, 0]) - half, 1.0)


def _face(points: np.ndarray, figure: Figure) -> np.ndarray:
    """Positive outside an oval before the face."""
    eyes = figure.heads["leftEye"]
    middle = np.array([0.0, eyes[1] - 0.02 * figure.scale, eyes[2]])
    flat = (points - middle) / (np.array([0.072, 0.098, 1.0]) * figure.scale)
    oval = (np.hypot(flat[:, 0], flat[:, 1]) - 1) * 0.08 * figure.scale
    return np.where(points[:, 2] > eyes[2] - 0.05 * figure.scale, oval, 1.0)
