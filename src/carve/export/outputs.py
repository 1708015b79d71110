"""The avatar's own files of the output folder, and those of `carve export`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from carve.export.asset import Exported, make_asset, pose_document
from carve.export.face import with_face
from carve.export.glb import asset_document
from carve.export.options import ExportOptions, Format
from carve.export.records import Asset
from carve.export.thumbnail import thumbnail
from carve.export.vrm import vrm_document
from carve.io.glb import write_posed_glb
from carve.io.gltf_buffer import to_bytes
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
    """The asset with the face shapes that the options ask for."""
    return with_face(exported.asset, avatar) if options.blendshapes == "arkit" else exported.asset


def glb_bytes(asset: Asset, options: ExportOptions) -> bytes:
    """The asset as a GLB file."""
    return to_bytes(asset_document(asset, options))


def write_format(path: Path, kind: Format, avatar: Avatar, options: ExportOptions, asset: Asset | None = None) -> list[Path]:
    """Write one format, each file whole or not at all; `asset` is what the options make of the avatar, if that is known already."""
    if kind == "vrm" and (options.skeleton != "vrm" or options.prefix):
        options, asset = replace(options, skeleton="vrm", prefix=""), None
    asset = asset or dressed(make_asset(avatar, options), avatar, options)
    writers: dict[Format, Callable[[Asset, ExportOptions], bytes]] = {"glb": glb_bytes, "vrm": vrm_bytes}
    return [_whole(path, writers[kind](asset, options))]


def _whole(path: Path, data: bytes) -> Path:
    """Write a file as a whole or not at all."""
    part = path.with_name(path.name + ".part")
    try:
        part.write_bytes(data)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def vrm_bytes(asset: Asset, options: ExportOptions) -> bytes:
    """The asset as a VRM file."""
    if options.vrm is None:
        raise CarveError("A VRM needs its author and its licence: give --vrm-author and --vrm-licence.")
    return to_bytes(vrm_document(asset, options, options.vrm, thumbnail(asset)))
