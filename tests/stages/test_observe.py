"""The first stage: its pieces on pictures made here, the whole on the example photo, turned, scaled and doubled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from carve.geometry.camera import focal_from_equivalent
from carve.geometry.pictures.window import Window
from carve.networks.detectors.person import MIRRORED, POSE_NAMES, Detection, detect_people
from carve.networks.detectors.pose import PoseRun, run_pose
from carve.networks.detectors.pose_models import has_heavy
from carve.records import CarveError, Landmarks, Observation, Photo
from carve.stages import observe as stage
from carve.stages.observe import Params, checked_landmarks, clean_mask, observe
from carve.stages.observing import pose_reading
from carve.stages.observing.apart import without_heads
from carve.stages.observing.people import find_people

QUICK = Params(scales=(1.0,), degrees=(0.0,), pose="full")
"""Two runs of one pose network instead of eighteen of each."""
TURNED = Params(scales=(1.0,))
"""Six runs of each."""


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Of two soft masks."""
    a, b = a > 0.5, b > 0.5
    return float((a & b).sum() / (a | b).sum())


def picture(pixels: np.ndarray, **fields: object) -> Photo:
    """A photo of these pixels that says nothing of its camera."""
    return replace(Photo(np.ascontiguousarray(pixels), None, None, "made"), **fields)


def body_of(marks: Landmarks) -> np.ndarray:
    """(33, 2) pixels of the pose network's landmarks."""
    assert marks.names[:33] == tuple(POSE_NAMES)
    return marks.pixels[:33]


# The mask


def test_the_largest_piece_is_kept_and_small_holes_are_closed() -> None:
    person = np.zeros((60, 80), bool)
    person[10:50, 10:50] = True
    person[20:22, 20:22] = False  # a hole of 4 pixels
    person[30:40, 30:40] = False  # a gap between limbs
    person[10:13, 40:42] = False  # a notch at the outline
    person[55:58, 70:75] = True  # somebody's bag
    cleaned = clean_mask(person, largest_hole=0.01)
    expected = np.zeros_like(person)
    expected[10:50, 10:50] = True
    expected[30:40, 30:40] = False
    expected[10:13, 40:42] = False
    np.testing.assert_array_equal(cleaned, expected)
    np.testing.assert_array_equal(clean_mask(cleaned, 0.01), cleaned)
    assert not clean_mask(np.zeros((5, 5), bool), 0.01).any()


def test_a_gap_that_the_picture_cuts_is_no_hole() -> None:
    person = np.ones((30, 30), bool)
    person[0, 10] = person[29, 3] = person[15, 15] = False
    cleaned = clean_mask(person, largest_hole=0.05)
    assert not cleaned[0, 10] and not cleaned[29, 3]
    assert cleaned[15, 15]


# Windows


def ramp(pixels: np.ndarray) -> np.ndarray:
    """A function of the place (..., 2) that resampling keeps."""
    return 20 + 0.5 * pixels[..., 0] + 0.25 * pixels[..., 1]


def grid(width: int, height: int) -> np.ndarray:
    """(height, width, 2) pixel centres."""
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1) + 0.5


@pytest.mark.parametrize("size", [50, 100, 230])
def test_a_window_sees_what_lies_at_its_place(size: int) -> None:
    photo = ramp(grid(200, 160)).astype(np.float32)
    window = Window(30.25, 20.5, 100.0, size)
    seen = window.cut(photo)
    assert seen.shape == (size, size)
    expected = ramp(window.to_photo(grid(size, size)))
    np.testing.assert_allclose(seen, expected, atol=0.02)
    np.testing.assert_allclose(window.to_photo(np.array([[0.0, 0.0], [size, size]])), [[30.25, 20.5], [130.25, 120.5]])


@pytest.mark.parametrize("size", [50, 100, 230])
def test_what_is_cut_can_be_pasted_back(size: int) -> None:
    photo = ramp(grid(200, 160)).astype(np.float32)
    window = Window(30.25, 20.5, 100.0, size)
    pasted = window.paste(window.cut(photo), 200, 160)
    inner = np.zeros((160, 200), bool)
    inner[24:117, 34:127] = True
    np.testing.assert_allclose(pasted[inner], photo[inner], atol=0.1)
    assert not pasted[:18].any() and not pasted[:, :28].any() and not pasted[123:].any() and not pasted[:, 133:].any()


def test_beyond_the_picture_its_border_goes_on() -> None:
    photo = np.full((40, 30, 3), 90, np.uint8)
    assert (Window(-50.0, -50.0, 200.0, 64).cut(photo) == 90).all()


# The camera


def test_where_the_focal_length_comes_from(example: Photo) -> None:
    unknown = replace(example, focal=None)
    assert stage._focal(example, Params()) == (example.focal, "exif")
    assert stage._focal(example, Params(focal=700.0)) == (700.0, "argument")
    assert stage._focal(unknown, Params(default_equivalent=35.0)) == (focal_from_equivalent(unknown.size, 35.0), "default")
    for wrong in (0.0, -5.0):
        with pytest.raises(CarveError, match="positive number"):
            stage._focal(example, Params(focal=wrong))


# What cannot be used


def refuse_to_run(*_: object) -> None:
    """In place of a detector that must not be reached."""
    pytest.fail("the detectors ran")


@pytest.mark.parametrize(
    ("mask", "says"), [(np.ones((768, 1024)), "1024 x 768 pixels but the photo is 768 x 1024"), (np.zeros((1024, 768)), "empty")]
)
def test_a_mask_that_does_not_fit_is_refused_at_once(example: Photo, monkeypatch: pytest.MonkeyPatch, mask: np.ndarray, says: str) -> None:
    monkeypatch.setattr("carve.stages.observing.people.detect_people", refuse_to_run)
    with pytest.raises(CarveError, match=says):
        observe(example, Params(), mask=mask.astype(np.float32))


def test_nobody_is_found_in_an_empty_room(example: Photo) -> None:
    with pytest.raises(CarveError, match="No person was found"):
        observe(picture(np.repeat(example.pixels[:, :200], 3, axis=1)), QUICK)


def test_a_person_of_forty_pixels_is_refused(example: Photo) -> None:
    """Found only when the picture is searched in tiles."""
    small = cv2.resize(example.pixels, (36, 48), interpolation=cv2.INTER_AREA)
    scene = cv2.resize(np.repeat(example.pixels[:600, :100], 7, axis=1), (320, 240), interpolation=cv2.INTER_AREA)
    scene[100:148, 140:176] = small
    with pytest.raises(CarveError, match=r"(only about \d\d pixels tall; carve needs at least 96|No person was found)"):
        observe(picture(scene), QUICK)


def test_people_who_are_not_there_cannot_be_chosen(example: Photo) -> None:
    for person in (-1, 1):
        with pytest.raises(CarveError, match=rf"Person {person} does not exist: 1 found"):
            observe(example, replace(QUICK, person=person))


# The example photo


def test_the_example_is_one_person_seen_whole(example: Photo, observed: Observation) -> None:
    assert observed.person == 0 and len(observed.people) == 1
    assert observed.visible_share == 1
    assert observed.notes == ()
    assert (observed.mask_source, observed.focal_source) == ("detector", "exif")
    camera = observed.camera
    assert (camera.width, camera.height) == example.size
    assert (camera.cx, camera.cy, camera.focal) == (384, 512, example.focal)
    box, body = observed.people[0], body_of(observed.landmarks)
    margin = 0.02 * (box.right - box.left)
    assert ((body > [box.left - margin, box.top - margin]) & (body < [box.right + margin, box.bottom + margin])).all()


def test_the_mask_is_what_differs_from_the_wall(example: Photo, observed: Observation) -> None:
    """Above the floor the wall is plain: its colour in each row, from left and right of the person, tells who is not wall."""
    rows, pixels = slice(0, 620), example.pixels.astype(float)
    left, right = (np.median(pixels[rows, columns], axis=1)[:, None] for columns in (slice(0, 200), slice(600, 768)))
    share = np.linspace(0, 1, 768)[None, :, None]
    truth = clean_mask(np.abs(pixels[rows] - left * (1 - share) - right * share).max(-1) > 18, 0.001)
    assert iou(truth, observed.mask[rows]) > 0.975


def test_the_mask_is_soft_whole_and_holds_the_landmarks(observed: Observation) -> None:
    mask = observed.mask
    assert mask.dtype == np.float32
    assert 0 == mask.min() < mask.max() == 1
    assert 0.002 < ((mask > 0.02) & (mask < 0.98)).mean() < 0.03  # an outline of a pixel or two
    np.testing.assert_array_equal(clean_mask(mask > 0.5, Params().largest_hole), mask > 0.5)
    near = cv2.dilate((mask > 0.5).astype(np.uint8), np.ones((25, 25), np.uint8))
    u, v = np.floor(body_of(observed.landmarks)).astype(int).T
    assert near[v, u].all()


def test_landmarks_have_names_places_and_depths(observed: Observation) -> None:
    marks = observed.landmarks
    assert len(set(marks.names)) == len(marks.names)
    assert {"left_hand_0", "left_hand_20", "face_0", "face_467"} <= set(marks.names)
    index = {name: i for i, name in enumerate(marks.names)}
    assert np.isfinite(marks.world).all() and np.isfinite(marks.pixels).all() and (marks.spread >= 0).all()
    assert ((marks.confidence >= 0) & (marks.confidence <= 1)).all()
    body, height = body_of(marks), float(np.ptp(body_of(marks)[:, 1]))
    world = {name: marks.world[i] for name, i in index.items()}
    np.testing.assert_allclose((world["left_hip"] + world["right_hip"]) / 2, 0, atol=0.02)
    assert world["nose"][1] > 0.5 > 0 > world["left_knee"][1] > world["left_ankle"][1] > -1
    # The person looks at the camera, the head a little to their left.
    assert world["face_1"][2] > max(world["face_234"][2], world["face_454"][2])
    for name in ("shoulder", "hip", "elbow", "knee", "ankle"):
        assert world[f"left_{name}"][0] > world[f"right_{name}"][0]
    hand = body[POSE_NAMES.index("left_wrist")]
    assert np.linalg.norm(marks.pixels[index["left_hand_0"]] - hand) < 0.03 * height
    assert np.linalg.norm(marks.pixels[index["face_1"]] - body[POSE_NAMES.index("nose")]) < 0.02 * height
    assert np.median(marks.spread[:33, :2]) < 0.01 * height
    assert np.median(marks.spread[:33, 2]) < 0.1


Change = Callable[[np.ndarray], np.ndarray]


def compare(one: Observation, other: Observation, place: Change, mask: Change, order: np.ndarray) -> None:
    """`other` saw the picture of `one` after a change that `place` makes to points (N, 2) and `mask` to images."""
    here, there = place(body_of(one.landmarks)), body_of(other.landmarks)[order]
    height = np.ptp(here[:, 1])
    away = np.linalg.norm(here - there, axis=1) / height
    assert np.median(away) < 0.006
    assert away.max() < 0.03
    assert iou(mask(one.mask), other.mask) > 0.96


def test_a_mirrored_person_has_mirrored_landmarks(example: Photo, observed: Observation) -> None:
    mirrored = observe(replace(example, pixels=np.ascontiguousarray(example.pixels[:, ::-1])), TURNED)
    compare(observed, mirrored, lambda p: np.array([768, 0]) + p * [-1, 1], np.fliplr, MIRRORED)
    world = mirrored.landmarks.world[:33][MIRRORED] * [-1, 1, 1]
    assert np.median(np.linalg.norm(world - observed.landmarks.world[:33], axis=1)) < 0.03


@pytest.mark.parametrize("scale", [0.5, 1.75])
def test_a_larger_picture_is_seen_alike(example: Photo, observed: Observation, scale: float) -> None:
    size = (round(768 * scale), round(1024 * scale))
    resize = lambda image: cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)  # noqa: E731
    assert example.focal is not None
    scaled = observe(Photo(resize(example.pixels), None, example.focal * scale, "scaled"), TURNED)
    compare(observed, scaled, lambda p: p * scale, resize, np.arange(33))
    assert scaled.camera.focal == pytest.approx(observed.camera.focal * scale)
    assert np.median(np.linalg.norm(scaled.landmarks.world[:33] - observed.landmarks.world[:33], axis=1)) < 0.03


def test_the_same_photo_is_seen_the_same_way_twice(example: Photo) -> None:
    first, second = observe(example, QUICK), observe(example, QUICK)
    np.testing.assert_array_equal(first.mask, second.mask)
    np.testing.assert_array_equal(first.landmarks.pixels, second.landmarks.pixels)
    np.testing.assert_array_equal(first.landmarks.world, second.landmarks.world)


# Masks and landmarks that are given


def test_alpha_wins_over_the_detector_and_a_file_over_both(example: Photo, observed: Observation) -> None:
    alpha = (204 * (observed.mask > 0.3)).astype(np.uint8)
    cut_out = replace(example, alpha=alpha)
    by_alpha = observe(cut_out, QUICK)
    assert by_alpha.mask_source == "alpha" and by_alpha.notes == ()
    np.testing.assert_allclose(by_alpha.mask, alpha / 255, atol=1e-6)
    given = np.zeros((1024, 768), np.float32)
    given[30:960, 190:570] = 1
    by_file = observe(cut_out, QUICK, mask=given)
    assert by_file.mask_source == "file"
    np.testing.assert_array_equal(by_file.mask, given)


def test_alpha_that_is_no_persons_outline_is_not_the_mask(example: Photo, observed: Observation) -> None:
    """A picture with rounded corners."""
    alpha = np.full((1024, 768), 255, np.uint8)
    for rows, columns in ((slice(0, 60), slice(0, 60)), (slice(-60, None), slice(-60, None))):
        alpha[rows, columns] = 0
    seen = observe(replace(example, alpha=alpha), QUICK)
    assert seen.mask_source == "detector" and any("transparency" in note for note in seen.notes)
    assert iou(seen.mask, observed.mask) > 0.95


def test_given_landmarks_are_taken_as_they_are(example: Photo, observed: Observation) -> None:
    moved = replace(
        observed.landmarks,
        pixels=observed.landmarks.pixels + 3,
        confidence=np.where(np.arange(len(observed.landmarks.names)) < 17, 1.0, 0.0),
    )
    seen = observe(example, QUICK, landmarks=moved)
    assert seen.landmarks.names == moved.names
    np.testing.assert_array_equal(seen.landmarks.pixels, moved.pixels)
    assert seen.visible_share == pytest.approx(6 / 12)  # both shoulders, elbows and wrists


# Two people


SMALL, SHARE = (480, 640), 0.625
"""Width and height of the example where it is shown twice, and the share of its own size that this is."""


def reduced(image: np.ndarray) -> np.ndarray:
    """An image of the example's size, smaller."""
    return cv2.resize(image, SMALL, interpolation=cv2.INTER_AREA)


@pytest.fixture(scope="module")
def couple(example: Photo) -> Photo:
    """The example's person twice: smaller on the left, larger on the right."""
    large = reduced(example.pixels)
    small = cv2.resize(large, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    left = cv2.copyMakeBorder(small, SMALL[1] - small.shape[0], 0, 0, 0, cv2.BORDER_REPLICATE)
    return picture(np.concatenate([left, large], axis=1))


@pytest.fixture(scope="module")
def places(couple: Photo, observed: Observation) -> list[np.ndarray]:
    """(33, 2) landmarks of both, the larger first."""
    body, offset = SHARE * body_of(observed.landmarks), couple.size[0] - SMALL[0]
    return [body + np.array([offset, 0]), body * 0.7 + [0, SMALL[1] - round(0.7 * SMALL[1])]]


@pytest.mark.parametrize("person", [None, 1])
def test_of_two_people_the_largest_or_the_one_asked_for(couple: Photo, places: list[np.ndarray], person: int | None) -> None:
    seen = observe(couple, replace(QUICK, person=person))
    assert len(seen.people) == 2
    assert [box.right - box.left for box in seen.people] == sorted((box.right - box.left for box in seen.people), reverse=True)
    assert seen.person == (person or 0)
    assert any("2 people were found" in note for note in seen.notes)
    place, other = places[seen.person], places[1 - seen.person]
    assert np.median(np.linalg.norm(body_of(seen.landmarks) - place, axis=1)) < 0.015 * np.ptp(place[:, 1])
    u, v = (
        np.floor(other[[POSE_NAMES.index(f"{side}_{part}") for side in ("left", "right") for part in ("shoulder", "hip", "knee")]])
        .astype(int)
        .T
    )
    assert not seen.mask[v, u].any()
    u, v = (
        np.floor(place[[POSE_NAMES.index(f"{side}_{part}") for side in ("left", "right") for part in ("shoulder", "hip", "knee")]])
        .astype(int)
        .T
    )
    assert (seen.mask[v, u] > 0.5).all()


def test_small_people_are_found_beside_a_large_one(example: Photo) -> None:
    """The detector itself, shown the whole photo, sees the large one only."""
    scene = np.concatenate([example.pixels, np.repeat(example.pixels[:, -60:], 12, axis=1)], axis=1)
    small = cv2.resize(example.pixels, None, fx=0.22, fy=0.22, interpolation=cv2.INTER_AREA)
    corners = [(760, 900), (740, 1200)]
    for top, left in corners:
        scene[top : top + small.shape[0], left : left + small.shape[1]] = small
    found = find_people(scene, 96)
    assert len(found) == 3
    for top, left in corners:
        inside = [p for p in found if left < p.centre[0] < left + small.shape[1] and top < p.centre[1] < top + small.shape[0]]
        assert len(inside) == 1 and inside[0].radius < 0.7 * small.shape[0]


def test_a_mask_reaches_someone_whom_nobody_found(couple: Photo, places: list[np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    """Never the nearest neighbour's joints: the person is sought inside the mask."""
    found = find_people(couple.pixels, 96)
    monkeypatch.setattr(stage, "find_people", lambda pixels, smallest: found[:1])
    mask = np.zeros(couple.pixels.shape[:2], np.float32)
    low, high = places[1].min(0).astype(int) - 20, places[1].max(0).astype(int) + 20
    mask[low[1] : high[1], low[0] : high[0]] = 1
    seen = observe(couple, QUICK, mask=mask)
    assert len(seen.people) == 2
    assert np.median(np.linalg.norm(body_of(seen.landmarks) - places[1], axis=1)) < 0.02 * np.ptp(places[1][:, 1])


@pytest.fixture(scope="module")
def touching(example: Photo, observed: Observation) -> tuple[Photo, list[np.ndarray]]:
    """The example's person twice, the left one before the right one, shoulder on shoulder; their true masks, the left one's first."""
    pixels, mask = reduced(example.pixels), reduced(observed.mask)
    shift = round(0.75 * float(np.ptp(np.nonzero(mask > 0.5)[1])))
    behind = np.concatenate([np.repeat(pixels[:, :1], shift, axis=1), pixels], axis=1)
    front = np.pad(mask, ((0, 0), (0, shift)))
    picture_ = np.pad(pixels, ((0, 0), (0, shift), (0, 0)))
    share = front[..., None]
    other = np.pad(mask, ((0, 0), (shift, 0))) * (1 - front)
    return picture((behind * (1 - share) + picture_ * share).astype(np.uint8)), [front, other]


def test_people_who_touch_are_told_apart(touching: tuple[Photo, list[np.ndarray]]) -> None:
    photo, truth = touching
    for index in (0, 1):
        seen = observe(photo, replace(QUICK, person=index))
        own = int(np.argmax([iou(seen.mask, mask) for mask in truth]))
        assert len(seen.people) == 2
        assert iou(seen.mask, truth[own]) > 0.75
        assert (seen.mask[truth[1 - own] > 0.9] > 0.5).mean() < 0.1
        marks = body_of(seen.landmarks)[[POSE_NAMES.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("hip", "ankle")]]
        assert all(truth[own][int(v), int(u)] > 0.5 for u, v in marks)


def test_a_head_that_leans_on_another_is_not_painted_over() -> None:
    pixels = np.arange(60 * 80 * 3, dtype=np.uint32).astype(np.uint8).reshape(60, 80, 3)
    at = lambda left: Detection(np.array([left + 5.0, 40.0]), 30.0, np.array([left, 5.0, left + 10, 15.0]), 1.0)  # noqa: E731
    near, far = without_heads(pixels, at(20), [at(28)]), without_heads(pixels, at(20), [at(50)])
    assert near is pixels
    assert (far[5:15, 50:60] == far[5, 50]).all() and (far[:, :50] == pixels[:, :50]).all()


def test_a_mask_says_who_of_the_two(couple: Photo, places: list[np.ndarray]) -> None:
    mask = np.zeros(couple.pixels.shape[:2], np.float32)
    low, high = places[1].min(0).astype(int), places[1].max(0).astype(int)
    mask[low[1] : high[1], low[0] : high[0]] = 1
    assert observe(couple, QUICK, mask=mask).person == 1
    assert observe(couple, replace(QUICK, person=0), mask=mask).person == 0


# People who are hard to see


def test_somebody_is_found_when_the_photo_is_shown_smaller(example: Photo, monkeypatch: pytest.MonkeyPatch) -> None:
    """A detector that sees nothing in the whole photo, as with bright clothes before a bright sky."""
    (person,) = detect_people(example.pixels)
    real = detect_people
    monkeypatch.setattr(
        "carve.stages.observing.people.detect_people", lambda image: [] if image.shape == example.pixels.shape else real(image)
    )
    (found,) = find_people(example.pixels, 96)
    assert np.linalg.norm(found.centre - person.centre) < 0.1 * person.radius
    assert found.radius == pytest.approx(person.radius, rel=0.15)
    assert np.linalg.norm(found.head - person.head) < 0.3 * person.radius


def turned_round(run: PoseRun) -> PoseRun:
    """The same answer from a network that takes the front for the back."""
    return replace(run, pixels=run.pixels[MIRRORED], world=run.world[MIRRORED] * [1, 1, -1])


@pytest.mark.parametrize("share", [0.4, 0.6])
def test_runs_that_take_the_front_for_the_back_do_not_count(example: Photo, share: float) -> None:
    """Not even where they are the majority, if there is a face."""
    (person,) = detect_people(example.pixels)
    right = [run_pose(example.pixels, person)] * 10
    wrong = round(10 * share)
    runs = [turned_round(run) for run in right[:wrong]] + right[wrong:]
    assert pose_reading.one_way_round(example.pixels, runs) == right[wrong:]


def test_without_a_face_the_majority_says_which_way_round() -> None:
    rng = np.random.default_rng(0)
    body = rng.uniform(0, 90, (33, 2))
    for joint, v in (("shoulder", 20.0), ("hip", 60.0)):
        body[POSE_NAMES.index(f"left_{joint}")], body[POSE_NAMES.index(f"right_{joint}")] = [60, v], [30, v]
    front = PoseRun(body, np.ones(33), np.zeros((33, 3)), np.zeros((90, 90)), 1.0)
    back = turned_round(front)
    plain = np.full((90, 90, 3), 127, np.uint8)
    assert pose_reading.one_way_round(plain, [front, back, back]) == [back, back]
    assert pose_reading.one_way_round(plain, [front] * 9 + [back]) == [front] * 9
    narrow = replace(front, pixels=np.where(np.arange(2) == 0, 45.0, body))
    assert len(pose_reading.one_way_round(plain, [narrow, front, back])) == 2  # who stands in profile is not of either side


def test_a_pose_is_read_though_the_usual_variants_show_nobody(example: Photo, monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = pose_reading.run_pose_augmented, []

    def first_in_vain(*arguments: object) -> list[PoseRun]:
        asked.append(arguments)
        runs = real(arguments[0], arguments[1], (1.0,), (0.0,), *arguments[4:])  # type: ignore[arg-type]
        return [replace(run, presence=0.1) for run in runs] if len(asked) == 1 else runs

    monkeypatch.setattr(pose_reading, "run_pose_augmented", first_in_vain)
    seen = observe(example, QUICK)
    assert len(asked) == 2 and seen.visible_share == 1
    monkeypatch.setattr(pose_reading, "run_pose_augmented", lambda *_: [])
    with pytest.raises(CarveError, match="pose could not be read"):
        observe(example, QUICK)


def test_the_report_says_which_pose_networks_were_used(observed: Observation, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert observed.pose_models == (("full", "heavy") if has_heavy() else ("full",))
    monkeypatch.setenv("CARVE_CACHE", str(tmp_path))
    alone = stage.with_installed(Params())
    assert alone.pose == "full" and stage.with_installed(alone) == alone
    assert "run `carve models`" in str(stage.pose_note(Params(), replace(observed, pose_models=("full",))))
    assert stage.pose_note(Params(pose="full"), replace(observed, pose_models=("full",))) is None
    assert stage.pose_note(Params(), replace(observed, pose_models=("full", "heavy"))) is None


def trunk(**changes: tuple[float, float]) -> Landmarks:
    """Landmarks of a trunk and a nose in a picture of 64 x 96 pixels, with changes."""
    places = {"nose": (32.0, 10.0), "left_shoulder": (44.0, 24.0), "right_shoulder": (20.0, 24.0)}
    places |= {"left_hip": (40.0, 50.0), "right_hip": (24.0, 50.0)} | changes
    count = len(places)
    return Landmarks(tuple(places), np.array(list(places.values())), np.ones(count), np.full((count, 3), np.nan), np.zeros((count, 3)))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"left_knie": (1.0, 1.0)}, "'left_knie'; the nearest is 'left_knee'"),
        ({"left_hip": (np.nan, 1.0)}, "do not say where left_hip"),
        ({"nose": (1e6, 1.0)}, "'nose' lies far outside"),
    ],
)
def test_landmarks_that_cannot_be_a_persons(given: dict[str, tuple[float, float]], says: str) -> None:
    with pytest.raises(CarveError, match=says):
        checked_landmarks(trunk(**given), 64, 96)


def test_landmarks_that_say_nothing_are_left_out() -> None:
    kept = checked_landmarks(trunk(left_knee=(np.nan, np.nan)), 64, 96)
    assert kept.names == trunk().names and np.isfinite(kept.pixels).all()
