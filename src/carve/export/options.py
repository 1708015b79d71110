"""What the user chooses of the exported files, checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from carve.records import CarveError

RestPose = Literal["t", "a"]
"""`t`: arms level. `a`: arms lowered by 45 degrees."""

SkeletonKind = Literal["vrm", "mixamo", "unreal"]
"""Whose names and bones the skeleton has."""

Blendshapes = Literal["arkit", "none"]
"""`arkit`: the 52 shapes of ARKit and 15 visemes. `none`: the face stays."""

Compression = Literal["none", "meshopt", "draco"]
"""How arrays lie in the GLB: plain, EXT_meshopt_compression or KHR_draco_mesh_compression."""

Format = Literal["glb", "vrm", "usdz", "fbx", "lod"]
"""`lod` is three GLB files, avatar_lod0.glb to avatar_lod2.glb."""

LODS = (60_000, 20_000, 8_000)
"""Triangles of the levels of detail."""
FEWEST = 1_000
"""Fewer triangles do not hold a person with fingers."""


@dataclass(frozen=True)
class ExportOptions:
    """Choices that hold for all files."""

    rest: RestPose = "t"
    skeleton: SkeletonKind = "vrm"
    prefix: str = ""
    """Put before every bone's name, such as `mixamorig:`."""
    blendshapes: Blendshapes = "arkit"
    triangles: int | None = None
    """At most so many; None keeps all."""
    compress: Compression = "none"
    texture: int | None = None
    """Texels along a side; None keeps the stage's."""
    cloth_bones: bool = False
    """Chains of bones in skirts, coats and long hair."""
    formats: tuple[Format, ...] = ()
    """Files beside avatar.glb."""
    vrm: VrmMeta | None = None
    copyright: str = ""

    def __post_init__(self) -> None:
        for name, kind in (("rest", RestPose), ("skeleton", SkeletonKind), ("blendshapes", Blendshapes), ("compress", Compression)):
            if getattr(self, name) not in get_args(kind):
                raise CarveError(f"--{name} cannot be '{getattr(self, name)}'; choose from {', '.join(get_args(kind))}.")
        if not (self.prefix + self.copyright).isprintable() or len(self.prefix) > 64:
            raise CarveError("--prefix and --copyright take plain text on one line, a prefix of at most 64 characters.")
        if self.triangles is not None and self.triangles < FEWEST:
            raise CarveError(f"--triangles {self.triangles} is too few for a person with hands and a face; give {FEWEST} or more.")
        if self.texture is not None and not 64 <= self.texture <= 8192:
            raise CarveError(f"--texture-size {self.texture} is out of range; give 64 to 8192 texels.")
        if "vrm" in self.formats and self.vrm is None:
            raise CarveError("A VRM needs its author and its licence: give --vrm-author and --vrm-licence.")


@dataclass(frozen=True)
class VrmMeta:
    """VRM 1.0's `meta`: who made the avatar and what others may do with it. Nothing is guessed."""

    name: str
    """Empty: the photo's name."""
    authors: tuple[str, ...]
    licence_url: str
    avatar_permission: str
    commercial_usage: str
    credit_notation: str
    modification: str
    allow: Mapping[str, bool]
    """VRM's own names of its yes-or-no permissions."""
    copyright: str = ""


VRM_LICENCE = "https://vrm.dev/licenses/1.0/"
"""The only document that VRM 1.0 takes as `licenseUrl`; another one goes into `otherLicenseUrl`."""

VRM_CHOICES: dict[str, tuple[str, ...]] = {
    "avatar_permission": ("onlyAuthor", "onlySeparatelyLicensedPerson", "everyone"),
    "commercial_usage": ("personalNonProfit", "personalProfit", "corporation"),
    "credit_notation": ("required", "unnecessary"),
    "modification": ("prohibited", "allowModification", "allowModificationRedistribution"),
}
"""Closed choices and VRM's values for them; its default, the strictest, is the first."""

VRM_PERMISSIONS = {
    "violence": "allowExcessivelyViolentUsage",
    "sexual": "allowExcessivelySexualUsage",
    "political": "allowPoliticalOrReligiousUsage",
    "antisocial": "allowAntisocialOrHateUsage",
    "redistribution": "allowRedistribution",
}
"""Word on the command line -> VRM's flag."""


def vrm_meta(
    name: str | None, authors: list[str], licence: str | None, choices: Mapping[str, str | None], allowed: list[str], copyright: str = ""
) -> VrmMeta:
    """VRM's meta from what the user gave; a CarveError names what is missing. What is not allowed stays forbidden, as VRM has it."""
    given = [author.strip() for author in authors if author.strip()]
    for option, value in (("--vrm-author", given), ("--vrm-licence", licence)):
        if not value:
            raise CarveError(f"A VRM needs {option}; carve does not guess who made an avatar and what others may do with it.")
    assert licence is not None
    if not "".join((name or "", licence, *given)).isprintable():
        raise CarveError("--vrm-name, --vrm-author and --vrm-licence take plain text on one line.")
    if not licence.startswith(("http://", "https://")):
        raise CarveError(f"--vrm-licence '{licence}' is no URL; VRM's own licence is {VRM_LICENCE}")
    values = {}
    for key, known in VRM_CHOICES.items():
        value = choices.get(key) or known[0]
        if value not in known:
            raise CarveError(f"--vrm-{key.replace('_', '-')} cannot be '{value}'; choose from {', '.join(known)}.")
        values[key] = value
    for word in allowed:
        if word not in VRM_PERMISSIONS:
            raise CarveError(f"--vrm-allow cannot be '{word}'; choose from {', '.join(VRM_PERMISSIONS)}.")
    allow = {flag: word in allowed for word, flag in VRM_PERMISSIONS.items()}
    return VrmMeta(name or "", tuple(given), licence, allow=allow, copyright=copyright, **values)
