"""Members of the library in tailor's garments: a body, a pose and an outfit drawn from a number, sewn and draped."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from carve.geometry.skin_weights import stored_weights
from carve.synth.cloth.dressing import DrapedPiece, DressingError, drape_outfit, roomier, skin_joints, wearer_grid
from carve.synth.cloth.solver import Steps
from carve.synth.people.bodies import FullBody, ShapedBody, Traits, sample_traits, shape_body
from carve.synth.people.poses import Pose, sample_pose
from carve.synth.records import PARTS
from carve.synth.tailor.carried import carried_piece
from carve.synth.tailor.design import Design
from carve.synth.tailor.details import detailed
from carve.synth.tailor.figure import Figure, measured
from carve.synth.tailor.garment import tailored
from carve.synth.tailor.recipes import sample_outfit
from carve.synth.tailor.solid_pieces import StiffPiece, sample_stiff, stiff_piece
from carve.synth.tailor.weights import weight_matrix
from carve.synth.wear.garments import Pattern, canonical_of, made_asset
from carve.synth.wear.person import Drape
from carve.synth.wear.variations import frame_of
from carve.synth.wear.wardrobe import Item, Split

TRIES = 4
"""Bodies, poses and outfits that are tried for one member before it is given up."""
POSES = 6
"""Poses that are tried with one outfit before the last is taken."""
EXTRAS = {"scarf": (0.0, 0.08), "shoulder_bag": (0.08, 0.14), "backpack": (0.14, 0.2), "tote": (0.2, 0.24)}
"""Where in [0, 1) a random number must lie for each of what is worn over clothes."""
ARMS_OUT = {"outer": 0.18, "plain": 0.09}
"""Radians by which arms hang away from the body, so that sleeves have room."""


def tailors_item(
    body: FullBody, shaped: ShapedBody, design: Design, rest: np.ndarray, faces: np.ndarray, joints: sparse.csr_matrix
) -> Item:
    """A wearable piece from vertices at rest (V, 3), metres, with weights (V, B)."""
    asset = made_asset(f"tailor-{design.family}", design.kind, design.layer)
    # Seen from the front and, beside it, from behind: what needs better coordinates unrolls the cloth.
    corner = rest[faces]
    behind = (np.cross(corner[:, 1] - corner[:, 0], corner[:, 2] - corner[:, 0])[:, 2] < 0)[:, None]
    uv = np.stack([np.where(behind, 2.0 - corner[..., 0], corner[..., 0]), -corner[..., 1]], -1)
    empty = sparse.csr_matrix((len(rest), shaped.rest.shape[0]))
    pattern = Pattern(asset.name, PARTS.index(design.kind), design.layer, asset, empty, rest * 10.0, joints, faces, uv, measured=True)
    return Item(asset.name, design.kind, pattern, frame_of(body, pattern, shaped), design.lower == "skirt")


def stiff_item(body: FullBody, shaped: ShapedBody, piece: StiffPiece) -> Item:
    """Shoes or a hat as a wearable piece."""
    design = Design(piece.design.family, piece.design.kind, layer={"shoes": 4, "accessory": 7}.get(piece.design.kind, 8))
    item = tailors_item(body, shaped, design, piece.rest, piece.faces, piece.joints)
    return replace(item, pattern=replace(item.pattern, closed=True), stand=piece.design.stand)


def made_shoes(body: FullBody, shaped: ShapedBody, female: bool, bare_legs: bool, rng: np.random.Generator) -> Item:
    """A random pair of shoes; boots to the knee and high heels, which move the feet below cloth that is draped, go with bare legs only.

    Children wear no heels.
    """
    design = sample_stiff("shoes", female, rng)
    while (design.family in ("knee_boots", "high_heels") and not bare_legs) or (design.stand and not shaped.traits.adult):
        design = sample_stiff("shoes", female, rng)
    return stiff_item(body, shaped, stiff_piece(measured(body, shaped), skin_joints(body), design))


def made_hat(body: FullBody, shaped: ShapedBody, female: bool, rng: np.random.Generator) -> Item:
    """A random hat."""
    return stiff_item(body, shaped, stiff_piece(measured(body, shaped), skin_joints(body), sample_stiff("hat", female, rng)))


def made_extras(body: FullBody, shaped: ShapedBody, adult: bool, worn: Sequence[Item], rng: np.random.Generator) -> tuple[Item, ...]:
    """What is worn over clothes: braces where dungarees need them, now and then a scarf or a bag."""
    names = [item.name for item in worn]
    families = ["braces"] if "tailor-dungarees" in names else []
    chance = rng.random()
    if not any(name.endswith(family) for name in names for family in ("hijab", "poncho", "shawl")):
        families += [family for family, (low, high) in EXTRAS.items() if low <= chance < high and (adult or family == "backpack")]
    thick = any(item.kind == "coat" for item in worn)
    figure, joints = measured(body, shaped), skin_joints(body)
    return tuple(stiff_item(body, shaped, carried_piece(figure, joints, family, 0.055 if thick else 0.03, rng)) for family in families)


def make_tailored(
    body: FullBody, motions: Sequence[Path], index: int, split: Split, seed: int, steps: Steps | None = None
) -> tuple[dict[str, Any], dict[str, np.ndarray], list[str]]:
    """Member `index`: what is said of it, its arrays, and one line for each piece that failed on the way.

    Raises DressingError, whose message has these lines, if none of some tries succeeds.
    """
    failures: list[str] = []
    joints = skin_joints(body)
    for attempt in range(TRIES):
        rng = np.random.default_rng([seed, 11, index, attempt])
        traits = sample_traits(body, rng)
        shaped = shape_body(body, traits)
        designs = sample_outfit(traits.female, traits.adult, rng)
        thick = any(design.layer > 4 for design in designs)
        for _ in range(POSES):
            pose = sample_pose(body, shaped, motions, rng, arms_out=ARMS_OUT["outer" if thick else "plain"])
            if not throws_over(body, pose, designs):
                break
        try:
            pieces = drape_outfit(body, shaped, pose, designs, joints, steps or Steps())
        except DressingError as error:
            failures.append(f"{index} {error}")
            continue
        report = {
            "inside": max(piece.inside for piece in pieces),
            "stretched": max(piece.stretched for piece in pieces),
            "seconds": sum(piece.seconds for piece in pieces),
            "failed": len(failures),
        }
        meta = {"traits": traits, "pose": pose.kind, "report": report, "pieces": [_said(piece) for piece in pieces]}
        arrays = {"local": pose.local}
        for k, piece in enumerate(pieces):
            arrays |= {f"{k}_{name}": array for name, array in _arrays(piece).items()}
        return meta, arrays, failures
    raise DressingError("; ".join(failures))


def throws_over(body: FullBody, pose: Pose, designs: Sequence[Design]) -> bool:
    """Whether hands raised above the head's joint would throw a poncho over the head."""
    height = {bone: float(pose.heads[body.names.index(body.humanoid[bone]), 1]) for bone in ("head", "leftHand", "rightHand")}
    return any(d.family == "poncho" for d in designs) and max(height["leftHand"], height["rightHand"]) > height["head"]


def skinned_outfit(body: FullBody, shaped: ShapedBody, traits: Traits, rng: np.random.Generator) -> tuple[Drape, ...]:
    """An outfit that follows its wearer by skinning alone: for people whom no member of the library dresses."""
    grid, joints = wearer_grid(body, shaped), skin_joints(body)
    result = []
    for design in roomier(sample_outfit(traits.female, traits.adult, rng)):
        garment = tailored(grid, joints, design)
        still = np.zeros_like(garment.rest)
        result.append(_finished(body, shaped, grid.figure, design, garment.rest, garment.faces, garment.joints, still))
    return tuple(result)


def _said(piece: DrapedPiece) -> dict[str, Any]:
    return {
        "design": piece.garment.design.plain(),
        "inside": piece.inside,
        "stretched": piece.stretched,
        "seconds": round(piece.seconds, 2),
        "vertices": len(piece.posed),
    }


def _arrays(piece: DrapedPiece) -> dict[str, np.ndarray]:
    garment = piece.garment
    joints = garment.joints
    width = int(np.diff(joints.indptr).max())
    bones, weights = np.zeros((len(garment.rest), width), np.int64), np.zeros((len(garment.rest), width))
    row = np.repeat(np.arange(len(garment.rest)), np.diff(joints.indptr))
    place = np.arange(len(joints.indices)) - np.repeat(joints.indptr[:-1], np.diff(joints.indptr))
    bones[row, place], weights[row, place] = joints.indices, joints.data
    index, stored = stored_weights(bones, weights)
    return {
        "rest": garment.rest.astype(np.float32),
        "faces": garment.faces.astype(np.int32),
        "bones": index,
        "weights": stored,
        "moved": piece.moved.astype(np.float32),
    }


def finished_pieces(body: FullBody, shaped: ShapedBody, said: Sequence[dict[str, Any]], arrays: dict[str, np.ndarray]) -> tuple[Drape, ...]:
    """The pieces of a stored member with all that is sewn on."""
    figure = measured(body, shaped)
    result = []
    for k, entry in enumerate(said):
        design = Design.of(entry["design"])
        joints = weight_matrix(arrays[f"{k}_bones"], arrays[f"{k}_weights"], len(body.names))
        rest, moved = (arrays[f"{k}_{name}"].astype(np.float64) for name in ("rest", "moved"))
        faces = arrays[f"{k}_faces"].astype(np.int64)
        result.append(_finished(body, shaped, figure, design, rest, faces, joints, moved))
    return tuple(result)


def _finished(
    body: FullBody,
    shaped: ShapedBody,
    figure: Figure,
    design: Design,
    rest: np.ndarray,
    faces: np.ndarray,
    joints: sparse.csr_matrix,
    moved: np.ndarray,
) -> Drape:
    relief = detailed(rest, faces, design, figure)
    canonical = canonical_of(tailors_item(body, shaped, design, rest, faces, joints).pattern, shaped, rest) + moved
    flat = relief.rest
    item = tailors_item(body, shaped, design, flat, relief.faces, (relief.operator @ joints).tocsr())
    return Drape(item, relief.lifted(canonical, faces) - canonical_of(item.pattern, shaped, flat))
