"""Imports point one way, and the light ones stay light."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "numpy", "mediapipe", "numba", "scipy", "anny", "PIL", "pydantic", "rich", "warp")


def loaded_after(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after running `code`."""
    script = f"import sys\n{code}\nprint(' '.join({{name.split('.')[0] for name in sys.modules}}), file=sys.__stderr__)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(result.stderr.split())


@pytest.mark.parametrize(
    "command", ["--help", "--version", "reconstruct --help", "animate --help", "synth make --help", "serve --help", "report --help"]
)
def test_help_loads_nothing_heavy(command: str) -> None:
    code = f"from carve.app.cli import run\ntry:\n    run({command.split()!r})\nexcept SystemExit:\n    pass"
    assert not loaded_after(code) & set(HEAVY)


def test_importing_carve_loads_nothing_heavy() -> None:
    assert not loaded_after("import carve") & set(HEAVY)


def test_a_bad_photo_is_told_without_loading_torch() -> None:
    code = "from carve.app.cli import run\nassert run(['reconstruct', 'no_such.jpg', '--out', 'no_such_folder']) == 2"
    assert "torch" not in loaded_after(code)


def test_the_public_surface() -> None:
    import carve
    from carve.pipeline import reconstruct
    from carve.records import Avatar, Photo

    assert (carve.reconstruct, carve.Avatar, carve.Photo) == (reconstruct, Avatar, Photo)
    assert carve.__all__ == ["Avatar", "Photo", "__version__", "reconstruct"]
    with pytest.raises(AttributeError, match="no attribute 'registry'"):
        carve.registry  # noqa: B018


def test_the_import_contracts_hold() -> None:
    lint_imports = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([lint_imports, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
