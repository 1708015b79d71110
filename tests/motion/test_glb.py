from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pygltflib as gltf
import pytest

from carve.app.animate import animate
from carve.export.glb import write_avatar_glb
from carve.export.options import ExportOptions
from carve.gltf.buffer import append_array, to_bytes
from carve.gltf.reader import read_glb
from carve.motion.gait import walk
from carve.motion.glb import read_glb_motion
from carve.motion.planting import planted
from carve.motion.retarget import on_the_ground, skeleton_motion
from carve.records import CarveError
from people import capsule_avatar


@pytest.mark.parametrize(("kind", "prefix"), [("vrm", ""), ("mixamo", ""), ("mixamo", "mixamorig:"), ("unreal", "")])
@pytest.mark.parametrize("rest", ["t", "a"])
def test_a_clip_comes_back_whatever_names_axes_and_rest_pose_its_rig_has(tmp_path: Path, kind: str, prefix: str, rest: str) -> None:
    write_avatar_glb(tmp_path / "rig.glb", capsule_avatar(), ExportOptions(skeleton=kind, prefix=prefix, rest=rest))
    animate(tmp_path / "rig.glb", tmp_path / "walk.glb", None, None)
    scene = read_glb(tmp_path / "walk.glb")
    before = skeleton_motion(walk(), scene.skeleton)
    mesh = (scene.vertices.astype(float), scene.bones, scene.weights)
    before, stride = planted(on_the_ground(before, *mesh, scene.skeleton, True), *mesh, scene.skeleton)
    read = read_glb_motion(tmp_path / "walk.glb")
    again = skeleton_motion(read, scene.skeleton)
    assert len(again.rotations) == len(before.rotations) + 1
    arms = () if kind == "vrm" else ("rightUpperArm", "leftLowerArm")  # there a bone within the upper arm has taken half of the twist
    for name in ("leftUpperLeg", "rightLowerLeg", "leftFoot", *arms):
        bone = scene.skeleton.names.index(scene.skeleton.humanoid[name])
        np.testing.assert_allclose(again.rotations[:-1, bone], before.rotations[:, bone], atol=1e-4)
    legs = np.linalg.norm(read.hips[-1])
    assert legs == pytest.approx(stride / 0.84, rel=0.02)  # metres over the length of the capsules' leg


def test_scaled_and_turned_rigs_give_the_same_motion(tmp_path: Path) -> None:
    """As FBX converters make them: centimetres under a node that scales by a hundredth, Z up."""
    write_avatar_glb(tmp_path / "rig.glb", capsule_avatar(), ExportOptions(skeleton="mixamo"))
    animate(tmp_path / "rig.glb", tmp_path / "walk.glb", None, None)
    scene = read_glb(tmp_path / "walk.glb")
    plain = read_glb_motion(tmp_path / "walk.glb")
    ground = next(node for node in scene.document.nodes if node.name == "Root")
    ground.scale, ground.rotation = [0.01] * 3, [np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)]
    scene.document.animations[0].channels = [c for c in scene.document.animations[0].channels if c.target.path == "rotation"]
    (tmp_path / "turned.glb").write_bytes(to_bytes(scene.document))
    turned = read_glb_motion(tmp_path / "turned.glb")
    np.testing.assert_allclose(turned.rotations, plain.rotations, atol=1e-6)


def test_files_without_a_clip_or_a_humanoid_are_refused(tmp_path: Path) -> None:
    write_avatar_glb(tmp_path / "still.glb", capsule_avatar())
    with pytest.raises(CarveError, match="no animation"):
        read_glb_motion(tmp_path / "still.glb")
    (tmp_path / "text.glb").write_text("no")
    with pytest.raises(CarveError, match="no whole GLB"):
        read_glb_motion(tmp_path / "text.glb")
    animate(tmp_path / "still.glb", tmp_path / "walk.glb", None, None)
    scene = read_glb(tmp_path / "walk.glb")
    for node in scene.document.nodes:
        node.name, node.extras = f"bone_{node.name}", {}
    (tmp_path / "strange.glb").write_bytes(to_bytes(scene.document))
    with pytest.raises(CarveError, match="no joint is known for hips"):
        read_glb_motion(tmp_path / "strange.glb")


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A walk on a rig with Mixamo's names."""
    folder = tmp_path_factory.mktemp("walked")
    write_avatar_glb(folder / "rig.glb", capsule_avatar(), ExportOptions(skeleton="mixamo", blendshapes="none"))
    animate(folder / "rig.glb", folder / "walk.glb", None, None)
    return folder / "walk.glb"


def changed(walked: Path, target: Path, change: Callable[[gltf.GLTF2], None]) -> Path:
    document = read_glb(walked).document
    for node in document.nodes:
        node.extras = {}
    change(document)
    target.write_bytes(to_bytes(document))
    return target


@pytest.mark.parametrize("pattern", ["{}.001", "mixamorig:{}_03", "Armature|{}"])
def test_names_may_have_numbers_and_prefixes(walked: Path, tmp_path: Path, pattern: str) -> None:
    def rename(document: gltf.GLTF2) -> None:
        for node in document.nodes:
            node.name = pattern.format(node.name)

    read = read_glb_motion(changed(walked, tmp_path / "a.glb", rename))
    np.testing.assert_allclose(read.rotations[3, 0], read_glb_motion(walked).rotations[3, 0], atol=1e-6)


def test_a_map_names_the_bones_of_a_strange_rig(walked: Path, tmp_path: Path) -> None:
    bones = {bone: name for name, bone in read_glb(walked).skeleton.humanoid.items()}

    def rename(document: gltf.GLTF2) -> None:
        for node in document.nodes:
            node.name = f"x{hash(node.name) % 997}_{node.name[::-1]}"

    strange = changed(walked, tmp_path / "a.glb", rename)
    names = {node.name: before.name for node, before in zip(read_glb(strange).document.nodes, read_glb(walked).document.nodes, strict=True)}
    (tmp_path / "map.json").write_text(json.dumps({new: bones[old] for new, old in names.items() if old in bones}))
    with pytest.raises(CarveError, match="--map FILE"):
        read_glb_motion(strange)
    read, plain = read_glb_motion(strange, tmp_path / "map.json"), read_glb_motion(walked)
    for name in ("hips", "leftLowerLeg"):
        one, other = (motion.rotations[:, motion.names.index(name)] for motion in (read, plain))
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_world_with_z_up_is_found_out(walked: Path, tmp_path: Path) -> None:
    """The rest pose stands along Y, what is played along Z: a node above the root turns it."""

    def turn(document: gltf.GLTF2) -> None:
        ground = next(n for n, node in enumerate(document.nodes) if node.name == "Root")
        scene = document.scenes[document.scene or 0]
        document.nodes.append(gltf.Node(name="World", children=[ground]))
        for node in document.nodes[:-1]:
            node.children = [child for child in node.children or [] if child != ground]
        scene.nodes = [node for node in scene.nodes if node != ground] + [len(document.nodes) - 1]
        ground = len(document.nodes) - 1
        times = append_array(document, np.array([0.0, 1.0], np.float32), bounds=True)
        values = append_array(document, np.tile(np.array([np.sqrt(0.5), 0, 0, np.sqrt(0.5)], np.float32), (2, 1)))
        animation = document.animations[0]
        animation.samplers.append(gltf.AnimationSampler(input=times, output=values))
        target = gltf.AnimationChannelTarget(node=ground, path="rotation")
        animation.channels.append(gltf.AnimationChannel(sampler=len(animation.samplers) - 1, target=target))

    read, plain = read_glb_motion(changed(walked, tmp_path / "a.glb", turn)), read_glb_motion(walked)
    assert any("+Z was taken for up" in note for note in read.notes)
    np.testing.assert_allclose(read.rotations, plain.rotations, atol=1e-6)
    np.testing.assert_allclose(read.hips, plain.hips, atol=1e-6)


def test_the_first_animation_that_moves_the_bones_is_taken(walked: Path, tmp_path: Path) -> None:
    def add(document: gltf.GLTF2) -> None:
        document.animations.insert(0, gltf.Animation(name="still", channels=[], samplers=[]))

    read = read_glb_motion(changed(walked, tmp_path / "a.glb", add))
    assert any("2 animations; number 2 (walk) was taken" in note for note in read.notes)

    def only(document: gltf.GLTF2) -> None:
        document.animations = [gltf.Animation(name="still", channels=[], samplers=[])]

    with pytest.raises(CarveError, match="none of its animations moves"):
        read_glb_motion(changed(walked, tmp_path / "b.glb", only))


@pytest.mark.parametrize(
    ("values", "says"),
    [([0.0, np.nan], "not finite"), ([0.0, 1e9], "far too large"), ([1.0, 0.0], "do not rise"), ([-1.0, 0.0], "not finite")],
)
def test_times_that_cannot_be(walked: Path, tmp_path: Path, values: list[float], says: str) -> None:
    def spoil(document: gltf.GLTF2) -> None:
        sampler = document.animations[0].samplers[0]
        sampler.input = append_array(document, np.array(values, np.float32))
        sampler.output = append_array(document, np.zeros((2, 3), np.float32))

    with pytest.raises(CarveError, match=says):
        read_glb_motion(changed(walked, tmp_path / "a.glb", spoil))
