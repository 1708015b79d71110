"""An asset folder is read whole, or refused with the name of the file that is wrong."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carve.records import CarveError
from carve.synth.assets import files as assets
from carve.synth.assets.files import read_assets, read_garment

SHARED = Path(__file__).parents[3].parent / "shared" / "assets"


def arrays() -> dict[str, np.ndarray]:
    """A sound garment of two triangles."""
    return {
        "ref": np.array([[0, 1, 2], [3, 4, 5], [6, 7, 8], [19157, 19157, 19157]], np.int32),
        "weights": np.array([[0.5, 0.25, 0.25], [1.5, -0.5, 0.0], [0.2, 0.3, 0.5], [1, 0, 0]], np.float32),
        "offsets": np.full((4, 3), 0.1, np.float32),
        "scale_verts": np.array([[5399, 11998], [791, 881], [962, 5320]], np.int32),
        "scale_den": np.array([1.4, 2.3, 1.9], np.float32),
        "faces": np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        "uv": np.array([[0, 0], [1, 0], [0, 1]], np.float32),
        "face_uv": np.array([[0, 1, 2], [2, 1, 0]], np.int32),
        "delete": np.array([9, 3, 4], np.int32),
        "delete_auto": np.array([4, 10], np.int32),
    }


META: dict[str, Any] = {"kind": "top", "layer": 3, "gender": "female", "licence": "CC0-1.0", "author": "A", "diffuse": "diffuse.webp"}


def write(root: Path, name: str = "shirt", meta: Any = None, **changes: Any) -> Path:
    """A garment folder below the root with some arrays replaced (None leaves one out)."""
    folder = root / "garments" / name
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "garment.npz", **{k: v for k, v in (arrays() | changes).items() if v is not None})
    (folder / "meta.json").write_text(json.dumps(META if meta is None else meta))
    (folder / "diffuse.webp").write_bytes(b"webp")
    return folder


def test_a_garment_is_read(tmp_path: Path) -> None:
    folder = write(tmp_path)
    found = read_assets(tmp_path)
    garment = found.garments["shirt"]
    assert (garment.kind, garment.layer, garment.gender, garment.poses, garment.alpha) == ("top", 3, "female", "any", False)
    assert garment.hidden.tolist() == [3, 4, 9, 10] and garment.hidden.dtype == np.int64
    assert (garment.diffuse, garment.normal) == (folder / "diffuse.webp", None)
    assert garment.ref.dtype == np.int32 and garment.faces.dtype == np.int64 and garment.offsets.dtype == np.float64
    np.testing.assert_array_equal(garment.ref_weights, arrays()["weights"].astype(float))
    assert (found.refused, found.licences, found.skins, found.motions) == ({}, (), {}, {})


def changed(name: str, index: Any, value: float) -> dict[str, np.ndarray]:
    """One array with one value replaced."""
    array = arrays()[name]
    array[index] = value
    return {name: array}


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"offsets": None}, "lacks the array `offsets`"),
        ({"faces": None}, "lacks the array `faces`"),
        ({"ref": arrays()["ref"].astype(float)}, "`ref` holds float64"),
        ({"uv": np.zeros((3, 2), int)}, "`uv` holds int"),
        ({"ref": arrays()["ref"][:, :2]}, r"`ref` has the shape \(4, 2\)"),
        ({"weights": arrays()["weights"][:3]}, r"`weights` has the shape \(3, 3\), not \(4, 3\)"),
        ({"face_uv": arrays()["face_uv"][:1]}, "`face_uv` has the shape"),
        ({"delete": np.zeros((2, 2), int)}, "`delete` has the shape"),
        (changed("ref", (0, 0), 19158), "`ref` has an index outside 0 to 19157"),
        (changed("ref", (0, 0), -1), "`ref` has an index outside"),
        (changed("scale_verts", (0, 0), 20000), "`scale_verts` has an index outside"),
        (changed("delete_auto", 0, 19158), "`delete_auto` has an index outside"),
        (changed("faces", (0, 0), 4), "`faces` has an index outside 0 to 3"),
        (changed("face_uv", (0, 0), 3), "`face_uv` has an index outside 0 to 2"),
        (changed("offsets", (0, 0), np.nan), "`offsets` holds NaN"),
        (changed("uv", (0, 0), np.inf), "`uv` holds NaN or infinity"),
        (changed("weights", (0, 0), 0.6), "do not add up to 1"),
        (changed("scale_den", 0, 0.0), "not positive"),
        ({"faces": np.zeros((0, 3), int), "face_uv": np.zeros((0, 3), int)}, "no faces"),
        ({"ref": np.array([[None] * 3] * 4, object)}, "cannot be read"),
    ],
)
def test_a_malformed_array_is_refused_with_its_file(tmp_path: Path, changes: dict[str, Any], why: str) -> None:
    folder = write(tmp_path, **changes)
    with pytest.raises(CarveError, match=rf"shirt/garment\.npz.*{why}"):
        read_garment(folder)


@pytest.mark.parametrize("content", [b"", b"no zip", b"PK\x03\x04 torn"])
def test_an_unreadable_archive_is_refused_with_its_file(tmp_path: Path, content: bytes) -> None:
    folder = write(tmp_path)
    (folder / "garment.npz").write_bytes(content)
    with pytest.raises(CarveError, match=r"shirt/garment\.npz cannot be read"):
        read_garment(folder)


def test_a_damaged_archive_is_refused_with_its_file(tmp_path: Path) -> None:
    path = write(tmp_path) / "garment.npz"
    data = bytearray(path.read_bytes())
    data[data.index(b"NUMPY") + 140] ^= 0xFF  # inside the first member, so that its CRC is wrong
    path.write_bytes(data)
    with pytest.raises(CarveError, match=r"shirt/garment\.npz cannot be read"):
        read_garment(path.parent)


@pytest.mark.parametrize("shape", ["(999999999999999, 3)", "(99999999999999999999999, 3)", "(-4, 3)", "(4, 3", "4; 3"])
def test_a_header_that_lies_about_the_shape_is_refused(tmp_path: Path, shape: str) -> None:
    path = write(tmp_path) / "garment.npz"
    header = f"{{'descr': '<i4', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ref.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(48))
    with pytest.raises(CarveError, match=r"shirt/garment\.npz cannot be read"):
        read_garment(path.parent)


@pytest.mark.parametrize(
    ("meta", "why"),
    [
        ({**META, "kind": "sock"}, '"kind" is "sock"; use one of top, bottom'),
        ({k: v for k, v in META.items() if k != "kind"}, '"kind" is null'),
        ({k: v for k, v in META.items() if k != "layer"}, 'lacks "layer"'),
        ({**META, "kind": ["top"]}, '"kind" is '),
        ({**META, "layer": "3"}, '"layer" is "3"'),
        ({**META, "layer": 9}, '"layer" is 9'),
        ({**META, "layer": True}, '"layer" is true'),
        ({**META, "gender": "f"}, '"gender" is "f"'),
        ({**META, "adult_only": 1}, '"adult_only" is 1'),
        ({**META, "poses": "dance"}, '"poses" is "dance"'),
        ({**META, "author": None}, '"author" is null'),
        ({**META, "diffuse": "../../secret.png"}, '"diffuse" is '),
        ({**META, "diffuse": 3}, '"diffuse" is 3'),
        ([META], "not a JSON object"),
    ],
)
def test_a_malformed_meta_json_is_refused_with_its_name(tmp_path: Path, meta: Any, why: str) -> None:
    folder = write(tmp_path, meta=meta)
    with pytest.raises(CarveError, match=r"meta\.json") as error:
        read_garment(folder)
    assert why in str(error.value)


def test_missing_and_unreadable_files_are_named(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "meta.json").write_text("{")
    with pytest.raises(CarveError, match=r"shirt/meta\.json is not JSON"):
        read_garment(folder)
    (folder / "meta.json").unlink()
    with pytest.raises(CarveError, match=r"shirt/meta\.json does not exist"):
        read_garment(folder)
    (write(tmp_path) / "diffuse.webp").unlink()
    with pytest.raises(CarveError, match=r"shirt/diffuse\.webp does not exist"):
        read_garment(folder)
    (folder / "garment.npz").unlink()
    with pytest.raises(CarveError, match=r"shirt holds neither garment\.npz nor one \.mhclo"):
        read_garment(folder)


def test_huge_files_are_refused_before_they_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path)
    with (folder / "garment.npz").open("wb") as file:
        file.truncate(257 * 2**20)  # sparse
    with pytest.raises(CarveError, match=r"garment\.npz is larger than 256 MiB"):
        read_garment(folder)
    np.savez_compressed(folder / "garment.npz", **(arrays() | {"extra": np.zeros(2**20)}))
    monkeypatch.setattr(assets, "LARGEST_FILE", 2**20)
    with pytest.raises(CarveError, match=r"garment\.npz unpacks to more than 1 MiB"):
        read_garment(folder)


def test_skip_bad_leaves_the_bad_ones_out_and_says_why(tmp_path: Path) -> None:
    write(tmp_path, "good")
    write(tmp_path, "bad", **changed("ref", (0, 0), 19158))
    (tmp_path / "garments" / "empty").mkdir()
    with pytest.raises(CarveError, match=r"bad/garment\.npz"):
        read_assets(tmp_path)
    found = read_assets(tmp_path, skip_bad=True)
    assert list(found.garments) == ["good"] and sorted(found.refused) == ["bad", "empty"]
    assert "bad/garment.npz" in found.refused["bad"] and "empty holds neither" in found.refused["empty"]


def test_a_root_without_garments_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CarveError, match=r"has no folder garments/"):
        read_assets(tmp_path)
    (tmp_path / "garments").mkdir()
    with pytest.raises(CarveError, match=r"no usable garment"):
        read_assets(tmp_path)
    write(tmp_path, "bad", ref=None)
    with pytest.raises(CarveError, match=r"no usable garment .*bad/garment\.npz"):
        read_assets(tmp_path, skip_bad=True)


def test_makehuman_folders_beside_garments_give_their_kind_and_names_must_differ(tmp_path: Path) -> None:
    write(tmp_path, "shirt")
    for top, name in (("hair", "curls"), ("eyebrows", "thick"), ("clothes", "shirt")):
        folder = tmp_path / top / name
        folder.mkdir(parents=True)
        (folder / f"{name}.mhclo").write_text("obj_file a.obj\nverts 0\n1\n2\n3\n")
        (folder / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nf 1/1 2/1 3/1\n")
    with pytest.raises(CarveError, match=r"Two garments .* called shirt"):
        read_assets(tmp_path)
    found = read_assets(tmp_path, skip_bad=True)
    assert {n: (g.kind, g.layer) for n, g in found.garments.items()} == {
        "curls": ("hair", 6),
        "thick": ("eyebrows", 1),
        "shirt": ("top", 3),
    }
    assert "Two garments" in found.refused["shirt"]


def test_lists_and_folders_beside_the_garments(tmp_path: Path) -> None:
    write(tmp_path)
    for name in ("skins/pale.webp", "fabrics/wool.webp", "hdri/sky.hdr", "backgrounds/wall.jpg", "eyes/blue.webp", "poses/cmu/walk.bvh"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "poses/cmu/walk.meta").write_bytes(b"x")
    (tmp_path / "skins/skins.json").write_text('[{"file": "pale.webp", "size": 512, "full": false, "underwear": true}]')
    (tmp_path / "fabrics/fabrics.json").write_text('[{"file": "wool.webp", "feathered": true, "mean": [1, 2, 3]}]')
    (tmp_path / "licences.csv").write_text('asset,licence,author,source\neyes/*,CC0-1.0,"A, B",here\n')
    found = read_assets(tmp_path)
    assert (found.skins["pale"].size, found.skins["pale"].underwear) == (512, True)
    assert (found.fabrics["wool"].feathered, found.fabrics["wool"].mean) == (True, (1, 2, 3))
    assert (list(found.hdris), list(found.backgrounds), list(found.eyes), list(found.motions)) == (["sky"], ["wall"], ["blue"], ["walk"])
    assert found.licences == (assets.Licence("eyes/*", "CC0-1.0", "A, B", "here"),)
    for name, text in (
        ("skins/skins.json", "{}"),
        ("skins/skins.json", '[{"file": "pale.webp"}]'),
        ("skins/skins.json", '[{"file": "gone.webp", "size": 1}]'),
        ("fabrics/fabrics.json", '[{"file": "wool.webp", "mean": [1, 2]}]'),
        ("licences.csv", "asset,licence\na,b\n"),
    ):
        kept = (tmp_path / name).read_text()
        (tmp_path / name).write_text(text)
        with pytest.raises(CarveError, match="gone.webp" if "gone" in text else name):
            read_assets(tmp_path)
        (tmp_path / name).write_text(kept)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the asset pack shared/assets is absent")
def test_the_whole_pack_is_read() -> None:
    found = read_assets(SHARED)
    assert len(found.garments) == len([p for p in (SHARED / "garments").iterdir() if p.is_dir()]) and not found.refused
    assert {g.kind for g in found.garments.values()} == set(assets.get_args(assets.Kind))
    assert len(found.skins) == 22 and len(found.hdris) == 12 and len(found.fabrics) == 76 and len(found.motions) == 21
    for garment in found.garments.values():
        assert garment.faces.max() == len(garment.ref) - 1
        assert (garment.diffuse is None) or garment.diffuse.is_file()
