"""Whose face it is: heads of known shape, photographed, fitted; the error of their face's shape over that of the mean face.

python benchmarks/identity.py --assets ../shared/assets --people 12
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from carve.body.anny import AnnyBody, load_anny
from carve.body.head.face_points import face_points
from carve.body.model import CanonicalBody, canonical_body
from carve.geometry.camera import Camera
from carve.geometry.similarity import procrustes
from carve.networks.detectors.face import find_face
from carve.records import BodyFit, Landmarks, Observation, Photo, Pose
from carve.stages.fit_face import Params, fit_face
from carve.synth.assets.files import read_assets
from carve.synth.people.bodies import FullBody, load_full_body, sample_traits
from carve.synth.portrait import Painted, Portrait, draw_portrait, expected_face, paint_head

SUBSET = [
    *(162, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 389),
    *(71, 63, 105, 66, 107, 336, 296, 334, 293, 301, 168, 197, 5, 4, 75, 97, 2, 326, 305),
    *(33, 160, 158, 133, 153, 144, 362, 385, 387, 263, 373, 380),
    *(61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181, 78, 82, 13, 312, 308, 317, 14, 87),
]
"""The usual 68 points among the face mesh's 468: jaw, brows, nose, eyes, mouth."""


def mean_body(model: AnnyBody, mean: CanonicalBody, body: FullBody, head: Painted, portrait: Portrait) -> BodyFit:
    """The mean body where the portrait's head is."""
    eyes = [model.names.index(model.humanoid[name]) for name in ("leftEye", "rightEye")]
    offset = head.shaped.heads[eyes].mean(0) - mean.skeleton.heads[eyes].mean(0)
    rotations = np.tile(np.eye(3), (len(model.names), 1, 1))
    rotations[0] = portrait.rotation
    root = portrait.rotation @ (mean.skeleton.heads[0] + offset) + portrait.translation
    posed = (mean.vertices + offset) @ portrait.rotation.T + portrait.translation
    return BodyFit(
        model="anny",
        shape=dict(zip(model.shape_names, model.prior.mean.tolist(), strict=True)),
        camera=portrait.camera,
        up=portrait.rotation[:, 1],
        skeleton=mean.skeleton,
        pose=Pose(rotations, root),
        canonical=mean.vertices,
        posed=posed,
        faces=model.faces,
        bones=model.bones,
        weights=model.weights,
        region=model.region,
        joint_confidence=np.ones(len(model.names)),
        height=1.7,
        height_source="prior",
        residuals={},
        notes=(),
    )


def observed(portrait: Portrait, pixels: np.ndarray, points: np.ndarray, spread: float, per_metre: float) -> Observation:
    """A record that holds nothing but the face mesh."""
    count = 468
    marks = Landmarks(
        tuple(f"face_{k}" for k in range(count)), pixels[:count], np.ones(count), points[:count] / per_metre, np.full((count, 3), spread)
    )
    size = portrait.image.shape[0]
    mask = np.ones((size, size), np.float32)
    return Observation(
        Photo(portrait.image, None, None, "portrait"), 0, (), mask, "file", marks, Camera.centred(size, size, 1.0), "argument", 1.0, ()
    )


def distance(shape: np.ndarray, true: np.ndarray) -> float:
    """Mean distance in millimetres of points (N, 3) after the best similarity."""
    scale, rotation, shift = procrustes(shape, true)
    return 1000 * float(np.linalg.norm(scale * shape @ rotation.T + shift - true, axis=1).mean())


def main() -> None:
    """Draw, fit, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--people", type=int, default=12)
    parser.add_argument("--seed", type=int, default=5)
    arguments = parser.parse_args()
    model, body, assets = load_anny(), load_full_body(), read_assets(arguments.assets)
    mean = canonical_body(model, model.prior.mean)
    rng = np.random.default_rng(arguments.seed)
    ratios = []
    for person in range(arguments.people):
        traits = sample_traits(body, rng)
        while not traits.adult:
            traits = sample_traits(body, rng)
        head = paint_head(body, assets, replace(traits, face={}), rng)
        portrait = draw_portrait(body, head, float(rng.normal(0, 0.35)), float(rng.normal(0, 0.1)), rng)
        found = find_face(portrait.image, expected_face(body, head, portrait))
        if found is None:
            print(f"{person}: no face")
            continue
        start = mean_body(model, mean, body, head, portrait)
        per_metre = portrait.camera.focal / 1.4
        fitted = fit_face(observed(portrait, found.pixels, found.points, found.spread, per_metre), start, model, Params())
        true, own, usual = (face_points().on(v)[SUBSET] for v in (head.shaped.canonical, fitted.canonical, mean.vertices))
        before, after = distance(usual, true), distance(own, true)
        ratios.append(after / before)
        print(f"{person}: mean face {before:.2f} mm, fitted {after:.2f} mm", flush=True)
    print(f"median ratio {np.median(ratios):.2f}, worst {max(ratios):.2f} of {len(ratios)}")


if __name__ == "__main__":
    main()
