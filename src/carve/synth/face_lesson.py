"""Portraits of heads of known shape and expression, and what mediapipe says of them: what the reading of faces is learned from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from carve.body.anny import AnnyBody
from carve.body.head.face_points import FacePoints
from carve.networks.detectors.face import find_face
from carve.records import CarveError
from carve.synth.assets.files import Assets
from carve.synth.people.bodies import FullBody, sample_traits, shape_body
from carve.synth.portrait import draw_portrait, expected_face, paint_head

FEWEST = 50
"""Portraits with a face that something can be learned from."""
_YAW, _PITCH = 0.4, 0.14
"""Spread of the sides that heads are seen from, radians."""
_NEUTRAL = 0.35
"""Share of the faces at rest."""


def draw_expression(model: AnnyBody, rng: np.random.Generator) -> np.ndarray | None:
    """(V, 3) metres on the mean body: some facial actions of mouth, jaw, cheeks and brows, most of them on both sides; None at rest."""
    if rng.random() < _NEUTRAL:
        return None
    names = [n for n in model.face_names if n.startswith(("mouth", "jaw", "brow", "nose", "cheekSquint")) and not n.endswith("Right")]
    shapes, total = model.face_shapes.double().numpy(), np.zeros((len(model.template), 3))
    for name in rng.choice(names, rng.integers(1, 5), replace=False):
        strength = rng.uniform(0, 0.8)
        total += strength * shapes[model.face_names.index(name)]
        other = name.replace("Left", "Right")
        if other != name and not name.startswith(("mouthLeft", "jawLeft")):
            total += strength * rng.uniform(0.7, 1.0) * shapes[model.face_names.index(other)]
    return total


def portraits(
    model: AnnyBody, body: FullBody, assets: Assets, places: FacePoints, people: int, seed: int, progress: Callable[[int, int], None]
) -> tuple[np.ndarray, np.ndarray]:
    """The detector's points (N, 468, 3), in pixels with +Y up, and where they lie on the neutral faces (N, 468, 3), canonical pose,
    metres, of adults. A portrait does not depend on how many there are.

    `places` says where on the skin the points lie.

    Raises CarveError if hardly any face is found.
    """
    seen, true = [], []
    for person in range(people):
        rng = np.random.default_rng([seed, 7, person])
        traits = sample_traits(body, rng)
        while not traits.adult:
            traits = sample_traits(body, rng)
        neutral = replace(traits, face={})
        head = paint_head(body, assets, neutral, rng, draw_expression(model, rng))
        portrait = draw_portrait(body, head, float(rng.normal(0, _YAW)), float(rng.normal(0, _PITCH)), rng)
        found = find_face(portrait.image, expected_face(body, head, portrait))
        progress(person + 1, people)
        if found is not None:
            seen.append(found.points[:468])
            true.append(places.on(shape_body(body, neutral).canonical))
    if len(seen) < FEWEST:
        raise CarveError("mediapipe found hardly any face in the portraits; check the assets' skins.")
    return np.array(seen), np.array(true)
