"""Doubts: what speaks against a result, in words for the user, and how much of the confidence it leaves.

Nothing here changes the avatar. Each function looks at one thing; the limits lie beyond what photographs of one whole person in ordinary
light give (see the tests), so that a warning means something.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from carve.records import BodyFit, Observation

SEEN = 0.3
"""Confidence from which on a landmark counts as seen."""

GOOD_LANDMARKS, BAD_LANDMARKS = 0.012, 0.02
"""Distance between fitted and marked joints, shares of the height: up to the first all is well, from the second on it is told."""

LEAST_OVERLAP = 0.62
"""Intersection over union of the naked body's outline and the person's, below which they do not fit; a coat has .75, a wide dress .65."""

DARK = 45
"""Brightness (of 255) that one pixel in twenty of a person exceeds in any light that shows folds; dark skin in a dim room has 70."""

BLURRED = 0.006
"""Blur of the sharpest edges, standard deviation in shares of the person's height; photographs have .001 to .003."""

FLAT = 0.75
"""Share of a person's pixels that equal their neighbours: photographs have noise, drawings and 3D games have not."""

COLOURLESS = 6
"""Largest difference between the channels, of 255, in what is grey."""

STEEP = 35.0
"""Degrees of camera pitch beyond which a photo of a person is unusual."""

TOUCHING = 0.03
"""Share of a person that a neighbour's mask also claims, from which on they touch."""

TOUCHED = "Somebody else touches or hides the person: what was taken for whose is a guess (a mask with --mask decides it)."

TURNED = 0.15
"""Distance between the left and right shoulder in the picture, in lengths of the trunk, from which on it is clear which way round somebody
is."""


@dataclass(frozen=True)
class Doubt:
    """One thing that speaks against a result."""

    sentence: str
    trust: float
    """Share of the confidence that it leaves, 0..1."""


def doubts(observation: Observation, body: BodyFit) -> list[Doubt]:
    """All doubts about a fitted person, in the order in which they are told."""
    looks = [check(observation) for check in (missing_parts, facing, touching, light, sharpness, depiction)]
    fits = [check(body) for check in (landmark_fit, outline_fit, camera)]
    return [doubt for doubt in (*looks, *fits) if doubt is not None]


def missing_parts(observation: Observation) -> Doubt | None:
    """Hands, feet and head that the picture does not hold or that nobody can see in it."""
    marks, (width, height) = observation.landmarks, observation.photo.size
    index = {name: i for i, name in enumerate(marks.names)}
    gone: dict[str, list[str]] = {"beyond the picture": [], "hidden": []}
    for part, joint in (("hand", "wrist"), ("foot", "ankle")):
        where: dict[str, list[str]] = {"beyond the picture": [], "hidden": []}
        for side in ("left", "right"):
            i = index.get(f"{side}_{joint}")
            if i is None or marks.confidence[i] < SEEN:
                outside = i is not None and _outside(marks.pixels[i], width, height)
                where["beyond the picture" if outside else "hidden"].append(side)
        for state, sides in where.items():
            if sides:
                gone[state].append(f"both {'feet' if part == 'foot' else 'hands'}" if len(sides) == 2 else f"the {sides[0]} {part}")
    head = [marks.confidence[index[name]] for name in ("nose", "left_ear", "right_ear") if name in index]
    if not head or max(head) < SEEN:
        gone["hidden"].append("the head")
    said = [f"{_listed(parts)} {'is' if _single(parts) else 'are'} {state}" for state, parts in gone.items() if parts]
    if not said:
        return None
    count = sum(2 if part.startswith("both") else 1 for parts in gone.values() for part in parts)
    text = " and ".join(said)
    return Doubt(f"{text[0].upper()}{text[1:]}: what is made there is a guess.", max(0.9**count, 0.5))


def facing(observation: Observation) -> Doubt | None:
    """Whether front and back may have been taken for each other."""
    marks = observation.landmarks
    index = {name: i for i, name in enumerate(marks.names)}
    wanted = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
    if any(name not in index for name in wanted):
        return None
    shoulders, hips = (marks.pixels[[index[f"{side}_{joint}"] for side in ("left", "right")]] for joint in ("shoulder", "hip"))
    trunk = max(float(np.linalg.norm(shoulders.mean(0) - hips.mean(0))), 1e-6)
    across = float(shoulders[0, 0] - shoulders[1, 0] + hips[0, 0] - hips[1, 0]) / 2
    spread = float(marks.spread[[index[name] for name in wanted], 0].mean())
    if spread > 0.3 * max(abs(across), TURNED * trunk):
        return Doubt("It is unclear whether the person is seen from the front or from behind: look at the avatar before you use it.", 0.5)
    if across < -TURNED * trunk and "face_0" in index:
        return Doubt("The person seems to be seen from behind but looks back: front and back may have been exchanged.", 0.6)
    return None


def touching(observation: Observation) -> Doubt | None:
    """Whether somebody else's mask claims a part of the person."""
    return Doubt(TOUCHED, 0.7) if observation.contested > TOUCHING else None


def light(observation: Observation) -> Doubt | None:
    """Whether the person is too dark for form to show."""
    bright = float(np.percentile(_inside(observation).max(-1), 95))
    if bright >= DARK:
        return None
    return Doubt("The person is very dark in the photo: form and colours are hardly to be seen; use a brighter photo.", 0.6)


def sharpness(observation: Observation) -> Doubt | None:
    """Whether even the sharpest edges of the person are blurred."""
    blur = edge_blur(observation) / _height(observation.mask)
    if blur <= BLURRED:
        return None
    return Doubt(
        "The photo is blurred: details of face and clothes are invented or missing; use a sharper photo.", max(0.4, BLURRED / blur)
    )


def depiction(observation: Observation) -> Doubt | None:
    """Whether the picture may be a drawing, a screenshot or a statue rather than a photograph of somebody."""
    pixels = _inside(observation).astype(np.int16)
    if float(np.percentile(pixels.max(-1) - pixels.min(-1), 98)) < COLOURLESS:
        return Doubt("The person has no colours: a statue, a drawing or a black and white photo gives a grey avatar.", 0.8)
    if flat_share(observation) > FLAT:
        return Doubt("The picture looks drawn or rendered, not photographed: carve knows photographs only.", 0.6)
    return None


def landmark_fit(body: BodyFit) -> Doubt | None:
    """Whether the fitted body's joints lie where the picture shows them."""
    off = body.residuals.get("landmarks", float("nan"))
    if np.isnan(off):
        return Doubt("Too few joints of the person were seen to fit a body to them: the pose is a guess.", 0.3)
    if off < BAD_LANDMARKS:
        return None
    share = f"{100 * off:.1f} % of the height"
    return Doubt(
        f"The body could not be brought to where the picture shows it (joints are off by {share}): pose or camera are wrong.",
        1 / (1 + ((off - GOOD_LANDMARKS) / GOOD_LANDMARKS) ** 2),
    )


def outline_fit(body: BodyFit) -> Doubt | None:
    """Whether the fitted body fills the person's outline."""
    overlap = body.residuals.get("silhouette_iou", 1.0)
    if overlap >= LEAST_OVERLAP:
        return None
    return Doubt(
        f"Body and outline of the person overlap by {100 * overlap:.0f} % only: look at mask.png; a mask of your own with --mask may help.",
        max(overlap / LEAST_OVERLAP, 0.1),
    )


def camera(body: BodyFit) -> Doubt | None:
    """Whether the camera would have to look from unusually high above or far below."""
    pitch = float(np.degrees(np.arctan2(body.up[2], body.up[1])))
    if abs(pitch) < STEEP:
        return None
    way = "up from far below" if pitch < 0 else "down from high above"
    return Doubt(f"The camera would have looked {way} ({abs(pitch):.0f} degrees): if it did not, pose and shape are wrong.", 0.7)


def edge_blur(observation: Observation) -> float:
    """Standard deviation in pixels of the blur at the person's sharpest edges.

    A step that was blurred by b has a gradient of 1 / sqrt(b^2 + s^2) after a blur of s: two values of s give b.
    """
    top, bottom, left, right = _box(observation.mask)
    grey = cv2.cvtColor(observation.photo.pixels[top:bottom, left:right], cv2.COLOR_RGB2GRAY).astype(np.float32)
    inside = observation.mask[top:bottom, left:right] > 0.1
    fine, coarse = (float(np.percentile(_gradient(grey, sigma)[inside], 99)) for sigma in (1.0, 4.0))
    ratio = (fine / max(coarse, 1e-6)) ** 2
    return float(np.sqrt(max((16.0 - ratio) / max(ratio - 1.0, 1e-3), 0.0)))


def flat_share(observation: Observation) -> float:
    """Share of the person's pixels that differ from none of their neighbours by more than one of 255."""
    top, bottom, left, right = _box(observation.mask)
    crop = observation.photo.pixels[top:bottom, left:right]
    window = np.ones((3, 3), np.uint8)
    span = (cv2.dilate(crop, window) - cv2.erode(crop, window)).max(-1)
    return float((span[observation.mask[top:bottom, left:right] > 0.9] <= 1).mean())


def _gradient(grey: np.ndarray, sigma: float) -> np.ndarray:
    soft = cv2.GaussianBlur(grey, (0, 0), sigma)
    return np.hypot(cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1))


def _inside(observation: Observation) -> np.ndarray:
    """(N, 3) uint8 pixels that surely show the person."""
    shown = observation.mask > 0.9
    return observation.photo.pixels[shown if shown.any() else observation.mask >= observation.mask.max()]


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    left, top, width, height = cv2.boundingRect((mask > 0.5).astype(np.uint8))
    return (top, top + height, left, left + width) if width else (0, mask.shape[0], 0, mask.shape[1])


def _height(mask: np.ndarray) -> float:
    """The longer side of the mask's box, pixels."""
    top, bottom, left, right = _box(mask)
    return float(max(bottom - top, right - left))


def _outside(pixel: np.ndarray, width: int, height: int) -> bool:
    margin = 0.02 * max(width, height)
    return bool((pixel < margin).any() or (pixel > np.array([width, height]) - margin).any())


def _listed(parts: list[str]) -> str:
    return ", ".join(parts[:-1]) + " and " + parts[-1] if len(parts) > 1 else parts[0]


def _single(parts: list[str]) -> bool:
    return len(parts) == 1 and not parts[0].startswith("both")
