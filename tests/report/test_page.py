"""The page of `carve report`: one file that tells what the folder holds, whatever stands in it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from carve.app import cli
from carve.app.batching.jobs import Line, text_of
from carve.app.demo import EXAMPLE
from carve.export.glb import write_avatar_glb
from carve.io.image import read_photo, write_png
from carve.records import CarveError
from carve.report.page import report_page
from carve.report.pictures import AvatarPictures, confidence_ramp
from people import capsule_avatar

REPORT: dict[str, Any] = {
    "photo": {"name": "Ann & <script>alert(1)</script>", "width": 160, "height": 240},
    "settings": {"preset": "standard"},
    "seconds": {"observe": 4.0, "fit_body": 8.5, "outputs": 1.0},
    "peak_memory_mib": {"observe": 900.0, "fit_body": 1200.0},
    "kept_stages": ["observe"],
    "warnings": ["The left hand is hidden: <b>a guess</b>."],
    "body": {"height": 1.75, "height_source": "argument"},
    "confidence": {"surface": 0.5, "trust": 0.81, "joints": {"head": 0.9, "neck": 0.7, "leftHand": 0.1}},
    "licences": {"body": "CC0-1.0"},
}


@pytest.fixture(autouse=True)
def fewer_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """The strip is drawn for every page, and most of these ask for something else."""
    monkeypatch.setattr("carve.report.pictures.TURNS", 4)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "ann"
    folder.mkdir()
    write_avatar_glb(folder / "avatar.glb", capsule_avatar())
    write_png(folder / "preview.png", np.full((64, 96, 3), 90, np.uint8))
    write_png(folder / "seen.png", np.full((32, 32), 200, np.uint8))
    (folder / "report.json").write_text(json.dumps(REPORT), encoding="utf-8")
    return folder


def test_a_run_is_told_on_one_page_that_asks_for_nothing(run: Path) -> None:
    page = report_page(run)
    sources = re.findall(r"""(?:src|href)=["']?([^"'>\s]*)""", page)
    assert len(sources) == 6  # turntable, two of confidence, sheet, two of what was seen
    assert all(source.startswith("data:image/webp;base64,") for source in sources)
    assert "1.75 m" in page and "81%" in page and "13 MiB" not in page and "1200 MiB" in page
    (run / "report.json").write_text(json.dumps({**REPORT, "confidence": {"trust": 1}}), encoding="utf-8")
    assert "100%" in report_page(run), "a whole number is one too"
    assert "80 %" in page, "the head's confidence is the mean of its joints'"


def test_what_a_back_photo_gave_counts_as_seen(run: Path) -> None:
    def seen() -> list[str]:
        return re.findall(r"""src=["']?(data:image/webp[^"'>\s]*)""", report_page(run))[-2:]

    write_png(run / "seen.png", np.full((32, 32), 20, np.uint8))
    first = seen()
    write_png(run / "seen_back.png", np.full((32, 32), 10, np.uint8))
    assert seen() == first, "the larger of the two counts"
    write_png(run / "seen_back.png", np.full((32, 32), 250, np.uint8))
    assert all(now != before for now, before in zip(seen(), first, strict=True))
    write_png(run / "seen_back.png", np.full((16, 16), 250, np.uint8))
    assert seen() == first, "a map of another size is not this texture's"


def test_what_a_file_says_is_text_and_never_markup(run: Path) -> None:
    page = report_page(run)
    assert "<script>alert" not in page and "<b>" not in page
    assert "Ann &amp; &lt;script&gt;" in page


@pytest.mark.parametrize("damage", ["[]", "{", '{"confidence": 3, "seconds": {"a": "x"}, "warnings": 5, "body": [], "photo": {"name": 7}}'])
def test_a_damaged_report_is_one_sentence_or_a_page_without_it(run: Path, damage: str) -> None:
    (run / "report.json").write_text(damage, encoding="utf-8")
    try:
        assert "carve report" in report_page(run)
    except CarveError as error:
        assert "report.json" in str(error)


def test_a_batch_shows_a_line_a_photo_and_pictures_of_its_own_folders_only(tmp_path: Path, run: Path) -> None:
    write_png(run / "thumbnail.png", np.full((32, 32, 3), 50, np.uint8))
    outside = tmp_path.parent
    lines = [
        Line("photos/ann.jpg", str(run), "done", 12.5, 1, "", "d"),
        Line("photos/<i>.jpg", str(tmp_path / "gone"), "failed", 1.0, 0, "no person & no dog", "d"),
        Line("x.jpg", str(outside), "done", 3.0, 0, "", "d"),
    ]
    (tmp_path / "batch.csv").write_text(text_of(lines))
    page = report_page(tmp_path)
    assert page.count("data:image/webp") == 1
    assert "no person &amp; no dog" in page and "&lt;i&gt;.jpg" in page and "<i>.jpg" not in page
    assert page.count('class="state failed"') == 1


def test_another_folder_is_refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["report", str(tmp_path)]) == cli.UNUSABLE
    assert capsys.readouterr().err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_command_writes_the_page_beside_the_avatar(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["report", str(run)]) == cli.DONE
    assert (run / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
    assert capsys.readouterr().out.strip() == str(run / "report.html")


def test_confidence_is_drawn_in_the_ramp_from_guess_to_certain(run: Path) -> None:
    red, yellow, green = (confidence_ramp()[0, i].astype(int) for i in (0, 128, 255))
    assert red[0] > red[1] + 80 and green[1] > green[0] + 80 and yellow[2] < 100
    assert len(AvatarPictures(run / "avatar.glb").confidence()) == 2


def test_the_example_of_the_demo_comes_with_the_package() -> None:
    assert read_photo(EXAMPLE).size[1] > 600
    assert "src/carve" in EXAMPLE.as_posix() or "site-packages" in EXAMPLE.as_posix()


def test_the_demo_goes_on_with_an_earlier_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Path) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(cli, "_reconstruct", lambda arguments: seen.append(arguments) or 0)
    assert cli.run(["demo", "--out", str(run), "--preset", "fast"]) == 0
    assert seen[0].resume and seen[0].preset == "fast" and seen[0].photo == EXAMPLE
    assert (run / "report.html").is_file()
