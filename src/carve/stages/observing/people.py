"""Everyone in a photo, at several scales and in tiles, and which of them is meant.

The detector sees a picture at 224 pixels a side, so it misses who is small in it. It is shown the whole photo, the photo with a margin
around it, and overlapping square tiles of half and a quarter of its shorter side; whoever it finds in a tile must be found again, with the
same head, in a window of their own size.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from carve.geometry.pictures.window import Window
from carve.networks.detectors.person import Detection, detect_people
from carve.records import CarveError

WIDER_VIEWS = (1.6, 1.25, 2.2)
"""How much wider than the photo the views are in which people are looked for when the photo itself shows none."""

TILES = (1.0, 0.5, 0.25)
"""Sides of the tiles, in shorter sides of the photo."""

DETECTOR_SIZE = 512
"""Most pixels of a tile's side: the detector itself sees fewer."""

SMALLEST_TILE = 256
"""Pixels: who is small in a smaller tile is too small to be reconstructed well."""

OWN_VIEWS = (2.7, 2.1, 3.6)
"""Sides of the windows in which somebody must be found again, in radii of the circle around the body."""

SURE, SURE_INSIDE = 0.75, 0.92
"""Scores that the best of these views must reach: for anybody, and for somebody small whose head lies on the body of another, where
knees, shoes and pockets look like heads at times."""

SAME_HEAD = 0.6
"""Heads closer than this share of their size are one person's."""


def find_people(pixels: np.ndarray, smallest: int) -> list[Detection]:
    """Everyone in the photo (H, W, 3), largest first; only who is `smallest` pixels tall if they are not seen in the photo as a whole.

    Raises CarveError if there is nobody.
    """
    people = detect_people(pixels)
    height, width = pixels.shape[:2]
    for wider in WIDER_VIEWS:
        if people:
            break
        side = wider * max(width, height)
        people = _in_window(pixels, _square(np.array([width, height]) / 2, side))
    for tile in _tiles(width, height, smallest):
        for found in _in_window(pixels, tile):
            if any(_same(found, known) for known in people):
                continue
            again = _found_again(pixels, found)
            if again is not None and 2 * again.radius >= smallest and _credible(again, people):
                people.append(again)
    if not people:
        raise CarveError("No person was found in the photo: use a photo that shows one person clearly, head to feet if possible.")
    return sorted(people, key=lambda person: -person.radius)


def _credible(found: Detection, people: list[Detection]) -> bool:
    """Whether somebody found in a tile is a person, and none of those that are known."""
    if any(_same(found, known) for known in people):
        return False
    head = (found.head[:2] + found.head[2:]) / 2
    offsets = [(known, np.abs(head - known.centre) / known.radius) for known in people]
    on_a_body = any(found.radius < 0.7 * known.radius and across < 0.5 and along < 1 for known, (across, along) in offsets)
    return found.score >= (SURE_INSIDE if on_a_body else SURE)


def find_inside(pixels: np.ndarray, mask: np.ndarray) -> Detection:
    """The person inside a mask (H, W) 0..1: found with all else painted grey; where the detector finds nobody, the mask's own circle."""
    rows, columns = np.nonzero(mask > 0.5)
    low, high = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()]) + 1
    middle, side = (low + high) / 2, 1.3 * float((high - low).max())
    window = _square(middle, side)
    alone = only_inside(pixels, mask)
    inside = [person for person in _in_window(alone, window) if (low <= person.centre).all() and (person.centre <= high).all()]
    if inside:
        return max(inside, key=lambda person: person.score)
    head = np.array([middle[0] - 0.1 * side, low[1], middle[0] + 0.1 * side, low[1] + 0.15 * side])
    return Detection(middle, float((high - low).max()) / 2, head, 0.0)


def inside_mask(people: list[Detection], mask: np.ndarray) -> int | None:
    """The index of the one whose head and body lie in a mask (H, W) 0..1 by the most, None if nobody's do."""
    shares = []
    for person in people:
        head = (person.head[:2] + person.head[2:]) / 2
        line = head + np.linspace(0, 1, 24)[:, None] * (person.centre - head)
        at = np.clip(np.round(line - 0.5).astype(int), 0, np.array(mask.shape[::-1]) - 1)
        shares.append(float((mask[at[:, 1], at[:, 0]] > 0.5).mean()))
    best = int(np.argmax(shares)) if shares else -1
    return best if shares and shares[best] > 0.5 else None


def only_inside(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The photo (H, W, 3) uint8 with everything outside of a mask (H, W) 0..1 a neutral grey."""
    share = mask[..., None].astype(np.float32)
    return np.round(pixels * share + 128 * (1 - share)).astype(np.uint8)


def choose(people: list[Detection], wanted: int | None) -> int:
    """The index of the person that is meant: the one asked for, else the largest."""
    if wanted is None:
        return 0
    if not 0 <= wanted < len(people):
        raise CarveError(f"Person {wanted} does not exist: {len(people)} found, numbered 0 to {len(people) - 1} from the largest.")
    return wanted


def _tiles(width: int, height: int, smallest: int) -> Iterator[Window]:
    """Square tiles that overlap by half, larger ones first; none in which the smallest person would not fit."""
    for share in TILES:
        side = share * min(width, height)
        if side < max(smallest, SMALLEST_TILE) or side >= max(width, height):
            continue
        for top in _starts(height, side):
            for left in _starts(width, side):
                yield Window(left, top, side, min(round(side), DETECTOR_SIZE))


def _starts(length: float, side: float) -> np.ndarray:
    """Where tiles of a side begin along a length that they cover, overlapping by half or more."""
    return np.linspace(0, length - side, max(int(np.ceil(2 * (length - side) / side)) + 1, 1))


def _square(middle: np.ndarray, side: float) -> Window:
    return Window(float(middle[0] - side / 2), float(middle[1] - side / 2), side, DETECTOR_SIZE)


def _in_window(pixels: np.ndarray, window: Window) -> list[Detection]:
    """Everyone in a window, in pixels of the photo."""
    return [
        replace(
            person,
            centre=window.to_photo(person.centre),
            radius=person.radius / window.scale,
            head=window.to_photo(person.head.reshape(2, 2)).reshape(4),
        )
        for person in detect_people(window.cut(pixels))
    ]


def _found_again(pixels: np.ndarray, person: Detection) -> Detection | None:
    """The same person as the detector sees them best in windows of their own, or None."""
    for _ in range(2):  # the first look corrects the size that the second goes by
        same = [found for view in OWN_VIEWS for found in _in_own_window(pixels, person, view) if _same(found, person)]
        if not same:
            return None
        person = max(same, key=lambda found: found.score)
    return person


def _in_own_window(pixels: np.ndarray, person: Detection, view: float) -> list[Detection]:
    """Everyone in a window around a person."""
    side = view * person.radius
    return _in_window(pixels, _square(person.centre, side))


def _same(one: Detection, other: Detection) -> bool:
    """Whether two detections are of one head, or of one body."""
    size = max(float(np.ptp(p.head[[0, 2]])) for p in (one, other))
    middle = [(p.head[:2] + p.head[2:]) / 2 for p in (one, other)]
    return float(np.linalg.norm(middle[0] - middle[1])) < SAME_HEAD * size
