"""The implicit model and the refinement on held-out synthetic people, with their true bodies and true normals.

    python benchmarks/held_out.py DATA --assets ASSETS [--people 16] [--weights FOLDER]

DATA is a folder of `carve synth make` with distances; one photograph of each person of its split val that shows the whole of them, in the
stored framing. Chamfer distances in centimetres of the naked body, of the implicit model's surface and of the refined one to the true outer
surface: to its triangles in canonical space, to disks around its stored points (of the size of their spacing) in the photo's pose, where
no triangles are stored. Writes held_out.json beside this file.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from carve.body.finishing import skin_faces
from carve.geometry.camera import Camera
from carve.geometry.queries import MeshQueries
from carve.geometry.skinning import local_rotations
from carve.networks.implicit import ImplicitNet, load_implicit_net
from carve.networks.weights import FOLDER
from carve.records import BodyFit, Landmarks, NormalMaps, Observation, Photo, Pose, Skeleton
from carve.settings import preset_settings
from carve.stages.clothed import build_clothed
from carve.stages.refine import refine
from carve.synth.people.bodies import FullBody, load_full_body
from carve.synth.samples.dataset import SyntheticPhotos
from carve.synth.samples.fitted_body import FittedBodies, FittedBody
from refit import maps_of

ARRAYS = (
    *("body_canonical", "transforms", "heads_canonical", "heads_posed"),
    *("outer_vertices", "outer_faces", "canonical_surface", "posed_surface", "posed_normal"),
)
SAMPLES = 30_000


@dataclass(frozen=True)
class Person:
    """One held-out person as the stages are given them, and their true surface."""

    key: str
    observation: Observation
    body: BodyFit
    maps: NormalMaps
    outer: MeshQueries
    """Canonical."""
    canonical: np.ndarray
    """(N, 3) points of the true outer surface."""
    posed: np.ndarray
    """(N, 3) such points in the camera frame."""
    normals: np.ndarray
    """(N, 3) their normals."""
    fitted: BodyFit
    """The body as a fit might give it."""


def people(data: Path, assets: Path, count: int, views: int = 1) -> Iterator[Person]:
    """The first `count` people of the split val of whom a view shows everything, each with up to `views` such views."""
    fields = ("normal_front", "normal_back", "depth")
    photos = SyntheticPhotos(data, "val", assets, augmented=False, fields=fields, verify=False)  # type: ignore[arg-type]
    full = load_full_body()
    bodies = FittedBodies(full)
    seen: dict[int, int] = {}
    for i in range(len(photos)):
        p, v = photos.shards.pair(i)
        if seen.get(p, 0) == views or (p not in seen and len(seen) == count):
            continue
        info = photos.shards.person(p)
        arrays = photos.shards.arrays(p, ARRAYS)
        rotation, translation = (np.array(info["cameras"][v][name]) for name in ("rotation", "translation"))
        item = photos[i]
        camera = Camera(int(item["camera"][3]), int(item["camera"][4]), *(float(x) for x in item["camera"][:3]))
        posed = arrays["posed_surface"].astype(float) @ rotation.T + translation
        pixels = camera.project(posed)
        if (pixels < 0).any() or (pixels > [camera.width, camera.height]).any():
            continue
        seen[p] = seen.get(p, 0) + 1
        true = bodies.true(arrays, rotation, translation)
        fitted = bodies.fit(arrays, rotation, translation, np.random.default_rng((0, i)))
        up, height = item["up"].numpy().astype(float), float(info["stature"])
        image = (item["image"].numpy().transpose(1, 2, 0) * 255).round().astype(np.uint8)
        yield Person(
            key=item["key"],
            observation=_observed(Photo(image, None, camera.focal, item["key"]), item["mask"].numpy()[0], camera),
            body=_fit_of(true, bodies, full, camera, up, height),
            maps=maps_of(item, camera, False, np.random.default_rng(0)),
            outer=MeshQueries(arrays["outer_vertices"], arrays["outer_faces"]),
            canonical=arrays["canonical_surface"].astype(float),
            posed=posed,
            normals=arrays["posed_normal"].astype(float) @ rotation.T,
            fitted=_fit_of(fitted, bodies, full, camera, up, height),
        )


def _fit_of(body: FittedBody, bodies: FittedBodies, full: FullBody, camera: Camera, up: np.ndarray, height: float) -> BodyFit:
    """A body of the synthetic people as the record that the stages are given."""
    root = body.transforms[0] @ np.append(body.heads[0], 1.0)
    return BodyFit(
        model="anny",
        shape={},
        camera=camera,
        up=up,
        skeleton=Skeleton(full.names, full.parents, body.heads, full.humanoid),
        pose=Pose(local_rotations(body.transforms[:, :, :3], full.parents), root),
        canonical=body.canonical,
        posed=bodies.posed(body),
        faces=full.faces,
        bones=full.bones[full.base],
        weights=full.weights[full.base],
        region=full.region,
        joint_confidence=np.ones(len(full.names)),
        height=height,
        height_source="argument",
        residuals={},
        notes=(),
    )


def _observed(photo: Photo, mask: np.ndarray, camera: Camera) -> Observation:
    """The observation of a photo whose mask (H, W) is known."""
    return Observation(
        photo=photo,
        person=0,
        people=(),
        mask=mask,
        mask_source="file",
        landmarks=Landmarks((), np.zeros((0, 2)), np.zeros(0), np.zeros((0, 3)), np.zeros((0, 3))),
        camera=camera,
        focal_source="argument",
        visible_share=1.0,
        notes=(),
    )


def spread_over(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """SAMPLES points, as likely everywhere on the surface."""
    rng = np.random.default_rng(0)
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    weight = rng.dirichlet(np.ones(3), SAMPLES)
    return np.einsum("nk,nkd->nd", weight, corners[rng.choice(len(faces), SAMPLES, p=area / area.sum())])


def canonical_chamfer(vertices: np.ndarray, faces: np.ndarray, person: Person) -> float:
    """Centimetres."""
    there = person.outer.nearest(spread_over(vertices, faces)).distance.mean()
    back = MeshQueries(vertices, faces).nearest(person.canonical).distance.mean()
    return 50 * float(there + back)


def posed_distances(vertices: np.ndarray, faces: np.ndarray, posed: np.ndarray, normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Metres: of SAMPLES points of a mesh from disks around true points (N, 3) with normals (N, 3), and of these points from the mesh."""
    tree = cKDTree(posed)
    points = spread_over(vertices, faces)
    spacing = np.median(tree.query(posed, k=2)[0][:, 1])
    index = tree.query(points, k=4)[1]
    gap = points[:, None] - posed[index]
    along = np.abs((gap * normals[index]).sum(-1))
    across = np.sqrt(np.maximum((gap**2).sum(-1) - along**2, 0))
    there = np.hypot(along, np.maximum(across - spacing, 0)).min(1)
    return there, MeshQueries(vertices, faces).nearest(posed).distance


def posed_chamfer(vertices: np.ndarray, faces: np.ndarray, person: Person) -> float:
    """Centimetres."""
    there, back = posed_distances(vertices, faces, person.posed, person.normals)
    return 50 * float(there.mean() + back.mean())


def measure(person: Person, network: ImplicitNet) -> dict[str, float]:
    """Chamfer distances of one person, centimetres."""
    settings = preset_settings("standard")
    body, naked = person.body, skin_faces(person.body)
    surface = build_clothed(person.observation, body, person.maps, network, settings.clothed)
    coarse = refine(person.observation, body, surface, person.maps, replace(settings.refine, detail=False))
    refined = refine(person.observation, body, surface, person.maps, settings.refine)
    return {
        "canonical_body_cm": canonical_chamfer(body.canonical, naked, person),
        "canonical_cm": canonical_chamfer(surface.vertices, surface.faces, person),
        "posed_body_cm": posed_chamfer(body.posed, naked, person),
        "posed_outline_cm": posed_chamfer(coarse.vertices, surface.faces, person),
        "posed_refined_cm": posed_chamfer(refined.vertices, surface.faces, person),
    }


def main() -> None:
    """Print one line a person, then medians and ratios; write held_out.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--people", type=int, default=16)
    parser.add_argument("--weights", type=Path, default=FOLDER)
    options = parser.parse_args()
    network = load_implicit_net(options.weights)
    rows = {}
    for person in people(options.data, options.assets, options.people):
        rows[person.key] = measure(person, network)
        print(person.key, *(f"{name} {value:.2f}" for name, value in rows[person.key].items()), flush=True)
    medians = {name: float(np.median([row[name] for row in rows.values()])) for name in next(iter(rows.values()))}
    for name, body in (("canonical", "canonical_body"), ("posed_refined", "posed_body")):
        medians[f"{name}_over_body"] = float(np.median([row[f"{name}_cm"] / row[f"{body}_cm"] for row in rows.values()]))
    print("medians", *(f"{name} {value:.3f}" for name, value in medians.items()))
    if options.weights == FOLDER:
        out = {"people": len(rows), "medians": medians, "rows": rows}
        (Path(__file__).parent / "held_out.json").write_text(json.dumps(out, indent=1) + "\n")


if __name__ == "__main__":
    main()
