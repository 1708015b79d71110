"""Faces: mediapipe's face mesh on the photo against the mesh under it, and against mediapipe on the textured avatar, by the photo's camera.

A texture that is the photo looks like the photo on any mesh, so the mesh is measured itself: the places of the face mesh's points on the
body (`body.head.face_points`), carried over to the surface before it was refined and from there with its vertices into the photo.

    python benchmarks/face.py OUTS --shared ../shared

OUTS holds one output folder a photo or evaluation case, named after it.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from carve.body.head.face_points import face_points
from carve.geometry.camera import Camera
from carve.geometry.pictures.shading import Look, render_mesh
from carve.gltf.reader import read_glb
from carve.io.archive import load_record
from carve.io.image import read_photo
from carve.io.landmark_file import read_landmarks
from carve.networks.detectors.face import LEFT_EYE, MOUTH, NOSE, RIGHT_EYE, Expected, faces_in, find_face
from carve.records import BodyFit, CanonicalSurface, PosedSurface

PARTS = {"eyes": [*LEFT_EYE, *RIGHT_EYE, 159, 145, 386, 374], "nose": [NOSE, 2, 98, 327], "mouth": [*MOUTH]}
"""Points of the face mesh: corners and lids, tip and wings, corners."""
TALL = 420
"""Pixels of the head in the pictures that are drawn."""


@dataclass(frozen=True)
class Measured:
    """One output folder."""

    name: str
    photo: bool
    """A face was found in the photo."""
    drawn: bool
    """And in the avatar as the photo's camera sees it."""
    front: int
    """Faces found in the avatar from the front."""
    mesh: dict[str, float]
    """Millimetres between the points of the mesh and the photo's, by part, if the photo has a face."""
    picture: dict[str, float]
    """Millimetres between mediapipe's points in the avatar's picture and in the photo, by part, if both were found."""
    confidence: float
    """Of the head's joint."""
    warned: bool
    """report.json has a warning about the face."""


def expected_face(landmarks: Path) -> Expected:
    """Where the body's landmarks have the face."""
    marks = read_landmarks(landmarks)
    at = {name: marks.pixels[k] for k, name in enumerate(marks.names)}
    head = np.array([at[name] for name in list(at)[:11]])
    shoulders = float(np.linalg.norm(at["left_shoulder"] - at["right_shoulder"]))
    size = max(1.7 * float(np.ptp(head, axis=0).max()), 0.45 * shoulders)
    return Expected(at["right_eye"], at["left_eye"], at["nose"], (at["mouth_left"] + at["mouth_right"]) / 2, size)


def measure(out: Path, photo: Path) -> Measured:
    """Measure one output folder."""
    picture = read_photo(photo).pixels
    expected = expected_face(out / "stages" / "landmarks.json")
    found = find_face(picture, expected)
    document = json.loads((out / "camera.json").read_text())
    pose = json.loads((out / "pose.json").read_text())
    report = json.loads((out / "report.json").read_text())
    camera = Camera(document["width"], document["height"], document["focal"], *document["principal_point"])
    posed = read_glb(out / "posed.glb")
    scale = TALL / expected.size
    low = expected.middle - 1.2 * expected.size
    side = round(2.4 * TALL)
    window = camera.cropped(low[0], low[1], side, side, scale)
    look = Look(uv=posed.uv, texture=posed.texture, normals=posed.normals, ambient=1.0)
    drawn = render_mesh(posed.vertices.astype(float), posed.faces, window, look)
    move = lambda place: (place - low) * scale  # noqa: E731
    there = Expected(move(expected.right_eye), move(expected.left_eye), move(expected.nose), move(expected.mouth), TALL)
    again = find_face(drawn, there)
    pixel = -1000 * pose["joints"]["head"][2] / camera.focal
    by_part = lambda away: {part: float(pixel * away[points].mean()) for part, points in PARTS.items()}  # noqa: E731
    mesh, picture_ = {}, {}
    if found is not None:
        mesh = by_part(np.linalg.norm(camera.project(_on_surface(out)) - found.pixels[:468], axis=1))
    if found is not None and again is not None:
        picture_ = by_part(np.linalg.norm(again.pixels / scale + low - found.pixels, axis=1))
    warned = any("face" in warning for warning in report["warnings"])
    confidence = report["confidence"]["joints"]["head"]
    return Measured(out.name, found is not None, again is not None, _from_the_front(out), mesh, picture_, confidence, warned)


def _on_surface(out: Path) -> np.ndarray:
    """(468, 3) the face mesh's points on the posed surface, camera frame."""
    stages = out / "stages"
    fitted = stages / ("fit_face.npz" if (stages / "fit_face.npz").exists() else "refit_body.npz")
    body = load_record(fitted, BodyFit, {})
    before, posed = load_record(stages / "canonical.npz", CanonicalSurface, {}), load_record(stages / "refine.npz", PosedSurface, {})
    distance, near = cKDTree(before.vertices).query(face_points().on(body.canonical), k=3)
    share = 1 / (distance**2 + 1e-8)
    return np.einsum("nk,nkc->nc", share / share.sum(1, keepdims=True), posed.vertices[near])


def _from_the_front(out: Path) -> int:
    """Faces that are found in avatar.glb, before the camera."""
    avatar = read_glb(out / "avatar.glb")
    assert avatar.skeleton is not None
    names = list(avatar.skeleton.names)
    target = avatar.skeleton.heads[names.index("head")] + [0.0, 0.07, 0.0]
    camera = Camera.centred(512, 512, 512 * 2.0 / 0.5)
    look = Look(uv=avatar.uv, texture=avatar.texture, normals=avatar.normals, ambient=0.85)
    return len(faces_in(render_mesh(avatar.vertices - target - [0.0, 0.0, 2.0], avatar.faces, camera, look)))


def photo_of(shared: Path, name: str) -> Path:
    """The picture that a folder was made from."""
    cases = [shared / "bench" / kind / name / "photo.png" for kind in ("dev", "dev_moving", "dev_draped")]
    return next(path for path in (*cases, shared / "photos" / f"{name}.jpg") if path.exists())


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("outs", type=Path)
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[1] / "shared")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    folders = [
        path.parent for path in sorted(arguments.outs.glob("*/posed.glb")) if not arguments.only or path.parent.name in arguments.only
    ]
    rows = []
    for out in folders:
        row = measure(out, photo_of(arguments.shared, out.name))
        parts = " ".join(f"{part} {value:4.1f} ({row.picture.get(part, float('nan')):4.1f})" for part, value in row.mesh.items())
        print(f"{row.name:24} photo {row.photo!s:5} drawn {row.drawn!s:5} front {row.front} head {row.confidence:.2f} {parts}", flush=True)
        rows.append(row)
    for what in ("mesh", "picture"):
        for part in PARTS:
            values = [getattr(row, what)[part] for row in rows if getattr(row, what)]
            if values:
                print(f"{what}, {part}: median {np.median(values):.2f} mm, worst {max(values):.2f} mm of {len(values)}")
    seen = [row for row in rows if row.photo]
    front = sum(row.front == 1 for row in seen)
    print(f"found in {len(seen)} of {len(rows)} photos; of these drawn {sum(row.drawn for row in seen)}, one from the front {front}")
    lost = [row for row in rows if not row.photo]
    warned, doubted = sum(row.warned for row in lost), sum(row.confidence < 0.5 for row in lost)
    print(f"not found: {len(lost)}, with a warning {warned}, head's confidence below .5 {doubted}")
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
