from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from carve.app.animate import animate
from carve.export.glb import write_avatar_glb
from carve.export.options import ExportOptions
from carve.gltf.buffer import to_bytes
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
    with pytest.raises(CarveError, match="no bone is known for hips"):
        read_glb_motion(tmp_path / "strange.glb")
