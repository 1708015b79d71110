"""How people are lit before a camera: panoramas, sun and sky, overcast, windows, studios, light from behind, flash, lamps.

Most photographs have one key that casts shadows and less light from elsewhere: that contrast is what shows the form of cloth. Notation as
in `carve.synth.photo.lighting`; a key of irradiance pi makes a white card that faces it as bright as one under radiance 1 from everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from carve.synth.photo.lighting import LUMINANCE, Environment, Key, Kind, Lighting, cap, level, rotated, turn

_CHANCES: dict[Kind, float] = {
    "environment": 0.15, "sky": 0.19, "overcast": 0.06, "window": 0.26, "studio": 0.17, "back": 0.05, "flash": 0.03, "lamps": 0.09,
}  # fmt: skip
_SUN_ANGLE = np.radians(30.0)
"""A stored sun stands in for the panorama's where they are not farther apart."""
_LARGE = 0.1
"""Angular radius from which on a light is a window or a softbox, radians."""


@dataclass(frozen=True)
class Suns:
    """The lights whose shadows a view holds. Camera frame."""

    directions: np.ndarray
    """(S, 3)"""
    radii: np.ndarray
    """(S,) radians."""

    def key(self, index: int, irradiance: np.ndarray) -> Key:
        """Light number `index`, so strong."""
        return Key(index, self.directions[index], irradiance, float(self.radii[index]))

    def pick(self, rng: np.random.Generator, large: bool | None = None, behind: bool | None = None) -> int | None:
        """The number of a random one that is large (or small), behind the person (or not); None if there is none."""
        good = np.ones(len(self.radii), bool)
        if large is not None:
            good &= (self.radii > _LARGE) == large
        if behind is not None:
            good &= (self.directions[:, 2] < -0.15) == behind
        found = np.flatnonzero(good)
        return int(rng.choice(found)) if len(found) else None


def draw_lighting(environments: tuple[Environment, ...], suns: Suns, up: np.ndarray, rng: np.random.Generator) -> Lighting:
    """Random light for a view with the stored `suns` and `up` (3,), camera frame."""
    kind = tuple(_CHANCES)[int(rng.choice(len(_CHANCES), p=tuple(_CHANCES.values())))]
    if kind == "environment":
        return _from_environment(environments[int(rng.integers(len(environments)))], suns, up, rng)
    drawn = {"sky": _sky, "overcast": _overcast, "window": _window, "studio": _studio, "back": _back, "flash": _flash, "lamps": _lamps}
    return drawn[kind](suns, up, rng)


def _from_environment(environment: Environment, suns: Suns, up: np.ndarray, rng: np.random.Generator) -> Lighting:
    """Turned so that the panorama's sun has a stored one's azimuth if their heights agree; else at random, mostly with a key beside it."""
    upright = level(up)
    if environment.sun_direction is not None and len(suns.radii) and rng.random() < 0.85:
        stored = suns.directions @ upright
        toward = environment.sun_direction
        apart = np.abs(np.arcsin(np.clip(stored[:, 1], -1, 1)) - np.arcsin(toward[1]))
        near = np.flatnonzero((apart < _SUN_ANGLE) & (suns.radii < _LARGE))
        if len(near):
            index = int(rng.choice(near))
            angle = np.arctan2(toward[2], toward[0]) - np.arctan2(stored[index, 2], stored[index, 0])
            rotation = upright @ turn(float(angle))
            ambient = rotated(environment.ambient, rotation)
            sun = _tamed(environment.sun_irradiance * rng.uniform(0.4, 1.0), ambient, 5.0)
            return Lighting("environment", ambient, (suns.key(index, sun),), environment, rotation)
    rotation = upright @ turn(rng.uniform(0, 2 * np.pi))
    ambient = rotated(environment.whole, rotation)
    other = suns.pick(rng) if rng.random() < 0.85 else None
    if other is None:
        return Lighting("environment", ambient, (), environment, rotation)
    # A gap in the clouds, a window or a lamp that the panorama does not show.
    sun = _tamed(1e9 * _tint(rng.uniform(-0.1, 0.5)), ambient, rng.uniform(2.0, 6.0))
    return Lighting("environment", ambient, (suns.key(other, sun),), environment, rotation)


def _tamed(sun: np.ndarray, ambient: np.ndarray, ratio: float) -> np.ndarray:
    """The sun's irradiance, at most `ratio` times the mean ambient irradiance: a photographer would not shoot in harsher light."""
    mean = float(ambient[0] @ LUMINANCE) * np.sqrt(np.pi) / 2
    return sun * min(1.0, ratio * mean / max(float(sun @ LUMINANCE), 1e-9))


def _tint(warmth: float) -> np.ndarray:
    """(3,) colour of luminance 1, from bluish (-1) over neutral to the orange of a bulb (1)."""
    colour = np.array([1 + 0.35 * warmth, 1.0, 1 - 0.5 * warmth])
    return colour / (colour @ LUMINANCE)


def _sky(suns: Suns, up: np.ndarray, rng: np.random.Generator) -> Lighting:
    """Daylight: a sky, a ground that throws it back, mostly a sun behind more or less haze."""
    sun, toward = np.zeros(3), up
    keys: tuple[Key, ...] = ()
    height = 1.0
    index = suns.pick(rng, large=False) if rng.random() < 0.85 else None
    if index is not None:
        toward = suns.directions[index]
        height = max(float(toward @ up), 0.0)
        sun = np.pi * np.exp(rng.uniform(0.7, 2.1)) * (0.35 + 0.65 * height) * _tint(0.9 * (1 - height) ** 2)
        keys = (suns.key(index, sun),)
    sky = _tint(-rng.uniform(0, 0.6))
    ground = rng.uniform(0.05, 0.25) * _tint(rng.uniform(-0.2, 0.5)) * (sky + sun * height / np.pi)
    light = cap(up, np.pi / 2, sky) + cap(-up, np.pi / 2, ground)
    if index is not None:
        light += cap(toward, np.radians(35), sky * rng.uniform(0, 1.0))
    return Lighting("sky", light, keys, None, level(up))


def _overcast(suns: Suns, up: np.ndarray, rng: np.random.Generator) -> Lighting:
    """A white sky that is brightest overhead (as the CIE's overcast sky); more of it to one side where houses stand at the other."""
    sky, aside = _tint(-rng.uniform(0, 0.4)), _beside(up, rng.uniform(-np.pi, np.pi), 0.0)
    lean = up + rng.uniform(0, 1.0) * aside
    light = cap(up, np.pi / 2, 0.35 * sky) + cap(lean / np.linalg.norm(lean), np.radians(rng.uniform(30, 65)), sky)
    light += cap(-up, np.pi / 2, rng.uniform(0.03, 0.2) * sky)
    return Lighting("overcast", light, (), None, level(up))


def _window(suns: Suns, up: np.ndarray, rng: np.random.Generator) -> Lighting:
    """A room with one window, or a lamp behind a large shade: a soft key from the side, and what the walls throw back."""
    index = suns.pick(rng, large=True, behind=False)
    index = suns.pick(rng, large=True) if index is None else index
    if index is None:
        return _lamps(suns, up, rng)
    key = np.pi * rng.uniform(1.2, 3.5) * _tint(rng.uniform(-0.4, 0.4))
    toward = suns.directions[index]
    light = cap(up, np.pi, rng.uniform(0.04, 0.22) * _tint(rng.uniform(-0.1, 0.4)))
    light += _box(-toward + 0.3 * up, 70, key * rng.uniform(0.02, 0.12))
    return Lighting("window", light, (suns.key(index, key),), None, level(up))


def _studio(suns: Suns, up: np.ndarray, rng: np.random.Generator) -> Lighting:
    """Key, fill, and mostly a rim from behind; the key is a softbox, or a bare lamp with sharp shadows."""
    side = 1.0 if rng.random() < 0.5 else -1.0
    key = _tint(rng.uniform(-0.2, 0.3)) * np.pi
    light, keys = cap(up, np.pi, rng.uniform(0.02, 0.12) * _tint(rng.uniform(-0.1, 0.1))), []
    index = suns.pick(rng, large=rng.random() < 0.7, behind=False)
    if index is not None:
        keys.append(suns.key(index, key))
        side = 1.0 if suns.directions[index, 0] > 0 else -1.0
    else:
        light += _box(_beside(up, side * rng.uniform(0.3, 1.1), rng.uniform(0.25, 0.9)), 35, key)
    light += _box(_beside(up, -side * rng.uniform(0.4, 1.2), rng.uniform(-0.1, 0.5)), 50, key * rng.uniform(0.03, 0.25))
    rim = suns.pick(rng, behind=True)
    if rng.random() < 0.6 and rim is not None:
        keys.append(suns.key(rim, key * rng.uniform(0.4, 1.5)))
    elif rng.random() < 0.6:
        light += _box(_beside(up, -side * rng.uniform(2.0, 2.8), rng.uniform(0.2, 0.9)), 25, key * rng.uniform(0.3, 1.2))
    return Lighting("studio", light, tuple(keys), None, level(up))


def _back(suns: Suns, up: np.ndarray, rng: np.random.Generator) -> Lighting:
    """A low sun or a bright window behind the person, who is lit in front by what lies before them."""
    index = suns.pick(rng, behind=True)
    if index is None:
        return _sky(suns, up, rng)
    key = np.pi * rng.uniform(1.5, 4.5) * _tint(rng.uniform(0.0, 0.7))
    ahead = _beside(up, rng.uniform(-0.9, 0.9), rng.uniform(0.0, 0.8))
    light = cap(up, np.pi, rng.uniform(0.15, 0.4) * _tint(-rng.uniform(0, 0.4))) + _box(
        ahead, 55, np.pi * rng.uniform(0.2, 0.8) * np.ones(3)
    )
    return Lighting("back", light, (suns.key(index, key),), None, level(up))


def _flash(suns: Suns, up: np.ndarray, rng: np.random.Generator) -> Lighting:
    """A flash beside or above the lens, whose shadows fall behind what throws them, in a darker place with a lamp or a window."""
    toward = np.array([rng.uniform(-0.15, 0.15), rng.uniform(-0.02, 0.3), 1.0])
    keys = [Key(-1, toward / np.linalg.norm(toward), np.pi * _tint(rng.uniform(-0.1, 0.1)), 0.02)]
    index = suns.pick(rng)
    if index is not None and rng.random() < 0.7:
        keys.append(suns.key(index, np.pi * rng.uniform(0.2, 0.9) * _tint(rng.uniform(-0.2, 0.7))))
    return Lighting("flash", cap(up, np.pi, rng.uniform(0.03, 0.25) * _tint(rng.uniform(0, 0.7))), tuple(keys), None, level(up))


def _lamps(suns: Suns, up: np.ndarray, rng: np.random.Generator) -> Lighting:
    """A room: some light from everywhere and up to four soft lamps anywhere, more above than below."""
    light = cap(up, np.pi, rng.uniform(0.04, 0.25) * _tint(rng.uniform(-0.2, 0.3)))
    warmth = rng.uniform(-0.4, 0.8)
    for _ in range(int(rng.integers(1, 5))):
        direction = _beside(up, rng.uniform(-np.pi, np.pi), np.arcsin(rng.uniform(-0.3, 1.0)))
        light += _box(direction, rng.uniform(15, 60), np.pi * rng.uniform(0.2, 1.2) * _tint(warmth + rng.uniform(-0.2, 0.2)))
    return Lighting("lamps", light, (), None, level(up))


def _beside(up: np.ndarray, azimuth: float, elevation: float) -> np.ndarray:
    """(3,) direction at `azimuth` to the right of the camera, as seen from the person, and `elevation` above the horizon."""
    world = np.array([np.sin(azimuth) * np.cos(elevation), np.sin(elevation), np.cos(azimuth) * np.cos(elevation)])
    return level(up) @ world


def _box(direction: np.ndarray, degrees: float, irradiance_facing: np.ndarray) -> np.ndarray:
    """(9, 3) a round softbox of `degrees` radius about `direction` (3,) that gives `irradiance_facing` (3,)."""
    half = np.radians(degrees)
    return cap(direction / np.linalg.norm(direction), float(half), irradiance_facing / (np.pi * np.sin(half) ** 2))
