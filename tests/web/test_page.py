"""The page in Chromium: from the upload to the view in 3D, corrected, run again and downloaded; by mouse, keyboard and screen reader."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from web.test_recovery import Running, serving
from web.uploads import picture

FOLDER = Path(__file__).parents[1] / "browser"
PAGE = Path(__file__).parents[2] / "src" / "carve" / "web" / "page"
MOST_BYTES = 1_500_000
"""Of the page before any avatar is loaded, unpacked."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """With workers that draw up motions, for the page shows them. Who uses the page deletes what they made."""
    with serving(tmp_path_factory.mktemp("page") / "data", motions=True) as started:
        yield started


def used(url: str, photo: Path, width: int, height: int, theme: str) -> dict[str, Any]:
    """What tests/browser/web.mjs tells of using the page."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if shutil.which("node") is None or chromium is None or not (FOLDER / "node_modules" / "playwright-core").is_dir():
        missing = "the page's tests need node, `npm ci` in tests/browser, and Chromium (Debian: apt install chromium)"
        if os.environ.get("CI") == "true" and "chromium" not in os.environ.get("CARVE_MISSING", "").split():
            pytest.fail(missing)
        pytest.skip(missing)
    words = ["node", "web.mjs", chromium, url, str(photo), str(width), str(height), theme]
    done = subprocess.run(words, cwd=FOLDER, capture_output=True, text=True, timeout=600, check=False)
    assert done.stdout, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert "error" not in report, report
    return report


@pytest.mark.parametrize(("width", "height", "theme"), [(1000, 700, "light"), (390, 844, "dark")])
def test_the_page_is_usable(server: Running, tmp_path: Path, width: int, height: int, theme: str) -> None:
    photo = tmp_path / "ann.jpg"
    photo.write_bytes(picture(size=(240, 320)))
    report = used(server.url, photo, width, height, theme)
    assert report["violations"] == [] and report["errors"] == [] and report["outside"] == []
    assert report["options"] == {"preset": "fast"} and int(report["triangles"].replace(",", "")) > 1000
    assert report["wrapped"] == "tab-about"
    assert report["corrected"] == ["mask", "landmarks"] and report["without"] == ["hair"]
    assert report["download"] == ["ann_avatar.glb", "glTF"]
    assert report["left"] == 0 and not report["sideways"]
    assert report["weight"] < MOST_BYTES


def test_the_page_asks_for_nothing_elsewhere() -> None:
    for file in PAGE.rglob("*"):
        if file.suffix in (".js", ".css", ".html") and "vendor" not in file.parts:
            text = file.read_text(encoding="utf-8").replace("http://www.w3.org/", "").replace("https://vrm.dev/licenses/1.0/", "")
            assert "http://" not in text and "https://" not in text, file


def test_texts_stand_in_one_file() -> None:
    import re

    for file in PAGE.rglob("*.js"):
        if file.name != "texts.js" and "vendor" not in file.parts:
            code = re.sub(r"//[^\n]*|`[^`]*`", "", file.read_text(encoding="utf-8"))
            sentences = [s for s in re.findall(r'"([^"\n]*)"', code) if re.fullmatch(r"[A-Z][a-z]+( [a-z]+)+\.?", s)]
            assert not sentences, (file, sentences)
