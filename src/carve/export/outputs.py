"""The avatar's own files of the output folder, and those of `carve export`."""

from __future__ import annotations

from pathlib import Path

from carve.export.asset import make_asset, pose_document
from carve.export.glb import asset_document
from carve.export.options import ExportOptions
from carve.io.glb import write_posed_glb
from carve.io.gltf_buffer import to_bytes
from carve.io.run_folder import to_json
from carve.records import Avatar


def write_avatar(folder: Path, avatar: Avatar, options: ExportOptions) -> None:
    """Write avatar.glb, posed.glb and pose.json, which belong together."""
    exported = make_asset(avatar, options)
    (folder / "avatar.glb").write_bytes(to_bytes(asset_document(exported.asset, options)))
    write_posed_glb(folder / "posed.glb", avatar, exported.pose.vertices)
    (folder / "pose.json").write_text(to_json(pose_document(exported)), encoding="utf-8")
