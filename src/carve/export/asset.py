"""From the avatar's records to the asset that files are written from, and the photo's pose against it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from carve.export.extras.chains import Chains, chain_parents, hung, with_chains
from carve.export.extras.cloth import blended, skirt, skirt_chains
from carve.export.extras.hair import around_neck, eased, hair, hair_chains
from carve.export.joint_weights import sharpened
from carve.export.options import ExportOptions
from carve.export.records import Asset, Bones
from carve.export.rest_pose import rest_rotations, rest_vertices
from carve.export.skeletons import Selection, bones_of, kept_heads, kept_rotations, select
from carve.export.soles import bending_sole, level_soles
from carve.geometry.mesh import vertex_normals
from carve.geometry.rotations import quaternion_from_matrix
from carve.geometry.skin_weights import stored_weights
from carve.geometry.skinning import bone_transforms, forward_kinematics, local_rotations, skin
from carve.records import Avatar, Skeleton


@dataclass(frozen=True)
class PhotoPose:
    """The photo's pose for the asset's skeleton, camera frame."""

    rotations: np.ndarray
    """(B, 3, 3) global rotations against the rest pose, body axes."""
    heads: np.ndarray
    """(B, 3) metres."""
    vertices: np.ndarray
    """(V, 3) metres: the asset's rest surface, posed."""


@dataclass(frozen=True)
class Exported:
    """The asset and how it stands in the photo."""

    asset: Asset
    pose: PhotoPose


def make_asset(avatar: Avatar, options: ExportOptions | None = None) -> Exported:
    """The avatar in its rest pose on the chosen skeleton; face shapes, fewer triangles and maps are added by others."""
    options = options or ExportOptions()
    surface, pose, textured = avatar.surface.canonical, avatar.surface.pose, avatar.textured
    skeleton = surface.skeleton
    chosen = select(skeleton, options.skeleton)
    to_rest = rest_rotations(surface, options.rest)
    root = int(np.flatnonzero(skeleton.parents < 0)[0])
    rotated, heads = forward_kinematics(local_rotations(to_rest, skeleton.parents), skeleton.heads, skeleton.parents, skeleton.heads[root])
    skinned = skin(surface.vertices, bone_transforms(rotated, heads, skeleton.heads), surface.bones, surface.weights)
    to_photo, posed_heads = pose.bones(skeleton)
    relative = to_photo @ np.swapaxes(to_rest, 1, 2)
    kept = kept_rotations(skeleton, chosen, relative, heads, posed_heads)
    rest_heads = kept_heads(skeleton, heads, chosen)
    local = local_rotations(kept, chosen.parents)
    loose = skirt(surface, avatar.body)
    blended_bones, blended_weights = eased(surface, *blended(surface, loose), around_neck(surface, avatar.body))
    bones, weights = merged(chosen.taker[blended_bones], sharpened(blended_bones, blended_weights, surface.vertices, skeleton))
    rest_heads = _on_bending_soles(rest_heads, skinned, skeleton, chosen, bones, weights)
    parents = chosen.parents
    chains = _chains(avatar, chosen, skinned, loose, rest_heads) if options.cloth_bones else []
    if chains:
        bones, weights = merged(*hung(chains, bones, weights, len(parents)))
        parents = np.concatenate([parents, chain_parents(chains, len(parents))])
        rest_heads = np.concatenate([rest_heads, *(chain.heads.reshape(-1, 3) for chain in chains)])
        local = np.concatenate([local, np.tile(np.eye(3), (len(parents) - len(local), 1, 1))])
    kept, kept_posed = forward_kinematics(local, rest_heads, parents, pose.root_position)
    maps = bone_transforms(kept, kept_posed, rest_heads)
    vertices = rest_vertices(skinned, avatar.surface.vertices, maps, bones, weights)
    vertices = _on_level_soles(vertices, skeleton, chosen, rest_heads, bones, weights)
    offset = np.array([rest_heads[0, 0], vertices[:, 1].min(), rest_heads[0, 2]])
    vertices, rest_heads = vertices - offset, rest_heads - offset
    posed = skin(vertices, bone_transforms(kept, kept_posed, rest_heads), bones, weights)
    asset = Asset(
        name=avatar.observation.photo.name,
        vertices=vertices,
        normals=vertex_normals(vertices, surface.faces),
        faces=surface.faces,
        corner=textured.corner,
        split_faces=textured.faces,
        uv=textured.uv,
        bones=bones,
        weights=weights,
        confidence=avatar.confidence,
        region=surface.region,
        skeleton=bones_of(skeleton, chosen, rest_heads[: len(chosen.parents)], options.skeleton, options.prefix),
        albedo=textured.albedo,
        seen=textured.seen,
        height=float(np.ptp(vertices[:, 1])),
        body_height=float(avatar.body.height),
        body_model=avatar.body.model,
        licences=avatar.report.get("licences", []),
        copyright=options.copyright,
    )
    if chains:
        asset = with_chains(asset, chains, rest_heads[len(chosen.parents) :])
    return Exported(asset, PhotoPose(kept, kept_posed, posed))


def _feet(skeleton: Skeleton, chosen: Selection, bones: np.ndarray, weights: np.ndarray) -> tuple[dict[str, int], dict[str, np.ndarray]]:
    """Places of the humanoid bones among the kept, and of each foot (V,) how far its bones move a vertex; bones and weights (V, 4)."""
    place = {vrm: int(chosen.taker[skeleton.names.index(name)]) for vrm, name in skeleton.humanoid.items()}
    share = {}
    for side in ("left", "right"):
        if f"{side}Foot" in place:
            own = [place[f"{side}{part}"] for part in ("Foot", "Toes") if f"{side}{part}" in place]
            share[side] = (weights * np.isin(bones, own)).sum(1)
    return place, share


def _on_bending_soles(
    heads: np.ndarray, vertices: np.ndarray, skeleton: Skeleton, chosen: Selection, bones: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """(K, 3) rest heads of the kept bones with the toes' where soles bend; vertices (V, 3) at rest, bones and weights (V, 4)."""
    place, share = _feet(skeleton, chosen, bones, weights)
    result = heads.copy()
    for side, own in share.items():
        if f"{side}Toes" in place and (own > 0.5).any():
            sole = float(vertices[own > 0.5, 1].min())
            result[place[f"{side}Toes"]] = bending_sole(heads[place[f"{side}Toes"]], heads[place[f"{side}Foot"]], sole)
    return result


def _on_level_soles(
    vertices: np.ndarray, skeleton: Skeleton, chosen: Selection, heads: np.ndarray, bones: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """(V, 3) rest vertices with both soles at one height; heads (K, 3), bones and weights (V, 4) of the kept skeleton."""
    place, share = _feet(skeleton, chosen, bones, weights)
    return level_soles(vertices, {side: float(heads[place[f"{side}Foot"], 1]) for side in share}, share)


def _chains(avatar: Avatar, chosen: Selection, vertices: np.ndarray, loose: np.ndarray, heads: np.ndarray) -> list[Chains]:
    """Chains of bones for a skirt, as loose as `loose` (V,) says, and for long hair, on rest vertices (V, 3) and heads (K, 3)."""
    surface = avatar.surface.canonical
    found = []
    if loose.any():
        found.append(skirt_chains(vertices, loose, 0, heads[0]))
    free = hair(surface, avatar.body, avatar.textured)
    if free.any():
        root = int(chosen.taker[surface.skeleton.names.index(surface.skeleton.humanoid["head"])])
        found.append(hair_chains(vertices, free, root, heads[root]))
    return found


def merged(bones: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bone indices (V, 4) int64 and weights (V, 4), each bone once a vertex, rounded as files store them."""
    index, stored = stored_weights(bones, weights)
    return index.astype(np.int64), stored.astype(float)


def node_rotations(bones: Bones, rotations: np.ndarray) -> np.ndarray:
    """(B, 3, 3) what the nodes' local rotations become, from global rotations (B, 3, 3) against the rest pose in body axes.

    With A_b a bone's own axes at rest the node's global rotation is R_b A_b, so its local one is A_p^T R_p^T R_b A_b.
    """
    turned = rotations @ bones.axes
    return local_rotations(turned, bones.parents)


def rest_node_rotations(bones: Bones) -> np.ndarray:
    """(B, 3, 3) the nodes' local rotations at rest."""
    return local_rotations(bones.axes, bones.parents)


def pose_document(exported: Exported) -> dict[str, Any]:
    """pose.json: where the joints are, and what turns avatar.glb's rest pose into posed.glb's."""
    bones, pose = exported.asset.skeleton, exported.pose
    posed, rest = (quaternion_from_matrix(r) for r in (node_rotations(bones, pose.rotations), rest_node_rotations(bones)))
    root = int(np.flatnonzero(bones.parents < 0)[0])
    return {
        "frame": "camera: +X right, +Y up, looking along -Z; metres",
        "joints": {vrm: pose.heads[bones.names.index(name)] for vrm, name in bones.humanoid.items()},
        "rotations": dict(zip(bones.names, posed, strict=True)),
        "rest_rotations": dict(zip(bones.names, rest, strict=True)),
        "root": bones.names[root],
        "root_translation": pose.heads[root],
    }
