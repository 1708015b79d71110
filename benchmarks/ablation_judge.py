"""Meshes of the implicit model's variants on held-out people, judged as the paper judges them; used by `ablation.py`.

A variant's surface is the zero level alone, as extracted: no hands, face or shoes of the body are put in its place, as the stage
`canonical` would. In canonical space it is carried into the photo's pose by the body's skinning. What lies more than 35 cm off the body
is not looked at, of several pieces the largest counts, for all variants alike.

Tracks: `true` gives the true body, and true normals (models of the photo look at the photo in both); `fitted` gives a body with the errors
of a fit, and normals that the network that ships predicts from the photo with that body.
Chamfer and point-to-surface distance as in `carve.evaluate.metrics.chamfer`, against disks around the true surface's stored points in the
photo's pose (`held_out.py`), nothing aligned; `normal` and `angle` by its `normal_errors`, nearest and farthest surface as the photo's
camera sees them against the true maps, the mean of both.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from carve.body.finishing import bone_maps, canonical_surface
from carve.body.skin_field import SkinField
from carve.evaluate.metrics import chamfer, normal_errors
from carve.geometry.meshing.isosurface import Grid, zero_level
from carve.geometry.relief.normal_maps import front_and_back
from carve.networks.hyper import HyperNet
from carve.networks.implicit import ClothedField, ImplicitNet
from carve.networks.normals import NormalsNet
from carve.records import BodyFit, NormalMaps, Observation, PosedSurface
from carve.stages import normals, refine
from held_out import Person, people, posed_distances

Track = Literal["true", "fitted"]
Row = dict[str, Any]
"""`key`, `track`, and the figures before and after refinements."""
CELL, LEVELS = 0.0125, 3
"""Side of the finest cells, metres, and how much coarser the first are."""
SAFETY = 2.5
"""How many times faster than a distance a field may grow."""
REACH, MARGIN = 0.35, 0.25
"""How far a surface may lie off the body, and how far the box goes beyond it, metres."""
REFINEMENTS: dict[str, refine.Params] = {
    "integration": refine.Params(),
    "field, hypernetwork": refine.Params(method="field", start="hypernetwork"),
    "field, no hypernetwork": refine.Params(method="field", start="random"),
}


@dataclass(frozen=True)
class Subject:
    """One photograph of one held-out person on one track."""

    person: Person
    track: Track
    body: BodyFit
    maps: NormalMaps
    """What the model is given."""
    skins: dict[str, SkinField]
    """Space to the body's field in it."""

    @property
    def observation(self) -> Observation:
        """The photo with its true mask."""
        return self.person.observation


def subjects(data: Path, assets: Path, count: int, views: int, network: NormalsNet) -> Iterator[Subject]:
    """`views` photographs of each of `count` people of the split val, on both tracks."""
    for person in people(data, assets, count, views):
        predicted = normals.predict_normals(person.observation, person.fitted, network, normals.Params())
        tracks: tuple[tuple[Track, BodyFit, NormalMaps], ...] = (("true", person.body, person.maps), ("fitted", person.fitted, predicted))
        for track, body, maps in tracks:
            skin = SkinField.of(body)
            yield Subject(person, track, body, maps, {"canonical": skin, "posed": skin.reshaped(body.posed)})


def surface(subject: Subject, network: ImplicitNet) -> tuple[np.ndarray, np.ndarray] | None:
    """Vertices (V, 3) in the network's space and faces (F, 3) of what it sees; None if it sees nothing."""
    space = network.architecture.space
    skin = subject.skins[space]
    field = ClothedField(network, skin, subject.body, subject.maps, subject.observation.mask, subject.observation.photo.pixels)

    def bound(points: np.ndarray) -> np.ndarray:
        return np.maximum(skin.near(points).distance - REACH, 0)

    grid = Grid.over(skin.vertices.min(0) - MARGIN, skin.vertices.max(0) + MARGIN, CELL, LEVELS)
    try:
        found = zero_level(lambda points: field(points)[0], bound, grid, SAFETY)
    except ValueError:
        return None
    return found.vertices, found.faces


def posed(subject: Subject, vertices: np.ndarray, space: str) -> np.ndarray:
    """(V, 3) vertices of a variant's space in the camera frame."""
    if space == "posed":
        return vertices
    skin = subject.skins[space]
    maps = skin.blend(vertices, skin.near(vertices), bone_maps(subject.body)).astype(float)
    return np.einsum("vij,vj->vi", maps[..., :3], vertices) + maps[..., 3]


def figures(subject: Subject, vertices: np.ndarray, faces: np.ndarray) -> dict[str, float]:
    """Of a mesh in the camera frame."""
    person = subject.person
    distances = chamfer(*posed_distances(vertices, faces, person.posed, person.normals))
    errors = []
    for own, truth in zip(front_and_back(vertices, faces, person.body.camera), (person.maps.front, person.maps.back), strict=True):
        true = truth.astype(np.float32)
        errors.append(normal_errors(own, (own != 0).any(2), true, (true != 0).any(2)))
    return {
        "chamfer_cm": round(distances["chamfer_cm"], 4),
        "p2s_cm": round(distances["p2s_cm"], 4),
        "normal": round(float(np.mean([e["icon"] for e in errors])), 5),
        "angle_deg": round(float(np.mean([e["angle_deg"] for e in errors])), 3),
    }


def refined(subject: Subject, vertices: np.ndarray, faces: np.ndarray, params: refine.Params, hyper: HyperNet) -> PosedSurface:
    """A canonical mesh (V, 3), (F, 3) after the stage `refine`."""
    body, skin = subject.body, subject.skins["canonical"]
    near = skin.near(vertices)
    dense = skin.weights(vertices, near, len(body.skeleton.names)).astype(float)
    dense /= dense.sum(1, keepdims=True)
    coarse = canonical_surface(body, vertices, faces, dense, near.region, np.full(len(vertices), 0.01))
    return refine.refine(subject.observation, body, coarse, subject.maps, params, hyper)


def judge(subject: Subject, network: ImplicitNet, refinements: tuple[str, ...], hyper: HyperNet) -> Row:
    """Figures of one variant on one subject, before refinement (`plain`) and after each; None where there is no surface."""
    row: Row = {"key": subject.person.key, "track": subject.track, **dict.fromkeys(("plain", *refinements))}
    found = surface(subject, network)
    if found is None:
        return row
    vertices, faces = found
    row["plain"] = figures(subject, posed(subject, vertices, network.architecture.space), faces)
    for name in refinements:
        made = refined(subject, vertices, faces, REFINEMENTS[name], hyper)
        row[name] = figures(subject, made.vertices, made.canonical.faces)
    return row


def naked(subject: Subject) -> Row:
    """The same figures of the body that the model is given."""
    plain = figures(subject, subject.body.posed, subject.skins["posed"].faces)
    return {"key": subject.person.key, "track": subject.track, "plain": plain}
