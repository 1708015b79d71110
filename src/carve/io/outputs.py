"""The files of the output folder: a contract that other programs rely on (docs/architecture.md lists it)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from carve.geometry.frames import normals_to_rgb
from carve.geometry.rotations import quaternion_from_matrix
from carve.geometry.skinning import forward_kinematics
from carve.io.glb import node_names, write_avatar_glb, write_body_glb, write_posed_glb
from carve.io.image import write_png
from carve.io.mesh_files import write_obj, write_ply
from carve.io.preview import preview_sheet
from carve.io.run_folder import to_json
from carve.records import Avatar

Extra = Literal["obj", "ply"]
"""A file format that is written on request, beside GLB."""


def write_outputs(folder: Path, avatar: Avatar, extras: Sequence[Extra] = ()) -> None:
    """Write every file of the contract into `folder`, but for the report, which tells what writing them took."""
    write_avatar_glb(folder / "avatar.glb", avatar)
    write_posed_glb(folder / "posed.glb", avatar)
    write_body_glb(folder / "body.glb", avatar.body)
    (folder / "pose.json").write_text(to_json(pose_document(avatar)), encoding="utf-8")
    (folder / "camera.json").write_text(to_json(camera_document(avatar)), encoding="utf-8")
    for side in ("front", "back"):
        write_png(folder / f"normals_{side}.png", normals_to_rgb(getattr(avatar.normals, side), avatar.normals.mask))
    write_png(folder / "mask.png", np.round(avatar.observation.mask * 255).astype(np.uint8))
    write_png(folder / "seen.png", avatar.textured.seen)
    write_png(folder / "preview.png", preview_sheet(avatar))
    if "obj" in extras:
        write_obj(folder, avatar)
    if "ply" in extras:
        write_ply(folder / "avatar.ply", avatar)


def write_report(folder: Path, report: dict[str, Any]) -> None:
    """Write report.json."""
    (folder / "report.json").write_text(to_json(report), encoding="utf-8")


def pose_document(avatar: Avatar) -> dict[str, Any]:
    """pose.json: where the joints are, and what turns avatar.glb's rest pose into posed.glb's."""
    skeleton, pose = avatar.surface.canonical.skeleton, avatar.surface.pose
    _, heads = forward_kinematics(pose.rotations, skeleton.heads, skeleton.parents, pose.root_position)
    index = {bone: i for i, bone in enumerate(skeleton.names)}
    quaternions = quaternion_from_matrix(pose.rotations)
    return {
        "frame": "camera: +X right, +Y up, looking along -Z; metres",
        "joints": {name: heads[index[bone]] for name, bone in skeleton.humanoid.items()},
        "rotations": dict(zip(node_names(skeleton), quaternions, strict=True)),
        "root": node_names(skeleton)[int(np.flatnonzero(skeleton.parents < 0)[0])],
        "root_translation": pose.root_position,
    }


def camera_document(avatar: Avatar) -> dict[str, Any]:
    """camera.json: from posed.glb's coordinates to homogeneous pixels of the photo."""
    camera = avatar.surface.camera
    return {
        "width": camera.width,
        "height": camera.height,
        "projection": camera.projection,
        "focal": camera.focal,
        "focal_source": avatar.observation.focal_source,
        "principal_point": [camera.cx, camera.cy],
        "up": avatar.body.up,
    }
