"""Tailor's garments put on a moving body, one over the other, and left to hang.

The innermost piece is simulated over the body from rest into the pose; body and piece, as they moved, are what the next one meets.

Notation: T frames, V vertices of a piece, Vb of the body. Metres, body frame.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import sparse

from carve.geometry.mesh import unique_edges
from carve.geometry.queries import MeshQueries
from carve.records import CarveError
from carve.synth.cloth.solver import Fabric, Steps, simulate
from carve.synth.people.bodies import FullBody, ShapedBody
from carve.synth.people.poses import Pose, pose_path
from carve.synth.tailor.design import Design
from carve.synth.tailor.field import BodyGrid, body_grid
from carve.synth.tailor.figure import measured
from carve.synth.tailor.garment import Garment, tailored

PATH = 14
"""Poses from the one at rest to the last."""
LONG = 1.25
"""An edge counts as stretched beyond this multiple of its own length."""
MOST_STRETCHED = 0.05
MOST_INSIDE = 0.02
MOST_SLIPPED = 0.3
"""Metres between the mean of a piece and where skinning alone puts it."""
ROOM = 0.012
"""Metres by which a garment is wider than what is worn below."""
RUNAWAY = 0.2
"""Metres: no edge is longer."""


class DressingError(RuntimeError):
    """A piece did not end in a usable state; the message begins with its family."""


@dataclass(frozen=True)
class DrapedPiece:
    """A garment at rest on a posed body."""

    garment: Garment
    posed: np.ndarray
    """(V, 3)"""
    moved: np.ndarray
    """(V, 3) metres: how it went from where skinning alone puts it, canonical pose."""
    inside: float
    """Share of the vertices inside the body."""
    stretched: float
    """Share of the edges longer than LONG times their own length."""
    seconds: float
    """Processor time, sewing and draping."""


def skin_joints(body: FullBody) -> sparse.csr_matrix:
    """(Vb, B) skinning weights of the body's vertices."""
    bones, weights = body.bones[body.base], body.weights[body.base]
    rows = np.repeat(np.arange(len(bones)), bones.shape[1])
    return sparse.coo_matrix((weights.ravel(), (rows, bones.ravel())), shape=(len(bones), len(body.names))).tocsr()


def wearer_grid(body: FullBody, shaped: ShapedBody) -> BodyGrid:
    """The wearer on the grid that their garments are made on."""
    return body_grid(measured(body, shaped))


def drape_outfit(
    body: FullBody, shaped: ShapedBody, pose: Pose, designs: Sequence[Design], joints: sparse.csr_matrix, steps: Steps
) -> list[DrapedPiece]:
    """Make the garments of an outfit, from the inside out, and drape them.

    Raises DressingError if a piece cannot be made or fails.
    """
    grid = wearer_grid(body, shaped)
    path = pose_path(body, shaped, pose, PATH)
    obstacle = np.stack([step.posed for step in path] + [path[-1].posed] * steps.settle_frames)
    floor = obstacle[..., 1].min(1)
    faces, naked, pieces = body.faces, MeshQueries(path[-1].posed, body.faces, winding=True), []
    for design in roomier(designs):
        began = time.process_time()
        try:
            garment = tailored(grid, joints, design)
        except CarveError as error:
            raise DressingError(f"{design.family}: {error}") from error
        frames, maps = _simulated(garment, shaped, path, obstacle, faces, steps, floor)
        piece = _judged(garment, frames[-1], maps, naked, began)
        pieces.append(piece)
        faces = np.concatenate([faces, garment.faces + obstacle.shape[1]])
        obstacle = np.concatenate([obstacle, frames], axis=1)
    return pieces


def roomier(designs: Sequence[Design]) -> list[Design]:
    """The designs with room for what is worn below each."""
    result: list[Design] = []
    for design in designs:
        inner = [other for other in result if other.upper]
        if design.upper and inner and not design.bare:
            ease, sleeve = (max(getattr(other, name) for other in inner) for name in ("ease", "sleeve_ease"))
            cuff = max(other.cuff_ease for other in inner)
            design = replace(
                design,
                ease=max(design.ease, ease + ROOM),
                sleeve_ease=max(design.sleeve_ease, sleeve + ROOM),
                cuff_ease=max(design.cuff_ease, cuff + 0.4 * ROOM),
                closing=max(design.closing, max(other.closing for other in inner)),
                waist=min(design.waist, 0.5 * max(ROOM, design.ease - ease)),
            )
        result.append(design)
    return result


def _skinning(garment: Garment, shaped: ShapedBody) -> tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]:
    """(V, 3) canonical vertices, and the function from bone maps (B, 3, 4) to (V, 3, 4) maps of the vertices."""

    def blended(transforms: np.ndarray) -> np.ndarray:
        return np.asarray(garment.joints @ transforms.reshape(-1, 12)).reshape(-1, 3, 4)

    return _moved(blended(shaped.canonical_from_rest), garment.rest), blended


def _moved(maps: np.ndarray, points: np.ndarray) -> np.ndarray:
    return np.einsum("vij,vj->vi", maps[..., :3], points) + maps[..., 3]


def _simulated(
    garment: Garment, shaped: ShapedBody, path: Sequence[Pose], obstacle: np.ndarray, faces: np.ndarray, steps: Steps, floor: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """(T, V, 3) the garment in all frames, and its canonical vertices with the maps (V, 3, 4) to the last pose."""
    canonical, blended = _skinning(garment, shaped)
    guides = np.stack([_moved(blended(step.transforms), canonical) for step in path])

    def guide(frame: float) -> np.ndarray:
        k = min(int(frame), len(guides) - 2)
        share = min(frame - k, 1.0)
        return (1 - share) * guides[k] + share * guides[k + 1]

    design = garment.design
    fabric = Fabric(design.density, bend=design.bend, rest_bend=design.rest_bend, friction=design.friction)
    frames = simulate(garment.cloth, garment.faces, guides[0], guide, garment.held, obstacle, faces, fabric, steps, floor=floor)
    return frames, (canonical, blended(path[-1].transforms))


def _judged(garment: Garment, posed: np.ndarray, maps: tuple[np.ndarray, np.ndarray], naked: MeshQueries, began: float) -> DrapedPiece:
    """The piece with its report; raises DressingError."""
    family, (canonical, to_posed) = garment.design.family, maps
    if not np.isfinite(posed).all():
        raise DressingError(f"{family}: the simulation diverged")
    a, b = unique_edges(garment.faces).T
    own, now = (np.linalg.norm(x[a] - x[b], axis=1) for x in (garment.cloth, posed))
    stretched, inside = float((now > LONG * own).mean()), float(naked.inside(posed).mean())
    slipped = float(np.linalg.norm((posed - _moved(to_posed, canonical)).mean(0)))
    for value, most, what in (
        (stretched, MOST_STRETCHED, "{:.1%} of the edges are stretched"),
        (inside, MOST_INSIDE, "{:.1%} of the vertices are inside the body"),
        (slipped, MOST_SLIPPED, "it slid {:.2f} m"),
        (float(now.max()), RUNAWAY, "an edge is {:.2f} m long"),
    ):
        if value > most:
            raise DressingError(f"{family}: {what.format(value)}")
    back = np.linalg.solve(to_posed[..., :3], (posed - to_posed[..., 3])[..., None])[..., 0]
    return DrapedPiece(garment, posed, back - canonical, inside, stretched, time.process_time() - began)
