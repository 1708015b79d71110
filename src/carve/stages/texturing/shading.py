"""The photo's light and shadows, told by the shading network, and taken out of the photo.

What the harmonics of `light` cannot tell, shadows that one part throws on another and the dark in folds, the network sees. Its answer is
smooth at a hundredth of the person's height, so the photo keeps its sharpness; its median is taken away, so it keeps its exposure. On
skin it is smoothed once more: taken out at the scale of noses and lips, shading leaves their outlines, and faces look carved. What
report.json says of the light is the second-order harmonics that fit that answer best.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch

from carve.geometry.pictures.colour import encoded, linear
from carve.geometry.pictures.window import Window
from carve.networks.shading import ShadingNet
from carve.stages.texturing.light import Light, fit_light

_FILL = 0.86
"""Share of the network's picture that the person's longer side takes."""
_SIZE = 384
"""Side of that picture, pixels."""
_MOST = 1.2
"""Largest log-shading that is taken out: beyond it black would be made colour."""
_SKIN = 1.7
"""Standard deviation of that smoothing, pixels of the network's picture: about a centimetre."""
_LEAST = 500
"""Pixels of the network's picture that must show the person."""


def unshaded(
    picture: np.ndarray,
    normals: np.ndarray,
    inside: np.ndarray,
    network: ShadingNet,
    mirror: bool = True,
    skin: np.ndarray | None = None,
) -> tuple[np.ndarray, Light | None]:
    """A picture (H, W, 3) float32 sRGB 0..255 without its shading, and the light; the picture as it is where too little of it is seen.

    Args:
        picture: the photo.
        normals: (H, W, 3) unit normals, camera frame, zero outside.
        inside: (H, W) bool: pixels that show the person for sure.
        network: that tells the shading.
        mirror: whether the mirrored picture is asked about too, and the mean taken.
        skin: (H, W) bool: pixels that show skin, if that is known.
    """
    shown = (normals != 0).any(-1)
    if not inside.any():
        return picture, None
    window = Window.around(shown, _FILL, _SIZE)
    image, mask = window.cut(picture) / 255, window.cut(shown.astype(np.float32))
    facing = window.cut(normals.astype(np.float32))
    facing /= np.maximum(np.linalg.norm(facing, axis=-1, keepdims=True), 1e-6)
    sure = window.cut(inside.astype(np.float32)) > 0.99
    if sure.sum() < _LEAST:
        return picture, None
    shading = log_shading(network, image, facing, mask, mirror)
    if skin is not None:
        shading = _smoothed(shading, window.cut(skin.astype(np.float32)) > 0.5)
    shading -= np.median(shading[sure], axis=0)
    light = fit_light(shading, facing, sure)
    height, width = inside.shape
    # Outside the person the network says nothing: there its answer goes on from the outline, so that no rim of it is mixed in.
    weight = (mask > 0.5).astype(np.float32)
    smooth, mass = cv2.blur(shading * weight[..., None], (9, 9)), cv2.blur(weight, (9, 9))
    shading = np.where(weight[..., None] > 0, shading, smooth / np.maximum(mass, 1e-3)[..., None])
    factor = np.exp(-window.paste(np.clip(shading, -_MOST, _MOST).astype(np.float32), width, height))
    return (255 * encoded(np.clip(linear(picture / 255) * factor, 0, 1))).astype(np.float32), light


def _smoothed(shading: np.ndarray, where: np.ndarray) -> np.ndarray:
    """Log-shading (S, S, 3), smoothed within the pixels `where` (S, S)."""
    weight = where.astype(np.float32)
    blur = lambda part: cv2.GaussianBlur(part, (0, 0), _SKIN)  # noqa: E731
    low = blur((shading * weight[..., None]).astype(np.float32)) / np.maximum(blur(weight), 1e-3)[..., None]
    return np.where(where[..., None], low, shading)


def log_shading(network: ShadingNet, image: np.ndarray, normals: np.ndarray, mask: np.ndarray, mirror: bool = True) -> np.ndarray:
    """(S, S, 3) what the network says of a square picture (S, S, 3) sRGB 0..1, normals (S, S, 3) and a mask (S, S) 0..1."""
    told = [
        torch.from_numpy(np.ascontiguousarray(part.transpose(2, 0, 1), dtype=np.float32))[None]
        for part in (image, normals, mask[..., None])
    ]
    with torch.inference_mode():
        answer = network(*told)
        if mirror:
            turned = [part.flip(3) for part in told]
            turned[1] = turned[1] * torch.tensor([-1.0, 1.0, 1.0])[:, None, None]
            answer = (answer + network(*turned).flip(3)) / 2
    found: np.ndarray = answer[0].permute(1, 2, 0).numpy()
    return found
