"""Reading a face's shape out of the detector's points: learned maps that are known, and what ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from carve.body.head import face_reading as module
from carve.body.head.face_points import face_points
from carve.body.head.face_reading import FaceReading, face_reading, learn_reading, write_face_reading
from carve.geometry.rotations import axis_rotation


def turned(points: np.ndarray, rng: np.random.Generator) -> tuple[float, np.ndarray, np.ndarray]:
    return float(rng.uniform(300, 900)), axis_rotation(1, rng.normal(0, 0.3)) @ axis_rotation(0, rng.normal(0, 0.1)), rng.normal(0, 200, 3)


@pytest.fixture(scope="module")
def lesson() -> tuple[np.ndarray, np.ndarray]:
    """Faces whose detector sees a different, linear trace of the same five traits, each in a frame of its own."""
    rng = np.random.default_rng(0)
    middle = rng.normal(0, 0.06, (468, 3))
    real, trace = rng.normal(0, 0.003, (2, 5, 468, 3))
    seen, true = [], []
    for _ in range(120):
        traits = rng.normal(size=5)
        scale, rotation, shift = turned(middle, rng)
        for into, basis in ((seen, trace), (true, real)):
            into.append(scale * (middle + np.tensordot(traits, basis, 1)) @ rotation.T + shift)
    return np.array(seen), np.array(true)


def test_traits_are_read_out_of_a_trace_of_them(lesson: tuple[np.ndarray, np.ndarray]) -> None:
    seen, true = lesson
    reading = learn_reading(seen[:100], true[:100], ridge=1e-3)
    size = np.array([np.linalg.norm(each - each.mean(0), axis=1).mean() for each in true[100:]])
    error = lambda found: np.mean([np.linalg.norm(f - t, axis=1).mean() for f, t in zip(found, true[100:], strict=True)] / size)  # noqa: E731
    read = error([reading(each) for each in seen[100:]])
    assert read < 0.25 * error(seen[100:])


def test_a_face_that_is_larger_and_turned_is_read_alike(lesson: tuple[np.ndarray, np.ndarray]) -> None:
    seen, true = lesson
    reading = learn_reading(seen, true)
    rotation = axis_rotation(1, 0.4)
    moved = 3.0 * seen[7] @ rotation.T + [5.0, 6.0, 7.0]
    np.testing.assert_allclose(reading(moved), 3.0 * reading(seen[7]) @ rotation.T + [5.0, 6.0, 7.0], atol=1e-6)


def test_few_directions_and_single_precision_are_enough(
    lesson: tuple[np.ndarray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, true = lesson
    whole, small = learn_reading(seen, true, rank=40), learn_reading(seen, true, rank=8)
    assert small.into.shape == small.out.shape == (1404, 8)
    scale = np.ptp(seen[3])
    assert np.abs(whole(seen[3]) - small(seen[3])).max() < 0.01 * scale
    write_face_reading(tmp_path / "reading.safetensors", whole)
    monkeypatch.setattr(module, "PATH", tmp_path / "reading.safetensors")
    face_reading.cache_clear()
    np.testing.assert_allclose(face_reading()(seen[3]), whole(seen[3]), atol=1e-4 * scale)
    face_reading.cache_clear()


def test_what_ships_moves_the_detectors_mean_face_by_millimetres() -> None:
    reading = face_reading()
    assert isinstance(reading, FaceReading)
    width = np.linalg.norm(reading.seen[33] - reading.seen[263])
    moved = np.linalg.norm(reading(reading.seen) - reading.seen, axis=1) / width * 90  # eye corners are about 90 mm apart
    assert 0.3 < np.median(moved) < 6.0
    assert len(face_points().bary) == len(reading.seen) == 468
