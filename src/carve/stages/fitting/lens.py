"""Whether the focal length that a photo's file gives suits the person it shows.

A cropped or edited photo, or a 35 mm equivalent taken for the lens' own length, puts the camera at a wrong distance: near limbs and far
ones then differ in size by too much or too little for any pose that the landmarks allow. The landmarks tell a lens that is said to be half
as long as it was; they hardly tell one that is said to be longer, so this check finds most of the first and few of the second.
"""

from __future__ import annotations

from collections.abc import Callable

from carve.geometry.camera import Camera

FACTORS = (0.5, 2.0)
"""Other focal lengths that are tried, times the given one."""
CLEARLY = 3.0
"""By how much the loss (in units of half a squared sigma) must fall before another focal length is believed."""


def better_focal(camera: Camera, loss: float, loss_with: Callable[[float], float]) -> float | None:
    """A focal length in pixels that suits the person clearly better than the camera's, if there is one.

    Args:
        camera: the given one.
        loss: of the best fit with it.
        loss_with: the same for another focal length.
    """
    losses = {camera.focal * factor: loss_with(camera.focal * factor) for factor in FACTORS}
    focal = min(losses, key=losses.__getitem__)
    return focal if losses[focal] < loss - CLEARLY else None
