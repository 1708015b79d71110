"""An asset as a VRM 1.0 avatar (vrm-c/vrm-specification: VRMC_vrm, VRMC_springBone, VRMC_node_constraint)."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pygltflib as gltf
from PIL import Image

from carve.export.extras.visemes import EXPRESSIONS
from carve.export.glb import asset_document
from carve.export.options import VRM_LICENCE, ExportOptions, VrmMeta
from carve.export.records import Asset, Bones, Hanging
from carve.gltf.buffer import append_bytes

LOOK_RANGE = {"inputMaxValue": 90.0, "outputScale": 25.0}
"""How far an eye turns, degrees, when the gaze is 90 degrees off."""
HIT_RADIUS = 0.02
"""Of the spring bones' joints, metres."""
SPRINGS: dict[Hanging, dict[str, Any]] = {
    "skirt": {"stiffness": 0.7, "gravityPower": 0.3, "gravityDir": [0.0, -1.0, 0.0], "dragForce": 0.4},
    "hair": {"stiffness": 1.0, "gravityPower": 0.1, "gravityDir": [0.0, -1.0, 0.0], "dragForce": 0.5},
}
"""VRM's settings of what hangs."""
CAPSULES: dict[Hanging, tuple[tuple[str, str, float], ...]] = {
    "skirt": tuple(
        (f"{side}{first}", f"{side}{last}", radius)
        for side in ("left", "right")
        for first, last, radius in (("UpperLeg", "LowerLeg", 0.07), ("LowerLeg", "Foot", 0.05))
    ),
    "hair": (
        ("chest", "upperChest", 0.09),
        ("upperChest", "neck", 0.08),
        ("neck", "head", 0.05),
        ("leftShoulder", "leftUpperArm", 0.05),
        ("rightShoulder", "rightUpperArm", 0.05),
    ),
}
"""What springs keep off: from bone, to bone, metres around the line between them."""


def vrm_document(asset: Asset, options: ExportOptions, meta: VrmMeta, thumbnail: np.ndarray) -> gltf.GLTF2:
    """The asset, on a skeleton with VRM's names, with VRM's extensions; `thumbnail` (S, S, 3) uint8 is its icon."""
    document = asset_document(asset, options)
    node_of = {node.name: n for n, node in enumerate(document.nodes)}
    bones = {vrm: node_of[name] for vrm, name in asset.skeleton.humanoid.items()}
    document.extensions = {
        "VRMC_vrm": {
            "specVersion": "1.0",
            "meta": _meta(meta, asset, _thumbnail(document, thumbnail)),
            "humanoid": {"humanBones": {vrm: {"node": node} for vrm, node in bones.items()}},
            "firstPerson": {"meshAnnotations": [{"node": 0, "type": "auto"}]},
            "lookAt": _look_at(asset),
            "expressions": _expressions(asset),
        }
    }
    used = ["VRMC_vrm"]
    for leaf, hand in asset.skeleton.twists.items():
        roll = {"source": node_of[hand], "rollAxis": "Y", "weight": 0.5}
        document.nodes[node_of[leaf]].extensions = {"VRMC_node_constraint": {"specVersion": "1.0", "constraint": {"roll": roll}}}
        used = ["VRMC_vrm", "VRMC_node_constraint"]
    if asset.chains:
        document.extensions["VRMC_springBone"] = _springs(asset, node_of)
        used.append("VRMC_springBone")
    document.extensionsUsed = used
    return document


def _meta(meta: VrmMeta, asset: Asset, thumbnail: int) -> dict[str, Any]:
    """VRM's `meta` as the user gave it."""
    own = meta.licence_url.rstrip("/") != VRM_LICENCE.rstrip("/")
    values: dict[str, Any] = {
        "name": meta.name or asset.name,
        "version": "1.0",
        "authors": list(meta.authors),
        "licenseUrl": VRM_LICENCE,
        "avatarPermission": meta.avatar_permission,
        "commercialUsage": meta.commercial_usage,
        "creditNotation": meta.credit_notation,
        "modification": meta.modification,
        **meta.allow,
        "thirdPartyLicenses": _licences(asset),
        "thumbnailImage": thumbnail,
    }
    if own:
        values["otherLicenseUrl"] = meta.licence_url
    if meta.copyright:
        values["copyrightInformation"] = meta.copyright
    return values


def _licences(asset: Asset) -> str:
    """The licences of all that went into the avatar, a line each."""
    if isinstance(asset.licences, dict):
        return "\n".join(f"{part}: {licence}" for part, licence in asset.licences.items())
    return "\n".join(f"{entry['part']}: {entry['licence']}" for entry in asset.licences)


def _thumbnail(document: gltf.GLTF2, pixels: np.ndarray) -> int:
    """The index of the icon's image."""
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, "JPEG", quality=90)
    document.images.append(gltf.Image(name="thumbnail", mimeType="image/jpeg", bufferView=append_bytes(document, encoded.getvalue())))
    return len(document.images) - 1


def _look_at(asset: Asset) -> dict[str, Any]:
    """The eyes turn with their bones; where they look from, relative to the head's bone, whose axes are the body frame's."""
    skeleton = asset.skeleton
    offset = np.array([0.0, 0.06, 0.08])
    if "leftEye" in skeleton.humanoid and "rightEye" in skeleton.humanoid:
        eyes = (skeleton.heads[skeleton.index("leftEye")] + skeleton.heads[skeleton.index("rightEye")]) / 2
        offset = eyes - skeleton.heads[skeleton.index("head")]
    ranges = ("rangeMapHorizontalInner", "rangeMapHorizontalOuter", "rangeMapVerticalDown", "rangeMapVerticalUp")
    return {"type": "bone", "offsetFromHeadBone": offset.tolist(), **{name: dict(LOOK_RANGE) for name in ranges}}


def _expressions(asset: Asset) -> dict[str, Any]:
    """VRM's presets mixed from the face shapes, and ARKit's shapes one by one under their own names, as face tracking calls them."""
    place = {shape.name: index for index, shape in enumerate(asset.shapes)}

    def binds(shares: dict[str, float]) -> dict[str, Any]:
        bound = [{"node": 0, "index": place[name], "weight": share} for name, share in shares.items() if name in place]
        return {"morphTargetBinds": bound, "overrideBlink": "none", "overrideLookAt": "none", "overrideMouth": "none"}

    presets = {name: binds(shares) for name, shares in EXPRESSIONS.items()} if place else {}
    custom = {name: binds({name: 1.0}) for name in place if not name.startswith("viseme_")}
    return {"preset": presets | {"neutral": binds({})}, "custom": custom} if place else {"preset": {"neutral": binds({})}}


def _springs(asset: Asset, node_of: dict[str, int]) -> dict[str, Any]:
    """Chains of bones that hang, a skirt's kept off the legs by capsules, the hair's off neck, shoulders and back."""
    skeleton = asset.skeleton
    colliders: list[dict[str, Any]] = []
    groups: list[dict[str, Any]] = []
    place: dict[Hanging, int] = {}
    for kind in sorted({chain.kind for chain in asset.chains}):
        hanging = [skeleton.names.index(bone) for chain in asset.chains if chain.kind == kind for bone in chain.bones]
        first = len(colliders)
        for start, end, radius in CAPSULES[kind]:
            if start in skeleton.humanoid and end in skeleton.humanoid:
                colliders.append(_capsule(skeleton, skeleton.index(start), skeleton.index(end), radius, hanging, node_of))
        place[kind] = len(groups)
        groups.append({"name": kind, "colliders": list(range(first, len(colliders)))})
    springs = [
        {
            "name": chain.bones[0],
            "joints": [{"node": node_of[bone], "hitRadius": HIT_RADIUS, **SPRINGS[chain.kind]} for bone in chain.bones],
            "colliderGroups": [place[chain.kind]],
        }
        for chain in asset.chains
    ]
    return {"specVersion": "1.0", "colliders": colliders, "colliderGroups": groups, "springs": springs}


def _capsule(skeleton: Bones, start: int, end: int, radius: float, hanging: list[int], node_of: dict[str, int]) -> dict[str, Any]:
    """A collider between two bones' heads, thinner where bones that hang would otherwise lie in it at rest."""
    first, along = skeleton.heads[start], skeleton.heads[end] - skeleton.heads[start]
    offset = skeleton.heads[hanging] - first
    share = np.clip(offset @ along / max(float(along @ along), 1e-9), 0, 1)
    clear = float(np.linalg.norm(offset - share[:, None] * along, axis=1).min()) - HIT_RADIUS
    tail = (skeleton.axes[start].T @ along).tolist()
    shape = {"capsule": {"offset": [0.0, 0.0, 0.0], "radius": max(min(radius, clear), 0.01), "tail": tail}}
    return {"node": node_of[skeleton.names[start]], "shape": shape}
