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
from carve.synth.outer_reference import BruteForce, nearest_on_triangles
from carve.synth.shard_reader import ShardSet, open_shards

HERE = Path(__file__).parent


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


def nearest_boundary(solids: Sequence[Solid], corners: np.ndarray, point: np.ndarray) -> float:
    """Distance of an outside point (3,) from the nearest triangle of corners (F, 3, 3) that parts outside from inside there."""
    nearest = nearest_on_triangles(corners, np.broadcast_to(point, (len(corners), 3)))
    far = np.linalg.norm(nearest - point, axis=1)
    for face in np.argsort(far)[:400]:
        normal = np.cross(corners[face, 1] - corners[face, 0], corners[face, 2] - corners[face, 0])
        normal /= max(float(np.linalg.norm(normal)), 1e-300)
        sides = nearest[face] + np.array([[1e-6], [-1e-6]]) * normal
        held = [winding(s.vertices, s.faces.astype(np.int64), sides) > 0.5 for s in solids]
        before, behind = np.any(held, axis=0)
        if before != behind:
            return float(far[face])
    return float("inf")


def distances(assets: Path, library: Path, first: int, count: int, points: int, seconds: float) -> dict[str, Any]:
    """The signed distance of `count` people against brute force.

    The sign of every point is held against exact solid angles of every solid. From outside, the nearest point of any solid's surface,
    uncut, is on the outer surface: that distance is taken over all triangles of the solids. From inside it is taken over all triangles of
    the outer surface; whether that surface is right is asked of the reference of the tests, point by point for `seconds` a person.
    """
    maker = open_maker(assets, Plan(people=first + count), library)
    result = {"people": 0, "points": 0, "wrong_signs": 0, "worst_outside_mm": 0.0, "worst_inside_mm": 0.0}
    result |= {"strange": 0, "reference_points": 0, "worst_reference_mm": 0.0}
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
        inside = np.zeros(points, bool)
        for solid in solids:
            inside |= winding(solid.vertices, solid.faces.astype(np.int64), query) > 0.5
        result["wrong_signs"] += int(((fast < 0) != inside)[np.abs(fast) > 0.002].sum())
        starts = np.cumsum([0, *(len(solid.vertices) for solid in solids[:-1])])
        vertices = np.concatenate([solid.vertices for solid in solids])
        faces = np.concatenate([solid.faces + start for solid, start in zip(solids, starts, strict=True)]).astype(np.int64)
        outside = distance(vertices, faces, query[~inside])
        within = distance(surface.vertices, surface.faces.astype(np.int64), query[inside])
        # Where cloth is turned inside out neither side of a face is inside: such a face bounds nothing, and the next one counts.
        strange = np.flatnonzero(np.abs(outside - fast[~inside]) > 5e-5)
        for k in strange:
            outside[k] = nearest_boundary(solids, vertices[faces], query[~inside][k])
        result["strange"] += len(strange)
        for key, exact, mine in (("outside", outside, fast[~inside]), ("inside", within, fast[inside])):
            worst = 1000 * float(np.abs(exact - np.abs(mine)).max(initial=0))
            result[f"worst_{key}_mm"] = max(result[f"worst_{key}_mm"], worst)
        reference = BruteForce(solids)
        begin = time.perf_counter()
        for k in rng.permutation(np.flatnonzero(inside)):
            if time.perf_counter() - begin > seconds:
                break
            error = 1000 * abs(abs(float(fast[k])) - reference.distance(query[k]))
            result["worst_reference_mm"] = max(result["worst_reference_mm"], error)
            result["reference_points"] += 1
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
        "signed_distance": lambda: distances(arguments.assets, arguments.library, 0, arguments.sdf_people, 10000, 5.0),
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
