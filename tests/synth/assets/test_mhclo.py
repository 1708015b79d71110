"""MakeHuman's text formats: by hand, back and forth, and broken in every line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from carve.records import CarveError
from carve.synth.assets.files import garment_from_mhclo, kind_from_words, read_assets, read_garment
from carve.synth.assets.mhclo import read_mhclo, read_mhmat, read_obj

SHARED = Path(__file__).parents[3].parent / "shared" / "assets" / "garments"

MHCLO = """# Exported from MakeClothes (TM)
# author Ada Weaver
# license: CC0
basemesh hm08
uuid 59985471-ab08-479f-a32d-2d88411714ef
name Square Skirt
tag Casual, Female
obj_file square.obj
material square.mhmat
x_scale 5399 11998 1.3980
z_scale 962 5320 1.8461
y_scale 791 881 2.2048
z_depth 43
verts 0
 12
 10 11 12 0.5 0.25 0.25 0.01 -0.02 .03
# a comment between
 10 11 13 -0.50000 1.25 0.25 0 0 1e-1

 19157
delete_verts
 5 - 8 20
 7 9 - 10
"""
OBJ = """# a square and a triangle
o square
v 0 0 0
v 1 0 0
v 1 1 0
v 0 1 0
vn 0 0 1
vt 0 0
vt 1 0
vt 1 1
vt 0 1
usemtl cloth
f 1/1/1 2/2/1 3/3/1 4/4/1
f -4/-4 -3/-3 -2/-2
"""
MHMAT = """# Material definition
name cloth
diffuseTexture square.png
// normalmapTexture none.png
transparent True
"""


def write(folder: Path, **changes: str) -> Path:
    """The hand-written garment with some files replaced; the .mhclo's path."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in ({"mhclo": MHCLO, "obj": OBJ, "mhmat": MHMAT} | changes).items():
        (folder / f"square.{name}").write_bytes(text.encode())
    (folder / "square.png").write_bytes(b"png")
    return folder / "square.mhclo"


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_file_written_by_hand(tmp_path: Path, ending: str) -> None:
    path = write(tmp_path, **{k: v.replace("\n", ending) for k, v in (("mhclo", MHCLO), ("obj", OBJ), ("mhmat", MHMAT))})
    fit = read_mhclo(path)
    assert fit.ref.tolist() == [[12, 12, 12], [10, 11, 12], [10, 11, 13], [19157, 19157, 19157]]
    assert fit.weights.tolist() == [[1, 0, 0], [0.5, 0.25, 0.25], [-0.5, 1.25, 0.25], [1, 0, 0]]
    assert fit.offsets.tolist() == [[0, 0, 0], [0.01, -0.02, 0.03], [0, 0, 0.1], [0, 0, 0]]
    assert fit.scale_vertices.tolist() == [[5399, 11998], [791, 881], [962, 5320]]
    assert fit.scale_denominators.tolist() == [1.398, 2.2048, 1.8461]
    assert fit.delete.tolist() == [5, 6, 7, 8, 9, 10, 20]
    assert (fit.author, fit.licence, fit.z_depth, fit.tags) == ("Ada Weaver", "CC0", 43, ("Casual", "Female"))
    mesh = read_obj(fit.obj)
    assert mesh.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 2]] == mesh.face_uv.tolist()
    assert mesh.uv.tolist() == [[0, 0], [1, 0], [1, 1], [0, 1]]
    material = read_mhmat(tmp_path / "square.mhmat")
    assert (material.diffuse, material.normal, material.transparent) == (tmp_path / "square.png", None, True)


def test_kind_layer_and_gender_follow_from_words_and_depth_and_meta_json_overrides_them(tmp_path: Path) -> None:
    path = write(tmp_path)
    garment = garment_from_mhclo(path, "square")
    assert (garment.kind, garment.layer, garment.gender, garment.alpha, garment.adult_only) == ("bottom", 2, "female", True, False)
    assert garment.licence == "CC0" and garment.author == "Ada Weaver" and garment.diffuse == tmp_path / "square.png"
    assert garment_from_mhclo(path, "square", kind="hair").kind == "hair"
    (tmp_path / "meta.json").write_text(json.dumps({"kind": "coat", "layer": 5, "adult_only": True, "alpha": False}))
    garment = garment_from_mhclo(path, "square")
    assert (garment.kind, garment.layer, garment.gender, garment.alpha, garment.adult_only) == ("coat", 5, "female", False, True)


def test_a_garment_of_no_known_kind_asks_for_meta_json(tmp_path: Path) -> None:
    path = write(tmp_path, mhclo=MHCLO.replace("Square Skirt", "Square"))
    with pytest.raises(CarveError, match=r"square\.mhclo does not tell.*meta\.json.*\"kind\""):
        garment_from_mhclo(path, "square")


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (["jeans", "skirt"], "bottom"),
        (["miniskirt"], "bottom"),
        (["female", "casualsuit"], "suit"),
        (["tank", "top"], "top"),
        (["dress", "shoes"], "shoes"),
        (["that"], None),  # ends in a word that is too short to be looked for in others
        (["spring"], None),
        ([], None),
    ],
)
def test_words_tell_the_kind(words: list[str], kind: str | None) -> None:
    assert kind_from_words(words) == kind


def line_of(text: str, start: str) -> int:
    """The number of the first line that begins with `start`."""
    return 1 + next(i for i, line in enumerate(text.split("\n")) if line.strip().startswith(start))


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        (" 12\n", " 19158\n", "no vertex of the body"),
        (" 12\n", " -1\n", "no vertex of the body"),
        (" 12\n", " 1.5\n", "no vertex of the body"),
        (" 10 11 12 0.5 0.25 0.25 0.01 -0.02 .03", " 10 11 12 0.5 0.25 0.25", "1 or 9 numbers"),
        (" 10 11 12 0.5 0.25 0.25 0.01 -0.02 .03", " 10 11 12 0.5 0.25 0.35 0.01 -0.02 .03", "add up to 1"),
        (" 10 11 12 0.5 0.25 0.25 0.01 -0.02 .03", " 10 11 12 0.5 0.25 0.25 nan -0.02 .03", "finite"),
        (" 10 11 12 0.5 0.25 0.25 0.01 -0.02 .03", " 10 11 12 0.5 0.25 0.25 x -0.02 .03", "is not"),
        (" 5 - 8 20", " 8 - 5 20", "backwards"),
        (" 5 - 8 20", " 5 -", "lacks its end"),
        (" 5 - 8 20", " 5 - 20000", "no vertex of the body"),
        ("x_scale 5399 11998 1.3980", "x_scale 5399 11998", "two vertices and a length"),
        ("x_scale 5399 11998 1.3980", "x_scale 5399 11998 0", "positive"),
        ("x_scale 5399 11998 1.3980", "x_scale 5399 99999 1.3980", "no vertex of the body"),
        ("x_scale 5399 11998 1.3980", "5399 11998 1.3980", "outside the sections"),
        ("z_depth 43", "z_depth deep", "whole number"),
        ("obj_file square.obj", "obj_file round.obj", "not there"),
        ("material square.mhmat", "material round.mhmat", "not there"),
        ("verts 0", "verts 5", "vertex 0"),
        ("basemesh hm08", "shear_x 1 2 3", "not supported"),
    ],
)
def test_a_malformed_mhclo_is_refused_with_file_and_line(tmp_path: Path, old: str, new: str, why: str) -> None:
    text = MHCLO.replace(old, new, 1)
    assert text != MHCLO
    path = write(tmp_path, mhclo=text)
    with pytest.raises(CarveError, match=rf"square\.mhclo, line {line_of(text, new.strip())}: .*{why}"):
        read_mhclo(path)


def test_missing_lines_are_named(tmp_path: Path) -> None:
    for gone, what in (("y_scale", "y_scale"), ("obj_file", "obj_file")):
        path = write(tmp_path, mhclo="\n".join(line for line in MHCLO.split("\n") if not line.startswith(gone)))
        with pytest.raises(CarveError, match=rf"square\.mhclo has no line `{what}`"):
            read_mhclo(path)
    with pytest.raises(CarveError, match=r"square\.mhclo has no lines below"):
        read_mhclo(write(tmp_path, mhclo=MHCLO[: MHCLO.index(" 12")]))


def test_scale_lines_may_be_absent_where_nothing_is_offset(tmp_path: Path) -> None:
    text = "".join(f"{line}\n" for line in MHCLO.split("\n") if "_scale" not in line and not line.startswith(" 10"))
    fit = read_mhclo(write(tmp_path, mhclo=text))
    assert fit.ref[:, 0].tolist() == [12, 19157] and not fit.offsets.any() and (fit.scale_denominators > 0).all()


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("v 1 0 0", "v 1 0", "3 finite numbers"),
        ("v 1 0 0", "v 1 0 inf", "3 finite numbers"),
        ("vt 1 0", "vt one 0", "2 numbers"),
        ("f 1/1/1 2/2/1 3/3/1 4/4/1", "f 1/1/1 2/2/1", "fewer than three"),
        ("f 1/1/1 2/2/1 3/3/1 4/4/1", "f 1 2 3 4", "texture coordinates"),
        ("f 1/1/1 2/2/1 3/3/1 4/4/1", "f 1/1 2/2 5/3", "vertex that does not exist"),
        ("f 1/1/1 2/2/1 3/3/1 4/4/1", "f 1/1 2/2 0/3", "vertex that does not exist"),
        ("f 1/1/1 2/2/1 3/3/1 4/4/1", "f 1/1 2/2 3/-9", "texture coordinate that does not exist"),
        ("f 1/1/1 2/2/1 3/3/1 4/4/1", "f a/1 2/2 3/3", "no corner"),
    ],
)
def test_a_malformed_obj_is_refused_with_file_and_line(tmp_path: Path, old: str, new: str, why: str) -> None:
    text = OBJ.replace(old, new, 1)
    path = write(tmp_path, obj=text)
    with pytest.raises(CarveError, match=rf"square\.obj, line {line_of(text, new)}: .*{why}"):
        garment_from_mhclo(path, "square")


def test_counts_materials_and_textures_must_agree(tmp_path: Path) -> None:
    with pytest.raises(CarveError, match=r"square\.mhclo fits 4 vertices but .*square\.obj has 5"):
        garment_from_mhclo(write(tmp_path, obj=OBJ.replace("vn 0", "v 9 9 9\nvn 0")), "square")
    with pytest.raises(CarveError, match=r"square\.mhmat, line 3: .*gone\.png"):
        garment_from_mhclo(write(tmp_path, mhmat=MHMAT.replace("square.png", "gone.png")), "square")
    with pytest.raises(CarveError, match=r"square\.obj has no faces"):
        garment_from_mhclo(write(tmp_path, obj=OBJ[: OBJ.index("f 1")]), "square")


def test_a_quad_that_names_a_corner_twice_is_a_triangle(tmp_path: Path) -> None:
    path = write(tmp_path, obj=OBJ.replace("f 1/1/1 2/2/1 3/3/1 4/4/1", "f 1/1 2/2 3/3 1/1"))
    assert read_obj(path.with_suffix(".obj")).faces.tolist() == [[0, 1, 2], [0, 1, 2]]


@pytest.mark.skipif(not SHARED.is_dir(), reason="the asset pack shared/assets is absent")
@pytest.mark.parametrize("name", ["Coat", "toigo_mj_cloth_shoes", "eyes_low_poly"])
def test_a_garment_of_the_pack_survives_as_mhclo(tmp_path: Path, name: str) -> None:
    """Written in MakeHuman's format and read from MakeHuman's folders it is the same garment."""
    wanted = read_garment(SHARED / name)
    folder = tmp_path / "clothes" / name
    folder.mkdir(parents=True)
    scale = (f"{a}_scale {p} {q} {d:.9g}" for a, (p, q), d in zip("xyz", wanted.scale_vertices, wanted.scale_denominators, strict=True))
    fit = [" ".join([*(str(v) for v in r), *(f"{x:.9g}" for x in (*w, *o))]) for r, w, o in _fits(wanted)]
    head = [f"# license {wanted.licence}", f"name {name}", f"obj_file {name}.obj", "material m.mhmat", *scale, "z_depth 50", "verts 0"]
    (folder / f"{name}.mhclo").write_text("\n".join([*head, *fit, "delete_verts", *_as_ranges(wanted.hidden)]))
    mesh = [f"v {v} 0 0" for v in range(len(wanted.ref))] + [f"vt {u:.9g} {v:.9g}" for u, v in wanted.uv]
    for face, face_uv in zip(wanted.faces + 1, wanted.face_uv + 1, strict=True):
        mesh.append("f " + " ".join(f"{v}/{t}" for v, t in zip(face, face_uv, strict=True)))
    (folder / f"{name}.obj").write_text("\n".join(mesh))
    (folder / "m.mhmat").write_text("transparent False")
    found = read_assets(tmp_path).garments[name]
    for field in ("ref", "hidden", "faces", "face_uv", "scale_vertices"):
        np.testing.assert_array_equal(getattr(found, field), getattr(wanted, field))
        assert getattr(found, field).dtype == getattr(wanted, field).dtype
    for field in ("ref_weights", "offsets", "scale_denominators", "uv"):
        np.testing.assert_allclose(getattr(found, field), getattr(wanted, field), rtol=1e-7, atol=1e-7)
    assert (found.kind, found.layer, found.licence) == (wanted.kind, wanted.layer, wanted.licence)


def _fits(garment):  # type: ignore[no-untyped-def]
    return zip(garment.ref, garment.ref_weights, garment.offsets, strict=True)


def _as_ranges(vertices: np.ndarray) -> list[str]:
    """Sorted vertices as lines of `a - b` and single numbers."""
    runs = np.split(vertices, np.flatnonzero(np.diff(vertices) != 1) + 1) if len(vertices) else []
    return [f"{r[0]} - {r[-1]}" if len(r) > 1 else f"{r[0]}" for r in runs]
