"""What programs call the bones: VRM 1.0, Mixamo (also Ready Player Me and TalkingHead, without a prefix), Unreal's mannequin."""

from __future__ import annotations

from carve.export.options import SkeletonKind
from carve.motion.tables import MIXAMO
from carve.motion.unreal_names import UNREAL

ROOTS: dict[SkeletonKind, str] = {"vrm": "Root", "mixamo": "Root", "unreal": "root"}
"""The node on the ground."""

SCENES: dict[SkeletonKind, str] = {"vrm": "avatar", "mixamo": "Armature", "unreal": "avatar"}
"""The scene's name: TalkingHead looks for an object `Armature` around mesh and bones, and a skinned mesh must lie at the scene's top."""


def names_of(kind: SkeletonKind) -> dict[str, str] | None:
    """VRM humanoid bone -> node name; None for VRM's own names."""
    if kind == "mixamo":
        return MIXAMO | {"leftEye": "LeftEye", "rightEye": "RightEye"}
    return UNREAL if kind == "unreal" else None


def twist_name(kind: SkeletonKind, source: str) -> str:
    """Name of the twist bone that comes from a body model's forearm bone such as `lowerarm02.L`."""
    return f"lowerarm_twist_01_{source[-1].lower()}" if kind == "unreal" else source
