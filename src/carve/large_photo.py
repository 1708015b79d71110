"""Photos too large to work on as they are: the person is looked for in a smaller copy, and then cut out of the photo itself.

All later stages see the person's excerpt and nothing else, as large as the texture can use it. What is written goes back to the pixels of
the whole photo. A photo of at most `WHOLE_PIXELS` is worked on as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from carve.geometry.pictures.excerpt import Excerpt, whole_within
from carve.records import Landmarks, Observation, PersonBox, Photo
from carve.runner import Deferred
from carve.stages.normals import OwnNormals

WHOLE_PIXELS = 12_000_000
PERSON_PIXELS = 2000
"""Longer side of the person in the excerpt: about what a texture of 2048 texels has of a grown person."""
MARGIN = 0.25
"""Free share of the person's longer side around them: beyond the picture's border another body begins to be guessed."""


@dataclass(frozen=True)
class LargePhoto:
    """A photo with its smaller copy."""

    whole: Photo
    mask: np.ndarray | None
    """(H, W) float32 the mask that was given, of the whole photo."""
    overview: Excerpt
    small: Photo
    """The photo that the person is looked for in."""
    small_mask: np.ndarray | None

    def framed(self, observation: Observation) -> tuple[Observation, Excerpt]:
        """The observation of `small` as one of the person's excerpt of the whole photo, and that excerpt."""
        excerpt = self._person(observation)
        photo = _photo(self.whole, excerpt)
        if observation.mask_source == "file" and self.mask is not None:
            mask = excerpt.cut(self.mask)
        elif observation.mask_source == "alpha" and photo.alpha is not None:
            mask = photo.alpha.astype(np.float32) / 255
        else:
            mask = _from_overview(observation.mask, self.overview, excerpt)
        boxes = tuple(_box(box, self.overview, excerpt) for box in observation.people)
        return (
            replace(
                observation,
                photo=photo,
                people=boxes,
                mask=mask.astype(np.float32),
                landmarks=moved(observation.landmarks, self.overview, excerpt),
                camera=excerpt.camera_into(self.overview.camera_out_of(observation.camera)),
            ),
            excerpt,
        )

    def _person(self, observation: Observation) -> Excerpt:
        """Around mask, landmarks that were seen and the detector's circle."""
        rows, columns = np.nonzero(observation.mask > 0.1)
        box = observation.people[observation.person]
        marks = observation.landmarks
        points = np.concatenate(
            [
                np.column_stack([columns, rows]).reshape(-1, 2),
                marks.pixels[(marks.confidence > 0.1) & np.isfinite(marks.pixels).all(1)],
                [[box.left, box.top], [box.right, box.bottom]],
            ]
        )
        width, height = self.whole.size
        low, high = (self.overview.out_of(p) for p in (points.min(0), points.max(0)))
        pad = MARGIN * float((high - low).max())
        left, top = np.clip(np.floor(low - pad), 0, [width - 1, height - 1]).astype(int).tolist()
        right, bottom = np.clip(np.ceil(high + pad), [left + 1, top + 1], [width, height]).astype(int).tolist()
        seen = self.overview.out_of(np.array([columns.max() - columns.min(), rows.max() - rows.min()])) if len(rows) else high - low
        scale = min(1.0, PERSON_PIXELS / max(float(np.max(seen)), 1.0), float(np.sqrt(WHOLE_PIXELS / ((right - left) * (bottom - top)))))
        return Excerpt(left, top, right, bottom, scale, width, height)


def large_photo(photo: Photo, mask: np.ndarray | None) -> LargePhoto | None:
    """The photo with its smaller copy; None if it is small enough as it is."""
    width, height = photo.size
    if width * height <= WHOLE_PIXELS:
        return None
    overview = whole_within(width, height, WHOLE_PIXELS)
    return LargePhoto(photo, mask, overview, _photo(photo, overview), None if mask is None else overview.cut(mask))


def moved(landmarks: Landmarks, source: Excerpt, target: Excerpt | None) -> Landmarks:
    """Landmarks in pixels of one excerpt as pixels of another, or of the whole photo."""
    pixels, ratio = source.out_of(landmarks.pixels), (1.0 if target is None else target.scale) / source.scale
    spread = landmarks.spread * np.array([ratio, ratio, 1.0])
    return replace(landmarks, pixels=pixels if target is None else target.into(pixels), spread=spread)


def into_overview(landmarks: Landmarks, overview: Excerpt) -> Landmarks:
    """Landmarks in pixels of the whole photo as pixels of its smaller copy."""
    spread = landmarks.spread * np.array([overview.scale, overview.scale, 1.0])
    return replace(landmarks, pixels=overview.into(landmarks.pixels), spread=spread)


def own_normals_in(own: Deferred, excerpt: Excerpt) -> Deferred:
    """Normals of the user's own for the excerpt instead of the whole photo."""

    def make() -> OwnNormals:
        whole: OwnNormals = own.make()
        front, back = (None if normals is None else excerpt.cut(normals) for normals in (whole.front, whole.back))
        return replace(whole, front=front, back=back)

    return Deferred(own.identity, make)


def whole_box(box: PersonBox, excerpt: Excerpt | None) -> PersonBox:
    """A person's box in pixels of the whole photo."""
    if excerpt is None:
        return box
    (left, top), (right, bottom) = excerpt.out_of(np.array([[box.left, box.top], [box.right, box.bottom]])).tolist()
    return replace(box, left=left, top=top, right=right, bottom=bottom)


def _box(box: PersonBox, source: Excerpt, target: Excerpt) -> PersonBox:
    whole = whole_box(box, source)
    (left, top), (right, bottom) = target.into(np.array([[whole.left, whole.top], [whole.right, whole.bottom]])).tolist()
    return replace(box, left=left, top=top, right=right, bottom=bottom)


def _photo(photo: Photo, excerpt: Excerpt) -> Photo:
    alpha = None if photo.alpha is None else excerpt.cut(photo.alpha)
    focal = None if photo.focal is None else photo.focal * excerpt.scale
    return Photo(excerpt.cut(photo.pixels), alpha, focal, photo.name)


def _from_overview(mask: np.ndarray, overview: Excerpt, excerpt: Excerpt) -> np.ndarray:
    """A mask of the smaller copy, resized to the excerpt."""
    (left, top), (right, bottom) = overview.into(np.array([[excerpt.left, excerpt.top], [excerpt.right, excerpt.bottom]], float))
    width, height = excerpt.size
    # OpenCV counts from the first pixel's centre, carve from its corner.
    across, down = (right - left) / width, (bottom - top) / height
    matrix = np.array([[across, 0, left + 0.5 * across - 0.5], [0, down, top + 0.5 * down - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.clip(cv2.warpAffine(mask, matrix, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE), 0, 1)
