"""What can be fetched of an avatar: a closed list of names, so that nothing in an address can lead elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from carve.web.jobs.layout import AvatarFolder

GLB = "model/gltf-binary"


@dataclass(frozen=True)
class Artefact:
    """A file of an avatar."""

    type: str
    """Media type."""
    title: str
    """What it is, for people."""
    shown: bool = False
    """Whether it is a picture for the page, not a file of the run."""
    download: bool = True
    """Whether the page offers it."""


ARTEFACTS: dict[str, Artefact] = {
    "avatar.glb": Artefact(GLB, "Avatar, rigged and textured (GLB)"),
    "avatar.vrm": Artefact(GLB, "Avatar for VRM programs"),
    "avatar.usdz": Artefact("model/vnd.usdz+zip", "Avatar for USD programs"),
    "avatar.fbx": Artefact("application/octet-stream", "Avatar as FBX"),
    "avatar_lod0.glb": Artefact(GLB, "Level of detail 0, fine"),
    "avatar_lod1.glb": Artefact(GLB, "Level of detail 1"),
    "avatar_lod2.glb": Artefact(GLB, "Level of detail 2, coarse"),
    "avatar.obj": Artefact("model/obj", "Mesh as OBJ"),
    "avatar.mtl": Artefact("model/mtl", "Material of the OBJ"),
    "avatar.png": Artefact("image/png", "Texture of the OBJ"),
    "avatar.ply": Artefact("application/octet-stream", "Mesh as PLY"),
    "posed.glb": Artefact(GLB, "Mesh in the photo's pose (GLB)"),
    "body.glb": Artefact(GLB, "Body without clothes (GLB)"),
    "preview.png": Artefact("image/png", "Sheet of views"),
    "thumbnail.png": Artefact("image/png", "Picture of the head"),
    "mask.png": Artefact("image/png", "Mask of the person"),
    "seen.png": Artefact("image/png", "Texels that the photo gave"),
    "seen_back.png": Artefact("image/png", "Texels that the back photo gave"),
    "normals_front.png": Artefact("image/png", "Normals, front"),
    "normals_back.png": Artefact("image/png", "Normals, back"),
    "pose.json": Artefact("application/json", "Pose of the photo"),
    "camera.json": Artefact("application/json", "Camera of the photo"),
    "report.json": Artefact("application/json", "Report"),
    "photo.webp": Artefact("image/webp", "The photo", shown=True, download=False),
    "motions.json": Artefact("application/json", "Motions of the viewer", shown=True, download=False),
    "landmarks.json": Artefact("application/json", "Landmarks of the photo", download=False),
    **{
        f"{stage}.webp": Artefact("image/webp", f"What the stage {stage} made", shown=True, download=False)
        for stage in ("observe", "fit_body", "evidence", "refit_body", "fit_face", "normals", "canonical", "refine", "texture")
    },
}
"""By name."""


def place(folder: AvatarFolder, name: str) -> Path:
    """Where an artefact lies, if it is there. `name` is one of ARTEFACTS."""
    if name == "landmarks.json":
        return folder.run / "stages" / name
    return (folder.shown if ARTEFACTS[name].shown else folder.run) / name


def found(folder: AvatarFolder) -> dict[str, int]:
    """Artefacts that are there, with their sizes in bytes."""
    sizes = {}
    for name in ARTEFACTS:
        try:
            sizes[name] = place(folder, name).stat().st_size
        except OSError:
            continue
    return sizes
