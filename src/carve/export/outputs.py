"""The avatar's own files of the output folder, and those of `carve export`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2

from carve.export.asset import Exported, make_asset, pose_document
from carve.export.extras.face import with_face
from carve.export.extras.mouth import with_mouth
from carve.export.extras.thumbnail import thumbnail
from carve.export.formats.compress import with_draco, with_meshopt
from carve.export.formats.fbx import fbx_bytes
from carve.export.formats.simplify import simplified
from carve.export.formats.usd import usdz_bytes
from carve.export.formats.vrm import vrm_document
from carve.export.glb import asset_document
from carve.export.normal_map import with_normal_map
from carve.export.options import LODS, ExportOptions, Format
from carve.export.records import Asset
from carve.files.whole import write_whole
from carve.gltf.buffer import to_bytes
from carve.gltf.writer import write_posed_glb
from carve.io.image import write_png
from carve.io.run_folder import to_json
from carve.records import Avatar, CarveError

FILES: dict[Format, str] = {"glb": "avatar.glb", "vrm": "avatar.vrm", "usdz": "avatar.usdz", "fbx": "avatar.fbx", "lod": "avatar_lod0.glb"}
"""The file of each format (of `lod` the finest)."""


def write_avatar(folder: Path, avatar: Avatar, options: ExportOptions) -> list[str]:
    """Write avatar.glb, posed.glb and pose.json, which belong together, and the formats that the options ask for.

    A format that fails leaves the others whole; what went wrong comes back, a sentence each.
    """
    exported = make_asset(avatar, options)
    asset = dressed(exported, avatar, options)
    (folder / "avatar.glb").write_bytes(glb_bytes(asset, options))
    write_posed_glb(folder / "posed.glb", avatar, exported.pose.vertices)
    (folder / "pose.json").write_text(to_json(pose_document(exported)), encoding="utf-8")
    write_png(folder / "seen.png", asset.seen)
    if avatar.textured.seen_behind is not None:
        size = asset.seen.shape[::-1]
        write_png(folder / "seen_back.png", cv2.resize(avatar.textured.seen_behind, size, interpolation=cv2.INTER_AREA))
    write_png(folder / "thumbnail.png", thumbnail(asset))
    notes = []
    for kind in options.formats:
        try:
            write_format(folder / FILES[kind], kind, avatar, options, asset)
        except Exception as error:  # whatever a format's library does, the other files are to be whole
            reason = str(error) if isinstance(error, CarveError) else f"{type(error).__name__}: {error}"
            notes.append(f"{FILES[kind]} was not written: {reason}")
    return notes


def dressed(exported: Exported, avatar: Avatar, options: ExportOptions) -> Asset:
    """The asset with the face shapes and the mouth's inside, the texture size and the number of triangles that the options ask for."""
    asset = with_mouth(with_face(exported.asset, avatar), avatar) if options.blendshapes == "arkit" else exported.asset
    if options.texture is not None:
        asset = with_texture(asset, options.texture)
    return asset if options.triangles is None else reduced(asset, options.triangles)


def reduced(fine: Asset, triangles: int) -> Asset:
    """The asset with fewer triangles and a normal map of the fine one; as it is if it has no more."""
    coarse = simplified(fine, triangles)
    return coarse if coarse is fine else with_normal_map(coarse, fine, fine.albedo.shape[0])


def with_texture(asset: Asset, size: int) -> Asset:
    """The asset with textures of `size` texels a side."""
    method = cv2.INTER_AREA if size < asset.albedo.shape[0] else cv2.INTER_CUBIC
    albedo, seen = (cv2.resize(image, (size, size), interpolation=method) for image in (asset.albedo, asset.seen))
    return replace(asset, albedo=albedo, seen=seen)


def glb_bytes(asset: Asset, options: ExportOptions) -> bytes:
    """The asset as a GLB file, compressed as the options say."""
    document = asset_document(asset, options)
    if options.compress == "meshopt":
        return with_meshopt(document)
    return with_draco(document) if options.compress == "draco" else to_bytes(document)


def write_format(path: Path, kind: Format, avatar: Avatar, options: ExportOptions, asset: Asset | None = None) -> list[Path]:
    """Write one format, each file whole or not at all; `asset` is what the options make of the avatar, if that is known already."""
    if kind == "vrm" and (options.skeleton != "vrm" or options.prefix):
        options, asset = replace(options, skeleton="vrm", prefix=""), None
    if kind == "lod":
        fine = dressed(make_asset(avatar, options), avatar, replace(options, triangles=None))
        stem = path.stem.removesuffix("_lod0")
        paths = [path.with_name(f"{stem}_lod{level}.glb") for level in range(len(LODS))]
        return [_whole(path, glb_bytes(reduced(fine, count), options)) for path, count in zip(paths, LODS, strict=True)]
    asset = asset or dressed(make_asset(avatar, options), avatar, options)
    writers: dict[Format, Callable[[Asset, ExportOptions], bytes]] = {
        "glb": glb_bytes,
        "vrm": vrm_bytes,
        "usdz": lambda asset, _: usdz_bytes(asset),
        "fbx": lambda asset, options: fbx_bytes(glb_bytes(asset, replace(options, compress="none"))),
    }
    return [_whole(path, writers[kind](asset, options))]


def _whole(path: Path, data: bytes) -> Path:
    """Write a file as a whole or not at all."""
    write_whole(path, data)
    return path


def vrm_bytes(asset: Asset, options: ExportOptions) -> bytes:
    """The asset as a VRM file."""
    if options.vrm is None:
        raise CarveError("A VRM needs its author and its licence: give --vrm-author and --vrm-licence.")
    return to_bytes(vrm_document(asset, options, options.vrm, thumbnail(asset)))
