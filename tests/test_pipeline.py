"""The pipeline around its stages: what is skipped, what runs again, what is left when something goes wrong.

The stages are replaced by ones that return the parts of a small ready-made avatar at once.
"""

from __future__ import annotations

import dataclasses
import errno
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from carve import pipeline
from carve.io.image import write_png
from carve.io.run_folder import OUTPUT_FILES
from carve.records import Avatar, BackView, CarveError, Landmarks, Photo, StageError
from carve.settings import STAGES, Settings, make_settings
from onnx_models import red, write
from people import capsule_avatar

CONTRACT = {name for name in OUTPUT_FILES if not name.endswith((".obj", ".mtl", ".ply")) and name not in ("avatar.png", "seen_back.png")}

FUNCTIONS = {
    "observe": "observe",
    "fit_body": "fit_body",
    "evidence": "predict_evidence",
    "refit_body": "refit_body",
    "fit_face": "fit_face",
    "normals": "predict_normals",
    "canonical": "build_canonical",
    "refine": "refine",
    "texture": "bake_texture",
    "rig": "rig",
}
"""Stage -> the name of its function in `carve.pipeline`."""

AFTER = {
    "observe": STAGES,
    "fit_body": STAGES[1:],
    "fit_face": STAGES[4:],
    "normals": ("evidence", *STAGES[3:]),
    "canonical": ("canonical", "refine", "texture", "rig"),
    "refine": ("refine", "texture", "rig"),
    "texture": ("texture", "rig"),
    "rig": ("rig",),
}
"""Group of settings -> the stages that run when one of it changes."""


@dataclasses.dataclass
class Fakes:
    """Stages that count their calls and fail when told to."""

    made: Avatar
    photo: Photo
    calls: Counter[str]
    fail: dict[str, BaseException]
    seen: dict[str, tuple[Any, ...]]

    def stage(self, name: str) -> Callable[..., Any]:
        def run(*inputs: Any) -> Any:
            self.calls[name] += 1
            self.seen[name] = inputs
            if name in self.fail:
                raise self.fail[name]
            return self._record(name, inputs)

        return run

    def _record(self, name: str, inputs: tuple[Any, ...]) -> Any:
        made = self.made
        if name == "observe":
            return dataclasses.replace(made.observation, photo=inputs[0])
        if name == "observe_back":
            return dataclasses.replace(made.observation, photo=inputs[0])
        if name == "back":
            return BackView(inputs[0], made.body.pose, made.body.camera, made.surface.vertices, None, 0.9, ("a note on the back photo",))
        if name == "refine":
            return dataclasses.replace(made.surface, canonical=inputs[2])
        if name == "texture":
            return dataclasses.replace(made.textured, surface=inputs[1])
        if name == "rig":
            return Avatar(*inputs[:4], made.confidence, {"rig": {"checked": True}})
        if name in ("evidence", "normals"):
            return dataclasses.replace(made.normals)
        return made.surface.canonical if name in ("canonical", "clothed") else dataclasses.replace(made.body)


@pytest.fixture(scope="module")
def made() -> Avatar:
    avatar = capsule_avatar()
    count = 3
    landmarks = Landmarks(
        names=("nose", "left_wrist", "right_wrist"),
        pixels=np.arange(2.0 * count).reshape(count, 2) * 10,
        confidence=np.linspace(0, 1, count),
        world=np.full((count, 3), np.nan),
        spread=np.ones((count, 3)),
    )
    return dataclasses.replace(avatar, observation=dataclasses.replace(avatar.observation, landmarks=landmarks))


@pytest.fixture
def fakes(made: Avatar, monkeypatch: pytest.MonkeyPatch) -> Fakes:
    fakes = Fakes(made, made.observation.photo, Counter(), {}, {})
    for stage, function in FUNCTIONS.items():
        monkeypatch.setattr(pipeline, function, fakes.stage(stage))
    monkeypatch.setattr(pipeline, "build_clothed", fakes.stage("canonical"))
    monkeypatch.setattr(pipeline, "observe_back", fakes.stage("observe_back"))
    monkeypatch.setattr(pipeline, "register_back", fakes.stage("back"))
    monkeypatch.setattr(pipeline, "load_implicit_net", lambda: "the implicit network")
    monkeypatch.setattr(pipeline, "load_normals_net", lambda: "the normals network")
    monkeypatch.setattr(pipeline, "load_shading_net", lambda: "the shading network")
    monkeypatch.setattr(pipeline, "load_anny", lambda progress, anatomy: fakes.calls.update(["load"]) or "the body model")
    for picture in ("io.outputs.preview_sheet", "export.outputs.thumbnail"):
        monkeypatch.setattr(f"carve.{picture}", lambda shown: np.zeros((4, 4, 3), np.uint8))
    return fakes


def run(fakes: Fakes, out: Path, assignments: list[str] | None = None, **options: Any) -> Avatar:
    """`fast`, whose canonical stage is the one that is faked, unless the assignments name another preset."""
    return pipeline.reconstruct(
        fakes.photo, make_settings(assignments=["preset=fast", "observe.pose=full", *(assignments or [])]), out=out, **options
    )


def some_setting(stage: str) -> str:
    """An assignment that changes a number of the stage."""
    params = getattr(Settings(), stage)
    name = next(f.name for f in dataclasses.fields(params) if type(getattr(params, f.name)) in (int, float))
    value = getattr(params, name)
    return f"{stage}.{name}={value + 1 if isinstance(value, int) else value * 0.9}"


def test_every_file_of_the_contract_is_written(fakes: Fakes, tmp_path: Path) -> None:
    avatar = run(fakes, tmp_path / "out")
    assert {file.name for file in (tmp_path / "out").iterdir()} == CONTRACT | {"stages"}
    assert fakes.calls == Counter([*STAGES, "load", "load", "load"])
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert set(report["seconds"]) == {*STAGES, "loading", "outputs"}
    assert set(report["peak_memory_mib"]) == {*STAGES, "whole"}
    assert report["peak_memory_mib"]["whole"] >= max(report["peak_memory_mib"].values())
    assert all(value > 0 for value in report["peak_memory_mib"].values())
    assert report["rig"] == {"checked": True}
    assert report["settings"]["preset"] == "fast"
    assert {"torch", "anny", "mediapipe", "python", "carve"} <= set(report["versions"])
    assert report["licences"] and report["people"] and report["kept_stages"] == []
    assert avatar.report["body"]["height_source"] == fakes.made.body.height_source


def test_doubts_and_an_unlikely_height_are_warnings(fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    doubts = [{"warning": "It is dark.", "trust": 0.5}, {"warning": "It is blurred.", "trust": 0.5}]
    record = fakes._record

    def doubtful(name: str, inputs: tuple[Any, ...]) -> Any:
        made = record(name, inputs)
        return dataclasses.replace(made, report={"doubts": doubts}) if name == "rig" else made

    monkeypatch.setattr(fakes, "_record", doubtful)
    sure, report = run(fakes, tmp_path / "a").report, run(fakes, tmp_path / "b", ["fit_body.height=95cm"]).report
    assert sure["warnings"] == ["It is dark.", "It is blurred."] and sure["confidence"]["trust"] == 0.25
    assert sure["confidence"]["joints"]["head"] <= 0.25
    assert "0.95 m" in report["warnings"][0]


def test_a_stage_that_fails_goes_by_its_own_name(fakes: Fakes, tmp_path: Path) -> None:
    fakes.fail["refit_body"] = StageError("fit_body: the fitted body is not finite.")
    with pytest.raises(StageError, match=r"^refit_body: the fitted body is not finite\.$"):
        run(fakes, tmp_path / "out")


def test_a_renamed_photo_is_the_same_photo(fakes: Fakes, tmp_path: Path) -> None:
    run(fakes, tmp_path / "out")
    fakes.calls.clear()
    fakes.photo = dataclasses.replace(fakes.photo, name="renamed")
    report = run(fakes, tmp_path / "out", existing="resume").report
    assert report["kept_stages"] == list(STAGES) and not set(fakes.calls) & set(STAGES)
    assert report["photo"]["name"] == "renamed"


def test_impossible_settings_are_refused_before_anything_runs(fakes: Fakes, tmp_path: Path) -> None:
    wrong = dataclasses.replace(Settings(), observe=dataclasses.replace(Settings().observe, person=-1))
    with pytest.raises(CarveError, match=r"observe\.person"):
        pipeline.reconstruct(fakes.photo, wrong, out=tmp_path / "out")
    assert not fakes.calls and not (tmp_path / "out").exists()


def test_pose_and_camera_files_agree_with_the_avatar(fakes: Fakes, tmp_path: Path) -> None:
    from carve.gltf.reader import read_glb
    from glb_nodes import posed_by_nodes

    avatar = run(fakes, tmp_path / "out")
    pose = json.loads((tmp_path / "out" / "pose.json").read_text())
    surface = avatar.surface
    scene, posed = read_glb(tmp_path / "out" / "avatar.glb"), read_glb(tmp_path / "out" / "posed.glb")
    made, heads = posed_by_nodes(scene, pose["rotations"], {pose["root"]: pose["root_translation"]})
    np.testing.assert_allclose(made[: len(posed.vertices)], posed.vertices, atol=3e-6)  # tongue and teeth come last
    np.testing.assert_allclose(posed.vertices, surface.vertices[avatar.textured.corner], atol=3e-4)
    for name in pose["joints"]:
        np.testing.assert_allclose(pose["joints"][name], heads[name], atol=1e-6)

    camera = json.loads((tmp_path / "out" / "camera.json").read_text())
    homogeneous = np.column_stack([surface.vertices, np.ones(len(surface.vertices))]) @ np.array(camera["projection"]).T
    np.testing.assert_allclose(homogeneous[:, :2] / homogeneous[:, 2:], surface.camera.project(surface.vertices), atol=1e-6)
    assert (camera["width"], camera["height"]) == fakes.photo.size


def test_resume_skips_what_has_not_changed(fakes: Fakes, tmp_path: Path) -> None:
    first = run(fakes, tmp_path / "out")
    fakes.calls.clear()
    second = run(fakes, tmp_path / "out", existing="resume")
    assert not fakes.calls
    assert second.report["kept_stages"] == list(STAGES)
    np.testing.assert_array_equal(second.surface.vertices, first.surface.vertices)
    assert second.observation.photo is fakes.photo


def test_a_given_body_is_not_fitted(fakes: Fakes, tmp_path: Path) -> None:
    wider = dataclasses.replace(fakes.made.body, height=1.9)
    avatar = run(fakes, tmp_path / "out", body=wider)
    assert set(fakes.calls) == {"observe", "normals", "canonical", "refine", "texture", "rig"}
    assert avatar.body.height == fakes.seen["normals"][1].height == 1.9
    fakes.calls.clear()
    run(fakes, tmp_path / "out", body=wider, existing="resume")
    assert not fakes.calls
    run(fakes, tmp_path / "out", body=dataclasses.replace(wider, height=1.8), existing="resume")
    assert fakes.calls["normals"] and not fakes.calls["observe"]
    other = dataclasses.replace(wider, camera=dataclasses.replace(wider.camera, width=wider.camera.width + 1))
    with pytest.raises(CarveError, match="another picture's camera"):
        run(fakes, tmp_path / "other", body=other)


@pytest.mark.parametrize("changed", AFTER)
def test_a_changed_setting_runs_its_stage_and_what_follows(fakes: Fakes, tmp_path: Path, changed: str) -> None:
    run(fakes, tmp_path / "out")
    fakes.calls.clear()
    run(fakes, tmp_path / "out", [some_setting(changed)], existing="resume")
    assert set(fakes.calls) - {"load"} == set(AFTER[changed])
    assert ("load" in fakes.calls) == ("fit_face" in AFTER[changed])


def test_hair_on_or_off_makes_the_surface_again_and_nothing_before(fakes: Fakes, tmp_path: Path) -> None:
    run(fakes, tmp_path / "out")
    for off in ("false", "true"):
        fakes.calls.clear()
        avatar = run(fakes, tmp_path / "out", [f"worn.hair={off}"], existing="resume")
        assert {"refine", "texture", "rig"} <= set(fakes.calls) <= {"canonical", "refine", "texture", "rig"}
        assert any("hair" in warning for warning in avatar.report["warnings"]) == (off == "false"), "these maps have no labels"
    fakes.calls.clear()
    run(fakes, tmp_path / "out", existing="resume")
    assert not fakes.calls


def test_another_photo_mask_or_seed_runs_everything(fakes: Fakes, tmp_path: Path) -> None:
    run(fakes, tmp_path / "out")
    mask = np.ones(fakes.photo.pixels.shape[:2], np.float32)
    fakes.photo = dataclasses.replace(fakes.photo, pixels=255 - fakes.photo.pixels)
    for assignments, options in ([], {}), ([], {"mask": mask}), (["seed=3"], {"mask": mask}):
        fakes.calls.clear()
        run(fakes, tmp_path / "out", assignments, existing="resume", **options)
        assert set(STAGES) <= set(fakes.calls)


def test_presets_with_a_learned_surface_ask_the_network(fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "learned_surface", lambda preset: preset != "fast")
    monkeypatch.setattr(pipeline, "identity", lambda name: name)
    monkeypatch.setattr(pipeline, "load_implicit_net", lambda: "the implicit network")
    monkeypatch.setattr(pipeline, "build_clothed", fakes.stage("clothed"))
    run(fakes, tmp_path / "out")
    assert fakes.calls["clothed"] == 0
    fakes.calls.clear()
    run(fakes, tmp_path / "out", ["preset=best"], existing="resume")
    assert set(fakes.calls) == {"clothed", "refine", "texture", "rig"}
    _, _, normals, network, params = fakes.seen["clothed"]
    assert (normals.mask == fakes.made.normals.mask).all()
    assert (network, params.resolution) == ("the implicit network", 384)
    fakes.calls.clear()
    run(fakes, tmp_path / "out", ["preset=best"], existing="resume")
    assert not fakes.calls
    run(fakes, tmp_path / "out", ["preset=best", "clothed.margin=0.25"], existing="resume")
    assert set(fakes.calls) == {"clothed", "refine", "texture", "rig"}


def test_overwrite_keeps_nothing(fakes: Fakes, tmp_path: Path) -> None:
    run(fakes, tmp_path / "out")
    fakes.calls.clear()
    run(fakes, tmp_path / "out", existing="overwrite")
    assert set(STAGES) <= set(fakes.calls)


def test_from_a_stage_runs_it_and_all_that_follow(fakes: Fakes, tmp_path: Path) -> None:
    run(fakes, tmp_path / "out")
    fakes.calls.clear()
    avatar = run(fakes, tmp_path / "out", start="refine")
    assert set(fakes.calls) == {"refine", "texture", "rig"}
    assert avatar.report["warnings"] == []
    avatar = run(fakes, tmp_path / "out", [some_setting("fit_body")], start="texture")
    assert any("'fit_body' was kept" in warning for warning in avatar.report["warnings"])


def test_from_a_stage_wants_the_folder_of_the_same_photo(fakes: Fakes, tmp_path: Path) -> None:
    with pytest.raises(CarveError, match="no finished stage 'observe'"):
        run(fakes, tmp_path / "out", start="refine")
    assert not (tmp_path / "out").exists()
    run(fakes, tmp_path / "out")
    fakes.photo = dataclasses.replace(fakes.photo, pixels=255 - fakes.photo.pixels)
    with pytest.raises(CarveError, match="made from another input"):
        run(fakes, tmp_path / "out", start="refine")
    with pytest.raises(CarveError, match="output folder of an earlier run"):
        pipeline.reconstruct(fakes.photo, start="refine")


def test_an_edited_mask_and_edited_landmarks_reach_observe(fakes: Fakes, tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(fakes, out)
    points = json.loads((out / "stages" / "landmarks.json").read_text())
    first = next(iter(points))
    points[first]["pixel"] = [12.5, 30.25]
    (out / "stages" / "landmarks.json").write_text(json.dumps(points))
    width, height = fakes.photo.size
    write_png(out / "mask.png", np.full((height, width), 255, np.uint8))
    with pytest.raises(CarveError, match="--from observe"):
        run(fakes, out, start="fit_body", mask=out / "mask.png")
    run(fakes, out, start="observe", mask=out / "mask.png", landmarks=out / "stages" / "landmarks.json")
    _, _, mask, landmarks = fakes.seen["observe"]
    assert (mask == 1).all()
    assert isinstance(landmarks, Landmarks)
    assert landmarks.names == fakes.made.observation.landmarks.names
    assert landmarks.pixels[0].tolist() == [12.5, 30.25]


def test_landmark_files_keep_what_is_unknown(made: Avatar, tmp_path: Path) -> None:
    from carve.io.landmark_file import landmark_document, read_landmarks
    from carve.io.run_folder import to_json

    landmarks = made.observation.landmarks
    (tmp_path / "landmarks.json").write_text(to_json(landmark_document(landmarks)))
    again = read_landmarks(tmp_path / "landmarks.json")
    assert again.names == landmarks.names
    assert np.isnan(again.world).all()
    np.testing.assert_allclose(again.pixels, landmarks.pixels, atol=0.01)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "does not exist"),
        ("{", "as JSON"),
        ("{}", "no landmarks"),
        ('{"nose": {"pixel": [1]}}', "wrong at 'nose.pixel"),
        ("[]", "wrong at"),
    ],
)
def test_bad_landmark_files(fakes: Fakes, tmp_path: Path, content: str | None, says: str) -> None:
    if content is not None:
        (tmp_path / "l.json").write_text(content)
    with pytest.raises(CarveError, match=says):
        run(fakes, tmp_path / "out", landmarks=tmp_path / "l.json")
    assert not (tmp_path / "out").exists()


def test_an_interruption_keeps_what_is_finished(fakes: Fakes, tmp_path: Path) -> None:
    fakes.fail["refine"] = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        run(fakes, tmp_path / "out")
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"stages"}
    fakes.fail.clear()
    fakes.calls.clear()
    run(fakes, tmp_path / "out", existing="resume")
    assert set(fakes.calls) == {"refine", "texture", "rig"}
    assert {file.name for file in (tmp_path / "out").iterdir()} == CONTRACT | {"stages"}


def test_no_person_leaves_nothing(fakes: Fakes, tmp_path: Path) -> None:
    fakes.fail["observe"] = CarveError("There is no person in the photo.")
    with pytest.raises(CarveError, match="no person"):
        run(fakes, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_at_the_end_leaves_no_half_written_output(fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("carve.io.outputs.write_body_glb", full)
    with pytest.raises(CarveError, match=r"is full.*--resume"):
        run(fakes, tmp_path / "out")
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"stages"}


def test_values_that_are_not_finite_are_caught_at_their_stage(fakes: Fakes, tmp_path: Path) -> None:
    posed = fakes.made.body.posed.copy()
    posed[5] = np.nan
    fakes.made = dataclasses.replace(fakes.made, body=dataclasses.replace(fakes.made.body, posed=posed))
    with pytest.raises(StageError, match="'fit_body' gave 'posed'"):
        run(fakes, tmp_path / "out")
    assert not (tmp_path / "out" / "stages" / "fit_body.npz").exists()


@pytest.mark.parametrize(
    ("error", "says"), [(ZeroDivisionError("oops"), "'canonical' failed: ZeroDivisionError: oops"), (MemoryError(), "out of memory")]
)
def test_what_goes_wrong_inside_a_stage_names_it(fakes: Fakes, tmp_path: Path, error: BaseException, says: str) -> None:
    fakes.fail["canonical"] = error
    with pytest.raises(StageError, match=says):
        run(fakes, tmp_path / "out")


def test_a_body_model_that_does_not_exist_is_told_before_anything_runs(fakes: Fakes, tmp_path: Path) -> None:
    with pytest.raises(CarveError, match="does not exist"):
        run(fakes, tmp_path / "out", body_model=tmp_path / "SMPL_NEUTRAL.pkl")
    assert not fakes.calls
    assert not (tmp_path / "out").exists()


def test_a_file_that_is_no_body_model_is_told_before_anything_runs(fakes: Fakes, tmp_path: Path) -> None:
    (tmp_path / "model.npz").write_bytes(b"not an archive")
    with pytest.raises(CarveError, match=r"model\.npz cannot be read"):
        run(fakes, tmp_path / "out", body_model=tmp_path / "model.npz")
    assert not fakes.calls
    assert not (tmp_path / "out").exists()


def test_another_body_model_is_loaded_from_its_file(fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.npz").write_bytes(b"a model")
    model = SimpleNamespace(name="smpl")
    monkeypatch.setattr(pipeline, "load_smpl", lambda path: model)
    run(fakes, tmp_path / "out", body_model=tmp_path / "mine.npz")
    assert fakes.seen["fit_body"][1] is model
    fakes.calls.clear()
    run(fakes, tmp_path / "out", body_model=tmp_path / "mine.npz", existing="resume")
    assert not fakes.calls
    (tmp_path / "mine.npz").write_bytes(b"another model")
    run(fakes, tmp_path / "out", body_model=tmp_path / "mine.npz", existing="resume")
    assert "observe" not in fakes.calls and "fit_body" in fakes.calls


def depth_model(folder: Path, factor: float = 1.0) -> Path:
    layer, weights = red(factor, 0, "depth")
    conventions = {"image_input": "image", "depth_output": "depth", "meaning": "inverse"}
    return write(folder, [layer], conventions, outputs=("depth",), constants=weights)


def test_a_depth_model_reaches_the_evidence_and_another_one_makes_it_anew(fakes: Fakes, tmp_path: Path) -> None:
    path = depth_model(tmp_path)
    run(fakes, tmp_path / "out", depth_model=path)
    given = fakes.seen["evidence"][-1]
    assert (given.meaning, given.metric, given.name) == ("inverse", False, str(path))
    assert given.model(np.full((8, 8, 3), 51, np.uint8), np.ones((8, 8), np.float32))[3, 3] == pytest.approx(0.2)
    for change, again in ((lambda: None, False), (lambda: depth_model(tmp_path, 2.0), True), (lambda: path.with_suffix(".json"), False)):
        fakes.calls.clear()
        change()
        run(fakes, tmp_path / "out", depth_model=path, existing="resume")
        assert ("evidence" in fakes.calls) is again and "fit_body" not in fakes.calls
    path.with_suffix(".json").write_text(path.with_suffix(".json").read_text().replace("inverse", "depth"))
    run(fakes, tmp_path / "out", depth_model=path, existing="resume")
    assert fakes.calls["evidence"] == fakes.calls["refit_body"] == 1
    fakes.calls.clear()
    run(fakes, tmp_path / "out", existing="resume")
    assert fakes.seen["evidence"][-1] is None and fakes.calls["evidence"] == 1


def test_a_depth_model_that_cannot_be_used_is_told_before_anything_runs(fakes: Fakes, tmp_path: Path) -> None:
    path = depth_model(tmp_path)
    with pytest.raises(CarveError, match="is there to fit the body, which is given"):
        run(fakes, tmp_path / "out", depth_model=path, body=fakes.made.body)
    path.with_suffix(".json").unlink()
    with pytest.raises(CarveError, match=r"There is no .*model\.json"):
        run(fakes, tmp_path / "out", depth_model=path)
    assert not fakes.calls
    assert not (tmp_path / "out").exists()


def test_where_the_depth_came_from_and_what_was_wrong_with_it_stand_in_the_report(fakes: Fakes, tmp_path: Path) -> None:
    fakes.made = dataclasses.replace(
        fakes.made, body=dataclasses.replace(fakes.made.body, depth_source="network", notes=("The answer of the depth model is odd.",))
    )
    run(fakes, tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["depth_source"] == "network"
    assert "The answer of the depth model is odd." in report["warnings"]


def test_progress_begins_and_ends_every_stage(fakes: Fakes) -> None:
    told: list[tuple[str, float]] = []
    pipeline.reconstruct(fakes.photo, progress=lambda stage, share: told.append((stage, share)))
    assert told == [(stage, share) for stage in STAGES for share in (0.0, 1.0)]


def test_nothing_is_written_without_an_output_folder(fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert pipeline.reconstruct(fakes.photo).report["seconds"]["rig"] >= 0
    assert not list(tmp_path.iterdir())


def test_obj_and_ply_on_request(fakes: Fakes, tmp_path: Path) -> None:
    run(fakes, tmp_path / "out", extras=["obj", "ply"])
    assert (tmp_path / "out" / "avatar.obj").exists()
    assert (tmp_path / "out" / "avatar.ply").exists()


def behind(fakes: Fakes, shade: int = 90) -> Photo:
    return Photo(np.full_like(fakes.photo.pixels, shade), None, None, "behind")


def test_a_back_photo_has_stages_of_its_own(fakes: Fakes, tmp_path: Path) -> None:
    report = run(fakes, tmp_path / "out", back_photo=behind(fakes)).report
    assert fakes.calls["observe_back"] == fakes.calls["back"] == 1
    assert isinstance(fakes.seen["texture"][-1], BackView)
    assert report["back_photo"] == {"name": "behind", "used": False, "silhouette_iou": 0.9, "share_of_texels": 0.0}
    assert "a note on the back photo" in report["warnings"] and {"observe_back", "back"} <= set(report["seconds"])
    fakes.calls.clear()
    run(fakes, tmp_path / "out", existing="resume", back_photo=dataclasses.replace(behind(fakes), name="renamed"))
    assert not fakes.calls
    run(fakes, tmp_path / "out", existing="resume", back_photo=behind(fakes, 91))
    assert set(fakes.calls) - {"load"} == {"observe_back", "back", "texture", "rig"}
    fakes.calls.clear()
    assert run(fakes, tmp_path / "out", existing="resume").report["back_photo"] is None
    assert set(fakes.calls) == {"texture", "rig"}


def test_from_a_stage_runs_what_another_back_photo_needs(fakes: Fakes, tmp_path: Path) -> None:
    run(fakes, tmp_path / "out")
    for start, shade, again in (
        ("texture", 90, {"observe_back", "back", "texture", "rig"}),  # the earlier run had none
        ("texture", 90, {"texture", "rig"}),
        ("texture", 91, {"observe_back", "back", "texture", "rig"}),
        ("refine", 91, {"refine", "back", "texture", "rig"}),
        ("observe", 91, {*STAGES, "observe_back", "back"}),
    ):
        fakes.calls.clear()
        report = run(fakes, tmp_path / "out", start=start, back_photo=behind(fakes, shade)).report
        assert set(fakes.calls) - {"load"} == again, (start, shade)
        assert report["warnings"] == ["a note on the back photo"]
    with pytest.raises(CarveError, match=r"'texture' in .* was made from another input"):
        run(fakes, tmp_path / "out", start="rig", back_photo=behind(fakes, 92))


def test_settings_of_the_registration_register_again(fakes: Fakes, tmp_path: Path) -> None:
    run(fakes, tmp_path / "out", back_photo=behind(fakes))
    for changed, again in (("texture", False), ("normals", True), ("refine", True)):
        fakes.calls.clear()
        run(fakes, tmp_path / "out", [some_setting(changed)], existing="resume", back_photo=behind(fakes))
        assert bool(fakes.calls["back"]) == again, changed
        assert not fakes.calls["observe_back"]


def test_a_back_photo_that_is_refused_leaves_the_outputs_as_they_were(fakes: Fakes, tmp_path: Path) -> None:
    run(fakes, tmp_path / "out")
    before = (tmp_path / "out" / "report.json").read_bytes()
    fakes.fail["observe_back"] = CarveError("The back photo shows the person from the front.")
    with pytest.raises(CarveError, match="from the front"):
        run(fakes, tmp_path / "out", start="texture", back_photo=behind(fakes))
    assert (tmp_path / "out" / "report.json").read_bytes() == before


def test_a_large_back_photo_is_reduced(fakes: Fakes, tmp_path: Path) -> None:
    large = Photo(np.zeros((4000, 4000, 3), np.uint8), None, 8000.0, "large")
    run(fakes, tmp_path / "out", back_photo=large)
    seen = fakes.seen["observe_back"][0]
    assert seen.pixels.shape[0] * seen.pixels.shape[1] <= 12_000_000 and seen.pixels.shape[0] > 3400
    assert seen.focal == pytest.approx(8000 * seen.pixels.shape[0] / 4000, rel=1e-3)
