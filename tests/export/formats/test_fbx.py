from __future__ import annotations

from pathlib import Path

import pytest

from carve.export.formats.fbx import blender, fbx_bytes
from carve.export.glb import asset_document
from carve.export.options import ExportOptions
from carve.export.outputs import write_avatar
from carve.export.records import Asset
from carve.gltf.buffer import to_bytes
from carve.records import Avatar, CarveError


def program(folder: Path, text: str) -> str:
    path = folder / "blender"
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return str(path)


def test_without_blender_one_line_says_what_to_do(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CARVE_BLENDER", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CarveError, match="CARVE_BLENDER"):
        blender()


def test_what_blender_says_when_it_fails_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CARVE_BLENDER", program(tmp_path, "echo 'no such operator' >&2; exit 1\n"))
    with pytest.raises(CarveError, match="no such operator"):
        fbx_bytes(b"")


def test_the_file_that_blender_wrote_comes_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, with_shapes: Asset) -> None:
    """A stand-in for Blender that copies what it is given."""
    monkeypatch.setenv("CARVE_BLENDER", program(tmp_path, 'while [ "$1" != "--" ]; do shift; done; cp "$2" "$3"\n'))
    glb = to_bytes(asset_document(with_shapes, ExportOptions()))
    assert fbx_bytes(glb) == glb


def test_a_format_that_fails_leaves_the_others_whole(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, naked: Avatar) -> None:
    monkeypatch.setenv("CARVE_BLENDER", str(tmp_path / "nothing"))
    notes = write_avatar(tmp_path, naked, ExportOptions(blendshapes="none", formats=("fbx",)))
    assert len(notes) == 1 and notes[0].startswith("avatar.fbx was not written: FBX is written by Blender")
    assert {"avatar.glb", "posed.glb", "pose.json", "seen.png", "thumbnail.png"} == {path.name for path in tmp_path.iterdir()}
