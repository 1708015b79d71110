"""Windows of a photo: coordinates in closed form, cutting and pasting as inverses, borders."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from carve.geometry.pictures.window import Window

WINDOWS = {
    "the photo's own pixels": Window(10, 20, 40, 40),
    "enlarged": Window(12.3, 7.8, 33.0, 64),
    "shrunk": Window(4.5, 3.25, 70.0, 32),
    "half as large": Window(6, 2, 64, 32),
}
WIDTH, HEIGHT = 90, 80


def coordinates(width: int, height: int) -> np.ndarray:
    """(H, W, 2) u and v of each pixel's centre."""
    return np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1) + 0.5


def margin(window: Window) -> int:
    """Pixels of the window that a blur before shrinking may change at the photo's border."""
    return 0 if window.scale >= 0.75 else 4


@pytest.mark.parametrize("name", WINDOWS)
def test_a_cut_picture_of_coordinates_holds_the_photo_s_coordinates(name: str) -> None:
    window = WINDOWS[name]
    cut = window.cut(coordinates(WIDTH, HEIGHT).astype(np.float32))
    assert cut.shape == (window.size, window.size, 2)
    inner = slice(margin(window), window.size - margin(window))
    np.testing.assert_allclose(cut[inner, inner], window.to_photo(coordinates(window.size, window.size))[inner, inner], atol=0.05)


@pytest.mark.parametrize("name", WINDOWS)
def test_a_pasted_picture_of_coordinates_holds_the_window_s_coordinates(name: str) -> None:
    window = WINDOWS[name]
    pasted = window.paste(coordinates(window.size, window.size).astype(np.float32), WIDTH, HEIGHT)
    assert pasted.shape == (HEIGHT, WIDTH, 2)
    expected = (coordinates(WIDTH, HEIGHT) - [window.left, window.top]) * window.scale
    inside = ((expected >= 0.5) & (expected <= window.size - 0.5)).all(-1)
    assert inside.sum() > 0.8 * window.side**2
    np.testing.assert_allclose(pasted[inside], expected[inside], atol=0.05 * max(1, window.scale))
    outside = ((expected < -0.5) | (expected > window.size + 0.5)).any(-1)
    assert outside.any()
    assert not pasted[outside].any()


@pytest.mark.parametrize("name", WINDOWS)
def test_pasting_undoes_cutting(name: str) -> None:
    window = WINDOWS[name]
    u, v = np.moveaxis(coordinates(WIDTH, HEIGHT), -1, 0)
    photo = (np.sin(u / 9) + np.cos(v / 8 + u / 15)).astype(np.float32)
    pasted = window.paste(window.cut(photo), WIDTH, HEIGHT)
    there = window.paste(np.ones((window.size, window.size), np.float32), WIDTH, HEIGHT) == 1
    near = slice(6, -6)
    assert there[near, near].sum() > 500
    assert np.abs(pasted - photo)[near, near][there[near, near]].max() < 0.04


def test_to_photo_maps_corners_to_corners() -> None:
    window = Window(-3.0, 5.0, 20.0, 64)
    np.testing.assert_allclose(window.to_photo(np.array([[0.0, 0.0], [64.0, 64.0], [32.0, 0.0]])), [[-3, 5], [17, 25], [7, 5]])
    assert window.scale == pytest.approx(3.2)


def test_beyond_the_picture_its_border_goes_on() -> None:
    photo = np.arange(12, dtype=np.float32).reshape(3, 4)
    cut = Window(-2, -2, 8, 8).cut(photo)
    np.testing.assert_allclose(cut, np.pad(photo, ((2, 3), (2, 2)), mode="edge"))


@pytest.mark.parametrize("window", [Window(-7.3, 50.1, 41.0, 32), Window(-5, -5, 120, 48), Window(10, 10, 20, 16), Window(200, 10, 20, 16)])
def test_within_are_the_pixels_whose_centres_lie_in_the_photo(window: Window) -> None:
    at = window.to_photo(coordinates(window.size, window.size))
    expected = (at[..., 0] >= 0) & (at[..., 0] < WIDTH) & (at[..., 1] >= 0) & (at[..., 1] < HEIGHT)
    np.testing.assert_array_equal(window.within(WIDTH, HEIGHT), expected)


def test_whole_numbers_stay_what_they_are() -> None:
    """A photo's bytes, at the photo's own pixels."""
    photo = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    cut = Window(10, 20, 40, 40).cut(photo)
    assert cut.dtype == np.uint8
    np.testing.assert_array_equal(cut, photo[20:60, 10:50])


@pytest.mark.parametrize("window", [Window(40, 30, 60, 24), Window(-30, 150, 90, 30), Window(150, -200, 500, 64), Window(400, 300, 50, 20)])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_only_what_is_asked_for_is_blurred_and_nothing_changes(window: Window, kind: type) -> None:
    photo: np.ndarray = (255 * np.random.default_rng(0).random((240, 320, 3))).astype(kind)
    s = window.scale
    blurred = cv2.GaussianBlur(photo, (0, 0), 0.4 / s)
    matrix = np.array([[s, 0, 0.5 * s - 0.5 - s * window.left], [0, s, 0.5 * s - 0.5 - s * window.top]])
    whole = cv2.warpAffine(blurred, matrix, (window.size, window.size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    np.testing.assert_allclose(window.cut(photo), whole, atol=1e-3 if kind is np.float32 else 0)
