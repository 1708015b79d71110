"""People in a photo: mediapipe's bundled detectors behind plain arrays.

mediapipe is imported when the first detector is built, so that importing this module stays cheap. All pixel coordinates are (u, v) with
the centre of the first pixel at (0.5, 0.5). World coordinates are metres relative to the hips' midpoint in the camera frame.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from carve.geometry.frames import camera_from_vision

POSE_NAMES = (
    "nose left_eye_inner left_eye left_eye_outer right_eye_inner right_eye right_eye_outer left_ear right_ear mouth_left mouth_right "
    "left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist left_pinky right_pinky left_index right_index left_thumb "
    "right_thumb left_hip right_hip left_knee right_knee left_ankle right_ankle left_heel right_heel left_foot_index right_foot_index"
).split()
"""The 33 landmarks of BlazePose in its order."""

MIRRORED = np.array([POSE_NAMES.index(n.replace("left", "#").replace("right", "left").replace("#", "right")) for n in POSE_NAMES])
"""(33,) index of each landmark's partner on the other side."""


@dataclass(frozen=True)
class Detection:
    """One person as the detector sees it: the circle around the whole body."""

    centre: np.ndarray
    """(2,) hips' midpoint, pixels."""
    radius: float
    """Radius of the circle that holds the body with its limbs, pixels."""
    head: np.ndarray
    """(4,) left, top, right, bottom of the head's box, pixels."""
    score: float


@dataclass(frozen=True)
class PoseRun:
    """One run of the pose network on one image."""

    pixels: np.ndarray
    """(33, 2)."""
    visibility: np.ndarray
    """(33,) 0..1."""
    world: np.ndarray
    """(33, 3) camera frame, metres from the hips' midpoint."""
    mask: np.ndarray
    """(h, w) float32 soft person mask of the image that was given."""


@contextmanager
def _quiet() -> Iterator[None]:
    """mediapipe's C++ side writes its start-up log to file descriptor 2: send it away while a graph starts. Exceptions pass as they are."""
    sys.stderr.flush()
    saved, null = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(null)


@cache
def _mediapipe() -> Any:
    os.environ.setdefault("GLOG_minloglevel", "3")
    import warnings

    warnings.filterwarnings("ignore", category=UserWarning, module="google.protobuf")
    with _quiet():
        import mediapipe
        from mediapipe.python._framework_bindings import resource_util
    resource_util.set_resource_dir(str(Path(mediapipe.__file__).parent.parent))
    return mediapipe


@cache
def _pose_solution() -> Any:
    return _mediapipe().solutions.pose.Pose(
        static_image_mode=True, model_complexity=1, enable_segmentation=True, smooth_segmentation=False, min_detection_confidence=0.3
    )


@cache
def _hand_solution() -> Any:
    return _mediapipe().solutions.hands.Hands(static_image_mode=True, max_num_hands=2, model_complexity=1, min_detection_confidence=0.3)


@cache
def _face_solution() -> Any:
    return _mediapipe().solutions.face_mesh.FaceMesh(static_image_mode=True, max_num_faces=1, min_detection_confidence=0.3)


def _process(solution: Any, image: np.ndarray) -> Any:
    """What one of the cached solutions above says of an image (h, w, 3).

    A new graph opens in the background and logs until its first image is done, so making it and that image go together.
    """
    with nullcontext() if solution.cache_info().currsize else _quiet():
        return solution().process(np.ascontiguousarray(image))


_DETECTIONS = count()
"""Each image that is shown to the running graph must be later than the one before."""

_DETECTION_GRAPH = """
input_stream: "image"
output_stream: "detections"
node { calculator: "PoseDetectionCpu" input_stream: "IMAGE:image" output_stream: "DETECTIONS:detections" }
"""


@cache
def _detection_graph() -> tuple[Any, list[Any]]:
    """The detection subgraph, kept running, and the list that its answers are put into."""
    _mediapipe()
    from mediapipe.python import packet_getter
    from mediapipe.python._framework_bindings import calculator_graph

    answers: list[Any] = []
    with _quiet():
        graph = calculator_graph.CalculatorGraph(graph_config=_DETECTION_GRAPH)
        graph.observe_output_stream("detections", lambda _, packet: answers.extend(packet_getter.get_proto_list(packet)))
        graph.start_run()
    return graph, answers


def detect_people(image: np.ndarray) -> list[Detection]:
    """Everyone the pose detector finds in an image (h, w, 3) uint8 sRGB, largest first.

    The public pose solution returns one person only; its detection subgraph, run on its own, returns all.
    """
    with nullcontext() if _detection_graph.cache_info().currsize else _quiet():
        graph, found = _detection_graph()
        from mediapipe.python import packet_creator
        from mediapipe.python._framework_bindings import image_frame

        found.clear()
        frame = packet_creator.create_image_frame(image_format=image_frame.ImageFormat.SRGB, data=np.ascontiguousarray(image))
        graph.add_packet_to_input_stream("image", frame.at(next(_DETECTIONS)))
        graph.wait_until_idle()
    height, width = image.shape[:2]
    people = []
    for detection in found:
        location = detection.location_data
        points = np.array([[k.x * width, k.y * height] for k in location.relative_keypoints])
        box = location.relative_bounding_box
        head = np.array([box.xmin * width, box.ymin * height, (box.xmin + box.width) * width, (box.ymin + box.height) * height])
        people.append(Detection(points[0], float(np.linalg.norm(points[1] - points[0])), head, float(detection.score[0])))
    return sorted(people, key=lambda p: -p.radius)


def run_pose(image: np.ndarray) -> PoseRun | None:
    """The most prominent person of an image (h, w, 3) uint8 sRGB, or None."""
    result = _process(_pose_solution, image)
    if result.pose_landmarks is None or result.segmentation_mask is None:
        return None
    height, width = image.shape[:2]
    flat = result.pose_landmarks.landmark
    pixels = np.array([[p.x * width, p.y * height] for p in flat])
    world = np.array([[p.x, p.y, p.z] for p in result.pose_world_landmarks.landmark]) @ camera_from_vision.T
    return PoseRun(pixels, np.array([p.visibility for p in flat]), world, np.asarray(result.segmentation_mask, np.float32))


def run_pose_augmented(image: np.ndarray, scales: tuple[float, ...], degrees: tuple[float, ...], size: int) -> list[PoseRun]:
    """`run_pose` over scales x in-plane rotations x {as is, mirrored}, everything mapped back to the given square image (n, n, 3)."""
    runs = []
    n = image.shape[0]
    for scale in scales:
        for angle in degrees:
            for flip in (False, True):
                to_small = cv2.getRotationMatrix2D((n / 2, n / 2), angle, scale * size / n)
                to_small[:, 2] += (size - n) / 2
                if flip:
                    to_small = np.array([[-1.0, 0.0, size], [0.0, 1.0, 0.0]]) @ np.vstack([to_small, [0, 0, 1]])
                # OpenCV puts pixel centres at whole numbers; shift by half a pixel on both sides.
                shifted = to_small.copy()
                shifted[:, 2] += to_small[:, :2] @ [0.5, 0.5] - 0.5
                small = cv2.warpAffine(image, shifted, (size, size), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
                run = run_pose(small)
                if run is None:
                    continue
                back = cv2.invertAffineTransform(to_small)
                pixels = run.pixels @ back[:, :2].T + back[:, 2]
                mask = cv2.warpAffine(run.mask, shifted, (n, n), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
                turn = np.radians(angle) * (1 if flip else -1)
                spin = np.array([[np.cos(turn), -np.sin(turn), 0.0], [np.sin(turn), np.cos(turn), 0.0], [0.0, 0.0, 1.0]])
                world, visibility = run.world @ spin.T, run.visibility
                if flip:
                    world = world * [-1.0, 1.0, 1.0]
                    # Spin was applied in the mirrored picture, where the same turn has the opposite sense.
                    pixels, world, visibility = pixels[MIRRORED], world[MIRRORED], visibility[MIRRORED]
                runs.append(PoseRun(pixels, visibility, world, mask))
    return runs


def run_hands(image: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Hands in a crop (h, w, 3): pixels (21, 2), world (21, 3) relative to the hand's centre in the camera frame, score."""
    result = _process(_hand_solution, image)
    height, width = image.shape[:2]
    hands = []
    for flat, world, side in zip(
        result.multi_hand_landmarks or [], result.multi_hand_world_landmarks or [], result.multi_handedness or [], strict=True
    ):
        pixels = np.array([[p.x * width, p.y * height] for p in flat.landmark])
        points = np.array([[p.x, p.y, p.z] for p in world.landmark]) @ camera_from_vision.T
        hands.append((pixels, points, float(side.classification[0].score)))
    return hands


def run_face(image: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The face in a crop (h, w, 3): pixels (468, 2) and points (468, 3) in the crop's pixels, on the camera's axes (weak perspective)."""
    result = _process(_face_solution, image)
    if not result.multi_face_landmarks:
        return None
    height, width = image.shape[:2]
    raw = np.array([[p.x * width, p.y * height, p.z * width] for p in result.multi_face_landmarks[0].landmark])
    return raw[:, :2], raw @ camera_from_vision.T
