"""Motion out of the animation of a glTF file: any rig whose bones are named as Mixamo, VRM, Unreal, CMU, MakeHuman or Poser name them.

Notation: W_b(t) the world rotation of a bone's node at time t, W_b at rest (as the nodes stand in the file). The turn W_b(t) W_b^T, told in
the body's axes and against the standard pose (`motion.retarget`), is the motion, whatever the bones' own axes are.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pygltflib as gltf

from carve.files.fence import fence
from carve.files.text import read_bytes
from carve.geometry.rotations import matrix_from_quaternion
from carve.gltf.buffer import read_array
from carve.gltf.checks import check_tree, json_chunk
from carve.gltf.reader import MAX_BYTES, humanoid_name
from carve.motion.names import CMU, TABLES
from carve.motion.retarget import Motion, leg_length, standard_from_rest
from carve.motion.unreal_names import UNREAL
from carve.records import CarveError

FPS = 30.0
LONGEST = 600.0
"""Seconds of a clip that are read."""
NEEDED = ("hips", "head", "leftUpperLeg", "rightUpperLeg", "leftLowerLeg", "leftFoot", "leftUpperArm")


def read_glb_motion(path: Path) -> Motion:
    """The first animation of a GLB or VRM file. A CarveError says in one sentence what is wrong with it."""
    with fence(f"The clip {path}", "export it again as glTF 2.0, or give it as .bvh"):
        data = read_bytes(path, MAX_BYTES)
        if data[:4] != b"glTF":
            raise CarveError(f"{path} is no whole GLB file; give a clip as .glb (Blender converts FBX) or .bvh")
        try:
            check_tree(json_chunk(data))
            return _motion(gltf.GLTF2.load_from_bytes(data))
        except CarveError as error:
            raise CarveError(f"cannot use {path}: {error}") from error


def _motion(document: gltf.GLTF2) -> Motion:
    if not document.animations:
        raise CarveError("it holds no animation")
    joints = humanoid_nodes(document)
    missing = [bone for bone in NEEDED if bone not in joints]
    if missing:
        raise CarveError(f"no bone is known for {missing[0]}; name the bones as VRM, Mixamo or Unreal do")
    tracks = _tracks(document)
    end = max((float(times[-1]) for times, _ in tracks.values()), default=0.0)
    moments = np.arange(int(min(end, LONGEST) * FPS + 1e-6) + 1) / FPS
    rest = _world(document, {}, 0)
    heads = {vrm: rest[node][:3, 3] for vrm, node in joints.items()}
    turn = body_axes(heads)
    aligned = standard_from_rest({vrm: turn @ head for vrm, head in heads.items()})
    sampled = {key: _sampled(times, values, moments, key[1] == "rotation") for key, (times, values) in tracks.items()}
    rotations = np.empty((len(moments), len(joints), 3, 3))
    hips = np.empty((len(moments), 3))
    at_rest = {vrm: _rotation(rest[node]) for vrm, node in joints.items()}
    for t in range(len(moments)):
        world = _world(document, sampled, t)
        hips[t] = world[joints["hips"]][:3, 3]
        for j, (vrm, node) in enumerate(joints.items()):
            rotations[t, j] = turn @ _rotation(world[node]) @ at_rest[vrm].T @ turn.T @ aligned[vrm].T
    way = (hips - hips[:1]) @ turn.T / leg_length(heads)
    return Motion(tuple(joints), rotations, way, FPS, grounded=False)


def humanoid_nodes(document: gltf.GLTF2) -> dict[str, int]:
    """VRM humanoid bone -> node: as the file's VRM extension says, else by the names of the best fitting table."""
    vrm = (document.extensions or {}).get("VRMC_vrm") or (document.extensions or {}).get("VRMC_vrm_animation")
    if vrm:
        return {bone: int(entry["node"]) for bone, entry in vrm["humanoid"]["humanBones"].items()}
    told = {name: n for n, node in enumerate(document.nodes) if (name := humanoid_name(node))}
    if "hips" in told and "leftUpperArm" in told:
        return told
    bare = {(node.name or "").rsplit(":", 1)[-1]: n for n, node in enumerate(document.nodes)}
    bare |= {name.removeprefix("mixamorig"): n for name, n in bare.items() if name.startswith("mixamorig")}
    tables = (*TABLES, UNREAL)
    table = max(tables, key=lambda t: (sum(t[vrm] in bare for vrm in t if vrm in CMU), t["spine"] in bare))
    return {vrm: bare[name] for vrm, name in table.items() if name in bare}


def body_axes(heads: dict[str, np.ndarray]) -> np.ndarray:
    """(3, 3) rotation from the file's axes to the body frame, from where the head and the left leg are at rest."""

    def nearest_axis(vector: np.ndarray) -> np.ndarray:
        largest = np.abs(vector).argmax()
        return np.eye(3)[largest] * np.sign(vector[largest])

    up = nearest_axis(heads["head"] - heads["hips"])
    left = nearest_axis(heads["leftUpperLeg"] - heads["rightUpperLeg"])
    if abs(up @ left) > 0.5 or not up.any() or not left.any():
        raise CarveError("its rest pose does not stand upright; export the clip with a T-pose or A-pose at rest")
    return np.stack([left, up, np.cross(left, up)])


def _tracks(document: gltf.GLTF2) -> dict[tuple[int, str], tuple[np.ndarray, np.ndarray]]:
    """(node, path) -> times (K,) and values (K, 3 or 4) of the first animation; of splines the values at the keys."""
    animation, tracks = document.animations[0], {}
    for channel in animation.channels:
        if channel.target.node is None or channel.target.path not in ("rotation", "translation"):
            continue
        sampler = animation.samplers[channel.sampler]
        times, values = read_array(document, sampler.input).astype(float), read_array(document, sampler.output).astype(float)
        if sampler.interpolation == "CUBICSPLINE":
            values = values[1::3]
        if len(times) != len(values) or len(times) == 0:
            raise CarveError("its animation's keys and values do not fit together")
        tracks[(channel.target.node, channel.target.path)] = (times, values)
    return tracks


def _sampled(times: np.ndarray, values: np.ndarray, moments: np.ndarray, rotation: bool) -> np.ndarray:
    """(T, C) values at the moments, linear between keys; quaternions on the short way and made unit."""
    if rotation:
        flips = np.cumsum(np.einsum("kc,kc->k", values[1:], values[:-1]) < 0) % 2
        values = values * np.concatenate([[1.0], np.where(flips, -1.0, 1.0)])[:, None]
    made = np.stack([np.interp(moments, times, values[:, c]) for c in range(values.shape[1])], axis=1)
    return made / np.maximum(np.linalg.norm(made, axis=1, keepdims=True), 1e-9) if rotation else made


def _world(document: gltf.GLTF2, sampled: dict[tuple[int, str], np.ndarray], t: int) -> np.ndarray:
    """(nodes, 4, 4) world matrices with the sampled channels at moment t, the rest as in the file."""
    parent = {child: n for n, node in enumerate(document.nodes) for child in node.children or []}
    world: dict[int, np.ndarray] = {}

    def local(n: int) -> np.ndarray:
        node, matrix = document.nodes[n], np.eye(4)
        if node.matrix is not None:
            matrix = np.array(node.matrix, float).reshape(4, 4).T
        rotation = sampled[(n, "rotation")][t] if (n, "rotation") in sampled else node.rotation
        translation = sampled[(n, "translation")][t] if (n, "translation") in sampled else node.translation
        if rotation is not None:
            matrix[:3, :3] = matrix_from_quaternion(np.asarray(rotation, float))
        if node.scale is not None:
            matrix[:3, :3] = matrix[:3, :3] * np.asarray(node.scale, float)
        if translation is not None:
            matrix[:3, 3] = translation
        return matrix

    def visit(n: int) -> np.ndarray:
        chain = [n]
        while chain[-1] not in world and chain[-1] in parent:
            if len(chain) > len(document.nodes):
                raise CarveError("its nodes form a ring")
            chain.append(parent[chain[-1]])
        for node in reversed(chain):
            if node not in world:
                world[node] = world[parent[node]] @ local(node) if node in parent else local(node)
        return world[n]

    return np.stack([visit(n) for n in range(len(document.nodes))])


def _rotation(matrix: np.ndarray) -> np.ndarray:
    """(3, 3) the rotation in a world matrix with uniform scale."""
    linear = matrix[:3, :3]
    return linear / np.maximum(np.linalg.norm(linear, axis=0), 1e-12)
