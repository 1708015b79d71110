"""Measure the synthetic people: speed of making and loading, cloth in bodies, signed distances, correspondence, drapes, determinism.

    .venv/bin/carve synth make --assets ../shared/assets --out out/synth/data --library out/synth/drapes --people 200
    .venv/bin/python benchmarks/synth.py --assets ../shared/assets --data out/synth/data --library out/synth/drapes --minutes M

`--minutes` is how long the command before took, on how many `--workers`. Results go to benchmarks/synth.json.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import itertools
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
from scipy.spatial import cKDTree

import cloth
from brute import distance, spread, winding
from carve.geometry.skinning import skin
from carve.synth.make import Plan, make_body, make_people, open_maker
from carve.synth.outer.reference import nearest_on_triangles
from carve.synth.outer.surface import Interior, Solid, outer_surface, person_solids, signed_distance
from carve.synth.samples.dataset import SyntheticPhotos
from carve.synth.store.shard_reader import ShardSet, open_shards

HERE = Path(__file__).parent
GAP = 0.0005
"""What a signed distance may be off, metres."""
SIGN = 0.002
"""How far from the surface its sign must be right, metres."""
SPACING = 0.0015
"""Between samples of the solids' faces, metres."""


def everybody(data: Path) -> list[tuple[ShardSet, int]]:
    """All people of both splits."""
    sets = [open_shards(data, "train"), open_shards(data, "val")]
    return [(shards, person) for shards in sets for person in range(len(shards.people()))]


def making(data: Path, people: int, minutes: float | None, workers: int) -> dict[str, Any]:
    """How fast `people` were made, and how large each of the data set's is."""
    size = sum(path.stat().st_size for path in data.glob("*.tar")) / len(everybody(data)) / 1e6
    rate = 60 * people / minutes if minutes else None
    return {"people": people, "minutes": minutes, "workers": workers, "people_an_hour": rate, "megabytes_a_person": size}


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


def in_solids(solids: Sequence[Solid], points: np.ndarray) -> np.ndarray:
    """(N,) bool: a solid's exact winding number about points (N, 3) exceeds 1/2; it is zero outside the solid's box."""
    inside = np.zeros(len(points), bool)
    for solid in solids:
        used = solid.vertices[np.unique(solid.faces)]
        box = np.flatnonzero(((points >= used.min(0)) & (points <= used.max(0))).all(1) & ~inside)
        inside[box] = winding(solid.vertices, solid.faces.astype(np.int64), points[box]) > 0.5
    return inside


def unit_normals(corners: np.ndarray) -> np.ndarray:
    """(F, 3) of triangles (F, 3, 3)."""
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return normal / np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-300)


def bounds(interior: Interior, points: np.ndarray, normals: np.ndarray, step: float) -> np.ndarray:
    """(N,) bool: outside all solids `step` metres before points (N, 3) and inside one behind."""
    return ~interior.holds(points + step * normals) & interior.holds(points - step * normals)


def proven(interior: Interior, corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """(N,) metres from points (N, 3) to a place on triangle i (N, 3, 3), nearly the nearest, that bounds the union; infinite without."""
    place, normals = nearest_on_triangles(corners, points), unit_normals(corners)
    inward = corners.mean(1) - place
    deep = np.linalg.norm(inward, axis=1, keepdims=True)
    found = np.full(len(points), np.inf)
    # On an edge a step along one face's normal may lead through the other face: a place a little farther in tells.
    for nudge, step in itertools.product((1e-7, 1e-6, 1e-5, 1e-4), (1e-6, 1e-7, 1e-8, 1e-9, 1e-10)):
        left = np.flatnonzero(np.isinf(found))
        tried = place[left] + np.minimum(nudge / np.maximum(deep[left], 1e-300), 1) * inward[left]
        good = bounds(interior, tried, normals[left], step)
        found[left[good]] = np.linalg.norm(tried[good] - points[left[good]], axis=1)
    return found


def distances(assets: Path, library: Path, first: int, count: int, points: int) -> dict[str, Any]:
    """The signed distance of `count` people against brute force.

    The sign of every point is held against exact solid angles of every solid. `short_mm` is the most by which a distance can be too small:
    the true one is no more than that to any place with outside before and inside behind, and one is looked for beside the nearest point of
    the outer surface. `long_mm` is the most by which a distance was found too large, against such places all over the solids' triangles,
    SPACING apart. `long_outside_mm` needs no samples: from outside no way is shorter than that to the nearest of all triangles. Where that
    is nearer by GAP a face that bounds nothing may be the reason, inside out or a cap on a cap: those points count as `undecided` and the
    samples decide. `query_mm` is the difference from plain loops over the outer surface's triangles.
    """
    maker = open_maker(assets, Plan(people=first + count), library)
    result: dict[str, Any] = {"people": 0, "drapes": len(list(library.glob("*.json"))), "draped": 0, "points": 0, "wrong_signs": 0}
    result |= {"undecided": 0, "samples": 0}
    worst = dict.fromkeys(("short_mm", "long_mm", "long_outside_mm", "query_mm"), 0.0)
    for index in range(first, first + count):
        made = make_body(maker, index)
        layers = made.dressed.layers
        space: Literal["canonical", "posed"] = "canonical" if index % 2 == 0 else "posed"
        solids, _ = person_solids(layers, space)
        surface = outer_surface(layers, space)
        rng = np.random.default_rng([7, index])
        low, high = surface.vertices.min(0) - 0.05, surface.vertices.max(0) + 0.05
        near = surface.vertices[rng.integers(len(surface.vertices), size=points // 2)] + rng.normal(0, 0.02, (points // 2, 3))
        query = np.concatenate([near, rng.uniform(low, high, (points - points // 2, 3))])
        signed = signed_distance(surface, query)
        fast = np.abs(signed)
        inside = in_solids(solids, query)
        result["wrong_signs"] += int(((signed < 0) != inside)[fast > SIGN].sum())

        interior = Interior(solids)
        corners = np.concatenate([solid.vertices[solid.faces] for solid in solids])
        samples, face = spread(corners, SPACING)
        normals = unit_normals(corners)[face]
        some = rng.integers(len(samples), size=300)
        held = np.concatenate([query, samples[some] + 1e-8 * normals[some], samples[some] - 1e-8 * normals[some]])
        if (interior.holds(held) != np.concatenate([inside, in_solids(solids, held[len(query) :])])).any():
            raise RuntimeError(
                f"Rays and solid angles disagree about what person {index} holds: look at carve.synth.outer.surface.Interior."
            )
        samples = samples[bounds(interior, samples, normals, 1e-8)]
        to_sample = cKDTree(samples, compact_nodes=False, balanced_tree=False).query(query)[0]
        own, nearest = distance(surface.vertices, surface.faces.astype(np.int64), query)
        most = np.minimum(proven(interior, surface.vertices[surface.faces[nearest]], query), to_sample)
        least, _ = distance(corners.reshape(-1, 3), np.arange(3 * len(corners)).reshape(-1, 3), query[~inside])
        gap = fast[~inside] - least
        found = {"short_mm": most - fast, "long_mm": fast - to_sample, "long_outside_mm": gap[gap < GAP], "query_mm": np.abs(fast - own)}
        worst = {name: max(worst[name], 1000 * float(values.max())) for name, values in found.items()}
        result["people"] += 1
        result["draped"] += made.draped is not None
        result["points"] += points
        result["undecided"] += int((gap >= GAP).sum())
        result["samples"] += len(samples)
        print(f"  person {index} ({space}): {result | worst}", flush=True)
    return result | worst


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
    # Only the parts that ask for people need the data.
    people = functools.cache(lambda: everybody(arguments.data))
    parts: dict[str, Callable[[], Any]] = {
        "making": lambda: making(arguments.data, arguments.people or len(people()), arguments.minutes, arguments.workers),
        "loading": lambda: loading(arguments.data, arguments.assets, 200),
        "inside": lambda: cloth_inside(people()),
        "correspondence_mm": lambda: correspondence(people()),
        "families": lambda: cloth.families(arguments.library),
        "drapes": lambda: cloth.drapes(arguments.library),
        "tailored": lambda: cloth.tailored(people()),
        "relief": lambda: cloth.relief(people()),
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
