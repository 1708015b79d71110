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
from carve.export.records import Asset
from carve.gltf.buffer import append_bytes

LOOK_RANGE = {"inputMaxValue": 90.0, "outputScale": 25.0}
"""How far an eye turns, degrees, when the gaze is 90 degrees off."""
STIFFNESS, DRAG, HIT_RADIUS = 0.7, 0.4, 0.02
"""Of the spring bones: VRM's stiffness and drag, the joints' radius in metres."""


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
    """Chains of bones that hang, kept off the legs by capsules."""
    skeleton = asset.skeleton
    colliders = []
    for side in ("left", "right"):
        for first, last, radius in (("UpperLeg", "LowerLeg", 0.07), ("LowerLeg", "Foot", 0.05)):
            start, end = skeleton.index(side + first), skeleton.index(side + last)
            tail = [0.0, float(np.linalg.norm(skeleton.heads[end] - skeleton.heads[start])), 0.0]
            shape = {"capsule": {"offset": [0.0, 0.0, 0.0], "radius": radius, "tail": tail}}
            colliders.append({"node": node_of[skeleton.names[start]], "shape": shape})
    settings = {"hitRadius": HIT_RADIUS, "stiffness": STIFFNESS, "gravityPower": 0.3, "gravityDir": [0.0, -1.0, 0.0], "dragForce": DRAG}
    springs = [
        {"name": chain[0], "joints": [{"node": node_of[bone], **settings} for bone in chain], "colliderGroups": [0]}
        for chain in asset.chains
    ]
    group = {"name": "legs", "colliders": list(range(len(colliders)))}
    return {"specVersion": "1.0", "colliders": colliders, "colliderGroups": [group], "springs": springs}
