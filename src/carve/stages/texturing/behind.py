"""What a back photo adds to the texture: colours where the first photo saw nothing, in the first photo's tones.

Notation: w weight of the first photo at a texel, w' of the back photo; b share that the back photo gets, which falls from w' to nothing as
w rises over WON; f log of the factor that brings the back photo's linear light to the first one's, for each label.

    colour = (1 - b) first + b exp(f) back,        b = w' (1 - ramp(w))

Between what the two photos see lies a strip that neither does; the tones that spread into it from the front are bent so that they meet the
back's (`bent`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from carve.body.zones import face_zone, limb_axes
from carve.geometry.mesh import diffuse, vertex_normals
from carve.geometry.meshing.diffusion import spread, stiffness
from carve.geometry.pictures.colour import encoded, linear
from carve.geometry.pictures.sampling import complete, sample
from carve.geometry.unwrapping.atlas import Texels
from carve.records import BackView, CanonicalSurface, PosedSurface
from carve.stages.texturing.light import Light
from carve.stages.texturing.params import Params
from carve.stages.texturing.view import View, find_behind_arms, look, photo_weight

GOOD_OVERLAP = 0.85
"""Intersection over union of outlines from which on a back photo is used."""
WON = (0.15, 0.55)
"""Weights of the first photo up to which the back photo counts fully, and from which it counts nothing."""
_CLOSE = 0.008
"""Scale of the tones in which both photos must meet, metres."""
_LIKE = 40.0
"""Difference of tones, of 255, at which they count half."""
_ENOUGH = 40
"""Vertices that both photos must show of a label for its own factor."""
_EXPOSURE, _HUE = 0.7, 0.25
"""Largest logarithms of brightness and of hue that two cameras differ by; what differs more is another colour, not another light."""
_OWN = 0.4
"""How far a label's own brightness may differ from that of the whole photo; its hue by _HUE."""
_DARK = 0.03
"""Linear light of a label that counts half for all: ratios of black cloth tell little."""
_BLOCK = 1 << 19
"""Texels that are painted at a time."""


@dataclass(frozen=True)
class Behind:
    """The back photo as it counts at the surface's vertices."""

    view: View
    posed: PosedSurface
    """The surface in the back photo's pose and camera."""
    normals: np.ndarray
    """(V, 3) unit, that camera's frame."""
    behind_arms: np.ndarray
    """(V,) bool, see `find_behind_arms`."""
    seen: np.ndarray
    """(V,) w', and nothing on the face."""
    labels: np.ndarray | None
    """(V,) as the back photo tells them."""
    allowed: np.ndarray
    """(V,) 0 on the face, else 1."""
    gain: np.ndarray
    """(V, 3) f; zero before it is known."""


WithoutLight = Callable[[View, np.ndarray, np.ndarray | None, np.ndarray], tuple[View, Light | None]]
"""Takes the light out of a view, by the surface's normals (V, 3), labels (V,) if there are some, and triangles (F, 3)."""


def find_behind(back: BackView | None, posed: PosedSurface, grid: Texels, params: Params, without_light: WithoutLight) -> Behind | None:
    """What the back photo shows, without its light where the settings say so; None if there is none, or it fits too badly."""
    if back is None or back.overlap < GOOD_OVERLAP:
        return None
    surface = posed.canonical
    turned = PosedSurface(surface, back.pose, back.camera, back.vertices)
    normals = vertex_normals(turned.vertices, surface.faces)
    view = look(back.observation, turned, normals, grid, params)
    view, _ = without_light(view, normals, back.labels, surface.faces)
    behind_arms = find_behind_arms(surface)
    allowed = 1 - np.clip(2 * diffuse(face_zone(surface).astype(float)[:, None], surface.faces, 4)[:, 0], 0, 1)
    seen = allowed * photo_weight(view, turned.vertices, normals, behind_arms, params)
    return Behind(view, turned, normals, behind_arms, seen, back.labels, allowed, np.zeros_like(normals))


def in_tones_of(behind: Behind, view: View, points: np.ndarray, seen: np.ndarray, labels: np.ndarray | None) -> Behind:
    """The same with the gain that brings it to the tones of the first photo.

    Args:
        behind: what the back photo shows.
        view: what the first photo shows.
        points: (V, 3) the surface's vertices before its camera.
        seen: (V,) the first photo's weight there.
        labels: (V,) as the first photo tells them.
    """
    first, second = tones_at(view, points), tones_at(behind.view, behind.posed.vertices)
    count = len(points)
    own = np.zeros(count, np.uint8) if labels is None or behind.labels is None else labels
    other = np.zeros(count, np.uint8) if labels is None or behind.labels is None else behind.labels
    found = matching_gains(first[seen > 0.5], own[seen > 0.5], second[behind.seen > 0.5], other[behind.seen > 0.5])
    gain = np.array([found.get(int(label), found[-1]) for label in range(int(other.max()) + 1)])[other]
    return replace(behind, gain=diffuse(gain, behind.posed.canonical.faces, 3))


def tones_at(view: View, points: np.ndarray) -> np.ndarray:
    """(V, 3) sRGB 0..255, averaged over a little of what the view shows at points (V, 3) before its camera."""
    pyramid = complete(view.picture, view.valid)
    level = pyramid[min(max(round(np.log2(_CLOSE * view.metre)), 0), len(pyramid) - 1)]
    scale = np.array(level.shape[1::-1]) / view.picture.shape[1::-1]
    return sample(level, view.camera.project(points) * scale)


def matching_gains(first: np.ndarray, labels: np.ndarray, second: np.ndarray, other_labels: np.ndarray) -> dict[int, np.ndarray]:
    """Label -> (3,) log factor from the second photo's linear light to the first's; under -1 that of labels which only one shows.

    Both photos' exposure and white balance differ in one factor for all; labels' own factors stay near it: what differs by more than the
    rest of the light is no longer the same cloth.

    Args:
        first: (N, 3) sRGB 0..255 of the first photo.
        labels: (N,) their labels.
        second: (M, 3) of the second photo.
        other_labels: (M,) their labels.
    """
    logs = [np.log(linear(tones / 255) + 1e-3) for tones in (first, second)]
    ratios: dict[int, tuple[np.ndarray, float]] = {}
    for label in np.intersect1d(labels, other_labels):
        own, other = logs[0][labels == label], logs[1][other_labels == label]
        shown = min(len(own), len(other))
        if shown >= _ENOUGH:
            middle, against = np.median(own, axis=0), np.median(other, axis=0)
            light = float(np.exp(np.minimum(middle, against).mean()))
            ratios[int(label)] = middle - against, shown * light / (light + _DARK)
    if not ratios:
        return {-1: np.zeros(3)}
    shares = np.array([share for _, share in ratios.values()])
    common = _bounded(_weighted_median(np.array([ratio for ratio, _ in ratios.values()]), shares), _EXPOSURE)
    gains = {label: common + _bounded(ratio - common, _OWN) for label, (ratio, _) in ratios.items()}
    return {-1: common, **gains}


def _bounded(ratio: np.ndarray, most: float) -> np.ndarray:
    """A log factor (3,) with at most this brightness, and at most _HUE beside it in each channel."""
    brightness = ratio.mean()
    bounded: np.ndarray = np.clip(brightness, -most, most) + np.clip(ratio - brightness, -_HUE, _HUE)
    return bounded


def _weighted_median(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(C,) the values (N, C) at which half of the weight (N,) is reached, each column for itself."""
    order = np.argsort(values, axis=0)
    reached = np.cumsum(weight[order], axis=0) >= weight.sum() / 2
    middle: np.ndarray = np.take_along_axis(np.take_along_axis(values, order, 0), reached.argmax(0)[None], 0)[0]
    return middle


def brought(colours: np.ndarray, gain: np.ndarray) -> np.ndarray:
    """sRGB colours (N, 3) 0..255 with their linear light times exp(gain) (N, 3)."""
    light = np.clip(linear(colours / 255) * np.exp(gain), 0, 1)
    changed: np.ndarray = 255 * encoded(light)
    return changed


def labels_of_both(behind: Behind, seen: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(V,) labels: the back photo's where it shows a vertex and the first one, by its weight `seen` (V,), does not; else `labels` (V,)."""
    return labels if behind.labels is None else np.where((behind.seen > 0.5) & (seen < WON[0]), behind.labels, labels)


def bent(base: np.ndarray, behind: Behind, seen: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
    """Tones (V, 4), known where the first photo's weight `seen` (V,) is large, bent smoothly until they meet the back photo's where that is
    seen. What has one of `labels` (V,) bends together."""
    surface, view, points = behind.posed.canonical, behind.view, behind.posed.vertices
    wanted = brought(tones_at(view, points), behind.gain) - base[:, :3]
    # A tone that is quite another is no light on the same cloth: hair, a print, a hand.
    like = 1 / (1 + (np.abs(wanted).max(1) / _LIKE) ** 4)
    known = behind.seen * (1 - ramp(seen)) * sample(view.sure, view.camera.project(points))[:, 0] * like
    corners = (surface.region if labels is None else labels)[surface.faces]
    barrier = (corners != corners[:, :1]).any(1)
    axes = limb_axes(surface.skeleton)[surface.region[surface.faces[:, 0]]]
    stiff = stiffness(surface.vertices, surface.faces, axes, 0.05, np.where(barrier, 1e-3, 1.0))
    weight = 10 * (known**2 + seen**2) + 1e-2
    change = spread(stiff, weight, wanted * (10 * known**2 / weight)[:, None])
    return np.column_stack([np.clip(base[:, :3] + change, 0, 255), base[:, 3]])


def overlaid(
    behind: Behind, surface: CanonicalSurface, grid: Texels, colours: np.ndarray, weight: np.ndarray, params: Params
) -> tuple[np.ndarray, np.ndarray]:
    """Colours (N, 3) of the texels with the back photo's, and its share b (N, 1) of each.

    Args:
        behind: what the back photo shows, with its gain.
        surface: that is painted.
        grid: its texels.
        colours: (N, 3) without it.
        weight: (N, 1) the first photo's.
        params: of the stage.
    """
    share, colours = np.zeros_like(weight), colours.copy()
    told = np.column_stack([behind.posed.vertices, behind.normals, behind.gain, behind.allowed])
    wanted = np.flatnonzero((weight[:, 0] < WON[1]) & (behind.seen > 0)[surface.faces].any(1)[grid.face])
    for start in range(0, len(wanted), _BLOCK):
        rows = wanted[start : start + _BLOCK]
        mixed = grid.part(rows).interpolate(told, surface.faces)
        points, normals = mixed[:, :3], mixed[:, 3:6]
        there = photo_weight(behind.view, points, normals, behind.behind_arms[surface.faces[grid.face[rows], 0]], params)
        share[rows, 0] = there * mixed[:, 9] * (1 - ramp(weight[rows, 0]))
        photo = brought(sample(behind.view.picture, behind.view.camera.project(points)), mixed[:, 6:9])
        colours[rows] += share[rows] * (photo - colours[rows])
    return colours, share


def ramp(weight: np.ndarray) -> np.ndarray:
    """How far the first photo has won where it has this weight: 0 up to the first of WON, 1 from the second on, smooth between."""
    share = np.clip((weight - WON[0]) / (WON[1] - WON[0]), 0, 1)
    return share * share * (3 - 2 * share)
