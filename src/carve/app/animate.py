"""`carve animate`: put a motion on an avatar."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pygltflib as gltf

from carve.files.text import readable
from carve.files.whole import check_place, write_whole
from carve.geometry.rotations import axis_rotation, quaternion_from_matrix
from carve.gltf.buffer import append_array, to_bytes
from carve.gltf.reader import GlbScene, read_glb
from carve.io.preview import Model, film, model_from_scene, skinned
from carve.io.video import check_ending, write_video
from carve.motion.gait import walk
from carve.motion.glb import read_glb_motion
from carve.motion.planting import planted
from carve.motion.retarget import Motion, SkeletonMotion, frame_transforms, on_the_ground, read_motion, skeleton_motion
from carve.records import CarveError

VIDEO_HEIGHT = 480
VIDEO_FPS = 20.0
VIDEO_SECONDS = 20.0
"""A longer motion's film ends here."""
VIEW = axis_rotation(1, -0.6)
"""(3, 3) the film shows the person from the front and a little from the left."""


def animate(avatar: Path, out: Path, motion: Path | None, video: Path | None, names: Path | None = None) -> tuple[str, ...]:
    """Write the avatar with a clip (BVH, or GLB of another rig; else a walk) to a GLB file, and a film (.gif, .mp4) of it on request.

    `names` maps VRM's bone names to the motion's (`io.motion_names.read_mapping`). Returns what the user should know, a sentence each.
    """
    if out.suffix.lower() != ".glb":
        raise CarveError(f"cannot write {out}: its name must end in .glb")
    check_place(out)
    if video is not None:
        check_ending(video)
    scene = read_glb(avatar)
    model, rig = model_from_scene(scene)
    if rig is None:
        raise CarveError(f"{avatar} has no humanoid skeleton with hips and legs; give the avatar.glb of a reconstruction")
    played = walk() if motion is None else _clip(motion, names)
    frames = skeleton_motion(played, rig.skeleton)
    frames = on_the_ground(frames, model.vertices, rig.bones, rig.weights, rig.skeleton, played.grounded)
    if not (np.isfinite(frames.rotations).all() and np.isfinite(frames.root_positions).all()):
        raise CarveError(f"{avatar} has bones without length, which cannot be turned; give the avatar.glb of a reconstruction")
    stride = 0.0
    if motion is None and {"leftLowerLeg", "rightLowerLeg", "leftFoot", "rightFoot"} <= set(rig.skeleton.humanoid):
        frames, stride = planted(frames, model.vertices, rig.bones, rig.weights, rig.skeleton)
    add_animation(scene, frames, "walk" if motion is None else readable(motion.stem), loop=motion is None, stride=stride)
    write_whole(out, to_bytes(scene.document))
    if video is not None:
        # The camera goes along: only the way up and down is shown.
        still = replace(frames, root_positions=frames.root_positions * np.array([0.0, 1.0, 0.0]))
        step = max(1, round(frames.fps / VIDEO_FPS))
        shown = range(0, min(len(frames.rotations), int(VIDEO_SECONDS * frames.fps)), step)

        def model_at(index: int) -> Model:
            return skinned(model, rig, frame_transforms(still, rig.skeleton, shown[index])).turned(VIEW)

        write_video(video, film(model_at, len(shown), VIDEO_HEIGHT), frames.fps / step)
    return played.notes


def _clip(path: Path, names: Path | None) -> Motion:
    """The motion of a BVH file, or of the animation in a GLB file of any humanoid rig."""
    return read_glb_motion(path, names) if path.suffix.lower() in (".glb", ".vrm", ".vrma") else read_motion(path, names)


def add_animation(scene: GlbScene, motion: SkeletonMotion, name: str, loop: bool, stride: float = 0.0) -> None:
    """Add the motion to the scene's document: rotations of the bones that move, the way of the root. A loop ends with its first frame.

    A walk's way, `stride` metres a cycle, is that of the node on the ground: programs that move characters themselves drop that channel.
    """
    assert scene.skeleton is not None
    rotations, way = motion.rotations, motion.root_positions
    if loop:
        rotations, way = np.concatenate([rotations, rotations[:1]]), np.concatenate([way, way[:1]])
    document, animation = scene.document, gltf.Animation(name=name)
    times = append_array(document, (np.arange(len(rotations)) / motion.fps).astype(np.float32), bounds=True)

    def channel(bone: int, path: str, values: np.ndarray) -> None:
        animation.samplers.append(gltf.AnimationSampler(input=times, output=append_array(document, values.astype(np.float32))))
        target = gltf.AnimationChannelTarget(node=scene.nodes[bone], path=path)
        animation.channels.append(gltf.AnimationChannel(sampler=len(animation.samplers) - 1, target=target))

    root = int(np.flatnonzero(scene.skeleton.parents < 0)[0])
    channel(root, "translation", way)
    ground = next((n for n, node in enumerate(document.nodes) if scene.nodes[root] in (node.children or [])), None)
    if stride and ground is not None:
        ahead = np.zeros((len(way), 3), np.float32)
        ahead[:, 2] = stride * np.arange(len(way)) / (len(way) - 1)
        animation.samplers.append(gltf.AnimationSampler(input=times, output=append_array(document, ahead)))
        target = gltf.AnimationChannelTarget(node=ground, path="translation")
        animation.channels.append(gltf.AnimationChannel(sampler=len(animation.samplers) - 1, target=target))
    for bone in np.flatnonzero(np.abs(rotations - np.eye(3)).max((0, 2, 3)) > 1e-6):
        parent = scene.skeleton.parents[bone]
        above = scene.axes[parent] if parent >= 0 else np.eye(3)
        channel(int(bone), "rotation", continuous(quaternion_from_matrix(above.T @ rotations[:, bone] @ scene.axes[bone])))
    document.animations.append(animation)


def continuous(quaternions: np.ndarray) -> np.ndarray:
    """Quaternions (T, 4) with signs chosen so that each lies on the side of the one before: no long way round between frames."""
    flips = np.einsum("tk,tk->t", quaternions[1:], quaternions[:-1]) < 0
    signs = np.concatenate([[1.0], np.where(np.cumsum(flips) % 2, -1.0, 1.0)])
    return quaternions * signs[:, None]
