"""What the avatar is to do without: hair or a bag, told by the part labels of the normal maps.

Beside the body what is taken off becomes background, in the mask too. Before it the body's own normals and the nearest other label take its
place; its colours stay where the surface takes them from the photo.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from scipy import ndimage

from carve.geometry.relief.normal_maps import front_and_back
from carve.records import LABELS, BodyFit, NormalMaps, Observation

SURROUNDING = 0.003
"""What lies so near the body's outline, as a share of the person's height in the photo, is before or behind the body."""
SURE = 0.6
"""Share of labels around a pixel that must say so: single wrong ones take nothing off."""
AROUND = 0.01
"""Side of that surrounding, as a share of the person's height."""


@dataclass(frozen=True)
class Params:
    """What the person keeps."""

    hair: bool = True
    """Whether the avatar has the hair that stands off the head; else it is as if cropped close."""
    bag: bool = True
    """Whether the avatar has bags that the person carries."""

    @property
    def off(self) -> tuple[str, ...]:
        """Labels of what is taken off."""
        return tuple(name for name, kept in (("hair", self.hair), ("bag", self.bag)) if not kept)


def take_off(observation: Observation, body: BodyFit, maps: NormalMaps, params: Params) -> tuple[Observation, NormalMaps]:
    """The observation and the maps of the person without what `params` takes off; `observation` has the maps' mask (`normals.with_mask`).

    Maps without labels come back with a note.
    """
    if maps.label is None or maps.label_back is None:
        return observation, replace(maps, notes=(*maps.notes, f"No labels tell where {' and '.join(params.off)} would be: nothing is off."))
    height = max(int(np.ptp(np.flatnonzero(maps.mask.any(1)))), 1) if maps.mask.any() else 1
    wanted = [LABELS.index(name) for name in params.off]
    front, back = (_steadied(np.isin(label, wanted), maps.mask, height) for label in (maps.label, maps.label_back))
    bare = front_and_back(body.posed, body.faces, body.camera)
    radius = max(1, round(SURROUNDING * height))
    body_shown = (bare[0] != 0).any(-1).astype(np.uint8)
    near = cv2.dilate(body_shown, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))) > 0
    beside = front & back & ~near
    kept = maps.mask & ~beside
    changes = {}
    for side, off, normals in (("", front, bare[0]), ("_back", back, bare[1])):
        changed = off & kept & (body_shown > 0)
        image = np.where(changed[..., None], normals, getattr(maps, side.lstrip("_") or "front")) * kept[..., None]
        changes[side.lstrip("_") or "front"] = image.astype(np.float16)
        changes[f"label{side}"] = _filled(getattr(maps, f"label{side}"), off & kept, kept & ~off) * kept
    coverage = None if maps.coverage is None else np.where(beside, 0, maps.coverage).astype(np.float32)
    without = replace(maps, mask=kept, coverage=coverage, **changes)
    return replace(observation, mask=np.where(beside, 0, observation.mask).astype(np.float32)), without


def _steadied(said: np.ndarray, mask: np.ndarray, height: int) -> np.ndarray:
    """(H, W) bool: the pieces, thin straps too, somewhere in which most of the surrounding person says so."""
    side = 2 * max(1, round(AROUND * height)) + 1
    share, there = (cv2.blur(values.astype(np.float32), (side, side)) for values in (said & mask, mask))
    count, piece = cv2.connectedComponents((said & mask).astype(np.uint8), connectivity=8)
    sure = np.bincount(piece[share > SURE * np.maximum(there, 1e-6)], minlength=count) > 0
    sure[0] = False
    return np.asarray(sure[piece])


def _filled(label: np.ndarray, gaps: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Labels (H, W) whose gaps take the nearest known label."""
    if not gaps.any() or not known.any():
        return label
    rows, columns = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    return np.where(gaps, label[rows, columns], label)
