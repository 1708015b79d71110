"""BlazePose's landmark network, full or heavy, on a region of an image that carve chooses itself.

mediapipe's public solution knows its models by their place in the package, takes the first person it detects and says nothing where it
doubts; the same calculators, put together here, take the model as bytes and the region as given, and hand out the doubt.
All pixel coordinates are (u, v) with the centre of the first pixel at (0.5, 0.5). World coordinates are metres relative to the hips'
midpoint in the camera frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from carve.geometry.frames import camera_from_vision
from carve.networks.detectors.mediapipe_graph import Graph, image_packet, kept, mediapipe
from carve.networks.detectors.person import MIRRORED, Detection, detect_people
from carve.networks.detectors.pose_models import PoseModel, model_bytes

REGION_MARGIN = 1.25
"""Side of the region that the network sees, in diameters of the circle around the body: what it was trained with."""


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
    presence: float
    """0..1, how sure the network is that there is a person in its region at all."""


_GRAPH = """
input_stream: "image"
input_stream: "region"
input_side_packet: "model_blob"
output_stream: "landmarks"
output_stream: "world"
output_stream: "mask"
output_stream: "presence"
node { calculator: "ImagePropertiesCalculator" input_stream: "IMAGE_CPU:image" output_stream: "SIZE:size" }
node { calculator: "ImageToTensorCalculator" input_stream: "IMAGE:image" input_stream: "NORM_RECT:region"
  output_stream: "TENSORS:input" output_stream: "LETTERBOX_PADDING:padding" output_stream: "MATRIX:matrix"
  options { [mediapipe.ImageToTensorCalculatorOptions.ext] {
    output_tensor_width: 256 output_tensor_height: 256 keep_aspect_ratio: true output_tensor_float_range { min: 0 max: 1 } } } }
node { calculator: "TfLiteModelCalculator" input_side_packet: "MODEL_BLOB:model_blob" output_side_packet: "MODEL:model" }
node { calculator: "InferenceCalculatorCpu" input_stream: "TENSORS:input" output_stream: "TENSORS:output" input_side_packet: "MODEL:model"
  options { [mediapipe.InferenceCalculatorOptions.ext] { delegate { xnnpack {} } } } }
node { calculator: "SplitTensorVectorCalculator" input_stream: "output" output_stream: "landmark_tensor" output_stream: "flag_tensor"
  output_stream: "mask_tensor" output_stream: "heatmap_tensor" output_stream: "world_tensor"
  options { [mediapipe.SplitVectorCalculatorOptions.ext] {
    ranges { begin: 0 end: 1 } ranges { begin: 1 end: 2 } ranges { begin: 2 end: 3 }
    ranges { begin: 3 end: 4 } ranges { begin: 4 end: 5 } } } }
node { calculator: "TensorsToFloatsCalculator" input_stream: "TENSORS:flag_tensor" output_stream: "FLOAT:presence" }
node { calculator: "TensorsToLandmarksCalculator" input_stream: "TENSORS:landmark_tensor" output_stream: "NORM_LANDMARKS:raw"
  options { [mediapipe.TensorsToLandmarksCalculatorOptions.ext] {
    num_landmarks: 39 input_image_width: 256 input_image_height: 256 visibility_activation: SIGMOID presence_activation: SIGMOID } } }
node { calculator: "RefineLandmarksFromHeatmapCalculator" input_stream: "NORM_LANDMARKS:raw" input_stream: "TENSORS:heatmap_tensor"
  output_stream: "NORM_LANDMARKS:refined" options { [mediapipe.RefineLandmarksFromHeatmapCalculatorOptions.ext] { kernel_size: 7 } } }
node { calculator: "SplitNormalizedLandmarkListCalculator" input_stream: "refined" output_stream: "body"
  options { [mediapipe.SplitVectorCalculatorOptions.ext] { ranges { begin: 0 end: 33 } } } }
node { calculator: "LandmarkLetterboxRemovalCalculator" input_stream: "LANDMARKS:body" input_stream: "LETTERBOX_PADDING:padding"
  output_stream: "LANDMARKS:unpadded" }
node { calculator: "LandmarkProjectionCalculator" input_stream: "NORM_LANDMARKS:unpadded" input_stream: "NORM_RECT:region"
  output_stream: "NORM_LANDMARKS:landmarks" }
node { calculator: "TensorsToLandmarksCalculator" input_stream: "TENSORS:world_tensor" output_stream: "LANDMARKS:world_raw"
  options { [mediapipe.TensorsToLandmarksCalculatorOptions.ext] { num_landmarks: 39 } } }
node { calculator: "WorldLandmarkProjectionCalculator" input_stream: "LANDMARKS:world_raw" input_stream: "NORM_RECT:region"
  output_stream: "LANDMARKS:world" }
node { calculator: "TensorsToSegmentationCalculator" input_stream: "TENSORS:mask_tensor" output_stream: "MASK:mask_region"
  options { [mediapipe.TensorsToSegmentationCalculatorOptions.ext] { gpu_origin: TOP_LEFT activation: SIGMOID } } }
node { calculator: "InverseMatrixCalculator" input_stream: "MATRIX:matrix" output_stream: "MATRIX:inverse" }
node { calculator: "WarpAffineCalculator" input_stream: "IMAGE:mask_region" input_stream: "MATRIX:inverse" input_stream: "OUTPUT_SIZE:size"
  output_stream: "IMAGE:mask" options { [mediapipe.WarpAffineCalculatorOptions.ext] { border_mode: BORDER_ZERO gpu_origin: TOP_LEFT } } }
"""


@kept
def _graph(model: PoseModel) -> Graph:
    mediapipe()
    from mediapipe.python import packet_creator

    blob = packet_creator.create_string(model_bytes(model))
    return Graph(_GRAPH, ("landmarks", "world", "mask", "presence"), {"model_blob": blob})


def run_pose(image: np.ndarray, person: Detection, model: PoseModel = "full") -> PoseRun:
    """The landmarks of one person of an image (h, w, 3) uint8 sRGB, upright in the circle that `person` gives."""
    height, width = image.shape[:2]
    found = _graph(model)(image=image_packet(image), region=_region(person, width, height))
    from mediapipe.python import packet_getter

    flat = packet_getter.get_proto(found["landmarks"]).landmark
    deep = packet_getter.get_proto(found["world"]).landmark[:33]
    mask = np.array(packet_getter.get_image(found["mask"]).numpy_view(), np.float32)
    return PoseRun(
        pixels=np.array([[p.x * width, p.y * height] for p in flat]),
        visibility=np.array([p.visibility for p in flat]),
        world=np.array([[p.x, p.y, p.z] for p in deep]) @ camera_from_vision.T,
        mask=mask.reshape(height, width),
        presence=float(packet_getter.get_float(found["presence"])),
    )


def _region(person: Detection, width: int, height: int) -> Any:
    from mediapipe.framework.formats import rect_pb2
    from mediapipe.python import packet_creator

    side = 2 * REGION_MARGIN * person.radius
    (u, v) = person.centre
    rect = rect_pb2.NormalizedRect(x_center=u / width, y_center=v / height, width=side / width, height=side / height, rotation=person.turn)
    return packet_creator.create_proto(rect)


def run_pose_augmented(
    image: np.ndarray,
    person: Detection,
    scales: Sequence[float],
    degrees: Sequence[float],
    size: int,
    models: Sequence[PoseModel] = ("full",),
) -> list[PoseRun]:
    """`run_pose` of every model over scales x in-plane rotations x {as is, mirrored}, mapped back to the given square image (n, n, 3).

    The detector looks at every variant anew, since its region is as uncertain as the landmarks are; where it finds nobody close to `person`
    (in the image's pixels), the region is that person's.
    """
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
                seen = _seen_again(small, _moved(person, to_small))
                runs += [_mapped_back(run_pose(small, seen, model), to_small, shifted, angle, flip, n) for model in models]
    return runs


def _moved(person: Detection, to_small: np.ndarray) -> Detection:
    """A detection in a turned, scaled and perhaps mirrored image."""
    linear = to_small[:, :2]
    upward = linear @ [np.sin(person.turn), -np.cos(person.turn)]
    size = float(np.linalg.norm(upward))
    centre = linear @ person.centre + to_small[:, 2]
    return Detection(centre, person.radius * size, person.head, person.score, float(np.arctan2(upward[0], -upward[1])))


def _seen_again(image: np.ndarray, expected: Detection) -> Detection:
    """The person that the detector finds where one is expected, else the expected one."""
    near = [p for p in detect_people(image) if np.linalg.norm(p.centre - expected.centre) < 0.5 * expected.radius]
    return min(near, key=lambda p: float(np.linalg.norm(p.centre - expected.centre)), default=expected)


def _mapped_back(run: PoseRun, to_small: np.ndarray, shifted: np.ndarray, angle: float, flip: bool, n: int) -> PoseRun:
    """A run on a variant of an image, in that image's own pixels and axes; left and right are exchanged if it was mirrored."""
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
    return PoseRun(pixels, visibility, world, mask, run.presence)
