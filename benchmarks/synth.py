"""Measure the synthetic people: speed of making and loading, cloth in bodies, signed distances, correspondence, drapes, determinism.

    .venv/bin/carve synth make --assets ../shared/assets --out out/synth/data --library out/synth/drapes --people 200
    .venv/bin/python benchmarks/synth.py --assets ../shared/assets --data out/synth/data --library out/synth/drapes --minutes M

`--minutes` is how long the command before took, on how many `--workers`. Results go to benchmarks/synth.json.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch

from brute import distance, winding
from carve.geometry.skinning import skin
from carve.synth.dataset import SyntheticPhotos
from carve.synth.make import Plan, make_body, make_people, open_maker
from carve.synth.outer import Solid, outer_surface, person_solids, signed_distance
from carve.synth.outer_reference import nearest_on_triangles
from carve.synth.shard_reader import ShardSet, open_shards

HERE = Path(__file__).parent
GAP = 0.0005
"""What a signed distance may be off, metres."""
SPACING = 0.0015
"""Between samples of faces that may bound nothing, metres."""


def everybody(data: Path) -> list[tuple[ShardSet, int]]:
    """All people of both splits."""
    sets = [open_shards(data, "train"), open_shards(data, "val")]
    return [(shards, person) for shards in sets for person in range(len(shards.people()))]


def loading(data: Path, assets: Path, samples: int) -> dict[str, float]:
    """Samples a second out of the loader in this process on one core: relit, 512 px, all default fields."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    photos = SyntheticPhotos(data, "train", assets, size=512, verify=False)
    order = np.random.default_rng(0).permutation(len(photos))
    for i in order[:20]:
        photos[int(i)]
    wall, busy = time.perf_counter(), time.process_time()
    for i in order[20 : 20 + samples]:
        photos[int(i)]
    return {"wall": samples / (time.perf_counter() - wall), "cpu": samples / (time.process_time() - busy)}


def cloth_inside(people: list[tuple[ShardSet, int]]) -> dict[str, Any]:
    """Share of garment vertices inside the body as stored with each person, in percent."""
    infos = [shards.person(person) for shards, person in people]
    result: dict[str, Any] = {"people": len(infos), "draped": sum(info["drape"] is not None for info in infos)}
    for space in ("canonical", "posed"):
        shares = np.array([100 * info["inside"][space] for info in infos])
        draped = np.array([info["drape"] is not None for info in infos])
        result[space] = {"median": float(np.median(shares)), "worst": float(shares.max())}
        result[space] |= {"worst_draped": float(shares[draped].max(initial=0)), "worst_undraped": float(shares[~draped].max(initial=0))}
    return result


def correspondence(people: list[tuple[ShardSet, int]]) -> dict[str, float]:
    """Largest distance in millimetres of the canonical mesh, skinned, from the stored posed mesh."""
    worst = {"undraped": 0.0, "draped": 0.0}
    for shards, person in people:
        arrays = shards.arrays(person, ("canonical", "posed", "transforms", "bones", "weights"))
        posed = skin(arrays["canonical"].astype(float), arrays["transforms"], arrays["bones"].astype(int), arrays["weights"].astype(float))
        kind = "draped" if shards.person(person)["drape"] else "undraped"
        worst[kind] = max(worst[kind], 1000 * float(np.linalg.norm(posed - arrays["posed"], axis=1).max()))
    return worst


def held(solids: Sequence[Solid], points: np.ndarray) -> np.ndarray:
    """(N,) bool: a solid's exact winding number about points (N, 3) exceeds 1/2; it is zero outside the solid's box."""
    inside = np.zeros(len(points), bool)
    for solid in solids:
        used = solid.vertices[np.unique(solid.faces)]
        box = np.flatnonzero(((points >= used.min(0)) & (points <= used.max(0))).all(1) & ~inside)
        inside[box] = winding(solid.vertices, solid.faces.astype(np.int64), points[box]) > 0.5
    return inside


def nearer_boundary(solids: Sequence[Solid], corners: np.ndarray, point: np.ndarray, limit: float) -> int:
    """1 if a sample, every SPACING on triangles (F, 3, 3), is nearer than `limit` to the point, with outside before and inside behind."""
    near = np.linalg.norm(nearest_on_triangles(corners, np.broadcast_to(point, (len(corners), 3))) - point, axis=1) < limit
    samples, normals = [], []
    for a, b, c in corners[near]:
        steps = int(np.ceil(max(np.linalg.norm(b - a), np.linalg.norm(c - a)) / SPACING)) + 1
        u, v = (g.ravel() for g in np.meshgrid(*[(np.arange(steps) + 1 / 3) / steps] * 2, indexing="ij"))
        kept = u + v < 1
        place = a + u[kept, None] * (b - a) + v[kept, None] * (c - a)
        place = place[np.linalg.norm(place - point, axis=1) < limit]
        normal = np.cross(b - a, c - a)
        samples.append(place)
        normals.append(np.broadcast_to(normal / max(float(np.linalg.norm(normal)), 1e-300), place.shape))
    places, normal = np.concatenate(samples), np.concatenate(normals)
    before, behind = held(solids, places + 1e-6 * normal), held(solids, places - 1e-6 * normal)
    return int((behind & ~before).any())


def distances(assets: Path, library: Path, first: int, count: int, points: int) -> dict[str, Any]:
    """The signed distance of `count` people against brute force.

    The sign of every point is held against exact solid angles of every solid. From outside, the nearest point of any solid's surface,
    uncut, is on the outer surface: that distance is taken over all triangles of the solids. From inside it is taken over all triangles of
    the outer surface; whether that surface is right is for the tests' own reference to say.
    """
    maker = open_maker(assets, Plan(people=first + count), library)
    result = {"people": 0, "points": 0, "wrong_signs": 0, "worst_outside_mm": 0.0, "worst_inside_mm": 0.0}
    result |= {"sampled_points": 0, "missed": 0}
    for index in range(first, first + count):
        layers = make_body(maker, index).dressed.layers
        space: Literal["canonical", "posed"] = "canonical" if index % 2 == 0 else "posed"
        solids, _ = person_solids(layers, space)
        surface = outer_surface(layers, space)
        rng = np.random.default_rng([7, index])
        low, high = surface.vertices.min(0) - 0.05, surface.vertices.max(0) + 0.05
        near = surface.vertices[rng.integers(len(surface.vertices), size=points // 2)] + rng.normal(0, 0.02, (points // 2, 3))
        query = np.concatenate([near, rng.uniform(low, high, (points - points // 2, 3))])
        fast = signed_distance(surface, query)
        inside = held(solids, query)
        result["wrong_signs"] += int(((fast < 0) != inside)[np.abs(fast) > 0.002].sum())
        starts = np.cumsum([0, *(len(solid.vertices) for solid in solids[:-1])])
        vertices = np.concatenate([solid.vertices for solid in solids])
        faces = np.concatenate([solid.faces + start for solid, start in zip(solids, starts, strict=True)]).astype(np.int64)
        outside = distance(vertices, faces, query[~inside])
        within = distance(surface.vertices, surface.faces.astype(np.int64), query[inside])
        # A face that bounds nothing, inside out or a cap on a cap, may be nearer than the outer surface: the truth lies between the way
        # to all faces and the fast one. Where these differ by too much, the faces that are nearer are sampled.
        gap = np.abs(fast[~inside]) - outside
        result["worst_outside_mm"] = max(result["worst_outside_mm"], 1000 * float(gap[gap < GAP].max()), 1000 * float(-gap.min()))
        result["sampled_points"] += int((gap >= GAP).sum())
        for k in np.flatnonzero(gap >= GAP):
            point, far = query[~inside][k], abs(float(fast[~inside][k]))
            result["missed"] += nearer_boundary(solids, vertices[faces], point, far - GAP)
        worst = 1000 * float(np.abs(within - np.abs(fast[inside])).max(initial=0))
        result["worst_inside_mm"] = max(result["worst_inside_mm"], worst)
        result["people"] += 1
        result["points"] += points
        print(f"  person {index} ({space}): {result}", flush=True)
    return result


def drapes(library: Path) -> dict[str, Any]:
    """What the library holds."""
    metas = [json.loads(path.read_text()) for path in sorted(library.glob("*.json"))]
    inside = np.array([100 * meta["report"]["inside"] for meta in metas])
    return {
        "drapes": len(metas),
        "garments": len({meta["asset"] for meta in metas}),
        "bodies_and_poses": len({json.dumps(meta["traits"]) for meta in metas}),
        "inside_median": float(np.median(inside)),
        "inside_worst": float(inside.max()),
        "seconds_each": float(np.mean([meta["report"]["seconds"] for meta in metas])),
    }


def same_bytes(assets: Path, people: int) -> bool:
    """One and four workers write identical shards."""
    found = []
    for workers in (1, 4):
        with tempfile.TemporaryDirectory() as folder:
            plan = Plan(people=people, seed=3, views=2, drapes=0, block=1)
            make_people(assets, Path(folder), None, plan, workers, False, lambda *_: None)
            found.append({p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in Path(folder).glob("*.tar")})
    return found[0] == found[1] and len(found[0]) == people


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--minutes", type=float, help="how long making the data took")
    parser.add_argument("--people", type=int, help="how many people the minutes are for, if not all")
    parser.add_argument("--workers", type=int, default=2, help="on how many processes")
    parser.add_argument("--sdf-people", type=int, default=20)
    parser.add_argument("--only", nargs="*", help="these parts alone; synth.json keeps the others")
    arguments = parser.parse_args()
    people = everybody(arguments.data)
    size = sum(path.stat().st_size for path in arguments.data.glob("*.tar")) / len(people) / 1e6
    parts: dict[str, Callable[[], Any]] = {
        "making": lambda: {
            "people": arguments.people or len(people),
            "minutes": arguments.minutes,
            "workers": arguments.workers,
            "people_an_hour": 60 * (arguments.people or len(people)) / arguments.minutes if arguments.minutes else None,
            "megabytes_a_person": size,
        },
        "loading": lambda: loading(arguments.data, arguments.assets, 200),
        "inside": lambda: cloth_inside(people),
        "correspondence_mm": lambda: correspondence(people),
        "drapes": lambda: drapes(arguments.library),
        "same_bytes_1_and_4_workers": lambda: same_bytes(arguments.assets, 4),
        "signed_distance": lambda: distances(arguments.assets, arguments.library, 0, arguments.sdf_people, 10000),
    }
    path = HERE / "synth.json"
    results = json.loads(path.read_text()) if path.exists() else {}
    results["cores"] = os.cpu_count()
    for name, measure in parts.items():
        if not arguments.only or name in arguments.only:
            results[name] = measure()
            print(name, json.dumps(results[name]), flush=True)
            path.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
