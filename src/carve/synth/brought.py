"""People in clothes that were simulated elsewhere, photographed and stored as those of `carve synth make` are.

Skin and eyes are painted as on all synthetic people; the clothes keep the colours that they were brought with, and drawing photographs dyes
them anew like any others. They have no hair and no shoes unless these were brought.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from carve.body.anny import load_anny
from carve.body.places import body_places
from carve.records import BodyFit
from carve.synth.assets.files import Assets
from carve.synth.looks.appearance import eye_texture, planar_uv, skin_texture, vertex_regions
from carve.synth.make import Plan
from carve.synth.outer.stored import stored_arrays
from carve.synth.people.bodies import FullBody, load_full_body, sample_traits
from carve.synth.people.landmarks import landmark_names, landmarks
from carve.synth.records import PARTS, Layer
from carve.synth.store.shards import Person, Split
from carve.synth.views.cameras import sample_cameras
from carve.synth.views.painting import Paint
from carve.synth.views.render import render_view
from carve.synth.views.scene import build_scene
from carve.synth.wear.brought import Garment, Laid, laid_on


@dataclass(frozen=True)
class Studio:
    """What is loaded once and serves all people."""

    assets: Assets
    """Skins and eyes, if any."""
    plan: Plan
    """Seed, views and samples."""
    body: FullBody
    places: np.ndarray
    """(V, 3), see `carve.body.places`."""


@dataclass(frozen=True)
class Brought:
    """One person in one frame."""

    source: str
    """Data set, sample and frame."""
    female: bool
    body: BodyFit
    """carve's body model as it stands under the clothes, its frame with +Y up."""
    garments: tuple[Garment, ...]
    """From the inside out."""


def open_studio(assets: Assets, plan: Plan) -> Studio:
    """Load the body."""
    return Studio(assets, plan, load_full_body(), body_places(load_anny()))


def brought_person(studio: Studio, index: int, split: Split, brought: Brought) -> Person:
    """Person number `index` of a data set, ready to be stored. Raises CarveError if their layers enclose no volume."""
    rng = np.random.default_rng([studio.plan.seed, 4, index])
    fit, plan = brought.body, studio.plan
    laid = laid_on(studio.body, fit, brought.garments, brought.source)
    pose, layers = laid.pose, laid.layers
    scene = build_scene(studio.body, layers, fit.canonical, pose.posed, studio.places)
    first_face = np.concatenate([np.flatnonzero(layer.shown) for layer in layers])
    marks = landmarks(pose.heads, pose.posed)
    cameras = sample_cameras(studio.body, pose.heads, scene.vertices[np.unique(scene.faces)], plan.views, plan.close, rng)
    views, seen, looks = [], [], []
    for number, (_, placement) in enumerate(cameras):
        if number % 2 == 0:
            paints, look = _look(studio, laid, brought, rng)
        view, visible = render_view(scene, placement, paints, (), first_face, marks, rng)
        views.append(view)
        seen.append(visible)
        looks.append(look)
    samples = plan.samples if plan.distances else None
    arrays, outer = stored_arrays(layers, pose, fit.canonical, fit.skeleton.heads, seen, samples, rng)
    info = {
        "index": index,
        "split": split,
        "seed": plan.seed,
        "stature": fit.height,
        "traits": {"female": brought.female, "shape": fit.shape},
        "pose": pose.kind,
        "drape": None,
        "layers": [{"name": layer.name, "part": PARTS[layer.part], "vertices": len(layer.canonical)} for layer in layers],
        "outfit": [garment.name for garment in brought.garments],
        "changes": {},
        "hair": None,
        "beard": None,
        "inside": {"canonical": laid.inside_canonical, "posed": laid.inside_posed},
        "outer": outer,
        "landmarks": list(landmark_names()),
        "cameras": [{"shows": s, "rotation": p.rotation.tolist(), "translation": p.translation.tolist()} for s, p in cameras],
        "textures": looks,
    }
    return Person(f"{index:06d}", info, arrays, views)


def _look(studio: Studio, laid: Laid, brought: Brought, rng: np.random.Generator) -> tuple[list[Paint], dict[str, Any]]:
    """Paint for every layer, and what is to be said of it."""
    traits = sample_traits(studio.body, rng)
    traits = replace(traits, years=max(traits.years, 18.0), phenotypes={**traits.phenotypes, "gender": float(brought.female)})
    skin, eyes = skin_texture(studio.assets, traits, rng), eye_texture(studio.assets, rng, traits.race)
    naked, *clothes, ball = laid.layers
    paints = [Paint(skin.image, skin.alpha, naked.uv), *_cloth(studio.body, clothes, brought.garments), Paint(eyes.image, None, ball.uv)]
    return paints, {"skin": skin.source, "own-eyes": eyes.source, **{g.name: {"mode": "brought"} for g in brought.garments}}


def _cloth(body: FullBody, clothes: Sequence[Layer], garments: Sequence[Garment]) -> list[Paint]:
    """The garments' own pictures, and where on the cloth each corner is."""
    return [
        Paint(garment.image, None, layer.uv, planar_uv(layer.canonical, layer.faces, vertex_regions(body, layer.bones, layer.weights)))
        for layer, garment in zip(clothes, garments, strict=True)
    ]
