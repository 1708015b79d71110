from __future__ import annotations

import errno
import json
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from carve.app.animate import animate, continuous
from carve.export.glb import write_avatar_glb
from carve.geometry.rotations import matrix_from_quaternion
from carve.geometry.skinning import bone_transforms, forward_kinematics, skin
from carve.gltf.buffer import read_array
from carve.gltf.reader import GlbScene, read_glb
from carve.gltf.writer import write_body_glb
from carve.io.video import write_video
from carve.motion.gait import CYCLE, FPS, walk
from carve.motion.planting import planted
from carve.motion.retarget import on_the_ground, skeleton_motion
from carve.records import CarveError
from gltf_validator import assert_valid
from people import capsule_avatar

STEP = """HIERARCHY
ROOT Hips
{
OFFSET 0 90 0
CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation
JOINT Neck
{
OFFSET 0 50 0
CHANNELS 3 Zrotation Yrotation Xrotation
JOINT Head
{
OFFSET 0 10 0
CHANNELS 3 Zrotation Yrotation Xrotation
}
JOINT LeftArm
{
OFFSET 17 0 0
CHANNELS 3 Zrotation Yrotation Xrotation
JOINT LeftForeArm
{
OFFSET 28 0 0
CHANNELS 3 Zrotation Yrotation Xrotation
}
}
}
JOINT LeftUpLeg
{
OFFSET 9 -5 0
CHANNELS 3 Zrotation Yrotation Xrotation
JOINT LeftLeg
{
OFFSET 0 -42 0
CHANNELS 3 Zrotation Yrotation Xrotation
JOINT LeftFoot
{
OFFSET 0 -41 0
CHANNELS 3 Zrotation Yrotation Xrotation
}
}
}
JOINT RightUpLeg
{
OFFSET -9 -5 0
CHANNELS 3 Zrotation Yrotation Xrotation
}
}
MOTION
Frames: 3
Frame Time: 0.05
"""


@pytest.fixture(scope="module")
def glb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("animate") / "avatar.glb"
    write_avatar_glb(path, capsule_avatar())
    return path


def bvh(folder: Path) -> Path:
    """A step forward while the left arm goes down by 60 degrees."""
    path = folder / "step.bvh"
    frames = [f"0 90 {10 * k} 0 0 0" + " 0" * 6 + f" {-30 * k} 0 0" + " 0" * 15 for k in range(3)]
    path.write_text(STEP + "\n".join(frames) + "\n")
    return path


def at_frame(scene: GlbScene, frame: int) -> np.ndarray:
    """(N, 3) vertices as a player of the file's animation poses them at a key frame."""
    local, root = np.tile(np.eye(3), (len(scene.nodes), 1, 1)), scene.skeleton.heads[0]
    animation = scene.document.animations[0]
    for channel in animation.channels:
        value = read_array(scene.document, animation.samplers[channel.sampler].output)[frame].astype(float)
        if channel.target.node not in scene.nodes:
            assert channel.target.path == "translation"  # the node on the ground, which travels
            continue
        bone = scene.nodes.index(channel.target.node)
        if channel.target.path == "rotation":
            parent = scene.skeleton.parents[bone]
            above = scene.axes[parent] if parent >= 0 else np.eye(3)
            local[bone] = above @ matrix_from_quaternion(value) @ scene.axes[bone].T
        else:
            assert scene.skeleton.parents[bone] < 0
            root = value
    rotations, heads = forward_kinematics(local, scene.skeleton.heads, scene.skeleton.parents, root)
    return skin(scene.vertices, bone_transforms(rotations, heads, scene.skeleton.heads), scene.bones, scene.weights)


def test_the_built_in_walk_is_valid_and_loops(glb: Path, tmp_path: Path) -> None:
    animate(glb, tmp_path / "walk.glb", None, None)
    assert_valid(tmp_path / "walk.glb")
    scene = read_glb(tmp_path / "walk.glb")
    times = read_array(scene.document, scene.document.animations[0].samplers[0].input)
    np.testing.assert_allclose(times, np.arange(CYCLE + 1) / FPS, atol=1e-6)
    np.testing.assert_array_equal(at_frame(scene, 0), at_frame(scene, CYCLE))


def test_a_player_shows_what_the_motion_says(glb: Path, tmp_path: Path) -> None:
    animate(glb, tmp_path / "walk.glb", None, None)
    scene = read_glb(tmp_path / "walk.glb")
    played = skeleton_motion(walk(), scene.skeleton)
    played = on_the_ground(played, scene.vertices.astype(float), scene.bones, scene.weights, scene.skeleton, True)
    played, stride = planted(played, scene.vertices.astype(float), scene.bones, scene.weights, scene.skeleton)
    for frame in (0, 9, 20):
        rotations, heads = forward_kinematics(
            played.rotations[frame], scene.skeleton.heads, scene.skeleton.parents, played.root_positions[frame]
        )
        expected = skin(scene.vertices, bone_transforms(rotations, heads, scene.skeleton.heads), scene.bones, scene.weights)
        np.testing.assert_allclose(at_frame(scene, frame), expected, atol=1e-5)
        assert at_frame(scene, frame)[:, 1].min() == pytest.approx(0, abs=0.01)
    animation = scene.document.animations[0]
    way = next(c for c in animation.channels if c.target.node not in scene.nodes)
    np.testing.assert_allclose(read_array(scene.document, animation.samplers[way.sampler].output)[-1], [0, 0, stride], atol=1e-5)


def test_a_bvh_file_is_played(glb: Path, tmp_path: Path) -> None:
    animate(glb, tmp_path / "step.glb", bvh(tmp_path), None)
    assert_valid(tmp_path / "step.glb")
    scene = read_glb(tmp_path / "step.glb")
    assert scene.document.animations[0].name == "step"
    tips = [at_frame(scene, frame)[np.argmax(scene.vertices[:, 0])] for frame in range(3)]
    assert tips[0][1] - tips[2][1] > 0.5  # the left hand goes down
    forward = [at_frame(scene, frame)[np.argmax(scene.vertices[:, 1])][2] for frame in range(3)]
    np.testing.assert_allclose(np.diff(forward), 0.10 * 84 / 83, atol=1e-3)  # the head goes forward, scaled to our legs


def test_animating_twice_keeps_both(glb: Path, tmp_path: Path) -> None:
    animate(glb, tmp_path / "one.glb", None, None)
    animate(tmp_path / "one.glb", tmp_path / "two.glb", bvh(tmp_path), None)
    assert_valid(tmp_path / "two.glb")
    assert [a.name for a in read_glb(tmp_path / "two.glb").document.animations] == ["walk", "step"]


def test_the_film_shows_it(glb: Path, tmp_path: Path) -> None:
    animate(glb, tmp_path / "step.glb", bvh(tmp_path), tmp_path / "step.gif")
    with Image.open(tmp_path / "step.gif") as film:
        assert film.n_frames == 3
        frames = []
        for k in range(3):
            film.seek(k)
            frames.append(np.asarray(film.convert("RGB")).astype(int))
    assert np.abs(frames[0] - frames[2]).max() > 60


def test_neighbouring_quaternions_never_take_the_long_way() -> None:
    rng = np.random.default_rng(0)
    q = np.array([0.0, 0, 0, 1]) + np.cumsum(rng.normal(0, 0.1, (200, 4)), axis=0)
    q /= np.linalg.norm(q, axis=1, keepdims=True)
    smooth = continuous(q * rng.choice([-1.0, 1.0], (200, 1)))
    assert (np.einsum("tk,tk->t", smooth[1:], smooth[:-1]) > 0).all()
    np.testing.assert_allclose(matrix_from_quaternion(smooth), matrix_from_quaternion(q))


def test_a_mesh_without_bones_is_refused(tmp_path: Path) -> None:
    write_body_glb(tmp_path / "body.glb", capsule_avatar().body)
    with pytest.raises(CarveError, match="no humanoid skeleton"):
        animate(tmp_path / "body.glb", tmp_path / "out.glb", None, None)
    assert not (tmp_path / "out.glb").exists()


def test_nothing_half_written_is_left(glb: Path, tmp_path: Path) -> None:
    with pytest.raises(CarveError, match="cannot be written"):
        animate(glb, tmp_path / "nowhere" / "out.glb", None, None)
    (tmp_path / "bad.bvh").write_text("HIERARCHY\nROOT")
    with pytest.raises(CarveError, match=r"bad\.bvh, line 2"):
        animate(glb, tmp_path / "out.glb", tmp_path / "bad.bvh", None)
    with pytest.raises(CarveError, match="there is no folder"):
        animate(glb, tmp_path / "out.glb", None, tmp_path / "nowhere" / "film.gif")
    with pytest.raises(CarveError, match=r"must end in \.glb"):
        animate(glb, tmp_path / "bad.bvh", None, None)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.bvh"]
    assert (tmp_path / "bad.bvh").read_text() == "HIERARCHY\nROOT"


def test_joints_are_named_by_a_map(glb: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from carve.app.cli import UNUSABLE, run

    source = (Path(__file__).parents[1] / "cases" / "z_up_world_y_up_rest.bvh").read_text()
    names = sorted(set(re.findall(r"(?:ROOT|JOINT) (\S+)", source)), key=len, reverse=True)
    strange = {name: f"b{k:02}" for k, name in enumerate(names)}
    for name, other in strange.items():
        source = source.replace(f" {name}\n", f" {other}\n")
    (tmp_path / "odd.bvh").write_text(source)
    arguments = ["animate", str(glb), "--motion", str(tmp_path / "odd.bvh"), "--out", str(tmp_path / "out.glb")]
    assert run(arguments) == UNUSABLE
    assert "--map FILE" in capsys.readouterr().err
    bones = {"hips": "Hips", "head": "Head", "leftUpperArm": "LeftArm", "leftFoot": "LeftFoot", "rightFoot": "RightFoot"}
    bones |= {
        f"{side.lower()}{bone}": f"{side}{n}" for side in ("Left", "Right") for bone, n in (("UpperLeg", "UpLeg"), ("LowerLeg", "Leg"))
    }
    (tmp_path / "map.json").write_text(json.dumps({vrm: strange[f"mixamorig:{name}"] for vrm, name in bones.items()}))
    assert run([*arguments, "--map", str(tmp_path / "map.json")]) == 0
    captured = capsys.readouterr()
    assert captured.out == f"{tmp_path / 'out.glb'}\n" and "note: The motion stands along +Z" in captured.err
    assert run(["animate", str(glb), "--map", str(tmp_path / "map.json"), "--out", str(tmp_path / "out.glb")]) == UNUSABLE
    assert "give --motion FILE" in capsys.readouterr().err


@pytest.mark.parametrize("ending", ["mp4", "gif"])
def test_a_film_on_a_full_disk_is_told(glb: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    import cv2

    class Writer:
        """OpenCV's on a full disk: it says nothing."""

        def __init__(self, name: str, *_: object) -> None:
            self.name = name

        def isOpened(self) -> bool:
            return True

        def write(self, _: object) -> None: ...

        def release(self) -> None:
            Path(self.name).write_bytes(b"half a film")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(cv2, "VideoWriter", Writer)
    Writer.fourcc = staticmethod(lambda *_: 0)  # type: ignore[attr-defined]
    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(CarveError, match="is full"):
        write_video(tmp_path / f"film.{ending}", [np.zeros((8, 8, 3), np.uint8)] * 3, 10.0)
    assert not list(tmp_path.glob("*film*")) and not list(tmp_path.glob(".carve-*"))
