"""The photo's light, told from the shading of garments, skin and hair, and taken out of the photo.

Cloth, skin and hair have about one colour each, so what changes with the normal within one label is light. Its logarithm is taken for
linear in the second-order spherical harmonics of the normal (without the constant; Ramamoorthi & Hanrahan, "An efficient representation for
irradiance environment maps", SIGGRAPH 2001, have the light itself so), which makes labels' colours constants and the fit a linear one.

Notation: y a pixel's log of linear light (its mean over the channels, or a channel less that), l its label, n its normal, B(n) the
harmonics, a_l the log-colour of a label, w robust weights (Cauchy's, scale from the median residual):
    min over a, beta   sum w (y - a_l - B(n) beta)^2 + ridge |beta|^2,      shading s(n) = B(n) beta - median of B(n) beta
The median stays, so that a photo keeps its exposure. Towards the outline s grows where no pixel tells it: normals count as turned to the
camera by at least LEAST_FACING.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from carve.geometry.pictures.colour import encoded, linear

LEAST_FACING = 0.4
"""Least z of a normal that is asked for its light."""
_DARKEST = 0.003
"""Linear light below which a pixel tells nothing."""
_PIXELS = 40_000
"""That are fitted to."""
_LEAST = 500
_RIDGE, _RIDGE_OF_HUE = 0.005, 1.0
"""Of brightness and of hue, a pixel: light is rarely coloured."""
_ROUNDS = 6
_ROBUST = 1.5
"""Median residuals at which a pixel counts half."""
_MOST = 0.7
"""Largest |s|: beyond it the model is wrong, not the light."""
_TALL = 800
"""Pixels of the longer side at which shading is told and smoothed."""
_SOFT = 3.0
"""Width of that smoothing, pixels of that size."""


@dataclass(frozen=True)
class Light:
    """Log-shading as a function of the normal."""

    coefficients: np.ndarray
    """(8, 3) beta for each channel, camera frame; see `harmonics`."""
    offset: np.ndarray
    """(3,) what is taken away: the median."""

    def shading(self, normals: np.ndarray) -> np.ndarray:
        """(..., 3) s of unit normals (..., 3), natural logarithm."""
        found: np.ndarray = np.clip(harmonics(_facing(normals)) @ self.coefficients - self.offset, -_MOST, _MOST)
        return found

    @property
    def stored(self) -> np.ndarray:
        """(9, 3) coefficients and offset, as `TexturedSurface.light` holds them."""
        return np.concatenate([self.coefficients, self.offset[None]])

    @staticmethod
    def of(stored: np.ndarray) -> Light:
        """The reverse of `stored`."""
        return Light(stored[:-1], stored[-1])

    def as_json(self) -> dict[str, object]:
        """What report.json says of it."""
        return {
            "direction": [round(float(x), 3) for x in self.direction],
            "contrast": round(self.contrast, 2),
            "log_harmonics": [[round(float(x), 4) for x in row] for row in self.coefficients],
        }

    @property
    def direction(self) -> np.ndarray:
        """(3,) unit vector to where most light comes from, camera frame; zero if from everywhere alike."""
        mean = self.coefficients[:3].mean(1)
        length = float(np.linalg.norm(mean))
        return mean / length if length > 1e-6 else np.zeros(3)

    @property
    def contrast(self) -> float:
        """How many times brighter the brightest of the directions that a camera sees is than the darkest."""
        steps = np.linspace(-0.9, 0.9, 19)
        x, y = np.meshgrid(steps, steps)
        there = x**2 + y**2 < 1 - LEAST_FACING**2
        normals = np.stack([x, y, np.sqrt(np.maximum(1 - x**2 - y**2, 0))], -1)[there]
        seen = self.shading(normals).mean(1)
        return float(np.exp(np.ptp(seen)))


def harmonics(normals: np.ndarray) -> np.ndarray:
    """(..., 8) real spherical harmonics of first and second order, without their factors, of unit normals (..., 3)."""
    x, y, z = np.moveaxis(normals, -1, 0)
    return np.stack([x, y, z, x * y, y * z, x * z, x * x - y * y, 3 * z * z - 1], -1)


def find_light(picture: np.ndarray, normals: np.ndarray, labels: np.ndarray, inside: np.ndarray) -> Light | None:
    """The light of a photo, or None if too little of it is seen.

    Args:
        picture: (H, W, 3) linear light 0..1.
        normals: (H, W, 3) unit normals, camera frame.
        labels: (H, W) integers; what has one label has about one colour.
        inside: (H, W) bool: pixels that show the person for sure.
    """
    chosen = np.flatnonzero(inside)
    if len(chosen) < _LEAST:
        return None
    chosen = chosen[:: max(1, len(chosen) // _PIXELS)]
    light = np.log(np.maximum(picture.reshape(-1, 3)[chosen], _DARKEST)).astype(float)
    basis = harmonics(_facing(normals.reshape(-1, 3)[chosen].astype(float)))
    group = np.unique(labels.ravel()[chosen], return_inverse=True)[1]
    mean = light.mean(1)
    brightness = _fit(basis, mean, group, _RIDGE)
    hue = [_fit(basis, light[:, c] - mean, group, _RIDGE_OF_HUE) for c in range(3)]
    coefficients = brightness[:, None] + np.stack(hue, 1)
    return Light(coefficients, np.median(basis @ coefficients, axis=0))


def fit_light(shading: np.ndarray, normals: np.ndarray, inside: np.ndarray) -> Light:
    """The light whose shading is nearest to log-shading (H, W, 3) that is known, where the picture is `inside` (H, W); some pixel is."""
    basis = harmonics(_facing(normals[inside].astype(float)))
    group = np.zeros(len(basis), np.int64)
    coefficients = np.stack([_fit(basis, shading[inside][:, c].astype(float), group, _RIDGE) for c in range(3)], 1)
    return Light(coefficients, np.median(basis @ coefficients, axis=0))


def _fit(basis: np.ndarray, values: np.ndarray, group: np.ndarray, ridge: float) -> np.ndarray:
    """(K,) beta for values (N,) over harmonics (N, K), a constant for each group (N,)."""
    count = int(group.max()) + 1
    weight, beta = np.ones(len(values)), np.zeros(basis.shape[1])
    both = np.column_stack([basis, values])
    for _ in range(_ROUNDS):
        sums = np.stack([np.bincount(group, weight * column, count) for column in both.T], 1)
        centred = both - (sums / np.maximum(np.bincount(group, weight, count), 1e-9)[:, None])[group]
        left = centred[:, :-1] * weight[:, None]
        beta = np.linalg.solve(left.T @ centred[:, :-1] + ridge * len(values) * np.eye(len(beta)), left.T @ centred[:, -1])
        residual = centred[:, -1] - centred[:, :-1] @ beta
        scale = _ROBUST * (1.4826 * float(np.median(np.abs(residual))) + 1e-3)
        weight = 1 / (1 + (residual / scale) ** 2)
    return beta


def _facing(normals: np.ndarray) -> np.ndarray:
    """Unit normals (..., 3), turned to the camera by at least LEAST_FACING."""
    turned = np.concatenate([normals[..., :2], np.maximum(normals[..., 2:], LEAST_FACING)], -1)
    unit: np.ndarray = turned / np.linalg.norm(turned, axis=-1, keepdims=True)
    return unit


def delighted(picture: np.ndarray, normals: np.ndarray, labels: np.ndarray, inside: np.ndarray) -> tuple[np.ndarray, Light | None]:
    """A picture (H, W, 3) float32 sRGB 0..255 without its light, and that light; the picture as it is where too little of it is seen.

    Args:
        picture: the photo.
        normals: (H, W, 3) unit normals, camera frame, zero outside.
        labels: (H, W) uint8; what has one label has about one colour.
        inside: (H, W) bool: pixels that show the person for sure.
    """
    height, width = labels.shape
    scale = min(1.0, _TALL / max(height, width))
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    small = linear(cv2.resize(picture, size, interpolation=cv2.INTER_AREA) / 255)
    facing = cv2.resize(normals.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    length = np.linalg.norm(facing, axis=-1)
    shown = length > 0.5
    facing /= np.maximum(length, 1e-6)[..., None]
    sure = (cv2.resize(inside.astype(np.float32), size, interpolation=cv2.INTER_AREA) > 0.99) & shown
    light = find_light(small, facing, cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST), sure)
    if light is None:
        return picture, None
    shading = np.where(shown[..., None], light.shading(facing), 0).astype(np.float32)
    weight = cv2.GaussianBlur(shown.astype(np.float32), (0, 0), _SOFT)
    smooth = cv2.GaussianBlur(shading, (0, 0), _SOFT) / np.maximum(weight, 0.05)[..., None]
    factor = np.exp(-cv2.resize(smooth, (width, height), interpolation=cv2.INTER_LINEAR))
    return (255 * encoded(np.clip(linear(picture / 255) * factor, 0, 1))).astype(np.float32), light
