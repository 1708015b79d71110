"""People, hands and faces in a photo: mediapipe's bundled detectors behind plain arrays.

mediapipe is imported when the first detector is built, so that importing this module stays cheap. All pixel coordinates are (u, v) with
the centre of the first pixel at (0.5, 0.5). World coordinates are metres in the camera frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from carve.geometry.frames import camera_from_vision
from carve.networks.detectors.mediapipe_graph import Graph, image_packet, kept, mediapipe, quiet

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
    turn: float = 0.0
    """Radians from the image's upright to the body's, clockwise."""


@kept
def _hand_solution() -> Any:
    return mediapipe().solutions.hands.Hands(static_image_mode=True, max_num_hands=2, model_complexity=1, min_detection_confidence=0.3)


def processed(solution: Any, image: np.ndarray) -> Any:
    """What one of the cached solutions above says of an image (h, w, 3).

    A graph opens in the background and logs until its first image is done, and again once its first hand or face is found.
    """
    with quiet():
        return solution().process(np.ascontiguousarray(image))


_DETECTION_GRAPH = """
input_stream: "image"
output_stream: "detections"
node { calculator: "PoseDetectionCpu" input_stream: "IMAGE:image" output_stream: "DETECTIONS:detections" }
"""


@kept
def _detection_graph() -> Graph:
    return Graph(_DETECTION_GRAPH, ("detections",))


def detect_people(image: np.ndarray) -> list[Detection]:
    """Everyone the pose detector finds in an image (h, w, 3) uint8 sRGB, largest first.

    The public pose solution returns one person only; its detection subgraph, run on its own, returns all.
    """
    found = _detection_graph()(image=image_packet(image)).get("detections")
    if found is None:
        return []
    from mediapipe.python import packet_getter

    height, width = image.shape[:2]
    people = []
    for detection in packet_getter.get_proto_list(found):
        location = detection.location_data
        points = np.array([[k.x * width, k.y * height] for k in location.relative_keypoints])
        box = location.relative_bounding_box
        head = np.array([box.xmin * width, box.ymin * height, (box.xmin + box.width) * width, (box.ymin + box.height) * height])
        upward = points[1] - points[0]
        turn = float(np.arctan2(upward[0], -upward[1]))
        people.append(Detection(points[0], float(np.linalg.norm(upward)), head, float(detection.score[0]), turn))
    return sorted(people, key=lambda p: -p.radius)


def run_hands(image: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Hands in a crop (h, w, 3): pixels (21, 2), world (21, 3) relative to the hand's centre in the camera frame, score."""
    result = processed(_hand_solution, image)
    height, width = image.shape[:2]
    hands = []
    for flat, world, side in zip(
        result.multi_hand_landmarks or [], result.multi_hand_world_landmarks or [], result.multi_handedness or [], strict=True
    ):
        pixels = np.array([[p.x * width, p.y * height] for p in flat.landmark])
        points = np.array([[p.x, p.y, p.z] for p in world.landmark]) @ camera_from_vision.T
        hands.append((pixels, points, float(side.classification[0].score)))
    return hands
