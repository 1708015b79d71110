"""Evaluating methods over cases: kept scores, tables, problems."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from carve.evaluate.benchmark import Method, evaluate, parse_methods
from carve.evaluate.cases import Case, read_case
from carve.evaluate.tables import COLUMNS, TRACKS, Result, Track, as_latex, as_text, pick, rows
from carve.records import CarveError
from evaluate.case_files import CAMERA, JOINTS, truth, write_case


def write_output(folder: Path, grown: float = 0.0) -> None:
    """An output of a program: a GLB with the box, `grown` metres larger to each side."""
    import pygltflib as gltf

    vertices, faces = truth()
    vertices = (vertices + grown * np.sign(vertices - vertices.mean(0))).astype(np.float32)
    data = vertices.tobytes() + faces.astype(np.uint32).tobytes()
    views = [gltf.BufferView(buffer=0, byteOffset=0, byteLength=vertices.nbytes)]
    views.append(gltf.BufferView(buffer=0, byteOffset=vertices.nbytes, byteLength=len(data) - vertices.nbytes))
    box = {"min": vertices.min(0).tolist(), "max": vertices.max(0).tolist()}
    accessors = [
        gltf.Accessor(bufferView=0, componentType=5126, count=len(vertices), type="VEC3", **box),
        gltf.Accessor(bufferView=1, componentType=5125, count=faces.size, type="SCALAR"),
    ]
    mesh = gltf.Mesh(primitives=[gltf.Primitive(attributes=gltf.Attributes(POSITION=0), indices=1)])
    document = gltf.GLTF2(
        scene=0,
        scenes=[gltf.Scene(nodes=[0])],
        nodes=[gltf.Node(mesh=0)],
        meshes=[mesh],
        accessors=accessors,
        bufferViews=views,
        buffers=[gltf.Buffer(byteLength=len(data))],
    )
    document.set_binary_blob(data)
    folder.mkdir(parents=True)
    document.save_binary(folder / "posed.glb")
    shutil.copy(folder / "posed.glb", folder / "body.glb")
    (folder / "camera.json").write_text(json.dumps({"projection": CAMERA.projection.tolist()}))
    joints = {"leftUpperLeg": JOINTS["LeftUpLeg"], "rightUpperLeg": JOINTS["RightUpLeg"], "head": JOINTS["Head"]}
    (folder / "pose.json").write_text(json.dumps({"joints": joints}))
    (folder / "report.json").write_text("{}")


def test_methods_are_scored_once_and_tabulated(tmp_path: Path) -> None:
    cases, theirs, out = tmp_path / "cases", tmp_path / "theirs", tmp_path / "out"
    for name in ("one", "two"):
        write_case(cases / name)
    write_output(theirs / "one", 0.03)
    made: list[tuple[str, str]] = []

    def reconstruct(case: Case, folder: Path, track: Track) -> None:
        made.append((case.name, track))
        write_output(folder)

    methods = parse_methods(f"carve,body,theirs={theirs}")
    told: list[str] = []
    results = evaluate(cases, methods, out, reconstruct, progress=told.append)
    assert made == [("one", "fitted"), ("two", "fitted")]  # nothing tells which way a box faces, so it has no true body
    assert [bool(r.problem) for r in results] == [False, False, False, False, False, True]
    assert "does not exist" in results[-1].problem or "read" in results[-1].problem
    by = {(r.method, r.case): pick(r.figures, "registered.chamfer_cm") for r in results}
    assert by["carve", "one"] == by["body", "one"] < 0.12 < by["theirs", "one"]
    assert len(told) == 6
    before = {path: path.stat().st_mtime_ns for path in (out / "scores").rglob("*.json")}
    again = evaluate(cases, methods, out, reconstruct)
    assert len(made) == 2
    assert again == results
    assert before == {path: path.stat().st_mtime_ns for path in (out / "scores").rglob("*.json")}
    table = list(csv.DictReader((out / "table.csv").open()))
    assert [(row["method"], row["case"]) for row in table[:3]] == [("carve", "one"), ("body", "one"), ("theirs", "one")]
    assert float(table[0]["IoU"]) == 1
    assert "theirs" in (out / "index.html").read_text()
    assert json.loads((out / "results.json").read_text())[0]["case"] == "one"


def test_a_run_of_another_photo_or_preset_is_made_again(tmp_path: Path) -> None:
    cases, out = tmp_path / "cases", tmp_path / "out"
    write_case(cases / "one")
    made: list[float] = []

    def reconstruct(case: Case, folder: Path, track: Track) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        made.append(0.05 * len(made))
        write_output(folder, made[-1])

    def distance(runs: str) -> float:
        results = evaluate(cases, parse_methods("carve,body"), out, reconstruct, tracks=("fitted",), runs=runs)
        return float(pick(results[0].figures, "registered.chamfer_cm"))

    first = distance("fast")
    assert distance("fast") == first
    assert len(made) == 1
    assert distance("best") > 10 * first
    assert len(made) == 2
    photo = next(path for path in (cases / "one").iterdir() if path.name.startswith("photo"))
    photo.write_bytes(photo.read_bytes() + b" ")
    assert distance("best") > 10 * first
    assert len(made) == 3


def test_a_broken_case_is_a_problem_of_its_own(tmp_path: Path) -> None:
    cases, theirs = tmp_path / "cases", tmp_path / "theirs"
    for name in ("one", "two"):
        write_case(cases / name)
        write_output(theirs / name)
    (cases / "one" / "mask.png").unlink()
    methods = [Method("theirs", "posed.glb", theirs, ("fitted",))]
    results = evaluate(cases, methods, tmp_path / "out", lambda case, folder, track: None)
    assert [(result.case, bool(result.problem)) for result in results] == [("one", True), ("two", False)]
    assert "lacks mask.png" in results[0].problem
    assert (tmp_path / "out" / "table.txt").is_file()
    with pytest.raises(CarveError, match="lacks mask"):
        evaluate(cases, methods, tmp_path / "out", lambda case, folder, track: None, frozenset({"one"}))


@pytest.mark.parametrize("change", [{"joints": np.nan}, {"projection": 0.0}])
def test_numbers_that_cannot_be_are_refused(tmp_path: Path, change: dict[str, float]) -> None:
    write_case(tmp_path / "one")
    for name, value in change.items():
        if name == "joints":
            with np.load(tmp_path / "one" / "gt.npz", allow_pickle=False) as file:
                arrays = {key: file[key] for key in file.files}
            np.savez(tmp_path / "one" / "gt.npz", **(arrays | {"joints": np.full_like(arrays["joints"], value)}))
        else:
            camera = json.loads((tmp_path / "one" / "camera.json").read_text())
            camera["projection"] = np.full((3, 4), value).tolist()
            (tmp_path / "one" / "camera.json").write_text(json.dumps(camera))
    with pytest.raises(CarveError, match="cannot be"):
        read_case(tmp_path / "one")


def test_a_damaged_score_is_made_again(tmp_path: Path) -> None:
    cases, theirs, out = tmp_path / "cases", tmp_path / "theirs", tmp_path / "out"
    write_case(cases / "one")
    write_output(theirs / "one")
    methods = [Method("theirs", "posed.glb", theirs, ("fitted",))]
    first = evaluate(cases, methods, out, lambda case, folder, track: None)
    kept = out / "scores" / "theirs" / "one.json"
    document = json.loads(kept.read_text())
    for figures in ([1, 2], None, "high"):
        kept.write_text(json.dumps(document | {"figures": figures}))
        assert evaluate(cases, methods, out, lambda case, folder, track: None) == first


def test_changed_outputs_are_scored_again(tmp_path: Path) -> None:
    cases, theirs, out = tmp_path / "cases", tmp_path / "theirs", tmp_path / "out"
    write_case(cases / "one")
    write_output(theirs / "one")
    methods = [Method("theirs", "posed.glb", theirs, ("fitted",))]
    first = evaluate(cases, methods, out, lambda case, folder, track: None)
    shutil.rmtree(theirs / "one")
    write_output(theirs / "one", 0.05)
    second = evaluate(cases, methods, out, lambda case, folder, track: None)
    assert pick(second[0].figures, "registered.chamfer_cm") > 10 * pick(first[0].figures, "registered.chamfer_cm")


def test_both_tracks_are_run_and_judged_where_the_body_is_known(tmp_path: Path) -> None:
    write_case(tmp_path / "cases" / "one", {"Neck": (0.0, 0.4, -2.5)})
    theirs = tmp_path / "theirs"
    write_output(theirs / "one", 0.02)
    made: list[str] = []

    def reconstruct(case: Case, folder: Path, track: Track) -> None:
        made.append(track)
        write_output(folder, 0.0 if track == "true" else 0.03)

    methods = parse_methods(f"carve,body,theirs@true={theirs}")
    results = evaluate(tmp_path / "cases", methods, tmp_path / "out", reconstruct)
    assert made == ["fitted", "true"]
    assert [(r.method, r.track) for r in results] == [
        *(("carve", track) for track in TRACKS),
        *(("body", track) for track in TRACKS),
        ("theirs", "true"),
    ]
    errors = {(r.method, r.track): pick(r.figures, "registered.chamfer_cm") for r in results}
    assert errors["carve", "true"] < errors["theirs", "true"] < errors["carve", "fitted"]
    assert evaluate(tmp_path / "cases", methods[:1], tmp_path / "out", reconstruct, tracks=["true"]) == results[1:2]


def test_words_that_are_no_methods_are_refused(tmp_path: Path) -> None:
    assert [m.name for m in parse_methods("body, carve")] == ["body", "carve"]
    for text in ("", "carv", "carve,carve", f"theirs={tmp_path / 'none'}", f"={tmp_path}"):
        with pytest.raises(CarveError, match=r"method"):
            parse_methods(text)


def test_tables_show_both_tracks_and_escape_names() -> None:
    figures = {"silhouette_iou": 0.9, "aligned": {"chamfer_cm": 1.25}}
    results = [Result(str(k), "my_method", "fitted", figures) for k in range(3)] + [Result("x", "my_method", "fitted", {}, "lost")]
    lines = rows(results)
    assert [(line.track, line.count) for line in lines] == [("fitted", 3), ("true", 0)]
    text = as_text(lines)
    assert "0.900" in text and "1.250" in text and "my_method" in text
    latex = as_latex(lines)
    assert r"my\_method" in latex
    assert latex.count("&") == 3 * (len(COLUMNS) + 1)
