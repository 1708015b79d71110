"""Beards: closed, rooted in the skin, clear of eyes and lips, and the generator's alone."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from carve.geometry.mesh import is_watertight, signed_volume
from carve.geometry.queries import MeshQueries
from carve.synth.hair.beards import BeardStyle, beard_pattern
from carve.synth.people.bodies import ShapedBody, Traits, load_full_body, shape_body
from carve.synth.wear.garments import fit

PHENOTYPES = {"gender": 0.0, "age": 0.7, "muscle": 0.5, "weight": 0.5, "height": 0.45, "proportions": 0.6, "cupsize": 0.5, "firmness": 0.5}


@lru_cache(maxsize=1)
def man() -> ShapedBody:
    return shape_body(load_full_body(), Traits(30, PHENOTYPES, (1 / 3, 1 / 3, 1 / 3), {}, {}))


@pytest.mark.parametrize("style", ["stubble", "short", "full", "moustache", "goatee"])
def test_a_beard_is_a_closed_shell_rooted_in_the_skin_that_leaves_lips_and_eyes_free(style: BeardStyle) -> None:
    body, shaped = load_full_body(), man()
    pattern = beard_pattern(body, shaped, style, np.random.default_rng(1))
    where = fit(pattern, shaped)
    assert pattern.closed
    assert is_watertight(pattern.faces)
    assert signed_volume(where, pattern.faces) > 0
    np.testing.assert_allclose(np.asarray(pattern.joints.sum(1)).ravel(), 1, atol=1e-9)
    np.testing.assert_allclose(np.asarray(pattern.binding.sum(1)).ravel(), 1, atol=1e-9)
    skin = shaped.rest[body.base]
    outward = MeshQueries(skin, body.faces, winding=True).signed_distance(where)
    assert (outward < 0).mean() > 0.4
    assert outward.max() > {"stubble": 0.0008, "short": 0.003, "full": 0.012, "moustache": 0.002, "goatee": 0.003}[style]
    # Lips: on the middle line, where the mouth rolls and closes most.
    queries = MeshQueries(where, pattern.faces)
    shapes = {
        n: np.linalg.norm(body.shapes[len(body.mask) + body.face_names.index(n)].numpy()[body.base], axis=1) for n in ("mouthFunnel",)
    }
    mouth = skin[shapes["mouthFunnel"].argmax()]
    line = mouth + np.array([[x, y, 0.0] for x in (-0.012, 0.0, 0.012) for y in (-0.006, 0.0, 0.005)])
    ahead = np.tile([0.0, 0.0, 1.0], (len(line), 1))
    assert not queries.blocked(line - [0, 0, 0.01], ahead).any()
    assert not queries.blocked(shaped.rest_heads[[body.names.index("eye.L"), body.names.index("eye.R")]], ahead[:2]).any()


def test_beards_are_drawn_from_the_generator_alone() -> None:
    body, shaped = load_full_body(), man()
    first, again, other = (beard_pattern(body, shaped, "short", np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.offsets, again.offsets)
    assert np.abs(first.offsets - other.offsets).max() > 0
