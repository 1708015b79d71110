"""What one or several folders of weights say of the cases and photos, with the same observation and the same body.

    PYTHONPATH=src:benchmarks python benchmarks/maps.py RUNS --shared ../shared --weights shipped=DIR new=DIR [--json FILE]

RUNS holds finished output folders named after the case's folder or the photo. Nothing but the normal maps is made anew, so a case takes
seconds. Figures as `look.py` of the evaluation data takes them, on pictures 480 px a person: `relief`, the mean angle between the front
map and its own mean (sigma 6 px), and, for cases, the truth's; `fold`, the correlation of the two maps' detail; `front` and `back`, mean
angles to the truth inside the mask, degrees. A folder that also holds `detail.safetensors` is asked with it. The last lines are medians.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import cv2
import numpy as np
import torch
from scipy import ndimage

from carve.geometry.camera import Camera
from carve.geometry.relief.normal_maps import front_and_back
from carve.io.archive import load_record
from carve.io.image import read_photo
from carve.networks.detail import load_detail_net
from carve.networks.normals import load_normals_net
from carve.records import BodyFit, NormalMaps, Observation
from carve.stages.normals import Params, predict_normals

TALL, SIGMA = 480, 6.0


def mean(field: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Gaussian mean within a mask of a map (H, W, 3)."""
    weight = ndimage.gaussian_filter(inside.astype(float), SIGMA) + 1e-6
    return np.stack([ndimage.gaussian_filter(field[..., k] * inside, SIGMA) / weight for k in range(3)], -1)


def unit(normals: np.ndarray) -> np.ndarray:
    """To length 1."""
    return normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-9)


def angle(a: np.ndarray, b: np.ndarray, where: np.ndarray) -> float:
    """Mean degrees between unit maps."""
    return float(np.degrees(np.arccos(np.clip((a * b).sum(-1), -1, 1)))[where].mean())


def correlation(a: np.ndarray, b: np.ndarray, inside_a: np.ndarray, inside_b: np.ndarray, core: np.ndarray) -> float:
    """Of the detail of two maps."""
    x, y = (field - mean(field, inside) for field, inside in ((a, inside_a), (b, inside_b)))
    x, y = x[core].ravel(), y[core].ravel()
    return float((x * y).sum() / np.sqrt((x**2).sum() * (y**2).sum() + 1e-12))


def photos_of(shared: Path) -> dict[str, Path]:
    """Name of a run -> its photo."""
    cases = {path.parent.name: path for path in sorted(shared.glob("bench/dev*/*/photo.png"))}
    return cases | {path.stem: path for path in sorted(shared.glob("photos/*.jpg"))}


def truth_of(case: Path, size: tuple[int, int], scale: float) -> tuple[np.ndarray, np.ndarray] | None:
    """Front and back normals (h, w, 3) of a case's own surface in a picture scaled by `scale`; None for a photo."""
    if not (case / "gt.npz").is_file():
        return None
    with np.load(case / "gt.npz", allow_pickle=False) as archive:
        vertices, faces = archive["vertices"].astype(float), archive["faces"].astype(np.int64)
    projection = np.asarray(json.loads((case / "camera.json").read_text())["projection"], float)
    projection /= -projection[2, 2]
    camera = Camera(*size, projection[0, 0] * scale, -projection[0, 2] * scale, -projection[1, 2] * scale)
    return front_and_back(vertices + np.linalg.solve(projection[:, :3], projection[:, 3]), faces, camera)


def figures(maps: NormalMaps, truth: tuple[np.ndarray, np.ndarray] | None, mask: np.ndarray, scale: float) -> dict[str, float]:
    """See the module's head."""
    rows = np.flatnonzero((mask > 0.5).any(1))
    size = (round(mask.shape[1] * scale), round(mask.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    inside = cv2.resize(mask.astype(np.float32), size, interpolation=how) > 0.9
    height = np.arange(size[1])[:, None] - rows[0] * scale
    core = ndimage.binary_erosion(inside, iterations=6) & (height > 0.18 * TALL) & (height < 0.88 * TALL)
    drawn = [cv2.resize(side.astype(np.float32), size, interpolation=how) for side in (maps.front, maps.back)]
    there = [(np.linalg.norm(side, axis=-1) > 0.3) & inside for side in drawn]
    front, back = (unit(side) * shown[..., None] for side, shown in zip(drawn, there, strict=True))
    found = {"relief": angle(front, unit(mean(front, there[0])), core & there[0])}
    if truth is not None:
        known = [np.abs(side).sum(-1) > 0 for side in truth]
        true_front, true_back = (unit(side) for side in truth)
        found["true_relief"] = angle(true_front, unit(mean(true_front, known[0])), core & known[0])
        found["fold"] = correlation(front, true_front, there[0], known[0], core & there[0] & known[0])
        found["front"] = angle(front, true_front, there[0] & known[0])
        found["back"] = angle(back, true_back, there[1] & known[1])
    return {name: round(value, 4) for name, value in found.items()}


def main() -> None:
    """One line a case or photo and folder of weights, then the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path)
    parser.add_argument("--shared", type=Path, required=True)
    parser.add_argument("--weights", nargs="+", required=True, metavar="NAME=DIR")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folders = {name: Path(folder) for name, _, folder in (text.partition("=") for text in arguments.weights)}
    networks = {
        name: (load_normals_net(folder), load_detail_net(folder) if (folder / "detail.json").is_file() else None)
        for name, folder in folders.items()
    }
    result: dict[str, dict[str, dict[str, float]]] = {}
    for name, path in photos_of(arguments.shared).items():
        stages = arguments.runs / name / "stages"
        if not (stages / "fit_face.npz").is_file():
            continue
        photo = read_photo(path)
        known = {"photo": photo}
        observation = load_record(stages / "observe.npz", Observation, known)
        body = load_record(stages / "fit_face.npz", BodyFit, {**known, "seen": observation, "observe": observation})
        rows = np.flatnonzero((observation.mask > 0.5).any(1))
        scale = TALL / (rows[-1] - rows[0] + 1)
        truth = truth_of(path.parent, (round(photo.size[0] * scale), round(photo.size[1] * scale)), scale)
        result[name] = {}
        for key, (network, detail) in networks.items():
            maps = predict_normals(observation, body, network, Params(), detail=detail)
            result[name][key] = figures(maps, truth, observation.mask, scale)
            print(f"{name:24} {key:12}", *(f"{figure} {value:7.3f}" for figure, value in result[name][key].items()), flush=True)
    for what, cases in (("cases", True), ("photos", False)):
        rows_of = [row for row in result.values() if ("front" in next(iter(row.values()))) is cases]
        for key in networks if rows_of else ():
            medians = {figure: round(float(np.median([row[key][figure] for row in rows_of])), 3) for figure in rows_of[0][key]}
            print(f"median of {len(rows_of)} {what:7} {key:12}", *(f"{figure} {value:7.3f}" for figure, value in medians.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
