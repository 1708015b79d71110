"""A training sample drawn from a stored view: new clothes' colours, light, framing, background and camera, and the truth moved with them.

Light is added up in linear RGB with 1 for the white of a developed picture; colours are premultiplied by coverage until the background
comes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carve.synth.photo.augmentation import FIELDS, WINDOWS, Field, Motion, Truth, augment, draw_motion, hide, moved_colour, stored_members
from carve.synth.photo.backdrop import compose, contact_shadow, draw_background, occlude
from carve.synth.photo.developing import develop, exposure
from carve.synth.photo.light_setups import Suns, draw_lighting
from carve.synth.photo.repainting import repaint
from carve.synth.photo.scenery import Scenery
from carve.synth.photo.shading import shade
from carve.synth.records import View

_DRAWN = ("albedo", "coverage", "normal", "depth", "occlusion", "bent", "sun_free", "part", "fabric")
"""The members of View that every picture is made from."""


@dataclass(frozen=True)
class Photograph:
    """A finished sample."""

    image: np.ndarray
    """(S, S, 3) uint8 sRGB."""
    visible: np.ndarray
    """(S, S) bool: the mask without what stands in front of the person."""
    truth: Truth
    motion: Motion
    """How the picture was moved against the stored view."""
    light: str
    """What it is lit by, see `carve.synth.photo.lighting.Kind`."""


def view_fields(fields: tuple[Field, ...]) -> tuple[str, ...]:
    """The members of View that a photograph with these fields needs."""
    back = ("part_back", "fabric_back") if "albedo_back" in fields else ()
    return tuple(dict.fromkeys((*_DRAWN, *back, *stored_members(fields))))


def photograph(
    view: View,
    names: tuple[str, ...],
    scenery: Scenery,
    rng: np.random.Generator,
    size: int = 512,
    fields: tuple[Field, ...] = FIELDS,
    augmented: bool = True,
    windows: float = WINDOWS,
) -> Photograph:
    """Draw a sample of size x size pixels from a view; equal generators give equal samples.

    `names` (L) are those of the view's landmarks, `windows` the share that shows a part of the person. Without `augmented` the framing is
    the view's own and nothing stands in front.
    """
    lighting = draw_lighting(scenery.environments, Suns(view.sun_directions, view.sun_radii), view.up, rng)
    albedo = repaint(view, rng, "albedo_back" in fields)
    foreground = shade(view, albedo["albedo_front"], lighting, rng)
    motion = draw_motion(view, rng, windows) if augmented else Motion()
    truth = augment(view, names, motion, size, fields, albedo)
    gain = exposure(foreground.white, rng)
    behind = draw_background(scenery, lighting, truth, motion, gain, rng)
    contact_shadow(behind, truth.coverage, rng)
    picture = np.empty((size, size, 3), np.float32)
    compose(moved_colour(foreground.colour, motion.matrix(view.camera, size), size), behind, gain, picture)
    cover = occlude(picture, scenery, truth.mask, rng) if augmented and rng.random() < 0.1 else None
    visible = truth.mask if cover is None else truth.mask & (cover < 0.5)
    if cover is not None:
        hide(truth.landmarks, cover)
    return Photograph(develop(picture, rng), visible, truth, motion, lighting.kind)
