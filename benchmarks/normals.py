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
from carve.geometry.raster import rasterise
from carve.geometry.relief.normal_maps import front_and_back
from carve.io.archive import load_record, save_record
from carve.io.image import read_mask, read_photo
from carve.networks.normals import load_normals_net
from carve.networks.weights import FOLDER
from carve.records import BodyFit, NormalMaps, Observation
from carve.stages.fit_body import Params as FitParams
from carve.stages.fit_body import fit_body, refit_body
from carve.stages.normals import Params, predict_evidence, predict_normals
from carve.stages.observe import Params as ObserveParams
from carve.stages.observe import observe
from refit import LIMBS, joint_errors, joints_of
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
    camera = true_camera(case)
    vertices, faces = truth["vertices"].astype(float), truth["faces"].astype(np.int64)
    corner = vertices[faces]
    toward = np.einsum("fi,fi->f", face_normals(vertices, faces), corner.mean(1)) < 0
    # Vertices are doubled at the texture's seams: smooth normals need them as one.
    _, one = np.unique(vertices.round(5), axis=0, return_inverse=True)
    welded = np.zeros((one.max() + 1, 3))
    welded[one.ravel()] = vertices
    normals = vertex_normals(welded, one.ravel()[faces])[one.ravel()]
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


def true_camera(case: Path) -> Camera:
    """That of a case."""
    note = json.loads((case / "camera.json").read_text())
    matrix = np.array(note["projection"])
    return Camera(note["width"], note["height"], matrix[0, 0], -matrix[0, 2], -matrix[1, 2])


def registered(points: np.ndarray, camera: Camera, true: Camera, depth: float) -> np.ndarray:
    """Points (N, 3) of a camera's frame scaled and shifted, as the scorer does, so that the true camera sees each at its own pixel.

    `depth` is their mean z in the true camera's frame.
    """
    pixels = camera.project(points)
    rows = []
    for i in range(2):
        a = true.projection[i, :3] - pixels[:, i : i + 1] * true.projection[2, :3]
        rows.append(np.column_stack([np.einsum("ij,ij->i", a, points), a]))
    system = np.concatenate(rows)
    norm = np.linalg.norm(system, axis=0)
    solution = np.linalg.svd(system / norm)[2][-1] / norm
    moved = points + solution[1:] / solution[0]
    return moved * (depth / moved[:, 2].mean())


def true_joints(case: Path) -> np.ndarray:
    """(J, 3) the case's own `JOINTS`, camera frame."""
    truth = np.load(case / "gt.npz", allow_pickle=False)
    names = [str(n).split(":")[-1].removeprefix("mixamorig7").removeprefix("mixamorig") for n in truth["joint_names"]]
    of_bone = {"UpperArm": "Arm", "LowerArm": "ForeArm", "Hand": "Hand", "UpperLeg": "UpLeg", "LowerLeg": "Leg", "Foot": "Foot"}
    wanted = ["Neck", "Head", *(f"{side}{of_bone[limb]}" for side in ("Left", "Right") for limb in LIMBS)]
    return truth["joints"][[names.index(name) for name in wanted]].astype(float)


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
    network, model = load_normals_net(arguments.weights), load_anny()
    results: dict[str, dict[str, float]] = {}
    for subject in subjects:
        observation, body = prepared(subject, arguments.work)
        begin = time.perf_counter()
        alone = predict_normals(observation, None, network, Params(refine_mask=True))
        middle = time.perf_counter()
        evidence = predict_evidence(observation, body, network, Params(refine_mask=True))
        asked = time.perf_counter()
        refit = refit_body(observation, body, evidence, model, FitParams())
        fitted = time.perf_counter()
        maps = predict_normals(observation, refit, network, Params(refine_mask=True))
        values = {"seconds": time.perf_counter() - fitted, "seconds_photo_alone": middle - begin, "seconds_refit": fitted - asked}
        true = None
        if subject.mask is not None:
            given = read_mask(subject.mask, observation.photo.size) > 0.5
            values["mask_iou"] = iou(maps.mask, given)
            values["mask_iou_before"] = iou(observation.mask > 0.5, given)
        if subject.case is not None:
            values |= judge_case(subject.case, refit, maps, alone)
            joints = true_joints(subject.case)
            for name, fit in (("before", body), ("after", refit)):
                own = registered(joints_of(fit), fit.camera, true_camera(subject.case), float(joints[:, 2].mean()))
                values[f"joints_root_mm_{name}"], values[f"joints_procrustes_mm_{name}"] = joint_errors(own, joints)
            true = true_maps(subject.case)[0]
        if arguments.sheets:
            arguments.sheets.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(arguments.sheets / f"{subject.name}.png"), sheet_row(observation, refit, maps, alone, true)[..., ::-1])
        results[subject.name] = values
        print(subject.name, json.dumps({k: round(v, 3) for k, v in values.items()}), flush=True)
    names = list(dict.fromkeys(k for v in results.values() for k in v))
    medians: dict[str, Any] = {n: round(median([v[n] for v in results.values() if n in v]), 4) for n in names}
    for kind in ("root", "procrustes"):
        if f"joints_{kind}_mm_before" in medians:
            medians[f"joints_{kind}_ratio"] = round(medians[f"joints_{kind}_mm_after"] / medians[f"joints_{kind}_mm_before"], 4)
    print(json.dumps(medians, indent=1))
    if not arguments.only and arguments.weights == FOLDER:
        (HERE / "normals.json").write_text(json.dumps({"median": medians, "subjects": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
