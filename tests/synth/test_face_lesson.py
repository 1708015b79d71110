"""Portraits that reading faces is learned from: expressions, and the neutral faces behind them."""

from __future__ import annotations

import numpy as np
import pytest

from carve.body.anny import load_anny
from carve.body.head.face_points import face_points
from carve.geometry.similarity import procrustes
from carve.records import CarveError
from carve.synth import face_lesson
from carve.synth.assets.files import Assets
from carve.synth.face_lesson import draw_expression, portraits
from carve.synth.people.bodies import FullBody


def test_expressions_move_the_lower_face_by_centimetres_at_most() -> None:
    model, rng = load_anny(), np.random.default_rng(0)
    drawn = [draw_expression(model, rng) for _ in range(60)]
    moving = [each for each in drawn if each is not None]
    assert 10 < len(drawn) - len(moving) < 35
    far = np.array([np.linalg.norm(each, axis=1).max() for each in moving])
    assert 0.002 < np.median(far) < 0.03
    assert far.max() < 0.08
    height = model.template.numpy()[:, 1]
    below = height < height.min() + 0.75 * np.ptp(height)
    assert all(np.abs(each[below]).max() < 1e-3 for each in moving)


def test_portraits_show_faces_whose_neutral_shape_is_told(assets: Assets, full_body: FullBody, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    monkeypatch.setattr(face_lesson, "FEWEST", 1)
    seen, true = portraits(load_anny(), full_body, assets, face_points(), 3, 1, lambda done, total: told.append(done))
    assert told == [1, 2, 3]
    assert seen.shape == true.shape == (len(seen), 468, 3)
    np.testing.assert_allclose(np.linalg.norm(true[:, 33] - true[:, 263], axis=1), 0.09, atol=0.02)  # metres, outer corners of the eyes
    for points, face in zip(seen, true, strict=True):
        scale, rotation, shift = procrustes(points, face)
        assert np.linalg.norm(scale * points @ rotation.T + shift - face, axis=1).mean() < 0.012
    # How many there are to be changes none of them.
    fewer, same = portraits(load_anny(), full_body, assets, face_points(), 1, 1, lambda done, total: None)
    np.testing.assert_array_equal(fewer[0], seen[0])
    np.testing.assert_array_equal(same[0], true[0])


def test_no_faces_are_a_users_error(assets: Assets, full_body: FullBody, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(face_lesson, "find_face", lambda image, expected: None)
    with pytest.raises(CarveError, match="hardly any face"):
        portraits(load_anny(), full_body, assets, face_points(), 1, 1, lambda done, total: None)
