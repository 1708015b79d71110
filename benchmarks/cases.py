"""Runs the inputs of a folder such as SHARED/cases, each one of a kind that once failed, and says which are treated rightly.

    python benchmarks/cases.py SHARED/cases --avatar OUT [--photo examples/person.jpg] [--out out/cases] [--preset standard]

OUT is a finished folder of `carve reconstruct`: its avatar is animated, its stages are damaged. A line an input: right or WRONG, the exit
code, and what was said. The photos are reconstructed whole, which takes a minute each.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import shutil
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from carve.app.cli import run


def told(*words: object) -> tuple[int, str]:
    """Exit code and stderr of a command; a traceback is code -1."""
    error = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(error):
        try:
            code = run([str(word) for word in words])
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 1
        except Exception as failure:
            return -1, f"{type(failure).__name__}: {failure}"
    return code, error.getvalue()


def one_line(code: int, said: str) -> bool:
    """Whether input was refused as it should be."""
    return code == 2 and said.count("\n") == 1 and said.startswith("carve: ")


def photo(path: Path, work: Path, preset: str, wanted: str) -> tuple[bool, str]:
    """A photo is reconstructed and the report says `wanted`, in another word of two where there is a bar."""
    code, said = told("reconstruct", path, "--out", work / path.stem, "--preset", preset, "--overwrite", "--quiet")
    if code:
        return False, f"{code} {said}"
    report = json.loads((work / path.stem / "report.json").read_text())
    found = [note for note in report["warnings"] if any(word in note for word in wanted.split("|"))]
    pitch = np.degrees(np.arctan2(*np.array(json.loads((work / path.stem / "camera.json").read_text())["up"])[[2, 1]]))
    return bool(found), f"{found[:1]}; mask from {report['mask_source']}, trust {report['confidence']['trust']}, camera's pitch {pitch:.0f}"


def motion(path: Path, work: Path, avatar: Path) -> tuple[bool, str]:
    """The avatar stands and its hips go 1.86 leg lengths."""
    from carve.motion.retarget import read_motion

    code, said = told("animate", avatar, "--motion", path, "--out", work / "moved.glb")
    read = read_motion(path)
    way = float(np.ptp(read.hips[:, [0, 2]], axis=0).max())
    stands = bool((read.rotations[:, read.names.index("hips"), 1, 1] > 0.9).all())
    return code == 0 and stands and abs(
        way - 1.86
    ) < 0.02, f"{code}; way {way:.2f} leg lengths, {'stands' if stands else 'lies'}; {said.strip()}"


def stage(path: Path, work: Path, avatar: Path, preset: str, example: Path) -> tuple[bool, str]:
    """A damaged stage is made again, all before it are kept, and the report says so."""
    out = work / "resumed"
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(avatar, out)
    shutil.copy(path, out / "stages" / "rig.npz")
    code, said = told("reconstruct", example, "--out", out, "--preset", preset, "--resume", "--quiet")
    if code:
        return False, f"{code} {said}"
    report = json.loads((out / "report.json").read_text())
    return "rig" not in report["kept_stages"], f"{len(report['kept_stages'])} stages kept; {report['warnings'][:1]}"


def refused(*words: object) -> tuple[bool, str]:
    """The command ends with one line and exit code 2."""
    code, said = told(*words)
    return one_line(code, said), f"{code} {said.strip()}"


def shard(path: Path, work: Path) -> tuple[bool, str]:
    """A damaged shard in a whole data set is a CarveError that names it."""
    from carve.records import CarveError
    from carve.synth.store.shard_reader import open_shards

    sys.path[0] = str(Path(__file__).parents[1] / "tests")  # in place of this folder, which has a synth of its own
    from synth.noise_people import data_set  # type: ignore[import-not-found]

    folder = work / "shards"
    shutil.rmtree(folder, ignore_errors=True)
    data_set(folder)
    shutil.copy(path, folder / "train-00000.tar")
    try:
        open_shards(folder, "train", verify=False)
    except CarveError as error:
        return "train-00000.tar" in str(error), str(error)
    return False, "read"


def exif(path: Path, no: Path) -> tuple[bool, str]:
    """Damaged EXIF stops no picture; these are refused for another reason: they are too small."""
    code, said = told("reconstruct", path, "--out", no, "--quiet")
    return one_line(code, said) and ("No person" in said or "pixels tall" in said), f"{code} {said.strip()}"


def all_checks(given: argparse.Namespace) -> tuple[dict[str, Callable[[], tuple[bool, str]]], list[Path]]:
    """Name of the input -> its check, and what refused input must not write."""
    cases, hostile, work = given.cases, given.cases / "hostile", given.out
    no, moved = work / "none", work / "refused.glb"
    checks: dict[str, Callable[[], tuple[bool, str]]] = {}
    for name, wanted in (
        ("rounded_corners.png", "transparency"),
        ("wrong_exif_14mm.jpg", "focal length"),
        ("feet_out_of_picture.jpg", "feet are beyond|foot is beyond"),
    ):
        checks[name] = partial(photo, cases / name, work, given.preset, wanted)
    for name in ("way_on_parent_of_hips.bvh", "z_up_world_y_up_rest.bvh"):
        checks[name] = partial(motion, cases / name, work, given.avatar)
    for name in ("stage_meta_keys.npz", "stage_npy_header.npz", "stage_zlib.npz"):
        checks[name] = partial(stage, hostile / name, work, given.avatar, given.preset, given.photo)
    for name in ("frame_time.bvh", "not_finite.bvh"):
        checks[name] = partial(refused, "animate", given.avatar, "--motion", hostile / name, "--out", moved)
    for folder, name in (
        (cases, "draco_avatar.glb"),
        (hostile, "hips_without_leg.glb"),
        (hostile, "nan_uv.glb"),
        (hostile, "deep_json.glb"),
    ):
        checks[name] = partial(refused, "animate", folder / name, "--out", moved)
    for name in ("damaged.avif", "dds_named.jpg"):
        checks[name] = partial(refused, "reconstruct", hostile / name, "--out", no, "--quiet")
    for name in ("exif_transpose.webp", "exif_unit.jpg"):
        checks[name] = partial(exif, hostile / name, no)
    beside = {"--body-model": "zip_method.npz", "--landmarks": "deep_landmarks.json", "--settings": "deep_settings.toml"}
    for option, name in beside.items():
        checks[name] = partial(refused, "reconstruct", given.photo, option, hostile / name, "--out", no, "--quiet")
    checks["bad_member.tar"] = partial(shard, hostile / "bad_member.tar", work)
    return checks, [no, moved]


def main() -> int:
    """Print one line an input; 0 if all are treated rightly."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=Path)
    parser.add_argument("--avatar", type=Path, required=True)
    parser.add_argument("--photo", type=Path, default=Path("examples/person.jpg"))
    parser.add_argument("--out", type=Path, default=Path("out/cases"))
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--only", nargs="*", default=[])
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    checks, untouched = all_checks(given)
    wrong = 0
    for name, check in checks.items():
        if given.only and name not in given.only:
            continue
        right, said = check()
        wrong += not right
        print(f"{'right' if right else 'WRONG':<6} {name:<27} {' '.join(said.split())[:220]}", flush=True)
    leftovers = [path for path in untouched if path.exists()]
    print(f"{wrong} treated wrongly; left behind by refused input: {leftovers or 'nothing'}")
    return int(bool(wrong or leftovers))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
