"""What the surfaces of a person look like: the textures of garments, with those of skin, eyes and hair passed on.

Notation: positions (V, 3) of a garment at rest, metres, body frame; uv (F, 3, 2) of its triangles' corners, origin top left. Planar
coordinates are metres over the cloth: u to the right as somebody sees it who faces the piece, zero at the centre of the front; the centre
of the back is at u = BACK, that of a sleeve's front at BACK / 2; v downward from the top edge.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal

import cv2
import numpy as np
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from carve.body.model import REGIONS, bone_regions
from carve.geometry.camera import Camera
from carve.geometry.raster import rasterise
from carve.records import CarveError
from carve.synth.assets.files import Assets, GarmentAsset
from carve.synth.looks.fabrics import (
    Cloth,
    denim_cloth,
    fabric_cloth,
    is_plain,
    knit_cloth,
    leather_cloth,
    plain_cloth,
    wardrobe_colour,
)
from carve.synth.looks.patterns import pattern_cloth
from carve.synth.looks.prints import BACK, print_cloth
from carve.synth.looks.skins import brow_texture, eye_texture, hair_colour, hair_texture, skin_texture
from carve.synth.looks.texture import ALBEDO_RANGE, LINEAR, LUMINANCE, Coordinates, Texture, credit, decode, encode, hex_of, painted, veiled
from carve.synth.people.bodies import FullBody, load_full_body

__all__ = [
    "BACK", "Texture", "brow_texture", "eye_texture", "garment_texture", "hair_colour", "hair_texture", "planar_uv", "redyed",
    "skin_texture", "uv_scale", "vertex_regions",
]  # fmt: skip

Mode = Literal["own", "dyed", "plain", "fabric", "pattern", "print", "denim", "leather", "knit"]
_CHARTS = 256
_CLOTHES = ("top", "bottom", "dress", "suit", "coat")
_ODDS: dict[str, dict[Mode, float]] = {
    "top": {"own": 11, "dyed": 12, "plain": 49, "fabric": 2, "pattern": 9, "print": 6, "denim": 2, "knit": 9},
    "bottom": {"own": 11, "dyed": 14, "plain": 46, "fabric": 1, "pattern": 5, "denim": 18, "leather": 4, "knit": 1},
    "dress": {"own": 10, "dyed": 12, "plain": 50, "fabric": 3, "pattern": 15, "print": 2, "denim": 2, "knit": 6},
    "coat": {"own": 14, "dyed": 18, "plain": 48, "fabric": 2, "pattern": 3, "leather": 7, "denim": 4, "knit": 4},
    "suit": {"own": 12, "dyed": 16, "plain": 46, "fabric": 2, "pattern": 8, "denim": 8, "knit": 8},
    "shoes": {"own": 50, "dyed": 38, "leather": 9, "plain": 3},
    "hat": {"own": 45, "dyed": 35, "plain": 10, "knit": 4, "pattern": 3, "denim": 3},
    "accessory": {"own": 60, "dyed": 40},
}
"""How often each look is chosen, by kind of garment: plain cloth mostly, whose folds are light on geometry; authors paint theirs."""
_MATERIAL: dict[str, tuple[tuple[float, float], tuple[float, float]]] = {
    "cloth": ((0.7, 0.95), (0.015, 0.035)),
    "shiny": ((0.35, 0.6), (0.03, 0.05)),
}
"""Ranges of roughness and of specular reflectance."""


def uv_scale(positions: np.ndarray, faces: np.ndarray, uv: np.ndarray) -> float:
    """Metres per unit of uv: the area-weighted median over triangles of sqrt(area in space / area in uv).

    Raises:
        ValueError: no triangle has an area in both.
    """
    edges, flat = positions[faces[:, 1:]] - positions[faces[:, :1]], uv[:, 1:] - uv[:, :1]
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    flat_area = np.abs(flat[:, 0, 0] * flat[:, 1, 1] - flat[:, 0, 1] * flat[:, 1, 0])
    good = (area > 1e-12) & (flat_area > 1e-12)
    if not good.any():
        raise ValueError("no triangle has an area both in space and in uv")
    scale = np.sqrt(area[good] / flat_area[good])
    order = np.argsort(scale)
    total = np.cumsum(area[good][order])
    return float(scale[order[np.searchsorted(total, total[-1] / 2)]])


def uv_stretch(positions: np.ndarray, faces: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """(F,) ratio of the larger to the smaller singular value of each triangle's map from uv to space; infinite where it has no area."""
    edges = (positions[faces[:, 1:]] - positions[faces[:, :1]]).transpose(0, 2, 1)
    flat = (uv[:, 1:] - uv[:, :1]).transpose(0, 2, 1)
    determinant = flat[:, 0, 0] * flat[:, 1, 1] - flat[:, 0, 1] * flat[:, 1, 0]
    good = np.abs(determinant) > 1e-12
    jacobian = edges @ np.linalg.inv(np.where(good[:, None, None], flat, np.eye(2)))
    values = np.linalg.svd(jacobian, compute_uv=False)
    return np.where(good & (values[:, 1] > 1e-12), values[:, 0] / np.maximum(values[:, 1], 1e-12), np.inf)


def vertex_regions(body: FullBody, bones: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(V,) uint8 index into `carve.body.model.REGIONS` of the part that moves each vertex most; bones and weights (V, K)."""
    strongest = np.take_along_axis(bones, weights.argmax(1)[:, None], 1)[:, 0]
    regions: np.ndarray = bone_regions(body.names, body.parents, body.humanoid)[strongest]
    return regions


def planar_uv(positions: np.ndarray, faces: np.ndarray, regions: np.ndarray) -> np.ndarray:
    """(F, 3, 2) planar coordinates (see the module's head) in which stripes run level around trunk and limbs and prints sit upright.

    Trunk, sleeves and trouser legs are unrolled from elliptic tubes around their own axes; a skirt counts as trunk.

    Args:
        positions: (V, 3) the garment at rest.
        faces: (F, 3)
        regions: (V,) see `vertex_regions`.
    """
    limb = np.array([_limb(name) for name in REGIONS])[regions]
    if _is_skirt(positions, faces, limb):
        limb = np.where(limb >= 3, 0, limb)
    face_limb = np.median(limb[faces], axis=1).astype(int)
    top = float(positions[np.unique(faces), 1].max())
    result = np.zeros((len(faces), 3, 2))
    for piece in np.unique(face_limb):
        of = face_limb == piece
        result[of] = _unrolled(positions[faces[of]], top, sleeve=piece in (1, 2))
    return result


def _limb(region: str) -> int:
    """0 trunk, 1 and 2 arms, 3 and 4 legs."""
    side = 1 if region.startswith("left") else 2
    if region.endswith(("arm", "hand")):
        return side
    return side + 2 if region.endswith(("leg", "foot")) else 0


def _is_skirt(positions: np.ndarray, faces: np.ndarray, limb: np.ndarray) -> bool:
    """Whether triangles join the left leg's cloth to the right leg's over more than a fifth of its height."""
    legs = limb >= 3
    if not legs.any():
        return False
    joined = (limb[faces] == 3).any(1) & (limb[faces] == 4).any(1)
    if not joined.any():
        return False
    return bool(np.ptp(positions[faces[joined].ravel(), 1]) > np.ptp(positions[legs, 1]) / 5)


def _unrolled(corners: np.ndarray, top: float, sleeve: bool) -> np.ndarray:
    """Corners (f, 3, 3) of one tube to (f, 3, 2) planar coordinates."""
    points = corners.reshape(-1, 3)
    axis = np.array([0.0, -1.0, 0.0])
    if sleeve:
        axis = np.linalg.svd(points - points.mean(0), full_matrices=False)[2][0]
        # A short sleeve's longest direction may lie across it; sleeves go out and down.
        out = np.array([np.sign(points[:, 0].mean()), -1.0, 0.0]) / np.sqrt(2)
        axis = axis * np.sign(axis @ out) if abs(axis @ out) > 0.75 else out
    front = np.array([0.0, 0.0, 1.0]) - axis[2] * axis
    front /= np.linalg.norm(front)
    side = np.cross(front, axis)
    along = points @ axis
    across = np.stack([points @ side, points @ front], -1)
    along_scaled = (along - along.mean()) / (np.ptp(along) + 1e-9)
    basis = np.stack([np.ones_like(along), along_scaled, along_scaled**2], -1)
    centred = across - basis @ np.linalg.lstsq(basis, across, rcond=None)[0]
    # 85 % of an ellipse's points lie within this share of each semi-axis; the outermost are often folds.
    a, b = np.maximum(np.percentile(np.abs(centred), 85, axis=0) / np.sin(0.85 * np.pi / 2), 1e-3)
    arc, quarter = _arc_table(float(a), float(b))
    angle = np.arctan2(centred[:, 0] / a, centred[:, 1] / b).reshape(-1, 3)
    middle = centred.reshape(-1, 3, 2).mean(1)
    own = np.arctan2(middle[:, 0] / a, middle[:, 1] / b)
    angle = own[:, None] + (angle - own[:, None] + np.pi) % (2 * np.pi) - np.pi
    turns = np.floor((angle + np.pi) / (2 * np.pi))
    u = np.interp(angle - 2 * np.pi * turns, np.linspace(-np.pi, np.pi, len(arc)), arc) + 4 * quarter * turns
    behind = np.abs(own) > np.pi / 2
    # Sleeves lie between front and back, where no print is.
    u += BACK / 2 if sleeve else np.where(behind, BACK - np.sign(own) * 2 * quarter, 0.0)[:, None]
    start = along.min() if sleeve else -top
    return np.stack([u, (along - start).reshape(-1, 3)], -1)


def _arc_table(a: float, b: float) -> tuple[np.ndarray, float]:
    """Arc length from the front at 257 parameters -pi..pi of the ellipse (a sin t, b cos t), and a quarter of the circumference."""
    t = np.linspace(-np.pi, np.pi, 257)
    speed = np.hypot(a * np.cos(t), b * np.sin(t))
    length = np.concatenate([[0.0], np.cumsum((speed[1:] + speed[:-1]) / 2 * np.diff(t))])
    return length - length[128], float(length[-1] / 4)


def redyed(picture: np.ndarray, mask: np.ndarray, colour: np.ndarray, keep_accents: bool = False) -> np.ndarray:
    """A picture in a new colour that keeps seams, buttons and shading.

    Each pixel becomes the colour times its own luminance relative to the mean, the contrast limited to a factor of 3
    either way; a common factor makes the mean luminance over the mask that of the colour, after clipping to ALBEDO_RANGE.

    Args:
        picture: (h, w, 3) uint8 sRGB.
        mask: (h, w) bool, the pixels that lie on the garment.
        colour: (3,) linear.
        keep_accents: parts of another hue keep their own colour (trims, logos); the mean is then that of the rest.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    share = np.bincount(grey[mask], minlength=256) / max(int(mask.sum()), 1)
    level = LINEAR.astype(np.float64) + 0.01
    logarithm = np.log(level / (share @ level))
    ratio = np.exp(1.1 * np.tanh(logarithm / 1.1))
    factor, wanted = 1.0, float(colour @ LUMINANCE)
    for _ in range(12):  # one factor for all channels, since one for each would shift the hue of what is not clipped
        table = np.clip(factor * ratio[:, None] * colour, *ALBEDO_RANGE)
        factor *= wanted / max(float(share @ table @ LUMINANCE), 1e-6)
    dyed: np.ndarray = encode(table)[grey]
    if not keep_accents or not mask.any():
        return dyed
    lab = cv2.cvtColor(picture, cv2.COLOR_RGB2LAB)[..., 1:].astype(np.float32)
    away = np.linalg.norm(lab - np.median(lab[mask], axis=0), axis=-1)
    weight = np.clip((away - 22) / 15, 0, 1)[..., None]
    return (dyed + weight * (veiled(picture).astype(np.float32) - dyed)).astype(np.uint8)


def template_positions(asset: GarmentAsset) -> np.ndarray:
    """(V, 3) metres, body frame: roughly where the garment lies on Anny's template, good for scales and for above and below."""
    body = load_full_body()
    on_body = np.einsum("vk,vkc->vc", asset.ref_weights, body.template.numpy()[asset.ref].astype(np.float64))
    return on_body + asset.offsets * 0.1


def _corner_uv(asset: GarmentAsset) -> np.ndarray:
    """(F, 3, 2) origin top left."""
    return asset.uv[asset.face_uv] * np.array([1.0, -1.0]) + np.array([0.0, 1.0])


def _piece_labels(asset: GarmentAsset, size: int) -> np.ndarray:
    """(size, size) uint8: 0 outside the charts, 1 the upper garment of a suit (or the whole of another garment), 2 the lower."""
    uv = _corner_uv(asset) * _CHARTS
    count = len(asset.uv)
    joins = sparse.coo_matrix(
        (np.ones(2 * len(uv)), (np.tile(asset.face_uv[:, 0], 2), asset.face_uv[:, 1:].T.ravel())), shape=(count, count)
    )
    chart = connected_components(joins, directed=False)[1][asset.face_uv[:, 0]]
    label = np.ones(len(uv), np.uint8)
    if asset.kind == "suit":
        height = template_positions(asset)[asset.faces][..., 1].mean(1)
        mean = np.bincount(chart, height) / np.maximum(np.bincount(chart), 1)
        label[mean[chart] < 0.1] = 2  # the hips are at 0, the waist at 0.15
    corners = uv.reshape(-1, 2)
    flat = np.column_stack([corners[:, 0], -corners[:, 1], -np.ones(len(corners))])
    seen = rasterise(flat, np.arange(len(flat)).reshape(-1, 3), Camera(_CHARTS, _CHARTS, 1.0, 0.0, 0.0))
    image = np.where(seen.mask, label[np.maximum(seen.face, 0)], 0).astype(np.uint8)
    image = np.where(image > 0, image, cv2.dilate(image, np.ones((5, 5), np.uint8)))
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_NEAREST)


def _draw_mode(asset: GarmentAsset, fabrics: tuple[str, ...], rng: np.random.Generator) -> Mode:
    odds = dict(_ODDS.get(asset.kind, _ODDS["accessory"]))
    if asset.diffuse is None:
        odds = {m: o for m, o in odds.items() if m not in ("own", "dyed")} or {"plain": 1.0}
    if not fabrics:
        odds.pop("fabric", None)
    names, values = list(odds), np.array(list(odds.values()))
    return names[rng.choice(len(names), p=values / values.sum())]


def _cloth(
    assets: Assets, kind: str, mode: Mode, fabrics: tuple[str, ...], rng: np.random.Generator
) -> tuple[Cloth, Coordinates, dict[str, Any]]:
    """A cloth for a mode other than `own` and `dyed`, where it is laid out, and what to say of it."""
    if mode == "fabric":
        patterned = [n for n in fabrics if not is_plain(decode(assets.fabrics[n].path))] or list(fabrics)
        return fabric_cloth(assets, patterned[rng.integers(len(patterned))], rng), "planar" if rng.random() < 0.7 else "uv", {}
    if mode == "pattern":
        cloth, name = pattern_cloth(kind, rng)
        level = name in ("stripes", "breton", "pinstripes", "gingham", "windowpane", "tartan", "zigzag")
        return cloth, "planar" if rng.random() < (0.85 if level else 0.5) else "uv", {"pattern": name}
    if mode == "print":
        cloth, printed = print_cloth(assets, fabrics, kind, rng)
        return cloth, "planar", {"print": printed, "pictures": list(cloth.pictures)}
    if mode == "denim":
        return denim_cloth(assets, fabrics, rng), "uv", {}
    if mode == "leather":
        return leather_cloth(rng), "uv", {}
    colour = wardrobe_colour(kind, rng)
    cloth = knit_cloth(colour, rng) if mode == "knit" else plain_cloth(assets, fabrics, colour, rng)
    return cloth, "uv", {"colour": hex_of(colour)}


def _alpha(asset: GarmentAsset) -> np.ndarray | None:
    """(h, w) uint8 cut-outs that the author made, in the garment's own uv."""
    if asset.diffuse is None or not asset.alpha:
        return None
    picture = decode(asset.diffuse)
    return np.ascontiguousarray(picture[..., 3]) if picture.shape[2] == 4 else None


def _own_uv(
    assets: Assets, asset: GarmentAsset, modes: dict[int, Mode], fabrics: tuple[str, ...], rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, Any]]:
    """The picture in the garment's own uv whose pieces (see `_piece_labels`) have the looks of `modes`, and what to say of it."""
    picture = None if asset.diffuse is None else painted(asset.diffuse)
    size = 1024 if picture is None else max(picture.shape[0], 512)
    if picture is not None and picture.shape[:2] != (size, size):
        picture = cv2.resize(picture, (size, size), interpolation=cv2.INTER_CUBIC)
    labels = _piece_labels(asset, size)
    image = np.full((size, size, 3), 128, np.uint8) if picture is None else veiled(picture)
    said: dict[str, Any] = {"pieces": []}
    for label, mode in modes.items():
        mask = labels == label
        kind = asset.kind if asset.kind != "suit" else ("top", "bottom")[label - 1]
        if mode == "own" or not mask.any():
            continue
        if mode == "dyed" and picture is not None:
            colour = wardrobe_colour(kind, rng)
            image[mask] = redyed(picture, mask, colour, bool(rng.random() < 0.5))[mask]
            more: dict[str, Any] = {"colour": hex_of(colour)}
        else:
            cloth, _, more = _cloth(assets, kind, mode, fabrics, rng)
            scale = uv_scale(template_positions(asset), asset.faces, _corner_uv(asset))
            tile = max(2, round(cloth.metres / scale * size))
            small = cv2.resize(cloth.image, (tile, tile), interpolation=cv2.INTER_AREA if tile < len(cloth.image) else cv2.INTER_LINEAR)
            times = -(-size // tile)
            laid = np.tile(small, (times, times, 1))[:size, :size]
            if picture is not None and rng.random() < 0.12:  # over the author's seams, with folds that are none
                laid = laid * _relief(picture, mask)[..., None]
                more["painted_folds"] = True
            image[mask] = encode(laid[mask])
            more["fabric"] = cloth.fabric
        said["pieces"].append({"piece": ("upper", "lower")[label - 1] if asset.kind == "suit" else "whole", "mode": mode, **more})
    return image, said


def _relief(picture: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(h, w) float32 factors: seams and folds of a picture without its colours and prints' large contrasts."""
    level = np.log(LINEAR[cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)] + np.float32(0.02))
    inside = mask.astype(np.float32)
    sigma = len(picture) / 40
    smooth = cv2.GaussianBlur(level * inside, (0, 0), sigma) / np.maximum(cv2.GaussianBlur(inside, (0, 0), sigma), 1e-3)
    return np.exp(0.5 * np.tanh((level - smooth) / 0.5)).astype(np.float32)


def garment_texture(
    assets: Assets, asset: GarmentAsset, fabrics: Iterable[str], rng: np.random.Generator, mode: Mode | None = None
) -> Texture:
    """The look of one garment, drawn at random.

    The author's own picture, the same dyed, cloth of one colour, a fabric of the pack, a drawn pattern, a print, denim, leather or
    knit; the upper and the lower part of a suit are drawn apart. A garment without a picture of its own gets cloth.

    Args:
        fabrics: names of the fabrics that may be used, keys of `assets.fabrics`; none of the pack's where empty.
        mode: the look instead of a random one.

    Raises:
        CarveError: a fabric is unknown, or the garment is hair, brows, lashes or eyes, or the mode needs what is missing.
    """
    allowed = tuple(fabrics)
    unknown = [n for n in allowed if n not in assets.fabrics]
    if unknown:
        raise CarveError(f"{assets.root} has no fabric {unknown[0]}; use names of fabrics/fabrics.json.")
    if asset.kind not in _ODDS:
        raise CarveError(f"{asset.name} is of the kind {asset.kind}, not cloth; use hair_texture, brow_texture or eye_texture.")
    chosen = mode or _draw_mode(asset, allowed, rng)
    if chosen in ("own", "dyed") and asset.diffuse is None:
        raise CarveError(f"The garment {asset.name} has no diffuse picture; add one and name it in its meta.json, or choose another look.")
    if chosen == "fabric" and not allowed:
        raise CarveError("A look of the pack's fabrics needs at least one allowed fabric; allow one or choose another look.")
    source: dict[str, Any] = {"mode": chosen, "asset": asset.name, "credits": [credit(assets, asset.diffuse or asset.folder)]}
    shiny = chosen == "leather" or asset.kind == "shoes" or (asset.kind == "accessory")
    roughness, specular = (float(rng.uniform(*r)) for r in _MATERIAL["shiny" if shiny else "cloth"])
    alpha = _alpha(asset)
    # A suit is several clothes in one picture, and small things have seams that a tile would hide: both are drawn in their own uv.
    sewn = len(asset.faces) == 0  # by carve: its cloth is unrolled, it has no charts of its own
    small = not sewn and asset.kind in ("suit", "shoes", "accessory")
    own_uv = chosen in ("own", "dyed") or small or (asset.diffuse is not None and rng.random() < 0.3)
    if own_uv and chosen != "print":
        modes: dict[int, Mode] = {1: chosen}
        if asset.kind == "suit":
            others: tuple[Mode, ...] = ("own", "dyed", "denim", "plain") if asset.diffuse is not None else ("denim", "plain")
            modes[2] = "own" if chosen == "own" else others[rng.integers(len(others))]
        image, said = _own_uv(assets, asset, modes, allowed, rng)
        source |= said
        source["credits"] += [credit(assets, assets.fabrics[p["fabric"]].path) for p in said["pieces"] if p.get("fabric")]
        return Texture(image, alpha, None, "uv", roughness, specular, source)
    cloth, coordinates, more = _cloth(assets, asset.kind, chosen, allowed, rng)
    source |= {**more, "fabric": cloth.fabric}
    if cloth.fabric is not None:
        source["credits"].append(credit(assets, assets.fabrics[cloth.fabric].path))
    if sewn:
        coordinates = "planar"
    elif asset.kind not in _CLOTHES:
        coordinates = "uv"
    source["credits"] += [credit(assets, assets.backgrounds[name]) for name in cloth.pictures]
    return Texture(encode(cloth.image), alpha, cloth.metres, coordinates, roughness, specular, source)
