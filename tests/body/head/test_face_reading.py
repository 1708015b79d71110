"""Reading a face's shape out of the detector's points: learned maps that are known, and what ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from carve.body.head import face_reading as module
from carve.body.head.face_points import face_points
from carve.body.head.face_reading import FaceReading, face_reading, learn_reading, write_face_reading
from carve.geometry.rotations import axis_rotation
from carve.geometry.similarity import procrustes


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


def apart(found: np.ndarray, true: np.ndarray) -> float:
    """Mean distance after the best similarity, as a share of the face's size."""
    scale, rotation, shift = procrustes(found, true)
    size = np.linalg.norm(true - true.mean(0), axis=1).mean()
    return float(np.linalg.norm(scale * found @ rotation.T + shift - true, axis=1).mean() / size)


def test_traits_are_read_out_of_a_trace_of_them(lesson: tuple[np.ndarray, np.ndarray]) -> None:
    seen, true = lesson
    reading = learn_reading(seen[:100], true[:100], ridge=1e-3)
    read, mean = (
        np.mean([apart(f, t) for f, t in zip(found, true[100:], strict=True)])
        for found in ([reading(s) for s in seen[100:]], [reading.true] * 20)
    )
    assert read < 0.25 * mean


def test_a_face_that_is_larger_and_turned_is_read_alike(lesson: tuple[np.ndarray, np.ndarray]) -> None:
    seen, true = lesson
    reading = learn_reading(seen, true)
    moved = 3.0 * seen[7] @ axis_rotation(1, 0.4).T + [5.0, 6.0, 7.0]
    np.testing.assert_allclose(reading(moved), reading(seen[7]), atol=1e-6 * np.ptp(true[0]))


def test_few_directions_and_single_precision_are_enough(
    lesson: tuple[np.ndarray, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, true = lesson
    whole, small = learn_reading(seen, true, rank=40), learn_reading(seen, true, rank=8)
    assert small.into.shape == small.out.shape == (1404, 8)
    scale = np.ptp(true[0])
    assert np.abs(whole(seen[3]) - small(seen[3])).max() < 0.01 * scale
    write_face_reading(tmp_path / "reading.safetensors", whole)
    monkeypatch.setattr(module, "PATH", tmp_path / "reading.safetensors")
    face_reading.cache_clear()
    np.testing.assert_allclose(face_reading()(seen[3]), whole(seen[3]), atol=1e-4 * scale)
    face_reading.cache_clear()


def test_what_ships_reads_a_face_of_usual_size() -> None:
    reading = face_reading()
    assert isinstance(reading, FaceReading)
    face = reading(500 * reading.seen)
    assert 0.07 < np.linalg.norm(face[33] - face[263]) < 0.11  # outer corners of the eyes, metres
    assert face[1, 2] > face[33, 2] + 0.02 and face[152, 1] < face[1, 1] < face[10, 1]  # nose in front, chin below
    assert len(face_points().bary) == len(reading.seen) == 468
