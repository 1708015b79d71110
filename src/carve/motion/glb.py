"""Motion out of an animation of a glTF file: any humanoid rig whose bones VRM's extension, the names or a map tell.

Notation: W_b(t) the world matrix of a bone's node at time t, W_b at rest (as the nodes stand in the file). The turn of W_b(t) against W_b
is the bone's motion, whatever its own axes are; which way is up is found from what is played (`io.motion_axes`).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pygltflib as gltf

from carve.files.fence import fence
from carve.files.text import read_bytes, readable
from carve.geometry.rotations import matrix_from_quaternion, quaternion_from_matrix
from carve.gltf.buffer import read_array
from carve.gltf.checks import check_tree, json_chunk
from carve.gltf.reader import MAX_BYTES, VRM_BONES, humanoid_name
from carve.motion.names import REQUIRED, humanoid_joints, read_mapping
from carve.motion.retarget import Motion, motion_from_frames
from carve.records import CarveError

FPS = 30.0
LONGEST = 600.0
"""Seconds of a clip that are read."""
MAX_NODE_FRAMES = 2_000_000
"""Nodes above and among the bones, times frames, of which each takes some 300 bytes."""
LARGEST = 1e6
"""No way, scale or time is larger."""

PARTS = ("rotation", "translation", "scale")
"""What an animation moves of a node, by glTF's names."""

Tracks = dict[tuple[int, str], tuple[np.ndarray, np.ndarray]]
"""(node, one of PARTS) -> times (K,) and values (K, 3 or 4)."""


def read_glb_motion(path: Path, names: Path | None = None) -> Motion:
    """The first animation of a GLB or VRM file that moves a humanoid; `names` is a JSON file of VRM bone names to node names.

    A CarveError says in one sentence what is wrong with the file.
    """
    mapping = None if names is None else read_mapping(names)
    with fence(f"The clip {path}", "export it again as glTF 2.0, or give it as .bvh"):
        data = read_bytes(path, MAX_BYTES)
        if data[:4] != b"glTF":
            raise CarveError(f"{path} is no whole GLB file; give a clip as .glb (Blender converts FBX) or .bvh")
        try:
            check_tree(json_chunk(data))
            document = gltf.GLTF2.load_from_bytes(data)
        except CarveError as error:
            raise CarveError(f"cannot use {path}: {error}") from error
        return _motion(document, str(path), mapping)


def _motion(document: gltf.GLTF2, source: str, mapping: Mapping[str, str] | None) -> Motion:
    if not document.animations:
        raise CarveError(f"{source}: it holds no animation")
    above = {child: n for n, node in enumerate(document.nodes) for child in node.children or []}
    joints = humanoid_nodes(document, above, source, mapping)
    nodes = _with_ancestors(joints.values(), above)
    tracks, notes = _first_tracks(document, set(nodes), source)
    end = max(float(times[-1]) for times, _ in tracks.values())
    if end > LONGEST:
        notes = (*notes, f"The clip is {end:.0f} s long; its first {LONGEST:.0f} s were taken.")
    moments = np.arange(int(min(end, LONGEST) * FPS + 1e-6) + 1) / FPS
    if len(moments) * len(nodes) > MAX_NODE_FRAMES:
        raise CarveError(f"{source}: {len(moments)} frames of {len(nodes)} nodes are too many; cut the clip into shorter ones")
    still = _bones(document, nodes, above, {}, 1, joints)
    turned, places = _bones(document, nodes, above, _resampled(tracks, moments), len(moments), joints)
    turned = turned @ np.swapaxes(still[0], -1, -2)
    index = {vrm: j for j, vrm in enumerate(joints)}
    motion = motion_from_frames(still[1][0], index, turned, places, FPS, source)
    return Motion(motion.names, motion.rotations, motion.hips, motion.fps, motion.grounded, notes=(*notes, *motion.notes))


def humanoid_nodes(document: gltf.GLTF2, above: Mapping[int, int], source: str, mapping: Mapping[str, str] | None = None) -> dict[str, int]:
    """VRM humanoid bone -> node: as the map or the file's VRM extension says, else by the names (`io.motion_names`).

    `above` leads from a node to its parent. Raises CarveError if bones without which no motion can be read are unknown.
    """
    vrm = (document.extensions or {}).get("VRMC_vrm") or (document.extensions or {}).get("VRMC_vrm_animation")
    told = {name: n for n, node in enumerate(document.nodes) if (name := humanoid_name(node))}
    if vrm and mapping is None:
        told = {bone: entry["node"] for bone, entry in vrm["humanoid"]["humanBones"].items() if bone in VRM_BONES}
        if not all(type(node) is int and 0 <= node < len(document.nodes) for node in told.values()):
            raise CarveError(f"{source}: its VRM extension points to nodes that are not there")
    if mapping is None and all(bone in told for bone in REQUIRED):
        return told
    order = _with_ancestors(range(len(document.nodes)), above)
    place = {node: i for i, node in enumerate(order)}
    parents = np.array([place[above[node]] if node in above else -1 for node in order])
    found = humanoid_joints([document.nodes[node].name or f"node_{node}" for node in order], parents, source, mapping)
    return {bone: order[joint] for bone, joint in found.items()}


def _with_ancestors(nodes: Any, above: Mapping[int, int]) -> list[int]:
    """The nodes and all above them, parents first; the graph has no rings (`io.glb_checks`)."""
    order: dict[int, None] = {}
    for node in nodes:
        way = [node]
        while way[-1] in above and way[-1] not in order:
            way.append(above[way[-1]])
        order |= dict.fromkeys(n for n in reversed(way) if n not in order)
    return list(order)


def _first_tracks(document: gltf.GLTF2, nodes: set[int], source: str) -> tuple[Tracks, tuple[str, ...]]:
    """The tracks of the first animation that moves any of the nodes, and what is to be said of the choice."""
    for number, animation in enumerate(document.animations):
        tracks = _tracks(document, animation, nodes, source)
        if not tracks:
            continue
        named = f" ({readable(animation.name)[:60]})" if isinstance(animation.name, str) and animation.name else ""
        note = f"{source} holds {len(document.animations)} animations; number {number + 1}{named} was taken."
        return tracks, (note,) if len(document.animations) > 1 else ()
    raise CarveError(f"{source}: none of its animations moves the humanoid's bones")


def _tracks(document: gltf.GLTF2, animation: gltf.Animation, nodes: set[int], source: str) -> Tracks:
    """What an animation does to the nodes; of splines the values at the keys."""
    tracks: Tracks = {}
    for channel in animation.channels:
        node, kind = channel.target.node, channel.target.path
        if node not in nodes or kind not in PARTS:
            continue
        sampler = animation.samplers[channel.sampler]
        times, values = read_array(document, sampler.input).astype(float), read_array(document, sampler.output).astype(float)
        if sampler.interpolation == "CUBICSPLINE":
            values = values[1::3]
        if times.ndim != 1 or values.shape != (len(times), 4 if kind == "rotation" else 3):
            raise CarveError(f"{source}: its animation's keys and values do not fit together")
        if not (np.isfinite(values).all() and np.abs(values).max() < LARGEST and times[0] >= 0 and times[-1] < LARGEST):
            raise CarveError(f"{source}: its animation holds numbers that are not finite or far too large")
        if not (np.diff(times) >= 0).all():
            raise CarveError(f"{source}: the times of its animation do not rise")
        tracks[(node, kind)] = (times, values)
    return tracks


def _resampled(tracks: Tracks, moments: np.ndarray) -> dict[tuple[int, str], np.ndarray]:
    """The tracks' values at the moments."""
    return {key: _sampled(times, values, moments, key[1] == "rotation") for key, (times, values) in tracks.items()}


def _sampled(times: np.ndarray, values: np.ndarray, moments: np.ndarray, rotation: bool) -> np.ndarray:
    """(T, C) values at the moments, linear between keys; quaternions on the short way and made unit."""
    if rotation:
        flips = np.cumsum(np.einsum("kc,kc->k", values[1:], values[:-1]) < 0) % 2
        values = values * np.concatenate([[1.0], np.where(flips, -1.0, 1.0)])[:, None]
    made = np.stack([np.interp(moments, times, values[:, c]) for c in range(values.shape[1])], axis=1)
    return made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-9) if rotation else made


def _bones(
    document: gltf.GLTF2,
    nodes: list[int],
    above: Mapping[int, int],
    sampled: Mapping[tuple[int, str], np.ndarray],
    count: int,
    joints: Mapping[str, int],
) -> tuple[np.ndarray, np.ndarray]:
    """World rotations (T, J, 3, 3) and places (T, J, 3) of the joints in `count` frames; what is not sampled stands as in the file."""
    world: dict[int, np.ndarray] = {}
    for n in nodes:
        local = _local(
            document.nodes[n], {kind: sampled[(n, kind)] for kind in ("rotation", "translation", "scale") if (n, kind) in sampled}
        )
        made = world[above[n]] @ local if n in above else local
        world[n] = np.broadcast_to(made, (count, 4, 4))
    matrices = np.stack([world[n] for n in joints.values()], axis=1)
    linear = matrices[..., :3, :3]
    lengths = np.linalg.norm(linear, axis=-2, keepdims=True)
    return linear / np.maximum(lengths, 1e-12), matrices[..., :3, 3]


def _local(node: gltf.Node, sampled: Mapping[str, np.ndarray]) -> np.ndarray:
    """(T or 1, 4, 4) a node's matrix against its parent, with the sampled parts in place of the file's."""
    parts = {kind: np.array([value], float) for kind in PARTS if (value := getattr(node, kind)) is not None}
    if node.matrix is not None:
        matrix = np.array(node.matrix, float).reshape(1, 4, 4).swapaxes(1, 2)
        if not sampled:
            return matrix
        scale = np.linalg.norm(matrix[:, :3, :3], axis=1)
        turn = quaternion_from_matrix(matrix[:, :3, :3] / np.maximum(scale[:, None], 1e-12))
        parts = {"rotation": turn, "translation": matrix[:, :3, 3], "scale": scale}
    parts |= sampled
    made = np.tile(np.eye(4), (max((len(part) for part in parts.values()), default=1), 1, 1))
    if "rotation" in parts:
        length = np.linalg.norm(parts["rotation"], axis=-1, keepdims=True)
        made[:, :3, :3] = matrix_from_quaternion(parts["rotation"] / np.maximum(length, 1e-9))
    if "scale" in parts:
        made[:, :3, :3] *= parts["scale"][:, None, :]
    if "translation" in parts:
        made[:, :3, 3] = parts["translation"]
    return made
