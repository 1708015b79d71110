"""A smooth tone for every vertex, spread from where the photo or its mirror image is known: around limbs, hair from hair."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np
from scipy.spatial import cKDTree

from carve.body.model import REGIONS
from carve.body.zones import (
    ALIGNED,
    ATTACHED,
    HANDS,
    HEAD,
    MIRRORED,
    TORSO,
    above_nape,
    crown,
    face_zone,
    limb_axes,
    limb_coordinates,
    neck,
)
from carve.geometry.meshing.diffusion import spread, stiffness
from carve.geometry.pictures.sampling import sample
from carve.records import LABELS, CanonicalSurface
from carve.stages.texturing.layers import Layer, Mirror
from carve.stages.texturing.params import Params
from carve.stages.texturing.view import View

_SKIN = LABELS.index("skin")
_ALIKE = np.array([LABELS.index("skin" if name == "glasses" else name) for name in LABELS])
"""Label -> what counts as its kind."""
_CLOTH = [LABELS.index(name) for name in ("top", "outer", "bottom", "dress", "other")]
"""Labels of one garment may differ from side to side: a kind of cloth that its part of the body shows nowhere is any cloth's."""
_PURE = 0.04
"""From this distance to the border of a label on a tone is of one kind, metres."""
_SOURCES = 300
"""Of a kind of cloth on a part of the body: so few that the nearest of them lie on more than a patch."""
_WORTH = 0.15
"""How sure and common a tone of cloth must be, against the upper quartile, to be a source."""
_ENOUGH = 40
"""Vertices that must be such, or all are sources."""
_SAME_CLOTH = (20.0, 9.0)
"""Labels whose cloths differ by less than this in lightness and in chroma, CIE Lab, are one garment's: light changes hue least."""
_USUAL = 600
"""Vertices that a cloth's usual tone is the commonest of."""
_ONE_LIGHT = 0.7
"""How far a tone of a cloth's own hue goes towards its usual one where nothing is seen."""
_OTHER_HUE, _OTHER_LIGHT = (8.0, 16.0), (20.0, 40.0)
"""Differences from the usual tone in hue and in lightness, CIE Lab, from which on it begins to be another, and is one."""
_SHADE = 0.2
"""What shadow counts at least against the light of the same garment."""
_SAME_TONE = 25.0
"""Tones of one cloth in one light differ by so much, of 255."""
_WELL_KNOWN = 0.5
"""From here on what is known of a vertex says so much more than what is guessed that nothing is guessed."""
_CHUNK = 4096
"""Tones that are compared at a time."""
_FACE = len(LABELS)
"""The kind of the face's skin, beside the labels."""


def base_colours(
    surface: CanonicalSurface,
    view: View,
    layers: list[Layer],
    seen: np.ndarray,
    mirror: Mirror,
    points: np.ndarray,
    params: Params,
    labels: np.ndarray | None = None,
    by_label: Mapping[int, Layer] | None = None,
) -> np.ndarray:
    """(V, 4) tone for every vertex: smooth colours, and how much detail varies about them.

    With `labels` (V,) every vertex takes its tone from vertices of its own label, one garment not from another; `by_label` holds the photo
    as some labels show themselves in it.
    """
    pixels = view.camera.project(points)
    own, other = np.zeros((len(points), 4)), np.zeros((len(points), 4))
    for region, layer in enumerate(layers):
        member = surface.region == region
        own[member] = layer.tone(pixels[member])
        other[member] = layers[MIRRORED[region]].tone(mirror.pixels[member])
    for label, layer in ({} if labels is None or by_label is None else by_label).items():
        member = labels == label
        own[member], other[member] = layer.tone(pixels[member]), layer.tone(mirror.pixels[member])
    zone = face_zone(surface)
    # Where nothing is sure, on fingers, say, the little that is left still counts against nothing.
    sure = 0.1 + 0.9 * sample(view.sure, pixels)[:, 0]
    alike = None if labels is None else _garments(own[:, :3], _ALIKE[labels], seen > 0.5)
    pure = np.ones(len(points)) if alike is None else _away_from_borders(surface, alike)
    source = seen * sure * pure * _is_hair_or_neck(surface, own[:, :3], seen, zone)
    from_mirror = 0.3 * mirror.weight * (1 - seen) * pure * (zone | (surface.region != HEAD))
    known = source + from_mirror
    colours = (source[:, None] * own + from_mirror[:, None] * other) / np.maximum(known, 1e-9)[:, None]
    skin = bare_skin(surface, own[:, :3], seen)
    if skin is not None:
        # An arm before the trunk often lies beside where the fit has it: of cloth and skin on the trunk, cloth is the better guess.
        known = np.where(surface.region == TORSO, known * (1 - 0.9 * _likeness(colours[:, :3], skin)), known)
    face_is_own = (seen[zone] > 0.5).sum() >= 8 or skin is not None
    hair = above_nape(surface) | _long_hair(surface, own[:, :3], seen, zone)
    kind = np.where(zone & face_is_own, _FACE, hair)
    if alike is not None:
        kind = np.where(zone & face_is_own & (labels == _SKIN), _FACE, alike)
    guess, guess_weight = _around_limbs(surface, colours, known, kind, [] if labels is None else _CLOTH)
    if skin is not None:
        bare = zone if (seen[zone] > 0.5).sum() < 8 else np.zeros_like(zone)
        if labels is not None:
            bare = bare | ((kind == _SKIN) & (guess_weight < 1))  # no skin of that limb is seen
        guess[bare], guess_weight[bare] = [*skin, 0.0], 1.0
    barrier = _touching(surface)
    if face_is_own:
        barrier |= zone[surface.faces].any(1) & ~zone[surface.faces].all(1)
    if labels is not None:
        barrier |= (kind[surface.faces] != kind[surface.faces[:, :1]]).any(1)
    axes = limb_axes(surface.skeleton)[surface.region[surface.faces[:, 0]]]
    stiff = stiffness(surface.vertices, surface.faces, axes, params.across, np.where(barrier, 1e-3, 1.0))
    pull = params.pull * guess_weight
    weight = 10 * known**2 + pull
    values = 10 * (known**2)[:, None] * colours + pull[:, None] * guess
    return np.clip(spread(stiff, weight, values / weight[:, None]), 0, 255)


def _away_from_borders(surface: CanonicalSurface, labels: np.ndarray) -> np.ndarray:
    """(V,) 0 where two labels meet, up to 1 away from there: tones are means, of both kinds near a border."""
    corners = labels[surface.faces]
    border = np.unique(surface.faces[(corners != corners[:, :1]).any(1)])
    if len(border) == 0:
        return np.ones(len(labels))
    distance, _ = cKDTree(surface.vertices[border]).query(surface.vertices, distance_upper_bound=_PURE)
    return np.clip(distance / _PURE, 0.02, 1) ** 2


def _around_limbs(
    surface: CanonicalSurface, colours: np.ndarray, known: np.ndarray, kind: np.ndarray, cloth: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """(V, 4) tones that are known at the same height of the same limb, preferably on the near side of it, and the trust in them (V,).

    `known` (V,) weighs the given tones (V, 4). Each `kind` (V,), hair, skin of the face, a garment, takes from its like; where its part of
    the body shows none of a kind of cloth, from other cloth.
    """
    good = known > 0.02
    common = _commonness(colours, known, kind, good)
    mean = np.average(colours[good], axis=0, weights=known[good]) if good.any() else np.array([128.0, 128.0, 128.0, 0.0])
    guess, trust = np.tile(mean, (len(colours), 1)), np.full(len(colours), 1e-3)
    for part in np.unique(kind):
        own = good & (kind == part)
        if own.sum() >= 8:
            guess[kind == part], trust[kind == part] = np.average(colours[own], axis=0, weights=known[own]), 0.1
    usual = {}
    for part in cloth:
        own = np.flatnonzero(good & (kind == part))
        if len(own) >= 8:
            own = own[:: -(-len(own) // _USUAL)]
            usual[part] = _commonest(colours[None, own], (known * common)[None, own], 20.0)[0, :3]
    axes = limb_axes(surface.skeleton)
    for region in range(len(REGIONS)):
        for part in np.unique(kind[surface.region == region]):
            # What is well known keeps its own tone.
            wanted = np.flatnonzero((surface.region == region) & (kind == part) & (known < _WELL_KNOWN))
            attached = ALIGNED[region][surface.region]
            sources = np.flatnonzero(good & attached & (kind == part))
            if len(sources) < 8 and part in cloth:
                sources = np.flatnonzero(good & attached & np.isin(kind, cloth))
            if len(wanted) == 0 or len(sources) < 8:
                continue
            if part in cloth:
                # Where hair or a scarf lies over all of a coat at one height, what labels leave of it there is not the coat.
                worth = (known * common)[sources]
                worthy = worth >= _WORTH * np.quantile(worth, 0.75)
                sources = sources[worthy] if worthy.sum() >= _ENOUGH else sources
                sources = sources[:: -(-len(sources) // _SOURCES)]
            place = limb_coordinates(surface.vertices, surface.region == region, axes[region])
            # Seven centimetres along the limb weigh as much as a quarter turn around it, another region as four. Within one garment, as
            # labels tell it, height and side say less.
            place *= [1 / 0.08, 0.6, 0.6] if part in cloth else [1 / 0.03, 1.6, 1.6]
            place = np.column_stack([place, 1.2 * (surface.region != region)])
            distance, index = cKDTree(place[sources]).query(place[wanted], k=8 if len(sources) < 40 else 40)
            near = 1 / (distance**2 + 2) if part in cloth else 1 / (distance**2 + 0.5) ** 1.5
            guess[wanted] = _prevailing(colours[sources][index], (known * common)[sources][index] * near)
            if part in usual:
                guess[wanted, :3] = _in_one_light(guess[wanted, :3], usual[part])
            trust[wanted] = 1.0
    well = known >= _WELL_KNOWN
    guess[well], trust[well] = colours[well], 1.0
    return guess, trust


def _garments(colours: np.ndarray, kind: np.ndarray, good: np.ndarray) -> np.ndarray:
    """(V,) the kinds, those of cloth whose `good` (V,) tones are alike as one: labels may name parts of one garment differently."""
    merged = kind.copy()
    tones: dict[int, np.ndarray] = {}
    for part in _CLOTH:
        own = good & (kind == part)
        if own.sum() < 8:
            continue
        tone = _lab(np.median(colours[own, :3], axis=0))[0]
        like = [name for name, other in tones.items() if _same_cloth(tone - other)]
        if like:
            merged[kind == part] = like[0]
        else:
            tones[part] = tone
    return merged


def _in_one_light(tones: np.ndarray, usual: np.ndarray) -> np.ndarray:
    """Tones (N, 3) of a cloth, nearer to its usual one (3,) where they differ from that by their light alone."""
    apart = _lab(tones) - _lab(usual)
    differs = ((np.linalg.norm(apart[:, 1:], axis=1), _OTHER_HUE), (np.abs(apart[:, 0]), _OTHER_LIGHT))
    same = np.prod([1 - np.interp(value, limits, (0, 1)) for value, limits in differs], axis=0)
    nearer: np.ndarray = tones + _ONE_LIGHT * same[:, None] * (usual - tones)
    return nearer


def _lab(tones: np.ndarray) -> np.ndarray:
    """(N, 3) CIE Lab of sRGB tones (N, 3) or (3,), 0..255."""
    encoded = np.reshape(tones, (-1, 1, 3)).astype(np.float32) / 255
    return np.asarray(cv2.cvtColor(encoded, cv2.COLOR_RGB2LAB)[:, 0])


def _same_cloth(difference: np.ndarray) -> bool:
    """Whether tones that differ by this (3,), CIE Lab, are of one cloth."""
    return bool(abs(difference[0]) < _SAME_CLOTH[0] and np.hypot(*difference[1:]) < _SAME_CLOTH[1])


def _commonness(colours: np.ndarray, known: np.ndarray, kind: np.ndarray, good: np.ndarray) -> np.ndarray:
    """(V,) 0 to 1 how much of its kind has a tone like that of a vertex: what labels cut wrongly is rare there. Shade counts less."""
    common = np.ones(len(colours))
    for part in np.unique(kind):
        own = np.flatnonzero(good & (kind == part))
        if len(own) < 8:
            continue
        some = own[:: -(-len(own) // 1000)]
        share = _alike(colours[own, :3], colours[some, :3], known[some])
        light = colours[own, :3].mean(1)
        common[own] = (share / share.max()) ** 2 * np.clip(light / max(float(np.quantile(light, 0.9)), 1.0), _SHADE, 1)
    return common


def _alike(tones: np.ndarray, among: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(N,) the summed weights (M,) of tones (M, 3) that are like each of tones (N, 3)."""
    tones, among = tones.astype(np.float32), among.astype(np.float32)
    total = np.empty(len(tones))
    for start in range(0, len(tones), _CHUNK):
        part = tones[start : start + _CHUNK]
        # |a - b|^2 as a product: the differences themselves take ten times as long.
        apart = (part**2).sum(1)[:, None] + (among**2).sum(1) - 2 * part @ among.T
        total[start : start + _CHUNK] = np.exp(apart / np.float32(-2 * _SAME_TONE**2)) @ weight.astype(np.float32)
    return total


def _prevailing(colours: np.ndarray, weight: np.ndarray, tolerance: float = 20.0) -> np.ndarray:
    """(N, C) the commonest of K tones (N, K, C) with weights (N, K): a coat rather than the mean of a coat and the shirt in its opening."""
    tone = np.empty((len(colours), colours.shape[2]))
    for start in range(0, len(colours), _CHUNK):
        part = slice(start, start + _CHUNK)
        tone[part] = _commonest(colours[part], weight[part], tolerance)
    return tone


def _commonest(colours: np.ndarray, weight: np.ndarray, tolerance: float) -> np.ndarray:
    """The same of a few: all pairs of tones are compared."""
    rgb = colours[..., :3].astype(np.float32)
    square = np.einsum("nkc,nkc->nk", rgb, rgb)
    apart = square[:, :, None] + square[:, None, :] - 2 * rgb @ rgb.swapaxes(1, 2)
    alike = np.exp(-np.maximum(apart, 0) / (2 * tolerance**2)) * weight[:, None, :]
    commonest = alike.sum(2).argmax(1)
    share = alike[np.arange(len(colours)), commonest]
    tone = np.einsum("nk,nkc->nc", share, colours) / share.sum(1, keepdims=True)
    # The contrast of the plain cloth, not that of the edges between two garments.
    plain = share / (colours[..., 3] + 4) ** 2
    tone[:, 3] = np.einsum("nk,nk->n", plain, colours[..., 3]) / plain.sum(1)
    return tone


def _likeness(colours: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """(N,) 1 for colours (N, 3) that are `skin` (3,) in some light, 0 for others."""
    brightness, reference = colours.sum(1) + 1, skin.sum() + 1
    hue = ((colours / brightness[:, None] - skin / reference) ** 2).sum(1)
    light = np.log(brightness / reference) ** 2
    return np.exp(-hue / (2 * 0.03**2) - light / (2 * 0.5**2))


def _touching(surface: CanonicalSurface) -> np.ndarray:
    """(F,) bool: triangles that bridge parts of the body which only touch, a hand and the hip, say."""
    a, b, c = surface.region[surface.faces].T
    return ~(ATTACHED[a, b] & ATTACHED[b, c] & ATTACHED[c, a])


def _is_hair_or_neck(surface: CanonicalSurface, colours: np.ndarray, seen: np.ndarray, zone: np.ndarray) -> np.ndarray:
    """(V,) float: 0 for seen skin of the sides of the head, which must not spread over the hair at the back; else 1."""
    keep = np.ones(len(colours))
    top, face = crown(surface) & (seen > 0.1), zone & (seen > 0.5)
    side = above_nape(surface) & ~zone & ~crown(surface)
    if top.sum() < 8 or face.sum() < 8:
        return keep
    hair, skin = np.median(colours[top], axis=0), np.median(colours[face], axis=0)
    if np.linalg.norm(hair - skin) < 25:
        return keep
    skin_like = np.linalg.norm(colours - skin, axis=1) < np.linalg.norm(colours - hair, axis=1)
    keep[side & skin_like] = 0
    return keep


def _long_hair(surface: CanonicalSurface, colours: np.ndarray, seen: np.ndarray, zone: np.ndarray) -> np.ndarray:
    """(V,) bool: where the photo shows dark hair beside the neck, the hair that is seen there and all of the nape; else nothing."""
    nape, beside = neck(surface)
    face, shown = zone & (seen > 0.5), beside & (seen > 0.3)
    around = above_nape(surface) & ~zone & (seen > 0.3)
    none = np.zeros(len(colours), bool)
    if min(around.sum(), face.sum(), shown.sum()) < 8:
        return none
    skin = np.median(colours[face], axis=0)
    from_skin = np.linalg.norm(colours - skin, axis=1)
    around &= from_skin > 50
    hair = np.median(colours[around], axis=0) if around.sum() >= 8 else skin
    # Fair hair cannot be told from collars.
    if hair.sum() > 0.8 * skin.sum():
        return none
    hairy = np.linalg.norm(colours - hair, axis=1) < 0.6 * from_skin
    return nape | (shown & hairy) if hairy[shown].mean() > 0.5 else none


def bare_vertices(surface: CanonicalSurface, colours: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """(V,) bool: where hands, neck or face show bare skin."""
    bare = (seen > 0.3) & (np.isin(surface.region, HANDS) | ((surface.region == HEAD) & ~above_nape(surface)))
    red, green, blue = colours.T
    return bare & (red > 1.05 * green) & (green > 0.85 * blue) & (red < 2.5 * green)


def bare_skin(surface: CanonicalSurface, colours: np.ndarray, seen: np.ndarray) -> np.ndarray | None:
    """(3,) colour of bare skin where hands, neck or face show it, if they do."""
    bare = bare_vertices(surface, colours, seen)
    return np.median(colours[bare], axis=0) if bare.sum() >= 8 else None


def skin_tone(surface: CanonicalSurface, view: View, head: Layer, seen: np.ndarray, base: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(3,) sRGB of the person's skin: where it is seen bare, else what was spread over the face.

    Args:
        surface: the surface.
        view: what the photo shows.
        head: the photo as the head shows itself in it.
        seen: (V,) weight of the photo at the vertices.
        base: (V, 4) spread tones.
        points: (V, 3) posed vertices.
    """
    tones = head.tone(view.camera.project(points))[:, :3]
    own = np.where((surface.region == HEAD)[:, None], tones, base[:, :3])
    # The brighter half of what is seen: the rest lies in the shadow of chin and hair.
    bare = bare_vertices(surface, own, seen)
    if bare.sum() >= 8:
        light = own[bare].sum(1)
        return np.median(own[bare][light >= np.median(light)], axis=0)
    zone = face_zone(surface)
    return np.median(base[zone, :3], axis=0) if zone.any() else base[:, :3].mean(0)
