"""What the avatar's files are worth in the programs that read them.

    python benchmarks/asset.py FOLDER [--cases N] [--blender PYTHON_WITH_BPY]

FOLDER holds output folders of `carve reconstruct`. Validator messages (besides "this extension is not known"), volume of twisted wrists and
bent elbows, the walk's feet, normals of 20,000 triangles with their map against the full mesh, sizes and seconds; with Chromium also
three-vrm and TalkingHead, with Blender bones and IK. Results go to asset.json beside this file.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from carve.app.animate import animate
from carve.export.asset import make_asset
from carve.export.extras.volume import elbow_volume, wrist_volume
from carve.export.folder import read_avatar
from carve.export.options import ExportOptions, Format, vrm_meta
from carve.export.outputs import dressed, reduced, write_format
from carve.export.records import Asset
from carve.geometry.pictures.shading import view_camera
from carve.geometry.raster import rasterise
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin
from carve.motion.gait import walk
from carve.motion.planting import TOE_OFF, TOUCH, planted
from carve.motion.retarget import on_the_ground, skeleton_motion
from carve.records import Avatar, Skeleton

HERE = Path(__file__).parent
TESTS = HERE.parent / "tests"
META = vrm_meta(None, ["benchmark"], "https://vrm.dev/licenses/1.0/", {}, [])
VARIANTS: dict[str, tuple[Format, ExportOptions]] = {
    "vrm.glb": ("glb", ExportOptions()),
    "a_pose.glb": ("glb", ExportOptions(rest="a")),
    "mixamo.glb": ("glb", ExportOptions(skeleton="mixamo")),
    "unreal.glb": ("glb", ExportOptions(skeleton="unreal", blendshapes="none")),
    "small.glb": ("glb", ExportOptions(skeleton="mixamo", triangles=20_000)),
    "meshopt.glb": ("glb", ExportOptions(triangles=20_000, texture=2048, compress="meshopt")),
    "draco.glb": ("glb", ExportOptions(triangles=20_000, compress="draco")),
    "avatar.vrm": ("vrm", ExportOptions(vrm=META)),
    "lod_lod0.glb": ("lod", ExportOptions()),
    "avatar.usdz": ("usdz", ExportOptions()),
}


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length one."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def rendered_normals(asset: Asset, camera: Any, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, 3) shading normals from the front, by the normal map if there is one, and (H, W) where the avatar is."""
    raster = rasterise(asset.vertices[asset.corner] + shift, asset.split_faces, camera)
    normal = unit(raster.interpolate(asset.normals[asset.corner], asset.split_faces))
    if asset.normal_map is not None and asset.tangents is not None:
        side = np.cross(asset.normals[asset.corner], asset.tangents[:, :3]) * asset.tangents[:, 3:]
        tangent, bitangent = (unit(raster.interpolate(values, asset.split_faces)) for values in (asset.tangents[:, :3], side))
        uv = (raster.interpolate(asset.uv, asset.split_faces) * asset.normal_map.shape[0] - 0.5).astype(np.float32)
        m = cv2.remap(asset.normal_map.astype(np.float32), uv[..., 0], uv[..., 1], cv2.INTER_LINEAR) / 127.5 - 1
        normal = unit(tangent * m[..., :1] + bitangent * m[..., 1:2] + normal * m[..., 2:])
    return normal, raster.mask


def normal_angle(fine: Asset, coarse: Asset) -> float:
    """Mean degrees between what both show from the front."""
    camera, shift = view_camera(fine.vertices, 800, 640)
    (a, seen_a), (b, seen_b) = (rendered_normals(asset, camera, shift) for asset in (fine, coarse))
    both = seen_a & seen_b
    return float(np.degrees(np.arccos(np.clip((a * b).sum(-1)[both], -1, 1))).mean())


def walking(asset: Asset) -> dict[str, float]:
    """How far standing feet slide in a step (the worse foot, cm) and how deep a foot goes (mm)."""
    bones = asset.skeleton
    skeleton = Skeleton(bones.names, bones.parents, bones.heads, bones.humanoid)
    mesh = (asset.vertices, asset.bones, asset.weights)
    frames, stride = planted(on_the_ground(skeleton_motion(walk(), skeleton), *mesh, skeleton, True), *mesh, skeleton)
    count = len(frames.rotations)
    slid, deepest = [], 0.0
    for side, shift in (("left", 0.0), ("right", 0.5)):
        foot = np.isin(asset.bones[:, 0], [bones.index(f"{side}Foot"), bones.index(f"{side}Toes")])
        points = []
        for t in range(count):
            rotations, heads = forward_kinematics(frames.rotations[t], bones.heads, bones.parents, frames.root_positions[t])
            maps = bone_transforms(rotations, heads, bones.heads)
            points.append(skin(asset.vertices[foot], maps, asset.bones[foot], asset.weights[foot]) + np.array([0, 0, stride * t / count]))
        phase = (np.arange(count) / count + shift) % 1
        order = np.flatnonzero(phase <= TOE_OFF)[np.argsort(phase[phase <= TOE_OFF])]
        total = 0.0
        for now, after in pairwise(order):
            low = (points[now][:, 1] < TOUCH) & (points[after][:, 1] < TOUCH)
            step = points[after] - points[now] + np.array([0, 0, stride if after < now else 0])
            total += float(np.linalg.norm(step[low][:, [0, 2]].mean(0))) if low.any() else 0.0
        slid.append(100 * total)
        deepest = max(deepest, -1000 * min(float(p[:, 1].min()) for p in points))
    return {"slide_cm": max(slid), "below_floor_mm": deepest}


def validator_messages(files: list[Path]) -> int:
    """Messages of every kind in all files, but for extensions that the validator does not know and what only those use."""
    command = ["node", "validate.mjs", *map(str, files)]
    done = subprocess.run(command, cwd=TESTS / "validator", capture_output=True, text=True, check=True)
    known = ("UNSUPPORTED_EXTENSION", "UNUSED_OBJECT")
    return sum(m["code"] not in known for report in json.loads(done.stdout).values() for m in report["issues"]["messages"])


def in_the_browser(scenario: str, *files: Path) -> dict[str, Any] | None:
    """What the tests' page says of the files; None without Chromium."""
    chromium = shutil.which("chromium")
    if chromium is None:
        return None
    command = ["node", "run.mjs", chromium, scenario, *map(str, files)]
    done = subprocess.run(command, cwd=TESTS / "browser", capture_output=True, text=True, check=False)
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def figures(avatar: Avatar, folder: Path, blender: str | None) -> dict[str, Any]:
    """All figures of one avatar; its files are written into `folder`."""
    seconds: dict[str, float] = {}
    for name, (kind, options) in VARIANTS.items():
        begin = time.process_time()
        write_format(folder / name, kind, avatar, options)
        seconds[name] = time.process_time() - begin
    exported = make_asset(avatar)
    full = dressed(exported, avatar, ExportOptions())
    plain = make_asset(avatar, ExportOptions(skeleton="mixamo")).asset
    coarse = reduced(full, 20_000)
    error = np.linalg.norm(exported.pose.vertices - avatar.surface.vertices, axis=1)
    animate(folder / "mixamo.glb", folder / "clip.glb", None, None)
    result: dict[str, Any] = {
        "validator_messages": validator_messages(sorted([*folder.glob("*.glb"), folder / "avatar.vrm"])),
        "posed_error_mm": 1000 * float(error.max()),
        "height_error_mm": 1000 * abs(full.height - float(full.vertices[:, 1].max())),
        "wrist_volume": min(wrist_volume(a, side) for a in (full, plain) for side in ("left", "right")),
        "elbow_volume": min(elbow_volume(a, side) for a in (full, plain) for side in ("left", "right")),
        "normals_20k_deg": normal_angle(full, coarse),
        "normals_20k_without_map_deg": normal_angle(full, replace(coarse, normal_map=None)),
        "meshopt_20k_mb": (folder / "meshopt.glb").stat().st_size / 1e6,
        **walking(full),
        "seconds": seconds,
        "seconds_all": sum(seconds.values()),
    }
    vrm, head = in_the_browser("vrm", folder / "avatar.vrm", folder / "clip.glb"), in_the_browser("talkinghead", folder / "mixamo.glb")
    if vrm is not None and head is not None:
        result["three_vrm_floor_cm"] = 100 * max(map(abs, vrm["low"])) if "low" in vrm else None
        result["talkinghead"] = head.get("visemes") == 15
    if blender is not None:
        files = [str(folder / name) for name in ("vrm.glb", "mixamo.glb", "unreal.glb")]
        done = subprocess.run([blender, str(HERE / "blender_bones.py"), "--", *files], capture_output=True, text=True, check=True)
        said = json.loads(done.stdout.splitlines()[-1]).values()
        result |= {key: max(entry[key] for entry in said) for key in ("largest_angle_deg", "wrist_miss_cm")}
    return result


def main() -> None:
    """Measure all folders, print a line each and the medians, write asset.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--cases", type=int)
    parser.add_argument("--blender", help="a Python that has bpy")
    arguments = parser.parse_args()
    found = sorted(report.parent for report in arguments.folder.glob("*/report.json"))
    cases = {}
    for path in found if arguments.cases is None else found[:: max(1, len(found) // arguments.cases)][: arguments.cases]:
        with tempfile.TemporaryDirectory() as made:
            cases[path.name] = figures(read_avatar(path), Path(made), arguments.blender)
        summary(cases)
        print(
            path.name,
            {key: round(v, 3) if isinstance(v, float) else v for key, v in cases[path.name].items() if key != "seconds"},
            flush=True,
        )
    table = summary(cases)
    for key, row in table.items():
        print(f"{key:<30} median {row['median']:.3f}   worst {row['worst']:.3f}")


def summary(cases: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Median and worst of every figure; all of it goes into asset.json."""
    numbers = [key for key, value in next(iter(cases.values())).items() if isinstance(value, int | float)]
    table = {}
    for key in numbers:
        values = [case[key] for case in cases.values() if case.get(key) is not None]
        table[key] = {"median": float(median(values)), "worst": float(_worst(key, values))}
    (HERE / "asset.json").write_text(json.dumps({"summary": table, "cases": cases}, indent=1) + "\n", encoding="utf-8")
    return table


def _worst(key: str, values: list[float]) -> float:
    """The smallest of volumes and of what is true, else the largest."""
    return min(values) if key.endswith("volume") or key == "talkinghead" else max(values)


if __name__ == "__main__":
    main()
