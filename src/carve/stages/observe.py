"""Observe: find the person, cut them out, and mark their body, hands and face.

Everything is measured on a square crop around the person and returned in pixels of the full photo. The pose network runs on several
scaled, turned and mirrored copies of the crop: the median of the runs is the landmark, their spread its uncertainty, the mean of their
masks the start of the person mask, which GrabCut (Rother et al., SIGGRAPH 2004) then moves to the picture's own edges.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Annotated, Literal

import cv2
import numpy as np
from pydantic import Field
from scipy import ndimage

from carve.body.fitted.landmarks import pixels_per_metre
from carve.bounds import Pixels, Share
from carve.geometry.camera import Camera, focal_from_equivalent
from carve.geometry.pictures.window import Window
from carve.networks.detectors.face import Expected, Face, find_face
from carve.networks.detectors.person import POSE_NAMES, Detection, run_hands
from carve.networks.detectors.pose import PoseRun
from carve.records import CarveError, Landmarks, Observation, PersonBox, Photo
from carve.stages.observing.apart import CONTESTED, Read, neighbours, share_out
from carve.stages.observing.people import choose, find_inside, find_people, inside_mask, only_inside
from carve.stages.observing.pose_reading import pose_models, read_pose

MAIN_JOINTS = tuple(f"{side}_{joint}" for side in ("left", "right") for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"))
"""The joints that count for `Observation.visible_share`."""

ALPHA_AGREES = 0.6
"""Overlap with the detector's mask (intersection over union) from which on a picture's transparency is taken for the person's outline."""

ALPHA_IGNORED = (
    "The picture's transparency does not follow the person that was found, so it was not taken for the mask (give one with --mask)."
)

DISTANCES = (1.2, 100.0)
"""Metres between which people are photographed from head to feet: nearer, they fill more than the widest lenses see."""

FOCAL_IGNORED = "The focal length that the file gives cannot be right for this picture; an ordinary one was taken (give it with --focal)."

FOCAL_DOUBTED = (
    "A focal length of {:g} pixels can hardly be right for this picture: it is asked for in pixels of the photo, not millimetres."
)

TRUNK = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
"""Landmarks without which nothing says where and how large a person is."""

LANDMARK_NAMES = frozenset(
    [*POSE_NAMES, *(f"{side}_hand_{k}" for side in ("left", "right") for k in range(21)), *(f"face_{k}" for k in range(478))]
)
"""What a landmark may be called."""


@dataclass(frozen=True)
class Params:
    """Settings of the stage."""

    person: Annotated[int, Field(ge=0, le=999)] | None = None
    """Which of the people found to reconstruct, 0 is the largest; None takes the largest, or the one under the given mask."""
    focal: Annotated[float, Field(ge=10, le=1e6)] | None = None
    """Focal length in pixels of the full photo; None takes the file's EXIF entry, else `default_equivalent`."""
    default_equivalent: Annotated[float, Field(ge=8, le=800)] = 50.0
    """Focal length when nothing is known, millimetres on 35 mm film of the same diagonal."""
    smallest_person: Annotated[int, Field(ge=64, le=10000)] = 96
    """People lower than this many pixels are refused."""
    crop_margin: Annotated[float, Field(ge=1, le=3)] = 1.35
    """Half side of the square crop, in radii of the circle around the body."""
    pose: Literal["auto", "full", "heavy", "both"] = "auto"
    """Pose networks that mark the body: `auto` takes what is installed of `both`; the report says which."""
    network_size: Annotated[int, Field(ge=128, le=1024)] = 384
    """Side of the images the pose network is given, pixels."""
    scales: Annotated[tuple[Annotated[float, Field(ge=0.3, le=2)], ...], Field(min_length=1, max_length=9)] = (0.85, 1.0, 1.15)
    """Scales of the augmented runs."""
    degrees: Annotated[tuple[Annotated[float, Field(ge=-180, le=180)], ...], Field(min_length=1, max_length=9)] = (-8.0, 0.0, 8.0)
    """In-plane rotations of the augmented runs."""
    mask_size: Pixels = 640
    """Longest side of the person while the mask is refined, pixels."""
    sure_background: Annotated[float, Field(ge=0, le=0.5)] = 0.3
    """Mean mask below which a pixel is background for certain."""
    sure_person: Annotated[float, Field(ge=0.5, le=1)] = 0.85
    """Mean mask above which a pixel is person for certain."""
    largest_hole: Share = 0.002
    """Holes in the mask up to this share of the person are filled; larger ones are gaps between limbs."""


def observe(photo: Photo, params: Params, mask: np.ndarray | None = None, landmarks: Landmarks | None = None) -> Observation:
    """Find one person of a photo.

    `mask` (H, W) float 0..1 replaces the detected mask, `landmarks` the detected landmarks. Raises CarveError if nobody is found, the
    person asked for does not exist, is too small, or the given mask is empty or of another size.
    """
    width, height = photo.size
    _check_mask(mask, width, height)
    given = None if landmarks is None else checked_landmarks(landmarks, width, height)
    people, chosen = _whom(photo.pixels, params, mask)
    person = people[chosen]
    if 2 * person.radius < params.smallest_person:
        tall = f"only about {round(2 * person.radius)} pixels tall"
        raise CarveError(f"The person is {tall}; carve needs at least {params.smallest_person}: use a larger photo.")
    others = [p for p in people if p is not person]
    # A neighbour within reach would draw landmarks and mask to itself: a given mask tells them apart, without one their own poses do.
    near = neighbours(person, others)
    shown = photo.pixels if mask is None or not near else only_inside(photo.pixels, mask)
    models = pose_models(params.pose)
    window, runs = _run(shown, person, others if mask is None else [], params)
    beside = _beside(photo.pixels, person, near, params) if mask is None else []
    notes: list[str] = []
    marks = given if given is not None else _landmarks(shown, window, runs)
    final, source, contested = _outline(photo, mask, window, runs, beside, params)
    if photo.alpha is not None and source == "detector":
        notes.append(ALPHA_IGNORED)
    if len(people) > 1:
        notes.append(f"{len(people)} people were found; number {chosen} was taken (choose with --person).")
    focal, focal_source = _focal(photo, params)
    visible = _visible_share(marks)
    if focal_source == "exif" and visible == 1 and not likely_focal(focal, marks):
        focal, focal_source = focal_from_equivalent(photo.size, params.default_equivalent), "default"
        notes.append(FOCAL_IGNORED)
    if focal_source == "argument" and visible == 1 and not likely_focal(focal, marks):
        notes.append(FOCAL_DOUBTED.format(focal))
    return Observation(
        photo=photo,
        person=chosen,
        people=tuple(_box(p) for p in people),
        mask=final.astype(np.float32),
        mask_source=source,
        landmarks=marks,
        camera=Camera.centred(width, height, focal),
        focal_source=focal_source,
        visible_share=visible,
        notes=tuple(notes),
        pose_models=models,
        contested=contested,
    )


def with_installed(params: Params) -> Params:
    """The settings with `auto` replaced by the pose networks that are installed, so that a kept record tells which it came from."""
    return replace(params, pose="both" if len(pose_models(params.pose)) > 1 else "full") if params.pose == "auto" else params


def pose_note(params: Params, observation: Observation) -> str | None:
    """What the user must know of the pose networks, if anything."""
    if params.pose != "auto" or "heavy" in observation.pose_models:
        return None
    return "The larger pose network is not installed, so the smaller one marked the body alone: run `carve models` once."


def _check_mask(mask: np.ndarray | None, width: int, height: int) -> None:
    if mask is not None and mask.shape != (height, width):
        given = f"{mask.shape[1]} x {mask.shape[0]}"
        raise CarveError(f"The mask is {given} pixels but the photo is {width} x {height}: give a mask of the photo's size.")
    if mask is not None and mask.max() < 0.5:
        raise CarveError("The mask is empty: paint the person white on black.")


def checked_landmarks(landmarks: Landmarks, width: int, height: int) -> Landmarks:
    """The given landmarks that say where something is; a CarveError if they cannot be those of a person in a photo of this size."""
    unknown = [name for name in landmarks.names if name not in LANDMARK_NAMES]
    if unknown:
        near = get_close_matches(unknown[0], sorted(LANDMARK_NAMES), 1, 0)[0]
        raise CarveError(f"There is no landmark '{unknown[0][:60]}'; the nearest is '{near}'.")
    there = np.isfinite(landmarks.pixels).all(1)
    seen = there & (landmarks.confidence > 0)
    placed, sure = ({landmarks.names[i] for i in np.flatnonzero(which)} for which in (there, seen))
    missing = [name for name in TRUNK if name not in placed]
    if missing or len(sure.intersection(TRUNK)) < 2:
        missing = missing or [name for name in TRUNK if name not in sure]
        raise CarveError(f"The landmarks do not say where {', '.join(missing)} are; without these nothing says where the person is.")
    beyond = np.abs(landmarks.pixels - np.array([width, height]) / 2).max(1) > 2 * max(width, height)
    if (seen & beyond).any():
        name = landmarks.names[int(np.flatnonzero(seen & beyond)[0])]
        raise CarveError(f"The landmark '{name}' lies far outside of the photo ({width} x {height} pixels); is the file of another photo?")
    kept = np.flatnonzero(there)
    return Landmarks(
        names=tuple(landmarks.names[i] for i in kept),
        pixels=landmarks.pixels[kept],
        confidence=landmarks.confidence[kept],
        world=landmarks.world[kept],
        spread=np.nan_to_num(landmarks.spread[kept]),
    )


def _whom(pixels: np.ndarray, params: Params, mask: np.ndarray | None) -> tuple[list[Detection], int]:
    """Everyone in the photo, and the index of the one who is meant: the one inside the mask if there is one and no other was asked for."""
    if mask is None:
        people = find_people(pixels, params.smallest_person)
        return people, choose(people, params.person)
    try:
        people = find_people(pixels, params.smallest_person)
    except CarveError:
        people = []  # the mask says that there is somebody
    if params.person is not None and people:
        return people, choose(people, params.person)
    inside = inside_mask(people, mask)
    if inside is None:
        people = sorted([*people, found := find_inside(pixels, mask)], key=lambda p: -p.radius)
        inside = next(i for i, p in enumerate(people) if p is found)
    return people, inside


def _beside(pixels: np.ndarray, person: Detection, near: list[Detection], params: Params) -> list[Read]:
    """What the pose network says of neighbours; those that it cannot read are left out."""
    read = []
    for other in near:
        with suppress(CarveError):
            read.append(_run(pixels, other, [person], replace(params, scales=(1.0,), degrees=(0.0,))))
    return read


def _outline(
    photo: Photo, mask: np.ndarray | None, window: Window, runs: list[PoseRun], beside: list[Read], params: Params
) -> tuple[np.ndarray, str, float]:
    """The person's mask (H, W), where it came from, and the share of it that neighbours claimed.

    A picture's transparency counts only if it agrees with the detector, or where that gives no mask.
    """
    if mask is not None:
        return mask, "file", 0.0
    alpha = None if photo.alpha is None else photo.alpha.astype(np.float32) / 255
    try:
        found, contested = _mask(photo.pixels, window, runs, beside, params)
    except CarveError:
        if alpha is None:
            raise
        return alpha, "alpha", 0.0
    if alpha is None:
        return found, "detector", contested
    shown, seen = alpha > 0.5, found > 0.5
    if (shown & seen).sum() > ALPHA_AGREES * (shown | seen).sum():
        return alpha, "alpha", 0.0
    return np.minimum(found, alpha), "detector", contested


def _focal(photo: Photo, params: Params) -> tuple[float, str]:
    if params.focal is not None:
        if params.focal <= 0:
            raise CarveError(f"The focal length must be a positive number of pixels, not {params.focal:g}.")
        return params.focal, "argument"
    if photo.focal is not None:
        return photo.focal, "exif"
    return focal_from_equivalent(photo.size, params.default_equivalent), "default"


def likely_focal(focal: float, marks: Landmarks) -> bool:
    """Whether a focal length in pixels puts somebody who is seen whole where a photographer may have stood."""
    body = np.array([not name.startswith(("face_", "left_hand_", "right_hand_")) for name in marks.names])
    distance = focal / pixels_per_metre(marks.pixels[body], marks.world[body], marks.confidence[body])
    return bool(DISTANCES[0] < distance < DISTANCES[1])


def _box(person: Detection) -> PersonBox:
    (u, v), r = person.centre, person.radius
    return PersonBox(float(u - r), float(v - r), float(u + r), float(v + r), person.score)


def _run(pixels: np.ndarray, person: Detection, others: list[Detection], params: Params) -> Read:
    """The augmented runs on the person's crop."""
    models = pose_models(params.pose)
    return read_pose(pixels, person, others, models, params.crop_margin, params.network_size, (params.scales, params.degrees))


def _landmarks(pixels: np.ndarray, window: Window, runs: list[PoseRun]) -> Landmarks:
    """Median and spread of the body's landmarks over the runs, then hands on wrist crops and the face on a head crop."""
    height, width = pixels.shape[:2]
    flat = np.stack([window.to_photo(r.pixels) for r in runs])
    deep = np.stack([r.world for r in runs])
    body, world = np.median(flat, 0), np.median(deep, 0)
    seen = np.median([r.visibility for r in runs], 0)
    margin = 0.01 * max(width, height)
    inside = ((body > -margin) & (body < np.array([width, height]) + margin)).all(1)
    inside &= ~_guessed_at_the_border(body, inside, width, height)
    names, points, confidence = list(POSE_NAMES), [body], [seen * inside]
    worlds, spreads = [world], [np.concatenate([flat.std(0), deep.std(0)[:, 2:]], 1)]
    per_metre = pixels_per_metre(body, world, seen * inside)
    for side in ("left", "right"):
        hand = _hand(pixels, body, seen * inside, side)
        if hand is None:
            continue
        uv, offset, score = hand
        names += [f"{side}_hand_{k}" for k in range(21)]
        points.append(uv)
        confidence.append(np.full(21, score))
        worlds.append(offset - offset[0] + world[POSE_NAMES.index(f"{side}_wrist")])
        spreads.append(np.tile([0.005 * per_metre, 0.005 * per_metre, 0.02], (21, 1)))
    face = _face(pixels, body, seen * inside, per_metre)
    if face is not None:
        names += [f"face_{k}" for k in range(len(face.pixels))]
        points.append(face.pixels)
        confidence.append(np.ones(len(face.pixels)))
        worlds.append(face.points / per_metre)
        spreads.append(np.tile([face.spread, face.spread, 0.01], (len(face.pixels), 1)))
    return Landmarks(tuple(names), *(np.concatenate(x).astype(np.float64) for x in (points, confidence, worlds, spreads)))


def _guessed_at_the_border(body: np.ndarray, inside: np.ndarray, width: int, height: int) -> np.ndarray:
    """(33,) bool: knees and elbows close to the picture's border whose ankle or wrist lies beyond it; the network squeezes them in."""
    near = (np.minimum(body, np.array([width, height]) - body) < 0.06 * max(width, height)).any(1)
    guessed = np.zeros(len(body), bool)
    for side in ("left", "right"):
        for middle, end in (("knee", "ankle"), ("elbow", "wrist")):
            m, e = POSE_NAMES.index(f"{side}_{middle}"), POSE_NAMES.index(f"{side}_{end}")
            guessed[m] = near[m] and not inside[e]
    return guessed


def _hand(pixels: np.ndarray, body: np.ndarray, seen: np.ndarray, side: str) -> tuple[np.ndarray, np.ndarray, float] | None:
    """21 hand landmarks in the photo and in metres, from a crop around the wrist; None where no hand is found near the wrist."""
    at = lambda name: body[POSE_NAMES.index(f"{side}_{name}")]  # noqa: E731
    if seen[POSE_NAMES.index(f"{side}_wrist")] < 0.5:
        return None
    wrist, elbow = at("wrist"), at("elbow")
    knuckles = (at("index") + at("pinky")) / 2
    reach = float(max(np.linalg.norm(knuckles - wrist), 0.3 * np.linalg.norm(wrist - elbow)))
    middle, side_length = wrist + 0.9 * (knuckles - wrist), 5.0 * reach
    window = Window(middle[0] - side_length / 2, middle[1] - side_length / 2, side_length, 288)
    for uv, world, score in sorted(run_hands(window.cut(pixels)), key=lambda h: np.linalg.norm(window.to_photo(h[0][0]) - wrist)):
        photo_uv = window.to_photo(uv)
        if np.linalg.norm(photo_uv[0] - wrist) < 0.9 * reach:
            return photo_uv, world, score
    return None


def _face(pixels: np.ndarray, body: np.ndarray, seen: np.ndarray, per_metre: float) -> Face | None:
    """The face mesh around the body's landmarks of eyes, ears, nose and mouth; None where no face is found."""
    if seen[0] < 0.5:
        return None
    at = lambda *names: body[[POSE_NAMES.index(name) for name in names]].mean(0)  # noqa: E731
    # Of a profile the landmarks lie close together: a head is a fourth of a metre high then, too.
    size = max(0.2 * per_metre, 1.6 * float(np.ptp(body[:11], axis=0).max()))
    return find_face(pixels, Expected(at("right_eye"), at("left_eye"), at("nose"), at("mouth_left", "mouth_right"), size))


def _mask(pixels: np.ndarray, window: Window, runs: list[PoseRun], beside: list[Read], params: Params) -> tuple[np.ndarray, float]:
    """(H, W) float32 person mask: mean over the runs, without what is rather a neighbour's, moved to the picture's edges, one piece, small
    holes filled. With it the share of it that neighbours claimed."""
    height, width = pixels.shape[:2]
    mean = np.mean([r.mask for r in runs], 0)
    rows, columns = np.nonzero(mean > 0.1)
    if len(rows) < 50:
        raise CarveError("The person could not be cut out of the photo: give a mask with --mask.")
    shrink = min(1.0, params.mask_size / max(int(np.ptp(rows)), int(np.ptp(columns)), 1))
    small = Window(window.left, window.top, window.side, max(int(window.size * shrink), 64) if shrink < 1 else window.size)
    image = small.cut(pixels)
    probability = cv2.resize(mean, (small.size, small.size), interpolation=cv2.INTER_AREA)
    theirs = share_out(small, probability, (window, runs), beside)
    contested = float((theirs & (probability > CONTESTED)).sum() / max((probability > 0.5).sum(), 1))
    probability = np.where(theirs, 0, probability)
    labels = np.where(probability > 0.5, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[probability > params.sure_person] = cv2.GC_FGD
    labels[probability < params.sure_background] = cv2.GC_BGD
    cv2.setRNGSeed(0)
    if (labels == cv2.GC_FGD).any() and (labels == cv2.GC_BGD).any():
        cv2.grabCut(image, labels, None, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_MASK)
    person = clean_mask((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD), params.largest_hole)
    soft = cv2.GaussianBlur(person.astype(np.float32), (0, 0), 0.7)
    return np.clip(small.paste(soft, width, height), 0, 1), contested


def clean_mask(person: np.ndarray, largest_hole: float) -> np.ndarray:
    """Keep the largest piece of a bool mask (h, w) and fill its holes up to a share `largest_hole` of its area."""
    pieces, count = ndimage.label(person)
    if count == 0:
        return person
    sizes = np.bincount(pieces.ravel())[1:]
    kept = pieces == 1 + int(sizes.argmax())
    holes, _ = ndimage.label(~kept)
    areas = np.bincount(holes.ravel())
    border = np.unique(np.concatenate([holes[0], holes[-1], holes[:, 0], holes[:, -1]]))
    fill = areas < largest_hole * sizes.max()
    fill[border] = False
    fill[0] = False
    return kept | fill[holes]


def _visible_share(marks: Landmarks) -> float:
    index = {name: i for i, name in enumerate(marks.names)}
    return float(np.mean([marks.confidence[index[name]] > 0.4 if name in index else False for name in MAIN_JOINTS]))
