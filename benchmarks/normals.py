"""Measure the normals network on the photos and evaluation cases of a shared folder.

    python benchmarks/normals.py [--shared ../shared] [--work out/normals] [--weights FOLDER] [--sheets FOLDER]

Observations and first body fits are kept in the work folder; delete it after a change of those stages. Results go to normals.json beside
this file, contact sheets of all maps to the sheets folder.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from carve.body.anny import load_anny
from carve.geometry.camera import Camera
from carve.geometry.frames import normals_to_rgb
from carve.geometry.mesh import face_normals, vertex_normals
from carve.geometry.normal_maps import front_and_back
from carve.geometry.raster import rasterise
from carve.io.archive import load_record, save_record
from carve.io.image import read_mask, read_photo
from carve.networks.normals import load_normals_net
from carve.networks.weights import FOLDER
from carve.records import BodyFit, NormalMaps, Observation
from carve.stages.fit_body import Params as FitParams
from carve.stages.fit_body import fit_body
from carve.stages.normals import Params, predict_normals
from carve.stages.observe import Params as ObserveParams
from carve.stages.observe import observe
from subjects import Subject, find_subjects

HERE = Path(__file__).parent


def prepared(subject: Subject, work: Path) -> tuple[Observation, BodyFit]:
    """What the first two stages say, from the work folder if it is there."""
    seen, fitted = work / f"{subject.name}.observation.npz", work / f"{subject.name}.body.npz"
    photo = read_photo(subject.photo)
    if not fitted.is_file():
        observation = observe(photo, ObserveParams())
        save_record(seen, observation, {}, {"photo": photo})
        save_record(fitted, fit_body(observation, load_anny(), FitParams()), {})
    return load_record(seen, Observation, {"photo": photo}), load_record(fitted, BodyFit)


def true_maps(case: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Front and back normals (H, W, 3) of a case's own surface through its own camera, turned to the camera or from it, and where."""
    truth = np.load(case / "gt.npz", allow_pickle=False)
    note = json.loads((case / "camera.json").read_text())
    matrix = np.array(note["projection"])
    camera = Camera(note["width"], note["height"], matrix[0, 0], -matrix[0, 2], -matrix[1, 2])
    vertices, faces = truth["vertices"].astype(float), truth["faces"].astype(np.int64)
    corner = vertices[faces]
    toward = np.einsum("fi,fi->f", face_normals(vertices, faces), corner.mean(1)) < 0
    normals = vertex_normals(vertices, faces)
    maps = []
    for farthest in (False, True):
        raster = rasterise(vertices, faces, camera, farthest)
        image = raster.interpolate(normals, faces)
        image *= np.where(toward[np.maximum(raster.face, 0)] == farthest, -1.0, 1.0)[..., None]
        maps.append(image / np.maximum(np.linalg.norm(image, axis=-1, keepdims=True), 1e-6))
    return maps[0], maps[1], rasterise(vertices, faces, camera).mask


def angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(H, W) degrees between unit vectors."""
    return np.degrees(2 * np.arcsin(np.clip(np.linalg.norm(a.astype(float) - b, axis=-1) / 2, 0, 1)))


def iou(a: np.ndarray, b: np.ndarray) -> float:
    """Of two masks (H, W)."""
    return float((a & b).sum() / max((a | b).sum(), 1))


def judge_case(case: Path, body: BodyFit, maps: NormalMaps, alone: NormalMaps) -> dict[str, float]:
    """Angles in degrees inside the true mask, and their ratios to the body's where the body is."""
    front, back, there = true_maps(case)
    there &= read_mask(case / "mask.png", (there.shape[1], there.shape[0])) > 0.5
    naked = front_and_back(body.posed, body.faces, body.camera)
    values: dict[str, float] = {}
    for side, true, own, found, bare in (
        ("front", front, naked[0], maps.front, alone.front),
        ("back", back, naked[1], maps.back, alone.back),
    ):
        both = there & (own != 0).any(-1) & maps.mask
        values[f"{side}_deg"] = float(angle(found, true)[there & maps.mask].mean())
        values[f"{side}_photo_alone_deg"] = float(angle(bare, true)[there & alone.mask].mean())
        values[f"{side}_body_deg"] = float(angle(own, true)[both].mean())
        values[f"{side}_ratio"] = float(angle(found, true)[both].mean()) / values[f"{side}_body_deg"]
    inside = there & maps.mask
    errors, doubt = angle(maps.front, front)[inside], maps.log_variance[inside].astype(float)
    order = errors[np.argsort(doubt)]
    tenth = len(order) // 10
    values["certain_against_uncertain"] = float(order[:tenth].mean() / order[-tenth:].mean())
    return values


def sheet_row(observation: Observation, body: BodyFit, maps: NormalMaps, alone: NormalMaps, true: np.ndarray | None) -> np.ndarray:
    """Photo, mask, body, what the photo alone tells, front, back, doubt, and the truth of a case: the person's box at one height."""
    left, top, width, height = cv2.boundingRect((observation.mask > 0.5).astype(np.uint8))
    margin = height // 20
    rows = slice(max(top - margin, 0), top + height + margin)
    columns = slice(max(left - margin, 0), left + width + margin)
    naked = front_and_back(body.posed, body.faces, body.camera)[0]
    grey = lambda image: np.repeat(np.clip(image, 0, 255).astype(np.uint8)[..., None], 3, 2)  # noqa: E731
    coverage = observation.mask if maps.coverage is None else maps.coverage
    mask = np.stack([observation.mask, coverage, coverage], -1) * 255
    tiles = [observation.photo.pixels, mask.astype(np.uint8)]
    tiles += [normals_to_rgb(n, (n != 0).any(-1)) for n in (naked, alone.front, maps.front, maps.back)]
    tiles.append(grey(np.where(maps.mask, np.degrees(np.exp(maps.log_variance.astype(float) / 2)) * 5, 0)))
    if alone.depth is not None and alone.mask.any():
        low, high = np.percentile(alone.depth[alone.mask], [1, 99])
        tiles.append(grey(np.where(alone.mask, 40 + 215 * (alone.depth - low) / max(high - low, 1e-6), 0)))
    if true is not None:
        tiles.append(normals_to_rgb(true, (true != 0).any(-1)))
    return np.hstack(
        [cv2.resize(t[rows, columns], (round(420 * t[rows, columns].shape[1] / t[rows, columns].shape[0]), 420)) for t in tiles]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=HERE.parent.parent / "shared")
    parser.add_argument("--work", type=Path, default=Path("out/normals"))
    parser.add_argument("--weights", type=Path, default=FOLDER, help="folder of normals.safetensors and its card")
    parser.add_argument("--sheets", type=Path)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--prepare", action="store_true", help="observe and fit only")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    subjects = [s for s in find_subjects(arguments.shared) if not arguments.only or s.name in arguments.only]
    if arguments.prepare:
        for subject in subjects:
            prepared(subject, arguments.work)
            print(subject.name, flush=True)
        return
    network = load_normals_net(arguments.weights)
    results: dict[str, dict[str, float]] = {}
    for subject in subjects:
        observation, body = prepared(subject, arguments.work)
        begin = time.perf_counter()
        alone = predict_normals(observation, None, network, Params())
        middle = time.perf_counter()
        maps = predict_normals(observation, body, network, Params())
        values = {"seconds": time.perf_counter() - middle, "seconds_photo_alone": middle - begin}
        true = None
        if subject.mask is not None:
            given = read_mask(subject.mask, observation.photo.size) > 0.5
            values["mask_iou"] = iou(maps.mask, given)
            values["mask_iou_before"] = iou(observation.mask > 0.5, given)
        if subject.case is not None:
            values |= judge_case(subject.case, body, maps, alone)
            true = true_maps(subject.case)[0]
        if arguments.sheets:
            arguments.sheets.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(arguments.sheets / f"{subject.name}.png"), sheet_row(observation, body, maps, alone, true)[..., ::-1])
        results[subject.name] = values
        print(subject.name, json.dumps({k: round(v, 3) for k, v in values.items()}), flush=True)
    names = list(dict.fromkeys(k for v in results.values() for k in v))
    medians: dict[str, Any] = {n: round(median([v[n] for v in results.values() if n in v]), 4) for n in names}
    print(json.dumps(medians, indent=1))
    if not arguments.only and arguments.weights == FOLDER:
        (HERE / "normals.json").write_text(json.dumps({"median": medians, "subjects": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
