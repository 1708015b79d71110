"""Every reader of files, with small files that it reads and ways to damage them."""

from __future__ import annotations

import hashlib
import io
import json
import random
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from fuzz.mutations import damaged, damaged_glb, damaged_json, damaged_png, damaged_zip
from people import capsule_avatar

Damage = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Target:
    """One reader."""

    seeds: Callable[[], Mapping[str, bytes]]
    """Names of files and what they hold."""
    read: Callable[[Path], Any]
    """Reads one file, with whatever uses it right after."""
    damage: Mapping[str, Damage]
    """Ending -> the damage that keeps its container whole, used for half of the files."""

    def sample(self, seed: int) -> tuple[str, bytes]:
        """A name and the damaged bytes, by the seed alone."""
        rng = random.Random(seed)
        files = self.seeds()
        name = rng.choice(sorted(files))
        inner = self.damage.get(Path(name).suffix)
        data = inner(files[name], rng) if inner is not None and rng.random() < 0.6 else damaged(files[name], rng)
        return name, data


SIDE = (48, 64)


def _saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@cache
def pictures() -> dict[str, bytes]:
    """A small picture in each format and mode."""
    rng = np.random.default_rng(0)
    smooth = np.asarray(Image.fromarray(rng.integers(0, 256, (8, 6, 3), dtype=np.uint8)).resize(SIDE, Image.Resampling.BICUBIC))
    colour = Image.fromarray(smooth)
    alpha = Image.fromarray(np.dstack([smooth, rng.integers(0, 256, smooth.shape[:2], dtype=np.uint8)]))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    camera = exif.get_ifd(ExifTags.IFD.Exif)
    camera[ExifTags.Base.FocalLength], camera[ExifTags.Base.FocalPlaneXResolution] = 35.0, 4000.0
    camera[ExifTags.Base.FocalPlaneResolutionUnit] = 3
    deep = Image.fromarray(rng.integers(0, 65536, SIDE[::-1], dtype=np.uint16))
    found = {
        "a.jpg": _saved(colour, "JPEG", exif=exif),
        "progressive.jpg": _saved(colour, "JPEG", progressive=True),
        "ink.jpg": _saved(colour.convert("CMYK"), "JPEG"),
        "a.png": _saved(alpha, "PNG", exif=exif),
        "deep.png": _saved(deep, "PNG"),
        "palette.png": _saved(colour.quantize(16), "PNG", transparency=0),
        "a.webp": _saved(alpha, "WEBP", exif=exif),
        "a.tif": _saved(colour, "TIFF", compression="tiff_lzw"),
        "float.tif": _saved(Image.fromarray(rng.random(SIDE[::-1]).astype(np.float32)), "TIFF"),
        "a.bmp": _saved(colour, "BMP"),
        "a.gif": _saved(colour.quantize(32), "GIF", save_all=True, append_images=[colour.quantize(8)]),
        "a.avif": _saved(colour, "AVIF", exif=exif),
    }
    return found | {"a.heic": (Path(__file__).parents[1] / "cases" / "quarters.heic").read_bytes()}


def _landmarks() -> dict[str, bytes]:
    point = {"pixel": [310.5, 220.25], "confidence": 0.9, "world": [0.1, None, -0.2], "spread": [1.0, 1.5, 0.02]}
    return {"landmarks.json": json.dumps(dict.fromkeys(("nose", "left_hip", "right_hip", "left_hand_4"), point)).encode()}


def _masks() -> dict[str, bytes]:
    """The pictures that lie as they are stored."""
    return {name: data for name, data in pictures().items() if name not in ("a.jpg", "a.png", "a.webp", "a.avif", "a.heic")}


def _settings() -> dict[str, bytes]:
    from carve.app.settings_page import settings_page

    return {"settings.toml": settings_page().encode()}


@cache
def motions() -> dict[str, bytes]:
    """Four frames of a figure that moves, in Mixamo's and Unreal's names."""
    rng = np.random.default_rng(1)
    found = {}
    for file, names in (
        ("mixamo.bvh", "Spine Head Arm ForeArm Hand UpLeg Leg Foot"),
        ("unreal.bvh", "spine_01 head upperarm lowerarm hand thigh calf foot"),
    ):
        spine, head, *limbs = names.split()
        upper, lower, hand, thigh, shin, foot = limbs
        lines, count = ["HIERARCHY"], 0

        def joint(name: str, offset: str, inner: tuple[Any, ...], depth: int, lines: list[str] = lines) -> int:
            kind = "ROOT" if depth == 0 else "JOINT"
            moves = "6 Xposition Yposition Zposition Zrotation Xrotation Yrotation" if depth == 0 else "3 Zrotation Xrotation Yrotation"
            lines.extend([f"{kind} {name}", "{", f"OFFSET {offset}", f"CHANNELS {moves}"])
            total = 1 + sum(joint(*child, depth + 1) for child in inner)
            lines.append("}")
            return total

        def sided(side: str, name: str, unreal: bool = "thigh" in names) -> str:
            return f"{name}_{side[0].lower()}" if unreal else f"{side}{name}"

        inner: list[tuple[Any, ...]] = [(spine, "0 15 0", [(head, "0 45 0", [])])]
        for side, s in (("Left", 1), ("Right", -1)):
            arm = (sided(side, lower), f"{28 * s} 0 0", [(sided(side, hand), f"{25 * s} 0 0", [])])
            leg = (sided(side, shin), "0 -42 0", [(sided(side, foot), "0 -41 0", [])])
            inner.append((sided(side, upper), f"{15 * s} 45 0", [arm]))
            inner.append((sided(side, thigh), f"{9 * s} -4 0", [leg]))
        root = "pelvis" if "thigh" in names else "Hips"
        count = joint(root, "0 90 0", tuple(inner), 0)
        frames = np.column_stack([np.tile([0.0, 90, 0], (4, 1)), rng.normal(0, 20, (4, 3 * count))])
        rows = [" ".join(f"{value:.2f}" for value in row) for row in frames]
        found[file] = "\n".join([*lines, "MOTION", "Frames: 4", "Frame Time: 0.0333", *rows, ""]).encode()
    return found


def _read_motion(path: Path) -> None:
    from carve.motion.retarget import read_motion, skeleton_motion
    from people import capsule_skeleton

    frames = skeleton_motion(read_motion(path), capsule_skeleton())
    assert np.isfinite(frames.rotations).all() and np.isfinite(frames.root_positions).all()


@cache
def avatars() -> dict[str, bytes]:
    """avatar.glb of a small figure."""
    from carve.export.glb import write_avatar_glb

    with TemporaryDirectory() as folder:
        path = Path(folder) / "avatar.glb"
        write_avatar_glb(path, capsule_avatar())
        return {"avatar.glb": path.read_bytes()}


def _read_glb(path: Path) -> None:
    from carve.app.animate import animate

    animate(path, path.with_name("out.glb"), None, None)


@cache
def _clips() -> dict[str, bytes]:
    """The walk of a small figure with Mixamo's names."""
    from carve.app.animate import animate
    from carve.export.glb import write_avatar_glb
    from carve.export.options import ExportOptions

    with TemporaryDirectory() as name:
        rig, walk = Path(name) / "rig.glb", Path(name) / "walk.glb"
        write_avatar_glb(rig, capsule_avatar(), ExportOptions(skeleton="mixamo", blendshapes="none"))
        animate(rig, walk, None, None)
        return {"walk.glb": walk.read_bytes()}


def _read_clip(path: Path) -> None:
    from carve.motion.glb import read_glb_motion
    from carve.motion.retarget import skeleton_motion
    from people import capsule_skeleton

    frames = skeleton_motion(read_glb_motion(path), capsule_skeleton())
    assert np.isfinite(frames.rotations).all() and np.isfinite(frames.root_positions).all()


@cache
def _bodies() -> dict[str, bytes]:
    from smpl_files import arrays_of

    arrays = arrays_of("smpl")
    arrays["shapedirs"] = arrays["shapedirs"][..., :10]
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return {"model.npz": buffer.getvalue()}


def _read_smpl(path: Path) -> None:
    from carve.body.smpl import load_smpl

    load_smpl(path)


CONVENTIONS = {
    "image_input": "image",
    "front_output": "front",
    "axes": ["+x", "+y", "+z"],
    "size": 16,
    "mean": [0.5, 0.5, 0.5],
    "normalised": False,
}


DEPTH_CONVENTIONS = {"image_input": "image", "depth_output": "front", "meaning": "inverse", "metric": False, "size": 16, "range": "0..1"}


@cache
def _model(channels: int = 3) -> dict[str, bytes]:
    """A model whose answer has so many channels."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [helper.make_node("Conv", ["image", "w"], ["front"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])]
    weight = numpy_helper.from_array(np.random.default_rng(0).normal(size=(channels, 3, 3, 3)).astype(np.float32), "w")
    shape = [1, 3, 16, 16]
    graph = helper.make_graph(
        nodes,
        "normals",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("front", TensorProto.FLOAT, [1, channels, 16, 16])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return {"model.onnx": model.SerializeToString()}


def _read_onnx(path: Path) -> None:
    from carve.networks.onnx.normals import load_onnx, run_onnx

    (path.parent / "model.json").write_text(json.dumps(CONVENTIONS))
    conventions = load_onnx(path)
    run_onnx(path, conventions, np.full((16, 16, 3), 200, np.uint8), np.ones((16, 16), np.float32))


def _read_conventions(path: Path) -> None:
    from carve.networks.onnx.normals import load_onnx

    model = path.with_name("model.onnx")
    model.write_bytes(_model()["model.onnx"])
    load_onnx(model, path)


def _read_depth(path: Path) -> None:
    from carve.networks.onnx.depth import load_depth, run_depth

    (path.parent / "model.json").write_text(json.dumps(DEPTH_CONVENTIONS))
    conventions = load_depth(path)
    run_depth(path, conventions, np.full((16, 16, 3), 200, np.uint8), np.ones((16, 16), np.float32))


def _read_depth_conventions(path: Path) -> None:
    from carve.networks.onnx.depth import load_depth

    model = path.with_name("model.onnx")
    model.write_bytes(_model(1)["model.onnx"])
    load_depth(model, path)


@cache
def _stages() -> dict[str, bytes]:
    from carve.io.archive import save_record

    avatar = capsule_avatar()
    meta = {"stage": "fit_body", "carve": "0", "seed": 0, "upstream": {"photo": "x"}, "given": [], "seconds": 1.0, "peak_memory_mib": 1.0}
    with TemporaryDirectory() as folder:
        found = {}
        for name, record in (("fit_body.npz", avatar.body), ("normals.npz", avatar.normals), ("observe.npz", avatar.observation)):
            save_record(Path(folder) / name, record, meta)
            found[name] = (Path(folder) / name).read_bytes()
        return found


def _read_stage(path: Path) -> None:
    from carve.io.archive import load_meta, load_record
    from carve.records import BodyFit, NormalMaps, Observation

    load_meta(path)
    kinds: dict[str, type[Any]] = {"fit_body": BodyFit, "normals": NormalMaps, "observe": Observation}
    load_record(path, kinds[path.stem])


@cache
def _weights() -> dict[str, bytes]:
    from carve.networks.hyper import Architecture, HyperNet
    from carve.networks.weights import write_weights

    with TemporaryDirectory() as name:
        folder = Path(name)
        architecture = Architecture(places=8, hidden=8, code=4, rank=1)
        write_weights(folder, "hyper", HyperNet(architecture), {"architecture": architecture.as_json()})
        return {file.name: file.read_bytes() for file in folder.iterdir()}


def _read_weights(path: Path) -> None:
    from carve.networks.hyper import load_hyper_net

    for name, data in _weights().items():
        if name != path.name:
            path.with_name(name).write_bytes(data)
    if path.suffix == ".safetensors":  # a card that names the damaged file, or its checksum would be all that is tried
        card = path.with_name("hyper.json")
        card.write_text(json.dumps(json.loads(card.read_text()) | {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}))
    load_hyper_net(path.parent)


@cache
def _shards() -> dict[str, bytes]:
    from synth.noise_people import data_set

    with TemporaryDirectory() as name:
        data_set(Path(name), blocks=1)
        return {
            file.name: file.read_bytes()
            for file in Path(name).iterdir()
            if (file.is_file() and "train" in file.name) or file.suffix == ".json"
        }


def _read_shards(path: Path) -> None:
    from carve.synth.store.shard_reader import open_shards

    for name, data in _shards().items():
        if name != path.name:
            path.with_name(name).write_bytes(data)
    found = open_shards(path.parent, "train", verify=False)
    for p in range(len(found.people())):
        found.person(p)
        found.arrays(p)
        for v in range(min(found.views(p), 1)):
            found.view(p, v)


@cache
def _garments() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    arrays = {
        "ref": np.array([[0, 1, 2]] * 3, np.int32),
        "weights": np.full((3, 3), 1 / 3),
        "offsets": rng.normal(size=(3, 3)),
        "scale_verts": np.array([[0, 1], [2, 3], [4, 5]], np.int32),
        "scale_den": np.ones(3),
        "uv": rng.random((3, 2)),
        "faces": np.array([[0, 1, 2]], np.int32),
        "face_uv": np.array([[0, 1, 2]], np.int32),
        "delete": np.array([7], np.int32),
    }
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    meta = {"layer": 2, "kind": "top", "gender": "unisex", "alpha": False}
    obj = "v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nf 1/1 2/2 3/3\n"
    head = "name shirt\nobj_file shirt.obj\nx_scale 1 2 1.0\ny_scale 3 4 1.0\nz_scale 5 6 1.0\nz_depth 40\n"
    mhclo = head + "verts 0\n0\n1 2 3 .2 .3 .5 0 0 .1\n5\n"
    return {
        "garment.npz": buffer.getvalue(),
        "meta.json": json.dumps(meta).encode(),
        "shirt.obj": obj.encode(),
        "shirt.mhclo": mhclo.encode(),
    }


def _read_garment(path: Path) -> None:
    from carve.synth.assets.files import read_assets

    folder = path.parent / "garments" / "shirt"
    folder.mkdir(parents=True, exist_ok=True)
    wanted = ("garment.npz", "meta.json") if path.suffix in (".npz", ".json") else ("shirt.obj", "shirt.mhclo")
    for name in wanted:
        (folder / name).write_bytes(path.read_bytes() if name == path.name else _garments()[name])
    read_assets(path.parent)


def _normal_maps() -> dict[str, bytes]:
    from carve.geometry.frames import normals_to_rgb

    rows, columns = np.mgrid[-1:1:64j, -1:1:48j]
    z = np.sqrt(np.maximum(1 - rows**2 - columns**2, 0))
    inside = rows**2 + columns**2 < 0.9
    normals = np.dstack([columns, -rows, z]).astype(np.float32)
    return {"normals.png": _saved(Image.fromarray(normals_to_rgb(normals, inside)), "PNG")}


def _reads(module: str, function: str, *arguments: Any) -> Callable[[Path], Any]:
    def read(path: Path) -> Any:
        from importlib import import_module

        return getattr(import_module(module), function)(path, *arguments)

    return read


def _read_settings(path: Path) -> None:
    from carve.settings import make_settings

    make_settings(None, path)


_JSON: dict[str, Damage] = {".json": damaged_json}
TARGETS: dict[str, Target] = {
    "photos": Target(pictures, _reads("carve.io.image", "read_photo"), {".png": damaged_png}),
    "masks": Target(_masks, _reads("carve.io.image", "read_mask", SIDE), {".png": damaged_png}),
    "normal-maps": Target(cache(_normal_maps), _reads("carve.io.normal_files", "read_normals", SIDE), {".png": damaged_png}),
    "landmarks": Target(cache(_landmarks), _reads("carve.io.landmark_file", "read_landmarks"), _JSON),
    "settings": Target(cache(_settings), _read_settings, {}),
    "motions": Target(motions, _read_motion, {}),
    "avatars": Target(avatars, _read_glb, {".glb": damaged_glb}),
    "clips": Target(_clips, _read_clip, {".glb": damaged_glb}),
    "bodies": Target(_bodies, _read_smpl, {".npz": damaged_zip}),
    "models": Target(_model, _read_onnx, {}),
    "conventions": Target(lambda: {"c.json": json.dumps(CONVENTIONS).encode()}, _read_conventions, _JSON),
    "depth-models": Target(lambda: _model(1), _read_depth, {}),
    "depth-conventions": Target(lambda: {"c.json": json.dumps(DEPTH_CONVENTIONS).encode()}, _read_depth_conventions, _JSON),
    "stages": Target(_stages, _read_stage, {".npz": damaged_zip}),
    "weights": Target(_weights, _read_weights, _JSON),
    "shards": Target(_shards, _read_shards, _JSON),
    "garments": Target(_garments, _read_garment, {".npz": damaged_zip, ".json": damaged_json}),
}


def attempt(target: Target, name: str, data: bytes, folder: Path) -> str | None:
    """Read damaged bytes as a file; None if it was read or refused in one sentence that says why, else what came out instead."""
    from carve.records import CarveError

    for old in folder.iterdir():
        shutil.rmtree(old) if old.is_dir() else old.unlink()
    path = folder / name
    path.write_bytes(data)
    try:
        target.read(path)
    except CarveError as error:
        return None if len(str(error)) < 2000 and str(error).strip() else f"a poor sentence: {str(error)[:300]!r}"
    except Exception as error:
        import traceback

        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {str(error)[:200]} ({Path(where.filename).name}:{where.lineno})"
    return None
