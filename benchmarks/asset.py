"""What the avatar's files are worth in the programs that read them.

    python benchmarks/asset.py FOLDER [--only NAME ...] [--parts files shape browser blender fbx] [--keep WORK] [--blender PYTHON_WITH_BPY]

FOLDER holds output folders of `carve reconstruct`. Each part is measured for itself, one avatar after the other, and asset.json beside this
file keeps what is measured: a run that was stopped goes on where it was, and what other sources of carve gave is measured anew.

files: seconds of the processor and sizes of all formats. validators, of these files: what Khronos' validator says (extensions that
it does not know apart) and usdchecker.
shape: volume of twisted wrists and bent elbows, the walk's feet, normals of 20,000 triangles with their map, the face's texels, mips.
browser: three-vrm, three.js (both with Mixamo's walk) and TalkingHead in Chromium.
blender: bones and IK on default import. fbx: its seconds; both need a Python with bpy.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from asset_figures import face_density, idle_bones, mip_error, normal_angle, walking
from carve.app.animate import animate
from carve.export.asset import make_asset
from carve.export.extras.volume import elbow_volume, wrist_volume
from carve.export.folder import read_avatar
from carve.export.options import ExportOptions, Format, vrm_meta
from carve.export.outputs import dressed, reduced, write_avatar, write_format
from carve.provenance import HOME, source_hash
from carve.records import Avatar
from mixamo_walk import write_mixamo_walk

HERE = Path(__file__).parent
TESTS = HERE.parent / "tests"
META = vrm_meta(None, ["benchmark"], "https://vrm.dev/licenses/1.0/", {}, [])
ALL = ExportOptions(formats=("vrm", "usdz", "lod"), vrm=META)
"""Of the files that `carve reconstruct --vrm --usd --lod` writes beside avatar.glb, posed.glb, pose.json and two pictures."""
VARIANTS: dict[str, tuple[Format, ExportOptions]] = {
    "a_pose.glb": ("glb", ExportOptions(rest="a", triangles=8_000)),
    "mixamo.glb": ("glb", ExportOptions(skeleton="mixamo", triangles=20_000)),
    "unreal.glb": ("glb", ExportOptions(skeleton="unreal", triangles=8_000)),
    "cloth.vrm": ("vrm", ExportOptions(vrm=META, cloth_bones=True, triangles=20_000)),
    "meshopt.glb": ("glb", ExportOptions(triangles=20_000, texture=2048, compress="meshopt")),
    "draco.glb": ("glb", ExportOptions(triangles=20_000, compress="draco")),
}
"""Further files, each with options of its own."""


def files(avatar: Avatar, folder: Path, blender: str | None) -> dict[str, Any]:
    """Write everything; seconds and sizes."""
    begin = time.process_time()
    notes = write_avatar(folder, avatar, ALL)
    result: dict[str, Any] = {"seconds_all_formats": time.process_time() - begin, "formats_that_failed": len(notes)}
    for name, (kind, options) in VARIANTS.items():
        begin = time.process_time()
        write_format(folder / name, kind, avatar, options)
        result[f"seconds_{name}"] = time.process_time() - begin
    exported = make_asset(avatar)
    error = np.linalg.norm(exported.pose.vertices - avatar.surface.vertices, axis=1)
    return result | {
        "posed_error_mm": 1000 * float(error.max()),
        "height_error_mm": 1000 * abs(exported.asset.height - float(exported.asset.vertices[:, 1].max())),
        "full_mb": (folder / "avatar.glb").stat().st_size / 1e6,
        "meshopt_20k_mb": (folder / "meshopt.glb").stat().st_size / 1e6,
        "draco_20k_mb": (folder / "draco.glb").stat().st_size / 1e6,
    }


def validators(avatar: Avatar, folder: Path, blender: str | None) -> dict[str, Any]:
    """What validators say of what `files` wrote."""
    checked, messages = validator_messages(sorted([*folder.glob("*.glb"), *folder.glob("*.vrm")]))
    return {"validated_files": checked, "validator_messages": messages, "usdchecker_messages": usd_messages(folder / "avatar.usdz")}


def shape(avatar: Avatar, folder: Path, blender: str | None) -> dict[str, Any]:
    """What the asset is worth by itself."""
    exported = make_asset(avatar)
    full = dressed(exported, avatar, ExportOptions())
    plain = make_asset(avatar, ExportOptions(skeleton="mixamo")).asset
    coarse = reduced(full, 20_000)
    return {
        "wrist_volume": min(wrist_volume(a, side) for a in (full, plain) for side in ("left", "right")),
        "elbow_volume": min(elbow_volume(a, side) for a in (full, plain) for side in ("left", "right")),
        "normals_20k_deg": normal_angle(full, coarse),
        "normals_20k_without_map_deg": normal_angle(full, replace(coarse, normal_map=None)),
        "face_density": face_density(avatar),
        "fifth_mip_error_of_255": mip_error(avatar, 5),
        "idle_bones": max(idle_bones(a) for a in (full, plain, make_asset(avatar, ExportOptions(skeleton="unreal")).asset)),
        **walking(full),
    }


def browser(avatar: Avatar, folder: Path, blender: str | None) -> dict[str, Any]:
    """What three-vrm and three.js make of Mixamo's walk on it, and whether TalkingHead takes it."""
    write_format(folder / "avatar.vrm", "vrm", avatar, ExportOptions(vrm=META, triangles=20_000, cloth_bones=True))
    write_format(folder / "mixamo.glb", "glb", avatar, ExportOptions(skeleton="mixamo", triangles=20_000))
    write_mixamo_walk(folder / "walk.bvh")
    animate(folder / "mixamo.glb", folder / "clip.glb", folder / "walk.bvh", None)
    vrm = in_the_browser("vrm", folder / "avatar.vrm", folder / "walk.bvh")
    plays = in_the_browser("plays", folder / "clip.glb")
    head = in_the_browser("talkinghead", folder / "mixamo.glb")
    result: dict[str, Any] = {}
    for kind in ("skirt", "hair"):
        count = sum(name.startswith(kind) for name in vrm["springs"])
        if count:
            result |= {f"{kind}_spring_joints": count, f"{kind}_swing_cm": 100 * vrm["swing"][kind]}
    return result | {
        "three_vrm_floor_cm": 100 * max(map(abs, vrm["low"])),
        "mixamo_floor_cm": 100 * max(map(abs, plays["low"])),
        "three_vrm_expressions": len(vrm["expressions"]),
        "talkinghead": head.get("visemes") == 15,
    }


def bones(avatar: Avatar, folder: Path, blender: str | None) -> dict[str, Any]:
    """What Blender's default import makes of all three skeletons."""
    assert blender is not None
    made = []
    for kind in ("vrm", "mixamo", "unreal"):
        made.append(folder / f"bones_{kind}.glb")
        write_format(made[-1], "glb", avatar, ExportOptions(skeleton=kind, triangles=8_000))
    command = [blender, str(HERE / "blender_bones.py"), "--", *map(str, made)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    said = json.loads(done.stdout.splitlines()[-1]).values()
    for file in made:
        file.unlink()
    return {key: max(entry[key] for entry in said) for key in ("largest_angle_deg", "wrist_miss_cm")}


def fbx(avatar: Avatar, folder: Path, blender: str | None) -> dict[str, Any]:
    """Seconds of Blender's own process for the full mesh."""
    os.environ["CARVE_BLENDER"] = str(blender)
    asset = dressed(make_asset(avatar), avatar, ExportOptions())
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    (path,) = write_format(folder / "avatar.fbx", "fbx", avatar, ExportOptions(), asset)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return {"seconds_fbx_by_blender": spent, "fbx_mb": path.stat().st_size / 1e6}


PARTS: dict[str, Callable[[Avatar, Path, str | None], dict[str, Any]]] = {
    "files": files,
    "validators": validators,
    "shape": shape,
    "browser": browser,
    "blender": bones,
    "fbx": fbx,
}


def validator_messages(made: list[Path]) -> tuple[int, int]:
    """How many files the validator read, and its messages but for extensions that it does not know and what only those use."""
    command = ["node", "validate.mjs", *(str(file.resolve()) for file in made)]
    done = subprocess.run(command, cwd=TESTS / "validator", capture_output=True, text=True, check=True)
    known = ("UNSUPPORTED_EXTENSION", "UNUSED_OBJECT")
    reports = json.loads(done.stdout)
    return len(reports), sum(m["code"] not in known for report in reports.values() for m in report["issues"]["messages"])


def usd_messages(file: Path) -> int:
    """What the program usdchecker complains of."""
    from pxr import Usd, UsdValidation

    validators = UsdValidation.ValidationRegistry().GetOrLoadAllValidators()
    return len(UsdValidation.ValidationContext(validators).Validate(Usd.Stage.Open(str(file))))


def in_the_browser(scenario: str, *made: Path) -> dict[str, Any]:
    """What the tests' page says of the files."""
    chromium = shutil.which("chromium") or "chromium"
    command = ["node", "run.mjs", chromium, scenario, *(str(file.resolve()) for file in made)]
    done = subprocess.run(command, cwd=TESTS / "browser", capture_output=True, text=True, check=False)
    report: dict[str, Any] = json.loads(done.stdout)
    if "error" in report:
        raise SystemExit(f"{scenario}: {report['error']}")
    return report


def main() -> None:
    """Measure all folders, print a line for each part, then median and worst of every figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these folders alone")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=["files", "validators", "shape", "browser"])
    parser.add_argument("--keep", type=Path, default=Path("out/asset"), help="where the files are written (out/asset)")
    parser.add_argument("--blender", help="a Python that has bpy")
    parser.add_argument("--json", type=Path, default=HERE / "asset.json")
    arguments = parser.parse_args()
    if arguments.blender is None and {"blender", "fbx"} & set(arguments.parts):
        parser.error("the parts blender and fbx need --blender PYTHON_WITH_BPY")
    known = json.loads(arguments.json.read_text(encoding="utf-8"))["cases"] if arguments.json.is_file() else {}
    sources = source_hash(HOME)
    for path in sorted(report.parent for report in arguments.folder.glob("*/report.json")):
        if arguments.only and path.name not in arguments.only:
            continue
        case = known.setdefault(path.name, {})
        missing = [part for part in arguments.parts if case.get(part, {}).get("sources") != sources]
        avatar = read_avatar(path) if missing else None
        for part in missing:
            assert avatar is not None
            folder = arguments.keep / path.name
            folder.mkdir(parents=True, exist_ok=True)
            case[part] = PARTS[part](avatar, folder, arguments.blender) | {"sources": sources}
            print(path.name, part, {k: round(v, 3) for k, v in case[part].items() if isinstance(v, int | float)}, flush=True)
            write(arguments.json, known)
    for key, row in summary(known).items():
        print(f"{key:<30} {row['cases']:>3} avatars   median {row['median']:.3f}   worst {row['worst']:.3f}")


def write(path: Path, cases: dict[str, dict[str, Any]]) -> None:
    """All that is known, with its summary first."""
    path.write_text(json.dumps({"summary": summary(cases), "cases": cases}, indent=1) + "\n", encoding="utf-8")


def summary(cases: dict[str, dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Number of avatars, median and worst of every figure."""
    values: dict[str, list[float]] = {}
    for case in cases.values():
        for part in (*case.values(), totals(case)):
            for key, value in part.items():
                if isinstance(value, int | float):
                    values.setdefault(key, []).append(value)
    return {key: {"cases": len(v), "median": float(median(v)), "worst": float(_worst(key, v))} for key, v in values.items()}


def totals(case: dict[str, Any]) -> dict[str, float]:
    """Seconds of the processor for every format with FBX, and for these and all variants, where an avatar has both parts."""
    if "files" not in case or "fbx" not in case:
        return {}
    formats = case["files"]["seconds_all_formats"] + case["fbx"]["seconds_fbx_by_blender"]
    return {
        "seconds_all_formats_and_fbx": formats,
        "seconds_everything": formats + sum(case["files"][f"seconds_{name}"] for name in VARIANTS),
    }


def _worst(key: str, values: list[float]) -> float:
    """The smallest of volumes and of what is true, else the largest."""
    return min(values) if key.endswith("volume") or key in ("talkinghead", "face_density") else max(values)


if __name__ == "__main__":
    main()
