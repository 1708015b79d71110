from __future__ import annotations

import sys
from pathlib import Path

import pytest

from carve.export.options import ExportOptions
from carve.export.tools import check_tools
from carve.records import CarveError


@pytest.mark.parametrize(
    ("options", "formats", "package", "says"),
    [
        (ExportOptions(), ["usdz"], "pxr", "usd-core"),
        (ExportOptions(compress="draco"), [], "DracoPy", "DracoPy"),
        (ExportOptions(compress="meshopt"), [], "meshoptimizer", "meshoptimizer"),
        (ExportOptions(triangles=5000), [], "meshoptimizer", "meshoptimizer"),
        (ExportOptions(), ["lod"], "meshoptimizer", "meshoptimizer"),
    ],
)
def test_missing_packages(monkeypatch: pytest.MonkeyPatch, options: ExportOptions, formats: list[str], package: str, says: str) -> None:
    monkeypatch.setattr("carve.export.tools.find_spec", lambda name: None if name == package else object())
    with pytest.raises(CarveError, match=says):
        check_tools(options, formats)
    check_tools(ExportOptions(), ["glb", "vrm"])


def test_without_blender_no_stage_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from carve.app.cli import run

    monkeypatch.setenv("CARVE_BLENDER", str(tmp_path / "nothing"))
    monkeypatch.setitem(sys.modules, "carve.pipeline", None)
    photo = Path(__file__).parents[2] / "examples" / "person.jpg"
    assert run(["reconstruct", str(photo), "--out", str(tmp_path / "out"), "--fbx"]) == 2
    assert "CARVE_BLENDER" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
